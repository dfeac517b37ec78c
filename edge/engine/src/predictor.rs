//! The one way from an image to its mask: preprocessing, the model, and the inverse map to the image's own pixels.
//!
//! Camera frames, image files and the scoring of datasets all pass through it, on workstation and board. Knows nothing of
//! files, labels or threads.

use std::path::Path;

use unet_shared::image::ImageView;
use unet_shared::mask::{MaskError, mask_to_image};
use unet_shared::preprocess::{Placement, Preprocess, PreprocessError, Preprocessor};

use crate::inference::{EngineOptions, InferenceError};
use crate::package::{Package, PackageError};
use crate::segmenter::{Int8Segmenter, SegmentError, Segmenter};

/// Why an image has no mask.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The image does not go through preprocessing.
    #[error("preprocessing failed")]
    Preprocess(#[from] PreprocessError),
    /// The model failed.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The mask cannot be brought to the size asked for.
    #[error("mask cannot be resized")]
    Mask(#[from] MaskError),
    /// A mask was asked for before any image.
    #[error("expected an image before its mask, found none")]
    NoImage,
}

/// Why a package cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not a sound package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The engine refuses its model or its golden vectors.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The manifest's preprocessing is invalid.
    #[error("package has invalid preprocessing")]
    Preprocess(#[from] PreprocessError),
}

/// A model with its preprocessing, and the buffers that one image leaves for the next.
#[derive(Debug)]
pub struct Predictor<S> {
    preprocessor: Preprocessor,
    segmenter: S,
    placement: Option<Placement>,
    planes: Vec<u8>,
    mask: Vec<u8>,
    at_image_size: Vec<u8>,
}

impl Predictor<Int8Segmenter> {
    /// Loads a package file with the fastest instruction set of this CPU and one thread, and re-runs its golden vectors.
    ///
    /// # Errors
    ///
    /// When the file is not a package, or the engine refuses it.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Predictor::from_package(&Package::read(path)?, &EngineOptions::default())
    }

    /// As [`Predictor::load`], from a package that has been read.
    ///
    /// # Errors
    ///
    /// As [`Predictor::load`].
    pub fn from_package(package: &Package, options: &EngineOptions) -> Result<Self, LoadError> {
        let segmenter = Int8Segmenter::load_with(package, options)?;
        Ok(Predictor::new(segmenter, package.manifest.preprocess)?)
    }
}

impl<S: Segmenter> Predictor<S> {
    /// A predictor by a model that takes what `spec` describes.
    ///
    /// # Errors
    ///
    /// If `spec` is invalid.
    pub fn new(segmenter: S, spec: Preprocess) -> Result<Self, PreprocessError> {
        Ok(Predictor {
            preprocessor: Preprocessor::new(spec)?,
            segmenter,
            placement: None,
            planes: vec![0; spec.input_len()],
            mask: vec![0; spec.width as usize * spec.height as usize],
            at_image_size: Vec::new(),
        })
    }

    /// The class of each pixel of `image`, row by row.
    ///
    /// # Errors
    ///
    /// When the image cannot be preprocessed, or the model fails.
    pub fn predict(&mut self, image: &ImageView<'_>) -> Result<&[u8], PredictError> {
        self.prepare(image)?;
        self.segment()?;
        self.mask_at(image.width(), image.height())
    }

    /// First step of [`Predictor::predict`]: from the image's pixels to [`Predictor::planes`]. Returns where the image lies in
    /// the model's input.
    ///
    /// # Errors
    ///
    /// When the image is too large, or a row of it is missing.
    pub fn prepare(&mut self, image: &ImageView<'_>) -> Result<Placement, PreprocessError> {
        // A failure must not leave the placement of another image behind.
        self.placement = None;
        let placement = self.preprocessor.run(image, &mut self.planes)?;
        self.placement = Some(placement);
        Ok(placement)
    }

    /// Second step: from the planes to [`Predictor::mask`].
    ///
    /// # Errors
    ///
    /// When the model fails.
    pub fn segment(&mut self) -> Result<(), SegmentError> {
        self.segmenter.segment(&self.planes, &mut self.mask)
    }

    /// Third step: the mask at another size of the image, such as its own or its label's, by nearest neighbour.
    ///
    /// # Errors
    ///
    /// When no image is prepared, or the size is 0 or too large.
    pub fn mask_at(&mut self, width: usize, height: usize) -> Result<&[u8], PredictError> {
        let spec = self.preprocessor.spec();
        let placement = self.placement.ok_or(PredictError::NoImage)?;
        self.at_image_size.resize(width.saturating_mul(height), 0);
        mask_to_image(&self.mask, spec, placement, width, height, &mut self.at_image_size)?;
        Ok(&self.at_image_size)
    }

    /// The preprocessing.
    pub fn spec(&self) -> &Preprocess {
        self.preprocessor.spec()
    }

    /// The last image as the model's input, u8, `C*H*W`, before normalisation.
    pub fn planes(&self) -> &[u8] {
        &self.planes
    }

    /// The class of each pixel of the model's input, `H*W`.
    pub fn mask(&self) -> &[u8] {
        &self.mask
    }

    /// The model.
    pub fn segmenter(&self) -> &S {
        &self.segmenter
    }

    /// The model, for the logits of the last image.
    pub fn segmenter_mut(&mut self) -> &mut S {
        &mut self.segmenter
    }
}

#[cfg(test)]
mod tests {
    use unet_shared::image::PixelFormat;
    use unet_test_support::tiny_package;

    use super::*;
    use crate::inference::Engine;

    fn predictor() -> Predictor<Int8Segmenter> {
        let engine =
            Engine::from_onnx(&tiny_package::model(), &tiny_package::input(), &tiny_package::output()).unwrap();
        let spec = tiny_package::preprocess();
        Predictor::new(Int8Segmenter::new(engine, &spec), spec).unwrap()
    }

    #[test]
    fn an_image_of_twice_the_models_size_gets_a_mask_of_its_own_size() {
        let pixels: Vec<u8> = (0..32 * 32).map(|index| if index % 32 < 16 { 200 } else { 10 }).collect();
        let view = ImageView::packed(&pixels, 32, 32, PixelFormat::Gray8).unwrap();
        let mut predictor = predictor();
        let expected: Vec<u8> = pixels.iter().map(|&pixel| u8::from(pixel > tiny_package::THRESHOLD)).collect();
        assert_eq!(predictor.predict(&view).unwrap(), expected);
        assert_eq!(predictor.mask().len(), tiny_package::PIXELS);
        assert_eq!(
            predictor.planes(),
            predictor.mask().iter().map(|&id| if id == 1 { 200 } else { 10 }).collect::<Vec<u8>>()
        );
        // The mask of a label at half the image's size.
        assert_eq!(predictor.mask_at(16, 16).unwrap().len(), 256);
    }

    #[test]
    fn without_an_image_there_is_no_mask() {
        assert!(matches!(predictor().mask_at(16, 16), Err(PredictError::NoImage)));
    }

    #[test]
    fn a_file_that_is_no_package_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.unet");
        std::fs::write(&path, b"no package").unwrap();
        assert!(matches!(Predictor::load(&path), Err(LoadError::Package(_))));
    }
}
