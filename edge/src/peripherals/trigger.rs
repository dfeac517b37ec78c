//! An input whose rising edge requests a frame.

use std::time::Duration;

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::InputPin;

/// Requests frames.
pub trait Trigger {
    /// The error.
    type Error;

    /// Waits for a rising edge, not much longer than `patience`. Several edges since the last call count as one.
    ///
    /// # Errors
    ///
    /// If the input cannot be read.
    fn wait(&mut self, patience: Duration) -> Result<bool, Self::Error>;
}

/// Debounces samples: a level counts after a number of equal samples in a row. A line that is high from the start has no edge.
#[derive(Debug, Clone, Copy)]
pub struct EdgeFilter {
    samples: u32,
    level: Option<bool>,
    differing: u32,
}

impl EdgeFilter {
    /// With the number of samples that establish a level; 0 counts as 1.
    pub fn new(samples: u32) -> Self {
        EdgeFilter { samples: samples.max(1), level: None, differing: 0 }
    }

    /// Takes a sample; returns whether it completes a rising edge.
    pub fn sample(&mut self, high: bool) -> bool {
        let Some(level) = self.level else {
            self.level = Some(high);
            return false;
        };
        self.differing = if high == level { 0 } else { self.differing + 1 };
        if self.differing < self.samples {
            return false;
        }
        (self.level, self.differing) = (Some(high), 0);
        high
    }
}

/// A trigger that polls an input pin.
#[derive(Debug)]
pub struct PolledTrigger<P, D> {
    pin: P,
    delay: D,
    interval: Duration,
    filter: EdgeFilter,
}

impl<P: InputPin, D: DelayNs> PolledTrigger<P, D> {
    /// Samples the pin at an interval of at least a microsecond; see [`EdgeFilter`] for `samples`.
    pub fn new(pin: P, delay: D, interval: Duration, samples: u32) -> Self {
        let interval = interval.max(Duration::from_micros(1));
        PolledTrigger { pin, delay, interval, filter: EdgeFilter::new(samples) }
    }
}

impl<P: InputPin, D: DelayNs> Trigger for PolledTrigger<P, D> {
    type Error = P::Error;

    fn wait(&mut self, patience: Duration) -> Result<bool, P::Error> {
        let mut waited = Duration::ZERO;
        loop {
            if self.filter.sample(self.pin.is_high()?) {
                return Ok(true);
            }
            if waited >= patience {
                return Ok(false);
            }
            // A u32 of microseconds is more than an hour.
            self.delay.delay_us(u32::try_from(self.interval.as_micros()).unwrap_or(u32::MAX));
            waited += self.interval;
        }
    }
}
