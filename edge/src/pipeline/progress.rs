//! Counters of the pipeline, readable from other threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::liveness::Pulse;
use crate::telemetry::histogram::Histogram;
use crate::telemetry::json_lines::Drops;
use crate::telemetry::{Stage, Stages};

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Progress {
    captured: AtomicU64,
    unreadable: AtomicU64,
    finished: AtomicU64,
    lost_by_source: AtomicU64,
    lost_while_busy: AtomicU64,
    failed: AtomicU64,
    unwritten: AtomicU64,
    turns: AtomicU64,
    /// In microseconds plus 1; 0 while no frame is being processed.
    busy_since: AtomicU64,
    slowest_us: AtomicU64,
}

impl Progress {
    /// Frames delivered by the source.
    pub fn captured(&self) -> u64 {
        self.captured.load(Ordering::Relaxed)
    }

    /// Frames of the source, with those that it could not read.
    pub fn arrived(&self) -> u64 {
        self.captured() + self.unreadable.load(Ordering::Relaxed)
    }

    /// Frames with a mask, whose rules were evaluated.
    pub fn finished(&self) -> u64 {
        self.finished.load(Ordering::Relaxed)
    }

    /// Frames that were lost.
    pub fn drops(&self) -> Drops {
        Drops {
            source: self.lost_by_source.load(Ordering::Relaxed),
            busy: self.lost_while_busy.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            unwritten: self.unwritten.load(Ordering::Relaxed),
        }
    }

    /// The state of the inference thread. With a trigger, captured frames prove that the source works, since without an edge
    /// nothing is processed.
    pub fn pulse(&self, is_triggered: bool) -> Pulse {
        let busy_since = self.busy_since.load(Ordering::Relaxed).checked_sub(1);
        Pulse {
            frames: if is_triggered { self.captured() } else { self.finished() },
            turns: self.turns.load(Ordering::Relaxed),
            busy_since: busy_since.map(Duration::from_micros),
            slowest: Duration::from_micros(self.slowest_us.load(Ordering::Relaxed)),
        }
    }

    pub(super) fn count_turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn begin_frame(&self, now: Duration) {
        self.busy_since.store(now.as_micros() as u64 + 1, Ordering::Relaxed);
    }

    pub(super) fn end_frame(&self, now: Duration) {
        let since = self.busy_since.swap(0, Ordering::Relaxed);
        self.slowest_us.fetch_max((now.as_micros() as u64 + 1).saturating_sub(since), Ordering::Relaxed);
    }

    pub(super) fn count_captured(&self, lost_before: u64) {
        self.captured.fetch_add(1, Ordering::Relaxed);
        self.lost_by_source.fetch_add(lost_before, Ordering::Relaxed);
    }

    pub(super) fn count_finished(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_busy(&self, frames: u64) {
        self.lost_while_busy.fetch_add(frames, Ordering::Relaxed);
    }

    pub(super) fn count_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a frame that the source could not read, as failed.
    pub(super) fn count_unreadable(&self) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
        self.count_failed();
    }

    pub(super) fn count_unwritten(&self) {
        self.unwritten.fetch_add(1, Ordering::Relaxed);
    }
}

/// Durations of each stage over all frames.
#[derive(Debug, Clone, Default)]
pub struct Latencies(Stages<Histogram>);

impl Latencies {
    /// Of one stage.
    pub fn of(&self, stage: Stage) -> &Histogram {
        &self.0[stage]
    }

    pub(super) fn record(&mut self, latency_us: &Stages<u64>) {
        for (stage, &microseconds) in latency_us.iter() {
            self.0[stage].record(Duration::from_micros(microseconds));
        }
    }
}
