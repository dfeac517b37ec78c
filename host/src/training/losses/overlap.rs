//! Losses by the overlap of prediction and truth of each class, over the whole batch.
//!
//! Of the classes that occur, weighted: `1 - sum w O / sum w`. A class that does not occur has no overlap, as it has no IoU.

use super::Term;
use super::batch::{Batch, Block, Slopes};

/// Sums over the pixels that count, of one class.
#[derive(Clone, Copy, Default)]
pub(super) struct Sums {
    /// Of the probabilities at its own pixels.
    both: f64,
    /// Of the probabilities.
    predicted: f64,
    /// Of its pixels.
    truth: f64,
}

/// The overlap of a class, with its slope for the probability at the class's own pixels and at others.
type Overlap = (f64, f64, f64);

/// Dice: `2 both / (predicted + truth)`. Milletari et al. 2016 (V-Net) with the sums of Drozdzal et al. 2016 in place of sums of
/// squares, over the whole batch, as nnU-Net has it.
pub(super) fn dice(sums: Sums) -> Overlap {
    let Sums { both, predicted, truth } = sums;
    let size = predicted + truth;
    let other = -2.0 * both / (size * size);
    (2.0 * both / size, 2.0 / size + other, other)
}

/// Weight of the pixels that are predicted wrongly as the class.
const FALSE_POSITIVES: f64 = 0.3;
/// Weight of the pixels of the class that are missed.
const FALSE_NEGATIVES: f64 = 0.7;

/// Tversky (Salehi et al. 2017): `both / (both + 0.3 false positives + 0.7 false negatives)`, so that missing a pixel of a class costs
/// more than marking one too many.
pub(super) fn tversky(sums: Sums) -> Overlap {
    let Sums { both, predicted, truth } = sums;
    let size = both + FALSE_POSITIVES * (predicted - both) + FALSE_NEGATIVES * (truth - both);
    let other = -both * FALSE_POSITIVES / (size * size);
    let own = 1.0 / size - both * (1.0 - FALSE_NEGATIVES) / (size * size);
    (both / size, own, other)
}

/// The sums of each class, in one pass over the pixels.
fn sums(batch: &Batch) -> Vec<Sums> {
    let none = || vec![Sums::default(); batch.classes()];
    let parts = batch.map_parts(none, |sums, block| {
        for (sums, row) in sums.iter_mut().zip(block.rows()) {
            sums.predicted += block.counted().map(|(pixel, _)| f64::from(row[pixel])).sum::<f64>();
        }
        for (pixel, class) in block.counted() {
            sums[class].both += f64::from(block.rows()[class][pixel]);
        }
    });
    let truth = batch.pixels.iter().map(|&pixels| Sums { truth: pixels as f64, ..Sums::default() });
    let mut total: Vec<Sums> = truth.collect();
    for part in parts {
        for (total, sums) in total.iter_mut().zip(part) {
            total.both += sums.both;
            total.predicted += sums.predicted;
        }
    }
    total
}

/// The loss of an overlap.
struct OverlapLoss {
    value: f64,
    /// For the probability of each class, at its own pixels and at others.
    slopes: Vec<(f32, f32)>,
}

/// The loss times `scale`; none if no class has a weight.
pub(super) fn loss<'a>(batch: &Batch<'a>, scale: f64, overlap: fn(Sums) -> Overlap) -> Option<Box<dyn Term + 'a>> {
    let overlaps: Vec<Option<Overlap>> =
        sums(batch).into_iter().map(|sums| (sums.truth > 0.0).then(|| overlap(sums))).collect();
    let present = || overlaps.iter().zip(batch.weights).filter_map(|(found, w)| Some((found.as_ref()?, f64::from(*w))));
    let total: f64 = present().map(|(_, w)| w).sum();
    if total <= 0.0 {
        return None;
    }
    let mean: f64 = present().map(|((value, ..), w)| w * value).sum::<f64>() / total;
    let slopes = overlaps.iter().zip(batch.weights).map(|(found, w)| {
        let (_, own, other) = found.unwrap_or_default();
        let factor = -scale * f64::from(*w) / total;
        ((own * factor) as f32, (other * factor) as f32)
    });
    Some(Box::new(OverlapLoss { value: scale * (1.0 - mean), slopes: slopes.collect() }))
}

impl Term for OverlapLoss {
    fn constant(&self) -> f64 {
        self.value
    }

    fn add_slopes(&self, block: &Block, slopes: &mut Slopes) {
        for (slopes, (_, other)) in slopes.probabilities.iter_mut().zip(&self.slopes) {
            slopes.iter_mut().for_each(|slope| *slope += other);
        }
        for (pixel, class) in block.counted() {
            slopes.probabilities[class][pixel] += self.slopes[class].0 - self.slopes[class].1;
        }
    }
}
