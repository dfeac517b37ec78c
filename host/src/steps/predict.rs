//! The class mask of an image as an image, and its score.

use image::GrayImage;
use unet_shared::metrics::OwnedConfusion;

use crate::error::HostError;

/// A mask as a gray image of class ids.
pub fn mask_picture(mask: Vec<u8>, width: usize, height: usize) -> GrayImage {
    GrayImage::from_raw(width as u32, height as u32, mask).expect("one byte a pixel")
}

/// Mean IoU of one frame, over the classes in it.
///
/// # Errors
/// If the masks differ in length.
pub fn frame_iou(truth: &[u8], prediction: &[u8], classes: usize) -> Result<Option<f64>, HostError> {
    let mut confusion = OwnedConfusion::zeros(classes)?;
    confusion.add(truth, prediction)?;
    Ok(confusion.mean_iou())
}
