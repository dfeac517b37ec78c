//! The parts that a U-Net is made of: convolution with batch norm and ReLU, and the two ways of upsampling.

use burn::module::{Module, Param, ParamId, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};

use super::unet::Upsampling;
use crate::operation::{convolve, norm_relu, up_convolve, upsample_and_convolve};
use crate::rng::Rng;

/// A convolution whose weights come from `rng`: normal with variance `2 / fan_in` (He et al. 2015, eq. 10), bias zero.
///
/// `kernel` is 1 or 3; a 3x3 one is padded by 1 so that the size stays.
pub(crate) fn conv2d(
    channels_in: usize,
    channels_out: usize,
    kernel: usize,
    bias: bool,
    rng: &mut Rng,
    device: &Device,
) -> Conv2d {
    let mut conv = Conv2dConfig::new([channels_in, channels_out], [kernel, kernel])
        .with_padding(PaddingConfig2d::Explicit(kernel / 2, kernel / 2, kernel / 2, kernel / 2))
        .with_bias(bias)
        .with_initializer(Initializer::Zeros)
        .init(device);
    let fan_in = channels_in * kernel * kernel;
    let deviation = (2.0 / fan_in as f32).sqrt();
    let weights: Vec<f32> = (0..channels_out * fan_in).map(|_| rng.normal_f32() * deviation).collect();
    let weight = Param::from_data(TensorData::new(weights, [channels_out, channels_in, kernel, kernel]), device);
    conv.weight = numbered(weight, number(rng, 0));
    conv.bias = conv.bias.map(|bias| numbered(bias, number(rng, 1)));
    conv
}

/// A batch norm as it starts: scale 1, shift 0, running mean 0 and variance 1.
fn batch_norm(channels: usize, rng: &Rng, device: &Device) -> BatchNorm {
    let mut norm = BatchNormConfig::new(channels).init(device);
    norm.gamma = numbered(norm.gamma, number(rng, 2));
    norm.beta = numbered(norm.beta, number(rng, 3));
    norm.running_mean = RunningState::with_id(number(rng, 4), norm.running_mean.value());
    norm.running_var = RunningState::with_id(number(rng, 5), norm.running_var.value());
    norm
}

/// A number for parameter `kind` of the block whose weights were drawn last; draws nothing. burn numbers parameters at
/// random and writes the numbers to files, so that two runs to the same weights would leave unlike files.
fn number(rng: &Rng, kind: u64) -> ParamId {
    Rng::from_parts(&[rng.clone().next_u64(), kind]).next_u64().into()
}

/// The parameter under another number.
fn numbered<const D: usize>(param: Param<Tensor<D>>, number: ParamId) -> Param<Tensor<D>> {
    let (_, value, mapper) = param.consume();
    Param::from_mapped_value(number, value, mapper)
}

/// Where biases and batch norms stand. Either form draws the same weights from the same seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The form that is trained: no bias before a batch norm, and batch norm with ReLU after each enlargement.
    Ours,
    /// The textbook's: every convolution has a bias, and nothing stands behind the convolution of an enlargement.
    Plain,
}

/// 3x3 convolution, batch norm, ReLU. The size of the image stays.
#[derive(Module, Debug)]
pub struct ConvBlock {
    /// The convolution; a bias would be undone by the batch norm, so that only the plain form has one.
    pub conv: Conv2d,
    /// The batch norm behind it.
    pub norm: BatchNorm,
}

impl ConvBlock {
    fn new(channels_in: usize, channels_out: usize, form: Form, rng: &mut Rng, device: &Device) -> Self {
        Self {
            conv: conv2d(channels_in, channels_out, 3, form == Form::Plain, rng, device),
            norm: batch_norm(channels_out, rng, device),
        }
    }

    /// `[N, channels_in, H, W]` to `[N, channels_out, H, W]`.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.forward_joined(input, None)
    }

    /// The same, where the channels of a second input follow those of the first.
    pub fn forward_joined(&self, first: Tensor<4>, second: Option<Tensor<4>>) -> Tensor<4> {
        norm_relu(&self.norm, convolve(&self.conv, first, second))
    }
}

/// Two [`ConvBlock`]s: one level of the encoder or of the decoder, or the bottleneck.
#[derive(Module, Debug)]
pub struct DoubleConv {
    /// From the level's input channels to its own.
    pub first: ConvBlock,
    /// From its own channels to its own.
    pub second: ConvBlock,
}

impl DoubleConv {
    /// Two blocks with fresh weights from `rng`.
    pub(super) fn new(channels_in: usize, channels_out: usize, form: Form, rng: &mut Rng, device: &Device) -> Self {
        Self {
            first: ConvBlock::new(channels_in, channels_out, form, rng, device),
            second: ConvBlock::new(channels_out, channels_out, form, rng, device),
        }
    }

    /// `[N, channels_in, H, W]` to `[N, channels_out, H, W]`.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.forward_joined(input, None)
    }

    /// The same, where the channels of a second input follow those of the first.
    pub fn forward_joined(&self, first: Tensor<4>, second: Option<Tensor<4>>) -> Tensor<4> {
        self.second.forward(self.first.forward_joined(first, second))
    }
}

/// Doubles height and width and halves the channels, then batch norm and ReLU.
///
/// With a 3x3 convolution the input is first enlarged to its nearest neighbours. With a 1x1 convolution that has four
/// times the channels, depth-to-space spreads them over the 2x2 grid: exactly a 2x2 transposed convolution of stride 2.
#[derive(Module, Debug)]
pub struct UpBlock {
    /// 3x3 to `channels_out`, or 1x1 to `4 * channels_out`.
    pub conv: Conv2d,
    /// The batch norm on `channels_out`; without one there is no ReLU either.
    pub norm: Option<BatchNorm>,
}

impl UpBlock {
    /// A block with fresh weights from `rng`.
    pub(super) fn new(
        channels_in: usize,
        channels_out: usize,
        upsampling: Upsampling,
        form: Form,
        rng: &mut Rng,
        device: &Device,
    ) -> Self {
        let (outputs, kernel) = match upsampling {
            Upsampling::Nearest => (channels_out, 3),
            Upsampling::UpConvolution => (4 * channels_out, 1),
        };
        Self {
            conv: conv2d(channels_in, outputs, kernel, form == Form::Plain, rng, device),
            norm: (form == Form::Ours).then(|| batch_norm(channels_out, rng, device)),
        }
    }

    /// Whether this is the 2x2 up-convolution.
    pub fn is_up_convolution(&self) -> bool {
        self.conv.kernel_size == [1, 1]
    }

    /// `[N, channels_in, H, W]` to `[N, channels_out, 2 H, 2 W]`.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let enlarged = if self.is_up_convolution() {
            up_convolve(&self.conv, input)
        } else {
            upsample_and_convolve(&self.conv, input)
        };
        match &self.norm {
            Some(norm) => norm_relu(norm, enlarged),
            None => enlarged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;

    #[test]
    fn initial_weights_are_the_seeds_and_have_the_stated_spread() {
        let device = test_device();
        let weights = |seed| -> Vec<f32> {
            conv2d(8, 64, 3, false, &mut Rng::new(seed), &device).weight.val().into_data().try_into_vec().unwrap()
        };
        assert_eq!(weights(1), weights(1));
        assert_ne!(weights(1), weights(2));
        let values = weights(1);
        let variance = values.iter().map(|v| f64::from(v * v)).sum::<f64>() / values.len() as f64;
        // 4608 draws: the standard error of a normal's variance is sqrt(2 / 4608) = 2 % of it.
        assert!((variance * 72.0 / 2.0 - 1.0).abs() < 0.1, "variance {variance}");
    }
}
