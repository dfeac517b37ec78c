//! What time it is, for what stamps frames and outputs; behind a trait, so that tests need not wait.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::frame_source::monotonic;

/// Tells the time.
pub trait Timepiece: Send + Sync {
    /// The system's monotonic clock, which cameras stamp frames with.
    fn now(&self) -> Duration;

    /// Since 1970; zero where the system's clock stands before that.
    fn since_1970(&self) -> Duration;
}

/// The system's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemTimepiece;

impl Timepiece for SystemTimepiece {
    fn now(&self) -> Duration {
        monotonic()
    }

    fn since_1970(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}
