//! Weighted cross-entropy over pixels with its gradient, in one pass over the logits.

use rayon::prelude::*;

use super::instruction_set::InstructionSet;
use super::shared::SharedMut;
use super::softmax::{BLOCK_PIXELS, Softmax};

/// Pixels of a part, whose losses are added in f64; the parts are added in order.
const PART_PIXELS: usize = 4096;

/// The true classes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// A class id a pixel; ids past the last class are ignored.
    pub classes: &'a [u8],
    /// One weight a class.
    pub weights: &'a [f32],
    /// Factor of the sum over pixels.
    pub scale: f64,
}

/// `scale * sum over pixels of weight[class] * -log softmax(logits)[class]`, with logits `[pixels, classes]`. Sets
/// `gradient`, if given and as long as the logits, to the gradient of the logits:
/// `scale * weight[class] * (softmax(logits) - 1 at the class)`.
pub fn cross_entropy(set: InstructionSet, logits: &[f32], target: &Target, gradient: Option<&mut [f32]>) -> f32 {
    let classes = target.weights.len();
    assert_eq!(logits.len(), target.classes.len() * classes);
    assert!(gradient.as_ref().is_none_or(|gradient| gradient.len() == logits.len()));
    let gradient = gradient.map(SharedMut::new);
    let part = PART_PIXELS * classes;
    let losses: Vec<f64> = logits
        .par_chunks(part)
        .zip(target.classes.par_chunks(PART_PIXELS))
        .enumerate()
        .map(|(number, (logits, ids))| {
            // SAFETY: each part of the gradient belongs to one part of the logits.
            let gradient = gradient.map(|gradient| unsafe { gradient.part(number * part, logits.len()) });
            part_loss(set, logits, &Target { classes: ids, ..*target }, gradient)
        })
        .collect();
    (losses.into_iter().sum::<f64>() * target.scale) as f32
}

/// The loss of some pixels, not scaled.
fn part_loss(set: InstructionSet, logits: &[f32], target: &Target, mut gradient: Option<&mut [f32]>) -> f64 {
    let classes = target.weights.len();
    let mut softmax = Softmax::new(set, classes);
    let mut loss = 0f64;
    for (block, ids) in target.classes.chunks(BLOCK_PIXELS).enumerate() {
        let logits = &logits[block * BLOCK_PIXELS * classes..][..ids.len() * classes];
        softmax.compute(logits);
        let mut gradient = gradient.as_mut().map(|gradient| &mut gradient[block * BLOCK_PIXELS * classes..]);
        for (pixel, (&id, logits)) in ids.iter().zip(logits.chunks_exact(classes)).enumerate() {
            let id = usize::from(id);
            let weight = target.weights.get(id).copied().unwrap_or(0.0);
            if weight > 0.0 {
                loss += f64::from(weight) * (softmax.log_sum(pixel) - f64::from(logits[id]));
            }
            let Some(gradient) = &mut gradient else { continue };
            let factor = (f64::from(weight) * target.scale) as f32;
            let share = factor / softmax.sums()[pixel];
            let gradient = &mut gradient[pixel * classes..][..classes];
            for (class, gradient) in gradient.iter_mut().enumerate() {
                *gradient = softmax.values()[class * BLOCK_PIXELS + pixel] * share;
            }
            if weight > 0.0 {
                gradient[id] -= factor;
            } else {
                // Also if a logit is NaN.
                gradient.fill(0.0);
            }
        }
    }
    loss
}
