//! The class mask of an image, and images of it.

use image::{GrayImage, RgbImage};
use unet_data::DecodedImage;
use unet_engine::segmenter::Segmenter;
use unet_shared::mask::mask_to_image;
use unet_shared::metrics::OwnedConfusion;
use unet_shared::preprocess::{Channels, Preprocess, Preprocessor};

use crate::error::HostError;

/// Runs images through preprocessing, a network and the inverse map; buffers are allocated once.
pub struct Predictor {
    preprocess: Preprocess,
    preprocessor: Preprocessor,
    segmenter: Box<dyn Segmenter>,
    planes: Vec<u8>,
    mask: Vec<u8>,
}

impl Predictor {
    /// Uses the network.
    ///
    /// # Errors
    /// If the preprocessing is invalid.
    pub fn new(segmenter: Box<dyn Segmenter>, preprocess: Preprocess) -> Result<Self, HostError> {
        Ok(Self {
            preprocess,
            preprocessor: Preprocessor::new(preprocess)?,
            segmenter,
            planes: vec![0; preprocess.input_len()],
            mask: vec![0; preprocess.width as usize * preprocess.height as usize],
        })
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.segmenter.classes()
    }

    /// Class ids at the image's own size, row by row.
    ///
    /// # Errors
    /// If preprocessing or the network fails.
    pub fn predict(&mut self, image: &DecodedImage) -> Result<Vec<u8>, HostError> {
        let placement = self.preprocessor.run(&image.view(), &mut self.planes)?;
        self.segmenter.segment(&self.planes, &mut self.mask)?;
        let mut prediction = vec![0; image.width * image.height];
        mask_to_image(&self.mask, &self.preprocess, placement, image.width, image.height, &mut prediction)?;
        Ok(prediction)
    }
}

/// The image as RGB.
pub fn picture(image: &DecodedImage) -> RgbImage {
    let mut rgb = vec![0; image.width * image.height * 3];
    for (y, row) in rgb.chunks_exact_mut(image.width * 3).enumerate() {
        // A decoded image has all its rows, and the buffer has RGB rows.
        image.view().read_row(y, Channels::Rgb, row).expect("a decoded image's row as rgb");
    }
    RgbImage::from_raw(image.width as u32, image.height as u32, rgb).expect("three bytes a pixel")
}

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
