//! One light that tells from afar how the program is.

use std::time::Duration;

use embedded_hal::digital::OutputPin;

use super::{SafePin, SafeState};

/// What the light shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// On and off each half second.
    Starting,
    /// On, with a short gap every two seconds: a program that hangs leaves a light without gaps.
    Running,
    /// Two short flashes every two seconds.
    NoCamera,
    /// Fast flicker.
    Fault,
}

impl Pattern {
    /// Whether the light is on at a time, counted from any point.
    pub fn is_lit(self, at: Duration) -> bool {
        let milliseconds = at.as_millis();
        match self {
            Pattern::Starting => milliseconds % 1000 < 500,
            Pattern::Running => milliseconds % 2000 < 1800,
            Pattern::NoCamera => matches!(milliseconds % 2000, 0..150 | 300..450),
            Pattern::Fault => milliseconds % 200 < 100,
        }
    }

    /// How often [`StatusLed::update`] has to be called at least for the pattern to be seen.
    pub const UPDATE: Duration = Duration::from_millis(50);
}

/// The light. Goes out when it is dropped, unless its safe state is another.
#[derive(Debug)]
pub struct StatusLed<P: OutputPin> {
    pin: SafePin<P>,
}

impl<P: OutputPin> StatusLed<P> {
    /// Writes nothing yet.
    pub fn new(pin: P, safe: SafeState) -> Self {
        StatusLed { pin: SafePin::new(pin, safe) }
    }

    /// Shows the pattern as it is at this time; writes only what changes.
    ///
    /// # Errors
    ///
    /// When the pin cannot be written.
    pub fn update(&mut self, pattern: Pattern, now: Duration) -> Result<(), P::Error> {
        self.pin.set(pattern.is_lit(now))
    }

    /// Puts the pin into its safe state.
    ///
    /// # Errors
    ///
    /// When the pin cannot be written.
    pub fn make_safe(&mut self) -> Result<(), P::Error> {
        self.pin.make_safe()
    }
}
