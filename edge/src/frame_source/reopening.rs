//! A source that is reopened whenever it is lost, with increasing pauses.

use std::sync::Arc;
use std::time::Duration;

use super::spec::{Reopen, SourceSpec};
use super::{Arrival, FrameSlot, FrameSource, Kind, SourceError};
use crate::clock::{Clock, SystemClock};

/// The first pause; each failure doubles it.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause: a camera that is plugged in again delivers frames within this time and the time to open it.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Reported once per change, however many attempts it takes.
#[derive(Debug)]
pub enum Change {
    /// The source was lost for this reason, and is being reopened.
    Lost(SourceError),
    /// Frames arrive again.
    Back {
        /// Its description, which may have changed.
        description: String,
        /// How long it was lost.
        away: Duration,
        /// How often it was reopened.
        attempts: u32,
    },
}

type Open = Box<dyn FnMut() -> Result<Box<dyn FrameSource>, SourceError> + Send>;
type Report = Box<dyn FnMut(Change) + Send>;

/// The frames of a source that is opened again and again. While it is lost, the caller sees [`Arrival::Nothing`]; skipped frames
/// and fatal errors are passed on. Frame numbers keep increasing.
pub struct Reopening<C> {
    name: String,
    open: Open,
    report: Report,
    clock: C,
    stall: Option<Duration>,
    reopen: Reopen,
    source: Option<Box<dyn FrameSource>>,
    // Added to the frame numbers of the source.
    offset: u64,
    next_sequence: u64,
    fresh: bool,
    // When the last frame arrived, or the source was opened.
    last_frame: Duration,
    lost: Option<Lost>,
}

/// Since when, and when the next attempt is due.
#[derive(Debug)]
struct Lost {
    since: Duration,
    pause: Duration,
    due: Duration,
    attempts: u32,
}

impl<C> std::fmt::Debug for Reopening<C> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reopening").field("name", &self.name).field("lost", &self.lost).finish_non_exhaustive()
    }
}

impl Reopening<SystemClock> {
    /// A configured source, which is opened by the first call for a frame. Without a good frame for `stall` it counts as lost.
    pub fn new(
        spec: Arc<dyn SourceSpec>,
        stall: Option<Duration>,
        report: impl FnMut(Change) + Send + 'static,
    ) -> Self {
        let (name, reopen) = (spec.name(), spec.policy().reopen);
        Reopening::with(name, reopen, move || spec.open(), stall, report, SystemClock)
    }
}

impl<C: Clock> Reopening<C> {
    /// Anything that can be opened, with any clock.
    fn with(
        name: impl Into<String>,
        reopen: Reopen,
        open: impl FnMut() -> Result<Box<dyn FrameSource>, SourceError> + Send + 'static,
        stall: Option<Duration>,
        report: impl FnMut(Change) + Send + 'static,
        clock: C,
    ) -> Self {
        Reopening {
            name: name.into(),
            open: Box::new(open),
            report: Box::new(report),
            clock,
            stall,
            reopen,
            source: None,
            offset: 0,
            next_sequence: 0,
            fresh: true,
            last_frame: Duration::ZERO,
            lost: None,
        }
    }

    /// Starts with a source that is already open.
    #[must_use]
    pub fn with_open(mut self, source: Box<dyn FrameSource>) -> Self {
        self.last_frame = self.clock.now();
        self.source = Some(source);
        self
    }

    /// Starts with a source that could not be opened, which the caller has reported.
    #[must_use]
    pub fn waiting(mut self) -> Self {
        let now = self.clock.now();
        self.lost = Some(Lost { since: now, pause: PAUSE_MIN, due: now + PAUSE_MIN, attempts: 0 });
        self
    }

    /// Closes the source, if it is open, and sets the time of the next attempt.
    fn lose(&mut self, error: SourceError) {
        // First, since its device may have to be closed before it can be reopened.
        self.source = None;
        let now = self.clock.now();
        let first = self.lost.is_none();
        let lost = self.lost.get_or_insert(Lost { since: now, pause: PAUSE_MIN, due: now + PAUSE_MIN, attempts: 0 });
        if first {
            (self.report)(Change::Lost(error));
        } else {
            lost.pause = (lost.pause * 2).min(PAUSE_MAX);
            lost.due = now + lost.pause;
        }
    }

    /// Opens the source if that is due before `deadline`; returns whether it is open.
    fn ready(&mut self, deadline: Duration) -> Result<bool, SourceError> {
        if self.source.is_some() {
            return Ok(true);
        }
        if let Some(lost) = &mut self.lost {
            let now = self.clock.now();
            if lost.due > deadline {
                self.clock.sleep(deadline.saturating_sub(now));
                return Ok(false);
            }
            self.clock.sleep(lost.due.saturating_sub(now));
            lost.attempts += 1;
        }
        match (self.open)() {
            Ok(source) => {
                self.source = Some(source);
                self.last_frame = self.clock.now();
                self.fresh = true;
                Ok(true)
            }
            Err(error) if error.kind() == Kind::Fatal => Err(error),
            Err(error) => {
                self.lose(error);
                Ok(false)
            }
        }
    }

    fn arrived(&mut self, slot: &mut FrameSlot) {
        // The frames lost in between cannot be counted; numbers continue without a gap.
        if self.fresh {
            self.offset = self.next_sequence.saturating_sub(slot.sequence);
            self.fresh = false;
        }
        slot.sequence = slot.sequence.saturating_add(self.offset);
        self.next_sequence = slot.sequence.saturating_add(1);
        self.last_frame = self.clock.now();
        if let (Some(lost), Some(source)) = (self.lost.take(), &self.source) {
            let away = self.last_frame.saturating_sub(lost.since);
            (self.report)(Change::Back { description: source.describe(), away, attempts: lost.attempts });
        }
    }

    /// Closes a source that has delivered nothing for too long.
    fn check_stall(&mut self) {
        let Some(stall) = self.stall else { return };
        if self.clock.now().saturating_sub(self.last_frame) >= stall {
            let problem = format!("expected a frame within {} s, found none", stall.as_secs_f64());
            self.lose(SourceError::new(&self.name, Kind::Retry, problem, None));
        }
    }
}

impl<C: Clock> FrameSource for Reopening<C> {
    fn describe(&self) -> String {
        match &self.source {
            Some(source) => source.describe(),
            None => self.name.clone(),
        }
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, patience: Duration) -> Result<Arrival, SourceError> {
        let deadline = self.clock.now() + patience;
        if !self.ready(deadline)? {
            return Ok(Arrival::Nothing);
        }
        let left = deadline.saturating_sub(self.clock.now());
        let Some(source) = &mut self.source else { return Ok(Arrival::Nothing) };
        match source.next_frame(slot, left) {
            Ok(Arrival::Frame) => {
                self.arrived(slot);
                Ok(Arrival::Frame)
            }
            Ok(Arrival::Nothing) => {
                self.check_stall();
                Ok(Arrival::Nothing)
            }
            Ok(Arrival::End) if self.reopen == Reopen::AfterErrorOrEnd => {
                self.lose(SourceError::new(&self.name, Kind::Retry, "expected another frame, found the end", None));
                Ok(Arrival::Nothing)
            }
            Ok(Arrival::End) => Ok(Arrival::End),
            Err(error) if error.kind() == Kind::Retry => {
                self.lose(error);
                Ok(Arrival::Nothing)
            }
            Err(error) => {
                // A camera that only sends broken frames counts as lost.
                if error.kind() == Kind::SkipFrame {
                    self.check_stall();
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
