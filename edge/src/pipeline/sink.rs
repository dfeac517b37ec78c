//! Where outcomes go. Each output is a sink; a network output or a live page will be another one.

use super::outcome::Outcome;
use crate::config::LogLevel;
use crate::outputs::Stored;
use crate::telemetry::log::Log;

/// Takes outcomes, one after the other, on a thread on which time is no matter.
pub trait Sink: Send {
    /// Takes one. What goes wrong costs this outcome alone, and is said here.
    fn deliver(&mut self, outcome: &mut Outcome, log: Log);
}

/// Says what became of a file, where that is worth a word.
pub(super) fn tell(stored: Stored, name: &str, log: Log) {
    match stored {
        Stored::Failed(error) => {
            log.say(LogLevel::Error, format_args!("{name}: could not write, and will try on: {error}"));
        }
        Stored::Resumed => log.say(LogLevel::Warning, format_args!("{name}: files are written again")),
        Stored::Written | Stored::Skipped | Stored::StillFailing => {}
    }
}
