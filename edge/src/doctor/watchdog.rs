//! Whether the pauses between frames fit `stall_seconds`, and the service manager's watchdog the program's heartbeats.

use std::time::Duration;

use super::Finding;
use crate::config::Config;

const SUBJECT: &str = "watchdog";

/// Heartbeats are as exact as the supervising loop, and a busy board delays it.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// `timeout` is that of the service manager, if it has one here.
pub(super) fn examine(timeout: Option<Duration>, config: &Config) -> Finding {
    let stall = config.watchdog.stall;
    let stalls = format!("stall_seconds {}", stall.as_secs_f64());
    if let Some(interval) = config.source.interval().filter(|&interval| interval >= stall) {
        let seconds = interval.as_secs_f64();
        let found = format!(
            "{stalls}, but the source has a frame every {seconds} s: between two frames the rules become inactive and heartbeats stop"
        );
        return Finding::problem(SUBJECT, found, format!("set stall_seconds above {seconds}"));
    }
    let Some(timeout) = timeout else {
        return Finding::ok(SUBJECT, format!("{stalls}; systemd's WatchdogSec is not known here"));
    };
    let expected = format!("systemd expects a heartbeat every {} s", timeout.as_secs_f64());
    if !config.watchdog.notify {
        let advice = "remove notify = false, or WatchdogSec in the unit";
        Finding::problem(SUBJECT, format!("{expected}, but notify = false"), advice)
    } else if timeout < TIMEOUT_MIN {
        Finding::warning(SUBJECT, format!("{expected}, which a busy board may miss"), "set WatchdogSec to 1 or more")
    } else {
        let often = (timeout / 3).as_secs_f64();
        Finding::ok(SUBJECT, format!("{expected}, sent every {often:.1} s while frames come within {stalls}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_rate_that_counts_as_a_stall_is_a_problem() {
        let examine = |rate: &str, watchdog: &str, timeout| {
            let text = format!("package = 'a'\n[source]\nkind = 'files'\npath = 'a'\n{rate}\n[watchdog]\n{watchdog}");
            let timeout = Some(timeout).filter(|&seconds| seconds > 0.0).map(Duration::from_secs_f64);
            let finding = examine(timeout, &crate::config::parse("a.toml", &text).unwrap());
            (finding.verdict, finding.found)
        };
        let (verdict, found) = examine("rate = 0.016", "", 30.0);
        assert_eq!(verdict, Verdict::Problem);
        assert!(found.starts_with("stall_seconds 5, but the source has a frame every 62.5 s"), "{found}");
        assert_eq!(examine("rate = 0.016", "stall_seconds = 90", 30.0).0, Verdict::Ok);
        assert_eq!(examine("", "", 0.0).1, "stall_seconds 5; systemd's WatchdogSec is not known here");
        assert_eq!(examine("", "notify = false", 30.0).0, Verdict::Problem);
        assert_eq!(examine("", "", 0.3).0, Verdict::Warning);
        let expected =
            "systemd expects a heartbeat every 30 s, sent every 10.0 s while frames come within stall_seconds 5";
        assert_eq!(examine("", "", 30.0), (Verdict::Ok, expected.to_owned()));
    }
}
