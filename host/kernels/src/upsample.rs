//! Nearest-neighbour upsampling by 2 followed by a 3x3 convolution, as one operation on the small image.
//!
//! Several taps of a 3x3 window on the enlarged image read the same small pixel. Depending on the parity of its row and column,
//! an output pixel reads 2x2 small pixels, with sums of the nine weights: 4 products instead of 9, and no enlarged tensor. With parity `p` and tap `d` in `{0, 1}`, the small row is `i + p - 1 + d` and its weights are those of
//! the rows `{0}, {1, 2}` (`p = 0`) or `{0, 1}, {2}` (`p = 1`) of the kernel; columns alike.

use super::convolve::{Output, Tap, convolve};
use super::instruction_set::InstructionSet;
use super::packing::Weights;
use super::planes::{PHASES, Place, Planes, Size, phases};
use super::shared::written;
use super::weight_gradient::{Window, weight_gradient as sum_products};

/// Which of the two small rows a row of taps reads at a parity.
const fn seen(parity: usize, kernel_row: usize) -> usize {
    (kernel_row + parity).div_ceil(2) - parity
}

/// The shape of the operation's input and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpsampleConvolution {
    /// Number and size of the small images.
    pub size: Size,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// The instruction set to compute with.
    pub set: InstructionSet,
}

impl UpsampleConvolution {
    /// The weights of 4 phases with 2x2 taps, `[outputs, inputs, phase, tap]`.
    fn fold(&self, weights: &[f32]) -> Vec<f32> {
        assert_eq!(weights.len(), self.outputs * self.inputs * 9);
        let mut folded = vec![0f32; self.outputs * self.inputs * 16];
        for (weights, folded) in weights.chunks_exact(9).zip(folded.chunks_exact_mut(16)) {
            for (phase, (py, px)) in PHASES.into_iter().enumerate() {
                for (tap, weight) in weights.iter().enumerate() {
                    folded[4 * phase + 2 * seen(py, tap / 3) + seen(px, tap % 3)] += weight;
                }
            }
        }
        folded
    }

    fn phase(&self, py: usize, px: usize) -> Place {
        Place::phase(self.outputs, self.size.height, self.size.width, py, px)
    }

    /// `[N, H, W, inputs]` to `[N, 2 H, 2 W, outputs]`.
    pub fn forward(&self, input: &[f32], weights: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let table = self.set.table(self.outputs);
        let folded = self.fold(weights);
        let folded = Weights { values: &folded, outputs: self.outputs, inputs: self.inputs, taps: 16 };
        let planes = [Planes::dense(input, self.inputs, self.size.height, self.size.width)];
        // SAFETY: the four phases together cover the output.
        unsafe {
            written(4 * self.size.pixels() * self.outputs, |values| {
                let outputs: Vec<Output> = PHASES
                    .into_iter()
                    .enumerate()
                    .map(|(phase, (py, px))| Output {
                        values,
                        place: self.phase(py, px),
                        taps: (0..4).map(|t| Tap { group: 0, y: py + t / 2, x: px + t % 2 }).collect(),
                        weights: folded.pack(table, &[0, 1, 2, 3].map(|t| 4 * phase + t), bias),
                    })
                    .collect();
                convolve(table, self.size, 1, &[&planes], &outputs);
            })
        }
    }

    /// The gradient of the input: the sum over the phases of each gradient convolved with its taps rotated by 180 degrees.
    pub fn input_gradient(&self, weights: &[f32], gradient: &[f32]) -> Vec<f32> {
        let table = self.set.table(self.inputs);
        let folded = self.fold(weights);
        let folded = Weights { values: &folded, outputs: self.outputs, inputs: self.inputs, taps: 16 };
        let phases = phases(gradient, self.outputs, self.size);
        let order: Vec<usize> = (0..16).collect();
        // Tap (dy, dx) of a phase reads the small row i + py - 1 + dy, so row i contributes to row i - (py - 1 + dy).
        let taps = PHASES
            .into_iter()
            .enumerate()
            .flat_map(|(group, (py, px))| (0..4).map(move |t| Tap { group, y: 2 - py - t / 2, x: 2 - px - t % 2 }))
            .collect();
        let weights = folded.pack_transposed(table, &order, 0..self.inputs);
        let place = Place::dense(self.inputs, self.size.height, self.size.width);
        // SAFETY: every pixel and channel of the small image is computed.
        unsafe {
            written(self.size.pixels() * self.inputs, |values| {
                let output = Output { values, place, taps, weights };
                let groups: Vec<&[Planes]> = phases.iter().map(|phase| &phase[..]).collect();
                convolve(table, self.size, 1, &groups, &[output]);
            })
        }
    }

    /// The gradient of the 3x3 weights: for each tap the sum, over the phases, of the gradient of the weight it was folded into.
    pub fn weight_gradient(&self, input: &[f32], gradient: &[f32]) -> Vec<f32> {
        let table = self.set.table(self.inputs);
        let planes = [Planes::dense(input, self.inputs, self.size.height, self.size.width)];
        let phases = phases(gradient, self.outputs, self.size);
        let groups: Vec<&[Planes]> = phases.iter().map(|phase| &phase[..]).collect();
        let windows = PHASES.map(|(py, px)| Window::new([(py, px), (py + 1, px)], 2));
        let folded = sum_products(table, self.size, 1, &[&planes], &groups, &windows);
        let pairs = self.outputs * self.inputs;
        let mut out = vec![0f32; pairs * 9];
        for (pair, out) in out.chunks_exact_mut(9).enumerate() {
            for (tap, out) in out.iter_mut().enumerate() {
                for (phase, (py, px)) in PHASES.into_iter().enumerate() {
                    *out += folded[(phase * pairs + pair) * 4 + 2 * seen(py, tap / 3) + seen(px, tap % 3)];
                }
            }
        }
        out
    }
}
