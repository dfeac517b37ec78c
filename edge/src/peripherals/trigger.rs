//! An input whose rising edge asks for a frame.

use std::time::Duration;

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::InputPin;

/// Something that asks for frames.
pub trait Trigger {
    /// What can go wrong.
    type Error;

    /// Waits for a rising edge, not much longer than `patience`. Several edges since the last call are one.
    ///
    /// # Errors
    ///
    /// When the input cannot be read.
    fn wait(&mut self, patience: Duration) -> Result<bool, Self::Error>;
}

/// Finds rising edges in samples of a line that bounces: a level counts once it was seen so many times in a row. A line that
/// is high from the start has no edge.
#[derive(Debug, Clone, Copy)]
pub struct EdgeFilter {
    samples: u32,
    level: Option<bool>,
    against: u32,
}

impl EdgeFilter {
    /// With the number of samples that make a level; 0 is taken as 1.
    pub fn new(samples: u32) -> Self {
        EdgeFilter { samples: samples.max(1), level: None, against: 0 }
    }

    /// Takes a sample in, and says whether it completes a rising edge.
    pub fn sample(&mut self, high: bool) -> bool {
        let Some(level) = self.level else {
            self.level = Some(high);
            return false;
        };
        self.against = if high == level { 0 } else { self.against + 1 };
        if self.against < self.samples {
            return false;
        }
        (self.level, self.against) = (Some(high), 0);
        high
    }
}

/// A trigger on any input pin, looked at again and again.
#[derive(Debug)]
pub struct PolledTrigger<P, D> {
    pin: P,
    delay: D,
    interval: Duration,
    filter: EdgeFilter,
}

impl<P: InputPin, D: DelayNs> PolledTrigger<P, D> {
    /// Looks at the pin each `interval`, at least a microsecond; see [`EdgeFilter`] for `samples`.
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
            // A pause longer than a u32 of microseconds is over an hour.
            self.delay.delay_us(u32::try_from(self.interval.as_micros()).unwrap_or(u32::MAX));
            waited += self.interval;
        }
    }
}
