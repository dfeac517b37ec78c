//! Whether a pipeline makes progress: what the service manager's watchdog and the status LED are told. Slow is not hung: a source
//! may pause as long as `stall_seconds`, and a frame may take several times as long as the slowest one so far. A gap between
//! two calls counts as at most `LOOK_MAX`: the machine was suspended or overloaded, so the watched threads did not run either.

use std::time::Duration;

/// How much longer than the slowest frame so far a frame may take.
const FACTOR: u32 = 10;
/// The longest time that counts between two calls, several times that of the caller's loop.
const LOOK_MAX: Duration = Duration::from_millis(200);

/// The state of the inference thread at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pulse {
    /// Frames so far that prove that the source works.
    pub frames: u64,
    /// How often the thread went through its loop.
    pub turns: u64,
    /// Since when it works on a frame, if it does.
    pub busy_since: Option<Duration>,
    /// The longest that a frame took.
    pub slowest: Duration,
}

/// Judges the state from time to time.
#[derive(Debug)]
pub struct Liveness {
    stall: Duration,
    loading: Duration,
    last: Pulse,
    // When the last call was.
    looked_at: Duration,
    // Time counted so far, and its value when the last frame was seen, when the thread last moved, and when the current frame was
    // first seen.
    counted: Duration,
    frame_at: Duration,
    turn_at: Duration,
    busy_at: Option<Duration>,
    waiting: Duration,
    stuck: Duration,
}

impl Liveness {
    /// From the start of the pipeline at `now`, as if a frame had just ended. `stall` is the longest pause between frames; `loading`
    /// is how long it took to load the model and to run its golden vectors, which is longer than a frame.
    pub fn new(now: Duration, stall: Duration, loading: Duration) -> Self {
        let zero = Duration::ZERO;
        Liveness {
            stall,
            loading,
            last: Pulse::default(),
            looked_at: now,
            counted: zero,
            frame_at: zero,
            turn_at: zero,
            busy_at: None,
            waiting: zero,
            stuck: zero,
        }
    }

    /// Takes the state at `now`.
    pub fn see(&mut self, now: Duration, pulse: Pulse) {
        self.counted += now.saturating_sub(self.looked_at).min(LOOK_MAX);
        self.looked_at = now;
        let now = self.counted;
        if pulse.frames > self.last.frames {
            self.frame_at = now;
        }
        if pulse.turns != self.last.turns {
            self.turn_at = now;
        }
        if pulse.busy_since != self.last.busy_since {
            self.busy_at = pulse.busy_since.map(|_| now);
        }
        self.last = pulse;
        // The source has delivered the frame that is being processed, however long that takes.
        self.waiting = self.busy_at.unwrap_or(now).saturating_sub(self.frame_at);
        self.stuck = now.saturating_sub(self.busy_at.unwrap_or(self.turn_at));
    }

    /// Whether the source has delivered nothing useful for too long.
    pub fn is_stalled(&self) -> bool {
        self.waiting > self.stall
    }

    /// The longest that a frame may take before the pipeline counts as hung.
    pub fn patience(&self) -> Duration {
        self.stall.max(FACTOR * self.last.slowest.max(self.loading))
    }

    /// Whether frames arrive and are processed.
    pub fn is_alive(&self) -> bool {
        !self.is_stalled() && self.stuck <= self.patience()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Looks as often as the program.
    struct Watch {
        liveness: Liveness,
        now: Duration,
    }

    impl Watch {
        fn new(stall: u64) -> Self {
            let now = seconds(100);
            Watch { liveness: Liveness::new(now, seconds(stall), seconds(1)), now }
        }

        /// Whether it is alive at the end of a second, at which the state has been the same throughout.
        fn until(&mut self, second: u64, pulse: Pulse) -> bool {
            while self.now < seconds(second) {
                self.now += Duration::from_millis(50);
                self.liveness.see(self.now, pulse);
            }
            self.liveness.is_alive()
        }
    }

    #[test]
    fn a_frame_a_minute_is_alive_if_the_configuration_allows_it() {
        for (stall, alive) in [(90, 120), (5, 10)] {
            let mut watch = Watch::new(stall);
            let seen = (1..=120).filter(|&second| {
                watch.until(100 + second, Pulse { frames: second / 60, turns: 10 * second, ..Pulse::default() })
            });
            // With 5 seconds: until 5 after the start and after the frames of seconds 60 and 120.
            assert_eq!(seen.count(), alive + usize::from(stall == 5));
        }
    }

    #[test]
    fn slow_inference_is_alive_and_a_hung_one_is_not() {
        let mut watch = Watch::new(5);
        let mut alive = |second, busy_since, slowest| {
            let busy_since = Some(seconds(busy_since));
            watch.until(second, Pulse { turns: 3, busy_since, slowest: seconds(slowest), ..Pulse::default() })
        };
        // Ten times the time that loading took.
        assert_eq!([alive(101, 100, 0), alive(110, 100, 0), alive(112, 100, 0)], [true, true, false]);
        // Ten times the slowest frame.
        assert_eq!([alive(130, 100, 4), alive(142, 100, 4)], [true, false]);
    }

    #[test]
    fn a_thread_that_does_not_move_is_not_alive() {
        let mut watch = Watch::new(60);
        let mut alive = |second, frames, turns| watch.until(second, Pulse { frames, turns, ..Pulse::default() });
        // Captured frames of a pipeline with a trigger, whose thread hangs elsewhere.
        assert_eq!([alive(150, 1, 1), alive(160, 2, 1), alive(211, 3, 1)], [true, true, false]);
    }

    #[test]
    fn frames_that_only_fail_are_a_stall_also_while_one_is_decoded() {
        let mut watch = Watch::new(5);
        assert!(!watch.until(110, Pulse { turns: 100, ..Pulse::default() }));
        assert!(!watch.until(111, Pulse { turns: 101, busy_since: Some(seconds(110)), ..Pulse::default() }));
        assert!(watch.liveness.is_stalled());
    }

    #[test]
    fn a_suspended_machine_is_not_a_stalled_source() {
        let mut watch = Watch::new(4);
        let pulse = Pulse { frames: 1, turns: 1, ..Pulse::default() };
        assert!(watch.until(101, pulse));
        watch.now = seconds(3600);
        assert!(watch.until(3601, pulse));
        // Then the source has its full stall time again.
        assert!(!watch.until(3604, pulse));
        let busy = Pulse { busy_since: Some(seconds(3600)), frames: 2, turns: 2, ..Pulse::default() };
        assert!(watch.until(3605, busy));
        watch.now = seconds(7200);
        assert!(watch.until(7201, busy) && !watch.until(7211, busy));
    }
}
