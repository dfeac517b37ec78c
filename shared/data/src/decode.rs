//! Decodes image and label files; nothing else does.
//!
//! The format is detected from the content, never from the extension. Images become 8-bit gray, RGB or RGBA with the
//! EXIF orientation applied. Labels keep their values: gray of 8 or 16 bits, or colours. Knows neither datasets nor
//! classes.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::codecs::bmp::BmpDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::error::ImageFormatHint;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageResult, Limits};

use unet_shared::image::{ImageView, PixelFormat, SIDE_MAX};
use unet_shared::samples::SampleReading;

mod content;
#[cfg(test)]
mod damage_tests;
mod file_error;
mod huffman_tables;
mod jpeg;
mod label;
mod png_damage;
mod raster;
mod tiff;

use content::guess_content;
pub use file_error::FileError;
pub use huffman_tables::with_huffman_tables;
pub use jpeg::{Damage, verify_jpeg};
pub use label::{DecodedLabel, LabelSource, OwnedSamples, decode_label, decode_label_page};
use raster::{Bytes, RasterError};
pub use raster::{Raster, SampleKind, Samples};
pub use tiff::TiffPage;
pub(crate) use tiff::main_page;
use tiff::{Numbers, TiffFile};

/// The largest file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 30;

/// The most memory that a decoder may allocate for one file, in bytes.
const DECODED_BYTES_MAX: u64 = 2 << 30;

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
    /// The file's EXIF orientation, 1 to 8; 1 if it states none.
    pub orientation: u8,
    /// Bands of the file that are neither picture nor alpha.
    pub extra_bands: usize,
    /// Whether it is a JPEG with data left over before a marker, which some cameras write and damage leaves.
    pub leftovers: bool,
    /// The largest sample, if only the high bytes of 16-bit samples are used and these are nearly black.
    pub dark: Option<u16>,
}

/// 16-bit samples below this have a high byte below 16.
const DARK: u16 = 1 << 12;

impl DecodedImage {
    /// A view of the pixels.
    pub fn view(&self) -> ImageView<'_> {
        ImageView::packed(&self.data, self.width, self.height, self.format)
            .expect("a decoded image's sides are within bounds and its samples fill them")
    }

    /// A warning if the pixels are nearly black because the model was trained on 8-bit images, or on 16-bit images that use
    /// the whole range.
    pub fn warning(&self) -> Option<String> {
        let largest = self.dark?;
        Some(format!(
            "16-bit samples of at most {largest}, of which the model reads the high byte: nearly black; it was not trained on such \
             images"
        ))
    }

    /// Whether the pixels were rotated or mirrored by the file's EXIF orientation.
    pub fn orientation_applied(&self) -> bool {
        self.orientation != 1
    }
}

/// Reads an image file.
pub fn decode_image(path: &Path, reading: &SampleReading) -> Result<DecodedImage, FileError> {
    read_raster(path, None)?.into_image(path, reading)
}

impl Raster {
    /// The image that the samples become. `path` is for the error, if they do not fit `reading`.
    pub fn into_image(self, path: &Path, reading: &SampleReading) -> Result<DecodedImage, FileError> {
        let (orientation, leftovers) = (self.orientation.to_exif(), self.leftovers);
        let (kind, extra_bands, bands) = (self.samples.kind(), self.extra_bands(), self.bands);
        let dark = match (&self.samples, reading.range) {
            (Samples::U16(values), None) => values.iter().max().copied().filter(|largest| *largest < DARK),
            _ => None,
        };
        let Bytes { width, height, format, data } = self.bytes(reading).map_err(|error| match error {
            RasterError::Band(expected) => FileError::Bands { path: path.into(), expected, found: bands },
            RasterError::Range => FileError::NoRange { path: path.into(), kind: kind.name() },
        })?;
        Ok(DecodedImage { width, height, format, data, orientation, extra_bands, leftovers, dark })
    }
}

/// Reads the samples of an image file, or of one page of a TIFF file, as they are stored.
pub fn read_raster(path: &Path, page: Option<usize>) -> Result<Raster, FileError> {
    let bytes = match open(path, page)? {
        Opened::Tiff(file) => return tiff::decode(file, page).map_err(|problem| problem.of_file(path)),
        Opened::Other(bytes) => bytes,
    };
    let Decoded { pixels, orientation, bit_depth, leftovers, declared_bits, .. } = decode_bytes(path, &bytes)?;
    let kind = pixels.color();
    let raster = Raster::of(pixels, bit_depth, orientation).ok_or_else(|| unreadable_samples(path, kind))?;
    Ok(Raster { leftovers, declared_bits, ..raster })
}

/// The pages of a file; none if it is not a TIFF file or cannot be read.
pub fn tiff_pages(path: &Path) -> Vec<TiffPage> {
    let Ok(Opened::Tiff(mut file)) = open(path, None) else { return Vec::new() };
    file.pages().unwrap_or_default().iter().map(|directory| directory.page).collect()
}

/// Width and height of the image that [`read_raster`] reads, after orientation, from what comes before the pixels.
pub fn image_size(path: &Path, page: Option<usize>) -> Result<(usize, usize), FileError> {
    let failed = |source| FileError::Decode { path: path.into(), source };
    let bytes = match open(path, page)? {
        Opened::Tiff(mut file) => return tiff::size(&mut file, page).map_err(|problem| problem.of_file(path)),
        Opened::Other(bytes) => bytes,
    };
    let format = format_of(path, &bytes)?;
    let mut decoder = decoder(&bytes, format).map_err(|source| failed(source).explained(&bytes))?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let (width, height) = decoder.dimensions();
    Ok(turned_size((width as usize, height as usize), orientation))
}

/// Width and height once the orientation is applied.
fn turned_size((width, height): (usize, usize), orientation: Orientation) -> (usize, usize) {
    if orientation.to_exif() >= 5 { (height, width) } else { (width, height) }
}

/// The bytes of a file, within [`FILE_BYTES_MAX`].
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    let (file, bytes) = open_file(path)?;
    read_to_end(path, file, Vec::with_capacity(bytes as usize))
}

/// What is left of a file, after `data`.
fn read_to_end(path: &Path, file: File, mut data: Vec<u8>) -> Result<Vec<u8>, FileError> {
    // A file that is being written may have grown since.
    let read = file.take(FILE_BYTES_MAX).read_to_end(&mut data);
    read.map(|_| data).map_err(|source| FileError::Read { path: path.into(), source })
}

/// A file within [`FILE_BYTES_MAX`], and its size.
fn open_file(path: &Path) -> Result<(File, u64), FileError> {
    let failed = |source| FileError::Read { path: path.into(), source };
    // Opening a pipe would block until its other end is open.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, "expected a regular file")));
    }
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX { Err(FileError::TooLarge { path: path.into(), bytes }) } else { Ok((file, bytes)) }
}

/// A file, by the way that it is read.
enum Opened {
    /// Where the decoder asks.
    Tiff(TiffFile<File>),
    /// As a whole.
    Other(Vec<u8>),
}

/// Opens a file, of which a page may be wanted. Only a TIFF file has pages.
fn open(path: &Path, page: Option<usize>) -> Result<Opened, FileError> {
    let failed = |source| FileError::Read { path: path.into(), source };
    let (mut file, bytes) = open_file(path)?;
    let mut data = Vec::with_capacity(bytes as usize);
    (&mut file).take(4).read_to_end(&mut data).map_err(failed)?;
    if let Some(numbers) = Numbers::of(&data) {
        return TiffFile::new(file, numbers).map(Opened::Tiff).map_err(failed);
    }
    if let Some(page) = page {
        return Err(FileError::Page { path: path.into(), page });
    }
    read_to_end(path, file, data).map(Opened::Other)
}

/// The colour type of a PNG file with a palette.
const PNG_PALETTE: u8 = 3;

/// A decoded file, before it is treated as an image or as a label.
struct Decoded {
    /// As they are stored in the file.
    pixels: DynamicImage,
    orientation: Orientation,
    bit_depth: u8,
    lossy: bool,
    leftovers: bool,
    /// Bits that the file says its samples use.
    declared_bits: Option<u8>,
}

fn decode_bytes(path: &Path, bytes: &[u8]) -> Result<Decoded, FileError> {
    let format = format_of(path, bytes)?;
    let bytes = &*with_huffman_tables(bytes);
    let mut leftovers = false;
    if format == ImageFormat::Jpeg {
        let whole = verify_jpeg(bytes).map_err(|damage| FileError::Damaged { path: path.into(), damage })?;
        leftovers = whole.leftovers > 0;
    }
    let failed = |source| FileError::Decode { path: path.into(), source }.explained(bytes);
    let mut decoded = decoder(bytes, format).and_then(Decoded::from_decoder).map_err(failed)?;
    decoded.leftovers = leftovers;
    decoded.lossy = format == ImageFormat::Jpeg;
    if format == ImageFormat::Png {
        // The decoder reports no depths below 8 bits; they are in the header chunk, which comes first.
        if let Some(&[bits, kind]) = bytes.get(24..26)
            && kind != PNG_PALETTE
        {
            decoded.bit_depth = bits;
        }
        decoded.declared_bits = significant_bits(bytes).filter(|&bits| bits < decoded.bit_depth);
    }
    Ok(decoded)
}

/// The format of a file other than TIFF.
fn format_of(path: &Path, bytes: &[u8]) -> Result<ImageFormat, FileError> {
    match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Bmp)) => Ok(format),
        _ => Err(FileError::Format { path: path.into(), found: guess_content(bytes) }),
    }
}

/// The decoder of a PNG, JPEG or BMP file, within [`limits`]. It is chosen here and not by an `ImageReader`, which would
/// compile the decoder of TIFF a second time.
fn decoder(bytes: &[u8], format: ImageFormat) -> ImageResult<Box<dyn ImageDecoder + '_>> {
    let file = Cursor::new(bytes);
    let mut decoder: Box<dyn ImageDecoder + '_> = match format {
        ImageFormat::Png => Box::new(PngDecoder::with_limits(file, limits())?),
        ImageFormat::Jpeg => Box::new(JpegDecoder::new(file)?),
        ImageFormat::Bmp => Box::new(BmpDecoder::new(file)?),
        format => return Err(ImageError::Unsupported(ImageFormatHint::Exact(format).into())),
    };
    decoder.set_limits(limits())?;
    Ok(decoder)
}

/// Decodes a PNG file as it is stored.
pub(crate) fn decode_png(bytes: &[u8]) -> ImageResult<DynamicImage> {
    decoder(bytes, ImageFormat::Png).and_then(DynamicImage::from_decoder)
}

impl Decoded {
    /// The decoded file, as if its format were lossless.
    fn from_decoder(mut decoder: Box<dyn ImageDecoder + '_>) -> ImageResult<Self> {
        // An unreadable orientation does not make the pixels unreadable.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let bit_depth = bit_depth(decoder.original_color_type());
        let pixels = DynamicImage::from_decoder(decoder)?;
        Ok(Self { pixels, orientation, bit_depth, lossy: false, leftovers: false, declared_bits: None })
    }
}

/// The most bits that a channel of a PNG file uses, if its chunk sBIT says so.
fn significant_bits(png: &[u8]) -> Option<u8> {
    let mut at = 8;
    loop {
        let length = u32::from_be_bytes(png.get(at..at + 4)?.try_into().ok()?) as usize;
        let (kind, content) = (png.get(at + 4..at + 8)?, at + 8);
        match kind {
            b"sBIT" => {
                return png.get(content..content.checked_add(length)?)?.iter().copied().max().filter(|&bits| bits > 0);
            }
            b"IDAT" => return None,
            _ => at = content.checked_add(length)?.checked_add(4)?,
        }
    }
}

/// What a decoder may allocate, and the longest sides of an image.
pub(crate) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX as u32);
    limits.max_image_height = Some(SIDE_MAX as u32);
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    limits
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

fn unreadable_samples(path: &Path, found: image::ColorType) -> FileError {
    let expected = "8-bit or 16-bit gray or RGB";
    FileError::Samples { path: path.into(), expected, found: format!("{found:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, ImageBuffer, Luma};
    use std::fs;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn content_and_not_the_extension_decides() {
        let folder = folder();
        let path = folder.path().join("photo.jpg");
        GrayImage::from_raw(2, 1, vec![7, 9]).unwrap().save_with_format(&path, ImageFormat::Png).unwrap();
        let image = decode_image(&path, &SampleReading::PLAIN).unwrap();
        assert_eq!((image.width, image.height, image.format), (2, 1, PixelFormat::Gray8));
        assert_eq!(image.data, [7, 9]);
        assert!(!image.orientation_applied());
    }

    #[test]
    fn sixteen_bit_image_keeps_its_high_byte_and_label_its_value() {
        let folder = folder();
        let path = folder.path().join("deep.png");
        ImageBuffer::<Luma<u16>, _>::from_raw(2, 1, vec![0x1234u16, 300]).unwrap().save(&path).unwrap();
        let image = decode_image(&path, &SampleReading::PLAIN).unwrap();
        assert_eq!(image.data, [0x12, 1]);
        assert_eq!(image.warning(), None);
        ImageBuffer::<Luma<u16>, _>::from_raw(2, 1, vec![0x0234u16, 4095]).unwrap().save(&path).unwrap();
        let warning = decode_image(&path, &SampleReading::PLAIN).unwrap().warning().unwrap();
        assert!(warning.starts_with("16-bit samples of at most 4095"), "{warning}");
        let range = SampleReading { range: unet_shared::samples::Range::new(0.0, 4095.0).ok(), bands: None };
        assert_eq!(decode_image(&path, &range).unwrap().warning(), None);
        ImageBuffer::<Luma<u16>, _>::from_raw(2, 1, vec![0x1234u16, 300]).unwrap().save(&path).unwrap();
        let raster = read_raster(&path, None).unwrap();
        assert_eq!((raster.bit_depth, raster.samples), (16, raster::Samples::U16(vec![0x1234, 300])));
        assert_eq!(decode_label(&path).unwrap().samples, OwnedSamples::Gray16(vec![0x1234, 300]));
    }

    #[test]
    fn files_that_are_not_images_are_named() {
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
            let message = decode_image(&path, &SampleReading::PLAIN).unwrap_err().to_string();
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
            decode_image(&path, &SampleReading::PLAIN).unwrap();
            for cut in [1, bytes.len() / 4, bytes.len() / 2] {
                fs::write(&path, &bytes[..cut]).unwrap();
                let error = decode_image(&path, &SampleReading::PLAIN).unwrap_err();
                let expected = matches!(
                    error,
                    FileError::Format { .. }
                        | FileError::Damaged { .. }
                        | FileError::NotWhole { .. }
                        | FileError::TiffData { .. }
                );
                assert!(expected, "{name} cut at {cut}: {error}");
            }
            if name.ends_with("jpg") {
                fs::write(&path, &bytes[..bytes.len() - 2]).unwrap();
                assert!(matches!(decode_image(&path, &SampleReading::PLAIN), Err(FileError::Damaged { .. })));
            }
        }
    }

    #[test]
    fn sides_above_the_bound_are_refused() {
        let folder = folder();
        let path = folder.path().join("long.png");
        GrayImage::new(SIDE_MAX as u32 + 1, 1).save(&path).unwrap();
        assert!(matches!(decode_image(&path, &SampleReading::PLAIN), Err(FileError::Decode { .. })));
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
            let image = decode_image(&path, &SampleReading::PLAIN).unwrap();
            assert_eq!((image.orientation, (image.width, image.height)), (orientation, size));
            assert!(image.data[0].abs_diff(first) < 8, "orientation {orientation}: {}", image.data[0]);
        }
    }
}
