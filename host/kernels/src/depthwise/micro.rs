//! The innermost loops of the depthwise convolution, written once over [`Vector`] and compiled by the file of each instruction
//! set. They read and write images in place: no channel meets another, so that there is nothing to gain from a tile.

use crate::table::LANES_MAX;
use crate::vector::Vector;

/// A row of the output, or of the input's gradient. Pixels are counted in the row of less resolution.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// The row that each row of taps reads; null if it is outside the image.
    pub rows: [*const f32; 3],
    /// `[block][9][LANES]`.
    pub weights: *const f32,
    /// `[block][LANES]`, the initial sums; null for 0.
    pub bias: *const f32,
    /// The row to write.
    pub output: *mut f32,
    /// Pixels.
    pub width: usize,
    /// Channels of a pixel, in all rows.
    pub channels: usize,
}

/// A row of the output's gradient with the rows of the input that its taps read.
#[derive(Clone, Copy)]
pub(crate) struct Products {
    /// The row that each row of taps reads; null if it is outside the image. The middle one exists.
    pub rows: [*const f32; 3],
    /// The row of the gradient.
    pub gradient: *const f32,
    /// `[block][9][LANES]`, where the sums are added.
    pub sums: *mut f32,
    /// Pixels.
    pub width: usize,
    /// Channels of a pixel, in all rows.
    pub channels: usize,
}

/// The first channel of each block of `lanes`, or of the only one, of fewer channels. The last block overlaps the one before it
/// where channels are no multiple of `lanes`.
pub(crate) fn blocks(channels: usize, lanes: usize) -> impl Iterator<Item = usize> {
    (0..channels).step_by(lanes).map(move |first| first.min(channels.saturating_sub(lanes)))
}

impl Row {
    /// The same from channel `first` on, which block `number` begins with.
    ///
    /// # Safety
    /// The block exists.
    #[inline(always)]
    unsafe fn block<V: Vector>(&self, number: usize, first: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                rows: self.rows.map(|row| row.wrapping_add(if row.is_null() { 0 } else { first })),
                weights: self.weights.add(9 * V::LANES * number),
                bias: if self.bias.is_null() { self.bias } else { self.bias.add(V::LANES * number) },
                output: self.output.add(first),
                ..*self
            }
        }
    }
}

impl Products {
    /// The same from channel `first` on, which block `number` begins with. Rows that do not exist are the middle one.
    ///
    /// # Safety
    /// The block exists.
    #[inline(always)]
    unsafe fn block<V: Vector>(&self, number: usize, first: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                rows: self.rows.map(|row| if row.is_null() { self.rows[1].add(first) } else { row.add(first) }),
                gradient: self.gradient.add(first),
                sums: self.sums.add(9 * V::LANES * number),
                ..*self
            }
        }
    }
}

/// A register of a pixel's channels; zeros in lanes without one. `WHOLE` is false where there are fewer channels than lanes.
///
/// # Safety
/// As many values can be read.
#[inline(always)]
unsafe fn load<V: Vector, const WHOLE: bool>(from: *const f32, channels: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        if WHOLE {
            return V::load(from);
        }
        let mut values = [0f32; LANES_MAX];
        std::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), channels);
        V::load(values.as_ptr())
    }
}

/// A register to a pixel's channels.
///
/// # Safety
/// As many values can be written.
#[inline(always)]
unsafe fn store<V: Vector, const WHOLE: bool>(values: V, to: *mut f32, channels: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if WHOLE {
            return values.store(to);
        }
        let mut all = [0f32; LANES_MAX];
        values.store(all.as_mut_ptr());
        std::ptr::copy_nonoverlapping(all.as_ptr(), to, channels);
    }
}

/// Values from those that are read to those that are asked for: 4 KiB. Twice and half as many were slower.
const AHEAD: usize = 1024;

/// Asks for what `pixels` pixels from `x` on read of the `S` rows that the row before did not, [`AHEAD`] values further on: past
/// the end of a row, the begin of the next. The processor itself foresees little of three rows at a time.
#[inline(always)]
fn prefetch<V: Vector, const S: usize>(middle: *const f32, x: usize, pixels: usize, width: usize, channels: usize) {
    for row in 2 - S..2 {
        let row = middle.wrapping_add((row * S * width + S * x) * channels + AHEAD);
        for pixel in 0..S * pixels {
            V::prefetch(row.wrapping_add(pixel * channels));
        }
    }
}

/// The pixels of a row of the input under a row of taps, which moves `S` pixels at a time; 0 outside the image. Only a loop that
/// the compiler unrolls keeps in its registers what two windows share.
struct Window<V, const S: usize, const WHOLE: bool> {
    /// The last pixels of the window before, of which the next one begins with `3 - S`.
    kept: [V; 2],
    /// The next pixel to read.
    from: *const f32,
    channels: usize,
}

impl<V: Vector, const S: usize, const WHOLE: bool> Window<V, S, WHOLE> {
    /// Before the window of output pixel `x`.
    ///
    /// # Safety
    /// The pixels that the windows cover are in the row, or outside the image.
    #[inline(always)]
    unsafe fn new(row: *const f32, x: usize, channels: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let from = row.add(S * x * channels);
            let left = if x == 0 { V::zero() } else { load::<V, WHOLE>(from.sub(channels), channels) };
            match S {
                1 => {
                    Self { kept: [left, load::<V, WHOLE>(from, channels)], from: from.wrapping_add(channels), channels }
                }
                _ => Self { kept: [V::zero(), left], from, channels },
            }
        }
    }

    /// The next window; `at_end` says that it reaches over the right border, which those of stride 2 do not: the width is even.
    ///
    /// # Safety
    /// As for [`Window::new`].
    #[inline(always)]
    unsafe fn next(&mut self, at_end: bool) -> [V; 3] {
        // SAFETY: the caller's promise.
        unsafe {
            let pixel = |number: usize| load::<V, WHOLE>(self.from.add(number * self.channels), self.channels);
            let window = match S {
                1 => [self.kept[0], self.kept[1], if at_end { V::zero() } else { pixel(0) }],
                _ => [self.kept[1], pixel(0), pixel(1)],
            };
            self.from = self.from.wrapping_add(S * self.channels);
            self.kept = [window[1], window[2]];
            window
        }
    }
}

/// The weights of a row of taps.
///
/// # Safety
/// There are nine registers of them.
#[inline(always)]
unsafe fn weights<V: Vector>(from: *const f32, row: usize) -> [V; 3] {
    // SAFETY: the caller's promise.
    std::array::from_fn(|k| unsafe { V::load(from.add((3 * row + k) * V::LANES)) })
}

/// `output[x] = bias + sum over taps (i, k) of rows[i][S * x + k - 1] * weights[i, k]`, in the order of the taps. `P` pixels
/// are in flight.
///
/// # Safety
/// The CPU has the instruction set, and everything that [`Row`] points to is within its arrays.
#[inline(always)]
pub(crate) unsafe fn row<V: Vector, const S: usize, const P: usize>(job: &Row) {
    // SAFETY: the caller's promise.
    unsafe {
        if job.channels < V::LANES {
            row_by::<V, S, 1, false>(job);
        } else if job.width < P {
            row_by::<V, S, 1, true>(job);
        } else {
            row_by::<V, S, P, true>(job);
        }
    }
}

/// The same for rows of at least `P` pixels.
///
/// # Safety
/// As for [`row`].
#[inline(always)]
unsafe fn row_by<V: Vector, const S: usize, const P: usize, const WHOLE: bool>(job: &Row) {
    for x in (0..job.width).step_by(P) {
        for (number, first) in blocks(job.channels, V::LANES).enumerate() {
            // The last run overlaps the one before it and writes the same values again.
            // SAFETY: the caller's promise.
            unsafe { row_run::<V, S, P, WHOLE>(&job.block::<V>(number, first), x.min(job.width - P)) };
        }
    }
}

/// The pixels from `x` on.
///
/// # Safety
/// As for [`row`].
#[inline(always)]
unsafe fn row_run<V: Vector, const S: usize, const P: usize, const WHOLE: bool>(job: &Row, x: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        prefetch::<V, S>(job.rows[1], x, P, job.width, job.channels);
        let mut sums = [if job.bias.is_null() { V::zero() } else { V::load(job.bias) }; P];
        for (i, &from) in job.rows.iter().enumerate() {
            if from.is_null() {
                continue;
            }
            let w = weights::<V>(job.weights, i);
            let mut window = Window::<V, S, WHOLE>::new(from, x, job.channels);
            for (p, sum) in sums.iter_mut().enumerate() {
                let values = window.next(p + 1 == P && x + P == job.width);
                for (value, &w) in values.into_iter().zip(&w) {
                    *sum = sum.add_product(value, w);
                }
            }
        }
        for (p, sum) in sums.into_iter().enumerate() {
            store::<V, WHOLE>(sum, job.output.add((x + p) * job.channels), job.channels);
        }
    }
}

/// The gradient of the input of stride 2, from the rows of the output's gradient whose taps read this row of the input: pixel
/// `2 x` takes from pixel `x` by the middle column of taps, pixel `2 x + 1` from `x` by the last and from `x + 1` by the first.
/// `P` pairs are in flight; no bias.
///
/// # Safety
/// The CPU has the instruction set, and everything that [`Row`] points to is within its arrays.
#[inline(always)]
pub(crate) unsafe fn row_of_pairs<V: Vector, const P: usize>(job: &Row) {
    // SAFETY: the caller's promise.
    unsafe {
        if job.channels < V::LANES {
            pairs_by::<V, 1, false>(job);
        } else if job.width < P {
            pairs_by::<V, 1, true>(job);
        } else {
            pairs_by::<V, P, true>(job);
        }
    }
}

/// The same for rows of at least `P` pairs.
///
/// # Safety
/// As for [`row_of_pairs`].
#[inline(always)]
unsafe fn pairs_by<V: Vector, const P: usize, const WHOLE: bool>(job: &Row) {
    for x in (0..job.width).step_by(P) {
        for (number, first) in blocks(job.channels, V::LANES).enumerate() {
            // SAFETY: the caller's promise.
            unsafe { pairs_run::<V, P, WHOLE>(&job.block::<V>(number, first), x.min(job.width - P)) };
        }
    }
}

/// The pairs from `x` on.
///
/// # Safety
/// As for [`row_of_pairs`].
#[inline(always)]
unsafe fn pairs_run<V: Vector, const P: usize, const WHOLE: bool>(job: &Row, x: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let (mut even, mut odd) = ([V::zero(); P], [V::zero(); P]);
        for (i, &from) in job.rows.iter().enumerate() {
            if from.is_null() {
                continue;
            }
            let [left, middle, right] = weights::<V>(job.weights, i);
            let mut from = from.add(x * job.channels);
            let mut value = load::<V, WHOLE>(from, job.channels);
            for (p, (even, odd)) in even.iter_mut().zip(&mut odd).enumerate() {
                from = from.wrapping_add(job.channels);
                let is_last = p + 1 == P && x + P == job.width;
                let next = if is_last { V::zero() } else { load::<V, WHOLE>(from, job.channels) };
                *even = even.add_product(value, middle);
                *odd = odd.add_product(value, right).add_product(next, left);
                value = next;
            }
        }
        for (p, (even, odd)) in even.into_iter().zip(odd).enumerate() {
            let to = job.output.add(2 * (x + p) * job.channels);
            store::<V, WHOLE>(even, to, job.channels);
            store::<V, WHOLE>(odd, to.add(job.channels), job.channels);
        }
    }
}

/// Pixels of a row whose products are summed for one block of channels before the next block has its turn.
const TURN: usize = 32;

/// `sums[i, k] += sum over pixels x of gradient[x] * rows[i][S * x + k - 1]`.
///
/// # Safety
/// The CPU has the instruction set, and everything that [`Products`] points to is within its arrays.
#[inline(always)]
pub(crate) unsafe fn products<V: Vector, const S: usize>(job: &Products) {
    // SAFETY: the caller's promise.
    unsafe { if job.channels < V::LANES { products_by::<V, S, false>(job) } else { products_by::<V, S, true>(job) } }
}

/// The same.
///
/// # Safety
/// As for [`products`]; `WHOLE` as for [`load`].
#[inline(always)]
unsafe fn products_by<V: Vector, const S: usize, const WHOLE: bool>(job: &Products) {
    for from in (0..job.width).step_by(TURN) {
        let end = job.width.min(from + TURN);
        for (number, first) in blocks(job.channels, V::LANES).enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let block = job.block::<V>(number, first);
                let (mut sums, mut x) = ([[V::zero(); 3]; 3], from);
                // Four pixels at a time, written one by one: the compiler does not unroll a loop over them.
                while WHOLE && x + 4 <= end {
                    // Hides from the compiler that addresses advance evenly. It would keep a pointer for each load.
                    let here = std::hint::black_box(x);
                    prefetch::<V, S>(block.rows[1], here, 4, block.width, block.channels);
                    let mut windows = block.rows.map(|row| Window::<V, S, WHOLE>::new(row, here, block.channels));
                    add_pixel(&block, &mut windows, here, &mut sums, false);
                    add_pixel(&block, &mut windows, here + 1, &mut sums, false);
                    add_pixel(&block, &mut windows, here + 2, &mut sums, false);
                    add_pixel(&block, &mut windows, here + 3, &mut sums, here + 4 == block.width);
                    x += 4;
                }
                while x < end {
                    let mut windows = block.rows.map(|row| Window::<V, S, WHOLE>::new(row, x, block.channels));
                    add_pixel(&block, &mut windows, x, &mut sums, x + 1 == block.width);
                    x += 1;
                }
                for (i, sums) in sums.iter().enumerate() {
                    // What stood for a row outside the image does not count.
                    if job.rows[i].is_null() {
                        continue;
                    }
                    for (k, sum) in sums.iter().enumerate() {
                        let to = block.sums.add((3 * i + k) * V::LANES);
                        V::load(to).add(*sum).store(to);
                    }
                }
            }
        }
    }
}

/// Adds the products of pixel `x`, to which the windows move.
///
/// # Safety
/// As for [`products`] and [`Window::next`].
#[inline(always)]
unsafe fn add_pixel<V: Vector, const S: usize, const WHOLE: bool>(
    job: &Products,
    windows: &mut [Window<V, S, WHOLE>; 3],
    x: usize,
    sums: &mut [[V; 3]; 3],
    at_end: bool,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let gradient = load::<V, WHOLE>(job.gradient.add(x * job.channels), job.channels);
        for (window, sums) in windows.iter_mut().zip(sums) {
            for (value, sum) in window.next(at_end).into_iter().zip(sums) {
                *sum = sum.add_product(value, gradient);
            }
        }
    }
}
