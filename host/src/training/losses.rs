//! The losses that a run can choose, each a function of the probabilities of a batch with its gradient. All of them skip ignored
//! pixels and weight classes.

mod batch;
mod boundary;
mod entropy;
mod focal;
mod hard_pixels;
mod lovasz;
mod overlap;

use super::target::Target;
use batch::{Batch, Gradient};

/// A loss of logits and true classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LossFunction {
    /// Cross-entropy: `-log p` of the true class
    CrossEntropy,
    /// One minus the Dice coefficient of each class, for classes of few pixels
    Dice,
    /// Cross-entropy that gives little weight to pixels that are already right
    Focal,
    /// Like dice, but a missed pixel costs more than a false one
    Tversky,
    /// Lovász-softmax: one minus the IoU of each class, made differentiable
    Lovasz,
    /// Cross-entropy with up to five times the weight near boundaries, for thin structures
    Boundary,
    /// Cross-entropy over the quarter of the pixels where it is largest
    HardPixels,
}

impl LossFunction {
    /// Whether it is a function of sums of probabilities, whose gradient needs one more tensor.
    pub(super) fn is_overlap(self) -> bool {
        matches!(self, Self::Dice | Self::Tversky | Self::Lovasz)
    }

    /// Whether label smoothing changes it.
    pub(super) fn is_smoothed(self) -> bool {
        matches!(self, Self::CrossEntropy | Self::Boundary | Self::HardPixels)
    }

    /// Bytes that it holds for each pixel, besides tensors of the logits' size.
    pub(super) fn pixel_bytes(self) -> u64 {
        match self {
            Self::CrossEntropy | Self::Dice | Self::Focal | Self::Tversky => 0,
            // The pixels that count, and their errors in order.
            Self::Lovasz => 12,
            // Distances and weights.
            Self::Boundary => 6,
            // Losses with their pixels, and a flag.
            Self::HardPixels => 9,
        }
    }

    /// Returns its value times `scale`, and adds the gradient of that.
    fn add(self, batch: &Batch, scale: f64, smoothing: f64, gradient: &mut Gradient) -> f64 {
        match self {
            Self::CrossEntropy => entropy::weighted(batch, scale, smoothing, gradient, |_| 1.0),
            Self::Dice => overlap::loss(batch, scale, gradient, overlap::dice),
            Self::Focal => focal::focal(batch, scale, gradient),
            Self::Tversky => overlap::loss(batch, scale, gradient, overlap::tversky),
            Self::Lovasz => lovasz::lovasz(batch, scale, gradient),
            Self::Boundary => {
                let weights = boundary::weights(batch);
                entropy::weighted(batch, scale, smoothing, gradient, |pixel| f64::from(weights[pixel]))
            }
            Self::HardPixels => {
                let hard = hard_pixels::hardest(batch);
                entropy::weighted(batch, scale, smoothing, gradient, |pixel| f64::from(u8::from(hard[pixel])))
            }
        }
    }
}

/// The sum of losses with their weights, of logits `[pixels, classes]` of images of `size` (images, height, width); `smoothing` is of
/// cross-entropy and its kinds.
pub(super) fn value(
    terms: &[(f64, LossFunction)],
    smoothing: f64,
    logits: Vec<f32>,
    size: [usize; 3],
    target: &Target,
) -> f64 {
    sum(terms, smoothing, &Batch::new(logits, size, target), &mut Gradient::none())
}

/// The same with its gradient for the logits.
pub(super) fn value_and_gradient(
    terms: &[(f64, LossFunction)],
    smoothing: f64,
    logits: Vec<f32>,
    size: [usize; 3],
    target: &Target,
) -> (f64, Vec<f32>) {
    let batch = Batch::new(logits, size, target);
    let mut gradient = Gradient::zeros(&batch);
    let value = sum(terms, smoothing, &batch, &mut gradient);
    (value, gradient.into_logits(&batch))
}

fn sum(terms: &[(f64, LossFunction)], smoothing: f64, batch: &Batch, gradient: &mut Gradient) -> f64 {
    terms.iter().map(|(weight, loss)| loss.add(batch, *weight, smoothing, gradient)).sum()
}
