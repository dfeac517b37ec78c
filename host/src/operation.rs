//! The network's operations on burn tensors. On burn's flex backend they use the project's own compute kernels; other
//! backends, `--kernels stock` and cases that the compute kernels do not cover use burn's operators.
//!
//! Modules, parameters and records are burn's own either way.

#[cfg(feature = "flex")]
mod autodiff;
#[cfg(feature = "flex")]
mod backend;
#[cfg(feature = "flex")]
mod channels_last;
#[cfg(feature = "flex")]
mod flex;
mod operators;
pub mod profile;

pub use operators::Operators;

use std::fmt;
use std::sync::Arc;

use unet_kernels::adam::Factors;
#[cfg(feature = "flex")]
use unet_kernels::cross_entropy::Target;

use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::nn::pool::MaxPool2dConfig;
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::module::{batch_norm_train, interpolate};
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Tensor, TensorData};

/// Where the mean and variance of a batch norm come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// From its input, so that the gradient goes through them too.
    OfInput,
    /// They are constants.
    Constant,
}

/// Whether the project's compute kernels apply to this tensor: f32 on flex, with or without differentiation, unless burn's
/// own operators were chosen.
#[cfg(feature = "flex")]
fn has_kernels<const D: usize>(tensor: &Tensor<D>) -> bool {
    use burn::backend::DispatchDevice;
    use burn::tensor::DType;
    Operators::in_use() != Operators::Stock
        && tensor.dtype() == DType::F32
        && matches!(tensor.device().inner().as_dispatch(), DispatchDevice::Flex(_))
}

/// Whether the project's kernels compute this convolution with stride 1: 3x3 padded by 1, or 1x1.
#[cfg(feature = "flex")]
fn covered(conv: &Conv2d) -> bool {
    is_padded(conv) && conv.groups == 1 && conv.stride == [1, 1]
}

/// Whether they compute it with stride 2: 3x3 padded by 1, on images of even height and width.
#[cfg(feature = "flex")]
fn covered_strided(conv: &Conv2d, input: &Tensor<4>) -> bool {
    is_padded(conv) && conv.groups == 1 && conv.kernel_size == [3, 3] && conv.stride == [2, 2] && has_even_sides(input)
}

/// The stride with which they compute it as a depthwise convolution, if they do: 3x3 padded by 1, one filter for each channel;
/// stride 1, or 2 on images of even height and width.
#[cfg(feature = "flex")]
fn covered_depthwise(conv: &Conv2d, input: &Tensor<4>) -> Option<usize> {
    let channels = input.dims()[1];
    let is_depthwise = conv.groups == channels && conv.weight.dims() == [channels, 1, 3, 3];
    match conv.stride {
        _ if !(is_padded(conv) && is_depthwise) => None,
        [1, 1] => Some(1),
        [2, 2] if has_even_sides(input) => Some(2),
        _ => None,
    }
}

/// Whether a convolution is 3x3 padded by 1 or 1x1, and not dilated.
#[cfg(feature = "flex")]
fn is_padded(conv: &Conv2d) -> bool {
    use burn::nn::PaddingConfig2d;
    let border = match conv.kernel_size {
        [3, 3] => 1,
        [1, 1] => 0,
        _ => return false,
    };
    let padded = match conv.padding {
        PaddingConfig2d::Explicit(a, b, c, d) => [a, b, c, d] == [border; 4],
        PaddingConfig2d::Same => conv.stride == [1, 1],
        PaddingConfig2d::Valid => border == 0,
    };
    padded && conv.dilation == [1, 1]
}

#[cfg(feature = "flex")]
fn has_even_sides(images: &Tensor<4>) -> bool {
    images.dims()[2..].iter().all(|side| side % 2 == 0)
}

/// The convolution of `[N, C, H, W]` to `[N, outputs, H, W]`, or `[N, outputs, H / 2, W / 2]` with stride 2; the channels of a
/// second input follow those of the first.
pub fn convolve(conv: &Conv2d, first: Tensor<4>, second: Option<Tensor<4>>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if has_kernels(&first) && second.as_ref().is_none_or(has_kernels) {
        let parameters = || (conv.weight.val(), conv.bias.as_ref().map(|bias| bias.val()));
        if covered(conv) {
            let (weight, bias) = parameters();
            return backend::convolve(first, second, weight, bias);
        }
        if second.is_none() && covered_strided(conv, &first) {
            let (weight, bias) = parameters();
            return backend::convolve_strided(first, weight, bias);
        }
    }
    conv.forward(match second {
        None => first,
        Some(second) => Tensor::cat(vec![first, second], 1),
    })
}

/// The depthwise convolution of `[N, C, H, W]`, with weights `[C, 1, kernel, kernel]`; any other convolution is computed by burn.
pub fn convolve_depthwise(conv: &Conv2d, input: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if has_kernels(&input)
        && let Some(stride) = covered_depthwise(conv, &input)
    {
        let bias = conv.bias.as_ref().map(|bias| bias.val());
        return backend::convolve_depthwise(input, conv.weight.val(), bias, stride);
    }
    conv.forward(input)
}

/// Nearest-neighbor upsampling by 2, then the convolution: `[N, C, H, W]` to `[N, outputs, 2 H, 2 W]`.
pub fn upsample_and_convolve(conv: &Conv2d, input: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if has_kernels(&input) && covered(conv) && conv.kernel_size == [3, 3] {
        return backend::upsample_and_convolve(input, conv.weight.val(), conv.bias.as_ref().map(|bias| bias.val()));
    }
    let [_, _, height, width] = input.dims();
    let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * height, 2 * width]);
    conv.forward(interpolate(input, options))
}

/// The 2x2 up-convolution of stride 2, as a 1x1 convolution to four times the channels and [`depth_to_space`]:
/// `[N, C, H, W]` to `[N, outputs / 4, 2 H, 2 W]`.
pub fn up_convolve(conv: &Conv2d, input: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if has_kernels(&input) && covered(conv) && conv.kernel_size == [1, 1] {
        return backend::up_convolve(input, conv.weight.val(), conv.bias.as_ref().map(|bias| bias.val()));
    }
    depth_to_space(conv.forward(input))
}

/// `[N, 4 C, H, W]` to `[N, C, 2 H, 2 W]` in ONNX's order DCR: channel `(2 y + x) C + c` goes to place `(y, x)` of the
/// 2x2 grid of channel `c`.
pub fn depth_to_space(input: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    let out = channels / 4;
    input.reshape([batch, 2, 2, out, height, width]).permute([0, 3, 4, 1, 5, 2]).reshape([
        batch,
        out,
        2 * height,
        2 * width,
    ])
}

/// Batch norm, then ReLU. In training by the statistics of the batch, which also update the running ones; without
/// differentiation, and if the norm is frozen ([`BatchNorm::training`] is off), by the running statistics.
pub fn norm_relu(norm: &BatchNorm, input: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if has_kernels(&input) {
        let device = input.device();
        let running = [&norm.running_mean, &norm.running_var];
        if !(device.is_autodiff() && norm.training.is_enabled()) {
            let statistics = running.map(|running| running.value().to_device(&device));
            return backend::norm_relu(norm, input, statistics, Statistics::Constant);
        }
        let statistics = backend::channel_statistics(input.clone());
        for (running, found) in running.into_iter().zip(&statistics) {
            let kept = running.value_sync().to_device(&device).mul_scalar(1.0 - norm.momentum);
            running.update(kept.add(found.clone().mul_scalar(norm.momentum)).detach());
        }
        return backend::norm_relu(norm, input, statistics, Statistics::OfInput);
    }
    relu(norm.forward(input))
}

/// The same by the statistics of the input, which are returned too: mean and biased variance of each channel. Updates no running
/// statistics.
pub fn measured_norm_relu(norm: &BatchNorm, input: Tensor<4>) -> (Tensor<4>, [Tensor<1>; 2]) {
    #[cfg(feature = "flex")]
    if has_kernels(&input) {
        let statistics = backend::channel_statistics(input.clone());
        return (backend::norm_relu(norm, input, statistics.clone(), Statistics::OfInput), statistics);
    }
    let found = batch_norm_train(input, norm.gamma.val(), norm.beta.val(), norm.epsilon);
    (relu(found.output), [found.mean, found.variance])
}

/// The sum of two tensors of one shape.
pub fn add(first: Tensor<4>, second: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if has_kernels(&first) && has_kernels(&second) {
        return backend::add(first, second);
    }
    first.add(second)
}

/// 2x2 max-pooling of stride 2: `[N, C, H, W]` to `[N, C, H / 2, W / 2]`.
pub fn max_pool(input: Tensor<4>) -> Tensor<4> {
    pool(input, false)
}

/// The same for a skip, an input that a later operation reads too, where the loss depends on both. The gradients of the two
/// are added without a separate pass.
pub fn max_pool_of_skip(input: Tensor<4>) -> Tensor<4> {
    pool(input, true)
}

fn pool(input: Tensor<4>, is_skip: bool) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if has_kernels(&input) && has_even_sides(&input) {
        return backend::max_pool(input, is_skip);
    }
    let _ = is_skip;
    MaxPool2dConfig::new([2, 2]).init().forward(input)
}

/// A loss of the pixels of a batch, with its gradient.
pub trait PixelLoss: fmt::Debug + Send + Sync {
    /// The loss of logits `[pixels, classes]` of images of `size` (images, height, width). Sets `gradient`, if given and as long
    /// as the logits, to the gradient of the logits.
    fn compute(&self, logits: &[f32], size: [usize; 3], gradient: Option<&mut [f32]>) -> f32;
}

/// The loss of logits `[N, K, H, W]`, `[1]`, computed on the CPU.
pub fn pixel_loss(logits: Tensor<4>, loss: Arc<dyn PixelLoss>) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if has_kernels(&logits) {
        return backend::pixel_loss(logits, loss);
    }
    let [images, classes, height, width] = logits.dims();
    let values = pixel_values(logits.clone().detach());
    let mut gradient = vec![0f32; values.len()];
    let value = loss.compute(&values, [images, height, width], Some(&mut gradient));
    let gradient = TensorData::new(gradient, [images, height, width, classes]);
    let gradient = Tensor::<4>::from_data(gradient, &logits.device()).cast(logits.dtype()).permute([0, 3, 1, 2]);
    // Linear in the logits, with the gradient of the loss; moved to the value of the loss.
    let linear = (logits * gradient).sum();
    let offset = linear.clone().detach().neg().add_scalar(value);
    linear + offset
}

/// The value of [`pixel_loss`] alone.
pub fn pixel_loss_value(logits: Tensor<4>, loss: &dyn PixelLoss) -> f32 {
    let [images, _, height, width] = logits.dims();
    loss.compute(&pixel_values(logits), [images, height, width], None)
}

/// Logits `[N, K, H, W]` as values `[pixels, K]`.
fn pixel_values(logits: Tensor<4>) -> Vec<f32> {
    let values = logits.permute([0, 2, 3, 1]).into_data().convert::<f32>();
    values.try_into_vec().expect("logits convert to f32")
}

/// See [`cross_entropy`].
#[cfg(feature = "flex")]
#[derive(Debug)]
struct CrossEntropy {
    classes: Arc<[u8]>,
    weights: Arc<[f32]>,
    scale: f64,
}

#[cfg(feature = "flex")]
impl PixelLoss for CrossEntropy {
    fn compute(&self, logits: &[f32], _size: [usize; 3], gradient: Option<&mut [f32]>) -> f32 {
        let target = Target { classes: &self.classes, weights: &self.weights, scale: self.scale };
        unet_kernels::cross_entropy::cross_entropy(Operators::instruction_set(), logits, &target, gradient)
    }
}

/// The weighted sum over pixels of `-log softmax(logits)[class]` times `scale`, for logits `[N, K, H, W]`, class ids
/// `[N, H, W]` and one weight a class. Pixels with an id past the last class are ignored.
pub fn cross_entropy(logits: Tensor<4>, classes: &Arc<[u8]>, weights: &Arc<[f32]>, scale: f64) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if has_kernels(&logits) {
        let (classes, weights) = (Arc::clone(classes), Arc::clone(weights));
        return backend::pixel_loss(logits, Arc::new(CrossEntropy { classes, weights, scale }));
    }
    // The weight of each pixel's class at that class, nothing elsewhere.
    let [images, count, height, width] = logits.dims();
    let pixels = height * width;
    let mut dense = vec![0f32; images * count * pixels];
    for (index, &class) in classes.iter().enumerate().filter(|(_, class)| usize::from(**class) < count) {
        let (image, pixel) = (index / pixels, index % pixels);
        dense[(image * count + usize::from(class)) * pixels + pixel] = weights[usize::from(class)];
    }
    let dense = TensorData::new(dense, [images, count, height, width]);
    let dense = Tensor::<4>::from_data(dense, &logits.device()).cast(logits.dtype());
    (log_softmax(logits, 1) * dense).sum().mul_scalar(-scale)
}

/// Input of a step of Adam: weights, gradient, both moments.
pub type AdamTensors<const D: usize> = (Tensor<D>, Tensor<D>, [Tensor<D>; 2]);

/// A step of Adam on one parameter: the new weights and moments.
///
/// # Errors
/// Returns the tensors if the project's compute kernels do not apply to them.
pub fn adam<const D: usize>(
    (weights, gradient, moments): AdamTensors<D>,
    factors: Factors,
) -> Result<(Tensor<D>, [Tensor<D>; 2]), Box<AdamTensors<D>>> {
    #[cfg(feature = "flex")]
    if [&weights, &gradient, &moments[0], &moments[1]].into_iter().all(has_kernels) {
        return Ok(backend::adam(weights, gradient, moments, factors));
    }
    let _ = factors;
    Err(Box::new((weights, gradient, moments)))
}

#[cfg(all(test, feature = "flex"))]
mod tests;
