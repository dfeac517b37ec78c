//! Folds nearest-neighbor upsampling by 2 and the 3x3 convolution after it into four 2x2 convolutions on the small image.
//!
//! Two of the three rows of a window on the enlarged image are the same row of the small image, and two of the three columns
//! the same column; which two depends on the parity of the window's center. Weights that read the same small pixel are added,
//! and each of the four parities, called phases, gets its own convolution. Zero padding of the enlarged image corresponds to
//! zero padding of the small one. Each small pixel takes 16 multiply-accumulates instead of 36.

use super::graph::{Convolution, Graph, GraphError, Operator, TensorId};

/// The graph with every upsampling folded into the 3x3 convolution of padding 1 that is its only reader. Node `NAME.phase_yx`
/// computes phase `(y, x)`; a depth-to-space named as the convolution interleaves the four. ReLU stays with the convolutions.
///
/// # Errors
/// If the shapes of the graph are inconsistent.
pub fn fold_upsampling(graph: &Graph) -> Result<Graph, GraphError> {
    graph.shapes()?;
    let mut folded = Graph { input: graph.input, nodes: vec![] };
    // The tensor of the new graph for each of the old one; for an upsampled tensor that is folded, the small one.
    let mut place: Vec<TensorId> = vec![0];
    for (index, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<TensorId> = node.inputs.iter().map(|&input| place[input]).collect();
        place.push(match &node.operator {
            Operator::UpsampleNearest if folds(graph, index + 1) => inputs[0],
            Operator::Conv(conv) if folds(graph, node.inputs[0]) => {
                let phases = [[0, 0], [0, 1], [1, 0], [1, 1]].map(|[y, x]| {
                    let name = format!("{}.phase_{y}{x}", node.name);
                    folded.push(name, Operator::Conv(phase(conv, y, x)), inputs.clone())
                });
                let joined = folded.push(format!("{}.phases", node.name), Operator::Concat, phases.to_vec());
                folded.push(node.name.clone(), Operator::DepthToSpace, vec![joined])
            }
            operator => folded.push(node.name.clone(), operator.clone(), inputs),
        });
    }
    Ok(folded)
}

/// Whether the tensor is an upsampled one whose only reader is a convolution that it can be folded into.
fn folds(graph: &Graph, tensor: TensorId) -> bool {
    let is_enlarged = tensor > 0 && graph.nodes[tensor - 1].operator == Operator::UpsampleNearest;
    let mut readers = graph.nodes.iter().filter(|node| node.inputs.contains(&tensor));
    let Some(Operator::Conv(conv)) = readers.next().map(|node| &node.operator) else { return false };
    is_enlarged
        && conv.groups == 1
        && conv.kernel == [3; 2]
        && conv.stride == 1
        && conv.pads == [1; 4]
        && readers.next().is_none()
}

/// Which of a phase's two rows or columns is read by row or column `tap` of the 3x3 window: around an even center (phase 0)
/// the last two coincide, around an odd one the first two.
fn merged(phase: usize, tap: usize) -> usize {
    (tap + 1 - phase) / 2
}

/// The convolution that computes the enlarged pixels `(2 r + y, 2 c + x)`. Sums of weights are rounded once.
fn phase(conv: &Convolution, y: usize, x: usize) -> Convolution {
    let mut weight = Vec::with_capacity(4 * conv.channels_out * conv.channels_in);
    for window in conv.weight.chunks_exact(9) {
        let mut sums = [0f64; 4];
        for (tap, &value) in window.iter().enumerate() {
            sums[2 * merged(y, tap / 3) + merged(x, tap % 3)] += f64::from(value);
        }
        weight.extend(sums.map(|sum| sum as f32));
    }
    // The window around an even center starts one small pixel before its own, the one around an odd center ends one after.
    Convolution { weight, kernel: [2; 2], pads: [1 - y, 1 - x, y, x], ..conv.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;
    use crate::export::float_onnx;
    use crate::export::fold::graph_of;
    use crate::export::graph::OUTPUT_NAME;
    use crate::float_engine::FloatEngine;
    use crate::model::{Stem, UNetConfig, Upsampling};

    fn conv(weight: Vec<f32>, bias: Vec<f32>, relu: bool) -> Convolution {
        let (channels_out, channels_in) = (bias.len(), weight.len() / 9 / bias.len());
        Convolution {
            weight,
            bias,
            channels_out,
            channels_in,
            groups: 1,
            kernel: [3; 2],
            stride: 1,
            pads: [1; 4],
            relu,
        }
    }

    /// An image of `input`, enlarged, through the convolution.
    fn enlarged(input: [usize; 3], conv: Convolution) -> Graph {
        let mut graph = Graph { input, nodes: vec![] };
        let large = graph.push("large", Operator::UpsampleNearest, vec![0]);
        graph.push(OUTPUT_NAME, Operator::Conv(conv), vec![large]);
        graph
    }

    fn run(graph: &Graph, image: &[f32]) -> Vec<f32> {
        let bytes = float_onnx::write(graph).unwrap();
        FloatEngine::new(&bytes, graph.input, &[]).unwrap().run(image).unwrap().remove(0)
    }

    #[test]
    fn phases_have_the_sums_and_pads_computed_by_hand() {
        let ones = conv(vec![1.0; 9], vec![0.0], false);
        let counted = conv((1..=9).map(|v| v as f32).collect(), vec![0.5], true);
        // 1 2 3
        // 4 5 6
        // 7 8 9
        for (y, x, of_ones, of_counted, pads) in [
            (0, 0, [1., 2., 2., 4.], [1., 2. + 3., 4. + 7., 5. + 6. + 8. + 9.], [1, 1, 0, 0]),
            (0, 1, [2., 1., 4., 2.], [1. + 2., 3., 4. + 5. + 7. + 8., 6. + 9.], [1, 0, 0, 1]),
            (1, 0, [2., 4., 1., 2.], [1. + 4., 2. + 3. + 5. + 6., 7., 8. + 9.], [0, 1, 1, 0]),
            (1, 1, [4., 2., 2., 1.], [1. + 2. + 4. + 5., 3. + 6., 7. + 8., 9.], [0, 0, 1, 1]),
        ] {
            assert_eq!(phase(&ones, y, x).weight, of_ones);
            let found = phase(&counted, y, x);
            assert_eq!(found.weight, of_counted);
            assert_eq!((found.kernel, found.pads, found.bias, found.relu), ([2; 2], pads, vec![0.5], true));
        }
    }

    #[test]
    fn one_pixel_is_enlarged_as_by_hand() {
        let graph = enlarged([1, 1, 1], conv((1..=9).map(|v| v as f32).collect(), vec![0.5], false));
        // Around the upper left of the four equal pixels the window holds them at 5 6 8 9, and so on.
        let expected = [5. + 6. + 8. + 9., 4. + 5. + 7. + 8., 2. + 3. + 5. + 6., 1. + 2. + 4. + 5.];
        let expected = expected.map(|sum: f32| 2.0 * sum + 0.5);
        assert_eq!(run(&graph, &[2.0]), expected);
        let folded = fold_upsampling(&graph).unwrap();
        assert_eq!(run(&folded, &[2.0]), expected);
        assert_eq!((graph.multiplications().unwrap(), folded.multiplications().unwrap()), (36, 16));
    }

    #[test]
    fn folded_and_unfolded_are_equal_on_whole_numbers_of_any_size() {
        let mut state = 1u32;
        let mut whole = |count: usize| -> Vec<f32> {
            let draw = |_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as f32 - 128.0
            };
            (0..count).map(draw).collect()
        };
        for [channels_in, channels_out, height, width] in
            [[1, 1, 1, 1], [1, 2, 1, 5], [3, 2, 4, 1], [2, 3, 3, 7], [5, 4, 6, 6]]
        {
            for relu in [false, true] {
                let conv = conv(whole(9 * channels_in * channels_out), whole(channels_out), relu);
                let graph = enlarged([channels_in, height, width], conv);
                let image = whole(channels_in * height * width);
                // Every sum is a whole number below 2^24, so f32 holds it in any order of addition.
                let folded = fold_upsampling(&graph).unwrap();
                assert_eq!(run(&folded, &image), run(&graph, &image), "{height}x{width}");
            }
        }
    }

    #[test]
    fn a_network_keeps_its_shapes_and_names_and_reads_back() {
        let config = UNetConfig {
            base: 4,
            depth: 2,
            channels: 1,
            classes: 3,
            upsampling: Upsampling::Nearest,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let graph = graph_of(&config.init(7, &test_device()), 8, 12);
        let folded = fold_upsampling(&graph).unwrap();
        let (before, after) = (graph.shapes().unwrap(), folded.shapes().unwrap());
        for (index, node) in graph.nodes.iter().enumerate() {
            let found = folded.nodes.iter().position(|other| other.name == node.name);
            assert_eq!(found.is_none(), node.operator == Operator::UpsampleNearest, "{}", node.name);
            assert!(found.is_none_or(|found| after[found + 1] == before[index + 1]), "{}", node.name);
        }
        // 9 taps become 4: 16 to 8 channels at 4x6, 8 to 4 at 8x12.
        let saved = 5 * (16 * 8 * 24 + 8 * 4 * 96);
        assert_eq!(folded.multiplications().unwrap() + saved, graph.multiplications().unwrap());
        assert_eq!(float_onnx::read(&float_onnx::write(&folded).unwrap()).unwrap(), folded);
        assert_eq!(fold_upsampling(&folded).unwrap(), folded);
    }

    #[test]
    fn an_upsampling_that_cannot_be_folded_stays() {
        let base = enlarged([1, 2, 2], conv(vec![1.0; 9], vec![0.0], true));
        let mut shared = base.clone();
        shared.push("both", Operator::Concat, vec![1, 2]);
        let mut unpadded = base.clone();
        let mut flat = base.clone();
        let convolution = |graph: &mut Graph, change: fn(&mut Convolution)| {
            let Operator::Conv(conv) = &mut graph.nodes[1].operator else { panic!("a convolution") };
            change(conv);
        };
        convolution(&mut unpadded, |conv| conv.pads = [0; 4]);
        convolution(&mut flat, |conv| (conv.kernel, conv.pads, conv.weight) = ([1; 2], [0; 4], vec![1.0]));
        let alone = Graph { input: [1, 2, 2], nodes: base.nodes[..1].to_vec() };
        for graph in [shared, unpadded, flat, alone] {
            assert_eq!(fold_upsampling(&graph).unwrap(), graph);
        }
        let mut unsound = base;
        unsound.nodes[1].inputs = vec![9];
        let error = fold_upsampling(&unsound).unwrap_err();
        assert_eq!(error.node, unsound.nodes[1].name, "{error}");
    }
}
