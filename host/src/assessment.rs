//! What an evaluation says beyond its counts: the score of each image, how far the mean IoU would move with other images of the
//! same kind, how well boundaries are met, and whether the probabilities can be believed.
//!
//! Computed while frames are scored, at the label's own size as the counts are, and kept beside the evaluation record: records of
//! workstation and board stay comparable, and the board computes none of it.

pub mod boundary;
pub mod calibration;
mod confidences;
pub mod interval;
mod overlap;

use serde::Serialize;
use unet_engine::evaluate::{FrameObserver, ScoredFrame, Source};
use unet_engine::segmenter::Logits;
use unet_shared::preprocess::{Placement, Preprocess};
use unet_shared::tiles::Tile;

use boundary::{BoundaryCounter, BoundaryIou};
use calibration::Calibration;
use confidences::Confidences;
use interval::Interval;
use overlap::{ClassOverlap, of_classes};

/// The measures of one evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessment {
    /// Each image with its score, the worst first; images without one are last.
    pub images: Vec<ImageScore>,
    /// 95 % confidence interval of the mean IoU; none for fewer than two images with pixels that count.
    pub interval: Option<Interval>,
    /// Boundary IoU, one entry for each width.
    pub boundary: Vec<BoundaryIou>,
    /// Calibration of the probabilities; none if the model gives no logits.
    pub calibration: Option<Calibration>,
}

/// An image and its score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImageScore {
    /// Name of the sample.
    pub name: String,
    /// Mean IoU over the classes in its label or prediction; none if all of its pixels are ignored.
    pub mean_iou: Option<f64>,
}

impl Assessment {
    /// The images with the lowest scores, at most `count`, the worst first.
    pub fn worst(&self, count: usize) -> impl Iterator<Item = (&str, f64)> {
        self.images.iter().filter_map(|image| Some((image.name.as_str(), image.mean_iou?))).take(count)
    }
}

/// Takes the measures while frames are scored.
#[derive(Debug)]
pub struct Assessor {
    images: Vec<ImageScore>,
    overlaps: Vec<Vec<ClassOverlap>>,
    boundary: BoundaryCounter,
    confidences: Confidences,
    calibration: Calibration,
}

impl Assessor {
    /// For a model of `classes`, whose input `spec` describes.
    pub fn new(classes: usize, spec: Preprocess) -> Self {
        Self {
            images: vec![],
            overlaps: vec![],
            boundary: BoundaryCounter::new(classes),
            confidences: Confidences::new(spec),
            calibration: Calibration::default(),
        }
    }

    /// The measures over all frames.
    pub fn finish(self) -> Assessment {
        let Self { mut images, overlaps, boundary, calibration, .. } = self;
        // Stable: equal scores stay in the order of the names.
        images.sort_by(|a, b| {
            let score = |image: &ImageScore| image.mean_iou.unwrap_or(f64::INFINITY);
            score(a).total_cmp(&score(b))
        });
        Assessment {
            images,
            interval: Interval::of(&overlaps),
            boundary: boundary.finish(),
            calibration: calibration.error().is_some().then_some(calibration),
        }
    }
}

impl FrameObserver for Assessor {
    fn segmented(&mut self, tile: &Tile, placement: Placement, logits: Option<Logits<'_>>) -> Result<(), Source> {
        Ok(self.confidences.add(tile, placement, logits)?)
    }

    fn scored(&mut self, frame: &ScoredFrame<'_>) -> Result<(), Source> {
        self.images.push(ImageScore { name: frame.name.to_owned(), mean_iou: frame.confusion.mean_iou() });
        self.overlaps.push(of_classes(frame.confusion));
        self.boundary.add(frame.label, frame.prediction, frame.size);
        if let Some(confidences) = self.confidences.at(frame.size)? {
            self.calibration.add(frame.label, frame.prediction, confidences);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use unet_shared::metrics::OwnedConfusion;
    use unet_shared::tiles::Grid;

    use super::*;

    const SPEC: Preprocess = Preprocess { width: 4, height: 1, ..Preprocess::CLASSIC };

    /// Scores frames of 4x1 pixels with two classes and logits 0 and `logit`.
    fn assess(frames: &[([u8; 4], [u8; 4])], logit: Option<f32>) -> Assessment {
        let mut assessor = Assessor::new(2, SPEC);
        let placement = Placement { x: 0, y: 0, width: 4, height: 1 };
        for (number, (label, prediction)) in frames.iter().enumerate() {
            let mut confusion = OwnedConfusion::zeros(2).unwrap();
            confusion.add(label, prediction).unwrap();
            let sure = prediction.map(|id| logit.unwrap_or(0.0) * f32::from(id));
            let unsure = prediction.map(|id| logit.unwrap_or(0.0) * f32::from(1 - id));
            let logits = [unsure, sure].concat();
            let tile = Grid::new(None, 4, 1).tile(0).unwrap();
            assessor.segmented(&tile, placement, logit.map(|_| Logits::Float(&logits))).unwrap();
            let name = format!("image {number}");
            let frame = ScoredFrame { name: &name, label, prediction, size: (4, 1), confusion: &confusion };
            assessor.scored(&frame).unwrap();
        }
        assessor.finish()
    }

    #[test]
    fn images_are_ordered_and_those_without_a_score_are_last() {
        let frames = [
            ([255; 4], [0, 0, 1, 1]),
            ([0, 0, 1, 1], [0, 0, 1, 1]),
            ([0, 0, 1, 1], [0, 1, 1, 1]),
            ([0, 0, 0, 0], [0, 0, 0, 0]),
        ];
        let found = assess(&frames, Some(2.0));
        let names: Vec<&str> = found.images.iter().map(|image| image.name.as_str()).collect();
        assert_eq!(names, ["image 2", "image 1", "image 3", "image 0"]);
        // Class 0: 1 of 2 pixels; class 1: 2 of 3.
        assert_eq!(found.worst(1).collect::<Vec<_>>(), [("image 2", (1.0 / 2.0 + 2.0 / 3.0) / 2.0)]);
        assert_eq!((found.worst(0).count(), found.worst(9).count()), (0, 3));
        assert_eq!(found.interval.unwrap().images, 3);
        // 11 of 12 pixels are right, at a probability of 1 / (1 + exp(-2)).
        let error = found.calibration.unwrap().error().unwrap();
        assert!((error - (11.0 / 12.0 - 1.0 / (1.0 + (-2f64).exp()))).abs() < 1e-5, "{error}");
        // Class 0 has 2 boundary pixels in both labels with a boundary, 2 and 1 in the predictions, all of them right.
        assert_eq!(found.boundary[0].class_iou(0), Some(3.0 / 4.0));
    }

    #[test]
    fn what_cannot_be_measured_is_none() {
        let found = assess(&[([255; 4], [0, 0, 1, 1])], Some(1.0));
        assert_eq!((found.interval, found.calibration.clone(), found.worst(5).count()), (None, None, 0));
        assert!(found.boundary.iter().all(|boundary| boundary.mean_iou().is_none()));
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(json["boundary"][0]["mean_iou"], serde_json::Value::Null);
        // One image has no interval, and a model without logits no calibration.
        let found = assess(&[([0, 0, 0, 1], [0, 0, 1, 1])], None);
        assert_eq!((found.interval, found.calibration.clone()), (None, None));
        assert_eq!(found.images[0].mean_iou, Some((2.0 / 3.0 + 1.0 / 2.0) / 2.0));
    }
}
