//! From frames to pins and outputs, on three threads: one takes frames from the source, one sees them and sets the pins, one
//! writes. Between them go slots that are made once ([`exchange`]); where frames come faster than they are seen, the newest
//! wins and the others are counted, and where outcomes come faster than they are written, the pins do not wait.
//!
//! [`Step`] is all that happens to one frame, without threads. Knows no configuration, no chips and no devices.

mod capture;
mod exchange;
mod infer;
mod outcome;
pub mod pixels;
mod progress;
mod sink;
pub mod sinks;
mod step;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use infer::BoxedTrigger;
pub use outcome::Outcome;
pub use progress::{Latencies, Progress};
pub use sink::Sink;
pub use step::{Pins, PinsError, Seen, Step, StepError};

use crate::clock::Clock;
use crate::frame_source::{FrameSlot, FrameSource, SourceError};
use crate::telemetry::log::Log;
use capture::Capture;
use exchange::Exchange;
use infer::{Infer, SharedPins};
use unet_engine::segmenter::Segmenter;

/// One is filled, one is seen, one is the newest, and one is between the queues.
const FRAME_SLOTS: usize = 4;
/// One is written, the others wait.
const OUTCOME_SLOTS: usize = 4;

/// What a pipeline is made of.
pub struct Parts<S> {
    /// Where frames come from.
    pub source: Box<dyn FrameSource>,
    /// Whether the source waits until its frames are seen, as files do; else the newest wins.
    pub keep_all: bool,
    /// What asks for frames; without it every frame is wanted.
    pub trigger: Option<BoxedTrigger>,
    /// What happens to a frame.
    pub step: Step<S>,
    /// What follows the rules.
    pub pins: Box<dyn Pins>,
    /// Where outcomes go, in this order.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Without a frame for so long all rules become inactive.
    pub stall: Duration,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How much is said.
    pub log: Log,
}

/// A pipeline at work.
pub struct Running {
    threads: Option<Threads>,
    stop: Arc<AtomicBool>,
    pins: SharedPins,
    progress: Arc<Progress>,
    latencies: Arc<Mutex<Latencies>>,
}

struct Threads {
    capture: JoinHandle<Result<(), SourceError>>,
    infer: JoinHandle<()>,
    deliver: JoinHandle<()>,
}

/// How a pipeline ended.
#[derive(Debug)]
pub enum Ended {
    /// The source has no more frames and all were seen, or it was asked to.
    Well,
    /// The source failed in a way that nothing helps against.
    Source(SourceError),
    /// A thread panicked.
    Fault(&'static str),
}

/// Starts the threads.
///
/// # Errors
///
/// When the system gives none.
pub fn start<S: Segmenter + Send + 'static>(parts: Parts<S>) -> io::Result<Running> {
    let Parts { source, keep_all, trigger, step, pins, sinks, stall, clock, log } = parts;
    let frames = Arc::new(Exchange::new((0..FRAME_SLOTS).map(|_| FrameSlot::default())));
    let outcomes = Arc::new(Exchange::new((0..OUTCOME_SLOTS).map(|_| Outcome::default())));
    let stop = Arc::new(AtomicBool::new(false));
    let (progress, latencies) = (Arc::new(Progress::default()), Arc::new(Mutex::new(Latencies::default())));
    let pins = SharedPins::new(pins);
    let capture = Capture {
        source,
        frames: frames.clone(),
        keep_all,
        counts_passed: trigger.is_none(),
        progress: progress.clone(),
        stop: stop.clone(),
        log,
    };
    let infer = Infer {
        step,
        pins: pins.clone(),
        trigger,
        frames,
        outcomes: outcomes.clone(),
        keep_all,
        stall,
        progress: progress.clone(),
        latencies: latencies.clone(),
        stop: stop.clone(),
        clock,
        log,
    };
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let threads = Threads {
        deliver: thread("outputs").spawn(move || deliver(&outcomes, sinks, log))?,
        infer: thread("inference").spawn(move || infer.run())?,
        capture: thread("capture").spawn(move || capture.run())?,
    };
    Ok(Running { threads: Some(threads), stop, pins, progress, latencies })
}

fn deliver(outcomes: &Exchange<Outcome>, mut sinks: Vec<Box<dyn Sink>>, log: Log) {
    const PATIENCE: Duration = Duration::from_secs(1);
    loop {
        match outcomes.next(PATIENCE) {
            Some(lent) => {
                for sink in &mut sinks {
                    sink.deliver(&mut outcomes.open(&lent), log);
                }
                outcomes.give_back(lent);
            }
            None if outcomes.is_over() => return,
            None => {}
        }
    }
}

impl Running {
    /// How far it has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// How long its stages took so far.
    pub fn latencies(&self) -> Latencies {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is nothing left to do: all is written, or the thread that writes has fallen.
    pub fn is_finished(&self) -> bool {
        self.threads.as_ref().is_none_or(|threads| threads.deliver.is_finished())
    }

    /// Ends it: the frame that is being seen and what is being written are finished, the pins are made safe. Threads that do
    /// not end within `patience` are left to the end of the process. A second time nothing is left to end.
    pub fn stop(&mut self, patience: Duration) -> (Ended, Result<(), PinsError>) {
        let until = Instant::now() + patience;
        self.stop.store(true, Ordering::Relaxed);
        let Some(Threads { capture, infer, deliver }) = self.threads.take() else { return (Ended::Well, Ok(())) };
        // Half of the time is for the last frame, whose rules may still change a pin.
        wait(&infer, Instant::now() + patience / 2);
        let pins = self.pins.make_safe();
        wait(&deliver, until);
        wait(&capture, until);
        // A source that does not come back is no fault of the program's, and the process is about to end.
        let captured = if capture.is_finished() { capture.join() } else { Ok(Ok(())) };
        let fell = |thread: JoinHandle<()>| thread.is_finished() && thread.join().is_err();
        let ended = match (captured, fell(infer), fell(deliver)) {
            (Err(_), ..) => Ended::Fault("the thread that takes frames panicked"),
            (_, true, _) => Ended::Fault("the thread that sees frames panicked"),
            (.., true) => Ended::Fault("the thread that writes outputs panicked"),
            (Ok(Err(error)), ..) => Ended::Source(error),
            (Ok(Ok(())), ..) => Ended::Well,
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
