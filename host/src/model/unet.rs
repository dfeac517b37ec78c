//! The U-Net itself (Ronneberger et al. 2015, with batch norm and padded convolutions) and its configuration.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::blocks::{DoubleConv, Form, UpBlock, conv2d};
use crate::operation::{convolve, max_pool_of_skip};
use crate::rng::Rng;

/// How the decoder doubles height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// Nearest neighbours, then a 3x3 convolution.
    Nearest,
    /// A 2x2 up-convolution of stride 2, as 1x1 convolution and depth-to-space: a ninth of the multiplications.
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
}

impl UNetConfig {
    /// Height and width of the input must be multiples of this.
    pub fn size_multiple(&self) -> usize {
        1 << self.depth
    }

    /// Says what is wrong with the configuration, if anything is.
    pub fn validate(&self) -> Result<(), String> {
        if !(1..=1024).contains(&self.base) {
            return Err(format!("base channels must lie in 1..=1024, found {}", self.base));
        }
        if !(1..=7).contains(&self.depth) {
            return Err(format!("depth must lie in 1..=7, found {}", self.depth));
        }
        if ![1, 3].contains(&self.channels) {
            return Err(format!("channels must be 1 or 3, found {}", self.channels));
        }
        if !(2..=255).contains(&self.classes) {
            return Err(format!("a model needs 2 to 255 classes, found {}", self.classes));
        }
        Ok(())
    }

    /// Weights of its convolutions, which are nearly all of its parameters.
    pub fn parameters(&self) -> u64 {
        let width = |level: usize| (self.base as u64) << level;
        let double = |from: u64, to: u64| 9 * (from * to + to * to);
        let mut sum = width(0) * self.classes as u64 + double(width(self.depth - 1), width(self.depth));
        for level in 0..self.depth {
            let from = if level == 0 { self.channels as u64 } else { width(level - 1) };
            let enlarge = match self.upsampling {
                Upsampling::Nearest => 9,
                Upsampling::UpConvolution => 4,
            };
            sum += double(from, width(level)) + enlarge * width(level + 1) * width(level);
            sum += double(2 * width(level), width(level));
        }
        sum
    }

    /// A network with fresh weights: the same `seed` gives the same weights on every backend.
    pub fn init(&self, seed: u64, device: &Device) -> UNet {
        self.build(Form::Ours, seed, device)
    }

    /// The textbook's form, with the weights of [`UNetConfig::init`]: its 3x3 convolutions have biases, and its
    /// enlargements end in the bare convolution. Only for timing beside other frameworks, whose networks have this form:
    /// it is never trained to a run, and neither saved nor exported.
    pub fn init_plain(&self, seed: u64, device: &Device) -> UNet {
        self.build(Form::Plain, seed, device)
    }

    fn build(&self, form: Form, seed: u64, device: &Device) -> UNet {
        let rng = &mut Rng::from_parts(&[seed, INITIAL_WEIGHTS_STREAM]);
        let width = |level: usize| self.base << level;
        let mut channels = self.channels;
        let mut encoder = Vec::with_capacity(self.depth);
        for level in 0..self.depth {
            encoder.push(DoubleConv::new(channels, width(level), form, rng, device));
            channels = width(level);
        }
        let bottleneck = DoubleConv::new(channels, width(self.depth), form, rng, device);
        let (mut up, mut decoder) = (Vec::with_capacity(self.depth), Vec::with_capacity(self.depth));
        for level in (0..self.depth).rev() {
            up.push(UpBlock::new(width(level + 1), width(level), self.upsampling, form, rng, device));
            decoder.push(DoubleConv::new(2 * width(level), width(level), form, rng, device));
        }
        let head = conv2d(self.base, self.classes, 1, true, rng, device);
        UNet { encoder, bottleneck, up, decoder, head }
    }
}

/// Separates the draws of initial weights from the other uses of one seed.
const INITIAL_WEIGHTS_STREAM: u64 = 0x57e1_6875;

/// A U-Net: encoder, bottleneck, decoder with skips, and a 1x1 convolution to logits.
#[derive(Module, Debug)]
pub struct UNet {
    /// One entry a level, from full size downwards; its output is the level's skip.
    pub encoder: Vec<DoubleConv>,
    /// The level of the smallest size.
    pub bottleneck: DoubleConv,
    /// One entry a level, from the smallest size upwards.
    pub up: Vec<UpBlock>,
    /// One entry a level, from the smallest size upwards; takes the skip and the enlarged tensor, in that order.
    pub decoder: Vec<DoubleConv>,
    /// 1x1 convolution to the logits.
    pub head: Conv2d,
}

impl UNet {
    /// Images `[N, channels, H, W]` to logits `[N, classes, H, W]`; H and W are multiples of `2^depth`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let mut skips = Vec::with_capacity(self.encoder.len());
        let mut x = images;
        for level in &self.encoder {
            let skip = level.forward(x);
            x = max_pool_of_skip(skip.clone());
            skips.push(skip);
        }
        x = self.bottleneck.forward(x);
        for ((up, decoder), skip) in self.up.iter().zip(&self.decoder).zip(skips.into_iter().rev()) {
            x = decoder.forward_joined(skip, Some(up.forward(x)));
        }
        convolve(&self.head, x, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;

    fn config(upsampling: Upsampling) -> UNetConfig {
        UNetConfig { base: 4, depth: 2, channels: 3, classes: 5, upsampling }
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
    fn parameters_are_as_many_as_by_hand() {
        // encoder 3-4-4, 4-8-8; bottleneck 8-16-16; up 16-8, 8-4; decoder 16-8-8, 8-4-4; all 3x3, two norm values a channel.
        let convolutions =
            9 * (3 * 4 + 4 * 4 + 4 * 8 + 8 * 8 + 8 * 16 + 16 * 16 + 16 * 8 + 16 * 8 + 8 * 8 + 8 * 4 + 8 * 4 + 4 * 4);
        let norms = 2 * (4 + 4 + 8 + 8 + 16 + 16 + 8 + 8 + 8 + 4 + 4 + 4);
        let head = 4 * 5 + 5;
        let running = norms;
        let model = config(Upsampling::Nearest).init(1, &test_device());
        assert_eq!(model.num_params(), convolutions + norms + head + running);
        assert_eq!(config(Upsampling::Nearest).parameters(), (convolutions + 4 * 5) as u64);
    }

    #[test]
    fn the_plain_form_differs_in_biases_and_in_the_enlargements_norms() {
        let device = test_device();
        for (upsampling, repeats) in [(Upsampling::Nearest, 1), (Upsampling::UpConvolution, 4)] {
            let (ours, plain) = (config(upsampling).init(1, &device), config(upsampling).init_plain(1, &device));
            assert_eq!(plain.forward(Tensor::zeros([2, 3, 12, 8], &device)).dims(), [2, 5, 12, 8]);
            // Channels of the encoder, bottleneck and decoder, two blocks each; of the enlargements to 8 and to 4.
            let biases = 2 * (4 + 8 + 16 + 8 + 4) + repeats * (8 + 4);
            let norms = 4 * (8 + 4);
            assert_eq!(plain.num_params(), ours.num_params() + biases - norms);
            let drawn = |model: &UNet| model.decoder[1].second.conv.weight.val().into_data();
            drawn(&ours).assert_eq(&drawn(&plain), true);
        }
    }

    #[test]
    fn a_configuration_that_cannot_be_built_is_said() {
        let good = config(Upsampling::Nearest);
        assert!(good.validate().is_ok());
        for bad in [
            UNetConfig { base: 0, ..good.clone() },
            UNetConfig { depth: 8, ..good.clone() },
            UNetConfig { channels: 2, ..good.clone() },
            UNetConfig { classes: 1, ..good.clone() },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }
}
