//! The operations as an extension of burn's backends, and as functions on tensors.

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::nn::BatchNorm;
use burn::tensor::Tensor;

use super::{PixelLoss, Statistics};
use unet_kernels::adam::Factors;

/// Operations and gradients that a backend provides, without differentiation. All images are `[N, C, H, W]`.
pub trait Kernels: Backend {
    /// A convolution of the concatenated channels of the inputs.
    fn convolution(
        inputs: &[FloatTensor<Self>],
        weight: &FloatTensor<Self>,
        bias: Option<&FloatTensor<Self>>,
    ) -> FloatTensor<Self>;

    /// Its gradient for each input; `channels` are the channels of each.
    fn convolution_input_gradient(
        weight: &FloatTensor<Self>,
        gradient: &FloatTensor<Self>,
        channels: &[usize],
    ) -> Vec<FloatTensor<Self>>;

    /// Its gradient for weights of size `kernel` by `kernel`.
    fn convolution_weight_gradient(
        inputs: &[FloatTensor<Self>],
        gradient: &FloatTensor<Self>,
        kernel: usize,
    ) -> FloatTensor<Self>;

    /// A 3x3 convolution of stride 2, padded by 1, on images of even height and width.
    fn strided_convolution(
        input: &FloatTensor<Self>,
        weight: &FloatTensor<Self>,
        bias: Option<&FloatTensor<Self>>,
    ) -> FloatTensor<Self>;

    /// Its gradient for the input.
    fn strided_convolution_input_gradient(
        weight: &FloatTensor<Self>,
        gradient: &FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Its gradient for the weights.
    fn strided_convolution_weight_gradient(
        input: &FloatTensor<Self>,
        gradient: &FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// A 3x3 depthwise convolution padded by 1, with weights `[C, 1, 3, 3]`; with stride 2 on images of even height and width.
    fn depthwise_convolution(
        input: &FloatTensor<Self>,
        weight: &FloatTensor<Self>,
        bias: Option<&FloatTensor<Self>>,
        stride: usize,
    ) -> FloatTensor<Self>;

    /// Its gradient for the input.
    fn depthwise_convolution_input_gradient(
        weight: &FloatTensor<Self>,
        gradient: &FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self>;

    /// Its gradient for the weights.
    fn depthwise_convolution_weight_gradient(
        input: &FloatTensor<Self>,
        gradient: &FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self>;

    /// The gradient for a bias: the sum over images and pixels.
    fn bias_gradient(gradient: &FloatTensor<Self>) -> FloatTensor<Self>;

    /// Nearest-neighbor upsampling by 2 and a 3x3 convolution.
    fn upsample_convolution(
        input: &FloatTensor<Self>,
        weight: &FloatTensor<Self>,
        bias: Option<&FloatTensor<Self>>,
    ) -> FloatTensor<Self>;

    /// Its gradient for the input.
    fn upsample_convolution_input_gradient(
        weight: &FloatTensor<Self>,
        gradient: &FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Its gradient for the weights.
    fn upsample_convolution_weight_gradient(
        input: &FloatTensor<Self>,
        gradient: &FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// A 1x1 convolution, then depth-to-space.
    fn up_convolution(
        input: &FloatTensor<Self>,
        weight: &FloatTensor<Self>,
        bias: Option<&FloatTensor<Self>>,
    ) -> FloatTensor<Self>;

    /// Its gradient for the input.
    fn up_convolution_input_gradient(weight: &FloatTensor<Self>, gradient: &FloatTensor<Self>) -> FloatTensor<Self>;

    /// Its gradient for the weights.
    fn up_convolution_weight_gradient(input: &FloatTensor<Self>, gradient: &FloatTensor<Self>) -> FloatTensor<Self>;

    /// Its gradient for the bias.
    fn up_convolution_bias_gradient(gradient: &FloatTensor<Self>) -> FloatTensor<Self>;

    /// Mean and biased variance of each channel.
    fn channel_statistics(input: &FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Batch norm by these statistics, then ReLU.
    fn normalize_relu(input: &FloatTensor<Self>, norm: &NormTensors<Self>) -> FloatTensor<Self>;

    /// Its gradients for input, scale and shift.
    fn normalize_relu_gradient(
        input: &FloatTensor<Self>,
        norm: &NormTensors<Self>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];

    /// The loss, `[1]`, and on request the gradient of the logits.
    fn pixel_loss(
        logits: &FloatTensor<Self>,
        loss: &dyn PixelLoss,
        with_gradient: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);

    /// A tensor times a scalar, which is a tensor of one value.
    fn scaled(tensor: FloatTensor<Self>, scalar: &FloatTensor<Self>) -> FloatTensor<Self>;

    /// The sum of two tensors of one shape; the second one is changed in place if nothing else reads it.
    fn addition(first: FloatTensor<Self>, second: FloatTensor<Self>) -> FloatTensor<Self>;

    /// 2x2 max-pooling.
    fn max_pool_2x2(input: &FloatTensor<Self>) -> FloatTensor<Self>;

    /// Its gradient, added to `sum` if given.
    fn max_pool_2x2_gradient(
        input: &FloatTensor<Self>,
        gradient: &FloatTensor<Self>,
        sum: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self>;
}

/// The tensors of a batch norm, one value a channel.
#[derive(Clone, Debug)]
pub struct NormTensors<B: Backend> {
    /// Scale.
    pub gamma: FloatTensor<B>,
    /// Shift.
    pub beta: FloatTensor<B>,
    /// Mean.
    pub mean: FloatTensor<B>,
    /// Biased variance.
    pub variance: FloatTensor<B>,
    /// Added to the variance.
    pub epsilon: f32,
    /// Where mean and variance come from, which the gradient depends on.
    pub statistics: Statistics,
}

/// The operations of a network, on a backend that implements [`Kernels`] and on differentiation over it.
#[backend_extension(Flex, Autodiff)]
pub trait NetworkOps: Backend {
    /// See [`Kernels::convolution`].
    fn network_convolution(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// With a bias.
    fn network_convolution_biased(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// With two inputs.
    fn network_convolution_joined(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// With two inputs and a bias.
    fn network_convolution_joined_biased(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// See [`Kernels::strided_convolution`].
    fn network_strided_convolution(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// With a bias.
    fn network_strided_convolution_biased(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// See [`Kernels::depthwise_convolution`].
    fn network_depthwise_convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self>;

    /// With a bias.
    fn network_depthwise_convolution_biased(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self>;

    /// See [`Kernels::upsample_convolution`].
    fn network_upsample_convolution(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// With a bias.
    fn network_upsample_convolution_biased(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// See [`Kernels::up_convolution`].
    fn network_up_convolution(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// With a bias.
    fn network_up_convolution_biased(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// See [`Kernels::channel_statistics`]; not differentiated.
    fn network_statistics(input: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// See [`Kernels::normalize_relu`].
    fn network_norm_relu(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f32,
        statistics: Statistics,
    ) -> FloatTensor<Self>;

    /// See [`Kernels::pixel_loss`].
    fn network_pixel_loss(logits: FloatTensor<Self>, loss: Arc<dyn PixelLoss>) -> FloatTensor<Self>;

    /// See [`Kernels::addition`].
    fn network_addition(first: FloatTensor<Self>, second: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`Kernels::max_pool_2x2`]. `is_skip` promises that another operation, deeper in the graph, reads the input too, so
    /// that the input already has that operation's gradient when this one's is added to it. Leaves of the graph are exempt:
    /// burn accumulates their gradients.
    fn network_max_pool(input: FloatTensor<Self>, is_skip: bool) -> FloatTensor<Self>;
}

/// See [`super::convolve`]; with one or two inputs.
pub(super) fn convolve(
    first: Tensor<4>,
    second: Option<Tensor<4>>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
) -> Tensor<4> {
    let (first, second) = (first.into_dispatch(), second.map(Tensor::into_dispatch));
    let (weight, bias) = (weight.into_dispatch(), bias.map(Tensor::into_dispatch));
    Tensor::from_dispatch(match (second, bias) {
        (None, None) => <Dispatch as NetworkOps>::network_convolution(first, weight),
        (None, Some(bias)) => <Dispatch as NetworkOps>::network_convolution_biased(first, weight, bias),
        (Some(second), None) => <Dispatch as NetworkOps>::network_convolution_joined(first, second, weight),
        (Some(second), Some(bias)) => {
            <Dispatch as NetworkOps>::network_convolution_joined_biased(first, second, weight, bias)
        }
    })
}

/// See [`super::convolve`]; with stride 2.
pub(super) fn convolve_strided(input: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.map(Tensor::into_dispatch));
    Tensor::from_dispatch(match bias {
        None => <Dispatch as NetworkOps>::network_strided_convolution(input, weight),
        Some(bias) => <Dispatch as NetworkOps>::network_strided_convolution_biased(input, weight, bias),
    })
}

/// See [`super::convolve_depthwise`].
pub(super) fn convolve_depthwise(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
) -> Tensor<4> {
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.map(Tensor::into_dispatch));
    Tensor::from_dispatch(match bias {
        None => <Dispatch as NetworkOps>::network_depthwise_convolution(input, weight, stride),
        Some(bias) => <Dispatch as NetworkOps>::network_depthwise_convolution_biased(input, weight, bias, stride),
    })
}

/// See [`super::upsample_and_convolve`].
pub(super) fn upsample_and_convolve(input: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.map(Tensor::into_dispatch));
    Tensor::from_dispatch(match bias {
        None => <Dispatch as NetworkOps>::network_upsample_convolution(input, weight),
        Some(bias) => <Dispatch as NetworkOps>::network_upsample_convolution_biased(input, weight, bias),
    })
}

/// See [`super::up_convolve`].
pub(super) fn up_convolve(input: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.map(Tensor::into_dispatch));
    Tensor::from_dispatch(match bias {
        None => <Dispatch as NetworkOps>::network_up_convolution(input, weight),
        Some(bias) => <Dispatch as NetworkOps>::network_up_convolution_biased(input, weight, bias),
    })
}

/// Mean and biased variance of each channel of `[N, C, H, W]`, constants of the graph.
pub(super) fn channel_statistics(input: Tensor<4>) -> [Tensor<1>; 2] {
    let (mean, variance) = <Dispatch as NetworkOps>::network_statistics(input.into_dispatch());
    [mean, variance].map(|values| Tensor::from_dispatch(values).detach())
}

/// See [`super::norm_relu`]: batch norm by these statistics, then ReLU.
pub(super) fn norm_relu(
    norm: &BatchNorm,
    input: Tensor<4>,
    [mean, variance]: [Tensor<1>; 2],
    statistics: Statistics,
) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as NetworkOps>::network_norm_relu(
        input.into_dispatch(),
        norm.gamma.val().into_dispatch(),
        norm.beta.val().into_dispatch(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        norm.epsilon as f32,
        statistics,
    ))
}

/// See [`super::add`].
pub(super) fn add(first: Tensor<4>, second: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as NetworkOps>::network_addition(first.into_dispatch(), second.into_dispatch()))
}

/// See [`super::max_pool`].
pub(super) fn max_pool(input: Tensor<4>, is_skip: bool) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as NetworkOps>::network_max_pool(input.into_dispatch(), is_skip))
}

/// See [`super::pixel_loss`].
pub(super) fn pixel_loss(logits: Tensor<4>, loss: Arc<dyn PixelLoss>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as NetworkOps>::network_pixel_loss(logits.into_dispatch(), loss))
}

/// Adam on a backend that implements [`Kernels`].
#[backend_extension(Flex)]
pub trait OptimizerOps: Backend {
    /// Weights, first and second moments after a step; see [`unet_kernels::adam`].
    fn network_adam(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        moment_1: FloatTensor<Self>,
        moment_2: FloatTensor<Self>,
        factors: Factors,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Weights, first and second moments after a step of Adam.
pub(super) fn adam<const D: usize>(
    weights: Tensor<D>,
    gradient: Tensor<D>,
    [moment_1, moment_2]: [Tensor<D>; 2],
    factors: Factors,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let (weights, moment_1, moment_2) = <Dispatch as OptimizerOps>::network_adam(
        weights.into_dispatch(),
        gradient.into_dispatch(),
        moment_1.into_dispatch(),
        moment_2.into_dispatch(),
        factors,
    );
    (Tensor::from_dispatch(weights), [moment_1, moment_2].map(Tensor::from_dispatch))
}
