//! A source that comes back: what it is made of is opened again, with growing pauses, whenever it is lost.

use std::time::Duration;

use super::{Arrival, FrameSlot, FrameSource, SourceError, SourceSpec};
use crate::clock::{Clock, SystemClock};
use unet_engine::error::Kind;

/// The first pause, which each failure doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause: a camera that is back gives frames within this and the time that opening takes.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Told once each time that it happens, however many attempts lie between.
#[derive(Debug)]
pub enum Change {
    /// There are no frames any more, for this reason; it is being opened again.
    Lost(SourceError),
    /// There are frames again.
    Back {
        /// What it is now: a camera that comes back may give something else.
        description: String,
        /// How long there were none.
        away: Duration,
        /// How often it was opened.
        attempts: u32,
    },
}

type Open = Box<dyn FnMut() -> Result<Box<dyn FrameSource>, SourceError> + Send>;
type Tell = Box<dyn FnMut(Change) + Send>;

/// Frames of whatever `open` opens. Errors that ask to try again never reach the caller, who sees [`Arrival::Nothing`]
/// meanwhile; lost frames, fatal errors and the end do. Sequence numbers grow over all of it.
pub struct Reopening<C> {
    name: String,
    open: Open,
    tell: Tell,
    clock: C,
    stall: Option<Duration>,
    source: Option<Box<dyn FrameSource>>,
    // Added to the source's own numbers.
    offset: u64,
    next_sequence: u64,
    fresh: bool,
    // When the last frame came, or the source was opened.
    heard: Duration,
    lost: Option<Lost>,
}

/// A time without frames.
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
    /// Of what a configuration says. It is opened at the first call for a frame; so one that is away at the start is
    /// told as lost, like any other. Without a good frame for `stall` it counts as lost too.
    pub fn new(spec: SourceSpec, stall: Option<Duration>, tell: impl FnMut(Change) + Send + 'static) -> Self {
        let name = spec.name();
        Reopening::with(name, move || spec.open(), stall, tell, SystemClock)
    }
}

impl<C: Clock> Reopening<C> {
    /// Of anything that can be opened, and with any clock.
    pub fn with(
        name: impl Into<String>,
        open: impl FnMut() -> Result<Box<dyn FrameSource>, SourceError> + Send + 'static,
        stall: Option<Duration>,
        tell: impl FnMut(Change) + Send + 'static,
        clock: C,
    ) -> Self {
        Reopening {
            name: name.into(),
            open: Box::new(open),
            tell: Box::new(tell),
            clock,
            stall,
            source: None,
            offset: 0,
            next_sequence: 0,
            fresh: true,
            heard: Duration::ZERO,
            lost: None,
        }
    }

    /// Goes on with a source that is open already.
    #[must_use]
    pub fn with_open(mut self, source: Box<dyn FrameSource>) -> Self {
        self.heard = self.clock.now();
        self.source = Some(source);
        self
    }

    /// Whether there is a source, or one is being waited for.
    pub fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Closes the source, if it is open, and sets the time of the next attempt.
    fn lose(&mut self, error: SourceError) {
        // First, as its device may have to be free to be opened again.
        self.source = None;
        let now = self.clock.now();
        let first = self.lost.is_none();
        let lost = self.lost.get_or_insert(Lost { since: now, pause: PAUSE_MIN, due: now + PAUSE_MIN, attempts: 0 });
        if first {
            (self.tell)(Change::Lost(error));
        } else {
            lost.pause = (lost.pause * 2).min(PAUSE_MAX);
            lost.due = now + lost.pause;
        }
    }

    /// Opens the source if its time has come before `deadline`; whether it is open.
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
                self.heard = self.clock.now();
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
        // The frames that were lost while it was away cannot be counted; one gap stands for them.
        if self.fresh {
            self.offset = self.next_sequence.saturating_sub(slot.sequence);
            self.fresh = false;
        }
        slot.sequence = slot.sequence.saturating_add(self.offset);
        self.next_sequence = slot.sequence.saturating_add(1);
        self.heard = self.clock.now();
        if let (Some(lost), Some(source)) = (self.lost.take(), &self.source) {
            let away = self.heard.saturating_sub(lost.since);
            (self.tell)(Change::Back { description: source.describe(), away, attempts: lost.attempts });
        }
    }

    /// Loses a source that has given nothing for too long.
    fn check_stall(&mut self) {
        let Some(stall) = self.stall else { return };
        if self.clock.now().saturating_sub(self.heard) >= stall {
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
            Ok(Arrival::End) => Ok(Arrival::End),
            Err(error) if error.kind() == Kind::Retry => {
                self.lose(error);
                Ok(Arrival::Nothing)
            }
            Err(error) => {
                // A camera that sends nothing but broken frames is as good as one that sends none.
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
