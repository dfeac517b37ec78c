//! The thread that takes frames from the source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::exchange::{Exchange, Lent};
use super::progress::Progress;
use crate::config::LogLevel;
use crate::frame_source::{Arrival, FrameSlot, FrameSource, SourceError};
use crate::telemetry::log::Log;
use unet_engine::error::{Kind, chain};

/// How long is waited for a frame before it is looked whether the program is to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// What the thread needs.
pub(super) struct Capture {
    pub(super) source: Box<dyn FrameSource>,
    pub(super) frames: Arc<Exchange<FrameSlot>>,
    /// Whether the source waits until its frames are seen, as files do; else the newest wins.
    pub(super) keep_all: bool,
    /// Whether a frame that nobody saw is a loss; where frames are asked for it is none.
    pub(super) counts_passed: bool,
    pub(super) progress: Arc<Progress>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) log: Log,
}

impl Capture {
    /// Until the source ends, or the program.
    pub(super) fn run(mut self) -> Result<(), SourceError> {
        let result = self.capture();
        self.frames.close();
        result
    }

    fn capture(&mut self) -> Result<(), SourceError> {
        let mut held: Option<Lent> = None;
        let mut last: Option<u64> = None;
        while !self.stop.load(Ordering::Relaxed) {
            let Some(lent) = held.take().or_else(|| self.slot()) else { continue };
            let arrived = self.source.next_frame(&mut self.frames.open(&lent), PATIENCE);
            match arrived {
                Ok(Arrival::Frame) => {
                    let sequence = self.frames.open(&lent).sequence;
                    // A source that was opened again counts anew.
                    let lost = last.map_or(0, |last| sequence.saturating_sub(last.saturating_add(1)));
                    last = Some(sequence);
                    self.progress.count_captured(lost);
                    self.frames.fill(lent);
                }
                Ok(Arrival::Nothing) => held = Some(lent),
                Ok(Arrival::End) => return Ok(()),
                Err(error) => {
                    held = Some(lent);
                    match error.kind() {
                        Kind::SkipFrame => {
                            self.progress.count_failed();
                            self.log.say(LogLevel::Warning, format_args!("{}", chain(&error)));
                        }
                        Kind::Retry => {
                            self.log.say(LogLevel::Warning, format_args!("{}", chain(&error)));
                            std::thread::sleep(PATIENCE);
                        }
                        Kind::Fatal => return Err(error),
                    }
                }
            }
        }
        Ok(())
    }

    fn slot(&self) -> Option<Lent> {
        if self.keep_all {
            return self.frames.wait_free(PATIENCE);
        }
        self.frames.free().or_else(|| {
            let oldest = self.frames.oldest()?;
            if self.counts_passed {
                self.progress.count_busy(1);
            }
            Some(oldest)
        })
    }
}
