//! BMP labels with a palette, whose values are indices.

use std::path::Path;

use image::metadata::Orientation;

use super::{DecodedLabel, of_indices};
use crate::decode::{FileError, decode_bytes};

/// Where a file's palette is, in bytes.
struct Palette {
    start: usize,
    /// Bytes of an entry: blue, green, red, and a fourth except in the oldest files.
    entry: usize,
    entries: usize,
    bit_depth: u8,
}

const FILE_HEADER: usize = 14;
/// Size of the header of OS/2, whose palette has three bytes an entry.
const CORE_HEADER: u32 = 12;

impl Palette {
    /// Of a file of at most 8 bits a pixel.
    fn of(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let double = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let header = double(FILE_HEADER)?;
        let (bit_depth, listed, entry) = if header == CORE_HEADER {
            (word(FILE_HEADER + 10)?, 0, 3)
        } else {
            (word(FILE_HEADER + 14)?, double(FILE_HEADER + 32)?, 4)
        };
        let bit_depth = u8::try_from(bit_depth).ok().filter(|depth| matches!(depth, 1 | 2 | 4 | 8))?;
        let all = 1usize << bit_depth;
        let entries = if listed == 0 { all } else { (listed as usize).min(all) };
        let start = FILE_HEADER.checked_add(header as usize)?;
        (start.checked_add(entries * entry)? <= bytes.len()).then_some(Self { start, entry, entries, bit_depth })
    }
}

pub(super) fn has_palette(bytes: &[u8]) -> bool {
    Palette::of(bytes).is_some()
}

/// Decodes the file with the palette `0, 1, 2, …` in place of its own, so that the decoder, which returns colours, returns
/// indices whatever the depth and the compression.
pub(super) fn decode(path: &Path, mut bytes: Vec<u8>) -> Result<DecodedLabel, FileError> {
    let Some(place) = Palette::of(&bytes) else {
        return super::of_pixels(path, decode_bytes(path, &bytes)?);
    };
    let mut palette = Vec::with_capacity(place.entries);
    for (index, entry) in bytes[place.start..].chunks_exact_mut(place.entry).take(place.entries).enumerate() {
        palette.push([entry[2], entry[1], entry[0]]);
        entry[..3].fill(index as u8);
    }
    let pixels = decode_bytes(path, &bytes)?.pixels.into_rgb8();
    let size = pixels.dimensions();
    let indices = pixels.into_raw().into_iter().step_by(3).collect();
    let label = of_indices(size, indices, palette, place.bit_depth, Orientation::NoTransforms);
    Ok(label.expect("one index for each pixel"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use unet_shared::label::Reading;

    use crate::decode::{OwnedSamples, decode_label};

    /// A file of 3 x 1 pixels.
    fn file(bits: u16, row: [u8; 4], palette: &[[u8; 4]]) -> Vec<u8> {
        let offset = 54 + palette.len() as u32 * 4;
        let mut bytes = b"BM".to_vec();
        bytes.extend((offset + 4).to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(offset.to_le_bytes());
        for value in [40u32, 3, 1] {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend(1u16.to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        for value in [0, 4, 0, 0, palette.len() as u32, 0] {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend(palette.concat());
        bytes.extend(row);
        bytes
    }

    #[test]
    fn indices_of_every_depth_are_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.bmp");
        let palette = [[0, 0, 0, 0], [9, 8, 7, 0], [9, 8, 7, 0]];
        for (bits, row, expected) in
            [(8, [2, 0, 1, 0], [2, 0, 1]), (4, [0x20, 0x10, 0, 0], [2, 0, 1]), (1, [0b0110_0000, 0, 0, 0], [0, 1, 1])]
        {
            let entries = if bits == 1 { 2 } else { 3 };
            fs::write(&path, file(bits, row, &palette[..entries])).unwrap();
            let label = decode_label(&path).unwrap();
            assert_eq!((&label.samples, label.source.palette), (&OwnedSamples::Gray8(expected.to_vec()), true));
            assert_eq!(label.palette.as_ref().unwrap()[1], [7, 8, 9]);
            let colours = label.into_values(&Reading::default(), &path).unwrap().samples;
            let colour = |index: u8| if index == 0 { [0, 0, 0] } else { [7, 8, 9] };
            assert_eq!(colours, OwnedSamples::Rgb8(expected.map(colour).concat()));
        }
    }
}
