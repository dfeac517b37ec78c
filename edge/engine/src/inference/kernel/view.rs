//! Views of some channels of a tensor: one to read, one to write. Both compute kernels and data movement ops work on them.

use std::ops::Range;

use super::error::ConvError;
use super::grid::Grid;

/// Some channels of a tensor, to read.
#[derive(Clone, Copy)]
pub struct InputView<'a> {
    pub(super) grid: Grid,
    pub(super) first_channel: usize,
    pub(super) channels: usize,
    pub(super) bytes: &'a [u8],
}

impl<'a> InputView<'a> {
    /// The `channels` of the tensor in `bytes`, which start with the first pixel of its border.
    ///
    /// # Errors
    ///
    /// If `bytes` has fewer than [`Grid::bytes`], or the tensor has no such channels.
    pub fn new(grid: Grid, channels: Range<usize>, bytes: &'a [u8]) -> Result<Self, ConvError> {
        check(&grid, &channels, bytes.len())?;
        Ok(InputView { grid, first_channel: channels.start, channels: channels.len(), bytes })
    }

    /// The layout of the whole tensor.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Which of the tensor's channels.
    pub fn channels(&self) -> Range<usize> {
        self.first_channel..self.first_channel + self.channels
    }

    /// The pixels of a row, border excluded, each with all channels of the tensor.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &'a [u8] {
        assert!(row < self.grid.height, "row {row} of {}", self.grid.height);
        let start = self.grid.index(row as isize, 0);
        &self.bytes[start..start + self.grid.width * self.grid.pixel_stride]
    }

    /// The view's channels of each pixel of a row.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn pixels(&self, row: usize) -> impl Iterator<Item = &'a [u8]> {
        let channels = self.channels();
        self.row(row).chunks_exact(self.grid.pixel_stride).map(move |pixel| &pixel[channels.clone()])
    }
}

/// Some channels of some rows of a tensor, to write.
pub struct OutputView<'a> {
    pub(super) grid: Grid,
    pub(super) first_channel: usize,
    pub(super) channels: usize,
    pub(super) rows: Range<usize>,
    /// From the left border of the first row on.
    pub(super) bytes: &'a mut [u8],
}

impl<'a> OutputView<'a> {
    /// The `channels` of all rows of the tensor in `bytes`, which start with the first pixel of its border.
    ///
    /// # Errors
    ///
    /// If `bytes` has fewer than [`Grid::bytes`], or the tensor has no such channels.
    pub fn new(grid: Grid, channels: Range<usize>, bytes: &'a mut [u8]) -> Result<Self, ConvError> {
        check(&grid, &channels, bytes.len())?;
        let bytes = &mut bytes[grid.border * grid.row_stride()..];
        Ok(OutputView { grid, first_channel: channels.start, channels: channels.len(), rows: 0..grid.height, bytes })
    }

    /// The rows that may be written.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// The rows before `row` and the rows from it on, for two threads.
    ///
    /// # Panics
    ///
    /// If `row` is neither one of the rows nor their end.
    pub fn split_at_row(self, row: usize) -> (OutputView<'a>, OutputView<'a>) {
        assert!(self.rows.start <= row && row <= self.rows.end, "row {row} of {:?}", self.rows);
        let (above, below) = self.bytes.split_at_mut((row - self.rows.start) * self.grid.row_stride());
        (
            OutputView { rows: self.rows.start..row, bytes: above, ..self },
            OutputView { rows: row..self.rows.end, bytes: below, ..self },
        )
    }

    /// The layout of the whole tensor.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Which of the tensor's channels.
    pub fn channels(&self) -> Range<usize> {
        self.first_channel..self.first_channel + self.channels
    }

    /// The pixels of a row, border excluded, each with all channels of the tensor.
    ///
    /// # Panics
    ///
    /// If `row` is not one of the rows.
    pub fn row(&self, row: usize) -> &[u8] {
        assert!(self.rows.contains(&row), "row {row} of {:?}", self.rows);
        let start = self.index(row, 0) - self.first_channel;
        &self.bytes[start..start + self.grid.width * self.grid.pixel_stride]
    }

    /// Calls `write` for each row with its number, its pixels as [`OutputView::row`] returns them, the pixel stride and the
    /// view's channels.
    pub fn for_each_row(&mut self, mut write: impl FnMut(usize, &mut [u8], usize, Range<usize>)) {
        let (stride, channels) = (self.grid.pixel_stride, self.channels());
        let (left, length) = (self.grid.border * stride, self.grid.width * stride);
        for (row, bytes) in self.rows.clone().zip(self.bytes.chunks_mut(self.grid.row_stride())) {
            write(row, &mut bytes[left..left + length], stride, channels.clone());
        }
    }

    /// Index in `bytes` of the view's first channel of this pixel.
    pub(super) fn index(&self, row: usize, column: usize) -> usize {
        (row - self.rows.start) * self.grid.row_stride()
            + (self.grid.border + column) * self.grid.pixel_stride
            + self.first_channel
    }
}

fn check(grid: &Grid, channels: &Range<usize>, bytes: usize) -> Result<(), ConvError> {
    if channels.is_empty() || channels.end > grid.pixel_stride {
        return Err(ConvError::Bounds {
            what: "end of the channels",
            bounds: [channels.start + 1, grid.pixel_stride],
            found: channels.end,
        });
    }
    if bytes < grid.bytes() {
        return Err(ConvError::Buffer { expected: grid.bytes(), found: bytes });
    }
    Ok(())
}
