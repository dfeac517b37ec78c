//! Counters of the pipeline, readable from other threads.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::histogram::Histogram;
use crate::telemetry::json_lines::Drops;
use crate::telemetry::{Stage, Stages};

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Progress {
    captured: AtomicU64,
    finished: AtomicU64,
    lost_by_source: AtomicU64,
    lost_while_busy: AtomicU64,
    failed: AtomicU64,
    unwritten: AtomicU64,
}

impl Progress {
    /// Frames delivered by the source.
    pub fn captured(&self) -> u64 {
        self.captured.load(Ordering::Relaxed)
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
            self.0[stage].record(std::time::Duration::from_micros(microseconds));
        }
    }
}
