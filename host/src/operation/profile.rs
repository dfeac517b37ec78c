//! Wall time by operation, where somebody asked for it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static ASKED: AtomicBool = AtomicBool::new(false);
static TIMES: Mutex<Vec<(&str, Duration)>> = Mutex::new(Vec::new());

/// From now on each operation's time is kept.
pub fn ask() {
    ASKED.store(true, Ordering::Relaxed);
}

/// What the operations took since the last call, in the order in which they were first met.
pub fn take() -> Vec<(&'static str, Duration)> {
    std::mem::take(&mut *TIMES.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Computes, and keeps the time under a name.
#[cfg(feature = "flex")]
pub(super) fn timed<T>(name: &'static str, compute: impl FnOnce() -> T) -> T {
    if !ASKED.load(Ordering::Relaxed) {
        return compute();
    }
    let start = std::time::Instant::now();
    let result = compute();
    let time = start.elapsed();
    let mut times = TIMES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match times.iter_mut().find(|(known, _)| *known == name) {
        Some((_, sum)) => *sum += time,
        None => times.push((name, time)),
    }
    result
}
