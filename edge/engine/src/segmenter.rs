//! The interface of a model, from preprocessed planes to a mask, and the int8 model of a package behind it. Float models of the
//! workstation implement it too, so that [`crate::evaluate`] scores all of them.

use std::error::Error;

use unet_shared::digest::Digest;
use unet_shared::preprocess::Preprocess;

use crate::field_of_view::FieldOfView;
use crate::inference::{Engine, EngineOptions, InferenceError};
use crate::package::Package;

/// The logits of a frame, `K*H*W`, class by class.
#[derive(Debug, Clone, Copy)]
pub enum Logits<'a> {
    /// Of a float model.
    Float(&'a [f32]),
    /// Of an int8 model: a difference of 1 between two bytes is one of `scale` between the logits.
    Quantized {
        /// The bytes.
        values: &'a [u8],
        /// Real value of one step.
        scale: f32,
    },
}

/// A model that assigns a class to each pixel of its input.
pub trait Segmenter {
    /// The engine's name in records: `integer int8`, `burn f32`.
    fn engine(&self) -> String;

    /// Number of classes.
    fn classes(&self) -> usize;

    /// How far the network looks, if that is known.
    fn field_of_view(&self) -> Option<FieldOfView> {
        None
    }

    /// Segments one frame. `planes` are preprocessed pixels, u8, `C*H*W`, before any normalisation; `mask` receives
    /// `H*W` class ids.
    ///
    /// # Errors
    ///
    /// If a size is wrong or the model fails on this frame.
    fn segment(&mut self, planes: &[u8], mask: &mut [u8]) -> Result<(), SegmentError>;

    /// sha256 of the last frame's logits. Separate from [`Segmenter::segment`], so that hashing does not count as inference time.
    ///
    /// # Errors
    ///
    /// If the model cannot provide them.
    fn logits_digest(&mut self) -> Result<Digest, SegmentError>;

    /// The last frame's logits, `K*H*W` quantized bytes; `None` from a model whose logits are not quantized.
    ///
    /// # Errors
    ///
    /// If the model cannot provide them.
    fn quantized_logits(&mut self) -> Result<Option<&[u8]>, SegmentError> {
        Ok(None)
    }

    /// The last frame's logits with their scale; `None` if the model does not provide them.
    ///
    /// # Errors
    ///
    /// If the model cannot provide them.
    fn last_logits(&mut self) -> Result<Option<Logits<'_>>, SegmentError> {
        Ok(None)
    }
}

impl<S: Segmenter + ?Sized> Segmenter for Box<S> {
    fn engine(&self) -> String {
        (**self).engine()
    }

    fn classes(&self) -> usize {
        (**self).classes()
    }

    fn field_of_view(&self) -> Option<FieldOfView> {
        (**self).field_of_view()
    }

    fn segment(&mut self, planes: &[u8], mask: &mut [u8]) -> Result<(), SegmentError> {
        (**self).segment(planes, mask)
    }

    fn logits_digest(&mut self) -> Result<Digest, SegmentError> {
        (**self).logits_digest()
    }

    fn quantized_logits(&mut self) -> Result<Option<&[u8]>, SegmentError> {
        (**self).quantized_logits()
    }

    fn last_logits(&mut self) -> Result<Option<Logits<'_>>, SegmentError> {
        (**self).last_logits()
    }
}

/// Why a frame could not be segmented.
#[derive(Debug, thiserror::Error)]
#[error("segmentation failed")]
pub struct SegmentError(#[source] pub Box<dyn Error + Send + Sync>);

/// A size that does not match the model.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{what}: expected {expected} bytes, found {found}")]
struct SizeError {
    what: &'static str,
    expected: usize,
    found: usize,
}

/// The int8 model of a package.
#[derive(Debug)]
pub struct Int8Segmenter {
    engine: Engine,
    // For each channel, preprocessed pixel to quantized input; `None` if all tables are the identity.
    tables: Option<Vec<[u8; 256]>>,
    input: Vec<u8>,
}

impl Int8Segmenter {
    /// Loads the model of a package and re-runs its golden vectors.
    ///
    /// # Errors
    ///
    /// As [`Engine::load`].
    pub fn load(package: &Package) -> Result<Self, InferenceError> {
        Int8Segmenter::load_with(package, &EngineOptions::default())
    }

    /// As [`Int8Segmenter::load`], with a choice of compute kernel and threads.
    ///
    /// # Errors
    ///
    /// As [`Engine::load_with`].
    pub fn load_with(package: &Package, options: &EngineOptions) -> Result<Self, InferenceError> {
        Ok(Int8Segmenter::new(Engine::load_with(package, options)?, &package.manifest.preprocess))
    }

    /// Combines a loaded engine with the normalisation of `spec`.
    pub fn new(engine: Engine, spec: &Preprocess) -> Self {
        let quantization = engine.input().quantization;
        let channels = spec.channels.count();
        // Manifests are checked to have zero points in u8; any other saturates.
        let zero_point = quantization.zero_point.clamp(0, 255) as u8;
        let tables: Vec<_> =
            (0..channels).map(|channel| spec.quantized_table(channel, quantization.scale, zero_point)).collect();
        let identity: [u8; 256] = std::array::from_fn(|value| value as u8);
        let tables = tables.iter().any(|table| *table != identity).then_some(tables);
        Int8Segmenter { engine, tables, input: Vec::new() }
    }

    /// The engine.
    pub fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The quantized model input of preprocessed planes, as golden vectors store it.
    ///
    /// # Errors
    ///
    /// If `planes` does not have the size of the model's input.
    pub fn quantize<'a>(&'a mut self, planes: &'a [u8]) -> Result<&'a [u8], SegmentError> {
        let expected = self.engine.input().shape.iter().product();
        if planes.len() != expected {
            let error = SizeError { what: "preprocessed planes", expected, found: planes.len() };
            return Err(SegmentError(Box::new(error)));
        }
        Ok(quantized(planes, self.tables.as_deref(), &mut self.input))
    }
}

impl Segmenter for Int8Segmenter {
    fn engine(&self) -> String {
        format!("{} int8", self.engine.name())
    }

    fn classes(&self) -> usize {
        self.engine.output().shape[1]
    }

    fn field_of_view(&self) -> Option<FieldOfView> {
        self.engine.field_of_view()
    }

    fn segment(&mut self, planes: &[u8], mask: &mut [u8]) -> Result<(), SegmentError> {
        let [_, _, height, width] = self.engine.output().shape;
        let sizes = [
            ("preprocessed planes", self.engine.input().shape.iter().product(), planes.len()),
            ("mask", height * width, mask.len()),
        ];
        for (what, expected, found) in sizes {
            if expected != found {
                return Err(SegmentError(Box::new(SizeError { what, expected, found })));
            }
        }
        let input = quantized(planes, self.tables.as_deref(), &mut self.input);
        self.engine.segment(input, mask).map_err(|error| SegmentError(Box::new(error)))
    }

    fn logits_digest(&mut self) -> Result<Digest, SegmentError> {
        self.engine.logits().map(Digest::of).map_err(|error| SegmentError(Box::new(error)))
    }

    fn quantized_logits(&mut self) -> Result<Option<&[u8]>, SegmentError> {
        self.engine.logits().map(Some).map_err(|error| SegmentError(Box::new(error)))
    }

    fn last_logits(&mut self) -> Result<Option<Logits<'_>>, SegmentError> {
        let scale = self.engine.output().quantization.scale;
        let values = self.engine.logits().map_err(|error| SegmentError(Box::new(error)))?;
        Ok(Some(Logits::Quantized { values, scale }))
    }
}

/// `planes` as the model's quantized input: the planes themselves if the tables are the identity, else `buffer`.
fn quantized<'a>(planes: &'a [u8], tables: Option<&[[u8; 256]]>, buffer: &'a mut Vec<u8>) -> &'a [u8] {
    let Some(tables) = tables else { return planes };
    buffer.resize(planes.len(), 0);
    let plane = (planes.len() / tables.len()).max(1);
    for ((quantized, plane), table) in buffer.chunks_exact_mut(plane).zip(planes.chunks_exact(plane)).zip(tables) {
        for (out, &pixel) in quantized.iter_mut().zip(plane) {
            *out = table[usize::from(pixel)];
        }
    }
    buffer
}

#[cfg(test)]
mod tests;
