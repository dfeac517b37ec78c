//! Sinks, which take what is known of each frame and write it somewhere. Each runs on its own thread behind its own bounded
//! queue: a slow or failing sink misses frames, which are counted, and delays neither the pins nor another sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::PATIENCE;
use super::outcome::Outcome;
use super::queue::Queue;
use super::slots::{Pool, Shared};
use crate::telemetry::log::Log;

/// Outcomes that wait for a sink.
const QUEUE: usize = 2;
/// Outcomes that a sink has at most: those in its queue, and the one being written.
const HELD: usize = QUEUE + 1;

/// Writes outcomes.
pub trait Sink: Send {
    /// Its name in the log.
    fn name(&self) -> &'static str;

    /// What it needs beyond mask, shares, regions and rules.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Writes one outcome, and takes as long as necessary. Failures are logged here and cost this outcome only.
    fn write(&mut self, outcome: &Outcome, log: Log);
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
}

impl Outlet {
    /// How many outcomes the sink missed because its queue was full.
    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Whether its thread panicked.
    pub(super) fn is_broken(&self) -> bool {
        self.queue.is_broken()
    }

    /// The loop of the sink's thread, until the queue is closed and empty.
    pub(super) fn run(&self, mut sink: Box<dyn Sink>, log: Log) {
        /// Also on a panic, so that no thread waits for room in the queue.
        struct Abandon<'a>(&'a Queue<Shared<Outcome>>);
        impl Drop for Abandon<'_> {
            fn drop(&mut self) {
                self.0.abandon();
            }
        }
        let _abandon = Abandon(&self.queue);
        loop {
            match self.queue.pop(Duration::from_secs(1)) {
                Some(outcome) => sink.write(&outcome.read(), log),
                None if self.queue.is_over() => return,
                None => {}
            }
        }
    }
}

impl Outlets {
    pub(super) fn new(sinks: &[Box<dyn Sink>]) -> Self {
        let outlets = sinks
            .iter()
            .map(|sink| Arc::new(Outlet { name: sink.name(), queue: Queue::new(QUEUE), missed: AtomicU64::new(0) }));
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

    /// Fills an outcome and passes it to all sinks; returns whether every sink took it. A sink whose queue is full misses it,
    /// unless `wait_unless` is given: then it waits for room until that becomes true.
    pub(super) fn publish(&self, fill: impl FnOnce(&mut Outcome), wait_unless: Option<&AtomicBool>) -> bool {
        if self.outlets.is_empty() {
            return true;
        }
        let Some(mut lent) = self.outcomes.lend() else { return false };
        fill(&mut lent.write());
        let outcome = lent.share();
        let mut all = true;
        for outlet in &self.outlets {
            let pushed = match wait_unless {
                None => outlet.queue.push(outcome.clone()).is_ok(),
                Some(stop) => push_waiting(&outlet.queue, outcome.clone(), stop),
            };
            if !pushed {
                outlet.missed.fetch_add(1, Ordering::Relaxed);
                all = false;
            }
        }
        all
    }

    /// Closes all queues.
    pub(super) fn close(&self) {
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
