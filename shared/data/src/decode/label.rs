//! Label files, with their values unchanged.

use std::path::Path;

use image::DynamicImage;

use unet_shared::label::LabelView;

use super::{Decoded, FileError, decode, unreadable_samples};

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
    /// Bits per sample: 1, 2, 4, 8 or 16.
    pub bit_depth: u8,
    /// Has colour channels, even if they are all equal.
    pub rgb: bool,
    /// Has a palette.
    pub palette: bool,
    /// Has an alpha channel, which is opaque.
    pub alpha: bool,
    /// Is a JPEG, which does not preserve values.
    pub lossy: bool,
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
}

/// A label with the values of its file, rows packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedLabel {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The values. A colour file whose channels are all equal is gray; a 1-bit file has the values 0 and 255.
    pub samples: OwnedSamples,
    /// How they are stored in the file.
    pub source: LabelSource,
}

impl DecodedLabel {
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
}

/// Reads a label file.
pub fn decode_label(path: &Path) -> Result<DecodedLabel, FileError> {
    let Decoded { pixels, orientation, bit_depth, palette, lossy, .. } = decode(path)?;
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let (rgb, alpha) = (pixels.color().has_color(), pixels.color().has_alpha());
    let transparent = |pixel: usize| FileError::Alpha { path: path.into(), x: pixel % width, y: pixel / width };
    let samples = match pixels {
        DynamicImage::ImageLuma8(buffer) => OwnedSamples::Gray8(buffer.into_raw()),
        DynamicImage::ImageLumaA8(buffer) => OwnedSamples::Gray8(opaque(&buffer, 2, u8::MAX).map_err(transparent)?),
        DynamicImage::ImageLuma16(buffer) => OwnedSamples::Gray16(buffer.into_raw()),
        DynamicImage::ImageLumaA16(buffer) => OwnedSamples::Gray16(opaque(&buffer, 2, u16::MAX).map_err(transparent)?),
        DynamicImage::ImageRgb8(buffer) => colours(buffer.into_raw()),
        DynamicImage::ImageRgba8(buffer) => colours(opaque(&buffer, 4, u8::MAX).map_err(transparent)?),
        DynamicImage::ImageRgb16(buffer) => colours16(path, &buffer)?,
        DynamicImage::ImageRgba16(buffer) => colours16(path, &opaque(&buffer, 4, u16::MAX).map_err(transparent)?)?,
        other => return Err(unreadable_samples(path, &other)),
    };
    let source = LabelSource { bit_depth, rgb, palette, alpha, lossy, orientation };
    Ok(DecodedLabel { width, height, samples, source })
}

/// The samples without alpha, the last of `channels`; or the index of the first pixel that is not opaque.
fn opaque<T: Copy + PartialEq>(samples: &[T], channels: usize, full: T) -> Result<Vec<T>, usize> {
    match samples.chunks_exact(channels).position(|pixel| pixel[channels - 1] != full) {
        Some(pixel) => Err(pixel),
        None => Ok(samples.chunks_exact(channels).flat_map(|pixel| &pixel[..channels - 1]).copied().collect()),
    }
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
    use image::{Rgb, RgbImage, Rgba, RgbaImage};
    use std::fs;
    use unet_shared::image::PixelFormat;

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

    /// The checksum of PNG chunks, from the PNG specification's definition.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
        })
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
    fn alpha_of_a_label_must_be_opaque() {
        let folder = folder();
        let path = folder.path().join("mask.png");
        let mut label = RgbaImage::from_pixel(3, 2, Rgba([1, 2, 3, 255]));
        label.save(&path).unwrap();
        assert_eq!(decode_label(&path).unwrap().samples, OwnedSamples::Rgb8([1, 2, 3].repeat(6)));
        label.put_pixel(2, 1, Rgba([1, 2, 3, 254]));
        label.save(&path).unwrap();
        assert!(matches!(decode_label(&path), Err(FileError::Alpha { x: 2, y: 1, .. })));
        assert_eq!(decode_image(&path).unwrap().format, PixelFormat::Rgba8);
    }
}
