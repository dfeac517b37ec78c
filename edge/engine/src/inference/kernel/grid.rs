//! Where the bytes of a tensor lie, and views of some of its channels: one to be read, one to be written. Knows nothing of
//! what is computed.

use std::ops::Range;

use super::ConvError;

/// Bytes that a buffer has to have behind its last pixel, for vector loads.
pub const SLACK: usize = 64;

/// Where the bytes of a tensor lie: rows of pixels of channels, with a border around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) border: usize,
    pub(super) pixel_stride: usize,
}

impl Grid {
    /// `height` by `width` pixels of `pixel_stride` bytes with `border` pixels on each side.
    ///
    /// # Errors
    ///
    /// When there is nothing in it, or it has more than 1 GiB.
    pub fn new(height: usize, width: usize, border: usize, pixel_stride: usize) -> Result<Grid, ConvError> {
        let side = |pixels: usize| border.checked_mul(2).and_then(|borders| borders.checked_add(pixels));
        let bytes = side(height)
            .zip(side(width))
            .and_then(|(height, width)| height.checked_mul(width))
            .and_then(|pixels| pixels.checked_mul(pixel_stride));
        let empty = height == 0 || width == 0 || pixel_stride == 0;
        match bytes {
            Some(bytes) if bytes <= 1 << 30 && !empty => Ok(Grid { height, width, border, pixel_stride }),
            _ => Err(ConvError::Grid { height, width, pixel_stride }),
        }
    }

    /// Rows, without the border.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns, without the border.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels of the border on each side.
    pub fn border(&self) -> usize {
        self.border
    }

    /// Bytes from a pixel to its right neighbour: the channels of the buffer.
    pub fn pixel_stride(&self) -> usize {
        self.pixel_stride
    }

    /// Bytes from a pixel to the one below.
    pub fn row_stride(&self) -> usize {
        (self.width + 2 * self.border) * self.pixel_stride
    }

    /// Bytes of the whole buffer, [`SLACK`] included.
    pub fn bytes(&self) -> usize {
        (self.height + 2 * self.border) * self.row_stride() + SLACK
    }

    /// Where channel 0 of the pixel in this row and column lies; both may be in the border, then counted from
    /// `-border`.
    pub(super) fn index(&self, row: isize, column: isize) -> usize {
        let row = row + self.border as isize;
        let column = column + self.border as isize;
        debug_assert!(row >= 0 && column >= 0);
        row as usize * self.row_stride() + column as usize * self.pixel_stride
    }

    fn check(&self, channels: &Range<usize>, bytes: usize) -> Result<(), ConvError> {
        if channels.is_empty() || channels.end > self.pixel_stride {
            return Err(ConvError::Bounds {
                what: "end of the channels",
                bounds: [channels.start + 1, self.pixel_stride],
                found: channels.end,
            });
        }
        if bytes < self.bytes() {
            return Err(ConvError::Buffer { expected: self.bytes(), found: bytes });
        }
        Ok(())
    }
}

/// Some channels of a tensor, to be read.
#[derive(Clone, Copy)]
pub struct InputView<'a> {
    pub(super) grid: Grid,
    pub(super) first_channel: usize,
    pub(super) channels: usize,
    pub(super) bytes: &'a [u8],
}

impl<'a> InputView<'a> {
    /// The `channels` of the tensor that lies in `bytes`, from its border's first pixel on.
    ///
    /// # Errors
    ///
    /// When `bytes` are fewer than [`Grid::bytes`], or the tensor has no such channels.
    pub fn new(grid: Grid, channels: Range<usize>, bytes: &'a [u8]) -> Result<Self, ConvError> {
        grid.check(&channels, bytes.len())?;
        Ok(InputView { grid, first_channel: channels.start, channels: channels.len(), bytes })
    }
}

/// Some channels of some rows of a tensor, to be written.
pub struct OutputView<'a> {
    pub(super) grid: Grid,
    pub(super) first_channel: usize,
    pub(super) channels: usize,
    pub(super) rows: Range<usize>,
    /// From the first byte of the first of the rows (its left border) on.
    pub(super) bytes: &'a mut [u8],
}

impl<'a> OutputView<'a> {
    /// The `channels` of all rows of the tensor that lies in `bytes`, from its border's first pixel on.
    ///
    /// # Errors
    ///
    /// When `bytes` are fewer than [`Grid::bytes`], or the tensor has no such channels.
    pub fn new(grid: Grid, channels: Range<usize>, bytes: &'a mut [u8]) -> Result<Self, ConvError> {
        grid.check(&channels, bytes.len())?;
        let bytes = &mut bytes[grid.border * grid.row_stride()..];
        Ok(OutputView { grid, first_channel: channels.start, channels: channels.len(), rows: 0..grid.height, bytes })
    }

    /// The rows that may be written.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// The rows before `row` and those from it on, to be written by two threads.
    ///
    /// # Panics
    ///
    /// When `row` is not one of the rows nor their end.
    pub fn split_at_row(self, row: usize) -> (OutputView<'a>, OutputView<'a>) {
        assert!(self.rows.start <= row && row <= self.rows.end, "row {row} of {:?}", self.rows);
        let (above, below) = self.bytes.split_at_mut((row - self.rows.start) * self.grid.row_stride());
        (
            OutputView { rows: self.rows.start..row, bytes: above, ..self },
            OutputView { rows: row..self.rows.end, bytes: below, ..self },
        )
    }

    /// How many channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Bytes from a pixel to its right neighbour.
    pub fn pixel_stride(&self) -> usize {
        self.grid.pixel_stride
    }

    /// A row, from its first pixel's first channel to its last pixel's last one.
    ///
    /// # Panics
    ///
    /// When `row` is not one of the rows.
    pub fn row(&self, row: usize) -> &[u8] {
        assert!(self.rows.contains(&row), "row {row} of {:?}", self.rows);
        let start = self.index(row, 0);
        &self.bytes[start..start + (self.grid.width - 1) * self.grid.pixel_stride + self.channels]
    }

    /// Where the view's first channel of this pixel lies in `bytes`.
    pub(super) fn index(&self, row: usize, column: usize) -> usize {
        (row - self.rows.start) * self.grid.row_stride()
            + (self.grid.border + column) * self.grid.pixel_stride
            + self.first_channel
    }
}
