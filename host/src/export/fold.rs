//! Walks a trained [`UNet`] and writes it down as a [`Graph`], each batch norm folded into the convolution before it.

use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;

use super::graph::{Convolution, Graph, OUTPUT_NAME, Operator, TensorId};
use crate::model::UNet;
use crate::model::blocks::{ConvBlock, UpBlock};

/// Scale and shift a channel that a batch norm applies at inference: `y = scale x + shift`.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
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

/// The convolution with the affine map behind it folded in. `repeats` output channels of the convolution share one
/// channel of the map: 4 before a depth-to-space, whose order puts channel `k C + c` to channel `c`.
fn fold(conv: &Conv2d, affine: &Affine, repeats: usize) -> Convolution {
    let mut folded = plain(conv);
    let mapped = folded.channels_out / repeats;
    let a_channel = folded.weight.len() / folded.channels_out;
    for (out, weights) in folded.weight.chunks_exact_mut(a_channel).enumerate() {
        let (scale, shift) = (affine.scale[out % mapped], affine.shift[out % mapped]);
        weights.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
        folded.bias[out] = (f64::from(folded.bias[out]) * scale + shift) as f32;
    }
    folded.relu = true;
    folded
}

/// The convolution as it stands, without ReLU.
fn plain(conv: &Conv2d) -> Convolution {
    let [channels_out, channels_in, height, width] = conv.weight.dims();
    Convolution {
        weight: values(conv.weight.val()),
        bias: conv.bias.as_ref().map_or_else(|| vec![0.0; channels_out], |bias| values(bias.val())),
        channels_out,
        channels_in,
        kernel: [height, width],
        pads: [height / 2, width / 2, height / 2, width / 2],
        relu: false,
    }
}

/// The network for images of `height` times `width` as a graph, with the running statistics of its batch norms.
pub fn graph_of(model: &UNet, height: usize, width: usize) -> Graph {
    let channels = model.encoder[0].first.conv.weight.dims()[1];
    let mut graph = Graph { input: [channels, height, width], nodes: vec![] };
    let block = |graph: &mut Graph, name: String, block: &ConvBlock, input: TensorId| {
        graph.push(name, Operator::Conv(fold(&block.conv, &affine(&block.norm), 1)), vec![input])
    };
    let (mut x, mut skips) = (0, vec![]);
    for (level, double) in model.encoder.iter().enumerate() {
        x = block(&mut graph, format!("encoder.{level}.first"), &double.first, x);
        x = block(&mut graph, format!("encoder.{level}.second"), &double.second, x);
        skips.push(x);
        x = graph.push(format!("encoder.{level}.pool"), Operator::MaxPool, vec![x]);
    }
    x = block(&mut graph, "bottleneck.first".to_owned(), &model.bottleneck.first, x);
    x = block(&mut graph, "bottleneck.second".to_owned(), &model.bottleneck.second, x);
    for (k, (up, double)) in model.up.iter().zip(&model.decoder).enumerate() {
        let level = model.encoder.len() - 1 - k;
        x = enlarge(&mut graph, level, up, x);
        x = graph.push(format!("decoder.{level}.concat"), Operator::Concat, vec![skips[level], x]);
        x = block(&mut graph, format!("decoder.{level}.first"), &double.first, x);
        x = block(&mut graph, format!("decoder.{level}.second"), &double.second, x);
    }
    graph.push(OUTPUT_NAME, Operator::Conv(plain(&model.head)), vec![x]);
    graph
}

fn enlarge(graph: &mut Graph, level: usize, up: &UpBlock, input: TensorId) -> TensorId {
    // An up-convolution has four channels for each of the norm's.
    let convolution = |repeats| match &up.norm {
        Some(norm) => fold(&up.conv, &affine(norm), repeats),
        None => plain(&up.conv),
    };
    if up.is_up_convolution() {
        // ReLU acts on each value alone, so it may stand before the depth-to-space.
        let conv = graph.push(format!("up.{level}.conv"), Operator::Conv(convolution(4)), vec![input]);
        graph.push(format!("up.{level}"), Operator::DepthToSpace, vec![conv])
    } else {
        let large = graph.push(format!("up.{level}.nearest"), Operator::UpsampleNearest, vec![input]);
        graph.push(format!("up.{level}"), Operator::Conv(convolution(1)), vec![large])
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::nn::BatchNormConfig;
    use burn::tensor::TensorData;

    use super::*;
    use crate::backend::test_device;
    use crate::model::{UNetConfig, Upsampling};

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
    fn the_graph_of_either_upsampling_fits_together() {
        for upsampling in [Upsampling::Nearest, Upsampling::UpConvolution] {
            let config = UNetConfig { base: 4, depth: 3, channels: 1, classes: 4, upsampling };
            for model in [config.init(3, &test_device()), config.init_plain(3, &test_device())] {
                assert_eq!(*graph_of(&model, 16, 24).shapes().unwrap().last().unwrap(), [4, 16, 24]);
            }
        }
    }
}
