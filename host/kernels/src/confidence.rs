//! How sure a network is of each pixel: the largest of its probabilities.

use rayon::prelude::*;

use super::elementwise::PIXELS;
use super::instruction_set::InstructionSet;

/// Pixels that a thread takes at once.
const PART_PIXELS: usize = 4096;

/// Sets `confidences`, one a pixel, to the largest probability by softmax: `1 / sum over classes of exp(logit - largest logit)`, or
/// NaN if one of the logits is NaN. Unlike elsewhere in this crate, `logits` are `[classes, pixels]`, class by class.
pub fn confidences(set: InstructionSet, logits: &[f32], confidences: &mut [f32]) {
    let pixels = confidences.len();
    assert!(pixels > 0 && logits.len().is_multiple_of(pixels), "{} logits of {pixels} pixels", logits.len());
    let (table, classes) = (set.table(16), logits.len() / pixels);
    confidences.par_chunks_mut(PART_PIXELS).enumerate().for_each(|(part, confidences)| {
        let mut values = vec![0f32; classes * PIXELS];
        let (mut largest, mut sums) = ([0f32; PIXELS], [0f32; PIXELS]);
        for (block, confidences) in confidences.chunks_mut(PIXELS).enumerate() {
            let start = part * PART_PIXELS + block * PIXELS;
            // Values past the last pixel are stale and not read.
            for (values, logits) in values.chunks_exact_mut(PIXELS).zip(logits.chunks_exact(pixels)) {
                values[..confidences.len()].copy_from_slice(&logits[start..][..confidences.len()]);
            }
            // SAFETY: the table was chosen for this CPU.
            unsafe { (table.exponentials)(&mut values, &mut largest, &mut sums) };
            for (confidence, sum) in confidences.iter_mut().zip(&sums) {
                *confidence = 1.0 / sum;
            }
        }
    });
}
