//! Losses that are a weighted mean of `-log p` of the true class over pixels; they differ in the weight of a pixel.

use super::batch::{Batch, Gradient};

/// `sum w b (-log p) / sum w b` with the weights `w` of the classes and `b` of the pixels, times `scale`. With
/// `smoothing` e, as in PyTorch: `(1 - e)` times that, plus `e / K` times the sum over all K classes k of `w_k b (-log p_k)` over
/// the pixels that count, divided by the same `sum w b`.
pub(super) fn weighted(
    batch: &Batch,
    scale: f64,
    smoothing: f64,
    gradient: &mut Gradient,
    pixel_weight: impl Fn(usize) -> f64 + Sync,
) -> f64 {
    let total = batch.sum(|pixel| batch.weight(pixel) * pixel_weight(pixel));
    if total <= 0.0 {
        return 0.0;
    }
    let share = smoothing / batch.classes as f64;
    let all: f64 = batch.weights.iter().map(|w| f64::from(*w)).sum();
    let logs = |pixel: usize| &batch.logs[pixel * batch.classes..][..batch.classes];
    let sum = batch.sum(|pixel| {
        if batch.class(pixel).is_none() {
            return 0.0;
        }
        let mut loss = (1.0 - smoothing) * batch.weight(pixel) * f64::from(batch.loss(pixel));
        if share > 0.0 {
            let smooth = batch.weights.iter().zip(logs(pixel)).map(|(w, log)| f64::from(*w) * -f64::from(*log));
            loss += share * smooth.sum::<f64>();
        }
        loss * pixel_weight(pixel)
    });
    let factor = scale / total;
    batch.for_each_pixel(&mut gradient.logits, |pixel, gradient| {
        let Some(class) = batch.class(pixel) else { return };
        let factor = factor * pixel_weight(pixel);
        let true_share = (1.0 - smoothing) * batch.weight(pixel);
        let sum = ((true_share + share * all) * factor) as f32;
        for ((gradient, p), w) in gradient.iter_mut().zip(batch.of_pixel(pixel)).zip(batch.weights) {
            *gradient += sum * p - (share * f64::from(*w) * factor) as f32;
        }
        gradient[class] -= (true_share * factor) as f32;
    });
    scale * sum / total
}
