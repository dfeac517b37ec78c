//! Replaying frames at a fixed rate.

use std::time::Duration;

use crate::clock::Clock;

/// Releases frames at a rate, or immediately without one. A late frame delays the following ones: missed frames are not made
/// up for in a burst.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Option<Duration>,
    due: Duration,
}

impl Pace {
    pub(super) fn new(interval: Option<Duration>) -> Self {
        Pace { interval, due: Duration::ZERO }
    }

    /// Waits until the next frame is due, but at most `patience`; returns whether it is due.
    pub(super) fn wait(&mut self, clock: &impl Clock, patience: Duration) -> bool {
        let Some(interval) = self.interval else { return true };
        let now = clock.now();
        let left = self.due.saturating_sub(now);
        if left > patience {
            clock.sleep(patience);
            return false;
        }
        if !left.is_zero() {
            clock.sleep(left);
        }
        self.due = self.due.max(now) + interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::tests::ManualClock;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn frames_keep_their_rate_and_late_ones_are_not_made_up_for() {
        let clock = ManualClock::at(MS(1000));
        let mut pace = Pace::new(Some(MS(100)));
        assert!(pace.wait(&clock, MS(30)) && clock.now() == MS(1000));
        // Due at 1100.
        assert!(!pace.wait(&clock, MS(30)) && clock.now() == MS(1030));
        assert!(pace.wait(&clock, MS(500)) && clock.now() == MS(1100));
        // Due at 1200, but asked for at 1450: the next one is due at 1550.
        clock.advance(MS(350));
        assert!(pace.wait(&clock, MS(500)) && clock.now() == MS(1450));
        assert!(pace.wait(&clock, MS(500)) && clock.now() == MS(1550));
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let clock = ManualClock::default();
        let mut pace = Pace::new(None);
        assert!(pace.wait(&clock, Duration::ZERO) && pace.wait(&clock, Duration::ZERO));
        assert_eq!(clock.now(), Duration::ZERO);
    }
}
