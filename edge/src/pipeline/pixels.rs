//! The pixels of a frame, decoded where the source sends JPEG.

use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::{ColorType, ImageDecoder, Limits};
use unet_shared::image::{ImageError, ImageView, PixelFormat, SIDE_MAX};

use crate::frame_source::FrameSlot;

/// Why a frame has no pixels.
#[derive(Debug, thiserror::Error)]
pub enum PixelsError {
    /// The bytes are not those of the format.
    #[error("frame: {0}")]
    View(ImageError),
    /// The decoder refuses the bytes.
    #[error("frame: expected a JPEG image")]
    Jpeg(#[source] image::ImageError),
    /// The samples are of a kind that is not read.
    #[error("frame: expected a JPEG image of gray or RGB samples, found {0:?}")]
    Samples(ColorType),
}

/// A view of a frame's pixels. `decoded` is memory for those of a JPEG image, used again.
///
/// # Errors
///
/// When the bytes do not make a frame of the slot's format.
pub fn view<'a>(frame: &'a FrameSlot, decoded: &'a mut Vec<u8>) -> Result<ImageView<'a>, PixelsError> {
    if let Some(view) = frame.view() {
        return view.map_err(PixelsError::View);
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(SIDE_MAX as u32), Some(SIDE_MAX as u32));
    let mut decoder = JpegDecoder::new(Cursor::new(&frame.bytes)).map_err(PixelsError::Jpeg)?;
    decoder.set_limits(limits).map_err(PixelsError::Jpeg)?;
    let ((width, height), color) = (decoder.dimensions(), decoder.color_type());
    let format = match color {
        ColorType::L8 => PixelFormat::Gray8,
        ColorType::Rgb8 => PixelFormat::Rgb8,
        other => return Err(PixelsError::Samples(other)),
    };
    // At most 3 * 16384 * 16384.
    decoded.resize(decoder.total_bytes() as usize, 0);
    decoder.read_image(decoded).map_err(PixelsError::Jpeg)?;
    ImageView::packed(decoded, width as usize, height as usize, format).map_err(PixelsError::View)
}
