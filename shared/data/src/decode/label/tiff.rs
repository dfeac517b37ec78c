//! TIFF labels. Gray samples of any kind are read as they are stored: neither a palette nor a file that calls 0 white
//! changes a value, and signed, 32-bit and float samples are values if they are whole numbers.

use std::fs::File;
use std::io::Seek;
use std::path::Path;

use image::codecs::tiff::TiffDecoder;
use image::error::DecodingError;
use image::{DynamicImage, GrayImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, Luma};
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use unet_shared::image::SIDE_MAX;

use super::{DecodedLabel, LabelSource, OwnedSamples, of_pixels, unpack};
use crate::decode::tiff::{TiffFile, TiffProblem};
use crate::decode::{DECODED_BYTES_MAX, Decoded, FileError, limits as image_limits};

/// Tag 262 says what the samples mean: 0 white is zero, 1 black is zero, 3 a palette, 4 a mask for another image.
const WHITE_IS_ZERO: u16 = 0;
const BLACK_IS_ZERO: u8 = 1;
const PALETTE: u16 = 3;
const MASK: u16 = 4;

/// Reads the page with an index, or the first one.
pub(super) fn decode(path: &Path, mut file: TiffFile<File>, page: Option<usize>) -> Result<DecodedLabel, FileError> {
    let failed = |problem: TiffProblem| problem.of_file(path);
    let directory = file.page(page.unwrap_or(0)).map_err(|error| failed(error.into()))?;
    let directory = directory.ok_or_else(|| failed(page.map_or(TiffProblem::Damaged, TiffProblem::Page)))?;
    directory.present_as_first(&mut file);
    let meaning = directory.photometric;
    if let (Some(at), WHITE_IS_ZERO | PALETTE | MASK) = (directory.photometric_at, meaning) {
        file.replace(at, vec![BLACK_IS_ZERO]);
    }
    let refused = |error: tiff::TiffError| {
        let source = match error {
            tiff::TiffError::IoError(error) => ImageError::IoError(error),
            error => ImageError::Decoding(DecodingError::new(ImageFormat::Tiff.into(), error)),
        };
        FileError::Decode { path: path.into(), source }
    };
    let mut limits = Limits::default();
    limits.decoding_buffer_size = DECODED_BYTES_MAX as usize;
    limits.intermediate_buffer_size = DECODED_BYTES_MAX as usize;
    // The decoder begins where the file is.
    file.rewind().map_err(|error| failed(error.into()))?;
    let mut decoder = Decoder::new(&mut file).map_err(refused)?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(refused)?;
    // JPEG, old and new.
    let lossy = matches!(decoder.find_tag_unsigned::<u16>(Tag::Compression), Ok(Some(6 | 7)));
    let gray = match decoder.colortype() {
        Ok(ColorType::Gray(bits)) if width.max(height) as usize <= SIDE_MAX => bits,
        // Colours, and what the other decoder has the words for.
        _ => {
            file.rewind().map_err(|error| failed(error.into()))?;
            let decoder = TiffDecoder::new(&mut file).and_then(|mut decoder| {
                decoder.set_limits(image_limits())?;
                Decoded::from_decoder(Box::new(decoder))
            });
            let mut label =
                of_pixels(path, decoder.map_err(|source| FileError::Decode { path: path.into(), source })?)?;
            label.source.lossy = lossy;
            return Ok(label);
        }
    };
    let orientation = directory.orientation;
    let palette = if meaning == PALETTE {
        let map = decoder.get_tag_u16_vec(Tag::ColorMap).map_err(refused)?;
        let plane = map.len() / 3;
        let high = |at: usize| (map[at] >> 8) as u8;
        Some((0..plane).map(|i| [high(i), high(plane + i), high(2 * plane + i)]).collect())
    } else {
        None
    };
    let result = decoder.read_image().map_err(|error| match error {
        tiff::TiffError::LimitsExceeded => failed(directory.too_large()),
        error => refused(error),
    })?;
    let samples = samples(path, result, width as usize, gray, palette.is_some())?;
    let mut pixels = match samples {
        OwnedSamples::Gray16(samples) => {
            ImageBuffer::<Luma<u16>, _>::from_raw(width, height, samples).map(DynamicImage::ImageLuma16)
        }
        OwnedSamples::Gray8(samples) | OwnedSamples::Rgb8(samples) => {
            GrayImage::from_raw(width, height, samples).map(DynamicImage::ImageLuma8)
        }
    }
    .ok_or_else(|| refused(tiff::TiffError::LimitsExceeded))?;
    pixels.apply_orientation(orientation);
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let samples = match pixels {
        DynamicImage::ImageLuma16(buffer) => OwnedSamples::Gray16(buffer.into_raw()),
        other => OwnedSamples::Gray8(other.into_luma8().into_raw()),
    };
    let source = LabelSource {
        bit_depth: gray,
        rgb: false,
        palette: palette.is_some(),
        alpha: false,
        white_is_zero: meaning == WHITE_IS_ZERO,
        lossy,
        orientation: orientation.to_exif(),
    };
    Ok(DecodedLabel { width, height, samples, palette, alpha: None, source })
}

/// Label values of the samples, 8 bits each where that is enough.
fn samples(
    path: &Path,
    result: DecodingResult,
    width: usize,
    bits: u8,
    indices: bool,
) -> Result<OwnedSamples, FileError> {
    match result {
        DecodingResult::U8(rows) if bits < 8 => {
            let mut samples = unpack(&rows, width, bits);
            if bits == 1 && !indices {
                // As in PNG files of 1 bit.
                samples.iter_mut().for_each(|sample| *sample *= u8::MAX);
            }
            Ok(OwnedSamples::Gray8(samples))
        }
        DecodingResult::U8(samples) => Ok(OwnedSamples::Gray8(samples)),
        DecodingResult::U16(samples) => Ok(OwnedSamples::Gray16(samples)),
        DecodingResult::U32(samples) => whole(path, width, "32-bit", samples, |v| v.try_into().ok()),
        DecodingResult::U64(samples) => whole(path, width, "64-bit", samples, |v| v.try_into().ok()),
        DecodingResult::I8(samples) => whole(path, width, "signed 8-bit", samples, |v| v.try_into().ok()),
        DecodingResult::I16(samples) => whole(path, width, "signed 16-bit", samples, |v| v.try_into().ok()),
        DecodingResult::I32(samples) => whole(path, width, "signed 32-bit", samples, |v| v.try_into().ok()),
        DecodingResult::I64(samples) => whole(path, width, "signed 64-bit", samples, |v| v.try_into().ok()),
        DecodingResult::F16(samples) => whole(path, width, "float", samples, |v| of_float(v.to_f64())),
        DecodingResult::F32(samples) => whole(path, width, "float", samples, |v| of_float(v.into())),
        DecodingResult::F64(samples) => whole(path, width, "float", samples, of_float),
    }
}

fn of_float(value: f64) -> Option<u16> {
    (value.fract() == 0.0 && (0.0..=65535.0).contains(&value)).then_some(value as u16)
}

/// The samples as label values, or an error that names the first that is not a whole number in range.
fn whole<T: Copy + std::fmt::Display>(
    path: &Path,
    width: usize,
    kind: &str,
    samples: Vec<T>,
    value: impl Fn(T) -> Option<u16>,
) -> Result<OwnedSamples, FileError> {
    let values: Option<Vec<u16>> = samples.iter().map(|&sample| value(sample)).collect();
    let Some(values) = values else {
        let first = samples.iter().position(|&sample| value(sample).is_none()).unwrap_or(0);
        let (x, y) = (first % width, first / width);
        let found = format!("{kind} samples, at ({x}, {y}) {},", samples[first]);
        let expected = "label values, which are whole numbers from 0 to 65535; convert the mask, with 255 for what is to be ignored";
        return Err(FileError::LabelSamples { path: path.into(), expected, found });
    };
    Ok(match values.iter().map(|&value| u8::try_from(value).ok()).collect() {
        Some(bytes) => OwnedSamples::Gray8(bytes),
        None => OwnedSamples::Gray16(values),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;

    use tiff::encoder::{TiffEncoder, colortype};
    use unet_shared::label::Reading;

    use super::*;
    use crate::decode::decode_label;
    use crate::decode::tiff::Numbers;

    fn file<C: colortype::ColorType>(data: &[C::Inner], big: bool) -> Vec<u8>
    where
        [C::Inner]: tiff::encoder::TiffValue,
    {
        let mut bytes = Cursor::new(Vec::new());
        let (width, height) = (data.len() as u32, 1);
        if big {
            TiffEncoder::new_big(&mut bytes).unwrap().write_image::<C>(width, height, data).unwrap();
        } else {
            TiffEncoder::new(&mut bytes).unwrap().write_image::<C>(width, height, data).unwrap();
        }
        bytes.into_inner()
    }

    /// Where the low byte of the photometric interpretation is.
    fn photometric_at(bytes: &[u8]) -> usize {
        let mut file = TiffFile::new(Cursor::new(bytes), Numbers::of(bytes).unwrap()).unwrap();
        file.page(0).unwrap().unwrap().photometric_at.unwrap() as usize
    }

    fn decoded(bytes: &[u8]) -> Result<DecodedLabel, FileError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.tif");
        fs::write(&path, bytes).unwrap();
        decode_label(&path)
    }

    #[test]
    fn whole_numbers_of_every_kind_are_values() {
        let small = OwnedSamples::Gray8(vec![0, 7, 2]);
        for big in [false, true] {
            for bytes in [
                file::<colortype::Gray8>(&[0, 7, 2], big),
                file::<colortype::GrayI8>(&[0, 7, 2], big),
                file::<colortype::GrayI16>(&[0, 7, 2], big),
                file::<colortype::Gray32>(&[0, 7, 2], big),
                file::<colortype::GrayI32>(&[0, 7, 2], big),
                file::<colortype::Gray64>(&[0, 7, 2], big),
                file::<colortype::Gray32Float>(&[0.0, 7.0, 2.0], big),
                file::<colortype::Gray64Float>(&[0.0, 7.0, 2.0], big),
            ] {
                assert_eq!(decoded(&bytes).unwrap().samples, small);
            }
        }
        let deep = decoded(&file::<colortype::Gray32>(&[0, 700, 2], false)).unwrap();
        assert_eq!((deep.samples, deep.source.bit_depth), (OwnedSamples::Gray16(vec![0, 700, 2]), 32));
    }

    #[test]
    fn other_numbers_are_named_with_their_place() {
        for (bytes, expected) in [
            (
                file::<colortype::GrayI16>(&[0, 1, -1], false),
                "signed 16-bit samples, at (2, 0) -1, expected label values",
            ),
            (file::<colortype::Gray32Float>(&[0.0, 0.5], false), "float samples, at (1, 0) 0.5, expected"),
            (file::<colortype::Gray32Float>(&[f32::NAN], false), "(0, 0) NaN"),
            (file::<colortype::Gray32>(&[70000], false), "32-bit samples, at (0, 0) 70000"),
        ] {
            let message = decoded(&bytes).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_file_that_calls_zero_white_keeps_its_values() {
        for big in [false, true] {
            let mut bytes = file::<colortype::Gray8>(&[0, 1, 2], big);
            let at = photometric_at(&bytes);
            assert_eq!(bytes[at], BLACK_IS_ZERO);
            bytes[at] = WHITE_IS_ZERO as u8;
            let label = decoded(&bytes).unwrap();
            assert!(label.source.white_is_zero);
            let read = |reading| label.clone().into_values(reading, Path::new("a")).unwrap().samples;
            assert_eq!(read(&Reading::STORED), OwnedSamples::Gray8(vec![0, 1, 2]));
            // As before labels were read by their stored samples.
            assert_eq!(read(&Reading::default()), OwnedSamples::Gray8(vec![255, 254, 253]));
        }
    }

    #[test]
    fn indices_of_a_palette_are_values() {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        let mut image = encoder.new_image::<colortype::Gray8>(3, 1).unwrap();
        let mut map = vec![0u16; 768];
        map[1] = 0x8080;
        map[256 + 2] = 0xff00;
        image.encoder().write_tag(Tag::ColorMap, map.as_slice()).unwrap();
        image.write_data(&[2, 0, 1]).unwrap();
        let mut bytes = bytes.into_inner();
        let at = photometric_at(&bytes);
        bytes[at] = PALETTE as u8;
        let label = decoded(&bytes).unwrap();
        assert_eq!(label.samples, OwnedSamples::Gray8(vec![2, 0, 1]));
        assert_eq!(label.palette.as_ref().unwrap()[..3], [[0, 0, 0], [0x80, 0, 0], [0, 0xff, 0]]);
    }

    #[test]
    fn garbage_is_an_error() {
        let whole = file::<colortype::Gray16>(&[1, 2, 3], false);
        for cut in 4..whole.len() - 1 {
            let _ = decoded(&whole[..cut]);
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = decoded(&bytes);
            }
        }
    }
}
