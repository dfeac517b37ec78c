//! Views over borrowed pixels: their layout in memory, and one row of them as gray or RGB.
//!
//! Owns the pixel formats, the checks that make a view safe to read, and the colour arithmetic.
//! Knows nothing of files, cameras or sizes other than the image's own.

mod colour;

use core::fmt;

use crate::preprocess::Channels;
use crate::vector::InstructionSet;

pub(crate) use colour::Row;

/// The largest width or height of an image or a target, in pixels. Every product in the resize fits `u32` because of it.
pub const SIDE_MAX: usize = 16384;

/// How pixels lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum PixelFormat {
    /// One byte a pixel.
    Gray8,
    /// Three bytes a pixel: red, green, blue.
    Rgb8,
    /// Three bytes a pixel: blue, green, red.
    Bgr8,
    /// Four bytes a pixel: red, green, blue, alpha. Alpha is not looked at.
    Rgba8,
    /// 4:2:2, four bytes for two pixels: Y0 U Y1 V. The width is even.
    Yuyv,
    /// 4:2:2, four bytes for two pixels: U Y0 V Y1. The width is even.
    Uyvy,
    /// 4:2:0: a Y plane, then a plane of U V pairs with the same stride. Both sides are even.
    Nv12,
    /// 4:2:0: a Y plane, then a U and a V plane with half the stride. Both sides and the stride are even.
    I420,
}

impl PixelFormat {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Gray8, Self::Rgb8, Self::Bgr8, Self::Rgba8, Self::Yuyv, Self::Uyvy, Self::Nv12, Self::I420];

    /// Bytes that a row of `width` pixels takes in the first (or only) plane; also the stride of a packed image.
    #[must_use]
    pub const fn row_len(self, width: usize) -> usize {
        match self {
            Self::Gray8 | Self::Nv12 | Self::I420 => width,
            Self::Yuyv | Self::Uyvy => width.saturating_mul(2),
            Self::Rgb8 | Self::Bgr8 => width.saturating_mul(3),
            Self::Rgba8 => width.saturating_mul(4),
        }
    }

    /// The name that the serialized form uses too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gray8 => "gray8",
            Self::Rgb8 => "rgb8",
            Self::Bgr8 => "bgr8",
            Self::Rgba8 => "rgba8",
            Self::Yuyv => "yuyv",
            Self::Uyvy => "uyvy",
            Self::Nv12 => "nv12",
            Self::I420 => "i420",
        }
    }

    const fn needs_even_width(self) -> bool {
        matches!(self, Self::Yuyv | Self::Uyvy | Self::Nv12 | Self::I420)
    }

    const fn needs_even_height(self) -> bool {
        matches!(self, Self::Nv12 | Self::I420)
    }

    /// Bytes from the first to the last that is read: padding after the very last row is not asked for, since drivers
    /// leave it out. `None` when that does not fit `usize`.
    fn data_len(self, width: usize, height: usize, stride: usize) -> Option<usize> {
        let last = |rows: usize, stride: usize, row: usize| rows.checked_sub(1)?.checked_mul(stride)?.checked_add(row);
        match self {
            Self::Nv12 => stride.checked_mul(height)?.checked_add(last(height / 2, stride, width)?),
            Self::I420 => {
                let (rows, half) = (height / 2, stride / 2);
                let luma_and_u = stride.checked_mul(height)?.checked_add(half.checked_mul(rows)?)?;
                luma_and_u.checked_add(last(rows, half, width / 2)?)
            }
            _ => last(height, stride, self.row_len(width)),
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes are not the image that they are said to be, or why a row cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageError {
    /// A side is 0 or longer than [`SIDE_MAX`].
    Size {
        /// Width found, in pixels.
        width: usize,
        /// Height found, in pixels.
        height: usize,
    },
    /// A side is odd although the format's chroma covers two pixels.
    OddSide {
        /// The format.
        format: PixelFormat,
        /// Width found, in pixels.
        width: usize,
        /// Height found, in pixels.
        height: usize,
    },
    /// A row does not fit its stride.
    Stride {
        /// The least stride that holds a row, in bytes.
        expected: usize,
        /// Stride found, in bytes.
        found: usize,
    },
    /// The stride of an I420 image is odd, so that its chroma planes have none.
    OddStride {
        /// Stride found, in bytes.
        found: usize,
    },
    /// The stride and the height are such that the image does not fit the address space.
    TooLarge,
    /// Fewer bytes than the image takes.
    Data {
        /// The least number of bytes.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// A row below the last one.
    Row {
        /// The row asked for.
        y: usize,
        /// Rows that there are.
        height: usize,
    },
    /// The buffer for a row has the wrong length.
    Output {
        /// Width times channels.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Size { width, height } => {
                write!(f, "image sides must be 1 to {SIDE_MAX} pixels, found {width}x{height}")
            }
            Self::OddSide { format, width, height } => {
                let sides = if format.needs_even_height() { "width and height" } else { "width" };
                write!(f, "{format} image needs an even {sides}, found {width}x{height}")
            }
            Self::Stride { expected, found } => {
                write!(f, "image stride must be at least {expected} bytes, found {found}")
            }
            Self::OddStride { found } => write!(f, "i420 image needs an even stride, found {found} bytes"),
            Self::TooLarge => f.write_str("image does not fit the address space"),
            Self::Data { expected, found } => write!(f, "image takes at least {expected} bytes, found {found}"),
            Self::Row { y, height } => write!(f, "image has {height} rows, row {y} was asked for"),
            Self::Output { expected, found } => {
                write!(f, "buffer for an image row must hold {expected} bytes, holds {found}")
            }
        }
    }
}

impl core::error::Error for ImageError {}

/// Pixels that lie in somebody else's memory, in a layout that has been checked once and for all.
#[derive(Clone, Copy, Debug)]
pub struct ImageView<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
    format: PixelFormat,
}

impl<'a> ImageView<'a> {
    /// A view of `width` x `height` pixels whose rows (of the Y plane, where there are planes) start `stride` bytes
    /// apart. More bytes than needed are allowed.
    ///
    /// # Errors
    /// When a side, the stride or the number of bytes does not fit the format.
    pub fn new(
        data: &'a [u8],
        width: usize,
        height: usize,
        stride: usize,
        format: PixelFormat,
    ) -> Result<Self, ImageError> {
        if !(1..=SIDE_MAX).contains(&width) || !(1..=SIDE_MAX).contains(&height) {
            return Err(ImageError::Size { width, height });
        }
        let odd_width = format.needs_even_width() && !width.is_multiple_of(2);
        let odd_height = format.needs_even_height() && !height.is_multiple_of(2);
        if odd_width || odd_height {
            return Err(ImageError::OddSide { format, width, height });
        }
        let row_len = format.row_len(width);
        if stride < row_len {
            return Err(ImageError::Stride { expected: row_len, found: stride });
        }
        if format == PixelFormat::I420 && !stride.is_multiple_of(2) {
            return Err(ImageError::OddStride { found: stride });
        }
        let expected = format.data_len(width, height, stride).ok_or(ImageError::TooLarge)?;
        if data.len() < expected {
            return Err(ImageError::Data { expected, found: data.len() });
        }
        Ok(Self { data, width, height, stride, format })
    }

    /// A view of rows without padding.
    ///
    /// # Errors
    /// As [`ImageView::new`].
    pub fn packed(data: &'a [u8], width: usize, height: usize, format: PixelFormat) -> Result<Self, ImageError> {
        Self::new(data, width, height, format.row_len(width), format)
    }

    /// Pixels a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Bytes from one row of the first plane to the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// The layout.
    #[must_use]
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// The bytes that the view was made from.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Row `y` as interleaved gray or RGB: `width * channels` bytes.
    ///
    /// # Errors
    /// When there is no such row or `out` has another length.
    pub fn read_row(&self, y: usize, channels: Channels, out: &mut [u8]) -> Result<(), ImageError> {
        self.read_row_on(InstructionSet::best(), y, channels, out)
    }

    /// [`read_row`](Self::read_row) with a given instruction set; plain Rust where this core lacks it.
    ///
    /// # Errors
    /// As there.
    pub fn read_row_on(
        &self,
        instructions: InstructionSet,
        y: usize,
        channels: Channels,
        out: &mut [u8],
    ) -> Result<(), ImageError> {
        let row = self.row(y, channels, out)?;
        match instructions.operations() {
            Some(operations) => operations.interleave(&row, channels, out),
            None => row.convert(channels, out),
        }
        Ok(())
    }

    /// Row `y`, once it and the length of `out` are known to be right.
    pub(crate) fn row(&self, y: usize, channels: Channels, out: &[u8]) -> Result<Row<'a>, ImageError> {
        if y >= self.height {
            return Err(ImageError::Row { y, height: self.height });
        }
        let expected = self.width * channels.count();
        if out.len() != expected {
            return Err(ImageError::Output { expected, found: out.len() });
        }
        let first = self.bytes(y * self.stride, self.format.row_len(self.width));
        let chroma = self.stride * self.height;
        let (second, third) = match self.format {
            PixelFormat::Nv12 => (self.bytes(chroma + y / 2 * self.stride, self.width), [].as_slice()),
            PixelFormat::I420 => {
                let half = self.stride / 2;
                let row = |start: usize| self.bytes(start + y / 2 * half, self.width / 2);
                (row(chroma), row(chroma + half * (self.height / 2)))
            }
            _ => ([].as_slice(), [].as_slice()),
        };
        Ok(Row { format: self.format, planes: [first, second, third] })
    }

    /// `len` bytes from `start`; `new` has checked that every row of every plane lies within the data.
    fn bytes(&self, start: usize, len: usize) -> &'a [u8] {
        &self.data[start..start + len]
    }
}

#[cfg(test)]
mod tests;
