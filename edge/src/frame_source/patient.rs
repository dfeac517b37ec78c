//! Reading that waits no longer than it may.

use std::io::{self, Read};
use std::time::Duration;

/// Bytes that have to be waited for.
pub trait PatientRead: Send {
    /// Reads some bytes into a buffer that is not empty: how many, 0 at the end, `None` where nothing had come at
    /// `deadline`, a time of [`super::monotonic`].
    ///
    /// # Errors
    ///
    /// What the system says.
    fn read_until(&mut self, buffer: &mut [u8], deadline: Duration) -> io::Result<Option<usize>>;
}

/// Bytes that are all there already.
impl PatientRead for &[u8] {
    fn read_until(&mut self, buffer: &mut [u8], _deadline: Duration) -> io::Result<Option<usize>> {
        self.read(buffer).map(Some)
    }
}

/// A file, a pipe, or what else the kernel has. Where it cannot be asked whether bytes are there, reading waits for them.
#[derive(Debug)]
pub(super) struct Patient<R>(pub(super) R);

#[cfg(target_os = "linux")]
impl<R: Read + Send + std::os::fd::AsFd> PatientRead for Patient<R> {
    fn read_until(&mut self, buffer: &mut [u8], deadline: Duration) -> io::Result<Option<usize>> {
        use rustix::event::PollFlags;
        if wait_for(&self.0, PollFlags::IN, deadline)?.is_empty() {
            return Ok(None);
        }
        match self.0.read(buffer) {
            Ok(count) => Ok(Some(count)),
            // Somebody else was faster, or it was no more than a signal; the caller comes again.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl<R: Read + Send> PatientRead for Patient<R> {
    fn read_until(&mut self, buffer: &mut [u8], _deadline: Duration) -> io::Result<Option<usize>> {
        match self.0.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            other => other.map(Some),
        }
    }
}

/// What is the matter with a descriptor; nothing where `deadline` has come first.
#[cfg(target_os = "linux")]
pub(super) fn wait_for(
    descriptor: &impl std::os::fd::AsFd,
    events: rustix::event::PollFlags,
    deadline: Duration,
) -> io::Result<rustix::event::PollFlags> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    loop {
        let left = deadline.saturating_sub(super::monotonic());
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
