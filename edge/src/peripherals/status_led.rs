//! A status LED.

use std::time::Duration;

use embedded_hal::digital::OutputPin;

use super::{SafePin, SafeState};

/// What the LED shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// On and off every half second.
    Starting,
    /// On, with a short gap every two seconds, which is missing if the program hangs.
    Running,
    /// Two short flashes every two seconds.
    NoCamera,
    /// Fast flashing.
    Fault,
}

impl Pattern {
    /// Whether the LED is on at a time, counted from any point.
    pub fn is_lit(self, at: Duration) -> bool {
        let milliseconds = at.as_millis();
        match self {
            Pattern::Starting => milliseconds % 1000 < 500,
            Pattern::Running => milliseconds % 2000 < 1800,
            Pattern::NoCamera => matches!(milliseconds % 2000, 0..150 | 300..450),
            Pattern::Fault => milliseconds % 200 < 100,
        }
    }

    /// The longest time between calls of [`StatusLed::update`].
    pub const UPDATE: Duration = Duration::from_millis(50);
}

/// The LED. It takes its safe state on drop.
#[derive(Debug)]
pub struct StatusLed<P: OutputPin> {
    pin: SafePin<P>,
}

impl<P: OutputPin> StatusLed<P> {
    /// Writes nothing yet.
    pub fn new(pin: P, safe: SafeState) -> Self {
        StatusLed { pin: SafePin::new(pin, safe) }
    }

    /// Shows the pattern at this time; writes only changes.
    ///
    /// # Errors
    ///
    /// If the pin cannot be written.
    pub fn update(&mut self, pattern: Pattern, now: Duration) -> Result<(), P::Error> {
        self.pin.set(pattern.is_lit(now))
    }

    /// Puts the pin into its safe state.
    ///
    /// # Errors
    ///
    /// If the pin cannot be written.
    pub fn make_safe(&mut self) -> Result<(), P::Error> {
        self.pin.make_safe()
    }
}
