//! The pixels of a frame, decoded where the source sends JPEG.

use unet_shared::image::{ImageError, ImageView};

use crate::frame_source::{FrameSlot, SourceError, decode_jpeg};

/// Why a frame has no pixels.
#[derive(Debug, thiserror::Error)]
pub enum PixelsError {
    /// The bytes are not those of the format.
    #[error("pixels: {0}")]
    View(ImageError),
    /// The decoder refuses the bytes.
    #[error(transparent)]
    Jpeg(SourceError),
}

/// A view of a frame's pixels. `decoded` is memory for those of a JPEG image, used again.
///
/// # Errors
///
/// When the bytes do not make a frame of the slot's format.
pub fn view<'a>(frame: &'a FrameSlot, decoded: &'a mut FrameSlot) -> Result<ImageView<'a>, PixelsError> {
    if let Some(view) = frame.view() {
        return view.map_err(PixelsError::View);
    }
    decode_jpeg("camera", frame, decoded).map_err(PixelsError::Jpeg)?;
    let view = decoded.view().unwrap_or(Err(ImageError::TooLarge));
    view.map_err(PixelsError::View)
}
