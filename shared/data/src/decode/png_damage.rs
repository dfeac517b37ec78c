//! What is wrong with a PNG file that does not decode: the chunks are walked, and each checksum is compared.

/// The bytes that every PNG file begins with.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Why the file is not whole, as the end of a sentence about it; `None` if all chunks are there and have the right checksums.
pub(super) fn png_damage(png: &[u8]) -> Option<String> {
    let mut at = SIGNATURE.len();
    loop {
        let Some(&[a, b, c, d, ref kind @ ..]) = png.get(at..at + 8) else {
            return Some("is cut off: its end is missing".to_owned());
        };
        let name: String = kind.iter().map(|&byte| char::from(byte)).collect();
        if !kind.iter().all(u8::is_ascii_alphabetic) {
            return Some(format!("is damaged: there is no chunk at byte {at}"));
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let content = at + 8;
        let end = content.checked_add(length)?;
        let Some(&[a, b, c, d]) = png.get(end..end.checked_add(4)?) else {
            return Some(format!(
                "is cut off: {} of the {length} bytes of its chunk {name} are there",
                png.len().min(end) - content
            ));
        };
        if crc32(&png[at + 4..end]) != u32::from_be_bytes([a, b, c, d]) {
            return Some(format!("is damaged: the checksum of its chunk {name} at byte {at} is wrong"));
        }
        if kind == b"IEND" {
            return None;
        }
        at = end + 4;
    }
}

/// CRC-32 of the PNG specification, ISO 3309: reflected, of the polynomial 0x04c11db7.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{GrayImage, ImageFormat};

    use super::*;

    #[test]
    fn the_check_value_of_the_crc() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn cut_and_changed_files_are_told_apart() {
        let mut bytes = Cursor::new(Vec::new());
        GrayImage::new(9, 5).write_to(&mut bytes, ImageFormat::Png).unwrap();
        let whole = bytes.into_inner();
        assert_eq!(png_damage(&whole), None);
        let found = |bytes: &[u8]| png_damage(bytes).unwrap();
        // The signature, the 25 bytes of IHDR, and then IDAT.
        assert_eq!(&whole[37..41], b"IDAT");
        assert_eq!(found(&whole[..20]), "is cut off: 4 of the 13 bytes of its chunk IHDR are there");
        assert_eq!(found(&whole[..whole.len() - 12]), "is cut off: its end is missing");
        let mut changed = whole.clone();
        changed[43] ^= 1;
        assert_eq!(found(&changed), "is damaged: the checksum of its chunk IDAT at byte 33 is wrong");
        changed[38] = 0;
        assert_eq!(found(&changed), "is damaged: there is no chunk at byte 33");
    }
}
