//! Wall time of each call of an operation on this thread, if it was asked for.

use std::cell::{Cell, RefCell};
use std::time::Duration;

thread_local! {
    static ASKED: Cell<bool> = const { Cell::new(false) };
    static CALLS: RefCell<Vec<(&'static str, Duration)>> = const { RefCell::new(Vec::new()) };
}

/// From now on, the calls of this thread are timed.
pub fn ask() {
    ASKED.set(true);
}

/// The calls since the last time, in order: names of operations and their wall times.
pub fn take() -> Vec<(&'static str, Duration)> {
    CALLS.take()
}

/// Computes, and keeps the time under a name.
#[cfg(feature = "flex")]
pub(super) fn timed<T>(name: &'static str, compute: impl FnOnce() -> T) -> T {
    if !ASKED.get() {
        return compute();
    }
    let start = std::time::Instant::now();
    let result = compute();
    let time = start.elapsed();
    CALLS.with_borrow_mut(|calls| calls.push((name, time)));
    result
}
