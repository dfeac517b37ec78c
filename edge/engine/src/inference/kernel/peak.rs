//! The maximum rate at which one core multiplies: an instruction set's multiply instructions on registers alone.

use std::time::Instant;

use super::instruction_set::InstructionSet;

/// Multiply-accumulates a second of an instruction set that this processor has.
#[allow(
    unsafe_code,
    reason = "calls a function of an instruction set, which `Kernel::instruction_set` found to be available"
)]
pub(super) fn measure(set: &InstructionSet) -> f64 {
    const ROUNDS: u64 = 20_000;
    // Many short runs, since the operating system may interrupt any of them.
    let rates = (0..200).map(|_| {
        let start = Instant::now();
        // SAFETY: `Kernel::instruction_set` returns only sets that this processor has.
        unsafe { (set.multiply)(ROUNDS) as f64 / start.elapsed().as_secs_f64() }
    });
    rates.fold(0.0, f64::max)
}
