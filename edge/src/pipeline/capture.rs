//! The thread that takes frames from the source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::PATIENCE;
use super::progress::Progress;
use super::queue::Queue;
use super::slots::{Lent, Pool};
use crate::frame_source::{Arrival, FrameSlot, FrameSource, Kind, SourceError};
use crate::telemetry::log::{Log, LogLevel};
use unet_engine::error::chain;

/// The capture thread.
pub(super) struct Capture {
    pub(super) source: Box<dyn FrameSource>,
    pub(super) slots: Pool<FrameSlot>,
    pub(super) frames: Arc<Queue<Lent<FrameSlot>>>,
    /// Whether frames that arrive while the pipeline is busy replace older ones; else the source waits.
    pub(super) live: bool,
    /// Whether a replaced frame counts as dropped; with a trigger it does not.
    pub(super) counts_replaced: bool,
    pub(super) progress: Arc<Progress>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) log: Log,
}

impl Drop for Capture {
    /// Ends the inference thread, also on a panic.
    fn drop(&mut self) {
        self.frames.close();
    }
}

impl Capture {
    /// Runs until the source or the program ends.
    pub(super) fn run(mut self) -> Result<(), SourceError> {
        let mut held: Option<Lent<FrameSlot>> = None;
        let mut last: Option<u64> = None;
        // Frames since the last one that arrived damaged, hence counted already.
        let mut failed = 0;
        let described = self.source.describe();
        while !self.stop.load(Ordering::Relaxed) {
            let Some(mut lent) = held.take().or_else(|| self.slot()) else { continue };
            let arrived = self.source.next_frame(&mut lent.write(), PATIENCE);
            match arrived {
                Ok(Arrival::Frame) => {
                    let sequence = lent.read().sequence;
                    // A source that starts over counts from 0 again.
                    let missing = last.map_or(0, |last| sequence.saturating_sub(last.saturating_add(1)));
                    let lost = missing.saturating_sub(std::mem::take(&mut failed));
                    if last.is_none() {
                        // A stream has told its format, range and matrix by now.
                        let now = self.source.describe();
                        if now != described {
                            self.log.say(LogLevel::Info, format_args!("source {now}"));
                        }
                    }
                    last = Some(sequence);
                    self.progress.count_captured(lost);
                    // There is room for every slot.
                    let _ = self.frames.push(lent);
                }
                Ok(Arrival::Nothing) => held = Some(lent),
                Ok(Arrival::End) => return Ok(()),
                Err(error) => {
                    held = Some(lent);
                    match error.kind() {
                        Kind::SkipFrame => {
                            self.progress.count_unreadable();
                            failed += 1;
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

    fn slot(&self) -> Option<Lent<FrameSlot>> {
        if !self.live {
            return self.slots.lend_within(PATIENCE);
        }
        self.slots.lend().or_else(|| {
            let oldest = self.frames.pop(Duration::ZERO)?;
            if self.counts_replaced {
                self.progress.count_busy(1);
            }
            Some(oldest)
        })
    }
}
