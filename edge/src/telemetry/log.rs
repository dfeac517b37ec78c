//! Lines for a person, on standard error, as many as the configuration asks for.

use std::fmt::Arguments;

use crate::config::LogLevel;
use unet_engine::error::say;

/// Says what is worth it.
#[derive(Debug, Clone, Copy)]
pub struct Log(Option<LogLevel>);

impl Log {
    /// Says lines of this level and of more urgent ones.
    pub fn new(level: LogLevel) -> Self {
        Log(Some(level))
    }

    /// Says nothing.
    pub const fn none() -> Self {
        Log(None)
    }

    /// Says a line, with the level at its head.
    pub fn say(self, level: LogLevel, line: Arguments<'_>) {
        if self.0.is_some_and(|wanted| level <= wanted) {
            say(format_args!("{}: {line}", level.name()));
        }
    }
}
