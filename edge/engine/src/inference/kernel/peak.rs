//! The maximum rate at which one core multiplies: an instruction set's multiply instructions on registers alone.

use std::time::Instant;

/// Multiply-accumulates a second of `multiply`, which is an `InstructionSet::multiply`.
pub(super) fn measure(multiply: fn(rounds: u64) -> u64) -> f64 {
    const ROUNDS: u64 = 20_000;
    // Many short runs, since the operating system may interrupt any of them.
    let rates = (0..200).map(|_| {
        let start = Instant::now();
        multiply(ROUNDS) as f64 / start.elapsed().as_secs_f64()
    });
    rates.fold(0.0, f64::max)
}
