//! Views over borrowed pixels: their layout in memory, and one row of them as gray or RGB.
//!
//! Owns the pixel formats, the encodings of colour, the checks that make a view safe to read, and the colour arithmetic.
//! Knows nothing of files, cameras or sizes other than the image's own.

mod colour;
mod encoding;

use core::fmt;

use crate::preprocess::Channels;
use crate::tiles::Tile;
use crate::vector::InstructionSet;

pub(crate) use colour::Row;
pub use encoding::{ColourEncoding, Matrix, Range};
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(unused_imports, reason = "no instruction set of this architecture converts rows")
)]
pub(crate) use encoding::{Factors, small, whole, with_factors};

/// The largest width or height of an image or a target, in pixels. Every product in the resize fits `u32` because of
/// it.
pub const SIDE_MAX: usize = 16384;

/// The layout of pixels in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum PixelFormat {
    /// One byte per pixel.
    Gray8,
    /// Three bytes per pixel: red, green, blue.
    Rgb8,
    /// Three bytes per pixel: blue, green, red.
    Bgr8,
    /// Four bytes per pixel: red, green, blue, alpha. Alpha is ignored.
    Rgba8,
    /// 4:2:2, four bytes for two pixels: Y0 U Y1 V. The width is even.
    Yuyv,
    /// 4:2:2, four bytes for two pixels: U Y0 V Y1. The width is even.
    Uyvy,
    /// 4:2:0: a Y plane, then a plane of U V pairs with the same stride. Both sides are even.
    Nv12,
    /// 4:2:0: a Y plane, then a U and a V plane with half the stride. Both sides and the stride are even.
    I420,
    /// 4:2:2: a Y plane, then a U and a V plane with half the stride and all rows. The width and the stride are even.
    I422,
    /// 4:4:4: a Y, a U and a V plane of the same size.
    I444,
}

impl PixelFormat {
    /// All formats.
    pub const ALL: [Self; 10] = [
        Self::Gray8,
        Self::Rgb8,
        Self::Bgr8,
        Self::Rgba8,
        Self::Yuyv,
        Self::Uyvy,
        Self::Nv12,
        Self::I420,
        Self::I422,
        Self::I444,
    ];

    /// Bytes of a row of `width` pixels in the first (or only) plane; also the stride of a packed image.
    #[must_use]
    pub const fn row_len(self, width: usize) -> usize {
        match self {
            Self::Gray8 | Self::Nv12 | Self::I420 | Self::I422 | Self::I444 => width,
            Self::Yuyv | Self::Uyvy => width.saturating_mul(2),
            Self::Rgb8 | Self::Bgr8 => width.saturating_mul(3),
            Self::Rgba8 => width.saturating_mul(4),
        }
    }

    /// The name, as in the serialized form.
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
            Self::I422 => "i422",
            Self::I444 => "i444",
        }
    }

    /// Whether there is luma, so that the range counts.
    #[must_use]
    pub const fn has_luma(self) -> bool {
        !matches!(self, Self::Rgb8 | Self::Bgr8 | Self::Rgba8)
    }

    /// Whether there is chroma, so that the matrix counts.
    #[must_use]
    pub const fn has_chroma(self) -> bool {
        self.has_luma() && !matches!(self, Self::Gray8)
    }

    /// Whether two pixels of a row share their chroma.
    #[must_use]
    pub const fn needs_even_width(self) -> bool {
        matches!(self, Self::Yuyv | Self::Uyvy | Self::Nv12 | Self::I420 | Self::I422)
    }

    const fn needs_even_stride(self) -> bool {
        matches!(self, Self::I420 | Self::I422)
    }

    /// Whether two rows share their chroma.
    #[must_use]
    pub const fn needs_even_height(self) -> bool {
        matches!(self, Self::Nv12 | Self::I420)
    }

    /// The width of a chroma plane, or the length of its rows in bytes, if that of the luma plane is `width`. The formats
    /// with planes have one of U and one of V, except for NV12.
    const fn chroma_width(self, width: usize) -> usize {
        if self.needs_even_stride() { width / 2 } else { width }
    }

    const fn chroma_height(self, height: usize) -> usize {
        if self.needs_even_height() { height / 2 } else { height }
    }

    /// Bytes of all planes, including the padding of the very last row. `None` if that does not fit `usize`.
    #[must_use]
    pub fn padded_len(self, height: usize, stride: usize) -> Option<usize> {
        let planes = match self {
            Self::Nv12 => 1,
            Self::I420 | Self::I422 | Self::I444 => 2,
            _ => 0,
        };
        let chroma = self.chroma_width(stride).checked_mul(self.chroma_height(height))?.checked_mul(planes)?;
        stride.checked_mul(height)?.checked_add(chroma)
    }

    /// Bytes from the first to the last that is read. Padding after the very last row is not required, since drivers
    /// leave it out. `None` if that does not fit `usize`.
    fn data_len(self, width: usize, height: usize, stride: usize) -> Option<usize> {
        let last = |rows: usize, stride: usize, row: usize| rows.checked_sub(1)?.checked_mul(stride)?.checked_add(row);
        match self {
            Self::Nv12 => stride.checked_mul(height)?.checked_add(last(height / 2, stride, width)?),
            Self::I420 | Self::I422 | Self::I444 => {
                let (rows, chroma) = (self.chroma_height(height), self.chroma_width(stride));
                let luma_and_u = stride.checked_mul(height)?.checked_add(chroma.checked_mul(rows)?)?;
                luma_and_u.checked_add(last(rows, chroma, self.chroma_width(width))?)
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

/// Why bytes are not an image of the given format and size, or why a row cannot be read.
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
        /// The smallest stride for a row, in bytes.
        expected: usize,
        /// Stride found, in bytes.
        found: usize,
    },
    /// The stride is odd although chroma planes have half of it.
    OddStride {
        /// The format.
        format: PixelFormat,
        /// Stride found, in bytes.
        found: usize,
    },
    /// With this stride and height the image does not fit the address space.
    TooLarge,
    /// Fewer bytes than the image needs.
    Data {
        /// The smallest number of bytes.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// A row below the last one.
    Row {
        /// The row requested.
        y: usize,
        /// Rows of the image.
        height: usize,
    },
    /// A part that is empty or not within the image, or that begins between two pixels that share their chroma.
    Crop {
        /// Width and height of the image.
        image: (usize, usize),
        /// First column, first row, width and height of the part.
        found: (usize, usize, usize, usize),
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
                write!(f, "image size: expected 1 to {SIDE_MAX} pixels per side, found {width}x{height}")
            }
            Self::OddSide { format, width, height } => {
                let sides = if format.needs_even_height() { "width and height" } else { "width" };
                write!(f, "{format} image: expected an even {sides}, found {width}x{height}")
            }
            Self::Stride { expected, found } => {
                write!(f, "image stride: expected at least {expected} bytes, found {found}")
            }
            Self::OddStride { format, found } => {
                write!(f, "{format} image: expected an even stride, found {found} bytes")
            }
            Self::TooLarge => f.write_str("image does not fit the address space"),
            Self::Data { expected, found } => {
                write!(f, "image data: expected at least {expected} bytes, found {found}")
            }
            Self::Row { y, height } => write!(f, "image row: expected a row below {height}, found {y}"),
            Self::Crop { image: (columns, rows), found: (x, y, width, height) } => write!(
                f,
                "part of an image: expected one within {columns}x{rows} pixels, on whole chroma samples, found {width}x{height} \
                 at column {x}, row {y}"
            ),
            Self::Output { expected, found } => {
                write!(f, "buffer for an image row: expected {expected} bytes, found {found}")
            }
        }
    }
}

impl core::error::Error for ImageError {}

/// A view of pixels in borrowed memory, whose layout is checked when it is made.
#[derive(Clone, Copy, Debug)]
pub struct ImageView<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
    format: PixelFormat,
    // First column and row of the view in the image whose bytes these are, and that image's rows.
    left: usize,
    top: usize,
    rows: usize,
    encoding: ColourEncoding,
}

impl<'a> ImageView<'a> {
    /// A view of `width` x `height` pixels whose rows (of the Y plane, in planar formats) start `stride` bytes apart.
    /// More bytes than needed are allowed. The encoding is [`ColourEncoding::assumed`].
    ///
    /// # Errors
    /// If a side, the stride or the number of bytes does not fit the format.
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
        if format.needs_even_stride() && !stride.is_multiple_of(2) {
            return Err(ImageError::OddStride { format, found: stride });
        }
        let expected = format.data_len(width, height, stride).ok_or(ImageError::TooLarge)?;
        if data.len() < expected {
            return Err(ImageError::Data { expected, found: data.len() });
        }
        Ok(Self {
            data,
            width,
            height,
            stride,
            format,
            left: 0,
            top: 0,
            rows: height,
            encoding: ColourEncoding::assumed(format),
        })
    }

    /// With another range and matrix; without effect on RGB.
    #[must_use]
    pub const fn encoded(self, encoding: ColourEncoding) -> Self {
        Self { encoding, ..self }
    }

    /// A view of rows without padding.
    ///
    /// # Errors
    /// As [`ImageView::new`].
    pub fn packed(data: &'a [u8], width: usize, height: usize, format: PixelFormat) -> Result<Self, ImageError> {
        Self::new(data, width, height, format.row_len(width), format)
    }

    /// A part of the image: `width` x `height` pixels from column `x` and row `y`. Copies nothing.
    ///
    /// # Errors
    /// If it is empty or not within the image, or if pixels share their chroma and a side or the start is odd.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Result<Self, ImageError> {
        let within =
            |start: usize, len: usize, side: usize| len > 0 && start.checked_add(len).is_some_and(|end| end <= side);
        let even = |needed: bool, start: usize, len: usize| !needed || start.is_multiple_of(2) && len.is_multiple_of(2);
        let fits = within(x, width, self.width)
            && within(y, height, self.height)
            && even(self.format.needs_even_width(), x, width)
            && even(self.format.needs_even_height(), y, height);
        if !fits {
            return Err(ImageError::Crop { image: (self.width, self.height), found: (x, y, width, height) });
        }
        Ok(Self { left: self.left + x, top: self.top + y, width, height, ..*self })
    }

    /// The pixels of a tile.
    ///
    /// # Errors
    /// As [`ImageView::crop`].
    pub fn crop_to(&self, tile: &Tile) -> Result<Self, ImageError> {
        self.crop(tile.columns.tile.start, tile.rows.tile.start, tile.width(), tile.height())
    }

    /// Pixels per row.
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

    /// Range and matrix.
    #[must_use]
    pub const fn encoding(&self) -> ColourEncoding {
        self.encoding
    }

    /// The viewed bytes; of a part, those of the whole image.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Row `y` as interleaved gray or RGB: `width * channels` bytes.
    ///
    /// # Errors
    /// If there is no such row, or `out` has another length.
    pub fn read_row(&self, y: usize, channels: Channels, out: &mut [u8]) -> Result<(), ImageError> {
        self.read_row_on(InstructionSet::best(), y, channels, out)
    }

    /// [`read_row`](Self::read_row) with a given instruction set; plain Rust if this core lacks it.
    ///
    /// # Errors
    /// As for [`read_row`](Self::read_row).
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

    /// Row `y`; the row and the length of `out` are checked.
    pub(crate) fn row(&self, y: usize, channels: Channels, out: &[u8]) -> Result<Row<'a>, ImageError> {
        if y >= self.height {
            return Err(ImageError::Row { y, height: self.height });
        }
        let expected = self.width * channels.count();
        if out.len() != expected {
            return Err(ImageError::Output { expected, found: out.len() });
        }
        let y = self.top + y;
        let first = self.bytes(y * self.stride + self.format.row_len(self.left), self.format.row_len(self.width));
        let chroma = self.stride * self.rows;
        let (second, third) = match self.format {
            PixelFormat::Nv12 => (self.bytes(chroma + y / 2 * self.stride + self.left, self.width), [].as_slice()),
            PixelFormat::I420 | PixelFormat::I422 | PixelFormat::I444 => {
                let (stride, width) = (self.format.chroma_width(self.stride), self.format.chroma_width(self.width));
                let at = self.format.chroma_height(y) * stride + self.format.chroma_width(self.left);
                let plane = stride * self.format.chroma_height(self.rows);
                (self.bytes(chroma + at, width), self.bytes(chroma + plane + at, width))
            }
            _ => ([].as_slice(), [].as_slice()),
        };
        Ok(Row { format: self.format, encoding: self.encoding, planes: [first, second, third] })
    }

    /// `len` bytes from `start`; `new` has checked that every row of every plane lies within the data.
    fn bytes(&self, start: usize, len: usize) -> &'a [u8] {
        &self.data[start..start + len]
    }
}

#[cfg(test)]
mod tests;
