//! Evaluates a [`Graph`] in f64: the judge of what burn and tract compute in f32.
//!
//! Shares no code with either: the multiplications are `ndarray`'s, everything around them is here.

use rayon::prelude::*;
use tract_onnx::prelude::tract_ndarray::{Array2, ArrayView2, Axis, concatenate};

use super::graph::{Convolution, Graph, GraphError, Operator};

/// Values of the windows that are multiplied at once, which bounds their memory.
const WINDOW_VALUES: usize = 1 << 20;

/// A tensor `[channels, height, width]`, row-major.
struct Values {
    shape: [usize; 3],
    data: Vec<f64>,
}

/// The graph's output for an image `[C, H, W]`, row-major.
///
/// # Errors
/// If the shapes of the graph or of the image are inconsistent.
pub fn logits(graph: &Graph, image: &[f32]) -> Result<Vec<f64>, GraphError> {
    let shapes = graph.shapes()?;
    let expected = shapes[0].iter().product::<usize>();
    if image.len() != expected {
        let problem = format!("expected {expected} values, found {}", image.len());
        return Err(GraphError { node: graph.tensor_name(0).to_owned(), problem });
    }
    let mut last_reader = vec![graph.nodes.len(); shapes.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|&input| last_reader[input] = index);
    }
    let image = Values { shape: shapes[0], data: image.iter().map(|&v| f64::from(v)).collect() };
    let mut tensors = vec![Some(image)];
    for (index, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<&Values> = node.inputs.iter().filter_map(|&input| tensors[input].as_ref()).collect();
        let data = match &node.operator {
            Operator::Conv(conv) => convolve(conv, inputs[0], shapes[index + 1]),
            Operator::MaxPool => moved(shapes[index + 1], |c, y, x| {
                let at = |dy, dx| inputs[0].at(c, 2 * y + dy, 2 * x + dx);
                at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1))
            }),
            Operator::UpsampleNearest => moved(shapes[index + 1], |c, y, x| inputs[0].at(c, y / 2, x / 2)),
            Operator::DepthToSpace => {
                let channels = shapes[index + 1][0];
                moved(shapes[index + 1], |c, y, x| inputs[0].at((2 * (y % 2) + x % 2) * channels + c, y / 2, x / 2))
            }
            Operator::Add => inputs[0].data.iter().zip(&inputs[1].data).map(|(a, b)| a + b).collect(),
            Operator::Concat => inputs.iter().flat_map(|input| &input.data).copied().collect(),
        };
        for &input in &node.inputs {
            if last_reader[input] == index {
                tensors[input] = None;
            }
        }
        tensors.push(Some(Values { shape: shapes[index + 1], data }));
    }
    Ok(tensors.pop().flatten().map_or_else(Vec::new, |output| output.data))
}

impl Values {
    fn at(&self, channel: usize, y: usize, x: usize) -> f64 {
        let [_, height, width] = self.shape;
        self.data[(channel * height + y) * width + x]
    }
}

fn moved([channels, height, width]: [usize; 3], value: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
    let mut data = Vec::with_capacity(channels * height * width);
    for channel in 0..channels {
        for y in 0..height {
            data.extend((0..width).map(|x| value(channel, y, x)));
        }
    }
    data
}

/// Weights times windows, some rows of the output at once.
fn convolve(conv: &Convolution, input: &Values, [channels, height, width]: [usize; 3]) -> Vec<f64> {
    let [_, group_inputs, kernel_height, kernel_width] = conv.weight_shape();
    let group_taps = group_inputs * kernel_height * kernel_width;
    let taps = conv.groups * group_taps;
    let weight: Vec<f64> = conv.weight.iter().map(|&w| f64::from(w)).collect();
    let weight = ArrayView2::from_shape((channels, group_taps), &weight).expect("the graph's shapes were checked");
    let rows = (WINDOW_VALUES / (taps * width).max(1)).clamp(1, height.max(1));
    let firsts: Vec<usize> = (0..height).step_by(rows).collect();
    let strips: Vec<Array2<f64>> = firsts
        .par_iter()
        .map(|&first| {
            let rows = rows.min(height - first);
            let windows = windows(conv, input, first, rows, width);
            let windows = ArrayView2::from_shape((taps, rows * width), &windows).expect("the windows fill their shape");
            let groups = weight.axis_chunks_iter(Axis(0), channels / conv.groups);
            let products: Vec<Array2<f64>> = groups
                .zip(windows.axis_chunks_iter(Axis(0), group_taps))
                .map(|(weight, windows)| weight.dot(&windows))
                .collect();
            let views: Vec<ArrayView2<f64>> = products.iter().map(|product| product.view()).collect();
            concatenate(Axis(0), &views).expect("the products of all groups have one width")
        })
        .collect();
    let mut data = vec![0.0; channels * height * width];
    for (&first, strip) in firsts.iter().zip(&strips) {
        for (channel, sums) in strip.outer_iter().enumerate() {
            let bias = f64::from(conv.bias[channel]);
            let start = (channel * height + first) * width;
            for (value, sum) in data[start..start + sums.len()].iter_mut().zip(&sums) {
                let linear = sum + bias;
                *value = if conv.relu && linear < 0.0 { 0.0 } else { linear };
            }
        }
    }
    data
}

/// What each weight meets in output rows `first..first + rows`: `[taps, rows * width]`.
fn windows(conv: &Convolution, input: &Values, first: usize, rows: usize, width: usize) -> Vec<f64> {
    let [_, in_height, in_width] = input.shape;
    let [kernel_height, kernel_width] = conv.kernel;
    let mut windows = Vec::with_capacity(conv.channels_in * kernel_height * kernel_width * rows * width);
    for channel in 0..conv.channels_in {
        for ky in 0..kernel_height {
            for kx in 0..kernel_width {
                for y in first..first + rows {
                    let row = (y * conv.stride + ky).checked_sub(conv.pads[0]).filter(|&row| row < in_height);
                    windows.extend((0..width).map(|x| {
                        let column =
                            (x * conv.stride + kx).checked_sub(conv.pads[1]).filter(|&column| column < in_width);
                        row.zip(column).map_or(0.0, |(row, column)| input.at(channel, row, column))
                    }));
                }
            }
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;
    use crate::export::float_onnx;
    use crate::export::fold::graph_of;
    use crate::export::fold_upsample::fold_upsampling;
    use crate::float_engine::FloatEngine;
    use crate::model::{Blocks, Skips, Stem, UNetConfig, Upsampling};
    use crate::rng::Rng;

    #[test]
    fn every_operator_computes_what_tract_computes() {
        let forms = [
            (Upsampling::Nearest, Skips::Concat, Blocks::Plain, Stem::Full),
            (Upsampling::UpConvolution, Skips::Add, Blocks::Separable, Stem::Half),
            (Upsampling::Nearest, Skips::Concat, Blocks::Plain, Stem::Quarter),
        ];
        let mut rng = Rng::new(9);
        for (upsampling, skips, blocks, stem) in forms {
            let config = UNetConfig {
                base: 3,
                depth: 2,
                channels: 2,
                classes: 3,
                upsampling,
                skips,
                blocks,
                stem,
                ..UNetConfig::default()
            };
            let graph = graph_of(&config.init(5, &test_device()), 16, 32);
            let image: Vec<f32> = (0..2 * 16 * 32).map(|_| rng.range_f32(-1.0, 1.0)).collect();
            for graph in [fold_upsampling(&graph).unwrap(), graph] {
                let bytes = float_onnx::write(&graph).unwrap();
                let by_tract = FloatEngine::new(&bytes, graph.input, &[]).unwrap().run(&image).unwrap().remove(0);
                let exact = logits(&graph, &image).unwrap();
                let largest = exact.iter().fold(0f64, |max, v| max.max(v.abs()));
                assert_eq!(exact.len(), by_tract.len());
                assert!(largest > 0.0);
                for (a, b) in exact.iter().zip(by_tract) {
                    assert!((a - f64::from(b)).abs() <= 1e-5 * largest, "{a} and {b}");
                }
            }
        }
        let graph = Graph { input: [1, 2, 2], nodes: vec![] };
        let error = logits(&graph, &[0.0; 3]).unwrap_err().to_string();
        assert_eq!(error, "node image: expected 4 values, found 3");
    }
}
