//! TIFF images of every kind that the decoder behind `image` can be given: all bands as they are stored.
//!
//! The decoder refuses many colour layouts, so each file is shown to it as gray with extra bands, and its tags say what they
//! mean.

use std::io::{self, Read, Seek};
use std::path::Path;

use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{TiffError, TiffUnsupportedError};
use unet_shared::image::SIDE_MAX;

use super::raster::{Raster, SampleKind, Samples};
use super::{DECODED_BYTES_MAX, FileError, turned_size};

mod directory;
mod file;

use directory::Directory;
pub use directory::{TiffPage, main_page};
pub(super) use file::{Numbers, TiffFile};

/// Why a TIFF file cannot be read.
#[derive(Debug)]
pub(super) enum TiffProblem {
    /// A kind of TIFF that is not supported.
    Kind(String),
    /// A compression that is not supported, in words.
    Compression(String),
    /// Sides above the bound.
    Size(u32, u32),
    /// There is no page with this index.
    Page(usize),
    /// Too much memory for this many pixels, wide and high, of this many bands.
    Memory([usize; 3]),
    /// The data is damaged.
    Damaged,
    /// The system cannot read the file.
    Read(io::Error),
}

impl TiffProblem {
    /// The error about the file.
    pub fn of_file(self, path: &Path) -> FileError {
        let path = path.to_owned();
        match self {
            Self::Kind(found) => FileError::TiffKind { path, found },
            Self::Compression(compression) => FileError::TiffCompression { path, compression },
            Self::Size(width, height) => FileError::Size { path, width, height },
            Self::Page(page) => FileError::Page { path, page },
            Self::Memory([width, height, bands]) => FileError::Memory { path, width, height, bands },
            Self::Damaged => FileError::TiffData { path },
            Self::Read(source) => FileError::Read { path, source },
        }
    }
}

impl From<io::Error> for TiffProblem {
    fn from(error: io::Error) -> Self {
        // Every other error is the decoder's.
        if error.raw_os_error().is_some() { Self::Read(error) } else { Self::Damaged }
    }
}

/// Photometric interpretations (tag 262).
const WHITE_IS_ZERO: u16 = 0;
const BLACK_IS_ZERO: u16 = 1;
const RGB: u16 = 2;
const PALETTE: u16 = 3;
const CMYK: u16 = 5;
const YCBCR: u16 = 6;

/// The page that is read: the one with the index, or else the main page.
fn chosen<R: Read + Seek>(file: &mut TiffFile<R>, page: Option<usize>) -> Result<Directory, TiffProblem> {
    if let Some(index) = page {
        return file.page(index)?.ok_or(TiffProblem::Page(index));
    }
    let mut pages = file.pages()?;
    let main = main_page(pages.iter().map(|directory| &directory.page)).ok_or(TiffProblem::Damaged)?;
    Ok(pages.swap_remove(main))
}

/// Refuses sides above the bound.
fn check_size(width: u32, height: u32) -> Result<(), TiffProblem> {
    if width.max(height) as usize > SIDE_MAX { Err(TiffProblem::Size(width, height)) } else { Ok(()) }
}

/// Width and height of what [`decode`] reads, after orientation, from the directory alone.
pub(super) fn size<R: Read + Seek>(file: &mut TiffFile<R>, page: Option<usize>) -> Result<(usize, usize), TiffProblem> {
    let directory = chosen(file, page)?;
    let (width, height) = directory.page.size;
    if width == 0 || height == 0 {
        return Err(TiffProblem::Damaged);
    }
    let side = |side| u32::try_from(side).unwrap_or(u32::MAX);
    check_size(side(width), side(height))?;
    Ok(turned_size(directory.page.size, directory.orientation))
}

/// Reads the main page of a file, or the page with an index.
pub(super) fn decode<R: Read + Seek>(mut file: TiffFile<R>, page: Option<usize>) -> Result<Raster, TiffProblem> {
    let directory = chosen(&mut file, page)?;
    let (meaning, compression, kind) = (directory.photometric, directory.compression, describe(&directory));
    let (bands, bits) = (usize::from(directory.bands), directory.bits);
    directory.present_as_first(&mut file);
    let packed = directory.present_as_bytes(&mut file);
    if let Some(at) = directory.photometric_at.filter(|_| meaning < 256) {
        file.replace(at, vec![BLACK_IS_ZERO as u8]);
    }
    let problem = |error: TiffError| match error {
        TiffError::UnsupportedError(
            TiffUnsupportedError::UnknownCompressionMethod | TiffUnsupportedError::UnsupportedCompressionMethod(_),
        ) => TiffProblem::Compression(compression_name(compression)),
        TiffError::UnsupportedError(_) => TiffProblem::Kind(kind.clone()),
        TiffError::IoError(error) => error.into(),
        _ => TiffProblem::Damaged,
    };
    let mut limits = Limits::default();
    limits.decoding_buffer_size = DECODED_BYTES_MAX as usize;
    limits.intermediate_buffer_size = DECODED_BYTES_MAX as usize;
    // The decoder begins where the file is.
    file.rewind()?;
    let mut decoder = Decoder::new(&mut file).map_err(problem)?.with_limits(limits);
    let (mut width, height) = decoder.dimensions().map_err(problem)?;
    if packed {
        width = u32::try_from(directory.page.size.0).unwrap_or(u32::MAX);
    }
    check_size(width, height)?;
    let (width, height) = (width as usize, height as usize);
    // A damaged directory may be read in two ways.
    if (width, height) != directory.page.size {
        return Err(TiffProblem::Damaged);
    }
    let count = width.saturating_mul(height).saturating_mul(bands);
    // As `widened` returns them.
    let sample_bytes = if directory.format == 1 && bits <= 16 { bits.div_ceil(8).into() } else { 8 };
    if (count as u64).saturating_mul(sample_bytes) > DECODED_BYTES_MAX {
        return Err(directory.too_large());
    }
    let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).ok().flatten().unwrap_or_default();
    let declared = decoder.find_tag_unsigned_vec::<u16>(Tag::Unknown(281)).ok().flatten();
    let declared = declared.and_then(|largest| largest.first().copied()).filter(|&largest| largest > 0);
    let no_data = decoder.get_tag_ascii_string(Tag::Unknown(42113)).ok().and_then(|text| text.trim().parse().ok());
    let map = if meaning == PALETTE { Some(decoder.get_tag_u16_vec(Tag::ColorMap).map_err(problem)?) } else { None };
    let subsampled = decoder.find_tag_unsigned_vec::<u16>(Tag::ChromaSubsampling).ok().flatten();
    let colours = match meaning {
        WHITE_IS_ZERO | BLACK_IS_ZERO | PALETTE => 1,
        RGB | YCBCR => 3,
        CMYK => 4,
        _ => return Err(TiffProblem::Kind(kind)),
    };
    let planar = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).ok().flatten() == Some(2) && bands > 1;
    let jpeg = compression == directory::JPEG;
    if bands < colours || (meaning == YCBCR && !jpeg && subsampled.is_none_or(|by| by != [1, 1])) {
        return Err(TiffProblem::Kind(kind));
    }
    let mut samples = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut samples).map_err(|error| match error {
        TiffError::LimitsExceeded => directory.too_large(),
        error => problem(error),
    })?;
    if samples.as_buffer(0).as_bytes().len() < layout.complete_len {
        return Err(TiffProblem::Damaged);
    }
    let mut samples = widened(samples, width * bands, bits, packed);
    if samples.len() != count {
        return Err(if bits < 8 { TiffProblem::Kind(kind) } else { TiffProblem::Damaged });
    }
    if planar {
        samples = interleaved(samples, width * height, bands);
    }
    let alpha = bands > colours && matches!(extra.first(), Some(1 | 2)) || (extra.is_empty() && bands == colours + 1);
    let mut raster = Raster {
        width,
        height,
        bands,
        colours: colours.min(3),
        alpha,
        samples,
        bit_depth: bits.min(64) as u8,
        declared_bits: declared
            .map(|largest| 16 - largest.leading_zeros() as u8)
            .filter(|&used| u16::from(used) < bits),
        no_data,
        orientation: directory.orientation,
        leftovers: false,
    };
    if let (Samples::U8(values), 1 | 2 | 4, true) = (&mut raster.samples, bits, meaning != PALETTE) {
        let step = 255 / ((1 << bits) - 1) as u8;
        values.iter_mut().for_each(|value| *value *= step);
    }
    match meaning {
        WHITE_IS_ZERO => invert(&mut raster.samples, bits),
        YCBCR => match &mut raster.samples {
            Samples::U8(values) => values.chunks_exact_mut(bands).for_each(|pixel| {
                let rgb = rgb_of_ycbcr([pixel[0], pixel[1], pixel[2]]);
                pixel[..3].copy_from_slice(&rgb);
            }),
            _ => return Err(TiffProblem::Kind(kind)),
        },
        CMYK => {
            raster.samples = match raster.samples {
                Samples::U8(inks) => Samples::U8(without_black(&inks, bands, rgb_of_cmyk)),
                Samples::U16(inks) => Samples::U16(without_black(&inks, bands, rgb16_of_cmyk)),
                _ => return Err(TiffProblem::Kind(kind)),
            };
            (raster.bands, raster.alpha) = (3, false);
        }
        PALETTE => {
            let map = map.unwrap_or_default();
            let entries = map.len() / 3;
            let Samples::U8(indices) = &raster.samples else {
                return Err(TiffProblem::Kind(kind));
            };
            let colour = |index: u8| {
                let high =
                    |plane: usize| map.get(plane * entries + usize::from(index)).map_or(0, |level| (level >> 8) as u8);
                if usize::from(index) < entries { [high(0), high(1), high(2)] } else { [0; 3] }
            };
            raster.samples = Samples::U8(indices.chunks_exact(bands).flat_map(|pixel| colour(pixel[0])).collect());
            (raster.bands, raster.colours, raster.alpha) = (3, 3, false);
        }
        _ => {}
    }
    Ok(raster)
}

/// Packed samples of 9 to 15 bits, each row from a whole byte on.
fn unpack_deep(rows: &[u8], width: usize, bits: usize) -> Vec<u16> {
    let row = (width * bits).div_ceil(8).max(1);
    let sample = |row: &[u8], x: usize| {
        let byte = |at: usize| u32::from(row.get(x * bits / 8 + at).copied().unwrap_or(0));
        let three = byte(0) << 16 | byte(1) << 8 | byte(2);
        (three >> (24 - bits - x * bits % 8) & ((1 << bits) - 1)) as u16
    };
    rows.chunks_exact(row).flat_map(|row| (0..width).map(move |x| sample(row, x))).collect()
}

/// Packed samples as a byte each.
fn unpack(rows: &[u8], width: usize, bits: usize) -> Vec<u8> {
    let row = (width * bits).div_ceil(8).max(1);
    let mask = (1u16 << bits) as u8 - 1;
    let sample = |row: &[u8], x: usize| row[x * bits / 8] >> (8 - bits - x * bits % 8) & mask;
    rows.chunks_exact(row).flat_map(|row| (0..width).map(move |x| sample(row, x))).collect()
}

/// The decoder's samples as ours. `width` counts the samples of a row.
fn widened(samples: DecodingResult, width: usize, bits: u16, packed: bool) -> Samples {
    fn integers<T: Into<i64>>(values: Vec<T>, kind: SampleKind) -> Samples {
        Samples::Integer { values: values.into_iter().map(Into::into).collect(), kind }
    }
    match samples {
        DecodingResult::U8(rows) if packed => Samples::U16(unpack_deep(&rows, width, usize::from(bits))),
        DecodingResult::U8(rows) if matches!(bits, 1 | 2 | 4) => Samples::U8(unpack(&rows, width, usize::from(bits))),
        DecodingResult::U8(values) => Samples::U8(values),
        DecodingResult::U16(values) => Samples::U16(values),
        DecodingResult::U32(values) => integers(values, SampleKind::U32),
        DecodingResult::U64(values) => {
            let values = values.into_iter().map(|value| i64::try_from(value).unwrap_or(i64::MAX)).collect();
            Samples::Integer { values, kind: SampleKind::U64 }
        }
        DecodingResult::I8(values) => integers(values, SampleKind::I8),
        DecodingResult::I16(values) => integers(values, SampleKind::I16),
        DecodingResult::I32(values) => integers(values, SampleKind::I32),
        DecodingResult::I64(values) => integers(values, SampleKind::I64),
        DecodingResult::F16(values) => {
            Samples::Float { values: values.into_iter().map(|value| value.to_f64()).collect(), kind: SampleKind::F16 }
        }
        DecodingResult::F32(values) => {
            Samples::Float { values: values.into_iter().map(f64::from).collect(), kind: SampleKind::F32 }
        }
        DecodingResult::F64(values) => Samples::Float { values, kind: SampleKind::F64 },
    }
}

/// Planes one after the other as the bands of each pixel side by side.
fn interleaved(samples: Samples, pixels: usize, bands: usize) -> Samples {
    fn weave<T: Copy>(values: &[T], pixels: usize, bands: usize) -> Vec<T> {
        (0..pixels).flat_map(|pixel| (0..bands).map(move |band| values[band * pixels + pixel])).collect()
    }
    match samples {
        Samples::U8(values) => Samples::U8(weave(&values, pixels, bands)),
        Samples::U16(values) => Samples::U16(weave(&values, pixels, bands)),
        Samples::Integer { values, kind } => Samples::Integer { values: weave(&values, pixels, bands), kind },
        Samples::Float { values, kind } => Samples::Float { values: weave(&values, pixels, bands), kind },
    }
}

/// 0 is white. Signed and wider integers are left, since nothing says what their white is.
fn invert(samples: &mut Samples, bits: u16) {
    match samples {
        Samples::U8(values) => values.iter_mut().for_each(|value| *value = !*value),
        Samples::U16(values) => {
            let unused = 16u16.saturating_sub(bits);
            values.iter_mut().for_each(|value| *value = !*value & u16::MAX >> unused.min(15));
        }
        Samples::Float { values, .. } => values.iter_mut().for_each(|value| *value = 1.0 - *value),
        Samples::Integer { .. } => {}
    }
}

/// Full-range BT.601, as JFIF defines it, in 16 bits of fraction.
fn rgb_of_ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128);
    let clip = |value: i32| ((value + 32768) >> 16).clamp(0, 255) as u8;
    [clip(y + 91881 * cr), clip(y - 22554 * cb - 46802 * cr), clip(y + 116_130 * cb)]
}

/// As the decoder behind `image` computes it, in the same f32 operations.
fn rgb_of_cmyk([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    let light = 1.0 - f32::from(k) / 255.0;
    [c, m, y].map(|ink| ((255.0 - f32::from(ink)) * light) as u8)
}

fn rgb16_of_cmyk([c, m, y, k]: [u16; 4]) -> [u16; 3] {
    let light = 1.0 - f32::from(k) / 65535.0;
    [c, m, y].map(|ink| ((65535.0 - f32::from(ink)) * light) as u16)
}

fn without_black<T: Copy>(inks: &[T], bands: usize, rgb: impl Fn([T; 4]) -> [T; 3]) -> Vec<T> {
    inks.chunks_exact(bands).flat_map(|ink| rgb([ink[0], ink[1], ink[2], ink[3]])).collect()
}

/// The kind of a file, for a message.
fn describe(directory: &Directory) -> String {
    let &Directory { bits, format, .. } = directory;
    let compression = compression_name(directory.compression);
    let meaning = match directory.photometric {
        WHITE_IS_ZERO | BLACK_IS_ZERO => "gray",
        RGB => "RGB",
        PALETTE => "palette",
        CMYK => "CMYK",
        YCBCR => "YCbCr",
        8..=10 => "CIELab",
        _ => "unknown",
    };
    let format = match format {
        1 => "",
        2 => "signed ",
        3 => "float ",
        5 | 6 => "complex ",
        _ => "undefined ",
    };
    format!("TIFF with {bits}-bit {format}{meaning} samples and {compression}")
}

/// What a value of the tag Compression is called, for messages.
fn compression_name(compression: u16) -> String {
    let name = match compression {
        1 => "no",
        2..=4 => "fax",
        5 => "LZW",
        6 => "old JPEG",
        7 => "JPEG",
        8 | 32946 => "deflate",
        32773 => "PackBits",
        34712 => "JPEG 2000",
        34887 => "LERC",
        34925 => "LZMA",
        50000 => "ZSTD",
        50001 => "WebP",
        50002 => "JPEG XL",
        other => return format!("compression {other}"),
    };
    format!("{name} compression")
}

#[cfg(test)]
mod tests;
