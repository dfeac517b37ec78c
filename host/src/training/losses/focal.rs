//! Focal loss (Lin et al. 2017): pixels that are right already count little.

use super::batch::{Batch, Gradient};

/// The focus, gamma.
const GAMMA: i32 = 2;

/// `sum w (1 - p)^gamma (-log p) / sum w` with the probability `p` and the weight `w` of the true class, times `scale`.
pub(super) fn focal(batch: &Batch, scale: f64, gradient: &mut Gradient) -> f64 {
    let total = batch.sum(|pixel| batch.weight(pixel));
    if total <= 0.0 {
        return 0.0;
    }
    let sum = batch.sum(|pixel| {
        let loss = f64::from(batch.loss(pixel));
        batch.weight(pixel) * (1.0 - (-loss).exp()).powi(GAMMA) * loss
    });
    let factor = scale / total;
    batch.for_each_pixel(&mut gradient.logits, |pixel, gradient| {
        let Some(class) = batch.class(pixel) else { return };
        let log = -f64::from(batch.loss(pixel));
        let p = log.exp();
        // p times the slope for p: finite where p is 0.
        let slope = f64::from(GAMMA) * p * (1.0 - p).powi(GAMMA - 1) * log - (1.0 - p).powi(GAMMA);
        let slope = (factor * batch.weight(pixel) * slope) as f32;
        for (gradient, p) in gradient.iter_mut().zip(batch.of_pixel(pixel)) {
            *gradient -= slope * p;
        }
        gradient[class] += slope;
    });
    scale * sum / total
}
