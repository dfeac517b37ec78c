//! The thread that sees frames and sets the pins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::exchange::{Exchange, Lent};
use super::outcome::Outcome;
use super::progress::{Latencies, Progress};
use super::step::{Pins, PinsError, Step};
use crate::clock::Clock;
use crate::config::LogLevel;
use crate::frame_source::FrameSlot;
use crate::peripherals::Trigger;
use crate::rules::Change;
use crate::telemetry::log::Log;
use unet_engine::error::chain;
use unet_engine::segmenter::Segmenter;

/// How long is waited for anything before it is looked whether the program is to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// Pins that the main thread can make safe while this one is busy. Once they are, nothing changes them again.
#[derive(Clone)]
pub(super) struct SharedPins(Arc<Mutex<(Box<dyn Pins>, bool)>>);

impl SharedPins {
    pub(super) fn new(pins: Box<dyn Pins>) -> Self {
        SharedPins(Arc::new(Mutex::new((pins, false))))
    }
}

impl Pins for SharedPins {
    fn apply(&mut self, changes: &[Change]) -> Result<(), PinsError> {
        let (pins, safe) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *safe { Ok(()) } else { pins.apply(changes) }
    }

    fn make_safe(&mut self) -> Result<(), PinsError> {
        let (pins, safe) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *safe = true;
        pins.make_safe()
    }
}

/// What asks for frames, with its error put in a box.
pub type BoxedTrigger = Box<dyn Trigger<Error = Box<dyn std::error::Error + Send + Sync>> + Send>;

/// What the thread needs.
pub(super) struct Infer<S> {
    pub(super) step: Step<S>,
    pub(super) pins: SharedPins,
    pub(super) trigger: Option<BoxedTrigger>,
    pub(super) frames: Arc<Exchange<FrameSlot>>,
    pub(super) outcomes: Arc<Exchange<Outcome>>,
    pub(super) keep_all: bool,
    /// Without a frame for so long the rules rest.
    pub(super) stall: Duration,
    pub(super) progress: Arc<Progress>,
    pub(super) latencies: Arc<Mutex<Latencies>>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) log: Log,
}

impl<S> Drop for Infer<S> {
    /// On every way out, a panic too: who waits for outcomes is to know that there will be no more.
    fn drop(&mut self) {
        self.outcomes.close();
    }
}

impl<S: Segmenter> Infer<S> {
    /// Until the source has ended and all is seen, or the program ends.
    pub(super) fn run(mut self) {
        let mut quiet_since = self.clock.now();
        let mut resting = false;
        let mut triggered_at: Option<Duration> = None;
        let mut failing = [false; 2];
        while !self.stop.load(Ordering::Relaxed) {
            if triggered_at.is_none() {
                match self.wait_trigger(&mut failing[0]) {
                    Some(at) => triggered_at = Some(at),
                    None if self.frames.is_over() => break,
                    None => continue,
                }
            }
            let Some(lent) = self.frame() else {
                if self.frames.is_over() {
                    break;
                }
                let quiet = self.clock.now().saturating_sub(quiet_since);
                if quiet > self.stall && !resting {
                    resting = true;
                    let seconds = quiet.as_secs_f64();
                    self.log
                        .say(LogLevel::Warning, format_args!("no frame for {seconds:.1} s; all rules are inactive"));
                    let result = self.step.rest(&mut self.pins);
                    self.tell(result, &mut failing[1]);
                }
                continue;
            };
            if resting {
                self.log.say(LogLevel::Warning, format_args!("frames come again"));
            }
            (quiet_since, resting) = (self.clock.now(), false);
            // With a trigger, a frame from before its edge is not the one that was asked for.
            let asked = self.trigger.is_none() || triggered_at.is_some_and(|at| self.frames.open(&lent).captured >= at);
            if asked {
                triggered_at = None;
                self.see(&lent, &mut failing[1]);
            }
            self.frames.give_back(lent);
        }
    }

    /// When frames were asked for; at once where nothing has to ask.
    fn wait_trigger(&mut self, failing: &mut bool) -> Option<Duration> {
        let Some(trigger) = &mut self.trigger else { return Some(Duration::ZERO) };
        match trigger.wait(PATIENCE) {
            Ok(fired) => {
                *failing = false;
                fired.then(|| self.clock.now())
            }
            Err(error) => {
                if !std::mem::replace(failing, true) {
                    self.log.say(LogLevel::Error, format_args!("trigger: {}", chain(error.as_ref())));
                }
                std::thread::sleep(PATIENCE);
                None
            }
        }
    }

    fn frame(&self) -> Option<Lent> {
        if self.keep_all {
            return self.frames.next(PATIENCE);
        }
        let (lent, passed) = self.frames.newest(PATIENCE)?;
        if self.trigger.is_none() {
            self.progress.count_busy(passed);
        }
        Some(lent)
    }

    fn see(&mut self, lent: &Lent, failing: &mut bool) {
        let mut frame = self.frames.open(lent);
        let seen = match self.step.step(&frame, self.clock.as_ref(), &mut self.pins) {
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
        let outcome = if self.keep_all { wait_outcome(&self.outcomes, &self.stop) } else { self.outcomes.free() };
        match outcome {
            Some(place) => {
                let drops = self.progress.drops();
                self.outcomes.open(&place).take(&mut frame, &seen, drops, self.clock.since_1970());
                self.outcomes.fill(place);
            }
            None => self.progress.count_unwritten(),
        }
        let pins = seen.pins;
        drop(frame);
        self.tell(pins, failing);
    }

    /// Of errors that come again and again only the first is worth a word.
    fn tell(&self, result: Result<(), PinsError>, failing: &mut bool) {
        match result {
            Ok(()) => *failing = false,
            Err(error) => {
                if !std::mem::replace(failing, true) {
                    self.log.say(LogLevel::Error, format_args!("{}", chain(&error)));
                }
            }
        }
    }
}

fn wait_outcome(outcomes: &Exchange<Outcome>, stop: &AtomicBool) -> Option<Lent> {
    while !stop.load(Ordering::Relaxed) {
        if let Some(place) = outcomes.wait_free(PATIENCE) {
            return Some(place);
        }
    }
    None
}
