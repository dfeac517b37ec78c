//! A trained [`Network`] as a [`Graph`], each batch norm folded into the convolution before it.

use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;

use super::graph::{self, Graph, OUTPUT_NAME, Operator, TensorId};
use crate::model::Network;
use crate::model::layers::{Convolution, ConvolutionKind, Layer};
use crate::model::network::Parameters;

/// Scale and shift of each channel that a batch norm applies at inference: `y = scale x + shift`.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

pub(super) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("a float tensor converts to f32")
}

/// From `y = gamma (x - mean) / sqrt(variance + epsilon) + beta` (Ioffe and Szegedy 2015, algorithm 2), in f64.
fn affine(norm: &BatchNorm) -> Affine {
    let (gamma, beta) = (values(norm.gamma.val()), values(norm.beta.val()));
    let (mean, variance) = (values(norm.running_mean.value_sync()), values(norm.running_var.value_sync()));
    let scale: Vec<f64> =
        gamma.iter().zip(&variance).map(|(&g, &v)| f64::from(g) / (f64::from(v) + norm.epsilon).sqrt()).collect();
    let shift = beta.iter().zip(&mean).zip(&scale).map(|((&b, &m), s)| f64::from(b) - f64::from(m) * s).collect();
    Affine { scale, shift }
}

/// The convolution with the batch norm behind it folded in, followed by ReLU; without a batch norm, the convolution alone.
/// `repeats` output channels of the convolution share one channel of the norm: 4 before a depth-to-space, whose order puts
/// channel `k C + c` to channel `c`.
fn folded(parameters: &Parameters, repeats: usize) -> graph::Convolution {
    let mut convolution = plain(&parameters.conv);
    let Some(norm) = &parameters.norm else { return convolution };
    let affine = affine(norm);
    let channels = convolution.channels_out / repeats;
    let a_channel = convolution.weight.len() / convolution.channels_out;
    for (out, weights) in convolution.weight.chunks_exact_mut(a_channel).enumerate() {
        let (scale, shift) = (affine.scale[out % channels], affine.shift[out % channels]);
        weights.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
        convolution.bias[out] = (f64::from(convolution.bias[out]) * scale + shift) as f32;
    }
    convolution.relu = true;
    convolution
}

/// The convolution alone, without ReLU.
fn plain(conv: &Conv2d) -> graph::Convolution {
    let [channels_out, channels_in, height, width] = conv.weight.dims();
    graph::Convolution {
        weight: values(conv.weight.val()),
        bias: conv.bias.as_ref().map_or_else(|| vec![0.0; channels_out], |bias| values(bias.val())),
        channels_out,
        channels_in: channels_in * conv.groups,
        groups: conv.groups,
        kernel: [height, width],
        stride: conv.stride[0],
        pads: [height / 2, width / 2, height / 2, width / 2],
        relu: false,
    }
}

/// The network for images of `height` times `width` as a graph, with the running statistics of its batch norms.
pub fn graph_of(model: &Network, height: usize, width: usize) -> Graph {
    let layers = model.layers();
    let mut graph = Graph { input: [layers.image_channels(), height, width], nodes: vec![] };
    // The tensor of the graph that each activation is.
    let mut tensors: Vec<TensorId> = vec![0];
    for (index, (node, parameters)) in model.nodes().enumerate() {
        let is_last = index + 1 == layers.nodes().len();
        let name = if is_last { OUTPUT_NAME } else { &node.name };
        let mut inputs: Vec<TensorId> = node.inputs.iter().map(|&input| tensors[input]).collect();
        let output = match (node.layer, parameters) {
            (Layer::Convolution(Convolution { kind, .. }), Some(parameters)) => {
                if inputs.len() > 1 {
                    let block = name.rsplit_once('.').map_or(name, |(block, _)| block);
                    inputs = vec![graph.push(format!("{block}.concat"), Operator::Concat, inputs)];
                }
                let convolution = Operator::Conv(folded(parameters, kind.channels_per_output()));
                match kind {
                    ConvolutionKind::Pointwise
                    | ConvolutionKind::Same
                    | ConvolutionKind::Strided
                    | ConvolutionKind::Depthwise => graph.push(name, convolution, inputs),
                    ConvolutionKind::Upsampling => {
                        let large = graph.push(format!("{name}.nearest"), Operator::UpsampleNearest, inputs);
                        graph.push(name, convolution, vec![large])
                    }
                    ConvolutionKind::UpConvolution => {
                        // ReLU acts on each value alone, so it may come before the depth-to-space.
                        let small = graph.push(format!("{name}.conv"), convolution, inputs);
                        graph.push(name, Operator::DepthToSpace, vec![small])
                    }
                }
            }
            (Layer::Convolution(_), None) => unreachable!("a convolution has parameters"),
            (Layer::MaxPool, _) => graph.push(name, Operator::MaxPool, inputs),
            (Layer::Add, _) => graph.push(name, Operator::Add, inputs),
        };
        tensors.push(output);
    }
    graph
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::nn::BatchNormConfig;
    use burn::tensor::TensorData;

    use super::*;
    use crate::backend::test_device;
    use crate::model::{Blocks, Skips, Stem, UNetConfig, Upsampling};

    #[test]
    fn a_batch_norm_folds_as_by_hand() {
        let device = test_device();
        let mut norm = BatchNormConfig::new(1).with_epsilon(1e-9).init(&device);
        norm.gamma = Param::from_data(TensorData::from([6.0f32]), &device);
        norm.beta = Param::from_data(TensorData::from([1.0f32]), &device);
        norm.running_mean = burn::module::RunningState::new(Tensor::from_data([2.0f32], &device));
        norm.running_var = burn::module::RunningState::new(Tensor::from_data([9.0f32], &device));
        let affine = affine(&norm);
        // 6 (x - 2) / 3 + 1 = 2 x - 3
        assert!((affine.scale[0] - 2.0).abs() < 1e-6 && (affine.shift[0] + 3.0).abs() < 1e-6);
    }

    #[test]
    fn the_graph_of_every_form_fits_together_and_multiplies_as_the_list_says() {
        let forms = [
            (Upsampling::Nearest, Stem::Full),
            (Upsampling::UpConvolution, Stem::Full),
            (Upsampling::Nearest, Stem::Half),
            (Upsampling::UpConvolution, Stem::Quarter),
        ];
        let decoders = [(Skips::Concat, Blocks::Plain), (Skips::Add, Blocks::Plain), (Skips::Add, Blocks::Separable)];
        for ((upsampling, stem), (skips, blocks)) in forms.into_iter().flat_map(|form| decoders.map(|d| (form, d))) {
            let config = UNetConfig {
                base: 4,
                depth: 2,
                channels: 1,
                classes: 4,
                upsampling,
                skips,
                blocks,
                stem,
                ..UNetConfig::default()
            };
            for model in [config.init(3, &test_device()), config.init_plain(3, &test_device())] {
                let graph = graph_of(&model, 16, 48);
                assert_eq!(*graph.shapes().unwrap().last().unwrap(), [4, 16, 48]);
                assert_eq!(graph.multiplications().unwrap(), model.layers().multiply_accumulates(16, 48));
            }
        }
    }
}
