//! Whether a pipeline makes progress: what the service manager's watchdog and the status LED are told. Slow is not hung: a source
//! may pause as long as `stall_seconds`, and a frame may take several times as long as the slowest one so far.

use std::time::Duration;

/// How much longer than the slowest frame so far a frame may take.
const FACTOR: u32 = 10;

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
    // When the last frame ended, and when the thread was last seen to move.
    frame_at: Duration,
    turn_at: Duration,
    waiting: Duration,
    stuck: Duration,
}

impl Liveness {
    /// From the start of the pipeline at `now`, as if a frame had just ended. `stall` is the longest pause between frames; `loading`
    /// is how long it took to load the model and to run its golden vectors, which is longer than a frame.
    pub fn new(now: Duration, stall: Duration, loading: Duration) -> Self {
        let (waiting, stuck) = (Duration::ZERO, Duration::ZERO);
        Liveness { stall, loading, last: Pulse::default(), frame_at: now, turn_at: now, waiting, stuck }
    }

    /// Takes the state at `now`.
    pub fn see(&mut self, now: Duration, pulse: Pulse) {
        if pulse.frames > self.last.frames {
            self.frame_at = now;
        }
        if pulse.turns != self.last.turns {
            self.turn_at = now;
        }
        self.last = pulse;
        // The source has delivered the frame that is being processed, however long that takes.
        self.waiting = pulse.busy_since.unwrap_or(now).saturating_sub(self.frame_at);
        self.stuck = now.saturating_sub(pulse.busy_since.unwrap_or(self.turn_at));
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

    fn liveness(stall: u64) -> Liveness {
        Liveness::new(seconds(100), seconds(stall), seconds(1))
    }

    #[test]
    fn a_frame_a_minute_is_alive_if_the_configuration_allows_it() {
        for (stall, alive) in [(90, 120), (5, 10)] {
            let mut liveness = liveness(stall);
            let seen = (0..120).filter(|&second| {
                let pulse = Pulse { frames: second / 60, turns: 10 * second, ..Pulse::default() };
                liveness.see(seconds(100 + second), pulse);
                liveness.is_alive()
            });
            // With 5 seconds: until 5 after the start and after the frame, and at both ends.
            assert_eq!(seen.count(), alive + usize::from(stall == 5) * 2);
        }
    }

    #[test]
    fn slow_inference_is_alive_and_a_hung_one_is_not() {
        let mut liveness = liveness(5);
        let mut alive = |second, busy_since, slowest| {
            let busy_since = Some(seconds(busy_since));
            liveness
                .see(seconds(second), Pulse { turns: 3, busy_since, slowest: seconds(slowest), ..Pulse::default() });
            liveness.is_alive()
        };
        // Ten times the time that loading took.
        assert_eq!([alive(101, 101, 0), alive(111, 101, 0), alive(112, 101, 0)], [true, true, false]);
        // Ten times the slowest frame.
        assert_eq!([alive(130, 101, 4), alive(142, 101, 4)], [true, false]);
    }

    #[test]
    fn a_thread_that_does_not_move_is_not_alive() {
        let mut liveness = liveness(60);
        let mut alive = |second, frames, turns| {
            liveness.see(seconds(second), Pulse { frames, turns, ..Pulse::default() });
            liveness.is_alive()
        };
        // Captured frames of a pipeline with a trigger, whose thread hangs elsewhere.
        assert_eq!([alive(150, 1, 1), alive(200, 2, 1), alive(211, 3, 1)], [true, true, false]);
    }

    #[test]
    fn frames_that_only_fail_are_a_stall_also_while_one_is_decoded() {
        let mut liveness = liveness(5);
        let busy = Pulse { turns: 1, busy_since: Some(seconds(110)), ..Pulse::default() };
        liveness.see(seconds(110), busy);
        assert!(liveness.is_stalled() && !liveness.is_alive());
    }
}
