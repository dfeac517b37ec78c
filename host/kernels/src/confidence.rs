//! How sure a network is of each pixel: the largest of its probabilities.

use rayon::prelude::*;

use super::instruction_set::InstructionSet;
use super::softmax::{BLOCK_PIXELS, Softmax};

/// Pixels that a thread takes at once.
const PART_PIXELS: usize = 4096;

/// Sets `confidences`, one a pixel, to the largest probability by softmax: `1 / sum over classes of exp(logit - largest logit)`, or
/// NaN if one of the logits is NaN. Unlike elsewhere in this crate, `logits` are `[classes, pixels]`, class by class.
pub fn confidences(set: InstructionSet, logits: &[f32], confidences: &mut [f32]) {
    let pixels = confidences.len();
    assert!(pixels > 0 && logits.len().is_multiple_of(pixels), "{} logits of {pixels} pixels", logits.len());
    let classes = logits.len() / pixels;
    confidences.par_chunks_mut(PART_PIXELS).enumerate().for_each(|(part, confidences)| {
        let mut softmax = Softmax::new(set, classes);
        for (block, confidences) in confidences.chunks_mut(BLOCK_PIXELS).enumerate() {
            let start = part * PART_PIXELS + block * BLOCK_PIXELS;
            softmax.compute_rows(|class, values| {
                let logits = &logits[class * pixels + start..][..confidences.len()];
                values[..confidences.len()].copy_from_slice(logits);
            });
            for (confidence, sum) in confidences.iter_mut().zip(softmax.sums()) {
                *confidence = 1.0 / sum;
            }
        }
    });
}
