//! From frames to pins and outputs, on several threads: one captures frames, one processes them and sets the pins, and each sink
//! writes on a thread of its own. Between them are slots that are allocated once (`slots.rs`) and bounded queues. If frames of a
//! live source arrive faster than they are processed, the newest wins and the others are counted; if outcomes arrive faster than
//! a sink writes them, that sink misses some, and neither the pins nor the other sinks wait.
//!
//! [`Step`] is the processing of one frame, without threads. Knows no configuration and no devices.

mod capture;
mod infer;
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
pub use outcome::Outcome;
pub use progress::{Latencies, Progress};
pub use sink::{Needs, Sink};
pub use step::{Pins, PinsError, Seen, Step, StepError};

use crate::clock::Clock;
use crate::frame_source::{FrameSlot, FrameSource, SourceError};
use crate::telemetry::log::Log;
use capture::Capture;
use infer::{Infer, SharedPins};
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
}

struct Threads {
    capture: JoinHandle<Result<(), SourceError>>,
    infer: JoinHandle<()>,
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
    let sinks: Vec<_> = outlets.outlets().iter().cloned().zip(sinks).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let (progress, latencies) = (Arc::new(Progress::default()), Arc::new(Mutex::new(Latencies::default())));
    let pins = SharedPins::new(pins);
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
        pins: pins.clone(),
        trigger,
        frames,
        outlets,
        live,
        stall,
        progress: progress.clone(),
        latencies: latencies.clone(),
        stop: stop.clone(),
        clock,
        log,
    };
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let outlets = sinks.iter().map(|(outlet, _)| outlet.clone()).collect();
    let sinks = sinks.into_iter().map(|(outlet, sink)| thread(outlet.name).spawn(move || outlet.run(sink, log)));
    let threads = Threads {
        sinks: sinks.collect::<io::Result<_>>()?,
        infer: thread("inference").spawn(move || infer.run())?,
        capture: thread("capture").spawn(move || capture.run())?,
    };
    Ok(Running { threads: Some(threads), outlets, stop, pins, progress, latencies })
}

impl Running {
    /// Counters.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The sinks that missed outcomes since their queue was full, by name, with how many.
    pub fn missed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.outlets.iter().map(|outlet| (outlet.name, outlet.missed())).filter(|(_, missed)| *missed > 0)
    }

    /// Durations of the stages so far.
    pub fn latencies(&self) -> Latencies {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether nothing is left to do: everything is written, or a sink has panicked.
    pub fn is_finished(&self) -> bool {
        let done = |threads: &Threads| {
            threads.infer.is_finished() && threads.sinks.iter().all(JoinHandle::is_finished)
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
        wait(&infer, Instant::now() + patience / 2);
        let pins = self.pins.make_safe();
        for sink in &sinks {
            wait(sink, until);
        }
        wait(&capture, until);
        // A source that blocks is not an error, and the process is about to end.
        let captured = if capture.is_finished() { capture.join() } else { Ok(Ok(())) };
        let panicked = |thread: JoinHandle<()>| thread.is_finished() && thread.join().is_err();
        let infer_panicked = panicked(infer);
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
