//! The running program: started in a process group of its own, listened to, ended and reaped.

use std::io::{self, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a program may take to end when it is told to; then it is killed.
const GRACE: Duration = Duration::from_millis(300);
/// How long is waited for the rest of what a dead program said; a grandchild may hold the pipe open.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(100);
const LAST_WORDS_BYTES: usize = 1024;
const LAST_WORDS_LINES: usize = 4;
const STEP: Duration = Duration::from_millis(5);

/// How it ended.
#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) success: bool,
    /// Such as `ended with exit status: 3`.
    pub(super) text: String,
    /// The last lines of its standard error, joined.
    pub(super) last_words: String,
}

/// Ended and reaped when it is dropped.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    words: Arc<Words>,
    ended: Option<Status>,
}

impl Running {
    pub(super) fn start(command: &[String]) -> io::Result<(Self, ChildStdout)> {
        let [program, arguments @ ..] = command else { return Err(io::ErrorKind::InvalidInput.into()) };
        let mut builder = Command::new(program);
        builder.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Its own children end with it; and it does not see the Ctrl-C that is meant for us.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut builder, 0);
        let mut child = builder.spawn()?;
        let words = Arc::new(Words::default());
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            // Both were asked for.
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        // From here on the child is ended whatever happens.
        let running = Running { child, words: Arc::clone(&words), ended: None };
        // Nobody waits for this thread: it ends when the pipe is closed, and holds next to nothing.
        std::thread::Builder::new().name("last words".to_owned()).spawn(move || words.listen(errors))?;
        Ok((running, output))
    }

    /// Called when its output has ended: waits a moment for the program to end too, else ends it.
    pub(super) fn finish(&mut self) -> Status {
        if let Some(status) = &self.ended {
            return status.clone();
        }
        let by_itself = self.wait(GRACE);
        let status = match by_itself {
            Some(status) => Some(status),
            None => self.end(),
        };
        let text = match (by_itself, status) {
            (Some(status), _) => format!("ended with {status}"),
            (None, _) => "closed its output and was ended".to_owned(),
        };
        let success = by_itself.is_some_and(|status| status.success());
        let status = Status { success, text, last_words: self.words.last(LAST_WORDS_WAIT) };
        self.ended = Some(status.clone());
        status
    }

    /// Its exit status, where it ends in time. Afterwards nothing of its group is left.
    fn wait(&mut self, time: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while !self.has_ended() {
            if start.elapsed() >= time {
                return None;
            }
            std::thread::sleep(STEP);
        }
        // It is not reaped yet, so that the number of its group is still ours.
        self.kill_group();
        self.child.try_wait().ok().flatten()
    }

    fn end(&mut self) -> Option<ExitStatus> {
        self.terminate_group();
        if let Some(status) = self.wait(GRACE) {
            return Some(status);
        }
        self.kill_group();
        // Only a kernel that is stuck keeps it longer.
        self.wait(GRACE)
    }

    #[cfg(target_os = "linux")]
    fn has_ended(&mut self) -> bool {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error says that there is no such child any more.
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
        // A group without members is what is wanted.
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

/// The end of what a program says.
#[derive(Debug, Default)]
struct Words {
    // The last bytes, and whether there will be no more.
    heard: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Words {
    fn listen(&self, mut errors: ChildStderr) {
        let mut bytes = [0; LAST_WORDS_BYTES];
        loop {
            match errors.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.0.extend_from_slice(&bytes[..count]);
                    let surplus = heard.0.len().saturating_sub(LAST_WORDS_BYTES);
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
        lines[lines.len().saturating_sub(LAST_WORDS_LINES)..].join(" | ")
    }
}
