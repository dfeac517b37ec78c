//! The transforms of Winograd's F(2x4, 3x3), written once for all instruction sets. The formulas are in `winograd.rs`.

use std::ops::Range;

use crate::inference::kernel::groups::Line;
use crate::inference::kernel::strip::{Chunk, OutputRange};

/// Rows of a tile's outputs.
pub(crate) const ROWS: usize = 2;

/// Columns of a tile's outputs.
pub(crate) const COLUMNS: usize = 4;

/// Products of a tile: `[4][6]`.
pub(crate) const POINTS: usize = (ROWS + 2) * (COLUMNS + 2);

/// Input channels are filled up to a multiple of this.
pub(crate) const CHANNELS: usize = 16;

/// What the transformed weights are multiplied with, and sums divided by.
pub(crate) const SCALE: i32 = 48;

/// What an instruction set computes tiles with. Its unsafe functions may only be called if the processor has the instructions.
pub(crate) struct TileKernel {
    /// Maximum vectors of output channels that are computed together.
    pub(crate) blocks: usize,
    /// Minimum of input and output channels together: with fewer, the transforms cost more than the multiplications that they save.
    pub(crate) channels_min: usize,
    /// Neighbouring input channels whose weights lie side by side for each output channel.
    pub(crate) together: usize,
    /// Input channels are multiplied in multiples of this.
    pub(crate) depth_multiple: usize,
    /// Transforms the input of two rows.
    pub(crate) input: unsafe fn(rows: &mut InputRows<'_>),
    /// Multiplies the transformed input of tiles with weights, and sums over input channels.
    pub(crate) products: unsafe fn(products: &mut Products<'_>),
    /// Combines the products of tiles to outputs.
    pub(crate) output: unsafe fn(tiles: &mut OutputTiles<'_>),
}

/// The input of two rows of outputs, and where its transform goes.
pub(crate) struct InputRows<'a> {
    /// Each from the first tap of the row's first output on.
    pub(crate) rows: [&'a [u8]; ROWS + 2],
    /// Bytes from a pixel to the next.
    pub(crate) pixel_stride: usize,
    /// A multiple of [`CHANNELS`]. What is read beyond the input's channels has no effect: the weights there are 0.
    pub(crate) channels: usize,
    /// Pixels of an output row, at least [`COLUMNS`].
    pub(crate) width: usize,
    /// Numbers from a point to the next.
    pub(crate) point: usize,
    /// `[point][tile][channel]`.
    pub(crate) to: &'a mut [i16],
}

/// Some neighbouring tiles of transformed input, and where their products with the weights of a chunk go.
pub(crate) struct Products<'a> {
    /// `[point][tile][channel]`.
    pub(crate) input: &'a [i16],
    /// Numbers from a point to the next in `input`.
    pub(crate) point: usize,
    /// Numbers from a tile to the next in `input`.
    pub(crate) channels: usize,
    /// Input channels that are multiplied.
    pub(crate) depth: usize,
    /// `[point][depth / together][lane][together]`, 16 bits each.
    pub(crate) weights: &'a [Line],
    /// Vectors of output channels.
    pub(crate) blocks: usize,
    pub(crate) tiles: usize,
    /// `[tile][point][lane]`.
    pub(crate) products: &'a mut [i32],
}

/// The products of some tiles of two output rows, and the outputs that they are combined to.
pub(crate) struct OutputTiles<'a> {
    /// `[tile][point][lane]`, for [`SCALE`] times the weights.
    pub(crate) products: &'a [i32],
    /// Lanes of a tile's point: whole vectors.
    pub(crate) lanes: usize,
    pub(crate) chunk: &'a Chunk,
    pub(crate) range: OutputRange,
    /// Pixels of an output row, at least [`COLUMNS`].
    pub(crate) width: usize,
    /// Which of the tiles of the two rows.
    pub(crate) tiles: Range<usize>,
    /// From the first row's first pixel's first channel on.
    pub(crate) output: &'a mut [u8],
    /// Rows that are written: one or two.
    pub(crate) rows: usize,
    /// Bytes from a row to the next.
    pub(crate) row_stride: usize,
    /// Bytes from a pixel to the next.
    pub(crate) pixel_stride: usize,
}

/// The first column of a tile's outputs in rows of `width`. The last tile overlaps the one before it, since computing an output
/// twice is harmless.
#[inline(always)]
pub(crate) fn first_column(tile: usize, width: usize) -> usize {
    (tile * COLUMNS).min(width - COLUMNS)
}

impl InputRows<'_> {
    /// What `input` relies on for its pointers.
    ///
    /// # Panics
    ///
    /// If a slice is too short: a defect in `winograd.rs`.
    pub(crate) fn check(&self, channels: usize) {
        assert!(self.width >= COLUMNS && self.channels.is_multiple_of(channels));
        for row in self.rows {
            assert!((self.width + 1) * self.pixel_stride + self.channels <= row.len());
        }
        assert!(self.point >= self.width.div_ceil(COLUMNS) * self.channels && self.to.len() >= POINTS * self.point);
    }
}

impl Products<'_> {
    /// What `products` relies on for its pointers.
    ///
    /// # Panics
    ///
    /// If a slice is too short: a defect in `winograd.rs`.
    pub(crate) fn check(&self, lanes: usize, depth_multiple: usize) {
        assert!(self.tiles > 0 && self.depth <= self.channels && self.depth.is_multiple_of(depth_multiple));
        assert!((POINTS - 1) * self.point + self.tiles * self.channels <= self.input.len());
        assert!(size_of_val(self.weights) >= POINTS * self.depth * self.blocks * lanes * size_of::<i16>());
        assert!(self.products.len() >= self.tiles * POINTS * self.blocks * lanes);
    }
}

impl OutputTiles<'_> {
    /// What `output` relies on for its pointers.
    ///
    /// # Panics
    ///
    /// If a slice is too short: a defect in `winograd.rs`.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.width >= COLUMNS && self.tiles.end <= self.width.div_ceil(COLUMNS));
        assert!(self.lanes.is_multiple_of(lanes) && self.products.len() >= self.tiles.len() * POINTS * self.lanes);
        assert!(self.chunk.bias.len() == self.lanes && self.chunk.multipliers.len() == self.lanes);
        assert!(self.chunk.channels <= self.lanes && self.chunk.channels > self.lanes - lanes);
        assert!((1..=ROWS).contains(&self.rows));
        let last = (self.rows - 1) * self.row_stride + (self.width - 1) * self.pixel_stride;
        assert!(last + self.chunk.channels <= self.output.len());
    }
}

/// `B^T d` along columns, from four elements by operations on them.
macro_rules! of_column {
    ($d:expr, $add:path, $sub:path) => {{
        let d = $d;
        [$sub(d[0], d[2]), $add(d[1], d[2]), $sub(d[2], d[1]), $sub(d[1], d[3])]
    }};
}

/// `B^T d` along rows, from six elements by operations on them.
macro_rules! of_row {
    ($d:expr, $add:path, $sub:path, $double:path) => {{
        let d = $d;
        let (a, b) = ($sub(d[4], $double($double(d[2]))), $sub(d[3], $double($double(d[1]))));
        let (c, e) = ($sub(d[4], d[2]), $double($sub(d[3], d[1])));
        [
            $add($double($double($sub(d[0], d[2]))), c),
            $add(a, b),
            $sub(a, b),
            $add(c, e),
            $sub(c, e),
            $sub($sub(d[5], d[3]), $double(e)),
        ]
    }};
}

/// `A^T m` along columns, from four products.
macro_rules! of_column_products {
    ($m:expr, $add:path, $sub:path) => {{
        let m = $m;
        [$add($add(m[0], m[1]), m[2]), $sub($sub(m[1], m[2]), m[3])]
    }};
}

/// `A^T m` along rows, from six products.
macro_rules! of_row_products {
    ($m:expr, $add:path, $sub:path, $double:path) => {{
        let m = $m;
        let (sum, difference) = ($add(m[1], m[2]), $sub(m[1], m[2]));
        let (far_sum, far_difference) = ($add(m[3], m[4]), $double($sub(m[3], m[4])));
        [
            $add($add(m[0], sum), far_sum),
            $add(difference, far_difference),
            $add(sum, $double($double(far_sum))),
            $add($add(difference, $double($double(far_difference))), m[5]),
        ]
    }};
}

/// Three times this is 1 in 32 bits, so that a product with it divides what is divisible by 3.
pub(crate) const THIRD: i32 = 0xAAAA_AAAB_u32 as i32;

/// Defines `transform_input` and `transform_products` for an instruction set, which must inline all that they call: loops instead of
/// closures, which a compiler may leave apart from functions with target features.
///
/// `$halves` is what works on vectors of 16 bits, of `$channels` elements: zero, load of bytes, store, add, subtract, double; `$sums`
/// what works on vectors of `$lanes` i32: zero, load, add, subtract, double, divide by 16 and by 3, both without remainder.
/// `$requantize` is as in `combine!`.
macro_rules! transforms {
    (
        $features:literal,
        $channels:literal halves by (
            $no_halves:expr, $load_bytes:path, $store_halves:path, $add_halves:path, $sub_halves:path, $double_halves:path
        ),
        $lanes:ident sums by (
            $no_sums:expr, $load:path, $add:path, $sub:path, $double:path, $sixteenth:path, $third:path
        ),
        $requantize:ty
    ) => {
        /// A part of a `TileKernel`.
        #[target_feature(enable = $features)]
        fn transform_input(rows: &mut InputRows<'_>) {
            use $crate::inference::kernel::winograd::transforms::{COLUMNS, ROWS, first_column};

            rows.check($channels);
            let stride = rows.pixel_stride;
            for tile in 0..rows.width.div_ceil(COLUMNS) {
                for channel in (0..rows.channels).step_by($channels) {
                    let first = first_column(tile, rows.width) * stride + channel;
                    // SAFETY: `check` has found the pixels of all tiles, with the channels, in each row, and as many numbers
                    // for each point in `to`.
                    unsafe {
                        let mut columns = [[$no_halves; ROWS + 2]; COLUMNS + 2];
                        for (column, transformed) in columns.iter_mut().enumerate() {
                            let mut bytes = [$no_halves; ROWS + 2];
                            for (bytes, row) in bytes.iter_mut().zip(&rows.rows) {
                                *bytes = $load_bytes(row.as_ptr().add(first + column * stride));
                            }
                            *transformed = of_column!(bytes, $add_halves, $sub_halves);
                        }
                        let to = rows.to.as_mut_ptr().add(tile * rows.channels + channel);
                        for row in 0..ROWS + 2 {
                            let mut halves = [$no_halves; COLUMNS + 2];
                            for (halves, column) in halves.iter_mut().zip(&columns) {
                                *halves = column[row];
                            }
                            let points = of_row!(halves, $add_halves, $sub_halves, $double_halves);
                            for (column, halves) in points.into_iter().enumerate() {
                                $store_halves(to.add((row * (COLUMNS + 2) + column) * rows.point), halves);
                            }
                        }
                    }
                }
            }
        }

        /// A part of a `TileKernel`.
        #[target_feature(enable = $features)]
        fn transform_products(tiles: &mut OutputTiles<'_>) {
            use $crate::inference::kernel::winograd::transforms::{COLUMNS, POINTS, ROWS, first_column};

            tiles.check($lanes);
            let (lanes, stride) = (tiles.lanes, tiles.pixel_stride);
            for lane in (0..lanes).step_by($lanes) {
                let requantize = <$requantize>::new(&tiles.chunk.multipliers[lane..][..$lanes], tiles.range);
                let channels = (tiles.chunk.channels - lane).min($lanes);
                // SAFETY: `check` has found a bias for each lane, products for each tile, and the rows' pixels in the output.
                unsafe {
                    let bias = $load(tiles.chunk.bias.as_ptr().add(lane).cast());
                    for (index, tile) in tiles.tiles.clone().enumerate() {
                        let from = tiles.products.as_ptr().add(index * POINTS * lanes + lane);
                        let mut columns = [[$no_sums; ROWS]; COLUMNS + 2];
                        for (column, combined) in columns.iter_mut().enumerate() {
                            let mut products = [$no_sums; ROWS + 2];
                            for (row, products) in products.iter_mut().enumerate() {
                                *products = $load(from.add((row * (COLUMNS + 2) + column) * lanes).cast());
                            }
                            *combined = of_column_products!(products, $add, $sub);
                        }
                        let to = tiles.output.as_mut_ptr().add(first_column(tile, tiles.width) * stride + lane);
                        for row in 0..tiles.rows.min(ROWS) {
                            let mut products = [$no_sums; COLUMNS + 2];
                            for (products, column) in products.iter_mut().zip(&columns) {
                                *products = column[row];
                            }
                            let mut sums = of_row_products!(products, $add, $sub, $double);
                            for sum in &mut sums {
                                *sum = $add($third($sixteenth(*sum)), bias);
                            }
                            requantize.store::<COLUMNS>(to.add(row * tiles.row_stride), stride, channels, sums);
                        }
                    }
                }
            }
        }
    };
}

pub(crate) use {of_column, of_column_products, of_row, of_row_products, transforms};
