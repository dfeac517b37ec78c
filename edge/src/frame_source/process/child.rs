//! The running program: started in its own process group, its standard error collected, terminated and reaped.

use std::io::{self, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(300);
/// How long to wait for the rest of a dead program's standard error; a grandchild may hold the pipe open.
const LAST_OUTPUT_WAIT: Duration = Duration::from_millis(100);
const LAST_OUTPUT_BYTES: usize = 1024;
const LAST_OUTPUT_LINES: usize = 4;
const STEP: Duration = Duration::from_millis(5);

/// How the program ended.
#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) success: bool,
    /// Such as `ended with exit status: 3`.
    pub(super) text: String,
    /// The last lines of its standard error, joined.
    pub(super) last_output: String,
}

/// A running program; terminated and reaped on drop.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    stderr: Arc<LastOutput>,
    ended: Option<Status>,
}

impl Running {
    pub(super) fn start(command: &[String]) -> io::Result<(Self, ChildStdout)> {
        let [program, arguments @ ..] = command else { return Err(io::ErrorKind::InvalidInput.into()) };
        let mut builder = Command::new(program);
        builder.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Its children end with it, and it does not receive our Ctrl-C.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut builder, 0);
        let mut child = builder.spawn()?;
        let stderr = Arc::new(LastOutput::default());
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            // Both were requested.
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        // From here on the child is terminated whatever happens.
        let running = Running { child, stderr: Arc::clone(&stderr), ended: None };
        // This thread is not joined: it ends when the pipe is closed.
        std::thread::Builder::new().name("stderr".to_owned()).spawn(move || stderr.listen(errors))?;
        Ok((running, output))
    }

    /// Called when its output has ended: waits a moment for the program to exit, else terminates it.
    pub(super) fn finish(&mut self) -> Status {
        if let Some(status) = &self.ended {
            return status.clone();
        }
        let exited = self.wait(GRACE);
        let status = match exited {
            Some(status) => Some(status),
            None => self.end(),
        };
        let text = match (exited, status) {
            (Some(status), _) => format!("ended with {status}"),
            (None, _) => "closed its output and was terminated".to_owned(),
        };
        let success = exited.is_some_and(|status| status.success());
        let status = Status { success, text, last_output: self.stderr.last(LAST_OUTPUT_WAIT) };
        self.ended = Some(status.clone());
        status
    }

    /// Its exit status, if it exits in time. Its whole group is gone then.
    fn wait(&mut self, time: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while !self.has_ended() {
            if start.elapsed() >= time {
                return None;
            }
            std::thread::sleep(STEP);
        }
        // It is not reaped yet, so its group id cannot have been reused.
        self.kill_group();
        self.child.try_wait().ok().flatten()
    }

    fn end(&mut self) -> Option<ExitStatus> {
        self.terminate_group();
        if let Some(status) = self.wait(GRACE) {
            return Some(status);
        }
        self.kill_group();
        // Only a process stuck in the operating system takes longer.
        self.wait(GRACE)
    }

    #[cfg(target_os = "linux")]
    fn has_ended(&mut self) -> bool {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error means that the child no longer exists.
        !matches!(waitid(WaitId::Pid(Pid::from_child(&self.child)), options), Ok(None))
    }

    #[cfg(target_os = "linux")]
    fn terminate_group(&mut self) {
        self.signal(rustix::process::Signal::TERM);
    }

    #[cfg(target_os = "linux")]
    fn kill_group(&mut self) {
        self.signal(rustix::process::Signal::KILL);
    }

    #[cfg(target_os = "linux")]
    fn signal(&mut self, signal: rustix::process::Signal) {
        // Fails if the group is already empty.
        let _ = rustix::process::kill_process_group(rustix::process::Pid::from_child(&self.child), signal);
    }

    #[cfg(not(target_os = "linux"))]
    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    #[cfg(not(target_os = "linux"))]
    fn terminate_group(&mut self) {
        let _ = self.child.kill();
    }

    #[cfg(not(target_os = "linux"))]
    fn kill_group(&mut self) {
        let _ = self.child.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.end();
        }
    }
}

/// The last bytes of a program's standard error.
#[derive(Debug, Default)]
struct LastOutput {
    // The bytes, and whether the pipe is closed.
    heard: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl LastOutput {
    fn listen(&self, mut errors: ChildStderr) {
        let mut bytes = [0; LAST_OUTPUT_BYTES];
        loop {
            match errors.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.0.extend_from_slice(&bytes[..count]);
                    let surplus = heard.0.len().saturating_sub(LAST_OUTPUT_BYTES);
                    heard.0.drain(..surplus);
                }
            }
        }
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.changed.notify_all();
    }

    fn last(&self, patience: Duration) -> String {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let (heard, _) =
            self.changed.wait_timeout_while(heard, patience, |heard| !heard.1).unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&heard.0);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(LAST_OUTPUT_LINES)..].join(" | ")
    }
}
