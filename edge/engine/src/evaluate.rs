//! Scoring a model on labelled samples: one function for every model, so that records of the workstation and of the board
//! differ only where the numbers do. Each frame leaves a digest of every stage; the counts are taken at the label's own
//! size. Knows nothing of how a segmenter computes, of packages or of splits.

use std::time::Instant;

use unet_data::{PairError, Sample, load_pair};
use unet_shared::digest::Digest;
use unet_shared::label::LabelTable;
use unet_shared::metrics::{MetricsError, OwnedConfusion};
use unet_shared::record::{EvaluationRecord, FrameRecord, RECORD_VERSION, Timing};

use crate::error::Kind;
use crate::predictor::Predictor;
use crate::segmenter::{SegmentError, Segmenter};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What a record says about its making; everything that [`evaluate`] cannot see by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordMeta {
    /// Program and version: `unet-edge 0.1.0`.
    pub program: String,
    /// Architecture and operating system, see [`crate::machine::name`].
    pub machine: String,
    /// sha256 of the model's file.
    pub model: Digest,
    /// The package's digest, where the model came in one.
    pub package: Option<Digest>,
    /// Name of the data set.
    pub dataset: String,
    /// Name of the split.
    pub split: String,
    /// Names of the classes, in the order of their ids.
    pub classes: Vec<String>,
}

/// Why a data set could not be scored. There is no record of a part of it.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Nothing to score.
    #[error("split {split} of {dataset}: expected at least one sample, found none")]
    NoSamples {
        /// The data set.
        dataset: String,
        /// The split.
        split: String,
    },
    /// The model and the label table disagree.
    #[error("classes: labels have {expected}, {what} has {found}")]
    Classes {
        /// Who disagrees.
        what: &'static str,
        /// Classes of the label table.
        expected: usize,
        /// Classes of the other.
        found: usize,
    },
    /// An image or its label could not be used.
    #[error("sample {name}: could not load image and label")]
    Load {
        /// The sample.
        name: String,
        /// Which file and why.
        #[source]
        source: PairError,
    },
    /// Preprocessing, or its inverse, failed.
    #[error("sample {name}: could not {step}")]
    Preprocess {
        /// The sample.
        name: String,
        /// Which direction.
        step: &'static str,
        /// Why.
        #[source]
        source: Source,
    },
    /// The model failed.
    #[error("sample {name}: no prediction")]
    Segment {
        /// The sample.
        name: String,
        /// Why.
        #[source]
        source: SegmentError,
    },
    /// The counts could not be taken.
    #[error("sample {name}: could not be counted")]
    Count {
        /// The sample.
        name: String,
        /// Why.
        #[source]
        source: MetricsError,
    },
}

impl EvaluateError {
    /// How to go on: a record holds all frames or is none.
    pub fn kind(&self) -> Kind {
        Kind::Fatal
    }
}

/// Predicts every sample and counts at the label's own size.
/// `progress` is called with (frames done, frames in all) after each frame.
///
/// The time of a frame is that from preprocessed bytes to mask.
///
/// # Errors
///
/// At the first sample that cannot be scored, naming it.
pub fn evaluate<S: Segmenter>(
    samples: &[Sample],
    labels: &LabelTable,
    predictor: &mut Predictor<S>,
    meta: RecordMeta,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<EvaluationRecord, EvaluateError> {
    let classes = labels.class_count();
    for (what, found) in [("model", predictor.segmenter().classes()), ("list of class names", meta.classes.len())] {
        if found != classes {
            return Err(EvaluateError::Classes { what, expected: classes, found });
        }
    }
    let Some(first) = samples.first() else {
        return Err(EvaluateError::NoSamples { dataset: meta.dataset, split: meta.split });
    };
    let preprocess_error =
        |name: &str, step, source: Source| EvaluateError::Preprocess { name: name.to_owned(), step, source };
    let mut confusion =
        OwnedConfusion::zeros(classes).map_err(|source| EvaluateError::Count { name: first.name.clone(), source })?;
    let mut frames = Vec::with_capacity(samples.len());

    for sample in samples {
        let name = &sample.name;
        let pair = load_pair(sample, labels).map_err(|source| EvaluateError::Load { name: name.clone(), source })?;
        let (image, label) = (&pair.image, &pair.mask);
        predictor
            .prepare(&image.view())
            .map_err(|error| preprocess_error(name, "preprocess the image", Box::new(error)))?;
        let start = Instant::now();
        predictor.segment().map_err(|source| EvaluateError::Segment { name: name.clone(), source })?;
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        let prediction = predictor
            .mask_at(pair.width, pair.height)
            .map_err(|error| preprocess_error(name, "resize the mask to the label", Box::new(error)))?;
        confusion.add(label, prediction).map_err(|source| EvaluateError::Count { name: name.clone(), source })?;
        let prediction = Digest::of(prediction);
        let logits = predictor
            .segmenter_mut()
            .logits_digest()
            .map_err(|source| EvaluateError::Segment { name: name.clone(), source })?;
        frames.push(FrameRecord {
            name: name.clone(),
            width: image.width as u32,
            height: image.height as u32,
            pixels: Digest::of(&image.data),
            label: Digest::of(label),
            input: Digest::of(predictor.planes()),
            logits,
            mask: Digest::of(predictor.mask()),
            prediction,
            milliseconds,
        });
        progress(frames.len(), samples.len());
    }
    let timing = Timing::of(frames.iter().map(|frame| frame.milliseconds));
    Ok(EvaluationRecord {
        version: RECORD_VERSION,
        program: meta.program,
        engine: predictor.segmenter().engine(),
        machine: meta.machine,
        model: meta.model,
        package: meta.package,
        dataset: meta.dataset,
        split: meta.split,
        classes: meta.classes,
        frames,
        confusion,
        timing,
    })
}

#[cfg(test)]
mod tests;
