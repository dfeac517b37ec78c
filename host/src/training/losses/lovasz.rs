//! Lovász-softmax (Berman et al. 2018): the convex extension of the Jaccard loss, that is, of `1 - IoU`.

use rayon::prelude::*;

use super::batch::{Batch, Gradient};

/// The weighted mean over the classes that occur in the batch of the extension's value at the errors `|truth - p|` of the
/// pixels that count, times `scale`.
///
/// With the errors sorted from the largest, and the Jaccard loss `J_i` of predicting the first `i` of them wrongly: the sum of
/// `error_i (J_i - J_(i-1))`.
pub(super) fn lovasz(batch: &Batch, scale: f64, gradient: &mut Gradient) -> f64 {
    let counted: Vec<u32> =
        (0..batch.ids.len()).filter(|&pixel| batch.class(pixel).is_some()).map(|p| p as u32).collect();
    let pixels = batch.pixels;
    let weights = || batch.weights.iter().zip(pixels).map(|(w, n)| if *n > 0 { f64::from(*w) } else { 0.0 });
    let total: f64 = weights().sum();
    if total <= 0.0 {
        return 0.0;
    }
    let slopes = gradient.probabilities();
    let mut loss = 0.0;
    for (class, weight) in weights().enumerate().filter(|(_, weight)| *weight > 0.0) {
        let own = |pixel: u32| usize::from(batch.ids[pixel as usize]) == class;
        let error = |pixel: u32| {
            let p = batch.probabilities[pixel as usize * batch.classes + class];
            if own(pixel) { 1.0 - p } else { p }
        };
        let mut order: Vec<(f32, u32)> = Vec::new();
        counted.par_iter().map(|&pixel| (error(pixel), pixel)).collect_into_vec(&mut order);
        order.par_sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let truth = pixels[class] as f64;
        let factor = scale * weight / total;
        // Of the first errors: pixels of the class, and others.
        let (mut missed, mut added, mut before) = (0.0, 0.0, 0.0);
        for (error, pixel) in order {
            if own(pixel) {
                missed += 1.0
            } else {
                added += 1.0
            }
            let jaccard = 1.0 - (truth - missed) / (truth + added);
            let slope = (jaccard - before) * factor;
            before = jaccard;
            loss += f64::from(error) * slope;
            if let Some(sum) = slopes.get_mut(pixel as usize * batch.classes + class) {
                *sum += if own(pixel) { -slope } else { slope } as f32;
            }
        }
    }
    loss
}
