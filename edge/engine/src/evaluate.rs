//! Scores a model on labelled samples: one function for every model, so that records of workstation and board differ only if
//! the numbers do. Each frame records a digest of every stage; pixels are counted at the label's own size. Knows nothing of
//! packages and splits.

use std::time::Instant;

use unet_data::{PairError, Sample, load_pair};
use unet_shared::digest::{Digest, Hasher};
use unet_shared::label::LabelTable;
use unet_shared::metrics::{MetricsError, OwnedConfusion};
use unet_shared::preprocess::Placement;
use unet_shared::record::{EvaluationRecord, FrameRecord, RECORD_VERSION, Timing};
use unet_shared::tiles::{Grid, Tile};

use crate::predictor::{PredictError, Predictor};
use crate::segmenter::{Logits, SegmentError, Segmenter};

/// Why a step failed.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// What a record states beside the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordMeta {
    /// Program and version: `unet-edge 0.1.0`.
    pub program: String,
    /// Architecture and operating system, see [`crate::machine::name`].
    pub machine: String,
    /// sha256 of the model's file.
    pub model: Digest,
    /// The package's digest, if the model came from a package.
    pub package: Option<Digest>,
    /// Name of the dataset.
    pub dataset: String,
    /// Name of the split.
    pub split: String,
    /// Names of the classes, in the order of their ids.
    pub classes: Vec<String>,
}

/// Why a dataset could not be scored. There are no partial records.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The split is empty.
    #[error("split {split} of {dataset}: expected at least one pair, found none")]
    NoSamples {
        /// The dataset.
        dataset: String,
        /// The split.
        split: String,
    },
    /// The model and the label table disagree.
    #[error("classes: the dataset has {expected}, {what} has {found}")]
    Classes {
        /// The other side.
        what: &'static str,
        /// Classes of the label table.
        expected: usize,
        /// Classes of the other side.
        found: usize,
    },
    /// An image or its label could not be used.
    #[error("image {name}")]
    Load {
        /// The sample.
        name: String,
        /// The file and the reason.
        #[source]
        source: PairError,
    },
    /// Preprocessing, or its inverse, failed.
    #[error("image {name}: failed to {step}")]
    Preprocess {
        /// The sample.
        name: String,
        /// The failed step.
        step: &'static str,
        /// Why.
        #[source]
        source: Source,
    },
    /// The model failed.
    #[error("image {name}: prediction failed")]
    Segment {
        /// The sample.
        name: String,
        /// Why.
        #[source]
        source: SegmentError,
    },
    /// What observes the frames failed.
    #[error("image {name}: failed to assess the prediction")]
    Observe {
        /// The sample.
        name: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// Pixels could not be counted.
    #[error("image {name}: failed to count pixels")]
    Count {
        /// The sample.
        name: String,
        /// Why.
        #[source]
        source: MetricsError,
    },
}

impl EvaluateError {
    /// The message with its causes, and the flag of both programs that lets the evaluation go on, if there is one.
    pub fn with_remedy(&self) -> String {
        let message = unet_data::chain(self);
        match self {
            Self::Load { source: PairError::File(error), .. } if error.is_unreadable() => {
                format!("{message}; --skip-unreadable leaves the pair out")
            }
            _ => message,
        }
    }
}

/// Sees each frame while it is scored, for what a record does not hold.
pub trait FrameObserver {
    /// A tile of the frame, or all of it, was segmented: where it lies in the model's input, and the logits, if the model gives any.
    /// Called for each tile in order, before [`FrameObserver::scored`].
    ///
    /// # Errors
    ///
    /// If the observer cannot go on.
    fn segmented(&mut self, tile: &Tile, placement: Placement, logits: Option<Logits<'_>>) -> Result<(), Source>;

    /// The frame's pixels were counted.
    ///
    /// # Errors
    ///
    /// If the observer cannot go on.
    fn scored(&mut self, frame: &ScoredFrame<'_>) -> Result<(), Source>;
}

/// A frame whose pixels were counted.
#[derive(Debug, Clone, Copy)]
pub struct ScoredFrame<'a> {
    /// Name of the sample.
    pub name: &'a str,
    /// Class ids of the label, row by row.
    pub label: &'a [u8],
    /// Class ids that the model predicts, at the label's size.
    pub prediction: &'a [u8],
    /// Width and height of the label in pixels.
    pub size: (usize, usize),
    /// The counts of this frame.
    pub confusion: &'a OwnedConfusion,
}

/// Predicts every sample and counts at the label's own size.
/// `progress` is called with (frames done, total frames) after each frame.
///
/// The time of a frame is measured from preprocessed planes to mask.
///
/// # Errors
///
/// At the first sample that fails, with its name.
pub fn evaluate<S: Segmenter>(
    samples: &[Sample],
    labels: &LabelTable,
    predictor: &mut Predictor<S>,
    meta: RecordMeta,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<EvaluationRecord, EvaluateError> {
    evaluate_observed(samples, labels, predictor, meta, None, progress)
}

/// As [`evaluate`], with an observer. What it does is not part of a frame's time.
///
/// # Errors
///
/// As [`evaluate`], and if the observer fails.
pub fn evaluate_observed<S: Segmenter>(
    samples: &[Sample],
    labels: &LabelTable,
    predictor: &mut Predictor<S>,
    meta: RecordMeta,
    mut observer: Option<&mut dyn FrameObserver>,
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
    let count_error = |name: &str, source| EvaluateError::Count { name: name.to_owned(), source };
    let empty = OwnedConfusion::zeros(classes).map_err(|source| count_error(&first.name, source))?;
    let mut confusion = empty.clone();
    let mut frames = Vec::with_capacity(samples.len());

    let reading = predictor.spec().samples;
    for sample in samples {
        let name = &sample.name;
        let pair =
            load_pair(sample, labels, &reading).map_err(|source| EvaluateError::Load { name: name.clone(), source })?;
        let (image, label) = (&pair.image, &pair.mask);
        let predict_error = |error| match error {
            PredictError::Segment(source) => EvaluateError::Segment { name: name.clone(), source },
            PredictError::Preprocess(source) => preprocess_error(name, "preprocess the image", Box::new(source)),
            error => preprocess_error(name, "resize the mask", Box::new(error)),
        };
        let segment_error = |source| EvaluateError::Segment { name: name.clone(), source };
        let observer_error = |source| EvaluateError::Observe { name: name.clone(), source };
        let (mut milliseconds, mut stages) = (0.0, [const { Vec::new() }; 3]);
        for tile in predictor.grid(image.width, image.height).tiles() {
            let placement = predictor.prepare(&image.view(), tile.clone()).map_err(predict_error)?;
            let start = Instant::now();
            predictor.segment().map_err(predict_error)?;
            milliseconds += start.elapsed().as_secs_f64() * 1e3;
            let logits = predictor.segmenter_mut().logits_digest().map_err(segment_error)?;
            let found = [Digest::of(predictor.planes()), logits, Digest::of(predictor.mask())];
            for (stage, digest) in stages.iter_mut().zip(found) {
                stage.push(digest);
            }
            if let Some(observer) = &mut observer {
                let logits = predictor.segmenter_mut().last_logits().map_err(segment_error)?;
                observer.segmented(&tile, placement, logits).map_err(observer_error)?;
            }
        }
        let prediction = predictor.mask_at(pair.width, pair.height).map_err(predict_error)?;
        let mut counts = empty.clone();
        counts
            .add(label, prediction)
            .and_then(|()| confusion.merge(&counts))
            .map_err(|source| count_error(name, source))?;
        if let Some(observer) = &mut observer {
            let size = (pair.width, pair.height);
            let frame = ScoredFrame { name, label, prediction, size, confusion: &counts };
            observer.scored(&frame).map_err(observer_error)?;
        }
        let prediction = Digest::of(prediction);
        let [input, logits, mask] = stages.map(|digests| of_tiles(&digests));
        frames.push(FrameRecord {
            name: name.clone(),
            width: image.width as u32,
            height: image.height as u32,
            pixels: Digest::of(&image.data),
            label: Digest::of(label),
            input,
            logits,
            mask,
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
        tiles: predictor.tiles(),
        frames,
        confusion,
        timing,
    })
}

/// How the images of a record were cut, if they were: the tiles, and how many images were smaller than one.
pub fn tiles_line(record: &EvaluationRecord) -> Option<String> {
    let tiles = record.tiles?;
    let whole = record
        .frames
        .iter()
        .filter(|frame| Grid::new(Some(tiles), frame.width as usize, frame.height as usize).count() == 1);
    let (whole, all) = (whole.count(), record.frames.len());
    let (width, height, overlap) = (tiles.width(), tiles.height(), tiles.overlap());
    let rest = if whole > 0 {
        format!("; {whole} of {all} images are not larger and were scored whole")
    } else {
        String::new()
    };
    Some(format!("tiles of {width}x{height} pixels, overlap {overlap}{rest}"))
}

/// The digest of a stage of one frame: that of its only tile, or of the tiles' digests in their order.
fn of_tiles(digests: &[Digest]) -> Digest {
    if let [only] = digests {
        return *only;
    }
    let mut hasher = Hasher::new();
    for digest in digests {
        hasher.update(&digest.0);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
