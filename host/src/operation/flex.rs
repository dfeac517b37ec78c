//! The operations on burn's flex backend, with the project's compute kernels.

use std::sync::Arc;

use burn::backend::Flex;
use burn_flex::FlexTensor;

use super::backend::{Kernels, NetworkOps, NormTensors, OptimizerOps};
use super::channels_last::{ChannelsLast, Dense, dense_tensor, image_tensor};
use super::profile::timed;
use super::{Operators, PixelLoss, Statistics};
use unet_kernels::adam::{self, Factors};
use unet_kernels::convolution::{Convolution, Size};
use unet_kernels::depthwise::DepthwiseConvolution;
use unet_kernels::norm::{self, Norm};
use unet_kernels::pool;
use unet_kernels::strided::StridedConvolution;
use unet_kernels::up_convolution::UpConvolution;
use unet_kernels::upsample::UpsampleConvolution;

impl Kernels for Flex {
    fn convolution(inputs: &[FlexTensor], weight: &FlexTensor, bias: Option<&FlexTensor>) -> FlexTensor {
        timed("convolution", || {
            let inputs: Vec<ChannelsLast> = inputs.iter().map(ChannelsLast::new).collect();
            let (weight, bias) = (Dense::new(weight), bias.map(Dense::new));
            let [outputs, _, kernel, _] = weight.dims();
            let convolution = Convolution { size: inputs[0].size, outputs, kernel, set: Operators::instruction_set() };
            let tensors: Vec<_> = inputs.iter().map(|input| (input.values(), input.channels)).collect();
            let output = convolution.forward(&tensors, weight.values(), bias.as_ref().map(Dense::values));
            image_tensor(output, convolution.size, outputs)
        })
    }

    fn convolution_input_gradient(weight: &FlexTensor, gradient: &FlexTensor, channels: &[usize]) -> Vec<FlexTensor> {
        timed("convolution, gradient of the input", || {
            let (weight, gradient) = (Dense::new(weight), ChannelsLast::new(gradient));
            let [outputs, _, kernel, _] = weight.dims();
            let convolution = Convolution { size: gradient.size, outputs, kernel, set: Operators::instruction_set() };
            let gradients = convolution.input_gradient(weight.values(), gradient.values(), channels);
            let tensors = gradients.into_iter().zip(channels);
            tensors.map(|(values, &channels)| image_tensor(values, gradient.size, channels)).collect()
        })
    }

    fn convolution_weight_gradient(inputs: &[FlexTensor], gradient: &FlexTensor, kernel: usize) -> FlexTensor {
        timed("convolution, gradient of the weights", || {
            let inputs: Vec<ChannelsLast> = inputs.iter().map(ChannelsLast::new).collect();
            let gradient = ChannelsLast::new(gradient);
            let outputs = gradient.channels;
            let convolution = Convolution { size: gradient.size, outputs, kernel, set: Operators::instruction_set() };
            let tensors: Vec<_> = inputs.iter().map(|input| (input.values(), input.channels)).collect();
            let channels = inputs.iter().map(|input| input.channels).sum();
            dense_tensor(convolution.weight_gradient(&tensors, gradient.values()), &[outputs, channels, kernel, kernel])
        })
    }

    fn strided_convolution(input: &FlexTensor, weight: &FlexTensor, bias: Option<&FlexTensor>) -> FlexTensor {
        timed("strided convolution", || {
            let (input, weight, bias) = (ChannelsLast::new(input), Dense::new(weight), bias.map(Dense::new));
            let operation = strided(&weight, halved(input.size));
            let output = operation.forward(input.values(), weight.values(), bias.as_ref().map(Dense::values));
            image_tensor(output, operation.size, operation.outputs)
        })
    }

    fn strided_convolution_input_gradient(weight: &FlexTensor, gradient: &FlexTensor) -> FlexTensor {
        timed("strided convolution, gradient of the input", || {
            let (weight, gradient) = (Dense::new(weight), ChannelsLast::new(gradient));
            let operation = strided(&weight, gradient.size);
            let values = operation.input_gradient(weight.values(), gradient.values());
            image_tensor(values, doubled(gradient.size), operation.inputs)
        })
    }

    fn strided_convolution_weight_gradient(input: &FlexTensor, gradient: &FlexTensor) -> FlexTensor {
        timed("strided convolution, gradient of the weights", || {
            let (input, gradient) = (ChannelsLast::new(input), ChannelsLast::new(gradient));
            let (inputs, outputs) = (input.channels, gradient.channels);
            let operation =
                StridedConvolution { size: gradient.size, inputs, outputs, set: Operators::instruction_set() };
            dense_tensor(operation.weight_gradient(input.values(), gradient.values()), &[outputs, inputs, 3, 3])
        })
    }

    fn depthwise_convolution(
        input: &FlexTensor,
        weight: &FlexTensor,
        bias: Option<&FlexTensor>,
        stride: usize,
    ) -> FlexTensor {
        timed("depthwise convolution", || {
            let (input, weight, bias) = (ChannelsLast::new(input), Dense::new(weight), bias.map(Dense::new));
            let size = if stride == 2 { halved(input.size) } else { input.size };
            let operation = depthwise(size, input.channels, stride);
            let output = operation.forward(input.values(), weight.values(), bias.as_ref().map(Dense::values));
            image_tensor(output, size, input.channels)
        })
    }

    fn depthwise_convolution_input_gradient(weight: &FlexTensor, gradient: &FlexTensor, stride: usize) -> FlexTensor {
        timed("depthwise convolution, gradient of the input", || {
            let (weight, gradient) = (Dense::new(weight), ChannelsLast::new(gradient));
            let operation = depthwise(gradient.size, gradient.channels, stride);
            let values = operation.input_gradient(weight.values(), gradient.values());
            let size = if stride == 2 { doubled(gradient.size) } else { gradient.size };
            image_tensor(values, size, gradient.channels)
        })
    }

    fn depthwise_convolution_weight_gradient(input: &FlexTensor, gradient: &FlexTensor, stride: usize) -> FlexTensor {
        timed("depthwise convolution, gradient of the weights", || {
            let (input, gradient) = (ChannelsLast::new(input), ChannelsLast::new(gradient));
            let operation = depthwise(gradient.size, gradient.channels, stride);
            let values = operation.weight_gradient(input.values(), gradient.values());
            dense_tensor(values, &[gradient.channels, 1, 3, 3])
        })
    }

    fn bias_gradient(gradient: &FlexTensor) -> FlexTensor {
        timed("gradient of biases", || {
            let gradient = ChannelsLast::new(gradient);
            let sums = norm::channel_sums(Operators::instruction_set(), gradient.values(), gradient.channels);
            dense_tensor(sums, &[gradient.channels])
        })
    }

    fn upsample_convolution(input: &FlexTensor, weight: &FlexTensor, bias: Option<&FlexTensor>) -> FlexTensor {
        timed("upsampling with convolution", || {
            let (input, weight, bias) = (ChannelsLast::new(input), Dense::new(weight), bias.map(Dense::new));
            let operation = upsample(&weight, input.size);
            let output = operation.forward(input.values(), weight.values(), bias.as_ref().map(Dense::values));
            image_tensor(output, doubled(input.size), operation.outputs)
        })
    }

    fn upsample_convolution_input_gradient(weight: &FlexTensor, gradient: &FlexTensor) -> FlexTensor {
        timed("upsampling, gradient of the input", || {
            let (weight, gradient) = (Dense::new(weight), ChannelsLast::new(gradient));
            let operation = upsample(&weight, halved(gradient.size));
            let values = operation.input_gradient(weight.values(), gradient.values());
            image_tensor(values, operation.size, operation.inputs)
        })
    }

    fn upsample_convolution_weight_gradient(input: &FlexTensor, gradient: &FlexTensor) -> FlexTensor {
        timed("upsampling, gradient of the weights", || {
            let (input, gradient) = (ChannelsLast::new(input), ChannelsLast::new(gradient));
            let (inputs, outputs) = (input.channels, gradient.channels);
            let operation =
                UpsampleConvolution { size: input.size, inputs, outputs, set: Operators::instruction_set() };
            dense_tensor(operation.weight_gradient(input.values(), gradient.values()), &[outputs, inputs, 3, 3])
        })
    }

    fn up_convolution(input: &FlexTensor, weight: &FlexTensor, bias: Option<&FlexTensor>) -> FlexTensor {
        timed("up-convolution", || {
            let (input, weight, bias) = (ChannelsLast::new(input), Dense::new(weight), bias.map(Dense::new));
            let operation = up_convolution(&weight, input.size);
            let output = operation.forward(input.values(), weight.values(), bias.as_ref().map(Dense::values));
            image_tensor(output, doubled(input.size), operation.outputs)
        })
    }

    fn up_convolution_input_gradient(weight: &FlexTensor, gradient: &FlexTensor) -> FlexTensor {
        timed("up-convolution, gradient of the input", || {
            let (weight, gradient) = (Dense::new(weight), ChannelsLast::new(gradient));
            let operation = up_convolution(&weight, halved(gradient.size));
            let values = operation.input_gradient(weight.values(), gradient.values());
            image_tensor(values, operation.size, operation.inputs)
        })
    }

    fn up_convolution_weight_gradient(input: &FlexTensor, gradient: &FlexTensor) -> FlexTensor {
        timed("up-convolution, gradient of the weights", || {
            let (input, gradient) = (ChannelsLast::new(input), ChannelsLast::new(gradient));
            let (inputs, outputs) = (input.channels, gradient.channels);
            let operation = UpConvolution { size: input.size, inputs, outputs, set: Operators::instruction_set() };
            let values = operation.weight_gradient(input.values(), gradient.values());
            dense_tensor(values, &[4 * outputs, inputs, 1, 1])
        })
    }

    fn up_convolution_bias_gradient(gradient: &FlexTensor) -> FlexTensor {
        timed("gradient of biases", || {
            let gradient = ChannelsLast::new(gradient);
            let (size, outputs) = (halved(gradient.size), gradient.channels);
            let operation = UpConvolution { size, inputs: 0, outputs, set: Operators::instruction_set() };
            dense_tensor(operation.bias_gradient(gradient.values()), &[4 * outputs])
        })
    }

    fn channel_statistics(input: &FlexTensor) -> (FlexTensor, FlexTensor) {
        timed("batch statistics", || {
            let input = ChannelsLast::new(input);
            let found = norm::statistics(Operators::instruction_set(), input.values(), input.channels);
            (dense_tensor(found.mean, &[input.channels]), dense_tensor(found.variance, &[input.channels]))
        })
    }

    fn normalize_relu(input: &FlexTensor, norm: &NormTensors<Self>) -> FlexTensor {
        timed("batch norm with ReLU", || {
            let input = ChannelsLast::new(input);
            let output = with_norm(norm, |norm| norm.forward(Operators::instruction_set(), input.values()));
            image_tensor(output, input.size, input.channels)
        })
    }

    fn normalize_relu_gradient(input: &FlexTensor, norm: &NormTensors<Self>, gradient: FlexTensor) -> [FlexTensor; 3] {
        timed("batch norm with ReLU, gradient", || {
            let input = ChannelsLast::new(input);
            let mut found = (vec![], vec![]);
            let gradient = ChannelsLast::owning(gradient).change(|gradient| {
                let set = Operators::instruction_set();
                found = with_norm(norm, |values| match norm.statistics {
                    Statistics::OfInput => values.backward(set, input.values(), gradient),
                    Statistics::Constant => values.backward_frozen(set, input.values(), gradient),
                });
            });
            let channels = [input.channels];
            [gradient, dense_tensor(found.0, &channels), dense_tensor(found.1, &channels)]
        })
    }

    fn pixel_loss(logits: &FlexTensor, loss: &dyn PixelLoss, with_gradient: bool) -> (FlexTensor, Option<FlexTensor>) {
        timed("loss", || {
            let logits = ChannelsLast::new(logits);
            let mut gradient = with_gradient.then(|| vec![0f32; logits.values().len()]);
            let Size { images, height, width } = logits.size;
            let loss = loss.compute(logits.values(), [images, height, width], gradient.as_deref_mut());
            let gradient = gradient.map(|gradient| image_tensor(gradient, logits.size, logits.channels));
            (dense_tensor(vec![loss], &[1]), gradient)
        })
    }

    fn scaled(tensor: FlexTensor, scalar: &FlexTensor) -> FlexTensor {
        let scalar = Dense::new(scalar).values()[0];
        // Usually the loss itself is differentiated.
        if scalar == 1.0 {
            return tensor;
        }
        ChannelsLast::owning(tensor).change(|values| values.iter_mut().for_each(|value| *value *= scalar))
    }

    fn addition(first: FlexTensor, second: FlexTensor) -> FlexTensor {
        timed("addition", || {
            let first = ChannelsLast::new(&first);
            ChannelsLast::owning(second).change(|sum| unet_kernels::add::add_to(sum, first.values()))
        })
    }

    fn max_pool_2x2(input: &FlexTensor) -> FlexTensor {
        timed("max-pooling", || {
            let input = ChannelsLast::new(input);
            let output = pool::forward(Operators::instruction_set(), input.values(), input.size, input.channels);
            image_tensor(output, halved(input.size), input.channels)
        })
    }

    fn max_pool_2x2_gradient(input: &FlexTensor, gradient: &FlexTensor, sum: Option<FlexTensor>) -> FlexTensor {
        timed("max-pooling, gradient", || {
            let (input, gradient) = (ChannelsLast::new(input), ChannelsLast::new(gradient));
            let (size, channels) = (input.size, input.channels);
            let sum = sum.unwrap_or_else(|| image_tensor(vec![0.0; input.values().len()], size, channels));
            ChannelsLast::owning(sum).change(|sum| {
                let set = Operators::instruction_set();
                pool::add_gradient(set, input.values(), gradient.values(), size, channels, sum);
            })
        })
    }
}

fn halved(size: Size) -> Size {
    Size { images: size.images, height: size.height / 2, width: size.width / 2 }
}

fn doubled(size: Size) -> Size {
    Size { images: size.images, height: 2 * size.height, width: 2 * size.width }
}

fn up_convolution(weight: &Dense, size: Size) -> UpConvolution {
    let [channels, inputs, ..] = weight.dims();
    UpConvolution { size, inputs, outputs: channels / 4, set: Operators::instruction_set() }
}

fn strided(weight: &Dense, size: Size) -> StridedConvolution {
    let [outputs, inputs, ..] = weight.dims();
    StridedConvolution { size, inputs, outputs, set: Operators::instruction_set() }
}

fn depthwise(size: Size, channels: usize, stride: usize) -> DepthwiseConvolution {
    DepthwiseConvolution { size, channels, stride, set: Operators::instruction_set() }
}

fn upsample(weight: &Dense, size: Size) -> UpsampleConvolution {
    let [outputs, inputs, ..] = weight.dims();
    UpsampleConvolution { size, inputs, outputs, set: Operators::instruction_set() }
}

/// Calls `compute` with the values of the norm's tensors.
fn with_norm<T>(norm: &NormTensors<Flex>, compute: impl FnOnce(&Norm) -> T) -> T {
    let [gamma, beta, mean, variance] = [&norm.gamma, &norm.beta, &norm.mean, &norm.variance].map(Dense::new);
    compute(&Norm {
        gamma: gamma.values(),
        beta: beta.values(),
        mean: mean.values(),
        variance: variance.values(),
        epsilon: norm.epsilon,
    })
}

impl NetworkOps for Flex {
    fn network_convolution(input: FlexTensor, weight: FlexTensor) -> FlexTensor {
        Self::convolution(&[input], &weight, None)
    }

    fn network_convolution_biased(input: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        Self::convolution(&[input], &weight, Some(&bias))
    }

    fn network_convolution_joined(first: FlexTensor, second: FlexTensor, weight: FlexTensor) -> FlexTensor {
        Self::convolution(&[first, second], &weight, None)
    }

    fn network_convolution_joined_biased(
        first: FlexTensor,
        second: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
    ) -> FlexTensor {
        Self::convolution(&[first, second], &weight, Some(&bias))
    }

    fn network_strided_convolution(input: FlexTensor, weight: FlexTensor) -> FlexTensor {
        Self::strided_convolution(&input, &weight, None)
    }

    fn network_strided_convolution_biased(input: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        Self::strided_convolution(&input, &weight, Some(&bias))
    }

    fn network_depthwise_convolution(input: FlexTensor, weight: FlexTensor, stride: usize) -> FlexTensor {
        Self::depthwise_convolution(&input, &weight, None, stride)
    }

    fn network_depthwise_convolution_biased(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        stride: usize,
    ) -> FlexTensor {
        Self::depthwise_convolution(&input, &weight, Some(&bias), stride)
    }

    fn network_upsample_convolution(input: FlexTensor, weight: FlexTensor) -> FlexTensor {
        Self::upsample_convolution(&input, &weight, None)
    }

    fn network_upsample_convolution_biased(input: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        Self::upsample_convolution(&input, &weight, Some(&bias))
    }

    fn network_up_convolution(input: FlexTensor, weight: FlexTensor) -> FlexTensor {
        Self::up_convolution(&input, &weight, None)
    }

    fn network_up_convolution_biased(input: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        Self::up_convolution(&input, &weight, Some(&bias))
    }

    fn network_statistics(input: FlexTensor) -> (FlexTensor, FlexTensor) {
        Self::channel_statistics(&input)
    }

    fn network_norm_relu(
        input: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        epsilon: f32,
        statistics: Statistics,
    ) -> FlexTensor {
        Self::normalize_relu(&input, &NormTensors { gamma, beta, mean, variance, epsilon, statistics })
    }

    fn network_pixel_loss(logits: FlexTensor, loss: Arc<dyn PixelLoss>) -> FlexTensor {
        Self::pixel_loss(&logits, &*loss, false).0
    }

    fn network_addition(first: FlexTensor, second: FlexTensor) -> FlexTensor {
        Self::addition(first, second)
    }

    fn network_max_pool(input: FlexTensor, _is_skip: bool) -> FlexTensor {
        Self::max_pool_2x2(&input)
    }
}

impl OptimizerOps for Flex {
    fn network_adam(
        weights: FlexTensor,
        gradient: FlexTensor,
        moment_1: FlexTensor,
        moment_2: FlexTensor,
        factors: Factors,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        timed("Adam", || {
            let gradient = Dense::new(&gradient);
            // Changed in place, or copied first if they are shared.
            let [mut weights, mut moment_1, mut moment_2] = [weights, moment_1, moment_2].map(Dense::from_start);
            adam::step(
                Operators::instruction_set(),
                &factors,
                weights.storage_mut(),
                gradient.values(),
                moment_1.storage_mut(),
                moment_2.storage_mut(),
            );
            (weights, moment_1, moment_2)
        })
    }
}
