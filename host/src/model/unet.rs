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

/// How the decoder joins the activations of the encoder's level, the skip, with its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Skips {
    /// Their channels are concatenated.
    #[default]
    Concat,
    /// They are added, which halves the first convolution of each level of the decoder.
    Add,
}

impl Skips {
    fn is_concat(&self) -> bool {
        *self == Self::Concat
    }
}

/// What stands for each 3x3 convolution of the encoder and the decoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Blocks {
    /// The convolution itself.
    #[default]
    Plain,
    /// A depthwise 3x3 convolution, then a 1x1 convolution (Howard et al. 2017): an eighth of the multiply-accumulates.
    Separable,
}

impl Blocks {
    fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
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
    /// Channels of each level, for example 16,24,32,48, in place of --base and --depth
    // Files of networks whose levels double the channels do not list them; those that list them have their first one as base.
    #[arg(long, value_name = "CHANNELS", value_delimiter = ',', conflicts_with_all = ["base", "depth"])]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub widths: Vec<usize>,
    /// Channels of the image: 1 or 3.
    #[arg(skip)]
    pub channels: usize,
    /// Number of classes, which is the number of logits per pixel.
    #[arg(skip)]
    pub classes: usize,
    /// How the decoder doubles the image
    #[arg(long, value_enum, default_value_t = Upsampling::Nearest)]
    pub upsampling: Upsampling,
    /// How the decoder joins the skips of the encoder
    #[arg(long, value_enum, default_value_t = Skips::Concat)]
    #[serde(default, skip_serializing_if = "Skips::is_concat")]
    pub skips: Skips,
    /// Number of 3x3 convolutions at each level of the decoder: 1 or 2
    #[arg(long, value_name = "COUNT", default_value_t = DECODER_CONVOLUTIONS)]
    #[serde(default = "decoder_convolutions", skip_serializing_if = "is_usual_decoder")]
    pub decoder_convolutions: usize,
    /// What stands for each 3x3 convolution
    #[arg(long, value_enum, default_value_t = Blocks::Plain)]
    #[serde(default, skip_serializing_if = "Blocks::is_plain")]
    pub blocks: Blocks,
    /// Shrink the image by this factor before the first level, and enlarge the logits again
    // Files of networks without a stem do not name it.
    #[arg(long, value_enum, default_value_t = Stem::Full)]
    #[serde(default, skip_serializing_if = "Stem::is_full")]
    pub stem: Stem,
}

/// Convolutions at each level of the decoder unless the configuration says otherwise.
const DECODER_CONVOLUTIONS: usize = 2;

fn decoder_convolutions() -> usize {
    DECODER_CONVOLUTIONS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_usual_decoder(count: &usize) -> bool {
    *count == DECODER_CONVOLUTIONS
}

/// The network that `train` builds by default, for gray images of two classes.
impl Default for UNetConfig {
    fn default() -> Self {
        Self {
            base: 16,
            depth: 4,
            widths: vec![],
            channels: 1,
            classes: 2,
            upsampling: Upsampling::Nearest,
            skips: Skips::Concat,
            decoder_convolutions: DECODER_CONVOLUTIONS,
            blocks: Blocks::Plain,
            stem: Stem::Full,
        }
    }
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
        if self.widths.is_empty() {
            write!(f, "base {}, depth {}", self.base, self.depth)?;
        } else {
            let widths: Vec<String> = self.widths.iter().map(usize::to_string).collect();
            write!(f, "widths {}", widths.join("-"))?;
        }
        if self.blocks == Blocks::Separable {
            write!(f, ", separable")?;
        }
        if self.skips == Skips::Add {
            write!(f, ", added skips")?;
        }
        if self.decoder_convolutions != DECODER_CONVOLUTIONS {
            write!(f, ", {} convolution a level of the decoder", self.decoder_convolutions)?;
        }
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
        if !self.widths.is_empty() {
            self.validate_widths()?;
        }
        if !(1..=2).contains(&self.decoder_convolutions) {
            return Err(format!("--decoder-convolutions: expected 1 or 2, found {}", self.decoder_convolutions));
        }
        if self.blocks == Blocks::Separable && self.skips == Skips::Concat {
            return Err("--blocks separable: expected --skips add, found concat".to_owned());
        }
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

    fn validate_widths(&self) -> Result<(), String> {
        if !(2..=8).contains(&self.widths.len()) {
            return Err(format!("--widths: expected the channels of 2 to 8 levels, found {}", self.widths.len()));
        }
        if let Some(width) = self.widths.iter().find(|width| !(1..=WIDTH_MAX).contains(*width)) {
            return Err(format!("--widths: expected 1 to {WIDTH_MAX} channels a level, found {width}"));
        }
        if (self.base, self.depth) != (self.widths[0], self.widths.len() - 1) {
            return Err(format!(
                "widths: expected base {} and depth {}, as their list says, found {} and {}",
                self.widths[0],
                self.widths.len() - 1,
                self.base,
                self.depth
            ));
        }
        Ok(())
    }

    /// Sets `base` and `depth` to what a list of widths says.
    #[must_use]
    pub fn with_listed_widths(mut self) -> Self {
        if let [first, rest @ ..] = self.widths.as_slice() {
            (self.base, self.depth) = (*first, rest.len());
        }
        self
    }

    /// Channels of a level, the first one being 0 and the bottleneck `depth`.
    pub(crate) fn width(&self, level: usize) -> usize {
        self.widths.get(level).copied().unwrap_or(self.base << level)
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
        let width = |level: usize| self.width(level);
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
            let skip = self.convolutions(&mut layers, [&name, &name], 2, width(level), form, &[x]);
            x = layers.push(format!("{name}.pool"), Layer::MaxPool, &[skip]);
            skips.push(skip);
        }
        x = self.convolutions(&mut layers, ["bottleneck"; 2], 2, width(self.depth), form, &[x]);
        // Weight files count the decoder's levels from the smallest one up, exported files as the encoder's.
        for (stored, level) in (0..self.depth).rev().enumerate() {
            let kind = match self.upsampling {
                Upsampling::Nearest => ConvolutionKind::Upsampling,
                Upsampling::UpConvolution => ConvolutionKind::UpConvolution,
            };
            let enlarge = enlargement(kind, width(level), form);
            x = layers.push_at(format!("up.{level}"), format!("up.{stored}"), enlarge, &[x]);
            let names = [level, stored].map(|level| format!("decoder.{level}"));
            let joined = match self.skips {
                Skips::Concat => vec![skips[level], x],
                Skips::Add => vec![layers.push(format!("{}.add", names[0]), Layer::Add, &[skips[level], x])],
            };
            let count = self.decoder_convolutions;
            x = self.convolutions(&mut layers, [&names[0], &names[1]], count, width(level), form, &joined);
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

    /// One or two 3x3 convolutions with batch norm and ReLU, or what stands for them: a level of the encoder or the decoder, or
    /// the bottleneck. What reads the image is always a convolution: each of the few channels would be filtered alone.
    fn convolutions(
        &self,
        layers: &mut Layers,
        names: [&str; 2],
        count: usize,
        outputs: usize,
        form: Form,
        inputs: &[ValueId],
    ) -> ValueId {
        let mut inputs = inputs.to_vec();
        for part in ["first", "second"].into_iter().take(count) {
            let [name, path] = names.map(|name| format!("{name}.{part}"));
            if self.blocks == Blocks::Separable && inputs[0] != 0 {
                let channels = layers.values()[inputs[0]].channels;
                let depthwise = block(ConvolutionKind::Depthwise, channels, form);
                let x = layers.push_at(format!("{name}.depthwise"), format!("{path}.depthwise"), depthwise, &inputs);
                let pointwise = block(ConvolutionKind::Pointwise, outputs, form);
                inputs =
                    vec![layers.push_at(format!("{name}.pointwise"), format!("{path}.pointwise"), pointwise, &[x])];
            } else {
                let layer = block(ConvolutionKind::Same, outputs, form);
                inputs = vec![layers.push_at(name, path, layer, &inputs)];
            }
        }
        inputs[0]
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

/// Most channels of a level.
const WIDTH_MAX: usize = 16_384;

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
        UNetConfig { base: 4, depth: 2, channels: 3, classes: 5, upsampling, stem: Stem::Full, ..UNetConfig::default() }
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
    fn added_skips_and_one_convolution_a_level_save_what_is_counted_by_hand() {
        let usual = config(Upsampling::UpConvolution);
        let (added, short) = (
            UNetConfig { skips: Skips::Add, ..usual.clone() },
            UNetConfig { decoder_convolutions: 1, ..usual.clone() },
        );
        // The first convolution of both levels of the decoder reads half of the channels; the second one is left out.
        assert_eq!(usual.layers().weights() - added.layers().weights(), 9 * (8 * 8 + 4 * 4));
        assert_eq!(usual.layers().weights() - short.layers().weights(), 9 * (8 * 8 + 4 * 4));
        let both = UNetConfig { skips: Skips::Add, ..short };
        let device = test_device().autodiff();
        assert_eq!(both.init(1, &device).forward(Tensor::zeros([2, 3, 12, 8], &device)).dims(), [2, 5, 12, 8]);
        let names: Vec<String> = parameters(&both.init(1, &device)).into_iter().map(|p| p.name).collect();
        assert!(names.contains(&"decoder.1.first.conv.weight".to_owned()), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("decoder.1.second") || name.contains("add")), "{names:?}");
        assert_eq!(both.to_string(), "base 4, depth 2, added skips, 1 convolution a level of the decoder");
    }

    #[test]
    fn separable_blocks_have_the_weights_counted_by_hand() {
        let config = UNetConfig {
            depth: 1,
            skips: Skips::Add,
            decoder_convolutions: 1,
            blocks: Blocks::Separable,
            ..config(Upsampling::UpConvolution)
        };
        // The image 3-4 by 3x3, then 4-4; 4-8, 8-8; up 8 to 4 times 4; the decoder 4-4; the head 4-5.
        let separable = |inputs: usize, outputs: usize| 9 * inputs + inputs * outputs;
        let expected = 9 * 3 * 4 + 2 * separable(4, 4) + separable(4, 8) + separable(8, 8) + 8 * 16 + 4 * 5;
        assert_eq!(config.layers().weights(), expected as u64);
        let device = test_device().autodiff();
        assert_eq!(config.init(1, &device).forward(Tensor::zeros([2, 3, 12, 8], &device)).dims(), [2, 5, 12, 8]);
        let names: Vec<String> = parameters(&config.init(1, &device)).into_iter().map(|p| p.name).collect();
        for name in [
            "encoder.0.first.conv.weight",
            "encoder.0.second.depthwise.norm.gamma",
            "decoder.0.first.pointwise.conv.weight",
        ] {
            assert!(names.contains(&name.to_owned()), "{name} in {names:?}");
        }
        let refused = UNetConfig { skips: Skips::Concat, ..config }.validate();
        assert_eq!(refused, Err("--blocks separable: expected --skips add, found concat".to_owned()));
    }

    #[test]
    fn listed_widths_replace_base_and_depth() {
        let listed = UNetConfig { widths: vec![4, 6, 10], ..config(Upsampling::Nearest) }.with_listed_widths();
        assert_eq!((listed.base, listed.depth, listed.validate()), (4, 2, Ok(())));
        let channels: Vec<usize> = listed.layers().values().iter().map(|value| value.channels).collect();
        assert_eq!(channels, [3, 4, 4, 4, 6, 6, 6, 10, 10, 6, 6, 6, 4, 4, 4, 5]);
        let text = toml::to_string(&listed).unwrap();
        assert_eq!(toml::from_str::<UNetConfig>(&text).unwrap(), listed);
        assert_eq!(listed.to_string(), "widths 4-6-10");
        for (widths, problem) in [
            (vec![4], "--widths: expected the channels of 2 to 8 levels, found 1"),
            (vec![4, 0], "--widths: expected 1 to 16384 channels a level, found 0"),
        ] {
            let bad = UNetConfig { widths, ..listed.clone() }.with_listed_widths();
            assert_eq!(bad.validate(), Err(problem.to_owned()));
        }
        let edited = UNetConfig { base: 5, ..listed };
        assert_eq!(
            edited.validate(),
            Err("widths: expected base 4 and depth 2, as their list says, found 5 and 2".to_owned())
        );
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
        assert_eq!(model.layers().parameters(), (convolutions + norms + head) as u64);
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
