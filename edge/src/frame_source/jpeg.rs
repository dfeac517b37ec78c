//! Decodes JPEG frames with the decoder that also reads image files, so that both produce equal bytes.

use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::{ColorType, ImageDecoder, Limits};
use unet_data::decode::{verify_jpeg, with_huffman_tables};
use unet_shared::image::{ImageError, ImageView, PixelFormat};

use super::{FRAME_BYTES_MAX, FrameSlot};

/// The pixels of a frame that had to be decoded, in memory that is reused.
#[derive(Debug, Clone)]
pub struct DecodedFrame {
    bytes: Vec<u8>,
    width: usize,
    height: usize,
    format: PixelFormat,
}

impl Default for DecodedFrame {
    fn default() -> Self {
        DecodedFrame { bytes: Vec::new(), width: 0, height: 0, format: PixelFormat::Gray8 }
    }
}

impl DecodedFrame {
    /// The pixels.
    ///
    /// # Errors
    ///
    /// Before the first frame was decoded, or if a side exceeds the limit.
    pub fn view(&self) -> Result<ImageView<'_>, ImageError> {
        ImageView::packed(&self.bytes, self.width, self.height, self.format)
    }
}

/// Why a frame has no pixels.
#[derive(Debug, thiserror::Error)]
pub enum PixelsError {
    /// The bytes do not match the format.
    #[error("pixels: {0}")]
    View(ImageError),
    /// The frame cannot be decoded.
    #[error("{0}")]
    Jpeg(String),
}

/// The pixels of a frame. A JPEG frame is decoded into `decoded`.
///
/// # Errors
///
/// If the bytes are not a frame of the slot's format.
pub fn pixels<'a>(frame: &'a FrameSlot, decoded: &'a mut DecodedFrame) -> Result<ImageView<'a>, PixelsError> {
    let view = match frame.view() {
        Some(view) => view,
        None => {
            decode_jpeg(frame, decoded).map_err(PixelsError::Jpeg)?;
            decoded.view()
        }
    };
    view.map_err(PixelsError::View)
}

/// Decodes into memory that is reused. While it works, the decoder allocates a few rows and a copy of the frame.
///
/// The size in the JPEG header counts, which may differ from the negotiated one. EXIF orientation is ignored: cameras that
/// know theirs rotate the pixels.
///
/// # Errors
///
/// What is wrong with a frame that is cut off, is not a JPEG image, or exceeds a limit.
fn decode_jpeg(frame: &FrameSlot, pixels: &mut DecodedFrame) -> Result<(), String> {
    let refused = |error: image::ImageError| format!("failed to decode JPEG: {error}");
    if !frame.bytes.starts_with(&[0xff, 0xd8]) {
        return Err("expected a JPEG image, found other bytes".to_owned());
    }
    let whole = with_huffman_tables(&frame.bytes);
    // The decoder fills what is missing or damaged with gray, and says nothing.
    verify_jpeg(&whole).map_err(|damage| format!("JPEG of {} bytes {damage}", frame.bytes.len()))?;
    let mut decoder = JpegDecoder::new(Cursor::new(whole)).map_err(refused)?;
    let (width, height) = decoder.dimensions();
    let len = usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX);
    if len > FRAME_BYTES_MAX {
        return Err(format!(
            "JPEG: expected at most {FRAME_BYTES_MAX} bytes of pixels, found {len} for {width}x{height}"
        ));
    }
    let mut limits = Limits::no_limits();
    // The coefficients of a progressive image need more memory than its pixels.
    limits.max_alloc = Some(8 * FRAME_BYTES_MAX as u64);
    decoder.set_limits(limits).map_err(refused)?;
    let format = match decoder.color_type() {
        ColorType::L8 => PixelFormat::Gray8,
        ColorType::Rgb8 => PixelFormat::Rgb8,
        other => return Err(format!("JPEG: expected gray or RGB, found {other:?}")),
    };
    // The previous frame is overwritten.
    pixels.bytes.resize(len, 0);
    decoder.read_image(&mut pixels.bytes).map_err(refused)?;
    (pixels.width, pixels.height, pixels.format) = (width as usize, height as usize, format);
    // Reports sides above the limit here, not where the pixels are used.
    pixels.view().map_err(|error| error.to_string())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use image::codecs::jpeg::JpegEncoder;
    use image::{GrayImage, RgbImage};

    use unet_shared::samples::SampleReading;

    use super::super::{Encoding, FrameFormat};
    use super::*;

    fn frame(bytes: Vec<u8>) -> FrameSlot {
        let colour = unet_shared::image::ColourEncoding::JPEG;
        let format = FrameFormat { encoding: Encoding::Jpeg, width: 9, height: 9, stride: 0, colour };
        FrameSlot { bytes, format, sequence: 7, captured: Duration::from_secs(3) }
    }

    fn rgb(width: u32, height: u32) -> Vec<u8> {
        let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 9) as u8, (y * 5) as u8, 40]));
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&image).unwrap();
        bytes
    }

    #[test]
    fn pixels_equal_those_of_an_image_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        let bytes = rgb(20, 12);
        std::fs::write(&path, &bytes).unwrap();
        let expected = unet_data::decode_image(&path, &SampleReading::PLAIN).unwrap();
        let mut pixels = DecodedFrame::default();
        // Some cameras pad their frames.
        for padding in [0, 100] {
            let padded = [bytes.clone(), vec![0; padding]].concat();
            decode_jpeg(&frame(padded), &mut pixels).unwrap();
            assert_eq!(pixels.bytes, expected.data);
            assert_eq!((pixels.format, pixels.width, pixels.height), (PixelFormat::Rgb8, 20, 12));
        }
        // The memory is reused for a smaller frame and for the first one again.
        let place = pixels.bytes.as_ptr();
        for bytes in [rgb(10, 10), bytes] {
            decode_jpeg(&frame(bytes), &mut pixels).unwrap();
            assert_eq!(pixels.bytes.as_ptr(), place);
        }
        assert_eq!(pixels.bytes, expected.data);
    }

    #[test]
    fn gray_stays_gray() {
        let mut bytes = Vec::new();
        JpegEncoder::new(&mut bytes).encode_image(&GrayImage::from_pixel(8, 8, image::Luma([77]))).unwrap();
        let mut pixels = DecodedFrame::default();
        decode_jpeg(&frame(bytes), &mut pixels).unwrap();
        assert_eq!((pixels.format, pixels.bytes), (PixelFormat::Gray8, vec![77; 64]));
    }

    #[test]
    fn omitted_huffman_tables_are_the_standard_ones() {
        // The encoder writes the standard Huffman tables, which Motion JPEG may omit.
        let bytes = rgb(20, 12);
        let mut without = bytes[..2].to_vec();
        let mut at = 2;
        while bytes[at + 1] != 0xda {
            let end = at + 2 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            if bytes[at + 1] != 0xc4 {
                without.extend(&bytes[at..end]);
            }
            at = end;
        }
        without.extend(&bytes[at..]);
        // A camera may mark the frame as Motion JPEG.
        let marker = b"\xff\xe0\0\x10AVI1\0\0\0\0\0\0\0\0\0\0";
        let marked = [&without[..2], marker, &without[2..]].concat();
        let (mut expected, mut found) = (DecodedFrame::default(), DecodedFrame::default());
        decode_jpeg(&frame(bytes), &mut expected).unwrap();
        for bytes in [without, marked] {
            decode_jpeg(&frame(bytes), &mut found).unwrap();
            assert_eq!(found.bytes, expected.bytes);
            found.bytes.fill(0);
        }
    }

    #[test]
    fn damaged_frames_are_skipped() {
        let problem = |bytes: Vec<u8>| {
            // The pipeline names the frame.
            pixels(&frame(bytes), &mut DecodedFrame::default()).unwrap_err().to_string()
        };
        let bytes = rgb(20, 12);
        for length in 2..bytes.len() {
            let found = problem(bytes[..length].to_vec());
            // What is left of the last bits may be no code.
            let expected = ["is cut off: the JPEG data ", "is damaged: "];
            let expected = expected.map(|what| format!("JPEG of {length} bytes {what}"));
            assert!(expected.iter().any(|expected| found.starts_with(expected)), "{found}");
        }
        assert_eq!(problem(b"GIF89a".to_vec()), "expected a JPEG image, found other bytes");
        assert_eq!(problem(Vec::new()), "expected a JPEG image, found other bytes");
        // The sides are stored five bytes after the frame marker.
        let at = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap() + 5;
        let mut large = bytes.clone();
        large[at..at + 4].copy_from_slice(&[0xff; 4]);
        assert!(problem(large).contains("found 12884508675 for 65535x65535"));
        let mut long = bytes.clone();
        long[at..at + 4].copy_from_slice(&[0, 8, 0x40, 1]);
        let text = problem(long);
        assert!(text.contains("16385"), "{text}");
        let mut nothing = bytes.clone();
        nothing[at..at + 4].copy_from_slice(&[0; 4]);
        assert!(problem(nothing).contains("is damaged: impossible JPEG header"));
        // An end marker behind half of the data.
        let half = [&bytes[..bytes.len() * 3 / 4], &[0xff, 0xd9]].concat();
        let found = problem(half);
        assert!(found.contains("is cut off: the JPEG data ") || found.contains("is damaged: "), "{found}");
        // 24 ones, each byte with its stuffed zero: no table has a code of 16 ones.
        let scan = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap() + 14;
        let mut rotten = bytes;
        rotten[scan + 2..scan + 8].copy_from_slice(&[0xff, 0, 0xff, 0, 0xff, 0]);
        assert!(problem(rotten).contains("is damaged: impossible code or value"));
    }
}
