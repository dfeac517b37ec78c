//! The 2x2 up-convolution of stride 2, as one operation: a 1x1 convolution to four times the channels whose outputs go to
//! the four pixels of a 2x2 grid (ONNX's depth-to-space in order DCR: channel `(2 y + x) C + c` to pixel `(y, x)`).

use super::convolve::{Output, Tap, convolve};
use super::instruction_set::InstructionSet;
use super::packing::Weights;
use super::planes::{PHASES, Place, Planes, Size, phases};
use super::shared::written;
use super::weight_gradient::{Window, weight_gradient as sum_products};

/// The shape of the operation's input and output. Weights are `[4 * outputs, inputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpConvolution {
    /// Number and size of the small images.
    pub size: Size,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output, a quarter of the convolution's.
    pub outputs: usize,
    /// The instruction set to compute with.
    pub set: InstructionSet,
}

impl UpConvolution {
    /// The weights of one phase.
    fn weights<'a>(&self, weights: &'a [f32], phase: usize) -> Weights<'a> {
        assert_eq!(weights.len(), 4 * self.outputs * self.inputs);
        let values = &weights[phase * self.outputs * self.inputs..][..self.outputs * self.inputs];
        Weights { values, outputs: self.outputs, inputs: self.inputs, taps: 1 }
    }

    fn phase(&self, (py, px): (usize, usize)) -> Place {
        Place::phase(self.outputs, self.size.height, self.size.width, py, px)
    }

    /// `[N, H, W, inputs]` to `[N, 2 H, 2 W, outputs]`; the bias is `[4 * outputs]`.
    pub fn forward(&self, input: &[f32], weights: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let table = self.set.table(self.outputs);
        let planes = [Planes::dense(input, self.inputs, self.size.height, self.size.width)];
        // SAFETY: the four phases together cover the output.
        unsafe {
            written(4 * self.size.pixels() * self.outputs, |values| {
                let outputs: Vec<Output> = PHASES
                    .into_iter()
                    .enumerate()
                    .map(|(number, phase)| Output {
                        values,
                        place: self.phase(phase),
                        taps: vec![Tap { group: 0, y: 0, x: 0 }],
                        weights: self.weights(weights, number).pack(
                            table,
                            &[0],
                            bias.map(|bias| &bias[number * self.outputs..][..self.outputs]),
                        ),
                    })
                    .collect();
                convolve(table, self.size, 0, &[&planes], &outputs);
            })
        }
    }

    /// The gradient of the input: the sum over the phases of each gradient times its weights.
    pub fn input_gradient(&self, weights: &[f32], gradient: &[f32]) -> Vec<f32> {
        let table = self.set.table(self.inputs);
        // As taps of one convolution: [outputs, inputs, phase].
        let mut joined = vec![0f32; weights.len()];
        for phase in 0..4 {
            for (pair, weight) in self.weights(weights, phase).values.iter().enumerate() {
                joined[4 * pair + phase] = *weight;
            }
        }
        let joined = Weights { values: &joined, outputs: self.outputs, inputs: self.inputs, taps: 4 };
        let phases = phases(gradient, self.outputs, self.size);
        let groups: Vec<&[Planes]> = phases.iter().map(|phase| &phase[..]).collect();
        let taps = (0..4).map(|group| Tap { group, y: 0, x: 0 }).collect();
        let weights = joined.pack_transposed(table, &[0, 1, 2, 3], 0..self.inputs);
        let place = Place::dense(self.inputs, self.size.height, self.size.width);
        // SAFETY: every pixel and channel of the small image is computed.
        unsafe {
            written(self.size.pixels() * self.inputs, |values| {
                convolve(table, self.size, 0, &groups, &[Output { values, place, taps, weights }]);
            })
        }
    }

    /// The gradient of the weights, in their order.
    pub fn weight_gradient(&self, input: &[f32], gradient: &[f32]) -> Vec<f32> {
        let table = self.set.table(self.inputs);
        let planes = [Planes::dense(input, self.inputs, self.size.height, self.size.width)];
        let phases = phases(gradient, self.outputs, self.size);
        let groups: Vec<&[Planes]> = phases.iter().map(|phase| &phase[..]).collect();
        let windows = [(); 4].map(|()| Window::new([(0, 0)], 1));
        sum_products(table, self.size, 0, &[&planes], &groups, &windows)
    }

    /// The gradient of the bias, `[4 * outputs]`: a sum over each phase.
    pub fn bias_gradient(&self, gradient: &[f32]) -> Vec<f32> {
        let mut sums = vec![0f64; 4 * self.outputs];
        let row = 2 * self.size.width * self.outputs;
        for (y, row) in gradient.chunks_exact(row.max(1)).enumerate() {
            for (x, pixel) in row.chunks_exact(self.outputs).enumerate() {
                let to = (2 * (y % 2) + x % 2) * self.outputs;
                sums[to..to + self.outputs].iter_mut().zip(pixel).for_each(|(sum, g)| *sum += f64::from(*g));
            }
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    }
}
