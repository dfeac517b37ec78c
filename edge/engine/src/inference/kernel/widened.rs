//! The input of a convolution widened to 16 bits, for instructions that do not multiply bytes: some rows at a time, in scratch
//! space that fits into the L2 cache.

use std::ops::Range;

use super::convolution::ConvShape;
use super::grid::{Grid, SLACK};
use super::instruction_set::Widen;
use super::view::InputView;

/// Maximum bytes of the input that are widened at once, unless a single output row needs more.
const BYTES: usize = 96 << 10;

/// How many rows of a convolution's output are computed from one window of its input.
pub(super) struct Window {
    widen: Widen,
    rows: usize,
    bytes: usize,
}

impl Window {
    pub(super) fn new(widen: Widen, shape: &ConvShape, input: &Grid) -> Window {
        let row = input.row_stride();
        let read = |rows: usize| ((rows - 1) * shape.strides[0] + shape.extent(0)) * row;
        let mut rows = input.height * if shape.upsample { 2 } else { 1 };
        while rows > 1 && read(rows) > BYTES {
            rows = rows.div_ceil(2);
        }
        // Groups may read a few bytes after the last tap.
        Window { widen, rows, bytes: read(rows) + SLACK }
    }

    /// Output rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Scratch space of a window, in i32.
    pub(super) fn scratch(&self) -> usize {
        self.bytes.div_ceil(2)
    }

    /// Widens these bytes of the input.
    #[allow(
        unsafe_code,
        reason = "calls a function of an instruction set, which `Kernel::instruction_set` found to be available"
    )]
    pub(super) fn widen<'a>(&self, input: &InputView<'_>, bytes: Range<usize>, scratch: &'a mut [i32]) -> Taps<'a> {
        let start = bytes.start;
        let bytes = &input.bytes[bytes];
        let scratch = &mut scratch[..bytes.len().div_ceil(2)];
        // SAFETY: `Kernel::instruction_set` returns only sets that this processor has.
        unsafe { (self.widen)(bytes, scratch) };
        // SAFETY: each i32 is four bytes, and any byte is a u8.
        let bytes = unsafe { std::slice::from_raw_parts(scratch.as_ptr().cast::<u8>(), size_of_val(scratch)) };
        Taps { bytes, start, scale: 2 }
    }
}

/// Bytes that taps are read from: the input's own, or a window of widened ones.
pub(super) struct Taps<'a> {
    bytes: &'a [u8],
    /// Index of the first of them in the input.
    start: usize,
    /// Bytes for each byte of the input.
    pub(super) scale: usize,
}

impl<'a> Taps<'a> {
    pub(super) fn unwidened(bytes: &'a [u8]) -> Self {
        Taps { bytes, start: 0, scale: 1 }
    }

    /// From this byte of the input on.
    pub(super) fn from(&self, byte: usize) -> &'a [u8] {
        &self.bytes[(byte - self.start) * self.scale..]
    }
}
