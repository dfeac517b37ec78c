//! The losses that a run can choose, each a function of the probabilities of a batch with its gradient. All of them skip ignored
//! pixels and weight classes. None keeps a value for each pixel and class but the gradient.

mod batch;
mod boundary;
mod entropy;
mod focal;
mod hard_pixels;
mod lovasz;
mod overlap;

use rayon::prelude::*;

use super::target::Target;
use crate::operation::{Operators, PixelLoss};
use batch::{Batch, Block, PART_PIXELS, Slopes};

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
    /// Whether label smoothing changes it.
    pub(super) fn is_smoothed(self) -> bool {
        matches!(self, Self::CrossEntropy | Self::Boundary | Self::HardPixels)
    }

    /// Bytes that it holds for each pixel besides the gradient.
    pub(super) fn pixel_bytes(self) -> u64 {
        match self {
            Self::CrossEntropy | Self::Dice | Self::Focal | Self::Tversky | Self::Lovasz => 0,
            // Distances and weights.
            Self::Boundary => 6,
            // Losses with their pixels, twice, and a flag.
            Self::HardPixels => 17,
        }
    }

    /// Bytes that it holds besides, for this many classes and threads.
    pub(super) fn table_bytes(self, classes: usize, threads: usize) -> u64 {
        if self == Self::Lovasz { lovasz::table_bytes(classes, threads) } else { 0 }
    }

    /// What is evaluated pixel by pixel after a pass over all of them; none if no pixel counts for this loss. `scale` is a factor of
    /// the loss, `smoothing` is of cross-entropy and its kinds.
    fn prepare<'a>(self, batch: &Batch<'a>, scale: f64, smoothing: f64) -> Option<Box<dyn Term + 'a>> {
        match self {
            Self::CrossEntropy => entropy::entropy(batch, scale, smoothing),
            Self::Dice => overlap::loss(batch, scale, overlap::dice),
            Self::Focal => focal::focal(batch, scale),
            Self::Tversky => overlap::loss(batch, scale, overlap::tversky),
            Self::Lovasz => lovasz::lovasz(batch, scale),
            Self::Boundary => {
                let weights = boundary::weights(batch);
                entropy::weighted(batch, scale, smoothing, move |pixel| f64::from(weights[pixel]))
            }
            Self::HardPixels => {
                let hard = hard_pixels::hardest(batch);
                entropy::weighted(batch, scale, smoothing, move |pixel| f64::from(u8::from(hard[pixel])))
            }
        }
    }
}

/// A loss whose sums over the batch are known.
trait Term: Sync {
    /// What belongs to no pixel.
    fn constant(&self) -> f64 {
        0.0
    }

    /// What the pixels of a block add to the loss.
    fn value(&self, _block: &Block) -> f64 {
        0.0
    }

    /// Adds the slopes of the loss at the pixels of a block; those of ignored pixels are not used.
    fn add_slopes(&self, block: &Block, slopes: &mut Slopes);
}

/// A weighted sum of losses, of one batch.
#[derive(Debug)]
pub(super) struct BatchLoss {
    /// Losses with their weights.
    pub terms: Vec<(f64, LossFunction)>,
    /// Label smoothing of cross-entropy and its kinds.
    pub smoothing: f64,
    /// The true classes.
    pub target: Target,
}

impl PixelLoss for BatchLoss {
    fn compute(&self, logits: &[f32], size: [usize; 3], gradient: Option<&mut [f32]>) -> f32 {
        let batch = Batch::new(logits, size, &self.target, Operators::instruction_set());
        let prepared = self.terms.iter().filter_map(|(weight, loss)| loss.prepare(&batch, *weight, self.smoothing));
        let terms: Vec<Box<dyn Term>> = prepared.collect();
        let value = |block: &Block| terms.iter().map(|term| term.value(block)).sum::<f64>();
        let values = match gradient {
            None => batch.map_parts(|| 0.0, |sum, block| *sum += value(block)),
            Some(gradient) => {
                let classes = batch.classes();
                let parts = gradient.par_chunks_mut(PART_PIXELS * classes).enumerate();
                let of_part = |(part, gradient): (usize, &mut [f32])| {
                    let (mut sum, mut slopes) = (0.0, Slopes::zeros(classes));
                    batch.for_each_block(part, |block| {
                        slopes.clear();
                        terms.iter().for_each(|term| term.add_slopes(block, &mut slopes));
                        let start = (block.first - part * PART_PIXELS) * classes;
                        slopes.write(block, &mut gradient[start..][..block.ids.len() * classes]);
                        sum += value(block);
                    });
                    sum
                };
                parts.map(of_part).collect()
            }
        };
        let constants = terms.iter().map(|term| term.constant()).sum::<f64>();
        (constants + values.into_iter().sum::<f64>()) as f32
    }
}
