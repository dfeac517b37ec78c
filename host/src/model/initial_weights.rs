//! How parameters start: drawn from a seed, and numbered so that equal runs write equal files.

use burn::module::{Param, ParamId, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};

use crate::rng::Rng;

/// A convolution with weights of shape `[outputs, inputs of a group, k, k]` from `rng`: normal with variance `2 / fan_in` (He et al.
/// 2015, eq. 10), bias zero.
///
/// `k` is 1 or 3; a 3x3 convolution is padded by 1 on all sides.
pub(super) fn conv2d(
    shape: [usize; 4],
    groups: usize,
    stride: usize,
    bias: bool,
    rng: &mut Rng,
    device: &Device,
) -> Conv2d {
    let [outputs, inputs, size, _] = shape;
    let padding = size / 2;
    let mut conv = Conv2dConfig::new([groups * inputs, outputs], [size, size])
        .with_groups(groups)
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .with_bias(bias)
        .with_initializer(Initializer::Zeros)
        .init(device);
    let fan_in = inputs * size * size;
    let deviation = (2.0 / fan_in as f32).sqrt();
    let weights: Vec<f32> = (0..outputs * fan_in).map(|_| rng.normal_f32() * deviation).collect();
    let weight = Param::from_data(TensorData::new(weights, shape), device);
    conv.weight = numbered(weight, number(rng, 0));
    conv.bias = conv.bias.map(|bias| numbered(bias, number(rng, 1)));
    conv
}

/// A batch norm as it starts: scale 1, shift 0, running mean 0 and variance 1.
pub(super) fn batch_norm(channels: usize, rng: &Rng, device: &Device) -> BatchNorm {
    let mut norm = BatchNormConfig::new(channels).init(device);
    norm.gamma = numbered(norm.gamma, number(rng, 2));
    norm.beta = numbered(norm.beta, number(rng, 3));
    norm.running_mean = RunningState::with_id(number(rng, 4), norm.running_mean.value());
    norm.running_var = RunningState::with_id(number(rng, 5), norm.running_var.value());
    norm
}

/// The identifier of parameter `kind` of the layer whose weights were drawn last; draws nothing. burn draws identifiers at
/// random and writes them to files, so that two runs to the same weights would leave different files.
fn number(rng: &Rng, kind: u64) -> ParamId {
    Rng::from_parts(&[rng.clone().next_u64(), kind]).next_u64().into()
}

/// The parameter with another identifier.
fn numbered<const D: usize>(param: Param<Tensor<D>>, number: ParamId) -> Param<Tensor<D>> {
    let (_, value, mapper) = param.consume();
    Param::from_mapped_value(number, value, mapper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;

    #[test]
    fn initial_weights_follow_the_seed_and_have_the_stated_spread() {
        let device = test_device();
        let weights = |seed| -> Vec<f32> {
            let conv = conv2d([64, 8, 3, 3], 1, 1, false, &mut Rng::new(seed), &device);
            conv.weight.val().into_data().try_into_vec().unwrap()
        };
        assert_eq!(weights(1), weights(1));
        assert_ne!(weights(1), weights(2));
        let values = weights(1);
        let variance = values.iter().map(|v| f64::from(v * v)).sum::<f64>() / values.len() as f64;
        // 4608 draws: the standard error of a normal's variance is sqrt(2 / 4608) = 2 % of it.
        assert!((variance * 72.0 / 2.0 - 1.0).abs() < 0.1, "variance {variance}");
    }
}
