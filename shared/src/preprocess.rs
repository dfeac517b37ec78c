//! Preprocessing: pixels of any supported format to u8 planes, and per-channel tables from these to a model's input.
//! There is no other.
//!
//! Owns the specification, the geometry of fitting an image into the target, and the order of the steps: colour,
//! resize, table. Integer up to the table, so that every machine and instruction set gives the same bytes. Knows
//! nothing of files and models; [`crate::mask`] applies the same geometry to masks.

mod geometry;
mod normalize;
pub(crate) mod resize;
mod rows;
pub(crate) mod windows;

use core::fmt;

use crate::image::{ImageError, ImageView, SIDE_MAX};
use crate::samples::SampleReading;
use crate::vector::InstructionSet;

pub use geometry::Placement;
pub use normalize::Normalize;

/// The channels of a model's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Channels {
    /// One plane: luma.
    Gray,
    /// Three planes: red, green, blue.
    Rgb,
}

impl Channels {
    /// 1 or 3.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb => 3,
        }
    }
}

/// How an image is fitted into the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Fit {
    /// Each axis is scaled independently to fill the target.
    Stretch,
    /// Scaled with its aspect ratio kept, and centred; the rest is filled.
    Letterbox,
    /// Not scaled, placed at the top left; the rest is filled. A larger image is an error.
    Pad,
}

/// The resize filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Filter {
    /// The source pixel under the centre of the target pixel.
    Nearest,
    /// Interpolated between the two source pixels around the centre; border pixels are repeated.
    Bilinear,
    /// The mean over the target pixel's area on an axis that shrinks; bilinear on one that grows.
    Area,
}

/// The specification of a model's preprocessing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize))]
pub struct Preprocess {
    /// Width of the model's input, in pixels.
    pub width: u32,
    /// Height of the model's input, in pixels.
    pub height: u32,
    /// Gray or RGB.
    pub channels: Channels,
    /// How the image is fitted into the target.
    pub fit: Fit,
    /// The resize filter.
    pub filter: Filter,
    /// From bytes to the input of the float model.
    pub normalize: Normalize,
    /// The value of every channel outside the placed image.
    pub fill: u8,
    /// How samples of image files become bytes first; camera frames are bytes already.
    #[cfg_attr(feature = "alloc", serde(default, skip_serializing_if = "SampleReading::is_plain"))]
    pub samples: SampleReading,
}

/// Why a specification is invalid, or an image cannot be preprocessed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PreprocessError {
    /// A target side is 0 or longer than [`SIDE_MAX`].
    Target {
        /// Width found, in pixels.
        width: u32,
        /// Height found, in pixels.
        height: u32,
    },
    /// Mean and standard deviation do not give finite numbers.
    MeanStd {
        /// Which of the three channels.
        channel: usize,
        /// Mean found.
        mean: f32,
        /// Standard deviation found.
        std: f32,
    },
    /// An image side is 0 or longer than [`SIDE_MAX`].
    Size {
        /// Width found, in pixels.
        width: usize,
        /// Height found, in pixels.
        height: usize,
    },
    /// An image to be padded is larger than the target.
    Pad {
        /// Target width and height, in pixels.
        target: (u32, u32),
        /// Image width and height, in pixels.
        image: (usize, usize),
    },
    /// The output buffer has the wrong length.
    Output {
        /// Channels times height times width.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// A scratch buffer is too short.
    Scratch {
        /// Elements needed.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// A row of the image cannot be read.
    Image(ImageError),
}

impl fmt::Display for PreprocessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Target { width, height } => {
                write!(f, "size of the input: expected 1 to {SIDE_MAX} pixels per side, found {width}x{height}")
            }
            Self::MeanStd { channel, mean, std } => write!(
                f,
                "normalization of channel {}: expected finite results and a positive standard deviation, \
                 found mean {mean:?}, standard deviation {std:?}",
                channel + 1
            ),
            Self::Size { width, height } => {
                write!(f, "image size: expected 1 to {SIDE_MAX} pixels per side, found {width}x{height}")
            }
            Self::Pad { target: (width, height), image } => {
                write!(f, "image to pad: expected at most {width}x{height} pixels, found {}x{}", image.0, image.1)
            }
            Self::Output { expected, found } => {
                write!(f, "preprocessing output: expected {expected} bytes, found {found}")
            }
            Self::Scratch { expected, found } => {
                write!(f, "preprocessing scratch: expected at least {expected} elements, found {found}")
            }
            Self::Image(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for PreprocessError {}

impl From<ImageError> for PreprocessError {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

/// The minimal lengths of the buffers of a [`Scratch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScratchLen {
    /// One source row, in bytes.
    pub row: usize,
    /// Two resized rows.
    pub resized: usize,
    /// One row of sums.
    pub sums: usize,
    /// Taps of the horizontal axis.
    pub taps: usize,
}

/// Working memory of [`Preprocess::run`], of any content.
#[derive(Debug)]
pub struct Scratch<'a> {
    /// One source row, interleaved.
    pub row: &'a mut [u8],
    /// Two resized rows with eight fraction bits.
    pub resized: &'a mut [u16],
    /// One row of sums.
    pub sums: &'a mut [u32],
    /// Taps of the horizontal axis.
    pub taps: &'a mut [u16],
}

impl Preprocess {
    /// The default: 1024x1024 gray, stretched, area filter, 0 to 1.
    pub const CLASSIC: Self = Self {
        width: 1024,
        height: 1024,
        channels: Channels::Gray,
        fit: Fit::Stretch,
        filter: Filter::Area,
        normalize: Normalize::Unit,
        fill: 0,
        samples: SampleReading::PLAIN,
    };

    /// Checks the target's sides and the normalization.
    ///
    /// # Errors
    /// If a side or the normalization is out of range.
    pub fn validate(&self) -> Result<(), PreprocessError> {
        self.target()?;
        self.normalize.validate()
    }

    /// Bytes of the output: channels times height times width.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.channels.count().saturating_mul(self.height as usize).saturating_mul(self.width as usize)
    }

    /// The placement of an image of this size within the target.
    ///
    /// # Errors
    /// If a side of image or target is out of range, or an image to pad is too large.
    pub fn placement(&self, image_width: usize, image_height: usize) -> Result<Placement, PreprocessError> {
        let (width, height) = self.target()?;
        let sides = 1..=SIDE_MAX;
        if !sides.contains(&image_width) || !sides.contains(&image_height) {
            return Err(PreprocessError::Size { width: image_width, height: image_height });
        }
        // At most SIDE_MAX, so the casts keep the value.
        let image = (image_width as u32, image_height as u32);
        match self.fit {
            Fit::Stretch => Ok(Placement { x: 0, y: 0, width, height }),
            Fit::Letterbox => Ok(Placement::letterbox(image, (width, height))),
            Fit::Pad if image.0 <= width && image.1 <= height => {
                Ok(Placement { x: 0, y: 0, width: image.0, height: image.1 })
            }
            Fit::Pad => Err(PreprocessError::Pad { target: (width, height), image: (image_width, image_height) }),
        }
    }

    /// The scratch for images of this width and any height.
    #[must_use]
    pub const fn scratch_len(&self, image_width: usize) -> ScratchLen {
        let (width, channels) = (self.width as usize, self.channels.count());
        let sums = width.saturating_mul(channels);
        ScratchLen {
            row: image_width.saturating_mul(channels),
            resized: sums.saturating_mul(2),
            sums,
            taps: rows::taps_len(image_width, width),
        }
    }

    /// Converts, resizes and places an image: `out` is C x H x W bytes, planar.
    ///
    /// # Errors
    /// If the image cannot be placed in the target, or `out` or the scratch has the wrong length.
    pub fn run(
        &self,
        view: &ImageView<'_>,
        out: &mut [u8],
        scratch: &mut Scratch<'_>,
    ) -> Result<Placement, PreprocessError> {
        self.run_on(InstructionSet::best(), view, out, scratch)
    }

    /// [`run`](Self::run) with a given instruction set, for benchmarks and tests; plain Rust if this core lacks it.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn run_on(
        &self,
        instructions: InstructionSet,
        view: &ImageView<'_>,
        out: &mut [u8],
        scratch: &mut Scratch<'_>,
    ) -> Result<Placement, PreprocessError> {
        let placement = self.placement(view.width(), view.height())?;
        if out.len() != self.input_len() {
            return Err(PreprocessError::Output { expected: self.input_len(), found: out.len() });
        }
        let channels = self.channels.count();
        let needed = self.scratch_len(view.width());
        let row = take(scratch.row, needed.row)?;
        let placed = placement.width as usize * channels;
        let (even, odd) = take(scratch.resized, needed.resized)?.split_at_mut(needed.sums);
        let mut resized = [&mut even[..placed], &mut odd[..placed]];
        let sums = &mut take(scratch.sums, needed.sums)?[..placed];
        let taps = take(scratch.taps, needed.taps)?;

        if (placement.width, placement.height) != (self.width, self.height) {
            out.fill(self.fill);
        }
        let columns = resize::Axis::new(view.width() as u32, placement.width, self.filter);
        let lines = resize::Axis::new(view.height() as u32, placement.height, self.filter);
        let rows = rows::Rows::new(instructions, &columns, self.channels, taps);
        // Neighbouring target rows share at most two source rows, and the taps of a row are consecutive: with one slot
        // for even and one for odd source rows, no row is converted and resized twice.
        let mut cached = [None; 2];
        for target_y in 0..placement.height {
            sums.fill(resize::SUM_START);
            lines.try_for_each_tap(target_y, |y, weight| {
                let slot = y as usize % 2;
                if cached[slot] != Some(y) {
                    rows.read(view, y as usize, row, resized[slot])?;
                    cached[slot] = Some(y);
                }
                rows.accumulate(resized[slot], weight, sums);
                Ok::<(), PreprocessError>(())
            })?;
            let start = (placement.y + target_y) as usize * self.width as usize + placement.x as usize;
            for (channel, plane) in out.chunks_exact_mut(self.width as usize * self.height as usize).enumerate() {
                rows.finish(sums, channel, &mut plane[start..start + placement.width as usize]);
            }
        }
        Ok(placement)
    }

    /// The input of the float model for each byte of a channel: [`Normalize`] in f32, in the order stated there. A
    /// channel beyond the third is treated as the third.
    #[must_use]
    pub fn float_table(&self, channel: usize) -> [f32; 256] {
        core::array::from_fn(|value| self.normalize.apply(value as u8, channel))
    }

    /// The input of the quantized model for each byte of a channel: [`float_table`](Self::float_table) through
    /// [`Quantization::quantize_u8`](crate::quantization::Quantization::quantize_u8). With [`Normalize::Unit`], a scale
    /// of 1/255 and zero point 0 it is the identity.
    #[must_use]
    pub fn quantized_table(&self, channel: usize, scale: f32, zero_point: u8) -> [u8; 256] {
        let quantization = crate::quantization::Quantization { scale, zero_point: zero_point.into() };
        self.float_table(channel).map(|value| quantization.quantize_u8(value))
    }

    fn target(&self) -> Result<(u32, u32), PreprocessError> {
        let sides = 1..=SIDE_MAX as u32;
        if sides.contains(&self.width) && sides.contains(&self.height) {
            Ok((self.width, self.height))
        } else {
            Err(PreprocessError::Target { width: self.width, height: self.height })
        }
    }
}

fn take<T>(buffer: &mut [T], len: usize) -> Result<&mut [T], PreprocessError> {
    let found = buffer.len();
    buffer.get_mut(..len).ok_or(PreprocessError::Scratch { expected: len, found })
}

/// A valid [`Preprocess`] with its own scratch, which grows to the widest image so far.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug)]
pub struct Preprocessor {
    spec: Preprocess,
    row: alloc::vec::Vec<u8>,
    resized: alloc::vec::Vec<u16>,
    sums: alloc::vec::Vec<u32>,
    taps: alloc::vec::Vec<u16>,
}

#[cfg(feature = "alloc")]
impl Preprocessor {
    /// Checks the specification.
    ///
    /// # Errors
    /// As for [`Preprocess::validate`].
    pub fn new(spec: Preprocess) -> Result<Self, PreprocessError> {
        use alloc::vec::Vec;
        spec.validate()?;
        Ok(Self { spec, row: Vec::new(), resized: Vec::new(), sums: Vec::new(), taps: Vec::new() })
    }

    /// The specification.
    #[must_use]
    pub const fn spec(&self) -> &Preprocess {
        &self.spec
    }

    /// [`Preprocess::run`].
    ///
    /// # Errors
    /// As for [`Preprocess::run`], except for the scratch.
    pub fn run(&mut self, view: &ImageView<'_>, out: &mut [u8]) -> Result<Placement, PreprocessError> {
        let needed = self.spec.scratch_len(view.width());
        grow(&mut self.row, needed.row);
        grow(&mut self.resized, needed.resized);
        grow(&mut self.sums, needed.sums);
        grow(&mut self.taps, needed.taps);
        let mut scratch =
            Scratch { row: &mut self.row, resized: &mut self.resized, sums: &mut self.sums, taps: &mut self.taps };
        self.spec.run(view, out, &mut scratch)
    }
}

#[cfg(feature = "alloc")]
fn grow<T: Clone + Default>(buffer: &mut alloc::vec::Vec<T>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
}

#[cfg(test)]
mod tests;
