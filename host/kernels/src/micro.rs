//! The innermost loops, written once over [`Vector`] and compiled by the file of each instruction set.
//!
//! A tile holds channels in blocks of `LANES`: value `(block, row, column, lane)` is at
//! `((block * rows + row) * columns + column) * LANES + lane`.

use std::mem::MaybeUninit;

use super::vector::Vector;

/// One run of pixels of a convolution's output, for one block of output channels.
pub(super) struct Taps {
    /// The tile, at the run's first pixel.
    pub tile: *const f32,
    /// Offset of each tap, in values from `tile`.
    pub offsets: *const usize,
    /// Number of taps.
    pub taps: usize,
    /// Channels that each tap reads.
    pub channels: usize,
    /// Values between a block of channels and the next.
    pub block_stride: usize,
    /// `[taps][channels][N * LANES]`.
    pub weights: *const f32,
    /// `[N * LANES]`, the initial sums; null for 0.
    pub bias: *const f32,
    /// The run's first output value.
    pub output: *mut f32,
    /// Values between an output pixel and the next.
    pub pixel_stride: usize,
    /// Channels of the output that exist, at most `N * LANES`.
    pub valid: usize,
}

/// Products that are summed before their sum is added to the total. A single run over a deep layer's thousands of products
/// would be several times less accurate; shorter runs would cost time.
const RUN_PRODUCTS: usize = 256;

/// `output[p][o] = bias[o] + sum over taps t and channels c of tile[t, p, c] * weights[t, c, o]`, in that order and in runs,
/// for `P` pixels and `N` registers of output channels.
///
/// # Safety
/// The CPU has the instruction set, and everything that [`Taps`] points to is within its arrays.
#[inline(always)]
pub(super) unsafe fn taps<V: Vector, const P: usize, const N: usize>(job: &Taps) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[V::zero(); N]; P];
        if !job.bias.is_null() {
            let bias: [V; N] = std::array::from_fn(|n| V::load(job.bias.add(n * V::LANES)));
            sums = [bias; P];
        }
        // The sums of the previous runs, in memory: the registers are full.
        let mut totals = MaybeUninit::<[[V; N]; P]>::uninit();
        let totals: *mut [V; N] = std::hint::black_box(totals.as_mut_ptr()).cast();
        let (mut run, mut has_totals) = (0, false);
        let mut weights = job.weights;
        for tap in 0..job.taps {
            let mut tile = job.tile.add(*job.offsets.add(tap));
            let mut left = job.channels;
            while left > 0 {
                let channels = left.min(V::LANES);
                for channel in 0..channels {
                    let w: [V; N] = std::array::from_fn(|n| V::load(weights.add(n * V::LANES)));
                    weights = weights.add(N * V::LANES);
                    for (pixel, sums) in sums.iter_mut().enumerate() {
                        let x = V::splat(tile.add(pixel * V::LANES + channel));
                        for (sum, &w) in sums.iter_mut().zip(&w) {
                            *sum = sum.add_product(x, w);
                        }
                    }
                }
                tile = tile.add(job.block_stride);
                left -= channels;
                run += channels;
                if run >= RUN_PRODUCTS {
                    for (pixel, sums) in sums.iter_mut().enumerate() {
                        for (n, sum) in sums.iter_mut().enumerate() {
                            let total = totals.add(pixel).cast::<V>().add(n);
                            total.write(if has_totals { total.read().add(*sum) } else { *sum });
                            *sum = V::zero();
                        }
                    }
                    (run, has_totals) = (0, true);
                }
            }
        }
        if has_totals {
            for (pixel, sums) in sums.iter_mut().enumerate() {
                for (sum, total) in sums.iter_mut().zip(&*totals.add(pixel)) {
                    *sum = total.add(*sum);
                }
            }
        }
        if job.valid == N * V::LANES {
            for (pixel, sums) in sums.iter().enumerate() {
                for (n, sum) in sums.iter().enumerate() {
                    sum.store(job.output.add(pixel * job.pixel_stride + n * V::LANES));
                }
            }
            return;
        }
        // At most 2 registers of 16.
        let mut values = [0f32; 32];
        for (pixel, sums) in sums.iter().enumerate() {
            for (n, sum) in sums.iter().enumerate() {
                sum.store(values.as_mut_ptr().add(n * V::LANES));
            }
            std::ptr::copy_nonoverlapping(values.as_ptr(), job.output.add(pixel * job.pixel_stride), job.valid);
        }
    }
}

/// Sums over the pixels of some rows, for the gradient of weights.
pub(super) struct Outer {
    /// Tile of the output's gradient, at the first pixel and the first of `M` channels of one block.
    pub gradient: *const f32,
    /// Values between a row of it and the next.
    pub gradient_row: usize,
    /// Tile of the input, at the first tap of the first pixel.
    pub input: *const f32,
    /// Values between a row of it and the next.
    pub input_row: usize,
    /// Rows to sum over.
    pub rows: usize,
    /// Pixels a row.
    pub columns: usize,
    /// Where the sums are added.
    pub sums: *mut f32,
    /// Values between the sums of a channel of the gradient and of the next.
    pub channel_stride: usize,
    /// Values between the sums of a tap and of the next.
    pub tap_stride: usize,
}

/// `sums[m][k][i] += sum over pixels p of gradient[p][m] * input[p + k][i]` for `M` channels of the gradient, `K` taps in a
/// row and one register of the input's channels.
///
/// # Safety
/// The CPU has the instruction set, and everything that [`Outer`] points to is within its arrays.
#[inline(always)]
pub(super) unsafe fn outer<V: Vector, const M: usize, const K: usize>(job: &Outer) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[V::zero(); K]; M];
        // Hides from the compiler that the taps of neighbouring pixels overlap. It would keep the registers of one pixel for
        // the next and move all of them at each pixel, which takes 1.7 times as long.
        let step = std::hint::black_box(V::LANES);
        for row in 0..job.rows {
            let mut gradient = job.gradient.add(row * job.gradient_row);
            let mut input = job.input.add(row * job.input_row);
            for _ in 0..job.columns {
                let x: [V; K] = std::array::from_fn(|k| V::load(input.add(k * step)));
                for (m, sums) in sums.iter_mut().enumerate() {
                    let g = V::splat(gradient.add(m));
                    for (sum, &x) in sums.iter_mut().zip(&x) {
                        *sum = sum.add_product(g, x);
                    }
                }
                gradient = gradient.add(V::LANES);
                input = input.add(V::LANES);
            }
        }
        for (m, sums) in sums.iter().enumerate() {
            for (k, sum) in sums.iter().enumerate() {
                let to = job.sums.add(m * job.channel_stride + k * job.tap_stride);
                V::load(to).add(*sum).store(to);
            }
        }
    }
}

/// [`outer`] for three taps at once.
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn outer_three_whole<V: Vector, const M: usize>(job: &Outer) {
    // SAFETY: the caller's promise.
    unsafe { outer::<V, M, 3>(job) }
}

/// [`outer`] for three taps and 8 channels on 16 registers, in parts: in one piece the compiler runs out of them.
///
/// # Safety
/// As there.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn outer_three_parts<V: Vector, const M: usize>(job: &Outer) {
    const { assert!(M == 8) };
    // SAFETY: the caller's promise; each part has some of the taps and channels.
    unsafe {
        outer::<V, 4, 2>(job);
        let lower = Outer { gradient: job.gradient.add(4), sums: job.sums.add(4 * job.channel_stride), ..*job };
        outer::<V, 4, 2>(&lower);
        let last = Outer { input: job.input.add(2 * V::LANES), sums: job.sums.add(2 * job.tap_stride), ..*job };
        outer::<V, 8, 1>(&last);
    }
}

/// The same for one channel of an input of few: `sums[t][o] += sum over pixels p of input[p, t] * gradient[p][o]` for the `T`
/// taps at `offsets`, and one register of the gradient's channels. `channel_stride` is not used.
///
/// # Safety
/// The CPU has the instruction set, and everything that [`Outer`] and `offsets` point to is within its arrays.
#[inline(always)]
pub(super) unsafe fn outer_thin<V: Vector, const T: usize>(job: &Outer, offsets: &[usize; T]) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [V::zero(); T];
        for row in 0..job.rows {
            let mut gradient = job.gradient.add(row * job.gradient_row);
            let mut input = job.input.add(row * job.input_row);
            for _ in 0..job.columns {
                let g = V::load(gradient);
                for (sum, &offset) in sums.iter_mut().zip(offsets) {
                    *sum = sum.add_product(g, V::splat(input.add(offset)));
                }
                gradient = gradient.add(V::LANES);
                input = input.add(V::LANES);
            }
        }
        for (t, sum) in sums.iter().enumerate() {
            let to = job.sums.add(t * job.tap_stride);
            V::load(to).add(*sum).store(to);
        }
    }
}

/// Copies `pixels` pixels of `channels` values from a stride of `pixel_stride` to a stride of `LANES`.
///
/// # Safety
/// The CPU has the instruction set, and all reads and writes are within their arrays.
#[inline(always)]
pub(super) unsafe fn spread<V: Vector>(
    mut from: *const f32,
    pixel_stride: usize,
    channels: usize,
    pixels: usize,
    mut to: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if channels == V::LANES {
            for _ in 0..pixels {
                V::load(from).store(to);
                from = from.add(pixel_stride);
                to = to.add(V::LANES);
            }
            return;
        }
        for _ in 0..pixels {
            for channel in 0..channels {
                *to.add(channel) = *from.add(channel);
            }
            from = from.add(pixel_stride);
            to = to.add(V::LANES);
        }
    }
}
