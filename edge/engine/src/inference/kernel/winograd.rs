//! A 3x3 convolution by Winograd's F(2x4, 3x3): 24 multiplications for 2x4 outputs, where the plain sum has 72. Exact in integers.
//!
//! For neighbouring inputs `d` and weights `g` along one axis, the sums are `A^T ((G g) * (B^T d))` with an elementwise product
//! (A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). Along rows, F(4, 3) with the points 0, 1, -1,
//! 2, -2:
//!
//! ```text
//!       |  4  0 -5  0  1  0 |           |  6   0   0 |
//!       |  0 -4 -4  1  1  0 |           | -4  -4  -4 |          | 1  1  1  1  1  0 |
//! B^T = |  0  4 -4 -1  1  0 |    24 G = | -4   4  -4 |    A^T = | 0  1 -1  2 -2  0 |
//!       |  0 -2 -1  2  1  0 |           |  1   2   4 |          | 0  1  1  4  4  0 |
//!       |  0  2 -1 -2  1  0 |           |  1  -2   4 |          | 0  1 -1  8 -8  1 |
//!       |  0  4  0 -5  0  1 |           |  0   0  24 |
//! ```
//!
//! and along columns, F(2, 3) with the points 0, 1, -1:
//!
//! ```text
//!       | 1  0 -1  0 |         | 2  0  0 |
//! B^T = | 0  1  1  0 |   2 G = | 1  1  1 |   A^T = | 1  1  1  0 |
//!       | 0 -1  1  0 |         | 1 -1  1 |         | 0  1 -1 -1 |
//!       | 0  1  0 -1 |         | 0  0  2 |
//! ```
//!
//! The products are summed over channels before `A^T`. With `24 G` and `2 G` all numbers are integers, and the sums end at 48 times
//! their value, so that the division leaves no remainder. Inputs of eight bits and weights of nine (a zero point subtracted) make
//! factors of at most 4,080 and 18,360, within the 16 bits that are multiplied. Sums of 32 bits may wrap on the way; they end
//! at the right value if 48 times the result fits, which [`Winograd::new`] checks.
//!
//! This pays where instructions multiply 16 bits. Where they multiply bytes, factors of 16 bits would cost more than they save.

pub(crate) mod transforms;

use std::array::from_fn;
use std::ops::Range;

use super::convolution::{ConvShape, Convolution};
use super::grid::Grid;
use super::groups::{LINE, Line};
use super::instruction_set::InstructionSet;
use super::packed::{folded, output_range};
use super::strip::{Chunk, OutputRange};
use super::view::{InputView, OutputView};
use transforms::{CHANNELS, COLUMNS, InputRows, OutputTiles, POINTS, Products, ROWS, SCALE, TileKernel};

/// Rows and columns of taps.
const TAPS: usize = 3;

/// `24 G` along rows.
const ALONG_ROWS: [[i32; TAPS]; 6] = [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]];

/// `2 G` along columns.
const ALONG_COLUMNS: [[i32; TAPS]; 4] = [[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]];

/// Maximum bytes of transformed input at a time, unless a single pair of output rows needs more: most of an L2 cache.
const BYTES: usize = 224 << 10;

/// Tiles whose products are computed before they are combined: their sums stay in the L1 cache.
const STRIP: usize = 12;

/// Such a convolution, packed for an instruction set.
pub(super) struct Winograd {
    kernel: &'static TileKernel,
    /// Output channels in a vector.
    lanes: usize,
    chunks: Vec<WinogradChunk>,
    range: OutputRange,
    window: Window,
}

/// Output channels that are computed together.
struct WinogradChunk {
    first_channel: usize,
    blocks: usize,
    chunk: Chunk,
    /// Input channels that are multiplied.
    depth: usize,
    /// As [`Products::weights`].
    weights: Vec<Line>,
}

/// The transformed input of some pairs of output rows: `[pair][point][tile][channel]`, 16 bits each.
struct Window {
    /// Pixels of an output row.
    width: usize,
    /// Tiles of a pair of output rows.
    tiles: usize,
    /// Input channels, filled up to whole vectors.
    depth: usize,
    /// Numbers from a point to the next.
    point: usize,
    /// Pairs of output rows.
    pairs: usize,
}

impl Window {
    fn new(shape: &ConvShape, [height, width]: [usize; 2]) -> Window {
        let depth = shape.channels_in.next_multiple_of(CHANNELS);
        let tiles = width.div_ceil(COLUMNS);
        // An odd number of cache lines: what lies powers of two apart shares few lines of a cache.
        let halves = LINE / size_of::<i16>();
        let point = ((tiles * depth).div_ceil(halves) | 1) * halves;
        let mut window = Window { width, tiles, depth, point, pairs: 1 };
        window.pairs = (BYTES / (2 * window.pair())).clamp(1, height.div_ceil(ROWS));
        window
    }

    /// Numbers of a pair.
    fn pair(&self) -> usize {
        POINTS * self.point
    }

    /// Scratch space, in i32.
    fn scratch(&self) -> usize {
        self.pairs * self.pair() / 2 // the depth is even
    }
}

impl Winograd {
    /// `None` if numbers could overflow i32, or the convolution or the instruction set is not of this kind.
    pub(super) fn new(set: &'static InstructionSet, convolution: &Convolution, input: &Grid) -> Option<Winograd> {
        let kernel = set.winograd.as_ref()?;
        let shape = &convolution.shape;
        let is_plain = shape.kernel_size == [TAPS; 2] && shape.strides == [1, 1] && shape.dilations == [1, 1];
        let pays = shape.groups == 1 && shape.channels_in + shape.channels_out >= kernel.channels_min;
        let size = shape.output_size(input.height, input.width)?;
        if !is_plain || !pays || shape.upsample || size[1] < COLUMNS {
            return None;
        }
        let window = Window::new(shape, size);
        let per_chunk = set.lanes * kernel.blocks;
        let chunks = (0..shape.channels_out)
            .step_by(per_chunk)
            .map(|first| {
                WinogradChunk::new(kernel, set.lanes, convolution, first..shape.channels_out.min(first + per_chunk))
            })
            .collect::<Option<_>>()?;
        Some(Winograd { kernel, lanes: set.lanes, chunks, range: output_range(convolution), window })
    }

    /// Scratch space of a run, in i32.
    pub(super) fn scratch(&self) -> usize {
        self.window.scratch()
            + STRIP * POINTS * self.lanes * self.chunks.iter().map(|chunk| chunk.blocks).max().unwrap_or(0)
    }

    pub(super) fn bytes(&self) -> usize {
        let chunk = |packed: &WinogradChunk| {
            4 * (packed.chunk.bias.len() + packed.chunk.multipliers.len()) + size_of_val(packed.weights.as_slice())
        };
        self.chunks.iter().map(chunk).sum()
    }

    /// The caller has checked that the views fit the convolution and that `scratch` is large enough.
    pub(super) fn run(
        &self,
        shape: &ConvShape,
        input: &InputView<'_>,
        output: &mut OutputView<'_>,
        scratch: &mut [i32],
    ) {
        let (transformed, products) = scratch.split_at_mut(self.window.scratch());
        let transformed = &mut halves(transformed)[..self.window.pairs * self.window.pair()];
        let rows = output.rows();
        for start in rows.clone().step_by(self.window.pairs * ROWS) {
            let firsts = (start..rows.end).step_by(ROWS).take(self.window.pairs);
            for (first_row, to) in firsts.clone().zip(transformed.chunks_exact_mut(self.window.pair())) {
                self.transform(shape, input, first_row, to);
            }
            for chunk in &self.chunks {
                for (first_row, points) in firsts.clone().zip(transformed.chunks_exact(self.window.pair())) {
                    self.pair(chunk, points, output, first_row..rows.end.min(first_row + ROWS), products);
                }
            }
        }
    }

    /// Transforms the input of the pair of output rows that begins with `first_row`.
    #[allow(
        unsafe_code,
        reason = "calls a function of an instruction set, which `Kernel::instruction_set` found to be available"
    )]
    fn transform(&self, shape: &ConvShape, input: &InputView<'_>, first_row: usize, to: &mut [i16]) {
        let first_column = -(shape.pads[1] as isize);
        // What a last pair of one row would read below has no effect, and may not exist.
        let last = (input.grid.height + shape.pads[2]) as isize - 1;
        let rows = from_fn(|index| {
            let row = ((first_row + index) as isize - shape.pads[0] as isize).min(last);
            &input.bytes[input.grid.index(row, first_column) + input.first_channel..]
        });
        let mut rows = InputRows {
            rows,
            pixel_stride: input.grid.pixel_stride,
            channels: self.window.depth,
            width: self.window.width,
            point: self.window.point,
            to,
        };
        // SAFETY: `Kernel::instruction_set` returns only sets that this processor has.
        unsafe { (self.kernel.input)(&mut rows) };
    }

    /// Computes the channels of a chunk in one or two rows of the output from the transformed input.
    #[allow(
        unsafe_code,
        reason = "calls functions of an instruction set, which `Kernel::instruction_set` found to be available"
    )]
    fn pair(
        &self,
        chunk: &WinogradChunk,
        transformed: &[i16],
        output: &mut OutputView<'_>,
        rows: Range<usize>,
        products: &mut [i32],
    ) {
        let lanes = chunk.blocks * self.lanes;
        let first_byte = output.index(rows.start, 0) + chunk.first_channel;
        for first in (0..self.window.tiles).step_by(STRIP) {
            let count = STRIP.min(self.window.tiles - first);
            let mut all = Products {
                input: &transformed[first * self.window.depth..],
                point: self.window.point,
                channels: self.window.depth,
                depth: chunk.depth,
                weights: &chunk.weights,
                blocks: chunk.blocks,
                tiles: count,
                products,
            };
            // SAFETY: `Kernel::instruction_set` returns only sets that this processor has.
            unsafe { (self.kernel.products)(&mut all) };
            let mut tiles = OutputTiles {
                products,
                lanes,
                chunk: &chunk.chunk,
                range: self.range,
                width: self.window.width,
                tiles: first..first + count,
                output: &mut output.bytes[first_byte..],
                rows: rows.len(),
                row_stride: output.grid.row_stride(),
                pixel_stride: output.grid.pixel_stride,
            };
            // SAFETY: as above.
            unsafe { (self.kernel.output)(&mut tiles) };
        }
    }
}

impl WinogradChunk {
    fn new(
        kernel: &TileKernel,
        lanes: usize,
        convolution: &Convolution,
        channels: Range<usize>,
    ) -> Option<WinogradChunk> {
        let blocks = channels.len().div_ceil(lanes);
        let lanes = blocks * lanes;
        let (mut bias, mut multipliers) = (vec![0; lanes], vec![0.0; lanes]);
        for (lane, channel) in channels.clone().enumerate() {
            (bias[lane], multipliers[lane]) = folded(convolution, channel)?;
            let magnitude: i64 = convolution.channel_weights(channel).map(|weight| i64::from(weight.abs())).sum();
            if i64::from(SCALE) * 255 * magnitude > i64::from(i32::MAX) {
                return None;
            }
        }
        let depth = convolution.shape.channels_in.next_multiple_of(kernel.depth_multiple);
        let mut weights = vec![0; POINTS * depth * lanes];
        for (lane, channel) in channels.clone().enumerate() {
            for channel_in in 0..convolution.shape.channels_in {
                let points = transformed(|tap| convolution.weight(channel, channel_in, tap));
                let (group, index) = (channel_in / kernel.together, channel_in % kernel.together);
                for (point, weight) in points.into_iter().enumerate() {
                    let groups = point * (depth / kernel.together) + group;
                    weights[(groups * lanes + lane) * kernel.together + index] = weight as i16; // see the head of this file
                }
            }
        }
        Some(WinogradChunk {
            first_channel: channels.start,
            blocks,
            chunk: Chunk { channels: channels.len(), bias, multipliers },
            depth,
            weights: lines(&weights),
        })
    }
}

/// 48 times the weights of the points, from the nine weights by row and column.
fn transformed(weight: impl Fn([usize; 2]) -> i32) -> [i32; POINTS] {
    let product = |factors: &[i32; TAPS], values: [i32; TAPS]| {
        factors.iter().zip(values).map(|(factor, value)| factor * value).sum::<i32>()
    };
    let rows: [[i32; 6]; TAPS] = from_fn(|row| {
        let weights = from_fn(|column| weight([row, column]));
        ALONG_ROWS.each_ref().map(|factors| product(factors, weights))
    });
    from_fn(|point| {
        let (row, column) = (point / ALONG_ROWS.len(), point % ALONG_ROWS.len());
        product(&ALONG_COLUMNS[row], rows.map(|row| row[column]))
    })
}

/// The numbers in cache lines.
fn lines(halves: &[i16]) -> Vec<Line> {
    let lines = halves.chunks(LINE / size_of::<i16>()).map(|halves| {
        let mut line = Line([0; LINE]);
        for (bytes, half) in line.0.as_chunks_mut().0.iter_mut().zip(halves) {
            *bytes = half.to_ne_bytes().map(|byte| byte as i8);
        }
        line
    });
    lines.collect()
}

/// Numbers of 16 bits in the memory of i32.
#[allow(unsafe_code, reason = "another view of the same memory")]
fn halves(scratch: &mut [i32]) -> &mut [i16] {
    // SAFETY: each i32 is two i16 in memory, whose alignment is smaller, and all bits are valid in both.
    unsafe { std::slice::from_raw_parts_mut(scratch.as_mut_ptr().cast(), 2 * scratch.len()) }
}

#[cfg(test)]
mod tests {
    use std::ops::{Add, Sub};

    use super::*;
    use crate::inference::kernel::Kernel;
    use transforms::{of_column, of_column_products, of_row, of_row_products};

    fn double(value: i32) -> i32 {
        2 * value
    }

    fn of_input(d: [[i32; COLUMNS + 2]; ROWS + 2]) -> [i32; POINTS] {
        let columns: [_; COLUMNS + 2] = from_fn(|column| of_column!(d.map(|row| row[column]), i32::add, i32::sub));
        let rows: [_; ROWS + 2] = from_fn(|row| of_row!(columns.map(|column| column[row]), i32::add, i32::sub, double));
        from_fn(|point| rows.as_flattened()[point])
    }

    /// All divisions must be without remainder.
    fn of_products(m: [i32; POINTS]) -> [[i32; COLUMNS]; ROWS] {
        let (rows, _) = m.as_chunks::<{ COLUMNS + 2 }>();
        let columns: [_; COLUMNS + 2] = from_fn(|column| {
            let products: [i32; ROWS + 2] = from_fn(|row| rows[row][column]);
            of_column_products!(products, i32::add, i32::sub)
        });
        let rows: [_; ROWS] =
            from_fn(|row| of_row_products!(columns.map(|column| column[row]), i32::add, i32::sub, double));
        rows.map(|row| {
            row.map(|sum| {
                assert_eq!(sum % SCALE, 0);
                sum / SCALE
            })
        })
    }

    /// The largest factors: inputs of 0 and 255, weights of -255 and 255.
    fn numbers(seed: u64) -> ([[i32; 6]; 4], [[i32; TAPS]; TAPS]) {
        let bit = |index: usize| (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> index) & 1 == 1;
        let input = |row: usize, column: usize| if bit(row * 6 + column) { 255 } else { 0 };
        let weight = |row: usize, column: usize| if bit(24 + row * TAPS + column) { 255 } else { -255 };
        (from_fn(|row| from_fn(|column| input(row, column))), from_fn(|row| from_fn(|column| weight(row, column))))
    }

    #[test]
    fn sums_of_nine_products_come_from_three_products_each() {
        for seed in 0..4096_u64 {
            let (inputs, weights) = numbers(seed);
            let transformed_input = of_input(inputs);
            let transformed_weights = transformed(|[row, column]| weights[row][column]);
            for factor in transformed_weights.iter().chain(&transformed_input) {
                assert!(i16::try_from(*factor).is_ok(), "{factor}");
            }
            let products = from_fn(|point| transformed_weights[point] * transformed_input[point]);
            let sum = |row: usize, column: usize| -> i32 {
                let taps = (0..TAPS).flat_map(|down| (0..TAPS).map(move |right| (down, right)));
                taps.map(|(down, right)| inputs[row + down][column + right] * weights[down][right]).sum()
            };
            let expected: [[i32; COLUMNS]; ROWS] = from_fn(|row| from_fn(|column| sum(row, column)));
            assert_eq!(of_products(products), expected, "seed {seed}");
        }
    }

    #[test]
    fn results_that_could_overflow_are_left_to_the_plain_sum() {
        let Some(kernel) =
            Kernel::ALL.into_iter().find(|kernel| kernel.instruction_set().is_some_and(|set| set.winograd.is_some()))
        else {
            return;
        };
        // 48 * 255 * 9 * 127 * channels reaches 2^31 with 154 channels.
        for (channels_in, fits) in [(153, true), (154, false)] {
            let shape = ConvShape {
                kernel_size: [3, 3],
                pads: [1; 4],
                strides: [1, 1],
                dilations: [1, 1],
                channels_in,
                channels_out: 16,
                groups: 1,
                upsample: false,
            };
            let convolution = Convolution {
                shape,
                weights: vec![127; shape.weights()],
                weight_zero_points: vec![0],
                bias: vec![0; 16],
                multipliers: vec![1e-3; 16],
                x_zero_point: 0,
                y_zero_point: 0,
                clamp: [0, 255],
            };
            let input = Grid::new(4, 4, 1, channels_in).unwrap();
            let set = kernel.instruction_set().unwrap();
            assert_eq!(Winograd::new(set, &convolution, &input).is_some(), fits, "{channels_in} channels");
        }
    }
}
