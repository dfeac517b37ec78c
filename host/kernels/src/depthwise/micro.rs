//! The innermost loops of the depthwise convolution, written once over [`Vector`] and compiled by the file of each instruction
//! set. They read and write images in place: no channel meets another, so that there is nothing to gain from a tile.

use crate::table::LANES_MAX;
use crate::vector::Vector;

/// Some pixels of a row of the output, or of the input's gradient, for one block of channels. Pixels are indexed by the row of
/// less resolution.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// The first pixel of the row that each row of taps reads; null where there is none.
    pub rows: [*const f32; 3],
    /// `[9][LANES]`.
    pub weights: *const f32,
    /// `[LANES]`, the initial sums; null for 0.
    pub bias: *const f32,
    /// The first pixel of the row to write.
    pub output: *mut f32,
    /// The first pixel to compute.
    pub first: usize,
    /// The pixel after the last.
    pub end: usize,
    /// Pixels of the row.
    pub width: usize,
    /// Values between a pixel and the next, in all rows.
    pub pixel: usize,
    /// Channels that exist, at most `LANES`.
    pub valid: usize,
}

/// Some pixels of a row of the output's gradient with the rows of the input that their taps read, for one block of channels.
#[derive(Clone, Copy)]
pub(crate) struct Products {
    /// The first pixel of the row that each row of taps reads; null where there is none. The middle one exists.
    pub rows: [*const f32; 3],
    /// The first pixel of the gradient's row.
    pub gradient: *const f32,
    /// `[9][LANES]`, where the sums are added.
    pub sums: *mut f32,
    /// As in [`Row`].
    pub first: usize,
    /// As in [`Row`].
    pub end: usize,
    /// As in [`Row`].
    pub width: usize,
    /// As in [`Row`].
    pub pixel: usize,
    /// As in [`Row`].
    pub valid: usize,
}

/// A pixel's channels; zeros in the lanes past `valid`.
#[inline(always)]
unsafe fn load<V: Vector>(from: *const f32, valid: usize) -> V {
    // SAFETY: the caller's promise: `valid` values can be read.
    unsafe {
        if valid == V::LANES {
            return V::load(from);
        }
        let mut values = [0f32; LANES_MAX];
        std::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), valid);
        V::load(values.as_ptr())
    }
}

/// The lanes up to `valid` to a pixel's channels.
#[inline(always)]
unsafe fn store<V: Vector>(values: V, to: *mut f32, valid: usize) {
    // SAFETY: the caller's promise: `valid` values can be written.
    unsafe {
        if valid == V::LANES {
            return values.store(to);
        }
        let mut all = [0f32; LANES_MAX];
        values.store(all.as_mut_ptr());
        std::ptr::copy_nonoverlapping(all.as_ptr(), to, valid);
    }
}

/// The weights of a row of taps.
#[inline(always)]
unsafe fn weights<V: Vector>(from: *const f32, row: usize) -> [V; 3] {
    // SAFETY: the caller's promise.
    std::array::from_fn(|k| unsafe { V::load(from.add((3 * row + k) * V::LANES)) })
}

/// The columns of taps that lie in the image, at pixel `x` of `width` with stride `S`: at even sizes stride 2 reaches only over
/// the left border.
#[inline(always)]
fn columns<const S: usize>(x: usize, width: usize) -> std::ops::Range<usize> {
    usize::from(x == 0)..if S == 1 && x + 1 == width { 2 } else { 3 }
}

/// Calls `run` with pixels whose taps all lie in the image, `P` at a time or else one, and `point` with the others; with all of
/// them if the block is not whole.
macro_rules! pixels {
    ($job:ident, whole: $whole:expr, inner: $inner:expr, run: $run:expr, one: $one:expr, point: $point:expr, $P:ident) => {
        let inner: std::ops::Range<usize> = $inner;
        let mut x = $job.first;
        while x < $job.end {
            if !$whole || x < inner.start || x >= inner.end {
                $point(x);
                x += 1;
            } else if x + $P <= inner.end.min($job.end) {
                $run(x);
                x += $P;
            } else {
                $one(x);
                x += 1;
            }
        }
    };
}

/// `output[x] = bias + sum over taps (i, k) of rows[i][S * x + k - 1] * weights[i, k]`, in the order of the taps, without those
/// outside the image. `P` pixels are in flight.
///
/// # Safety
/// The CPU has the instruction set, and everything that [`Row`] points to is within its arrays.
#[inline(always)]
pub(crate) unsafe fn row<V: Vector, const S: usize, const P: usize>(job: &Row) {
    let inner = 1..if S == 1 { job.width - 1 } else { job.width };
    // SAFETY: the caller's promise; the taps of inner pixels are in the image.
    pixels!(job, whole: job.valid == V::LANES, inner: inner,
        run: |x| unsafe { row_run::<V, S, P>(job, x) },
        one: |x| unsafe { row_run::<V, S, 1>(job, x) },
        point: |x| unsafe { row_point::<V, S>(job, x) }, P);
}

#[inline(always)]
unsafe fn row_run<V: Vector, const S: usize, const P: usize>(job: &Row, x: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [if job.bias.is_null() { V::zero() } else { V::load(job.bias) }; P];
        for (i, &from) in job.rows.iter().enumerate() {
            if from.is_null() {
                continue;
            }
            let w = weights::<V>(job.weights, i);
            let mut from = from.add((S * x - 1) * job.pixel);
            // Each column is read once, and added to all pixels that see it.
            for column in 0..S * (P - 1) + 3 {
                let value = V::load(from);
                from = from.add(job.pixel);
                for (k, &w) in w.iter().enumerate() {
                    if column >= k && (column - k) % S == 0 && (column - k) / S < P {
                        sums[(column - k) / S] = sums[(column - k) / S].add_product(value, w);
                    }
                }
            }
        }
        for (p, sum) in sums.iter().enumerate() {
            sum.store(job.output.add((x + p) * job.pixel));
        }
    }
}

#[inline(always)]
unsafe fn row_point<V: Vector, const S: usize>(job: &Row, x: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sum = if job.bias.is_null() { V::zero() } else { V::load(job.bias) };
        for (i, &from) in job.rows.iter().enumerate().filter(|(_, from)| !from.is_null()) {
            for k in columns::<S>(x, job.width) {
                let value = load::<V>(from.add((S * x + k - 1) * job.pixel), job.valid);
                sum = sum.add_product(value, V::load(job.weights.add((3 * i + k) * V::LANES)));
            }
        }
        store(sum, job.output.add(x * job.pixel), job.valid);
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
    // SAFETY: the caller's promise; inner pixels have a neighbour to the right.
    pixels!(job, whole: job.valid == V::LANES, inner: 0..job.width - 1,
        run: |x| unsafe { pairs_run::<V, P>(job, x) },
        one: |x| unsafe { pairs_run::<V, 1>(job, x) },
        point: |x| unsafe { pairs_point::<V>(job, x) }, P);
}

#[inline(always)]
unsafe fn pairs_run<V: Vector, const P: usize>(job: &Row, x: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let (mut even, mut odd) = ([V::zero(); P], [V::zero(); P]);
        for (i, &from) in job.rows.iter().enumerate() {
            if from.is_null() {
                continue;
            }
            let [left, middle, right] = weights::<V>(job.weights, i);
            let mut from = from.add(x * job.pixel);
            for column in 0..P + 1 {
                let value = V::load(from);
                from = from.add(job.pixel);
                if column < P {
                    even[column] = even[column].add_product(value, middle);
                    odd[column] = odd[column].add_product(value, right);
                }
                if column > 0 {
                    odd[column - 1] = odd[column - 1].add_product(value, left);
                }
            }
        }
        let mut to = job.output.add(2 * x * job.pixel);
        for (even, odd) in even.iter().zip(&odd) {
            even.store(to);
            odd.store(to.add(job.pixel));
            to = to.add(2 * job.pixel);
        }
    }
}

#[inline(always)]
unsafe fn pairs_point<V: Vector>(job: &Row, x: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let (mut even, mut odd) = (V::zero(), V::zero());
        for (i, &from) in job.rows.iter().enumerate().filter(|(_, from)| !from.is_null()) {
            let [left, middle, right] = weights::<V>(job.weights, i);
            let value = load::<V>(from.add(x * job.pixel), job.valid);
            even = even.add_product(value, middle);
            odd = odd.add_product(value, right);
            if x + 1 < job.width {
                odd = odd.add_product(load(from.add((x + 1) * job.pixel), job.valid), left);
            }
        }
        let to = job.output.add(2 * x * job.pixel);
        store(even, to, job.valid);
        store(odd, to.add(job.pixel), job.valid);
    }
}

/// `sums[i, k] += sum over pixels x of gradient[x] * rows[i][S * x + k - 1]`, without products outside the image. The gradient of
/// `P` pixels is in registers.
///
/// # Safety
/// The CPU has the instruction set, and everything that [`Products`] points to is within its arrays.
#[inline(always)]
pub(crate) unsafe fn products<V: Vector, const S: usize, const P: usize>(job: &Products) {
    let inner = 1..if S == 1 { job.width - 1 } else { job.width };
    // SAFETY: the caller's promise; the taps of inner pixels are in the image.
    unsafe {
        // Rows outside the image are summed over the middle row, and not added.
        let rows = job.rows.map(|row| if row.is_null() { job.rows[1] } else { row });
        let mut sums = [[V::zero(); 3]; 3];
        pixels!(job, whole: job.valid == V::LANES, inner: inner,
            run: |x| products_run::<V, S, P>(job, &rows, x, &mut sums),
            one: |x| products_run::<V, S, 1>(job, &rows, x, &mut sums),
            point: |x| products_point::<V, S>(job, &rows, x, &mut sums), P);
        for (i, sums) in sums.iter().enumerate().filter(|(i, _)| !job.rows[*i].is_null()) {
            for (k, sum) in sums.iter().enumerate() {
                let to = job.sums.add((3 * i + k) * V::LANES);
                V::load(to).add(*sum).store(to);
            }
        }
    }
}

#[inline(always)]
unsafe fn products_run<V: Vector, const S: usize, const P: usize>(
    job: &Products,
    rows: &[*const f32; 3],
    x: usize,
    sums: &mut [[V; 3]; 3],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let gradient: [V; P] = std::array::from_fn(|p| V::load(job.gradient.add((x + p) * job.pixel)));
        for (from, sums) in rows.iter().zip(sums) {
            let mut from = from.add((S * x - 1) * job.pixel);
            for column in 0..S * (P - 1) + 3 {
                let value = V::load(from);
                from = from.add(job.pixel);
                for (k, sum) in sums.iter_mut().enumerate() {
                    if column >= k && (column - k) % S == 0 && (column - k) / S < P {
                        *sum = sum.add_product(value, gradient[(column - k) / S]);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn products_point<V: Vector, const S: usize>(
    job: &Products,
    rows: &[*const f32; 3],
    x: usize,
    sums: &mut [[V; 3]; 3],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let gradient = load::<V>(job.gradient.add(x * job.pixel), job.valid);
        for (from, sums) in rows.iter().zip(sums) {
            for k in columns::<S>(x, job.width) {
                let value = load::<V>(from.add((S * x + k - 1) * job.pixel), job.valid);
                sums[k] = sums[k].add_product(value, gradient);
            }
        }
    }
}
