//! The U-Net (Ronneberger et al. 2015, with batch norm and padded convolutions): its configuration and its list of layers.

use std::fmt;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::layers::{Convolution, ConvolutionKind, Layer, Layers, ValueId};
use super::network::Network;
use super::stem::Stem;
use crate::rng::Rng;

/// How the decoder doubles height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// Nearest neighbours, then a 3x3 convolution.
    Nearest,
    /// A 2x2 up-convolution of stride 2, as 1x1 convolution and depth-to-space: a ninth of the multiply-accumulates.
    UpConvolution,
}

/// What a U-Net is built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub struct UNetConfig {
    /// Channels of the network's first level; each level below has twice as many
    #[arg(long, default_value_t = 16)]
    pub base: usize,
    /// Number of times that the network halves the image
    #[arg(long, default_value_t = 4)]
    pub depth: usize,
    /// Channels of the image: 1 or 3.
    #[arg(skip)]
    pub channels: usize,
    /// Number of classes, which is the number of logits per pixel.
    #[arg(skip)]
    pub classes: usize,
    /// How the decoder doubles the image
    #[arg(long, value_enum, default_value_t = Upsampling::Nearest)]
    pub upsampling: Upsampling,
    /// Shrink the image by this factor before the first level, and enlarge the logits again
    // Files of networks without a stem do not name it.
    #[arg(long, value_enum, default_value_t = Stem::Full)]
    #[serde(default, skip_serializing_if = "Stem::is_full")]
    pub stem: Stem,
}

/// Where biases and batch norms are. Either form draws the same weights from the same seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The form that is trained: no bias before a batch norm, and batch norm with ReLU after each enlargement.
    Trained,
    /// The textbook's: every convolution has a bias, and nothing follows the convolution of an enlargement.
    Plain,
}

impl fmt::Display for UNetConfig {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "base {}, depth {}", self.base, self.depth)?;
        if self.stem.is_full() { Ok(()) } else { write!(f, ", stem {}", u8::from(self.stem)) }
    }
}

impl UNetConfig {
    /// Height and width of the input must be multiples of this.
    pub fn size_multiple(&self) -> usize {
        self.layers().size_multiple()
    }

    /// Returns an error if no network can be built from the configuration.
    ///
    /// # Errors
    /// The value that is out of range, with what was expected.
    pub fn validate(&self) -> Result<(), String> {
        if !(1..=1024).contains(&self.base) {
            return Err(format!("--base: expected 1 to 1024, found {}", self.base));
        }
        if !(1..=7).contains(&self.depth) {
            return Err(format!("--depth: expected 1 to 7, found {}", self.depth));
        }
        if ![1, 3].contains(&self.channels) {
            return Err(format!("--channels: expected 1 or 3, found {}", self.channels));
        }
        if !(2..=255).contains(&self.classes) {
            return Err(format!("classes: expected 2 to 255, found {}", self.classes));
        }
        Ok(())
    }

    /// The network's layers: stem, encoder, bottleneck, decoder with skips, and a head to logits of the image's size.
    pub fn layers(&self) -> Layers {
        self.build(Form::Trained)
    }

    /// A network with fresh weights: the same `seed` gives the same weights on every backend.
    pub fn init(&self, seed: u64, device: &Device) -> Network {
        Network::new(self.layers(), &mut initial_weights(seed), device)
    }

    /// The textbook's form, with the weights of [`UNetConfig::init`]: its 3x3 convolutions have biases, and its
    /// enlargements end in the bare convolution. Only for timing beside other frameworks, whose networks have this form:
    /// it is never trained to a run, and neither saved nor exported.
    pub fn init_plain(&self, seed: u64, device: &Device) -> Network {
        Network::new(self.build(Form::Plain), &mut initial_weights(seed), device)
    }

    fn build(&self, form: Form) -> Layers {
        let width = |level: usize| self.base << level;
        let mut layers = Layers::new(self.channels);
        let (mut x, mut skips) = (0, vec![]);
        // Channels between the image's size and that of the first level, on either side of the network.
        let between = self.base.div_ceil(2);
        for number in 0..self.stem.halvings() {
            let outputs = if number + 1 == self.stem.halvings() { self.base } else { between };
            x = layers.push(format!("stem.{number}"), block(ConvolutionKind::Strided, outputs, form), &[x]);
        }
        for level in 0..self.depth {
            let name = format!("encoder.{level}");
            let skip = double(&mut layers, [&name, &name], width(level), form, &[x]);
            x = layers.push(format!("{name}.pool"), Layer::MaxPool, &[skip]);
            skips.push(skip);
        }
        x = double(&mut layers, ["bottleneck"; 2], width(self.depth), form, &[x]);
        // Weight files count the decoder's levels from the smallest one up, exported files as the encoder's.
        for (stored, level) in (0..self.depth).rev().enumerate() {
            let kind = match self.upsampling {
                Upsampling::Nearest => ConvolutionKind::Upsampling,
                Upsampling::UpConvolution => ConvolutionKind::UpConvolution,
            };
            let enlarge = enlargement(kind, width(level), form);
            x = layers.push_at(format!("up.{level}"), format!("up.{stored}"), enlarge, &[x]);
            let names = [level, stored].map(|level| format!("decoder.{level}"));
            x = double(&mut layers, [&names[0], &names[1]], width(level), form, &[skips[level], x]);
        }
        // At the image's size, only up-convolutions are cheap enough beside a network that works on a smaller one.
        for number in 1..self.stem.halvings() {
            let enlarge = enlargement(ConvolutionKind::UpConvolution, between, form);
            x = layers.push(format!("head.up.{}", number - 1), enlarge, &[x]);
        }
        let kind = if self.stem.is_full() { ConvolutionKind::Pointwise } else { ConvolutionKind::UpConvolution };
        let head = Convolution { kind, outputs: self.classes, bias: true, norm_relu: false };
        layers.push("head", Layer::Convolution(head), &[x]);
        layers
    }
}

/// A 3x3 convolution with batch norm, which would undo a bias, and ReLU.
fn block(kind: ConvolutionKind, outputs: usize, form: Form) -> Layer {
    Layer::Convolution(Convolution { kind, outputs, bias: form == Form::Plain, norm_relu: true })
}

/// A convolution that doubles the image.
fn enlargement(kind: ConvolutionKind, outputs: usize, form: Form) -> Layer {
    let (bias, norm_relu) = (form == Form::Plain, form == Form::Trained);
    Layer::Convolution(Convolution { kind, outputs, bias, norm_relu })
}

/// Two 3x3 convolutions with batch norm and ReLU: a level of the encoder or the decoder, or the bottleneck.
fn double(layers: &mut Layers, names: [&str; 2], outputs: usize, form: Form, inputs: &[ValueId]) -> ValueId {
    let layer = block(ConvolutionKind::Same, outputs, form);
    let [first, second] = ["first", "second"].map(|part| names.map(|name| format!("{name}.{part}")));
    let [name, path] = first;
    let x = layers.push_at(name, path, layer, inputs);
    let [name, path] = second;
    layers.push_at(name, path, layer, &[x])
}

/// Separates the draws of initial weights from the other uses of one seed.
const INITIAL_WEIGHTS_STREAM: u64 = 0x57e1_6875;

fn initial_weights(seed: u64) -> Rng {
    Rng::from_parts(&[seed, INITIAL_WEIGHTS_STREAM])
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::tensor::Tensor;

    use super::*;
    use crate::backend::test_device;
    use crate::model::parameters::parameters;

    fn config(upsampling: Upsampling) -> UNetConfig {
        UNetConfig { base: 4, depth: 2, channels: 3, classes: 5, upsampling, stem: Stem::Full }
    }

    #[test]
    fn logits_have_the_images_size_and_a_channel_a_class() {
        for upsampling in [Upsampling::Nearest, Upsampling::UpConvolution] {
            let model = config(upsampling).init(1, &test_device());
            let logits = model.forward(Tensor::zeros([2, 3, 12, 8], &test_device()));
            assert_eq!(logits.dims(), [2, 5, 12, 8]);
        }
    }

    #[test]
    fn a_stem_shrinks_the_levels_and_the_head_enlarges_the_logits() {
        // Only there do parameters have names: elsewhere nothing is trained.
        let device = test_device().autodiff();
        for (stem, strided, head) in [
            // stem 3-4; head 4 to 4 * 5 by 1x1.
            (Stem::Half, 9 * 3 * 4, 4 * 20),
            // stem 3-2-4; head 4 to 4 * 2 by 1x1, then 2 to 4 * 5.
            (Stem::Quarter, 9 * (3 * 2 + 2 * 4), 4 * 8 + 2 * 20),
        ] {
            let config = UNetConfig { stem, ..config(Upsampling::Nearest) };
            let layers = config.layers();
            let plain = UNetConfig { stem: Stem::Full, channels: 4, ..config.clone() };
            let levels = plain.layers().weights() - 4 * 5;
            assert_eq!(layers.weights(), levels + strided + head);
            assert_eq!((config.size_multiple(), layers.classes()), (4 << stem.halvings(), 5));
            for model in [config.init(1, &device), config.init_plain(1, &device)] {
                assert_eq!(model.forward(Tensor::zeros([2, 3, 32, 16], &device)).dims(), [2, 5, 32, 16]);
            }
            let names: Vec<String> = parameters(&config.init(1, &device)).into_iter().map(|p| p.name).collect();
            assert_eq!(names[0], "stem.0.conv.weight");
            assert_eq!(names[names.len() - 2..], ["head.weight", "head.bias"]);
        }
    }

    #[test]
    fn a_configuration_names_a_stem_only_if_it_has_one() {
        let full = config(Upsampling::Nearest);
        let text = toml::to_string(&full).unwrap();
        assert!(!text.contains("stem"), "{text}");
        assert_eq!(toml::from_str::<UNetConfig>(&text).unwrap(), full);
        let quarter = UNetConfig { stem: Stem::Quarter, ..full };
        assert_eq!(quarter.to_string(), "base 4, depth 2, stem 4");
        let text = toml::to_string(&quarter).unwrap();
        assert!(text.contains("stem = 4"), "{text}");
        assert_eq!(toml::from_str::<UNetConfig>(&text).unwrap(), quarter);
        let refused = toml::from_str::<UNetConfig>(&text.replace("stem = 4", "stem = 3")).unwrap_err().to_string();
        assert!(refused.contains("expected a stem of 1, 2 or 4, found 3"), "{refused}");
    }

    #[test]
    fn parameters_are_as_many_as_by_hand() {
        // encoder 3-4-4, 4-8-8; bottleneck 8-16-16; up 16-8, 8-4; decoder 16-8-8, 8-4-4; all 3x3, two norm values a channel.
        let convolutions =
            9 * (3 * 4 + 4 * 4 + 4 * 8 + 8 * 8 + 8 * 16 + 16 * 16 + 16 * 8 + 16 * 8 + 8 * 8 + 8 * 4 + 8 * 4 + 4 * 4);
        let norms = 2 * (4 + 4 + 8 + 8 + 16 + 16 + 8 + 8 + 8 + 4 + 4 + 4);
        let head = 4 * 5 + 5;
        let running = norms;
        let model = config(Upsampling::Nearest).init(1, &test_device());
        assert_eq!(model.num_params(), convolutions + norms + head + running);
        assert_eq!(model.layers().weights(), (convolutions + 4 * 5) as u64);
    }

    #[test]
    fn the_plain_form_differs_in_biases_and_in_the_enlargements_norms() {
        let device = test_device().autodiff();
        for (upsampling, repeats) in [(Upsampling::Nearest, 1), (Upsampling::UpConvolution, 4)] {
            let (ours, plain) = (config(upsampling).init(1, &device), config(upsampling).init_plain(1, &device));
            assert_eq!(plain.forward(Tensor::zeros([2, 3, 12, 8], &device)).dims(), [2, 5, 12, 8]);
            // Channels of the encoder, bottleneck and decoder, two blocks each; of the enlargements to 8 and to 4.
            let biases = 2 * (4 + 8 + 16 + 8 + 4) + repeats * (8 + 4);
            let norms = 4 * (8 + 4);
            assert_eq!(plain.num_params(), ours.num_params() + biases - norms);
            let drawn = |model: &Network| {
                let name = "decoder.1.second.conv.weight";
                parameters(model).into_iter().find(|parameter| parameter.name == name).expect(name).values
            };
            assert_eq!(drawn(&ours), drawn(&plain));
        }
    }

    #[test]
    fn an_invalid_configuration_is_refused_by_value() {
        let good = config(Upsampling::Nearest);
        assert_eq!(good.validate(), Ok(()));
        for (bad, problem) in [
            (UNetConfig { base: 0, ..good.clone() }, "--base: expected 1 to 1024, found 0"),
            (UNetConfig { depth: 8, ..good.clone() }, "--depth: expected 1 to 7, found 8"),
            (UNetConfig { channels: 2, ..good.clone() }, "--channels: expected 1 or 3, found 2"),
            (UNetConfig { classes: 1, ..good.clone() }, "classes: expected 2 to 255, found 1"),
        ] {
            assert_eq!(bad.validate(), Err(problem.to_owned()));
        }
    }
}
