//! The layout of a tensor in memory.

use super::error::ConvError;

/// Bytes that a buffer needs after its last pixel, for vector loads.
pub const SLACK: usize = 64;

/// The layout of a tensor's bytes: rows of pixels of channels, with a border around.
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
    /// If it is empty or larger than 1 GiB.
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

    /// Index of channel 0 of the pixel in this row and column; both start at `-border`.
    pub(super) fn index(&self, row: isize, column: isize) -> usize {
        let row = row + self.border as isize;
        let column = column + self.border as isize;
        debug_assert!(row >= 0 && column >= 0);
        row as usize * self.row_stride() + column as usize * self.pixel_stride
    }
}
