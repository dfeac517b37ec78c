//! The innermost loops of the depthwise convolution, written once over [`Vector`] and compiled by the file of each instruction
//! set. They read and write images in place: no channel meets another, so that there is nothing to gain from a tile.

use crate::table::LANES_MAX;
use crate::vector::Vector;

/// A row of the output, or of the input's gradient. Pixels are counted in the row of less resolution.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// The row that each row of taps reads; null where there is none.
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
    /// The row that each row of taps reads; null where there is none. The middle one exists.
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
    unsafe fn block<V: Vector>(&self, number: usize, first: usize) -> Self {
        // SAFETY: the caller's promise: the block exists.
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
    unsafe fn block<V: Vector>(&self, number: usize, first: usize) -> Self {
        // SAFETY: the caller's promise: the block exists.
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

/// A register of a pixel's channels; zeros in lanes without one.
#[inline(always)]
unsafe fn load<V: Vector>(from: *const f32, channels: usize) -> V {
    // SAFETY: the caller's promise: as many values can be read.
    unsafe {
        if channels >= V::LANES {
            return V::load(from);
        }
        let mut values = [0f32; LANES_MAX];
        std::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), channels);
        V::load(values.as_ptr())
    }
}

/// A register to a pixel's channels.
#[inline(always)]
unsafe fn store<V: Vector>(values: V, to: *mut f32, channels: usize) {
    // SAFETY: the caller's promise: as many values can be written.
    unsafe {
        if channels >= V::LANES {
            return values.store(to);
        }
        let mut all = [0f32; LANES_MAX];
        values.store(all.as_mut_ptr());
        std::ptr::copy_nonoverlapping(all.as_ptr(), to, channels);
    }
}

/// Asks for what `pixels` pixels from `x` on of the next row will read: `S` rows that this one does not. Images follow one another,
/// so that this is right for the last row of one too. The processor itself foresees little of three rows at a time.
#[inline(always)]
fn prefetch<V: Vector, const S: usize>(middle: *const f32, x: usize, pixels: usize, width: usize, channels: usize) {
    for row in 0..S {
        let row = middle.wrapping_add(((2 + row) * S * width + S * x) * channels);
        for pixel in 0..S * pixels {
            V::prefetch(row.wrapping_add(pixel * channels));
        }
    }
}

/// The weights of a row of taps.
#[inline(always)]
unsafe fn weights<V: Vector>(from: *const f32, row: usize) -> [V; 3] {
    // SAFETY: the caller's promise.
    std::array::from_fn(|k| unsafe { V::load(from.add((3 * row + k) * V::LANES)) })
}

/// The three pixels under a row of taps, which moves `S` pixels at a time. Only a loop that the compiler unrolls keeps what two
/// windows share in its registers.
struct Window<V, const S: usize> {
    /// The last pixels of the window before, of which the next one begins with `3 - S`.
    kept: [V; 2],
    /// The next pixel to read.
    from: *const f32,
    channels: usize,
}

impl<V: Vector, const S: usize> Window<V, S> {
    /// Before the window whose first pixel is at `from`.
    #[inline(always)]
    unsafe fn new(from: *const f32, channels: usize) -> Self {
        // SAFETY: the caller's promise: the pixels of the window are within their array.
        unsafe {
            let first = V::load(from);
            let kept = if S == 1 { [first, V::load(from.add(channels))] } else { [V::zero(), first] };
            Self { kept, from: from.add((3 - S) * channels), channels }
        }
    }

    /// The next window.
    #[inline(always)]
    unsafe fn next(&mut self) -> [V; 3] {
        // SAFETY: as for `new`.
        unsafe {
            let read = V::load(self.from);
            let window = if S == 1 {
                [self.kept[0], self.kept[1], read]
            } else {
                [self.kept[1], read, V::load(self.from.add(self.channels))]
            };
            self.from = self.from.add(S * self.channels);
            self.kept = [window[1], window[2]];
            window
        }
    }
}

/// The columns of taps that lie in the image, at pixel `x` of `width` with stride `S`: at even sizes stride 2 reaches only over
/// the left border.
#[inline(always)]
fn columns<const S: usize>(x: usize, width: usize) -> std::ops::Range<usize> {
    usize::from(x == 0)..if S == 1 && x + 1 == width { 2 } else { 3 }
}

/// `output[x] = bias + sum over taps (i, k) of rows[i][S * x + k - 1] * weights[i, k]`, in the order of the taps, without those
/// outside the image. `P` pixels are in flight.
///
/// # Safety
/// The CPU has the instruction set, and everything that [`Row`] points to is within its arrays.
#[inline(always)]
pub(crate) unsafe fn row<V: Vector, const S: usize, const P: usize>(job: &Row) {
    // The taps of inner pixels are in the image.
    let inner = 1..if S == 1 { job.width - 1 } else { job.width };
    for pixels in chunks(job.width, P, inner.clone()) {
        for (number, first) in blocks(job.channels, V::LANES).enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let job = job.block::<V>(number, first);
                if job.channels < V::LANES || !inner.contains(&pixels.start) {
                    pixels.clone().for_each(|x| row_point::<V, S>(&job, x));
                } else if inner.len() >= P {
                    // The last run overlaps the one before it and writes the same values again.
                    row_run::<V, S, P>(&job, pixels.start.min(inner.end - P));
                } else {
                    pixels.clone().for_each(|x| row_run::<V, S, 1>(&job, x));
                }
            }
        }
    }
}

/// The pixels of a row in order: each pixel outside `inner` by itself, the others `most` at a time.
#[inline(always)]
fn chunks(width: usize, most: usize, inner: std::ops::Range<usize>) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut x = 0;
    std::iter::from_fn(move || {
        let from = x;
        x = if inner.contains(&from) { inner.end.min(from + most) } else { from + 1 };
        (from < width).then_some(from..x)
    })
}

#[inline(always)]
unsafe fn row_run<V: Vector, const S: usize, const P: usize>(job: &Row, x: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        prefetch::<V, S>(job.rows[1], x, P, job.width, job.channels);
        let mut sums = [if job.bias.is_null() { V::zero() } else { V::load(job.bias) }; P];
        for (i, &from) in job.rows.iter().enumerate() {
            if from.is_null() {
                continue;
            }
            let w = weights::<V>(job.weights, i);
            let mut window = Window::<V, S>::new(from.add((S * x - 1) * job.channels), job.channels);
            for sum in &mut sums {
                for (value, &w) in window.next().into_iter().zip(&w) {
                    *sum = sum.add_product(value, w);
                }
            }
        }
        for (p, sum) in sums.iter().enumerate() {
            sum.store(job.output.add((x + p) * job.channels));
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
                let value = load::<V>(from.add((S * x + k - 1) * job.channels), job.channels);
                sum = sum.add_product(value, V::load(job.weights.add((3 * i + k) * V::LANES)));
            }
        }
        store(sum, job.output.add(x * job.channels), job.channels);
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
    // Inner pixels have a neighbour to the right.
    let inner = 0..job.width - 1;
    for pixels in chunks(job.width, P, inner.clone()) {
        for (number, first) in blocks(job.channels, V::LANES).enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let job = job.block::<V>(number, first);
                if job.channels < V::LANES || !inner.contains(&pixels.start) {
                    pixels.clone().for_each(|x| pairs_point::<V>(&job, x));
                } else if inner.len() >= P {
                    pairs_run::<V, P>(&job, pixels.start.min(inner.end - P));
                } else {
                    pixels.clone().for_each(|x| pairs_run::<V, 1>(&job, x));
                }
            }
        }
    }
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
            let mut from = from.add(x * job.channels);
            for column in 0..P + 1 {
                let value = V::load(from);
                from = from.add(job.channels);
                if column < P {
                    even[column] = even[column].add_product(value, middle);
                    odd[column] = odd[column].add_product(value, right);
                }
                if column > 0 {
                    odd[column - 1] = odd[column - 1].add_product(value, left);
                }
            }
        }
        let mut to = job.output.add(2 * x * job.channels);
        for (even, odd) in even.iter().zip(&odd) {
            even.store(to);
            odd.store(to.add(job.channels));
            to = to.add(2 * job.channels);
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
            let value = load::<V>(from.add(x * job.channels), job.channels);
            even = even.add_product(value, middle);
            odd = odd.add_product(value, right);
            if x + 1 < job.width {
                odd = odd.add_product(load(from.add((x + 1) * job.channels), job.channels), left);
            }
        }
        let to = job.output.add(2 * x * job.channels);
        store(even, to, job.channels);
        store(odd, to.add(job.channels), job.channels);
    }
}

/// Pixels of a row whose products are summed for one block of channels before the next block has its turn.
const TURN: usize = 32;

/// `sums[i, k] += sum over pixels x of gradient[x] * rows[i][S * x + k - 1]`, without products outside the image. The gradient of
/// `P` pixels is in registers.
///
/// # Safety
/// The CPU has the instruction set, and everything that [`Products`] points to is within its arrays.
#[inline(always)]
pub(crate) unsafe fn products<V: Vector, const S: usize, const P: usize>(job: &Products) {
    let inner = 1..if S == 1 { job.width - 1 } else { job.width };
    for pixels in chunks(job.width, TURN, inner.clone()) {
        for (number, first) in blocks(job.channels, V::LANES).enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let block = job.block::<V>(number, first);
                let mut sums = [[V::zero(); 3]; 3];
                if job.channels < V::LANES || !inner.contains(&pixels.start) {
                    for x in pixels.clone() {
                        sums = products_point::<V, S>(&block, x, sums);
                    }
                } else {
                    let mut x = pixels.start;
                    while x + P <= pixels.end {
                        sums = products_run::<V, S, P>(&block, x, sums);
                        x += P;
                    }
                    while x + 2 <= pixels.end {
                        sums = products_run::<V, S, 2>(&block, x, sums);
                        x += 2;
                    }
                    if x < pixels.end {
                        sums = products_run::<V, S, 1>(&block, x, sums);
                    }
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

#[inline(always)]
unsafe fn products_run<V: Vector, const S: usize, const P: usize>(
    job: &Products,
    x: usize,
    mut sums: [[V; 3]; 3],
) -> [[V; 3]; 3] {
    // SAFETY: the caller's promise.
    unsafe {
        prefetch::<V, S>(job.rows[1], x, P, job.width, job.channels);
        let gradient = job.gradient.add(x * job.channels);
        let mut windows = job.rows.map(|row| Window::<V, S>::new(row.add((S * x - 1) * job.channels), job.channels));
        for p in 0..P {
            let gradient = V::load(gradient.add(p * job.channels));
            for (window, sums) in windows.iter_mut().zip(&mut sums) {
                for (value, sum) in window.next().into_iter().zip(sums) {
                    *sum = sum.add_product(value, gradient);
                }
            }
        }
        sums
    }
}

#[inline(always)]
unsafe fn products_point<V: Vector, const S: usize>(job: &Products, x: usize, mut sums: [[V; 3]; 3]) -> [[V; 3]; 3] {
    // SAFETY: the caller's promise.
    unsafe {
        let gradient = load::<V>(job.gradient.add(x * job.channels), job.channels);
        for (from, sums) in job.rows.iter().zip(&mut sums) {
            for (k, sum) in sums.iter_mut().enumerate() {
                // An index that varies would keep the sums out of registers.
                if columns::<S>(x, job.width).contains(&k) {
                    let value = load::<V>(from.add((S * x + k - 1) * job.channels), job.channels);
                    *sum = sum.add_product(value, gradient);
                }
            }
        }
        sums
    }
}
