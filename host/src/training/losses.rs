//! The losses that a run can choose, each a function of the probabilities of a batch with its gradient. All of them skip ignored
//! pixels and weight classes.

mod batch;
mod boundary;
mod entropy;
mod focal;
mod hard_pixels;
mod lovasz;
mod overlap;

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

/// What a weighted sum of losses is computed from.
pub(super) struct Request<'a> {
    /// The losses with their weights.
    pub terms: &'a [(f64, LossFunction)],
    /// Label smoothing of cross-entropy and its kinds.
    pub smoothing: f64,
    /// Images, height and width.
    pub size: [usize; 3],
    /// The true class of each pixel; those past the last class are ignored.
    pub classes: &'a [u8],
    /// One weight per class.
    pub weights: &'a [f32],
}

impl LossFunction {
    /// Whether it is a function of sums of probabilities, whose gradient needs one more tensor.
    pub(super) fn is_overlap(self) -> bool {
        matches!(self, Self::Dice | Self::Tversky | Self::Lovasz)
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

/// The weighted sum of the losses of logits `[pixels, classes]`, and its gradient for them.
pub(super) fn evaluate(logits: Vec<f32>, request: &Request) -> (f64, Vec<f32>) {
    let batch = Batch::new(logits, request.size, request.classes, request.weights);
    let mut gradient = Gradient::zeros(&batch);
    let terms = request.terms.iter();
    let value = terms.map(|(weight, loss)| loss.add(&batch, *weight, request.smoothing, &mut gradient)).sum();
    (value, gradient.into_logits(&batch))
}
