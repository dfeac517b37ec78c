//! A step of Adam in one pass over the weights.

use rayon::prelude::*;

use super::InstructionSet;

/// Values that a thread takes at once.
const PART: usize = 1 << 14;

/// What a step of Adam (Kingma and Ba 2015, algorithm 1) multiplies by, in the rearranged form that its section 2 gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factors {
    /// Decay of the first moment.
    pub beta_1: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// Added to the root of the second moment: epsilon by `sqrt(1 - beta_2^t)`.
    pub epsilon: f32,
    /// `sqrt(1 - beta_2^t) / (1 - beta_1^t)`.
    pub correction: f32,
    /// Learning rate.
    pub rate: f32,
}

/// Changes weights and both moments by a gradient.
pub fn step(
    set: InstructionSet,
    factors: &Factors,
    weights: &mut [f32],
    gradient: &[f32],
    moment_1: &mut [f32],
    moment_2: &mut [f32],
) {
    let table = set.table(16);
    let moments = moment_1.par_chunks_mut(PART).zip(moment_2.par_chunks_mut(PART));
    weights.par_chunks_mut(PART).zip(gradient.par_chunks(PART)).zip(moments).for_each(
        |((weights, gradient), (moment_1, moment_2))| {
            // SAFETY: the table was chosen for this CPU.
            unsafe { (table.adam)(factors, weights, gradient, moment_1, moment_2) };
        },
    );
}
