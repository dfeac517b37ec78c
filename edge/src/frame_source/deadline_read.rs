//! Reading with a deadline.

use std::io::{self, Read};
use std::time::Duration;

#[cfg(target_os = "linux")]
use crate::clock::{Clock, SystemClock};

/// Bytes that may have to be waited for.
pub trait DeadlineRead: Send {
    /// Reads some bytes into a non-empty buffer and returns how many: 0 at the end, `None` if none arrived before `deadline`, a
    /// time of [`crate::clock::SystemClock`].
    ///
    /// # Errors
    ///
    /// Errors of the operating system.
    fn read_until(&mut self, buffer: &mut [u8], deadline: Duration) -> io::Result<Option<usize>>;
}

/// Bytes that are all available.
impl DeadlineRead for &[u8] {
    fn read_until(&mut self, buffer: &mut [u8], _deadline: Duration) -> io::Result<Option<usize>> {
        self.read(buffer).map(Some)
    }
}

/// A file, a pipe or another descriptor. On systems without `poll`, reading blocks.
#[derive(Debug)]
pub(super) struct Polled<R>(pub(super) R);

#[cfg(target_os = "linux")]
impl<R: Read + Send + std::os::fd::AsFd> DeadlineRead for Polled<R> {
    fn read_until(&mut self, buffer: &mut [u8], deadline: Duration) -> io::Result<Option<usize>> {
        use rustix::event::PollFlags;
        if wait_for(&self.0, PollFlags::IN, deadline)?.is_empty() {
            return Ok(None);
        }
        match self.0.read(buffer) {
            Ok(count) => Ok(Some(count)),
            // Another reader took the bytes, or a signal came; the caller tries again.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl<R: Read + Send> DeadlineRead for Polled<R> {
    fn read_until(&mut self, buffer: &mut [u8], _deadline: Duration) -> io::Result<Option<usize>> {
        match self.0.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            other => other.map(Some),
        }
    }
}

/// The events of a descriptor; empty if `deadline` comes first.
#[cfg(target_os = "linux")]
pub(super) fn wait_for(
    descriptor: &impl std::os::fd::AsFd,
    events: rustix::event::PollFlags,
    deadline: Duration,
) -> io::Result<rustix::event::PollFlags> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    loop {
        let left = deadline.saturating_sub(SystemClock.now());
        // A day at most, which fits every kind of time.
        let left = left.min(Duration::from_secs(86_400));
        let timeout = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ };
        let mut descriptors = [PollFd::new(descriptor, events)];
        match poll(&mut descriptors, Some(&timeout)) {
            Ok(0) => return Ok(PollFlags::empty()),
            Ok(_) => return Ok(descriptors[0].revents()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
