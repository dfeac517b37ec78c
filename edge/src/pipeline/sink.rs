//! Sinks, which take what is known of each frame and write it somewhere. Each runs on its own thread behind its own bounded
//! queue: a slow or failing sink misses frames, which are counted, and delays neither the pins nor another sink. After a failure
//! the next outcome is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::PATIENCE;
use super::outcome::Outcome;
use super::progress::Progress;
use super::queue::Queue;
use super::slots::{Pool, Shared};
use crate::telemetry::log::{Log, LogLevel};
use unet_engine::error::chain;

/// Outcomes that wait for a sink.
const QUEUE: usize = 2;
/// Outcomes that a sink has at most: those in its queue, and the one being written.
const HELD: usize = QUEUE + 1;

/// Why an outcome could not be written.
pub type WriteError = Box<dyn std::error::Error + Send + Sync>;

/// Writes outcomes.
pub trait Sink: Send {
    /// Its name in the log.
    fn name(&self) -> &'static str;

    /// What it needs beyond mask, shares, regions and rules.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Writes one outcome, and takes as long as necessary.
    ///
    /// # Errors
    ///
    /// If it cannot be written. That costs this outcome only, and is logged and counted by the caller.
    fn write(&mut self, outcome: &Outcome, log: Log) -> Result<(), WriteError>;
}

/// What a sink needs of a frame that is not computed for every frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// The pixels, which a JPEG frame only has after decoding.
    pub pixels: bool,
    /// The mean margin of the logits.
    pub margin: bool,
}

impl Needs {
    /// What any of the sinks needs.
    pub fn of(sinks: &[Box<dyn Sink>]) -> Self {
        sinks.iter().map(|sink| sink.needs()).fold(Needs::default(), |all, needs| Needs {
            pixels: all.pixels || needs.pixels,
            margin: all.margin || needs.margin,
        })
    }
}

/// The queues of all sinks and the slots that they share.
pub(super) struct Outlets {
    outcomes: Pool<Outcome>,
    outlets: Vec<Arc<Outlet>>,
    needs: Needs,
}

/// One sink, as seen by the thread that produces outcomes.
pub(super) struct Outlet {
    pub(super) name: &'static str,
    queue: Queue<Shared<Outcome>>,
    missed: AtomicU64,
    failed: AtomicU64,
    /// Whether an outcome is being written.
    busy: AtomicBool,
    /// Whether its thread has ended.
    over: AtomicBool,
}

/// What one sink has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Outcomes that it missed because its queue was full.
    pub missed: u64,
    /// Outcomes that it could not write.
    pub failed: u64,
    /// Outcomes that wait for it, or are being written.
    pub waiting: u64,
}

impl Outlet {
    fn new(name: &'static str) -> Self {
        Outlet {
            name,
            queue: Queue::new(QUEUE),
            missed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            over: AtomicBool::new(false),
        }
    }

    /// What the sink has lost so far.
    pub(super) fn losses(&self) -> Losses {
        Losses {
            missed: self.missed.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            waiting: self.queue.len() as u64 + u64::from(self.busy.load(Ordering::Relaxed)),
        }
    }

    /// Whether its thread has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Whether its thread panicked.
    pub(super) fn is_broken(&self) -> bool {
        self.queue.is_broken()
    }

    /// The loop of the sink's thread, until the queue is closed and empty.
    pub(super) fn run(&self, mut sink: Box<dyn Sink>, progress: &Progress, log: Log) {
        /// Also on a panic, so that no thread waits for room in the queue.
        struct Abandon<'a>(&'a Outlet);
        impl Drop for Abandon<'_> {
            fn drop(&mut self) {
                self.0.queue.abandon();
                self.0.over.store(true, Ordering::Release);
            }
        }
        let _abandon = Abandon(self);
        // Before `_abandon` is dropped, which says that the sink's files are closed.
        let mut outage = Outage::default();
        loop {
            match self.queue.pop(Duration::from_secs(1)) {
                Some(outcome) => {
                    self.busy.store(true, Ordering::Relaxed);
                    self.write(&mut *sink, &outcome.read(), &mut outage, progress, log);
                    self.busy.store(false, Ordering::Relaxed);
                }
                None if self.queue.is_over() => {
                    drop(sink);
                    return;
                }
                None => {}
            }
        }
    }

    fn write(&self, sink: &mut dyn Sink, outcome: &Outcome, outage: &mut Outage, progress: &Progress, log: Log) {
        let name = self.name;
        match sink.write(outcome, log) {
            Ok(()) => {
                if let Some(lost) = outage.end() {
                    log.say(LogLevel::Warning, format_args!("{name}: writing again, {lost} lost"));
                }
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                outcome.count_loss(progress);
                let error = chain(error.as_ref());
                if outage.is_new(&error) {
                    log.say(LogLevel::Error, format_args!("{name}: write failed, will retry: {error}"));
                }
            }
        }
    }
}

/// Failures in a row. A full disk fails many times; only the first one, other reasons and the end are worth logging.
#[derive(Debug, Default)]
struct Outage {
    lost: u64,
    reason: String,
}

impl Outage {
    /// Counts a failure; returns whether it is not like the one before.
    fn is_new(&mut self, reason: &str) -> bool {
        let is_new = self.lost == 0 || self.reason != reason;
        self.lost += 1;
        if is_new {
            reason.clone_into(&mut self.reason);
        }
        is_new
    }

    /// Ends it; returns how many were lost, if it was one.
    fn end(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.lost)).filter(|&lost| lost > 0)
    }
}

impl Outlets {
    pub(super) fn new(sinks: &[Box<dyn Sink>]) -> Self {
        let outlets = sinks.iter().map(|sink| Arc::new(Outlet::new(sink.name())));
        // Even if every sink holds as many as it can, one is free to be filled.
        let slots = 1 + HELD * sinks.len();
        Outlets {
            outcomes: Pool::new((0..slots).map(|_| Outcome::default())),
            outlets: outlets.collect(),
            needs: Needs::of(sinks),
        }
    }

    pub(super) fn outlets(&self) -> &[Arc<Outlet>] {
        &self.outlets
    }

    pub(super) fn needs(&self) -> Needs {
        self.needs
    }

    /// Calls `prepare` on the slots that are not in use.
    pub(super) fn prepare_free(&self, prepare: impl FnMut(&mut Outcome)) {
        self.outcomes.prepare_free(prepare);
    }

    /// Fills an outcome and passes it to all sinks. A sink whose queue is full misses it, which is counted, unless `wait_unless`
    /// is given: then it waits for room until that becomes true.
    pub(super) fn publish(
        &self,
        fill: impl FnOnce(&mut Outcome),
        wait_unless: Option<&AtomicBool>,
        progress: &Progress,
    ) {
        if self.outlets.is_empty() {
            return;
        }
        let Some(mut lent) = self.outcomes.lend() else {
            return progress.count_unwritten();
        };
        fill(&mut lent.write());
        let outcome = lent.share();
        for outlet in &self.outlets {
            let pushed = match wait_unless {
                None => outlet.queue.push(outcome.clone()).is_ok(),
                Some(stop) => push_waiting(&outlet.queue, outcome.clone(), stop),
            };
            if !pushed {
                outlet.missed.fetch_add(1, Ordering::Relaxed);
                outcome.read().count_loss(progress);
            }
        }
    }
}

impl Drop for Outlets {
    /// Ends the sinks, also on a panic.
    fn drop(&mut self) {
        for outlet in &self.outlets {
            outlet.queue.close();
        }
    }
}

fn push_waiting(queue: &Queue<Shared<Outcome>>, mut outcome: Shared<Outcome>, stop: &AtomicBool) -> bool {
    while !stop.load(Ordering::Relaxed) && !queue.is_broken() {
        match queue.push_within(outcome, PATIENCE) {
            Ok(()) => return true,
            Err(back) => outcome = back,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_with_its_reasons_and_its_losses() {
        let mut outage = Outage::default();
        assert_eq!(outage.end(), None);
        assert_eq!(["full", "full", "gone", "gone"].map(|reason| outage.is_new(reason)), [true, false, true, false]);
        assert_eq!((outage.end(), outage.end()), (Some(4), None));
        assert!(outage.is_new("gone"));
    }
}
