//! Notifications to systemd by the `sd_notify` protocol: datagrams of `KEY=value` to the socket in the environment. The watchdog
//! is only fed while the pipeline is alive (`pipeline/liveness.rs`); otherwise systemd restarts the program.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

#[cfg(unix)]
use std::os::unix::net::UnixDatagram;

/// The socket of the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    #[cfg(unix)]
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

/// Why the service manager in the environment cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Neither a path nor an abstract name.
    #[error("NOTIFY_SOCKET: expected an absolute path, or @ and a name, found {found:?}")]
    Name {
        /// Its value.
        found: OsString,
    },
    /// The connection failed.
    #[error("NOTIFY_SOCKET: could not connect to {name:?}")]
    Connect {
        /// Name of the socket.
        name: OsString,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Notifier {
    /// From environment variables, which `variable` returns. Without `NOTIFY_SOCKET` all notifications do nothing.
    ///
    /// # Errors
    ///
    /// If the socket cannot be used.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, NotifyError> {
        let Some(name) = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Notifier::default());
        };
        Notifier::connect(name, watchdog(&variable))
    }

    #[cfg(unix)]
    fn connect(name: OsString, watchdog: Option<Duration>) -> Result<Self, NotifyError> {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::net::SocketAddr;

        let address = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(&name),
            #[cfg(target_os = "linux")]
            [b'@', rest @ ..] if !rest.is_empty() => {
                <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(rest)
            }
            _ => return Err(NotifyError::Name { found: name }),
        };
        let connected = address.and_then(|address| {
            let socket = UnixDatagram::unbound()?;
            socket.connect_addr(&address)?;
            // A service manager that does not read must not block.
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        match connected {
            Ok(socket) => Ok(Notifier { socket: Some(socket), watchdog }),
            Err(source) => Err(NotifyError::Connect { name, source }),
        }
    }

    #[cfg(not(unix))]
    fn connect(name: OsString, _watchdog: Option<Duration>) -> Result<Self, NotifyError> {
        Err(NotifyError::Name { found: name })
    }

    /// Whether there is a service manager.
    pub fn is_connected(&self) -> bool {
        #[cfg(unix)]
        return self.socket.is_some();
        #[cfg(not(unix))]
        return false;
    }

    /// The watchdog timeout, if there is a watchdog.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The program has started: `READY=1`.
    ///
    /// # Errors
    ///
    /// If sending fails.
    pub fn ready(&self) -> io::Result<()> {
        self.send(b"READY=1\n")
    }

    /// The program is stopping: `STOPPING=1`.
    ///
    /// # Errors
    ///
    /// If sending fails.
    pub fn stopping(&self) -> io::Result<()> {
        self.send(b"STOPPING=1\n")
    }

    /// A line for `systemctl status`: `STATUS=…`. Line feeds become spaces.
    ///
    /// # Errors
    ///
    /// If sending fails.
    pub fn status(&self, text: &str) -> io::Result<()> {
        if self.is_connected() {
            self.send(format!("STATUS={}\n", text.replace(['\n', '\r'], " ")).as_bytes())?;
        }
        Ok(())
    }

    /// Feeds the watchdog: `WATCHDOG=1`. [`Heartbeat`] decides when.
    ///
    /// # Errors
    ///
    /// If sending fails.
    pub fn watchdog_alive(&self) -> io::Result<()> {
        self.send(b"WATCHDOG=1\n")
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        #[cfg(unix)]
        if let Some(socket) = &self.socket {
            socket.send(message)?;
        }
        let _ = message;
        Ok(())
    }
}

/// The watchdog timeout, unless it is for another process.
fn watchdog(variable: &impl Fn(&str) -> Option<OsString>) -> Option<Duration> {
    let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
    let ours = match variable("WATCHDOG_PID") {
        None => true,
        Some(_) => number("WATCHDOG_PID") == Some(u64::from(std::process::id())),
    };
    number("WATCHDOG_USEC").filter(|&microseconds| ours && microseconds > 0).map(Duration::from_micros)
}

/// When the watchdog is fed: a third of its timeout after the last time, if the pipeline is alive.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat {
    interval: Duration,
    last: Option<Duration>,
}

impl Heartbeat {
    /// For a watchdog with this timeout.
    pub fn new(timeout: Duration) -> Self {
        Heartbeat { interval: timeout / 3, last: None }
    }

    /// Whether it is due at `now`.
    pub fn is_due(&mut self, now: Duration, is_alive: bool) -> bool {
        let due = is_alive && self.last.is_none_or(|last| now.saturating_sub(last) >= self.interval);
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    use super::*;

    fn environment<'a>(values: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| values.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    }

    /// Sends all messages and checks what arrives at the socket.
    fn check(socket: &UnixDatagram, name: &str) {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let notifier = Notifier::from_environment(environment(&[("NOTIFY_SOCKET", name)])).unwrap();
        notifier.ready().unwrap();
        notifier.status("17 frames\na second").unwrap();
        notifier.watchdog_alive().unwrap();
        notifier.stopping().unwrap();
        for expected in ["READY=1\n", "STATUS=17 frames a second\n", "WATCHDOG=1\n", "STOPPING=1\n"] {
            let mut bytes = [0; 100];
            let length = socket.recv(&mut bytes).unwrap();
            assert_eq!(std::str::from_utf8(&bytes[..length]).unwrap(), expected);
        }
    }

    #[test]
    fn messages_reach_a_socket_in_the_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        check(&socket, path.to_str().unwrap());
    }

    #[test]
    fn messages_reach_an_abstract_socket() {
        let name = format!("unet-edge-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        check(&socket, &format!("@{name}"));
    }

    #[test]
    fn without_a_service_manager_nothing_is_sent() {
        let notifier = Notifier::from_environment(|_| None).unwrap();
        assert!(!notifier.is_connected() && notifier.watchdog().is_none());
        notifier.ready().unwrap();
        notifier.status("nobody listens").unwrap();
    }

    #[test]
    fn unusable_sockets_are_named() {
        let error = Notifier::from_environment(environment(&[("NOTIFY_SOCKET", "vsock:2:1")])).unwrap_err();
        let expected = "NOTIFY_SOCKET: expected an absolute path, or @ and a name, found \"vsock:2:1\"";
        assert_eq!(error.to_string(), expected);
        let error = Notifier::from_environment(environment(&[("NOTIFY_SOCKET", "/no/such/socket")])).unwrap_err();
        assert!(matches!(error, NotifyError::Connect { .. }), "{error}");
    }

    #[test]
    fn the_timeout_is_only_used_for_this_process() {
        let own = std::process::id().to_string();
        let timeout = |values: &[(&str, &str)]| watchdog(&environment(values));
        assert_eq!(timeout(&[("WATCHDOG_USEC", "2000000")]), Some(Duration::from_secs(2)));
        assert_eq!(timeout(&[("WATCHDOG_USEC", "5"), ("WATCHDOG_PID", &own)]), Some(Duration::from_micros(5)));
        assert_eq!(timeout(&[("WATCHDOG_USEC", "5"), ("WATCHDOG_PID", "1")]), None);
        assert_eq!(timeout(&[("WATCHDOG_USEC", "soon")]), None);
    }

    #[test]
    fn heartbeats_need_time_and_life() {
        let mut heartbeat = Heartbeat::new(Duration::from_secs(3));
        let mut due = |half_seconds: u64, alive| heartbeat.is_due(Duration::from_millis(half_seconds * 500), alive);
        assert_eq!(
            [due(0, false), due(9, true), due(10, true), due(11, true), due(12, true), due(13, false)],
            [false, true, false, true, false, false]
        );
        assert_eq!([due(99, false), due(100, true)], [false, true]);
    }
}
