//! Label files, with their values unchanged.
//!
//! [`decode_label`] returns what is stored; [`DecodedLabel::into_values`] turns it into values, as a [`Reading`] says.

use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageFormat};

use unet_shared::label::{LabelValue, LabelView, Reading};

use super::{Decoded, FileError, Opened, decode_bytes, open, unreadable_samples};
use crate::histogram::{as_colour, as_gray};

mod bmp;
mod png;
mod tiff;

/// The samples of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedSamples {
    /// One byte per pixel.
    Gray8(Vec<u8>),
    /// One 16-bit value per pixel.
    Gray16(Vec<u16>),
    /// Three bytes per pixel: red, green, blue.
    Rgb8(Vec<u8>),
}

/// How a label is stored in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelSource {
    /// Bits per sample: 1, 2, 4, 8, 16 or more.
    pub bit_depth: u8,
    /// Has colour channels, even if they are all equal.
    pub rgb: bool,
    /// Has a palette.
    pub palette: bool,
    /// Has an alpha channel, or a palette with transparent entries.
    pub alpha: bool,
    /// Calls 0 white.
    pub white_is_zero: bool,
    /// Is compressed as JPEG, which does not preserve values.
    pub lossy: bool,
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
}

/// A label with the samples of its file, rows packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedLabel {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The samples. A colour file whose channels are all equal is gray; the samples of a file with a palette are indices;
    /// a 1-bit file without one has the values 0 and 255.
    pub samples: OwnedSamples,
    /// The palette, if the samples are indices.
    pub palette: Option<Vec<[u8; 3]>>,
    /// How opaque each pixel is, 0 to 255, unless all are opaque.
    pub alpha: Option<Vec<u8>>,
    /// How they are stored in the file.
    pub source: LabelSource,
}

/// The least alpha of a pixel that counts as opaque.
const OPAQUE_MIN: u8 = 128;

impl DecodedLabel {
    /// A label that was not stored as one image.
    pub(crate) fn drawn(width: usize, height: usize, samples: OwnedSamples) -> Self {
        let source = LabelSource {
            bit_depth: 8,
            rgb: false,
            palette: false,
            alpha: false,
            white_is_zero: false,
            lossy: false,
            orientation: 1,
        };
        Self { width, height, samples, palette: None, alpha: None, source }
    }

    /// A view of the values.
    pub fn view(&self) -> LabelView<'_> {
        let view = match &self.samples {
            OwnedSamples::Gray8(samples) => LabelView::gray8(samples, self.width, self.height),
            OwnedSamples::Gray16(samples) => LabelView::gray16(samples, self.width, self.height),
            OwnedSamples::Rgb8(samples) => LabelView::rgb8(samples, self.width, self.height),
        };
        view.expect("a decoded label's sides are within bounds and its samples fill them")
    }

    /// The same label with 8-bit grays as colours of three equal channels: in a dataset of colour labels, one that
    /// happens to be all black is a colour label too.
    pub fn into_colours(mut self) -> Self {
        if let OwnedSamples::Gray8(samples) = &self.samples {
            self.samples = OwnedSamples::Rgb8(samples.iter().flat_map(|&value| [value; 3]).collect());
        }
        self
    }

    /// The label with its values as samples. `path` is for the error, if it has transparent pixels and `reading` does not
    /// say what they are.
    pub fn into_values(mut self, reading: &Reading, path: &Path) -> Result<Self, FileError> {
        if !reading.palette_indices
            && let (Some(palette), OwnedSamples::Gray8(indices)) = (self.palette.take(), &self.samples)
        {
            let colour = |&index: &u8| palette.get(usize::from(index)).copied().unwrap_or_default();
            self.samples = colours(indices.iter().flat_map(colour).collect());
        }
        if self.source.white_is_zero && !reading.samples_as_stored {
            match &mut self.samples {
                OwnedSamples::Gray8(samples) => samples.iter_mut().for_each(|sample| *sample = !*sample),
                OwnedSamples::Gray16(samples) => samples.iter_mut().for_each(|sample| *sample = !*sample),
                OwnedSamples::Rgb8(_) => {}
            }
        }
        if let Some(alpha) = self.alpha.take() {
            let Some(value) = reading.transparent else {
                let see_through = alpha.iter().filter(|&&alpha| alpha < u8::MAX).count();
                let pixel = alpha.iter().position(|&alpha| alpha < u8::MAX).unwrap_or(0);
                let (x, y) = (pixel % self.width, pixel / self.width);
                let percent = see_through as f64 / alpha.len() as f64 * 100.0;
                return Err(FileError::Alpha { path: path.into(), percent, x, y });
            };
            self.set(value, |pixel| alpha[pixel] < OPAQUE_MIN, path)?;
        }
        Ok(self)
    }

    /// Gives some pixels a value, in wider samples if it does not fit those that there are.
    fn set(&mut self, value: LabelValue, is_set: impl Fn(usize) -> bool, path: &Path) -> Result<(), FileError> {
        let pixels = (0..self.width * self.height).filter(|&pixel| is_set(pixel));
        let refused = |found: &str| FileError::Samples {
            path: path.into(),
            expected: "samples of the kind that dataset.toml gives transparent pixels",
            found: found.into(),
        };
        match (&mut self.samples, as_gray(value)) {
            (OwnedSamples::Gray16(samples), LabelValue::Gray(gray)) => pixels.for_each(|pixel| samples[pixel] = gray),
            (OwnedSamples::Gray8(samples), LabelValue::Gray(gray)) => match u8::try_from(gray) {
                Ok(gray) => pixels.for_each(|pixel| samples[pixel] = gray),
                Err(_) => {
                    let mut wide: Vec<u16> = samples.iter().map(|&sample| sample.into()).collect();
                    pixels.for_each(|pixel| wide[pixel] = gray);
                    self.samples = OwnedSamples::Gray16(wide);
                }
            },
            (OwnedSamples::Gray8(samples), LabelValue::Rgb(rgb)) => {
                let mut coloured: Vec<[u8; 3]> = samples.iter().map(|&sample| [sample; 3]).collect();
                pixels.for_each(|pixel| coloured[pixel] = rgb);
                self.samples = OwnedSamples::Rgb8(coloured.into_flattened());
            }
            (OwnedSamples::Rgb8(samples), value) => {
                let LabelValue::Rgb(rgb) = as_colour(value) else {
                    return Err(refused("colour"));
                };
                let samples = samples.as_chunks_mut::<3>().0;
                pixels.for_each(|pixel| samples[pixel] = rgb);
            }
            (OwnedSamples::Gray16(_), LabelValue::Rgb(_)) => return Err(refused("16-bit")),
        }
        Ok(())
    }
}

/// Reads a label file.
pub fn decode_label(path: &Path) -> Result<DecodedLabel, FileError> {
    decode_label_page(path, None)
}

/// Reads a label file, or one page of a TIFF file.
pub fn decode_label_page(path: &Path, page: Option<usize>) -> Result<DecodedLabel, FileError> {
    let bytes = match open(path, page)? {
        Opened::Tiff(file) => return tiff::decode(path, file, page),
        Opened::Other(bytes) => bytes,
    };
    match image::guess_format(&bytes) {
        Ok(ImageFormat::Png) if png::has_palette(&bytes) => {
            png::decode(path, &bytes).map_err(|error| error.explained(&bytes))
        }
        Ok(ImageFormat::Bmp) if bmp::has_palette(&bytes) => bmp::decode(path, bytes),
        _ => of_pixels(path, decode_bytes(path, &bytes)?),
    }
}

/// The label in a decoded file.
fn of_pixels(path: &Path, decoded: Decoded) -> Result<DecodedLabel, FileError> {
    let Decoded { mut pixels, orientation, bit_depth, lossy, .. } = decoded;
    pixels.apply_orientation(orientation);
    let orientation = orientation.to_exif();
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let (rgb, has_alpha) = (pixels.color().has_color(), pixels.color().has_alpha());
    let mut alpha = Vec::new();
    let samples = match pixels {
        DynamicImage::ImageLuma8(buffer) => OwnedSamples::Gray8(buffer.into_raw()),
        DynamicImage::ImageLumaA8(buffer) => OwnedSamples::Gray8(split_alpha(&buffer, 2, |sample| sample, &mut alpha)),
        DynamicImage::ImageLuma16(buffer) => OwnedSamples::Gray16(buffer.into_raw()),
        DynamicImage::ImageLumaA16(buffer) => OwnedSamples::Gray16(split_alpha(&buffer, 2, high_byte, &mut alpha)),
        DynamicImage::ImageRgb8(buffer) => colours(buffer.into_raw()),
        DynamicImage::ImageRgba8(buffer) => colours(split_alpha(&buffer, 4, |sample| sample, &mut alpha)),
        DynamicImage::ImageRgb16(buffer) => colours16(path, &buffer)?,
        DynamicImage::ImageRgba16(buffer) => colours16(path, &split_alpha(&buffer, 4, high_byte, &mut alpha))?,
        other => return Err(unreadable_samples(path, other.color())),
    };
    let alpha = Some(alpha).filter(|alpha| alpha.iter().any(|&alpha| alpha < u8::MAX));
    let source =
        LabelSource { bit_depth, rgb, palette: false, alpha: has_alpha, white_is_zero: false, lossy, orientation };
    Ok(DecodedLabel { width, height, samples, palette: None, alpha, source })
}

fn high_byte(sample: u16) -> u8 {
    (sample >> 8) as u8
}

/// The samples without alpha, the last of `channels`, which is appended to `alpha`.
fn split_alpha<T: Copy>(samples: &[T], channels: usize, as_byte: impl Fn(T) -> u8, alpha: &mut Vec<u8>) -> Vec<T> {
    alpha.extend(samples.chunks_exact(channels).map(|pixel| as_byte(pixel[channels - 1])));
    samples.chunks_exact(channels).flat_map(|pixel| &pixel[..channels - 1]).copied().collect()
}

/// The label in a file with a palette, of which `indices` has one for each pixel.
fn of_indices(
    (width, height): (u32, u32),
    indices: Vec<u8>,
    palette: Vec<[u8; 3]>,
    bit_depth: u8,
    orientation: Orientation,
) -> Option<DecodedLabel> {
    let mut pixels = DynamicImage::ImageLuma8(GrayImage::from_raw(width, height, indices)?);
    pixels.apply_orientation(orientation);
    let source = LabelSource {
        bit_depth,
        rgb: false,
        palette: true,
        alpha: false,
        white_is_zero: false,
        lossy: false,
        orientation: orientation.to_exif(),
    };
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let samples = OwnedSamples::Gray8(pixels.into_luma8().into_raw());
    Some(DecodedLabel { width, height, samples, palette: Some(palette), alpha: None, source })
}

/// Unpacks rows of samples of 1, 2 or 4 bits, the first in the highest bits; rows begin at a byte.
fn unpack(rows: &[u8], width: usize, bits: u8) -> Vec<u8> {
    let bits = usize::from(bits);
    let row_bytes = (width * bits).div_ceil(8).max(1);
    let sample = |row: &[u8], x: usize| row[x * bits / 8] >> (8 - bits - x * bits % 8) & (0xff >> (8 - bits)) as u8;
    rows.chunks_exact(row_bytes).flat_map(|row| (0..width).map(move |x| sample(row, x))).collect()
}

/// Colours, or gray if the three channels are equal in every pixel.
fn colours(samples: Vec<u8>) -> OwnedSamples {
    if samples.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]) {
        OwnedSamples::Gray8(samples.into_iter().step_by(3).collect())
    } else {
        OwnedSamples::Rgb8(samples)
    }
}

/// 16-bit colours are accepted if they are 8-bit colours widened (the high byte repeated), or gray.
fn colours16(path: &Path, samples: &[u16]) -> Result<OwnedSamples, FileError> {
    if samples.iter().all(|sample| sample >> 8 == sample & 0xff) {
        Ok(colours(samples.iter().map(|sample| (sample >> 8) as u8).collect()))
    } else if samples.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]) {
        Ok(OwnedSamples::Gray16(samples.iter().copied().step_by(3).collect()))
    } else {
        let expected = "label colours of 8 bits a channel";
        Err(FileError::Samples { path: path.into(), expected, found: "true 16-bit RGB".into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode_image;
    use crate::decode::png_damage::crc32;
    use image::{Rgb, RgbImage, Rgba, RgbaImage};
    use std::fs;
    use unet_shared::image::PixelFormat;
    use unet_shared::samples::SampleReading;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn bits_of_a_png_are_those_of_its_header() {
        let folder = folder();
        let path = folder.path().join("mask.png");
        // 2x1 pixels, 1 bit, gray: one row of filter type 0 and the bits 01, in a stored deflate block.
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        for chunk in [
            b"IHDR\0\0\0\x02\0\0\0\x01\x01\0\0\0\0".as_slice(),
            b"IDAT\x78\x01\x01\x02\0\xfd\xff\0\x40\0\x42\0\x41",
            b"IEND",
        ] {
            png.extend((chunk.len() as u32 - 4).to_be_bytes());
            png.extend(chunk);
            png.extend(crc32(chunk).to_be_bytes());
        }
        fs::write(&path, png).unwrap();
        let label = decode_label(&path).unwrap();
        assert_eq!((label.source.bit_depth, label.samples), (1, OwnedSamples::Gray8(vec![0, 255])));
    }

    #[test]
    fn colour_label_of_equal_channels_is_gray_and_can_be_made_colour_again() {
        let folder = folder();
        let path = folder.path().join("mask.png");
        RgbImage::from_pixel(2, 1, Rgb([5, 5, 5])).save(&path).unwrap();
        let label = decode_label(&path).unwrap();
        assert_eq!(label.samples, OwnedSamples::Gray8(vec![5, 5]));
        assert!(label.source.rgb);
        assert_eq!(label.into_colours().samples, OwnedSamples::Rgb8(vec![5; 6]));
        RgbImage::from_pixel(1, 1, Rgb([5, 6, 5])).save(&path).unwrap();
        assert_eq!(decode_label(&path).unwrap().samples, OwnedSamples::Rgb8(vec![5, 6, 5]));
    }

    #[test]
    fn transparent_pixels_have_the_value_that_is_asked_for() {
        let folder = folder();
        let path = folder.path().join("mask.png");
        let mut label = RgbaImage::from_pixel(3, 2, Rgba([1, 2, 3, 255]));
        let read = |value| {
            let reading = Reading { transparent: value, ..Reading::STORED };
            Ok::<_, FileError>(decode_label(&path)?.into_values(&reading, &path)?.samples)
        };
        label.save(&path).unwrap();
        assert_eq!(read(None).unwrap(), OwnedSamples::Rgb8([1, 2, 3].repeat(6)));
        label.put_pixel(2, 1, Rgba([1, 2, 3, 254]));
        label.put_pixel(0, 1, Rgba([9, 9, 9, 0]));
        label.save(&path).unwrap();
        let error = read(None).unwrap_err();
        assert!(matches!(error, FileError::Alpha { x: 0, y: 1, .. }), "{error}");
        assert!(error.to_string().contains("33.33 %") && error.to_string().contains("transparent ="), "{error}");
        for value in [LabelValue::Gray(7), LabelValue::Rgb([7; 3])] {
            let expected = [[1, 2, 3], [1, 2, 3], [1, 2, 3], [7, 7, 7], [1, 2, 3], [1, 2, 3]];
            assert_eq!(read(Some(value)).unwrap(), OwnedSamples::Rgb8(expected.concat()));
        }
        assert!(matches!(read(Some(LabelValue::Gray(300))), Err(FileError::Samples { .. })));
        assert_eq!(decode_image(&path, &SampleReading::PLAIN).unwrap().format, PixelFormat::Rgba8);
        LumaAImage::from_vec(2, 1, vec![5, 255, 6, 0]).unwrap().save(&path).unwrap();
        assert_eq!(read(Some(LabelValue::Gray(300))).unwrap(), OwnedSamples::Gray16(vec![5, 300]));
        assert_eq!(read(Some(LabelValue::Rgb([0, 0, 9]))).unwrap(), OwnedSamples::Rgb8(vec![5, 5, 5, 0, 0, 9]));
    }

    type LumaAImage = image::GrayAlphaImage;
}
