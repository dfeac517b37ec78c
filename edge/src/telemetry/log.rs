//! The log: lines on standard error, filtered by level.

use std::fmt::Arguments;

use unet_engine::error::say;

/// The log level, `[log]` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// Ends the program or loses data.
    Error,
    /// The program goes on, but something needs attention.
    Warning,
    /// Occasional events.
    #[default]
    Info,
    /// Events of every frame.
    Debug,
}

impl LogLevel {
    /// All levels, the quietest first.
    pub const ALL: [LogLevel; 4] = [LogLevel::Error, LogLevel::Warning, LogLevel::Info, LogLevel::Debug];

    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warning => "warning",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        }
    }
}

/// Writes log lines.
#[derive(Debug, Clone, Copy)]
pub struct Log(Option<LogLevel>);

impl Log {
    /// Writes lines of this level and of more severe ones.
    pub fn new(level: LogLevel) -> Self {
        Log(Some(level))
    }

    /// Writes nothing.
    pub const fn none() -> Self {
        Log(None)
    }

    /// Writes a line, prefixed with its level.
    pub fn say(self, level: LogLevel, line: Arguments<'_>) {
        if self.0.is_some_and(|max| level <= max) {
            say(format_args!("{}: {line}", level.name()));
        }
    }
}

/// Reports a repeating failure once: the first error after a success is logged, the following ones are not.
#[derive(Debug, Default)]
pub struct Failing(bool);

impl Failing {
    /// Notes a success.
    pub fn succeed(&mut self) {
        self.0 = false;
    }

    /// Takes a result; an error is passed to `report` if the one before was a success.
    pub fn check<E>(&mut self, result: Result<(), E>, report: impl FnOnce(E)) {
        match result {
            Ok(()) => self.succeed(),
            Err(error) => {
                if !std::mem::replace(&mut self.0, true) {
                    report(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeating_failure_is_reported_once() {
        let mut failing = Failing::default();
        let mut reported = Vec::new();
        for result in [Err(1), Err(2), Ok(()), Err(3), Err(4)] {
            failing.check(result, |error: i32| reported.push(error));
        }
        assert_eq!(reported, [1, 3]);
    }
}
