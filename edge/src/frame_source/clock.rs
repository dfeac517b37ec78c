//! The clock of the sources, and how those that are not bound to a camera keep a rate.

use std::time::Duration;

/// The system's monotonic clock, the one that cameras and pins stamp with. Where there is none to be asked, the time since
/// the first call.
pub fn monotonic() -> Duration {
    #[cfg(target_os = "linux")]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        // The monotonic clock is never before its own start.
        Duration::new(now.tv_sec.max(0).unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
    }
    #[cfg(not(target_os = "linux"))]
    {
        use std::sync::OnceLock;
        use std::time::Instant;
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// A clock that can be waited on; in tests one that stands still until it is told.
pub trait Clock: Send {
    /// The time now; never earlier than before.
    fn now(&self) -> Duration;
    /// Waits so long.
    fn sleep(&mut self, duration: Duration);
}

/// [`monotonic`], and waiting that takes time.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        monotonic()
    }

    fn sleep(&mut self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Lets frames go at a rate, or as they come where there is none. A frame that comes late moves the ones after it: what was
/// missed is not made up for in a burst.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Option<Duration>,
    due: Duration,
}

impl Pace {
    pub(super) fn new(interval: Option<Duration>) -> Self {
        Pace { interval, due: Duration::ZERO }
    }

    /// Waits for the next frame's time, but no longer than `patience`; whether it has come.
    pub(super) fn wait(&mut self, clock: &mut impl Clock, patience: Duration) -> bool {
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
pub(super) mod tests {
    use super::*;

    /// A clock that moves when it is slept on.
    #[derive(Debug, Clone, Copy, Default)]
    pub(in crate::frame_source) struct StillClock(pub(in crate::frame_source) Duration);

    impl Clock for StillClock {
        fn now(&self) -> Duration {
            self.0
        }

        fn sleep(&mut self, duration: Duration) {
            self.0 += duration;
        }
    }

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn frames_go_at_their_rate_and_late_ones_are_not_made_up_for() {
        let mut clock = StillClock(MS(1000));
        let mut pace = Pace::new(Some(MS(100)));
        assert!(pace.wait(&mut clock, MS(30)) && clock.0 == MS(1000));
        // Due at 1100.
        assert!(!pace.wait(&mut clock, MS(30)) && clock.0 == MS(1030));
        assert!(pace.wait(&mut clock, MS(500)) && clock.0 == MS(1100));
        // Due at 1200, but asked for at 1450: the next one is due at 1550.
        clock.0 = MS(1450);
        assert!(pace.wait(&mut clock, MS(500)) && clock.0 == MS(1450));
        assert!(pace.wait(&mut clock, MS(500)) && clock.0 == MS(1550));
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut clock = StillClock::default();
        let mut pace = Pace::new(None);
        assert!(pace.wait(&mut clock, Duration::ZERO) && pace.wait(&mut clock, Duration::ZERO));
        assert_eq!(clock.0, Duration::ZERO);
    }

    #[test]
    fn the_systems_clock_goes_on() {
        let before = monotonic();
        SystemClock.sleep(MS(2));
        assert!(SystemClock.now() >= before + MS(2));
    }
}
