//! A step of Adam in one pass over the weights.

use rayon::prelude::*;

pub use super::elementwise::Factors;
use super::instruction_set::InstructionSet;

/// Values of a part, which one thread computes.
const PART: usize = 1 << 14;

/// Updates weights and both moments.
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
