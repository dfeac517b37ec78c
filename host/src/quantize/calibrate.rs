//! Runs calibration images through the f32 graph and chooses a quantization for every tensor.

use unet_shared::preprocess::{Normalize, Preprocess};
use unet_shared::quantization::Quantization;

use super::observe::Histogram;
use crate::export::float_onnx;
use crate::export::graph::{Graph, GraphError, TensorId};
use crate::float_engine::{FloatEngine, FloatEngineError};

/// A quantization for each tensor of the graph, the image first.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Indexed by [`TensorId`].
    pub tensors: Vec<Quantization>,
    /// Number of calibration images.
    pub images: usize,
}

/// Why a calibration failed.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The graph is inconsistent.
    #[error("the graph to quantize is inconsistent")]
    Graph(#[from] GraphError),
    /// tract could not run the graph.
    #[error("failed to run the calibration images")]
    Engine(#[from] FloatEngineError),
    /// There are no calibration images.
    #[error("images: expected at least 1 calibration image, found none")]
    NoImages,
}

/// For each tensor, the first tensor of its group, which shares one quantization. Pooling, upsampling, depth-to-space and
/// concatenation only move values, so their inputs and outputs form a group, and with them a skip and what it is joined with.
fn groups(graph: &Graph) -> Vec<TensorId> {
    let mut group: Vec<TensorId> = (0..=graph.nodes.len()).collect();
    fn root(group: &[TensorId], mut tensor: TensorId) -> TensorId {
        while group[tensor] != tensor {
            tensor = group[tensor];
        }
        tensor
    }
    for (index, node) in graph.nodes.iter().enumerate().filter(|(_, n)| n.operator.only_moves_values()) {
        for &input in &node.inputs {
            let (a, b) = (root(&group, input), root(&group, index + 1));
            group[a.max(b)] = a.min(b);
        }
    }
    (0..group.len()).map(|tensor| root(&group, tensor)).collect()
}

/// Quantization of the model's u8 input: the range of all channels' tables of 256 normalized values, by one scale.
/// Division by 255 is exact, with the scale 1/255.
fn input_quantization(preprocess: &Preprocess) -> Quantization {
    if preprocess.normalize == Normalize::Unit {
        return Quantization { scale: 1.0 / 255.0, zero_point: 0 };
    }
    let mut histogram = Histogram::default();
    for channel in 0..preprocess.channels.count() {
        histogram.add(&preprocess.float_table(channel));
    }
    histogram.full_range()
}

/// Chooses the quantizations. `images` yields preprocessed images, normalized to f32; `progress` is called after each.
///
/// Ranges are clipped if that reduces the squared error, except for the logits, whose order is the prediction.
///
/// # Errors
/// If the graph is inconsistent, tract fails, or there is no image.
pub fn calibrate(
    graph: &Graph,
    preprocess: &Preprocess,
    images: impl Iterator<Item = Vec<f32>>,
    mut progress: impl FnMut(),
) -> Result<Calibration, CalibrationError> {
    let bytes = float_onnx::write(graph)?;
    let observed: Vec<TensorId> = graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| !node.operator.only_moves_values())
        .map(|(index, _)| index + 1)
        .collect();
    let names: Vec<&str> = observed.iter().map(|&tensor| graph.tensor_name(tensor)).collect();
    let mut engine = FloatEngine::new(&bytes, graph.input, &names)?;
    let group = groups(graph);
    let mut histograms = vec![Histogram::default(); graph.nodes.len() + 1];
    let mut count = 0;
    for image in images {
        for (&tensor, values) in observed.iter().zip(engine.run(&image)?) {
            histograms[group[tensor]].add(&values);
        }
        count += 1;
        progress();
    }
    if count == 0 {
        return Err(CalibrationError::NoImages);
    }
    let logits = graph.nodes.len();
    let tensors = (0..=logits)
        .map(|tensor| match group[tensor] {
            0 => input_quantization(preprocess),
            g if g == group[logits] => histograms[g].full_range(),
            g => histograms[g].min_error(),
        })
        .collect();
    Ok(Calibration { tensors, images: count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;
    use crate::export::fold::graph_of;
    use crate::export::fold_upsample::fold_upsampling;
    use crate::export::graph::Operator;
    use crate::model::{Stem, UNetConfig, Upsampling};

    #[test]
    fn a_skip_and_what_it_is_joined_with_share_one_quantization() {
        for upsampling in [Upsampling::Nearest, Upsampling::UpConvolution] {
            let config = UNetConfig {
                base: 4,
                depth: 2,
                channels: 1,
                classes: 3,
                upsampling,
                stem: Stem::Full,
                ..UNetConfig::default()
            };
            let graph = graph_of(&config.init(5, &test_device()), 8, 8);
            let image: Vec<f32> = (0..64).map(|k| k as f32 / 63.0).collect();
            let preprocess = Preprocess { width: 8, height: 8, ..Preprocess::CLASSIC };
            let calibration = calibrate(&graph, &preprocess, std::iter::once(image), || ()).unwrap();
            for (index, node) in graph.nodes.iter().enumerate().filter(|(_, n)| n.operator.only_moves_values()) {
                for &input in &node.inputs {
                    assert_eq!(calibration.tensors[input], calibration.tensors[index + 1], "{}", node.name);
                }
            }
            // After a ReLU everything is positive, so zero is the lowest value.
            assert!(calibration.tensors[..graph.nodes.len()].iter().all(|q| q.zero_point == 0));
            assert_eq!(calibration.tensors[0].scale, 1.0 / 255.0);
        }
    }

    #[test]
    fn folded_phases_and_the_tensors_made_from_them_share_one_quantization() {
        let config = UNetConfig {
            base: 4,
            depth: 2,
            channels: 1,
            classes: 3,
            upsampling: Upsampling::Nearest,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let graph = graph_of(&config.init(5, &test_device()), 8, 8);
        let folded = fold_upsampling(&graph).unwrap();
        let image: Vec<f32> = (0..64).map(|k| k as f32 / 63.0).collect();
        let preprocess = Preprocess { width: 8, height: 8, ..Preprocess::CLASSIC };
        let chosen = |graph| calibrate(graph, &preprocess, std::iter::once(image.clone()), || ()).unwrap().tensors;
        let (before, after) = (chosen(&graph), chosen(&folded));
        let of = |name: &str| after[1 + folded.nodes.iter().position(|node| node.name == name).unwrap()];
        for level in ["up.0", "up.1"] {
            let parts =
                ["phase_00", "phase_01", "phase_10", "phase_11", "phases"].map(|part| format!("{level}.{part}"));
            assert!(parts.iter().all(|part| of(part) == of(level)), "{level}");
        }
        // Both saw the same values up to the rounding of sums in another order.
        for (index, node) in graph.nodes.iter().enumerate().filter(|(_, n)| n.operator != Operator::UpsampleNearest) {
            let (before, after) = (before[index + 1], of(&node.name));
            assert_eq!(before.zero_point, after.zero_point, "{}", node.name);
            assert!((before.scale / after.scale - 1.0).abs() < 1e-3, "{}: {before:?}, {after:?}", node.name);
        }
    }

    #[test]
    fn no_image_is_an_error() {
        let config = UNetConfig {
            base: 4,
            depth: 1,
            channels: 1,
            classes: 3,
            upsampling: Upsampling::Nearest,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let graph = graph_of(&config.init(5, &test_device()), 8, 8);
        let preprocess = Preprocess { width: 8, height: 8, ..Preprocess::CLASSIC };
        assert!(matches!(calibrate(&graph, &preprocess, std::iter::empty(), || ()), Err(CalibrationError::NoImages)));
    }
}
