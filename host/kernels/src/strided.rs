//! The 3x3 convolution of stride 2, padded by 1, on images of even height and width, and its three gradients.
//!
//! The four parities of rows and columns of the input are images of the output's size. By parity, each of the nine taps
//! reads one of them, at the output pixel's own place or one before: row `2 i + k - 1` is row `i - 1` of the odd rows
//! (`k = 0`), row `i` of the even ones (`k = 1`) or row `i` of the odd ones (`k = 2`); columns alike. So the loops are those of
//! the convolution of stride 1, and no product is computed in vain.

use super::InstructionSet;
use super::convolve::{Output, Tap, convolve};
use super::packing::Weights;
use super::planes::{PHASES, Place, Planes, Size, phases};
use super::shared::written;
use super::weight_gradient::{THIN, TapRow, Window, weight_gradient as sum_products};

/// Shape of a strided convolution. Weights are `[outputs, inputs, 3, 3]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StridedConvolution {
    /// Number and size of the output images; the input's are twice as high and wide.
    pub size: Size,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// The instruction set to compute with.
    pub set: InstructionSet,
}

/// Padding of the images of a parity: only row and column -1 are read.
const BORDER: usize = 1;

/// The parity that row or column `k` of the kernel reads, and where, counted from the padding.
const fn seen(k: usize) -> (usize, usize) {
    match k {
        0 => (1, 0),
        1 => (0, 1),
        _ => (1, 1),
    }
}

/// What tap `t` of the nine reads: the index of its parity in [`PHASES`], and row and column there.
const fn tap(t: usize) -> Tap {
    let ((parity_y, y), (parity_x, x)) = (seen(t / 3), seen(t % 3));
    Tap { group: 2 * parity_y + parity_x, y, x }
}

impl StridedConvolution {
    fn weights<'a>(&self, weights: &'a [f32]) -> Weights<'a> {
        assert_eq!(weights.len(), self.outputs * self.inputs * 9);
        Weights { values: weights, outputs: self.outputs, inputs: self.inputs, taps: 9 }
    }

    /// `[N, 2 H, 2 W, inputs]` to `[N, H, W, outputs]`.
    pub fn forward(&self, input: &[f32], weights: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let table = self.set.table(self.outputs);
        let weights = self.weights(weights).pack(table, &[0, 1, 2, 3, 4, 5, 6, 7, 8], bias);
        let phases = phases(input, self.inputs, self.size);
        let groups: Vec<&[Planes]> = phases.iter().map(|phase| &phase[..]).collect();
        let place = Place::dense(self.outputs, self.size.height, self.size.width);
        let taps = (0..9).map(tap).collect();
        // SAFETY: every pixel and channel of the output is computed.
        unsafe {
            written(self.size.pixels() * self.outputs, |values| {
                convolve(table, self.size, BORDER, &groups, &[Output { values, place, taps, weights }]);
            })
        }
    }

    /// The gradient of the input: each parity by the taps that read it, turned by half a turn.
    pub fn input_gradient(&self, weights: &[f32], gradient: &[f32]) -> Vec<f32> {
        let table = self.set.table(self.inputs);
        let weights = self.weights(weights);
        let planes = [Planes::dense(gradient, self.outputs, self.size.height, self.size.width)];
        // SAFETY: the four parities together are every pixel of the input.
        unsafe {
            written(4 * self.size.pixels() * self.inputs, |values| {
                let outputs: Vec<Output> = PHASES
                    .into_iter()
                    .enumerate()
                    .map(|(phase, (py, px))| {
                        let read: Vec<usize> = (0..9).filter(|&t| tap(t).group == phase).collect();
                        // Output row i reads row i + y - BORDER, so that this row takes from row i - y + BORDER.
                        let turned = |Tap { y, x, .. }: Tap| Tap { group: 0, y: 2 * BORDER - y, x: 2 * BORDER - x };
                        Output {
                            values,
                            place: Place::phase(self.inputs, self.size.height, self.size.width, py, px),
                            taps: read.iter().map(|&t| turned(tap(t))).collect(),
                            weights: weights.pack_transposed(table, &read, 0..self.inputs),
                        }
                    })
                    .collect();
                convolve(table, self.size, BORDER, &[&planes], &outputs);
            })
        }
    }

    /// The gradient of the weights, in their order.
    pub fn weight_gradient(&self, input: &[f32], gradient: &[f32]) -> Vec<f32> {
        // Vectors run over the input's channels, unless these are so few that the gradient's serve.
        let table = self.set.table(if self.inputs <= THIN { self.outputs } else { self.inputs });
        let phases = phases(input, self.inputs, self.size);
        let inputs: Vec<&[Planes]> = phases.iter().map(|phase| &phase[..]).collect();
        let planes = [Planes::dense(gradient, self.outputs, self.size.height, self.size.width)];
        let rows = (0..9).map(tap).map(|Tap { group, y, x }| TapRow { group, y, x }).collect();
        let windows = [Window { rows, columns: 1 }];
        sum_products(table, self.size, BORDER, &inputs, &[&planes], &windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_read_the_rows_and_columns_around_every_second_pixel() {
        for t in 0..9 {
            let Tap { group, y, x } = tap(t);
            // Output pixel (5, 7) is centered on input pixel (10, 14).
            let row = 2 * (5 + y - BORDER) + PHASES[group].0;
            let column = 2 * (7 + x - BORDER) + PHASES[group].1;
            assert_eq!((row, column), (10 + t / 3 - 1, 14 + t % 3 - 1));
        }
    }
}
