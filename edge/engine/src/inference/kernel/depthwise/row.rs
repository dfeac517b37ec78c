//! A block of channels of a row of pixels: the loops, written once over [`Columns`] and compiled by the file of each instruction
//! set. No closures: one that the compiler does not inline would be compiled without the instructions.
//!
//! A column of taps serves up to three neighbouring outputs, so that with three columns, and strides by which outputs
//! share columns, each is loaded and interleaved once.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Row::check has checked")]

use std::ops::Range;

use super::super::groups::LINE;
use super::super::strip::OutputRange;
use super::Block;

/// Taps of a column that are multiplied together.
pub(crate) const ROWS: usize = 3;

/// A block of channels of a row of pixels.
pub(crate) struct Row<'a> {
    /// From the first pixel's first tap of the block's first channel on.
    pub(crate) input: &'a [u8],
    /// Bytes from the first tap of a pixel to that of the next.
    pub(crate) input_step: usize,
    /// From the first pixel's first channel on.
    pub(crate) output: &'a mut [u8],
    /// From a pixel's first channel to that of the next.
    pub(crate) output_step: usize,
    /// Pixels.
    pub(crate) width: usize,
    pub(crate) block: &'a Block,
    pub(crate) range: OutputRange,
}

/// How an instruction set computes some channels of PIXELS neighbouring pixels at once.
///
/// # Safety of its functions
///
/// The processor has the instructions, and each pointer is valid for what the function reads or writes.
pub(crate) trait Columns {
    /// Channels of each pixel that are read.
    const CHANNELS: usize;
    /// Pixels.
    const PIXELS: usize;
    /// Sums of a block, those of all pixels.
    const SUMS: usize;
    /// Bytes of a column's weights.
    const WEIGHTS: usize;
    /// Whether fewer channels cost no more than all to write.
    const MASKS: bool;
    /// The bytes of a column, as they are multiplied.
    type Column: Copy;
    /// The weights of a column, in vectors as they are stored.
    type Weights: Copy;
    /// The sums, in vectors as the biases are stored.
    type Sums: Copy;
    /// From sums to bytes.
    type Requantize;

    /// Reads a column of the first pixel, and of the others each `step` bytes further.
    unsafe fn column(rows: [*const u8; ROWS], step: usize) -> Self::Column;

    /// Reads the weights of a column.
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        // SAFETY: the caller's promise; any bytes are vectors of integers.
        unsafe { from.cast::<Self::Weights>().read_unaligned() }
    }

    /// Reads the initial sums.
    #[inline(always)]
    unsafe fn bias(from: *const i32) -> Self::Sums {
        // SAFETY: as `weights`.
        unsafe { from.cast::<Self::Sums>().read_unaligned() }
    }

    /// Adds the products of a column.
    unsafe fn add(sums: Self::Sums, column: &Self::Column, weights: &Self::Weights) -> Self::Sums;

    /// Reads the multipliers.
    unsafe fn requantize(multipliers: *const f32, range: OutputRange) -> Self::Requantize;

    /// Writes this many channels of the first pixel to `to`, and of the others each `step` bytes further.
    unsafe fn store(requantize: &Self::Requantize, sums: Self::Sums, to: *mut u8, step: usize, channels: usize);
}

impl Row<'_> {
    /// What the loops rely on for their pointers.
    ///
    /// # Panics
    ///
    /// If one would leave the slices: a defect in `depthwise.rs`.
    fn check<C: Columns>(&self) {
        let block = self.block;
        let last = self.width - 1;
        let reach = block.offsets.iter().flatten().max().map_or(0, |&offset| offset as usize);
        assert!(last * self.input_step + reach + C::CHANNELS <= self.input.len());
        assert!(last * self.output_step + block.channels <= self.output.len());
        assert!(block.channels <= C::CHANNELS);
        assert!(block.bias.len() == C::SUMS && block.multipliers.len() == C::SUMS);
        assert!(block.weights.len() * LINE >= block.offsets.len() * C::WEIGHTS);
    }

    /// Bytes from each column of taps to the next, if there are three.
    fn column_step(&self) -> Option<usize> {
        let [first, second, third] = self.block.offsets.as_slice() else { return None };
        let step = second[0] - first[0];
        let follows = |column: &[u32; ROWS], steps: u32| *column == first.map(|offset| offset + steps * step);
        (step > 0 && follows(second, 1) && follows(third, 2)).then_some(step as usize)
    }

    /// Computes all pixels by C, and those that are too few for C by R, which reads its pixels at any distance.
    ///
    /// # Safety
    ///
    /// The processor has the instructions; C reads its pixels at this row's distance.
    #[inline(always)]
    pub(crate) unsafe fn run<C: Columns, R: Columns>(&mut self) {
        self.check::<C>();
        self.check::<R>();
        let vectors = self.width / C::PIXELS;
        let is_whole = C::MASKS || self.block.channels == C::CHANNELS;
        let step = self.column_step().filter(|_| vectors > 0 && is_whole);
        // SAFETY: the caller's promise. `check` has found the bytes of all columns, from each pixel on, in the input; the
        // block's channels of each pixel in the output; and as many weights, biases and multipliers as C and R read.
        unsafe {
            match step.map(|step| (step, C::PIXELS * self.input_step)) {
                Some((step, next)) if next == step => self.each_column_for_three::<C>(vectors, step),
                Some((step, next)) if next == 2 * step => self.each_other_column_for_two::<C>(vectors, step),
                _ => self.each_by_itself::<C>(0..vectors, self.input_step, self.output_step),
            }
            // All pixels of these vectors are the same one.
            self.each_by_itself::<R>(vectors * C::PIXELS..self.width, 0, 0);
        }
    }

    /// Vectors of pixels that are a column apart: each column is the last of one, the second of the next and the first of the one
    /// after.
    ///
    /// # Safety
    ///
    /// As `run`; there are so many vectors, and `step` is the [`Row::column_step`].
    #[inline(always)]
    unsafe fn each_column_for_three<C: Columns>(&mut self, vectors: usize, step: usize) {
        // SAFETY: the caller's promise: vector n reads columns n to n + 2.
        unsafe {
            let three = Three::<C>::new(self, step);
            let (first, second) = (three.column(0), three.column(1));
            let mut a = C::add(C::add(three.bias, &first, &three.left), &second, &three.middle);
            let mut b = C::add(three.bias, &second, &three.left);
            let mut c = three.bias;
            let mut vector = 0;
            while vector + 3 <= vectors {
                self.next(&three, vector, &a, &mut b, &mut c);
                self.next(&three, vector + 1, &b, &mut c, &mut a);
                self.next(&three, vector + 2, &c, &mut a, &mut b);
                vector += 3;
            }
            if vector < vectors {
                self.next(&three, vector, &a, &mut b, &mut c);
            }
            if vector + 1 < vectors {
                self.next(&three, vector + 1, &b, &mut c, &mut a);
            }
        }
    }

    /// Adds a column to the sums of the vector that it completes, of the next and of the one after, which it begins.
    ///
    /// # Safety
    ///
    /// As [`Row::each_column_for_three`].
    #[inline(always)]
    unsafe fn next<C: Columns>(
        &mut self,
        three: &Three<C>,
        vector: usize,
        completed: &C::Sums,
        next: &mut C::Sums,
        begun: &mut C::Sums,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let column = three.column(vector + 2);
            let sums = C::add(*completed, &column, &three.right);
            *next = C::add(*next, &column, &three.middle);
            *begun = C::add(three.bias, &column, &three.left);
            self.store::<C>(vector * C::PIXELS, self.output_step, self.whole::<C>(), &three.requantize, sums);
        }
    }

    /// Vectors of pixels that are two columns apart: the last column of one is the first of the next.
    ///
    /// # Safety
    ///
    /// As [`Row::each_column_for_three`].
    #[inline(always)]
    unsafe fn each_other_column_for_two<C: Columns>(&mut self, vectors: usize, step: usize) {
        // SAFETY: the caller's promise: vector n reads columns 2n to 2n + 2.
        unsafe {
            let three = Three::<C>::new(self, step);
            let mut shared = three.column(0);
            for vector in 0..vectors {
                let sums = C::add(three.bias, &shared, &three.left);
                let sums = C::add(sums, &three.column(2 * vector + 1), &three.middle);
                shared = three.column(2 * vector + 2);
                let sums = C::add(sums, &shared, &three.right);
                self.store::<C>(vector * C::PIXELS, self.output_step, self.whole::<C>(), &three.requantize, sums);
            }
        }
    }

    /// Vectors of pixels that share no column: those that begin at multiples of PIXELS, or with steps of 0 at each pixel.
    ///
    /// # Safety
    ///
    /// As `run`; the vectors' pixels are the row's.
    #[inline(always)]
    unsafe fn each_by_itself<C: Columns>(&mut self, vectors: Range<usize>, input_step: usize, output_step: usize) {
        let pixels = if input_step == 0 { 1 } else { C::PIXELS };
        // SAFETY: the caller's promise.
        unsafe {
            let block = self.block;
            let bias = C::bias(block.bias.as_ptr());
            let requantize = C::requantize(block.multipliers.as_ptr(), self.range);
            for vector in vectors {
                let input = self.input.as_ptr().add(vector * pixels * self.input_step);
                let mut sums = bias;
                for (index, offsets) in block.offsets.iter().enumerate() {
                    let [a, b, c] = *offsets;
                    let rows = [input.add(a as usize), input.add(b as usize), input.add(c as usize)];
                    let column = C::column(rows, input_step);
                    sums = C::add(sums, &column, &C::weights(self.weights_of::<C>(index)));
                }
                self.store::<C>(vector * pixels, output_step, self.block.channels, &requantize, sums);
            }
        }
    }

    /// The weights of a column.
    ///
    /// # Safety
    ///
    /// The block has the column.
    #[inline(always)]
    unsafe fn weights_of<C: Columns>(&self, column: usize) -> *const i8 {
        // SAFETY: `check` has found WEIGHTS bytes for each column.
        unsafe { self.block.weights.as_ptr().cast::<i8>().add(column * C::WEIGHTS) }
    }

    /// The block's channels where outputs share columns, known to the compiler unless it takes masks: so the loops there have
    /// no call that writes a few bytes, across which nothing stays in registers.
    #[inline(always)]
    fn whole<C: Columns>(&self) -> usize {
        if C::MASKS { self.block.channels } else { C::CHANNELS }
    }

    /// Writes this many channels of a vector of pixels from `pixel` on, `step` bytes apart.
    ///
    /// # Safety
    ///
    /// As `run`; the pixels are the row's and the channels the block's.
    #[inline(always)]
    unsafe fn store<C: Columns>(
        &mut self,
        pixel: usize,
        step: usize,
        channels: usize,
        requantize: &C::Requantize,
        sums: C::Sums,
    ) {
        // SAFETY: `check` has found the block's channels of each pixel in the output.
        unsafe { C::store(requantize, sums, self.output.as_mut_ptr().add(pixel * self.output_step), step, channels) }
    }
}

/// Three columns of a block, in registers as far as there are enough.
struct Three<C: Columns> {
    left: C::Weights,
    middle: C::Weights,
    right: C::Weights,
    bias: C::Sums,
    requantize: C::Requantize,
    /// The rows of the first pixel's first column.
    rows: [*const u8; ROWS],
    input_step: usize,
    step: usize,
}

impl<C: Columns> Three<C> {
    /// Those of a row that has been checked.
    ///
    /// # Safety
    ///
    /// The processor has the instructions; `step` is the [`Row::column_step`].
    #[inline(always)]
    unsafe fn new(row: &Row<'_>, step: usize) -> Self {
        let block = row.block;
        let input = row.input.as_ptr();
        // SAFETY: the caller's promise; `check`.
        unsafe {
            Three {
                left: C::weights(row.weights_of::<C>(0)),
                middle: C::weights(row.weights_of::<C>(1)),
                right: C::weights(row.weights_of::<C>(2)),
                bias: C::bias(block.bias.as_ptr()),
                requantize: C::requantize(block.multipliers.as_ptr(), row.range),
                rows: block.offsets[0].map(|offset| input.add(offset as usize)),
                input_step: row.input_step,
                step,
            }
        }
    }

    /// The column at this index.
    ///
    /// # Safety
    ///
    /// A pixel of the row reads it.
    #[inline(always)]
    unsafe fn column(&self, index: usize) -> C::Column {
        let at = index * self.step;
        // SAFETY: the caller's promise.
        unsafe { C::column([self.rows[0].add(at), self.rows[1].add(at), self.rows[2].add(at)], self.input_step) }
    }
}
