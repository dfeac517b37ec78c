//! The one way from an image or label file to samples in memory.
//!
//! The content decides the format, never the file's extension. Images come out as 8-bit gray, RGB or RGBA with the EXIF orientation
//! applied; labels keep their values: gray stays gray at 8 or 16 bits, colours stay colours. Knows no data set and no class.

use std::format;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::prelude::rust_2024::*;

use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader, Limits};

use unet_shared::image::{ImageView, PixelFormat, SIDE_MAX};
use unet_shared::label::LabelView;

/// The largest file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 30;

/// The most memory that a decoder may take for one file, in bytes.
const DECODED_BYTES_MAX: u64 = 2 << 30;

/// Why a file gives no pixels.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system does not give the file's bytes.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than [`FILE_BYTES_MAX`].
    #[error("{} has {bytes} bytes, expected at most {FILE_BYTES_MAX}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The file's first bytes are those of no format that is read.
    #[error("{} is not a PNG, JPEG, TIFF or BMP file: it looks like {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What its bytes look like.
        found: &'static str,
    },
    /// The file ends before its image does.
    #[error("{} is cut off: the JPEG data has no end marker", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
    },
    /// The decoder refuses the file.
    #[error("cannot decode {}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        #[source]
        source: image::ImageError,
    },
    /// The samples are of a kind that is not read.
    #[error("{} holds {found} samples, expected {expected}", path.display())]
    Samples {
        /// The file.
        path: PathBuf,
        /// The kinds that are read.
        expected: &'static str,
        /// The kind that was found.
        found: String,
    },
    /// A label has pixels that are not opaque, so its colours mean nothing by themselves.
    #[error("label {} has an alpha channel, and pixel ({x}, {y}) is not opaque", path.display())]
    Alpha {
        /// The file.
        path: PathBuf,
        /// Column of the first such pixel.
        x: usize,
        /// Row of the first such pixel.
        y: usize,
    },
}

impl FileError {
    /// The file that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Format { path, .. }
            | Self::CutOff { path }
            | Self::Decode { path, .. }
            | Self::Samples { path, .. }
            | Self::Alpha { path, .. } => path,
        }
    }
}

/// An image with its orientation applied, rows packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedImage {
    /// Width in pixels, after orientation.
    pub width: usize,
    /// Height in pixels, after orientation.
    pub height: usize,
    /// [`PixelFormat::Gray8`], [`PixelFormat::Rgb8`] or [`PixelFormat::Rgba8`].
    pub format: PixelFormat,
    /// The samples, `height` rows of `width` pixels.
    pub data: Vec<u8>,
    /// The file's EXIF orientation, 1 to 8; 1 where it states none.
    pub orientation: u8,
    /// Bits a sample in the file: 1, 2, 4, 8 or 16.
    pub bit_depth: u8,
}

impl DecodedImage {
    /// A view of the pixels.
    pub fn view(&self) -> ImageView<'_> {
        ImageView::packed(&self.data, self.width, self.height, self.format)
            .expect("a decoded image's sides are within bounds and its samples fill them")
    }

    /// Whether the pixels were turned or mirrored, as the file's EXIF orientation asks.
    pub fn orientation_applied(&self) -> bool {
        self.orientation != 1
    }
}

/// The samples of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedSamples {
    /// One byte a pixel.
    Gray8(Vec<u8>),
    /// One 16-bit value a pixel.
    Gray16(Vec<u16>),
    /// Three bytes a pixel: red, green, blue.
    Rgb8(Vec<u8>),
}

/// How a label lay in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelSource {
    /// Bits a sample: 1, 2, 4, 8 or 16.
    pub bit_depth: u8,
    /// Colour channels, also where they are all equal.
    pub rgb: bool,
    /// Colours came from a palette.
    pub palette: bool,
    /// An alpha channel was there (and opaque).
    pub alpha: bool,
    /// JPEG, which does not keep values.
    pub lossy: bool,
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
}

/// A label with its values as they lie in the file, rows packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedLabel {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The values. A colour file whose channels are equal everywhere is gray; a 1-bit file has the values 0 and 255.
    pub samples: OwnedSamples,
    /// How they lay in the file.
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

    /// The same label with 8-bit grays as colours of three equal channels: in a data set of colour labels, a label that
    /// happens to hold only black is of colours too.
    pub fn into_colours(mut self) -> Self {
        if let OwnedSamples::Gray8(samples) = &self.samples {
            self.samples = OwnedSamples::Rgb8(samples.iter().flat_map(|&value| [value; 3]).collect());
        }
        self
    }
}

/// Reads an image file.
pub fn decode_image(path: &Path) -> Result<DecodedImage, FileError> {
    let Decoded { pixels, orientation, bit_depth, .. } = decode(path)?;
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let high = |samples: Vec<u16>| samples.into_iter().map(|sample| (sample >> 8) as u8).collect::<Vec<u8>>();
    let (format, data) = match pixels {
        DynamicImage::ImageLuma8(buffer) => (PixelFormat::Gray8, buffer.into_raw()),
        DynamicImage::ImageLumaA8(buffer) => (PixelFormat::Gray8, every_second(&buffer)),
        DynamicImage::ImageRgb8(buffer) => (PixelFormat::Rgb8, buffer.into_raw()),
        DynamicImage::ImageRgba8(buffer) => (PixelFormat::Rgba8, buffer.into_raw()),
        DynamicImage::ImageLuma16(buffer) => (PixelFormat::Gray8, high(buffer.into_raw())),
        DynamicImage::ImageLumaA16(buffer) => (PixelFormat::Gray8, high(every_second(&buffer))),
        DynamicImage::ImageRgb16(buffer) => (PixelFormat::Rgb8, high(buffer.into_raw())),
        DynamicImage::ImageRgba16(buffer) => (PixelFormat::Rgba8, high(buffer.into_raw())),
        other => return Err(unreadable_samples(path, &other)),
    };
    Ok(DecodedImage { width, height, format, data, orientation, bit_depth })
}

/// Reads a label file.
pub fn decode_label(path: &Path) -> Result<DecodedLabel, FileError> {
    let Decoded { pixels, orientation, bit_depth, palette, lossy } = decode(path)?;
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

/// The bytes of a file, within [`FILE_BYTES_MAX`].
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Read { path: path.into(), source };
    // Opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, "expected a regular file")));
    }
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(FileError::TooLarge { path: path.into(), bytes });
    }
    let mut data = Vec::with_capacity(bytes as usize);
    // The size above is what the file system said; a pipe or a growing file may hold more.
    file.take(FILE_BYTES_MAX).read_to_end(&mut data).map_err(failed)?;
    Ok(data)
}

/// The colour type of a PNG file with a palette.
const PNG_PALETTE: u8 = 3;

/// What a file gives before images and labels part ways.
struct Decoded {
    pixels: DynamicImage,
    orientation: u8,
    bit_depth: u8,
    palette: bool,
    lossy: bool,
}

fn decode(path: &Path) -> Result<Decoded, FileError> {
    let failed = |source| FileError::Decode { path: path.into(), source };
    let bytes = read_bytes(path)?;
    let format = match image::guess_format(&bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Tiff | ImageFormat::Bmp)) => format,
        _ => return Err(FileError::Format { path: path.into(), found: guess_content(&bytes) }),
    };
    // The decoder fills what is missing of a JPEG with gray and says nothing.
    if format == ImageFormat::Jpeg && !jpeg_has_end(&bytes) {
        return Err(FileError::CutOff { path: path.into() });
    }
    // The decoder tells of neither a PNG's palette nor its few bits; both stand in the header chunk, which comes first.
    let header = if format == ImageFormat::Png { bytes.get(24..26) } else { None };
    let palette = header.is_some_and(|header| header[1] == PNG_PALETTE);
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX as u32);
    limits.max_image_height = Some(SIDE_MAX as u32);
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    let mut reader = ImageReader::with_format(Cursor::new(bytes.as_slice()), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    // An orientation that cannot be read is none: the pixels are still there.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let bit_depth = match header {
        Some(&[bits, kind]) if kind != PNG_PALETTE => bits,
        _ => bit_depth(decoder.original_color_type()),
    };
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(failed)?;
    pixels.apply_orientation(orientation);
    let lossy = format == ImageFormat::Jpeg;
    Ok(Decoded { pixels, orientation: orientation.to_exif(), bit_depth, palette, lossy })
}

/// Whether the entropy-coded data of a JPEG file is followed by an end-of-image marker. An embedded thumbnail has an end marker of its
/// own, so the segments before the scan are skipped by their lengths.
pub fn jpeg_has_end(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4) {
        if marker == 0xff {
            at += 1; // a fill byte
        } else if marker == START_OF_SCAN {
            return bytes[at..].windows(2).rev().any(|pair| pair == [0xff, 0xd9]);
        } else {
            at += 2 + usize::from(u16::from_be_bytes([high, low]));
        }
    }
    false
}

/// What the bytes of a file that is no image look like, for the error's reader.
fn guess_content(bytes: &[u8]) -> &'static str {
    if bytes.is_empty() {
        "an empty file"
    } else if bytes.starts_with(b"MATLAB 5.0 MAT-file") {
        "a MATLAB .mat file"
    } else if bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
        "an HDF5 file (such as a MATLAB 7.3 .mat file)"
    } else if bytes.starts_with(b"\x93NUMPY") {
        "a NumPy .npy file"
    } else if bytes.starts_with(b"PK\x03\x04") {
        "a zip file"
    } else if bytes.starts_with(b"version https://git-lfs") {
        "a Git LFS pointer, whose content was never fetched"
    } else if bytes.windows(13).take(1024).any(|text| text == b"\nformat ascii") {
        "a Berkeley .seg run-length text"
    } else if let Ok(format) = image::guess_format(bytes) {
        match format {
            ImageFormat::Gif => "a GIF image",
            ImageFormat::WebP => "a WebP image",
            ImageFormat::Avif => "an AVIF image",
            ImageFormat::Pnm => "a PNM image",
            _ => "an image of another format",
        }
    } else if bytes.iter().take(1024).all(|&byte| (b' '..=b'~').contains(&byte) || byte.is_ascii_whitespace()) {
        "text"
    } else {
        "data of an unknown kind"
    }
}

fn bit_depth(color: ExtendedColorType) -> u8 {
    use ExtendedColorType as C;
    match color {
        C::L1 | C::La1 | C::Rgb1 | C::Rgba1 => 1,
        C::L2 | C::La2 | C::Rgb2 | C::Rgba2 => 2,
        C::L4 | C::La4 | C::Rgb4 | C::Rgba4 => 4,
        C::L16 | C::La16 | C::Rgb16 | C::Rgba16 | C::Cmyk16 => 16,
        C::Rgb32F | C::Rgba32F => 32,
        _ => 8,
    }
}

fn unreadable_samples(path: &Path, pixels: &DynamicImage) -> FileError {
    let expected = "8-bit or 16-bit gray or RGB";
    FileError::Samples { path: path.into(), expected, found: format!("{:?}", pixels.color()) }
}

fn every_second<T: Copy>(samples: &[T]) -> Vec<T> {
    samples.iter().copied().step_by(2).collect()
}

/// The samples without their alpha, the last of `channels`; the index of the first pixel that is not opaque otherwise.
fn opaque<T: Copy + PartialEq>(samples: &[T], channels: usize, full: T) -> Result<Vec<T>, usize> {
    match samples.chunks_exact(channels).position(|pixel| pixel[channels - 1] != full) {
        Some(pixel) => Err(pixel),
        None => Ok(samples.chunks_exact(channels).flat_map(|pixel| &pixel[..channels - 1]).copied().collect()),
    }
}

/// Colours, or gray where the three channels agree in every pixel.
fn colours(samples: Vec<u8>) -> OwnedSamples {
    if samples.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]) {
        OwnedSamples::Gray8(samples.into_iter().step_by(3).collect())
    } else {
        OwnedSamples::Rgb8(samples)
    }
}

/// 16-bit colours are read where they are 8-bit colours in a wider coat (each sample its high byte twice), or gray.
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
    use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
    use std::fs;
    use std::vec;

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
    fn content_and_not_the_extension_decides() {
        let folder = folder();
        let path = folder.path().join("photo.jpg");
        GrayImage::from_raw(2, 1, vec![7, 9]).unwrap().save_with_format(&path, ImageFormat::Png).unwrap();
        let image = decode_image(&path).unwrap();
        assert_eq!((image.width, image.height, image.format), (2, 1, PixelFormat::Gray8));
        assert_eq!(image.data, [7, 9]);
        assert!(!image.orientation_applied());
    }

    #[test]
    fn sixteen_bit_image_keeps_its_high_byte_and_label_its_value() {
        let folder = folder();
        let path = folder.path().join("deep.png");
        ImageBuffer::<Luma<u16>, _>::from_raw(2, 1, vec![0x1234u16, 300]).unwrap().save(&path).unwrap();
        let image = decode_image(&path).unwrap();
        assert_eq!((image.data.as_slice(), image.bit_depth), ([0x12, 1].as_slice(), 16));
        assert_eq!(decode_label(&path).unwrap().samples, OwnedSamples::Gray16(vec![0x1234, 300]));
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

    #[test]
    fn what_is_no_image_is_named() {
        let folder = folder();
        let path = folder.path().join("097.png");
        for (bytes, expected) in [
            (b"".as_slice(), "empty"),
            (b"MATLAB 5.0 MAT-file, Platform", "MATLAB"),
            (b"GIF89a......", "GIF"),
            (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
            (b"width 480\nformat ascii cr\ndata\n", "Berkeley"),
            (b"a,b\n1,2\n", "text"),
        ] {
            fs::write(&path, bytes).unwrap();
            let message = decode_image(&path).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn files_cut_anywhere_are_errors() {
        let folder = folder();
        for name in ["whole.png", "whole.jpg", "whole.bmp", "whole.tif"] {
            let path = folder.path().join(name);
            let whole = GrayImage::from_fn(31, 17, |x, y| Luma([(x * 13 + y * 7) as u8]));
            DynamicImage::from(whole).to_rgb8().save(&path).unwrap();
            let bytes = fs::read(&path).unwrap();
            decode_image(&path).unwrap();
            for cut in [1, bytes.len() / 4, bytes.len() / 2] {
                fs::write(&path, &bytes[..cut]).unwrap();
                assert!(decode_image(&path).is_err(), "{name} cut at {cut}");
            }
            if name.ends_with("jpg") {
                fs::write(&path, &bytes[..bytes.len() - 2]).unwrap();
                assert!(matches!(decode_image(&path), Err(FileError::CutOff { .. })));
            }
        }
    }

    #[test]
    fn sides_above_the_bound_are_refused() {
        let folder = folder();
        let path = folder.path().join("long.png");
        GrayImage::new(SIDE_MAX as u32 + 1, 1).save(&path).unwrap();
        assert!(matches!(decode_image(&path), Err(FileError::Decode { .. })));
    }

    #[test]
    fn exif_orientation_turns_the_pixels() {
        let folder = folder();
        let path = folder.path().join("turned.jpg");
        // Left half dark, right half bright, 16x8; orientation 3 turns it by 180 degrees, 6 by 90 degrees clockwise.
        let upright = GrayImage::from_fn(16, 8, |x, _| Luma([if x < 8 { 0 } else { 255 }]));
        upright.save(&path).unwrap();
        let plain = fs::read(&path).unwrap();
        for (orientation, size, first) in [(1u8, (16, 8), 0u8), (3, (16, 8), 255), (6, (8, 16), 0), (8, (8, 16), 255)] {
            let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
            exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
            let mut bytes = plain[..2].to_vec();
            bytes.extend([0xff, 0xe1]);
            bytes.extend((exif.len() as u16 + 2).to_be_bytes());
            bytes.extend(exif);
            bytes.extend(&plain[2..]);
            fs::write(&path, bytes).unwrap();
            let image = decode_image(&path).unwrap();
            assert_eq!((image.orientation, (image.width, image.height)), (orientation, size));
            assert!(image.data[0].abs_diff(first) < 8, "orientation {orientation}: {}", image.data[0]);
        }
    }
}
