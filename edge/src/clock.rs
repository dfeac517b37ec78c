//! The time, behind one trait, so that tests do not have to wait.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads the time and waits.
pub trait Clock: Send + Sync {
    /// The system's monotonic clock, which also stamps camera frames and pin events. Never goes back.
    fn now(&self) -> Duration;

    /// Time since 1970; zero if the system's clock is set to an earlier date.
    fn since_1970(&self) -> Duration;

    /// Waits for `duration`.
    fn sleep(&self, duration: Duration);
}

/// The system's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        #[cfg(target_os = "linux")]
        {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            // The monotonic clock never reads less than zero.
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

    fn since_1970(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A clock that advances on request, when it sleeps, and by `tick` at each reading.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct ManualClock {
        now: Arc<Mutex<Duration>>,
        tick: Duration,
    }

    impl ManualClock {
        pub(crate) fn at(now: Duration) -> Self {
            ManualClock { now: Arc::new(Mutex::new(now)), tick: Duration::ZERO }
        }

        pub(crate) fn ticking(tick: Duration) -> Self {
            ManualClock { tick, ..ManualClock::default() }
        }

        pub(crate) fn advance(&self, duration: Duration) {
            *self.now.lock().unwrap() += duration;
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> Duration {
            let mut now = self.now.lock().unwrap();
            let read = *now;
            *now += self.tick;
            read
        }

        fn since_1970(&self) -> Duration {
            Duration::from_secs(5)
        }

        fn sleep(&self, duration: Duration) {
            self.advance(duration);
        }
    }

    #[test]
    fn the_system_clock_advances_while_it_sleeps() {
        let before = SystemClock.now();
        SystemClock.sleep(Duration::from_millis(2));
        assert!(SystemClock.now() >= before + Duration::from_millis(2));
    }
}
