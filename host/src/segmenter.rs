//! The f32 network as a [`Segmenter`] of the engine crate, computed by burn or by tract, so that one function evaluates all.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use unet_engine::field_of_view::FieldOfView;
use unet_engine::segmenter::{Logits, SegmentError, Segmenter};
use unet_shared::digest::{Digest, Hasher};
use unet_shared::mask::argmax_f32;
use unet_shared::preprocess::Preprocess;

use crate::backend::Backend;
use crate::float_engine::FloatEngine;
use crate::model::Network;
use crate::training::batch::Batcher;

/// The f32 network, computed by burn.
#[derive(Debug)]
pub struct BurnSegmenter {
    model: Network,
    device: Device,
    backend: Backend,
    batcher: Batcher,
    preprocess: Preprocess,
    /// Logits of the last frame.
    last: Vec<f32>,
}

impl BurnSegmenter {
    /// Uses the network in evaluation mode.
    pub fn new(model: &Network, backend: Backend, device: &Device, preprocess: Preprocess) -> Self {
        let device = device.clone().inner();
        Self { model: model.valid(), device, backend, batcher: Batcher::new(preprocess), preprocess, last: vec![] }
    }

    /// Logits `[K, H, W]` of one preprocessed image.
    pub fn logits(&self, planes: &[u8]) -> Vec<f32> {
        let mut values = Vec::with_capacity(planes.len());
        self.batcher.normalize(planes, &mut values);
        let shape =
            [1, self.preprocess.channels.count(), self.preprocess.height as usize, self.preprocess.width as usize];
        let images = Tensor::<4>::from_data(TensorData::new(values, shape), &self.device);
        let logits = self.model.forward(images).into_data().convert::<f32>();
        logits.try_into_vec().expect("logits convert to f32")
    }
}

impl Segmenter for BurnSegmenter {
    fn engine(&self) -> String {
        format!("burn {} f32", self.backend.name())
    }

    fn classes(&self) -> usize {
        self.model.layers().classes()
    }

    fn field_of_view(&self) -> Option<FieldOfView> {
        self.model.layers().field_of_view()
    }

    fn segment(&mut self, planes: &[u8], mask: &mut [u8]) -> Result<(), SegmentError> {
        self.last = self.logits(planes);
        argmax_f32(&self.last, self.classes(), mask).map_err(|error| SegmentError(Box::new(error)))
    }

    fn logits_digest(&mut self) -> Result<Digest, SegmentError> {
        Ok(digest(&self.last))
    }

    fn last_logits(&mut self) -> Result<Option<Logits<'_>>, SegmentError> {
        Ok(Some(Logits::Float(&self.last)))
    }
}

/// The exported f32 ONNX file, computed by tract.
#[derive(Debug)]
pub struct FloatOnnxSegmenter {
    engine: FloatEngine,
    classes: usize,
    field_of_view: Option<FieldOfView>,
    batcher: Batcher,
    /// Logits of the last frame.
    last: Vec<f32>,
}

impl FloatOnnxSegmenter {
    /// Uses a loaded file with `classes` logits per pixel.
    pub fn new(engine: FloatEngine, classes: usize, preprocess: Preprocess) -> Self {
        Self { engine, classes, field_of_view: None, batcher: Batcher::new(preprocess), last: vec![] }
    }

    /// The same, of a network that looks so far.
    #[must_use]
    pub fn with_field_of_view(self, field_of_view: Option<FieldOfView>) -> Self {
        Self { field_of_view, ..self }
    }

    /// Logits `[K, H, W]` of one preprocessed image.
    ///
    /// # Errors
    /// If tract fails.
    pub fn logits(&mut self, planes: &[u8]) -> Result<Vec<f32>, SegmentError> {
        let mut values = Vec::with_capacity(planes.len());
        self.batcher.normalize(planes, &mut values);
        let outputs = self.engine.run(&values).map_err(|error| SegmentError(Box::new(error)))?;
        Ok(outputs.into_iter().next().unwrap_or_default())
    }
}

impl Segmenter for FloatOnnxSegmenter {
    fn engine(&self) -> String {
        "tract f32".to_owned()
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn field_of_view(&self) -> Option<FieldOfView> {
        self.field_of_view
    }

    fn segment(&mut self, planes: &[u8], mask: &mut [u8]) -> Result<(), SegmentError> {
        self.last = self.logits(planes)?;
        argmax_f32(&self.last, self.classes, mask).map_err(|error| SegmentError(Box::new(error)))
    }

    fn logits_digest(&mut self) -> Result<Digest, SegmentError> {
        Ok(digest(&self.last))
    }

    fn last_logits(&mut self) -> Result<Option<Logits<'_>>, SegmentError> {
        Ok(Some(Logits::Float(&self.last)))
    }
}

/// sha256 of f32 values as little-endian bytes.
fn digest(values: &[f32]) -> Digest {
    let mut hasher = Hasher::new();
    for value in values {
        hasher.update(&value.to_le_bytes());
    }
    hasher.finish()
}
