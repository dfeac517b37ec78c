//! Losses that are a weighted mean of `-log p` of the true class over pixels; they differ in the weight of a pixel.

use unet_kernels::softmax::BLOCK_PIXELS;

use super::Term;
use super::batch::{Batch, Block, Slopes};

/// `sum w b (-log p) / sum w b` with the weights `w` of the classes and `b` of the pixels. With smoothing e, as in PyTorch: `(1 - e)`
/// times that, plus `e / K` times the sum over all K classes k of `w_k b (-log p_k)` over the pixels that count, divided by the same
/// `sum w b`.
struct Entropy<'a, F> {
    pixel_weight: F,
    weights: &'a [f32],
    /// Sum of the weights of all classes.
    all: f64,
    smoothing: f64,
    /// The scale of the loss divided by `sum w b`.
    factor: f64,
}

/// Cross-entropy, all pixels alike, times `scale`; none if no pixel counts.
pub(super) fn entropy<'a>(batch: &Batch<'a>, scale: f64, smoothing: f64) -> Option<Box<dyn Term + 'a>> {
    term(batch, scale, smoothing, batch.total, |_| 1.0)
}

/// The loss with these weights of the pixels, times `scale`; none if no pixel counts.
pub(super) fn weighted<'a>(
    batch: &Batch<'a>,
    scale: f64,
    smoothing: f64,
    pixel_weight: impl Fn(usize) -> f64 + Sync + 'a,
) -> Option<Box<dyn Term + 'a>> {
    let total = batch.sum(|pixel| batch.weight(pixel) * pixel_weight(pixel));
    term(batch, scale, smoothing, total, pixel_weight)
}

/// `total` is `sum w b`.
fn term<'a>(
    batch: &Batch<'a>,
    scale: f64,
    smoothing: f64,
    total: f64,
    pixel_weight: impl Fn(usize) -> f64 + Sync + 'a,
) -> Option<Box<dyn Term + 'a>> {
    let all = batch.weights.iter().map(|w| f64::from(*w)).sum();
    let term = Entropy { pixel_weight, weights: batch.weights, all, smoothing, factor: scale / total };
    (total > 0.0).then(|| Box::new(term) as Box<dyn Term>)
}

impl<F: Fn(usize) -> f64 + Sync> Term for Entropy<'_, F> {
    fn value(&self, block: &Block) -> f64 {
        let share = self.smoothing / self.weights.len() as f64;
        let of_pixel = |(pixel, class): (usize, usize)| {
            let mut loss = (1.0 - self.smoothing) * block.weight(class) * block.loss(pixel, class);
            if share > 0.0 {
                let all = (0..self.weights.len()).map(|class| block.weight(class) * block.loss(pixel, class));
                loss += share * all.sum::<f64>();
            }
            loss * (self.pixel_weight)(block.first + pixel)
        };
        self.factor * block.counted().map(of_pixel).sum::<f64>()
    }

    fn add_slopes(&self, block: &Block, slopes: &mut Slopes) {
        let share = self.smoothing / self.weights.len() as f64;
        let (mut sums, mut shares) = ([0f32; BLOCK_PIXELS], [0f32; BLOCK_PIXELS]);
        for (pixel, class) in block.counted() {
            let factor = self.factor * (self.pixel_weight)(block.first + pixel);
            let true_share = (1.0 - self.smoothing) * block.weight(class);
            sums[pixel] = ((true_share + share * self.all) * factor) as f32;
            shares[pixel] = (share * factor) as f32;
            slopes.logits[class][pixel] -= (true_share * factor) as f32;
        }
        for ((slopes, row), weight) in slopes.logits.iter_mut().zip(block.rows()).zip(self.weights) {
            for (((slope, p), sum), share) in slopes.iter_mut().zip(row).zip(&sums).zip(&shares) {
                *slope += sum * p - share * weight;
            }
        }
    }
}
