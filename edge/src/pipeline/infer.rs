//! The thread that processes frames and sets the pins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::PATIENCE;
use super::progress::{Latencies, Progress};
use super::queue::Queue;
use super::sink::Outlets;
use super::slots::Lent;
use super::step::{Pins, PinsError, Step};
use crate::clock::Clock;
use crate::frame_source::FrameSlot;
use crate::peripherals::Trigger;
use crate::postprocess::RegionsSpec;
use crate::rules::{Change, Rule};
use crate::telemetry::log::{Failing, Log, LogLevel};
use unet_engine::error::chain;
use unet_engine::segmenter::Segmenter;

/// Pins that the main thread can make safe while this thread is busy. Nothing changes them afterwards.
#[derive(Clone)]
pub(super) struct SharedPins(Arc<Mutex<Held>>);

struct Held {
    pins: Box<dyn Pins>,
    /// Nothing but the safe state may be set any more.
    ending: bool,
    safe: bool,
}

impl SharedPins {
    pub(super) fn new(pins: Box<dyn Pins>) -> Self {
        SharedPins(Arc::new(Mutex::new(Held { pins, ending: false, safe: false })))
    }
}

impl Pins for SharedPins {
    fn apply(&mut self, changes: &[Change]) -> Result<(), PinsError> {
        let held = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.ending { Ok(()) } else { held.pins.apply(changes) }
    }

    fn make_safe(&mut self) -> Result<(), PinsError> {
        let held = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.ending = true;
        if !held.safe {
            held.pins.make_safe()?;
            held.safe = true;
        }
        Ok(())
    }
}

/// A trigger with a boxed error.
pub type BoxedTrigger = Box<dyn Trigger<Error = Box<dyn std::error::Error + Send + Sync>> + Send>;

/// The inference thread.
pub(super) struct Infer<S> {
    pub(super) step: Step<S>,
    pub(super) pins: SharedPins,
    pub(super) trigger: Option<BoxedTrigger>,
    pub(super) frames: Arc<Queue<Lent<FrameSlot>>>,
    pub(super) outlets: Outlets,
    /// What replaces it, from the next frame on.
    pub(super) inbox: Arc<Inbox>,
    pub(super) live: bool,
    /// How long frames may be missing before all rules become inactive.
    pub(super) stall: Duration,
    pub(super) progress: Arc<Progress>,
    pub(super) latencies: Arc<Mutex<Latencies>>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) log: Log,
}

/// What replaces rules, regions and sinks of a running pipeline.
pub(super) struct Update {
    pub(super) rules: Vec<Rule>,
    pub(super) regions: RegionsSpec,
    pub(super) outlets: Outlets,
}

/// The next update for the thread, until that ends.
#[derive(Default)]
pub(super) struct Inbox(Mutex<(Option<Update>, bool)>);

impl Inbox {
    /// Replaces an update that was not taken yet. Without a thread to take it, the update is dropped, which ends its sinks.
    pub(super) fn put(&self, update: Update) {
        let (next, closed) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *next = Some(update).filter(|_| !*closed);
    }

    fn take(&self) -> Option<Update> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.take()
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (None, true);
    }
}

impl<S> Drop for Infer<S> {
    /// Pins are safe once nothing sets them any more, even if a sink is still busy. Also on a panic.
    fn drop(&mut self) {
        self.inbox.close();
        if let Err(error) = self.pins.make_safe() {
            self.log.say(LogLevel::Error, format_args!("{}", chain(&error)));
        }
    }
}

impl<S: Segmenter> Infer<S> {
    /// Runs until the source has ended and all frames are processed, or the program ends.
    pub(super) fn run(mut self) {
        let mut quiet_since = self.clock.now();
        let mut resting = false;
        let mut triggered_at: Option<Duration> = None;
        let (mut trigger_failing, mut pins_failing) = (Failing::default(), Failing::default());
        // Largest frame so far, for which memory is allocated.
        let mut reserved = 0;
        while !self.stop.load(Ordering::Relaxed) {
            self.progress.count_turn();
            if let Some(update) = self.inbox.take() {
                pins_failing.check(self.apply(update), |error| self.log_pins(&error));
                reserved = 0;
            }
            if triggered_at.is_none() {
                match self.wait_trigger(&mut trigger_failing) {
                    Some(at) => triggered_at = Some(at),
                    None if self.frames.is_over() => break,
                    None => continue,
                }
            }
            let Some(mut lent) = self.frame() else {
                if self.frames.is_over() {
                    break;
                }
                let quiet = self.clock.now().saturating_sub(quiet_since);
                if quiet > self.stall && !resting {
                    resting = true;
                    let seconds = quiet.as_secs_f64();
                    let rules = if self.step.has_rules() { "; all rules are inactive" } else { "" };
                    self.log.say(LogLevel::Warning, format_args!("no frame for {seconds:.1} s{rules}"));
                    pins_failing.check(self.step.rest(&mut self.pins), |error| self.log_pins(&error));
                }
                continue;
            };
            if resting {
                self.log.say(LogLevel::Warning, format_args!("frames arrive again"));
            }
            resting = false;
            // A frame from before the trigger's edge is not the requested one.
            let requested = self.trigger.is_none() || triggered_at.is_some_and(|at| lent.read().captured >= at);
            if requested {
                triggered_at = None;
                self.progress.begin_frame(self.clock.now());
                self.process(&mut lent.write(), &mut reserved, &mut pins_failing);
                self.progress.end_frame(self.clock.now());
            }
            // The time that a frame takes is no pause of the source.
            quiet_since = self.clock.now();
        }
    }

    /// Takes new rules and sinks. The sinks that they replace end when they have written what they hold.
    fn apply(&mut self, update: Update) -> Result<(), PinsError> {
        let Update { rules, regions, outlets } = update;
        let with_margin = outlets.needs().margin;
        self.outlets = outlets;
        self.step.reconfigure(&regions, rules, with_margin, &mut self.pins)
    }

    /// When a frame was requested; at once if there is no trigger.
    fn wait_trigger(&mut self, failing: &mut Failing) -> Option<Duration> {
        let Some(trigger) = &mut self.trigger else { return Some(Duration::ZERO) };
        match trigger.wait(PATIENCE) {
            Ok(fired) => {
                failing.succeed();
                fired.then(|| self.clock.now())
            }
            Err(error) => {
                failing.check(Err(error), |error| {
                    self.log.say(LogLevel::Error, format_args!("trigger: {}", chain(error.as_ref())));
                });
                std::thread::sleep(PATIENCE);
                None
            }
        }
    }

    fn frame(&self) -> Option<Lent<FrameSlot>> {
        if !self.live {
            return self.frames.pop(PATIENCE);
        }
        let (lent, older) = self.frames.pop_newest(PATIENCE)?;
        if self.trigger.is_none() {
            self.progress.count_busy(older);
        }
        Some(lent)
    }

    fn process(&mut self, frame: &mut FrameSlot, reserved: &mut usize, pins_failing: &mut Failing) {
        let mut seen = match self.step.step(frame, self.clock.as_ref(), &mut self.pins) {
            Ok(seen) => seen,
            Err(error) => {
                self.progress.count_failed();
                let sequence = frame.sequence;
                self.log.say(LogLevel::Warning, format_args!("frame {sequence}: {}", chain(&error)));
                return;
            }
        };
        self.progress.count_finished();
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).record(&seen.latency_us);
        if frame.bytes.capacity() > *reserved {
            *reserved = frame.bytes.capacity();
            self.outlets.prepare_free(|outcome| outcome.reserve(*reserved, &seen));
        }
        let pins = std::mem::replace(&mut seen.pins, Ok(()));
        let (drops, since_1970) = (self.progress.drops(), self.clock.since_1970());
        let with_pixels = self.outlets.needs().pixels;
        let wait_unless = (!self.live).then_some(&*self.stop);
        let fill = |outcome: &mut super::Outcome| outcome.take(frame, seen, with_pixels, drops, since_1970);
        self.outlets.publish(fill, wait_unless, &self.progress);
        pins_failing.check(pins, |error| self.log_pins(&error));
    }

    fn log_pins(&self, error: &PinsError) {
        self.log.say(LogLevel::Error, format_args!("{}", chain(error)));
    }
}
