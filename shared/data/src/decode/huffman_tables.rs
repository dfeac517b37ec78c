//! The Huffman tables that JPEG frames of cameras leave out.

use std::borrow::Cow;

/// Marks a frame as Motion JPEG, whose standard tables (ITU-T T.81, K.3) the decoder knows.
const MOTION_JPEG: [u8; 18] = *b"\xff\xe0\0\x10AVI1\0\0\0\0\0\0\0\0\0\0";

/// The bytes of a JPEG image that the decoder can read: if no Huffman table comes before the first scan, the standard ones are
/// meant, and the image is marked so. USB cameras leave them out, most without a mark.
pub fn with_huffman_tables(jpeg: &[u8]) -> Cow<'_, [u8]> {
    if !lacks_tables(jpeg) {
        return Cow::Borrowed(jpeg);
    }
    let mut marked = Vec::with_capacity(jpeg.len() + MOTION_JPEG.len());
    marked.extend_from_slice(&jpeg[..2]);
    marked.extend_from_slice(&MOTION_JPEG);
    marked.extend_from_slice(&jpeg[2..]);
    Cow::Owned(marked)
}

/// Whether a baseline image has a scan and no Huffman table before it.
fn lacks_tables(jpeg: &[u8]) -> bool {
    let Some((b"\xff\xd8", mut rest)) = jpeg.split_at_checked(2) else { return false };
    let mut baseline = false;
    loop {
        match *rest {
            [0xff, 0xff, ..] => rest = &rest[1..],
            [0xff, 0xc4, ..] => return false,
            [0xff, 0xda, ..] => return baseline,
            [0xff, marker, high, low, ..] => {
                baseline |= matches!(marker, 0xc0 | 0xc1);
                match rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..) {
                    Some(next) => rest = next,
                    None => return false,
                }
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unet_shared::samples::SampleReading;

    use image::codecs::jpeg::JpegEncoder;
    use image::{GrayImage, ImageFormat, Luma, RgbImage};

    /// An encoder writes the standard tables; this takes them out.
    fn without_tables(jpeg: &[u8]) -> Vec<u8> {
        let (mut bytes, mut at) = (jpeg[..2].to_vec(), 2);
        while jpeg[at + 1] != 0xda {
            let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            if jpeg[at + 1] != 0xc4 {
                bytes.extend(&jpeg[at..end]);
            }
            at = end;
        }
        bytes.extend(&jpeg[at..]);
        bytes
    }

    #[test]
    fn a_file_without_tables_has_the_standard_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        let colour = RgbImage::from_fn(33, 17, |x, y| image::Rgb([(x * 7) as u8, (y * 15) as u8, 40]));
        let gray = GrayImage::from_fn(16, 16, |x, y| Luma([(x * 16 + y) as u8]));
        let (mut bytes, mut gray_bytes) = (Vec::new(), Vec::new());
        JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&colour).unwrap();
        JpegEncoder::new_with_quality(&mut gray_bytes, 90).encode_image(&gray).unwrap();
        for bytes in [bytes, gray_bytes] {
            std::fs::write(&path, &bytes).unwrap();
            let expected = crate::decode_image(&path, &SampleReading::PLAIN).unwrap();
            let without = without_tables(&bytes);
            assert!(
                without.len() < bytes.len()
                    && image::load_from_memory_with_format(&without, ImageFormat::Jpeg).is_err()
            );
            std::fs::write(&path, without).unwrap();
            assert_eq!(crate::decode_image(&path, &SampleReading::PLAIN).unwrap(), expected);
            assert!(matches!(with_huffman_tables(&bytes), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn what_is_no_baseline_image_stays_as_it_is() {
        for bytes in
            [b"".as_slice(), b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xc2\0\x02\xff\xda", b"\xff\xd8\xff\xdb\xff\xff\0"]
        {
            assert!(matches!(with_huffman_tables(bytes), Cow::Borrowed(_)), "{bytes:?}");
        }
    }
}
