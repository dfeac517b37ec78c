//! From frames to pins and outputs, on several threads: one captures frames, one processes them and sets the pins, and each sink
//! writes on a thread of its own. Between them are slots that are allocated once (`slots.rs`) and bounded queues. If frames of a
//! live source arrive faster than they are processed, the newest wins and the others are counted; if outcomes arrive faster than
//! a sink writes them, that sink misses some, and neither the pins nor the other sinks wait.
//!
//! [`Step`] is the processing of one frame, without threads. Knows no configuration and no devices.

mod capture;
mod infer;
mod liveness;
mod outcome;
mod progress;
mod queue;
mod sink;
mod slots;
mod step;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use infer::BoxedTrigger;
pub use liveness::{Liveness, Pulse};
pub use outcome::Outcome;
pub use progress::{Latencies, Progress};
pub use sink::{Losses, Needs, Sink, WriteError};
pub use step::{Pins, PinsError, Seen, Step, StepError};

use crate::clock::Clock;
use crate::frame_source::{FrameSlot, FrameSource, SourceError};
use crate::postprocess::RegionsSpec;
use crate::rules::Rule;
use crate::telemetry::log::Log;
use capture::Capture;
use infer::{Inbox, Infer, SharedPins, Update};
use queue::Queue;
use sink::{Outlet, Outlets};
use slots::Pool;
use unet_engine::segmenter::Segmenter;

/// One being captured, one being processed, and two in the queue.
const FRAME_SLOTS: usize = 4;
/// How long a thread waits before it checks whether the program is ending.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a pipeline consists of.
pub struct Parts<S> {
    /// Where frames come from.
    pub source: Box<dyn FrameSource>,
    /// Whether the newest frame wins if the pipeline falls behind; else the source waits, as files do.
    pub live: bool,
    /// What requests frames; without a trigger every frame is processed.
    pub trigger: Option<BoxedTrigger>,
    /// Processing of a frame.
    pub step: Step<S>,
    /// Pins that follow the rules.
    pub pins: Box<dyn Pins>,
    /// Where outcomes are written.
    pub sinks: Vec<Box<dyn Sink>>,
    /// How long frames may be missing before all rules become inactive.
    pub stall: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The log.
    pub log: Log,
}

/// A running pipeline.
pub struct Running {
    threads: Option<Threads>,
    outlets: Vec<Arc<Outlet>>,
    stop: Arc<AtomicBool>,
    pins: SharedPins,
    progress: Arc<Progress>,
    latencies: Arc<Mutex<Latencies>>,
    inbox: Arc<Inbox>,
    log: Log,
}

/// The threads that were started.
#[derive(Default)]
struct Threads {
    capture: Option<JoinHandle<Result<(), SourceError>>>,
    infer: Option<JoinHandle<()>>,
    sinks: Vec<JoinHandle<()>>,
}

/// How a pipeline ended.
#[derive(Debug)]
pub enum Ended {
    /// The source has ended and all its frames are processed, or the pipeline was stopped.
    Regular,
    /// The source failed for good.
    Source(SourceError),
    /// A thread panicked.
    Panic(&'static str),
}

/// Starts the threads.
///
/// # Errors
///
/// If the operating system refuses one.
pub fn start<S: Segmenter + Send + 'static>(parts: Parts<S>) -> io::Result<Running> {
    let Parts { source, live, trigger, step, pins, sinks, stall, clock, log } = parts;
    let frames = Arc::new(Queue::new(FRAME_SLOTS));
    let outlets = Outlets::new(&sinks);
    let stop = Arc::new(AtomicBool::new(false));
    let (progress, latencies) = (Arc::new(Progress::default()), Arc::new(Mutex::new(Latencies::default())));
    let inbox = Arc::new(Inbox::default());
    let pins = SharedPins::new(pins);
    // From here on an error makes the pins safe and stops the threads that run.
    let mut running = Running {
        threads: Some(Threads::default()),
        outlets: Vec::new(),
        stop: stop.clone(),
        pins: pins.clone(),
        progress: progress.clone(),
        latencies: latencies.clone(),
        inbox: inbox.clone(),
        log,
    };
    running.start_sinks(&outlets, sinks)?;
    let capture = Capture {
        source,
        slots: Pool::new((0..FRAME_SLOTS).map(|_| FrameSlot::default())),
        frames: frames.clone(),
        live,
        counts_replaced: trigger.is_none(),
        progress: progress.clone(),
        stop: stop.clone(),
        log,
    };
    let infer = Infer {
        step,
        pins,
        trigger,
        frames,
        outlets,
        inbox,
        live,
        stall,
        progress: progress.clone(),
        latencies: latencies.clone(),
        stop: stop.clone(),
        clock,
        log,
    };
    if let Some(threads) = &mut running.threads {
        threads.infer = Some(thread("inference").spawn(move || infer.run())?);
        threads.capture = Some(thread("capture").spawn(move || capture.run())?);
    }
    Ok(running)
}

fn thread(name: &str) -> std::thread::Builder {
    std::thread::Builder::new().name(name.to_owned())
}

impl Drop for Running {
    /// Whatever ends the program leaves safe pins.
    fn drop(&mut self) {
        if self.threads.is_some() {
            // A caller that needs the results calls `stop`.
            let _ = self.stop(PATIENCE);
        }
    }
}

impl Running {
    /// Counters.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What each sink has lost, by name; replaced sinks included.
    pub fn losses(&self) -> Vec<(&'static str, Losses)> {
        let mut all: Vec<(&'static str, Losses)> = Vec::new();
        for outlet in &self.outlets {
            let Losses { missed, failed, waiting } = outlet.losses();
            match all.iter_mut().find(|(name, _)| *name == outlet.name) {
                Some((_, sum)) => {
                    sum.missed += missed;
                    sum.failed += failed;
                    sum.waiting += waiting;
                }
                None => all.push((outlet.name, Losses { missed, failed, waiting })),
            }
        }
        all
    }

    /// Replaces rules, regions and sinks from the next frame on. Nothing is lost in between: each new sink starts when all sinks
    /// before it have ended. Rules must not have other pins than before.
    ///
    /// # Errors
    ///
    /// If the operating system refuses a thread; then everything stays as it is.
    pub fn reconfigure(&mut self, rules: Vec<Rule>, regions: RegionsSpec, sinks: Vec<Box<dyn Sink>>) -> io::Result<()> {
        let outlets = Outlets::new(&sinks);
        self.start_sinks(&outlets, sinks)?;
        self.inbox.put(Update { rules, regions, outlets });
        Ok(())
    }

    /// Starts a thread for each sink, which waits for those before it.
    fn start_sinks(&mut self, outlets: &Outlets, sinks: Vec<Box<dyn Sink>>) -> io::Result<()> {
        let Some(threads) = &mut self.threads else { return Ok(()) };
        let before = self.outlets.clone();
        for (outlet, sink) in outlets.outlets().iter().zip(sinks) {
            let (shared, before) = (Arc::clone(outlet), before.clone());
            let (progress, log) = (Arc::clone(&self.progress), self.log);
            let handle = thread(outlet.name).spawn(move || {
                while before.iter().any(|outlet| !outlet.is_over()) {
                    std::thread::sleep(PATIENCE / 10);
                }
                shared.run(sink, &progress, log);
            })?;
            threads.sinks.push(handle);
            self.outlets.push(Arc::clone(outlet));
        }
        Ok(())
    }

    /// Durations of the stages so far.
    pub fn latencies(&self) -> Latencies {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether nothing is left to do: everything is written, or a sink has panicked.
    pub fn is_finished(&self) -> bool {
        let done = |threads: &Threads| {
            threads.infer.as_ref().is_none_or(JoinHandle::is_finished)
                && threads.sinks.iter().all(JoinHandle::is_finished)
                || self.outlets.iter().any(|outlet| outlet.is_broken())
        };
        self.threads.as_ref().is_none_or(done)
    }

    /// Stops it: the current frame and what is queued for the sinks are finished, and the pins are made safe. Threads that do not
    /// end within `patience` are left to the end of the process. Does nothing the second time.
    pub fn stop(&mut self, patience: Duration) -> (Ended, Result<(), PinsError>) {
        let until = Instant::now() + patience;
        self.stop.store(true, Ordering::Relaxed);
        let Some(Threads { capture, infer, sinks }) = self.threads.take() else { return (Ended::Regular, Ok(())) };
        // Half of the time is for the last frame, whose rules may still change a pin.
        if let Some(infer) = &infer {
            wait(infer, Instant::now() + patience / 2);
        }
        let pins = self.pins.make_safe();
        for sink in &sinks {
            wait(sink, until);
        }
        if let Some(capture) = &capture {
            wait(capture, until);
        }
        // A source that blocks is not an error, and the process is about to end.
        let captured = capture.filter(JoinHandle::is_finished).map_or(Ok(Ok(())), JoinHandle::join);
        let panicked = |thread: JoinHandle<()>| thread.is_finished() && thread.join().is_err();
        let infer_panicked = infer.is_some_and(panicked);
        let sink_panicked = sinks.into_iter().any(panicked);
        let ended = match captured {
            Err(_) => Ended::Panic("the capture thread panicked"),
            _ if infer_panicked => Ended::Panic("the inference thread panicked"),
            _ if sink_panicked => Ended::Panic("the thread of an output panicked"),
            Ok(Err(error)) => Ended::Source(error),
            Ok(Ok(())) => Ended::Regular,
        };
        (ended, pins)
    }
}

fn wait<T>(thread: &JoinHandle<T>, until: Instant) {
    while !thread.is_finished() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests;
