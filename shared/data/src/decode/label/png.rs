//! PNG labels with a palette, whose values are indices.

use std::io::Cursor;
use std::path::Path;

use image::error::DecodingError;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageError, ImageFormat};
use png::{Decoder, Limits, Transformations};

use super::{DecodedLabel, of_indices, unpack};
use crate::decode::{DECODED_BYTES_MAX, FileError, PNG_PALETTE};

/// Whether a PNG file has a palette: the header chunk, which comes first, says so.
pub(super) fn has_palette(bytes: &[u8]) -> bool {
    bytes.get(25) == Some(&PNG_PALETTE)
}

pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<DecodedLabel, FileError> {
    let failed = |source| FileError::Decode { path: path.into(), source };
    let refused =
        |error: png::DecodingError| failed(ImageError::Decoding(DecodingError::new(ImageFormat::Png.into(), error)));
    // The other decoder knows the orientation, and refuses sides beyond the bound.
    let other = crate::decode::decoder(bytes, ImageFormat::Png);
    let orientation = other.map_err(failed)?.orientation().unwrap_or(Orientation::NoTransforms);
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: DECODED_BYTES_MAX as usize });
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(refused)?;
    let mut rows = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let frame = reader.next_frame(&mut rows).map_err(refused)?;
    rows.truncate(frame.buffer_size());
    // A file that ends within its image data may have filled the buffer.
    reader.finish().map_err(refused)?;
    let info = reader.info();
    let bit_depth = info.bit_depth as u8;
    let palette = info.palette.as_deref().unwrap_or_default().as_chunks::<3>().0.to_vec();
    let has_transparent_entries = info.trns.is_some();
    let indices = if bit_depth < 8 { unpack(&rows, frame.width as usize, bit_depth) } else { rows };
    let label = of_indices((frame.width, frame.height), indices, palette, bit_depth, orientation);
    let mut label = label.ok_or_else(|| refused(png::DecodingError::LimitsExceeded))?;
    label.source.alpha = has_transparent_entries;
    Ok(label)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::codecs::png::PngEncoder;
    use unet_shared::label::Reading;

    use super::*;
    use crate::decode::{OwnedSamples, decode_label};

    /// A file of 5 x 2 pixels with these indices, packed in `depth`.
    fn file(depth: png::BitDepth, rows: &[u8], palette: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 5, 2);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(depth);
        encoder.set_palette(palette);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(rows).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn indices_are_values_and_colours_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        // Two entries of one colour.
        let palette = [0, 0, 0, 128, 0, 0, 128, 0, 0, 0, 0, 9];
        let expected = [0, 1, 2, 3, 1, 2, 2, 1, 0, 0];
        for (depth, rows) in [
            (png::BitDepth::Eight, expected.to_vec()),
            (png::BitDepth::Four, vec![0x01, 0x23, 0x10, 0x22, 0x10, 0x00]),
            (png::BitDepth::Two, vec![0b00_01_10_11, 0b01_00_00_00, 0b10_10_01_00, 0]),
        ] {
            fs::write(&path, file(depth, &rows, &palette)).unwrap();
            let label = decode_label(&path).unwrap();
            assert_eq!(label.samples, OwnedSamples::Gray8(expected.to_vec()), "{depth:?}");
            assert!(label.source.palette && label.source.bit_depth == depth as u8);
            assert_eq!(label.palette.as_ref().unwrap()[3], [0, 0, 9]);
            let indices = label.clone().into_values(&Reading::STORED, &path).unwrap();
            assert_eq!(indices.samples, label.samples);
            let colours = label.into_values(&Reading::default(), &path).unwrap();
            assert!(matches!(&colours.samples, OwnedSamples::Rgb8(samples) if samples[3..9] == [128, 0, 0, 128, 0, 0]));
        }
    }

    #[test]
    fn an_index_without_a_colour_is_a_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        fs::write(&path, file(png::BitDepth::Eight, &[0, 1, 2, 2, 2, 0, 0, 0, 0, 0], &[0, 0, 0, 9, 0, 0])).unwrap();
        let label = decode_label(&path).unwrap();
        assert_eq!(label.samples, OwnedSamples::Gray8(vec![0, 1, 2, 2, 2, 0, 0, 0, 0, 0]));
        let colours = label.into_values(&Reading::default(), &path).unwrap();
        assert!(matches!(&colours.samples, OwnedSamples::Rgb8(samples) if samples[6..9] == [0; 3]));
    }

    #[test]
    fn cut_and_oversized_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        let whole = file(png::BitDepth::Eight, &[0, 1, 2, 0, 1, 2, 0, 1, 2, 0], &[0; 9]);
        for cut in 26..whole.len() - 12 {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(decode_label(&path).is_err(), "cut at {cut}");
        }
        let mut bytes = Vec::new();
        let wide = image::GrayImage::new(unet_shared::image::SIDE_MAX as u32 + 1, 1);
        wide.write_with_encoder(PngEncoder::new(&mut bytes)).unwrap();
        // A gray header made one with a palette: the side is refused before anything else is looked at.
        bytes[25] = PNG_PALETTE;
        fs::write(&path, bytes).unwrap();
        assert!(decode_label(&path).is_err());
    }
}
