//! The 3x3 depthwise convolution, padded by 1, of stride 1 and 2, and its three gradients: each channel is convolved with
//! weights of its own.
//!
//! It takes nine products for each value that it writes, so that memory sets its pace: images are read and written in place, and
//! the rows that a window shares with the next are still in a core's cache. Vectors run over channels; where their number is no
//! multiple of a register, the last block overlaps the one before it and computes the same values again.

pub(super) mod micro;

use rayon::prelude::*;

use super::instruction_set::InstructionSet;
use super::norm;
use super::planes::{Place, Size};
use super::shared::{SharedMut, written};
use super::table::{LANES_MAX, Table};
use micro::{Products, Row, blocks};

/// Number of tasks, if there are as many rows: enough for a workstation's cores. The sums of the weights' gradient depend on it.
const TASKS: usize = 32;

/// Shape of a depthwise convolution. Weights are `[channels, 1, 3, 3]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthwiseConvolution {
    /// Number and size of the output images; the input's are `stride` times as high and wide.
    pub size: Size,
    /// Channels of input and output.
    pub channels: usize,
    /// 1 or 2, down and to the right.
    pub stride: usize,
    /// The instruction set to compute with.
    pub set: InstructionSet,
}

/// The rows of an image of this height that the taps of output row `y` read.
fn rows_under(stride: usize, y: usize, height: usize) -> [Option<usize>; 3] {
    [0, 1, 2].map(|i| (stride * y + i).checked_sub(1).filter(|row| *row < height))
}

/// Row `y` of an image, which is whole.
fn row_of(values: &[f32], place: Place, image: usize, y: usize) -> *const f32 {
    values[place.index(image, y, 0)..][..place.row].as_ptr()
}

/// Weights as the inner loops read them.
struct Packed {
    /// `[block][9][lanes]`, 0 past the last channel.
    weights: Vec<f32>,
    /// `[block][lanes]`.
    bias: Option<Vec<f32>>,
}

impl DepthwiseConvolution {
    fn table(&self) -> &'static Table {
        // Blocks of a narrow register overlap where a wide one would be partly idle.
        self.set.table(if self.channels < LANES_MAX { 1 } else { self.channels })
    }

    fn input_size(&self) -> Size {
        let Size { images, height, width } = self.size;
        Size { images, height: self.stride * height, width: self.stride * width }
    }

    fn check(&self, input: Option<&[f32]>, gradient: Option<&[f32]>) {
        assert!(self.stride == 1 || self.stride == 2, "a stride of 1 or 2");
        assert!(input.is_none_or(|input| input.len() == self.input_size().pixels() * self.channels));
        assert!(gradient.is_none_or(|gradient| gradient.len() == self.size.pixels() * self.channels));
    }

    /// The weights with tap `order(t)` in the place of tap `t`.
    fn pack(&self, lanes: usize, weights: &[f32], order: impl Fn(usize) -> usize, bias: Option<&[f32]>) -> Packed {
        assert!(weights.len() == 9 * self.channels && bias.is_none_or(|bias| bias.len() == self.channels));
        let count = blocks(self.channels, lanes).count();
        let mut packed = Packed { weights: vec![0.0; 9 * lanes * count], bias: bias.map(|_| vec![0.0; lanes * count]) };
        for (number, first) in blocks(self.channels, lanes).enumerate() {
            let channels = first..self.channels.min(first + lanes);
            for (lane, weights) in weights[9 * first..9 * channels.end].chunks_exact(9).enumerate() {
                for tap in 0..9 {
                    packed.weights[(9 * number + tap) * lanes + lane] = weights[order(tap)];
                }
            }
            if let (Some(packed), Some(bias)) = (&mut packed.bias, bias) {
                packed[lanes * number..][..channels.len()].copy_from_slice(&bias[channels]);
            }
        }
        packed
    }

    /// `output[c] = bias[c] + sum over taps t of input[c, t] * weights[c, t]`, outside the image 0.
    pub fn forward(&self, input: &[f32], weights: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        self.check(Some(input), None);
        let table = self.table();
        let packed = self.pack(table.lanes, weights, |tap| tap, bias);
        let from = self.input_size();
        let seen = |y: usize| rows_under(self.stride, y, from.height);
        self.rows(table.depthwise[self.stride - 1], (input, from), self.size, &packed, seen)
    }

    /// The gradient of the input.
    pub fn input_gradient(&self, weights: &[f32], gradient: &[f32]) -> Vec<f32> {
        self.check(None, Some(gradient));
        let (table, from) = (self.table(), self.size);
        if self.stride == 1 {
            // The convolution with the windows turned by half a turn.
            let packed = self.pack(table.lanes, weights, |tap| 8 - tap, None);
            let seen = |y: usize| rows_under(1, y, from.height);
            return self.rows(table.depthwise[0], (gradient, from), from, &packed, seen);
        }
        let packed = self.pack(table.lanes, weights, |tap| tap, None);
        // Output row i reads rows 2 i - 1, 2 i and 2 i + 1.
        let seen = |y: usize| match y % 2 {
            0 => [None, Some(y / 2), None],
            _ => [Some(y / 2 + 1).filter(|row| *row < from.height), None, Some(y / 2)],
        };
        self.rows(table.depthwise_pairs, (gradient, from), self.input_size(), &packed, seen)
    }

    /// Images of size `to`: row `y` by `kernel` from the rows `seen(y)` of images of size `from`.
    fn rows(
        &self,
        kernel: unsafe fn(&Row),
        (values, from): (&[f32], Size),
        to: Size,
        packed: &Packed,
        seen: impl Fn(usize) -> [Option<usize>; 3] + Sync,
    ) -> Vec<f32> {
        let channels = self.channels;
        let (source, target) =
            (Place::dense(channels, from.height, from.width), Place::dense(channels, to.height, to.width));
        let rows = to.images * to.height;
        let tasks = TASKS.min(rows);
        let task_rows = |output: SharedMut, task: usize| {
            for row in rows * task / tasks..rows * (task + 1) / tasks {
                let (image, y) = (row / to.height, row % to.height);
                let job = Row {
                    rows: seen(y).map(|y| y.map_or(std::ptr::null(), |y| row_of(values, source, image, y))),
                    weights: packed.weights.as_ptr(),
                    bias: packed.bias.as_ref().map_or(std::ptr::null(), |bias| bias.as_ptr()),
                    output: output.at(target.index(image, y, 0), target.row),
                    width: from.width.min(to.width),
                    channels,
                };
                // SAFETY: the table was chosen for this CPU. The rows are whole, and as many weights and biases as blocks. Each
                // task has rows of its own.
                unsafe { kernel(&job) };
            }
        };
        // SAFETY: every row is computed, and in it every pixel and channel.
        unsafe {
            written(to.pixels() * channels, |output| {
                if to.pixels() > 0 {
                    (0..tasks).into_par_iter().for_each(|task| task_rows(output, task));
                }
            })
        }
    }

    /// The gradient of the weights, in their order.
    pub fn weight_gradient(&self, input: &[f32], gradient: &[f32]) -> Vec<f32> {
        self.check(Some(input), Some(gradient));
        let (channels, stride, size, from) = (self.channels, self.stride, self.size, self.input_size());
        let mut joined = vec![0f32; 9 * channels];
        if size.pixels() > 0 && channels > 0 {
            let table = self.table();
            let (source, target) =
                (Place::dense(channels, from.height, from.width), Place::dense(channels, size.height, size.width));
            let rows = size.images * size.height;
            let parts = TASKS.min(rows);
            let sums = |part: usize| {
                let mut sums = vec![0f32; 9 * table.lanes * blocks(channels, table.lanes).count()];
                for row in rows * part / parts..rows * (part + 1) / parts {
                    let (image, y) = (row / size.height, row % size.height);
                    let seen = rows_under(stride, y, from.height);
                    let job = Products {
                        rows: seen.map(|y| y.map_or(std::ptr::null(), |y| row_of(input, source, image, y))),
                        gradient: row_of(gradient, target, image, y),
                        sums: sums.as_mut_ptr(),
                        width: size.width,
                        channels,
                    };
                    // SAFETY: the table was chosen for this CPU. The rows are whole, the middle one of the taps is always in
                    // the image, and there are as many sums as blocks.
                    unsafe { (table.depthwise_products[stride - 1])(&job) };
                }
                sums
            };
            let parts: Vec<Vec<f32>> = (0..parts).into_par_iter().map(sums).collect();
            let mut total = vec![0f64; parts[0].len()];
            for part in &parts {
                total.iter_mut().zip(part).for_each(|(total, sum)| *total += f64::from(*sum));
            }
            for (block, first) in total.chunks_exact(9 * table.lanes).zip(blocks(channels, table.lanes)) {
                let channels = first..channels.min(first + table.lanes);
                for (lane, joined) in joined[9 * first..9 * channels.end].chunks_exact_mut(9).enumerate() {
                    for (tap, joined) in joined.iter_mut().enumerate() {
                        *joined = block[tap * table.lanes + lane] as f32;
                    }
                }
            }
        }
        joined
    }

    /// The gradient of the bias: the sum over all pixels.
    pub fn bias_gradient(&self, gradient: &[f32]) -> Vec<f32> {
        norm::channel_sums(self.set, gradient, self.channels)
    }
}
