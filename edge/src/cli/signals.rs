//! The signals that the program answers. Whatever ends it by a signal that can be caught leaves safe pins.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What was asked for since the last look.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    status: Arc<AtomicBool>,
}

impl Signals {
    /// Catches the signals from now on: TERM, INT, QUIT and others that would end the process stop it, USR1 and USR2 ask for a
    /// status line, and HUP for the configuration to be read again, or to stop if the program runs without one.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn catch(has_configuration: bool) -> io::Result<Self> {
        let signals = Signals::default();
        #[cfg(unix)]
        {
            use signal_hook::consts::*;
            use signal_hook::flag::register;

            for signal in [SIGTERM, SIGINT, SIGQUIT, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU] {
                register(signal, Arc::clone(&signals.stop))?;
            }
            register(SIGHUP, Arc::clone(if has_configuration { &signals.reload } else { &signals.stop }))?;
            for signal in [SIGUSR1, SIGUSR2] {
                register(signal, Arc::clone(&signals.status))?;
            }
        }
        let _ = has_configuration;
        Ok(signals)
    }

    /// Whether the program shall end.
    pub fn is_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether the configuration shall be read again; once for each time.
    pub fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }

    /// Whether a status line shall be logged; once for each time.
    pub fn take_status(&self) -> bool {
        self.status.swap(false, Ordering::Relaxed)
    }
}

/// Lets a write beyond the process's limit of file sizes fail, as on a full disk, instead of killing the process.
pub fn survive_file_size_limit() -> io::Result<()> {
    #[cfg(unix)]
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}
