//! Progress of long jobs on stderr: a bar with rate and remaining time on a terminal, and otherwise (a log file, CI) plain lines,
//! at most one per five seconds and always the last one.
//!
//! Never writes to stdout, which is for results.

use std::io::{IsTerminal, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use unet_engine::error::say;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Minimum time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress of one job. Threads may share it by reference. Dropped without [`Progress::finish`], it prints nothing more.
#[derive(Debug)]
pub struct Progress {
    state: Mutex<State>,
    /// Only if stderr is a terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts a job of `total` units (0 if unknown), as in `Progress::new("training", 500, "images")`.
    pub fn new(label: &str, total: u64, unit: &str) -> Self {
        let state = Mutex::new(State::new(label, total, unit, Instant::now()));
        let bar = stderr().is_terminal().then(|| terminal_bar(label, total, unit));
        Self { state, bar }
    }

    /// Adds `n` finished units.
    pub fn inc(&self, n: u64) {
        let line = self.state().inc(n, Instant::now());
        match (&self.bar, line) {
            (Some(bar), _) => bar.inc(n),
            (None, Some(line)) => say(&line),
            (None, None) => {}
        }
    }

    /// Sets the text after the numbers, such as the loss; the next plain line has it.
    pub fn message(&self, message: impl Into<String>) {
        let message = message.into();
        if let Some(bar) = &self.bar {
            bar.set_message(message.clone());
        }
        self.state().message = message;
    }

    /// Prints a last line with count, rate and time, in place of the bar if there is one.
    pub fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        say(self.state().last_line(Instant::now()));
    }

    /// A thread that panicked while counting leaves the state consistent, so poisoning is ignored.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The count, and when a plain line was last printed. Time is an argument, so that tests control it.
#[derive(Debug)]
struct State {
    label: String,
    unit: String,
    total: u64,
    done: u64,
    message: String,
    started: Instant,
    printed: Instant,
}

impl State {
    fn new(label: &str, total: u64, unit: &str, now: Instant) -> Self {
        let (label, unit) = (label.to_owned(), unit.to_owned());
        Self { label, unit, total, done: 0, message: String::new(), started: now, printed: now }
    }

    /// Counts, and returns the line to print if enough time has passed since the last.
    fn inc(&mut self, n: u64, now: Instant) -> Option<String> {
        self.done = self.done.saturating_add(n);
        if now.duration_since(self.printed) < LINE_EVERY {
            return None;
        }
        self.printed = now;
        let left = self.seconds_left(now).map(|s| format!(", {} left", clock(s)));
        Some(self.line(now, &left.unwrap_or_default()))
    }

    fn last_line(&self, now: Instant) -> String {
        self.line(now, &format!(", took {}", clock(now.duration_since(self.started).as_secs_f64())))
    }

    fn line(&self, now: Instant, time: &str) -> String {
        let of = if self.total == 0 { String::new() } else { format!("/{}", self.total) };
        let rate = self.rate(now).map(|rate| format!(", {}/s", short(rate))).unwrap_or_default();
        let message = if self.message.is_empty() { String::new() } else { format!(", {}", self.message) };
        format!("{} {}{of} {}{rate}{time}{message}", self.label, self.done, self.unit)
    }

    /// Units per second since the start, once there are any.
    fn rate(&self, now: Instant) -> Option<f64> {
        let seconds = now.duration_since(self.started).as_secs_f64();
        (seconds > 0.0 && self.done > 0).then(|| self.done as f64 / seconds)
    }

    fn seconds_left(&self, now: Instant) -> Option<f64> {
        let rate = self.rate(now)?;
        (self.total > 0).then(|| self.total.saturating_sub(self.done) as f64 / rate)
    }
}

fn terminal_bar(label: &str, total: u64, unit: &str) -> ProgressBar {
    // Braces are keys of the template.
    let plain = |text: &str| text.replace('{', "{{").replace('}', "}}");
    let template = if total == 0 {
        format!("{} {{spinner}} {{pos}} {} {{per_sec}} {{msg}}", plain(label), plain(unit))
    } else {
        format!("{} {{bar:28}} {{pos}}/{{len}} {} {{per_sec}} {{eta_precise}} left {{msg}}", plain(label), plain(unit))
    };
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let length = (total > 0).then_some(total);
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr())
        .with_style(style.with_key("per_sec", per_second).progress_chars("=> "));
    // A step may take seconds; the remaining time counts down meanwhile.
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

fn per_second(state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write) {
    // On failure one frame of the bar has no rate.
    let _ = write!(out, "{}/s", short(state.per_sec()));
}

/// Three significant digits for slow rates, integers for fast ones.
fn short(rate: f64) -> String {
    match rate {
        r if r >= 100.0 => format!("{r:.0}"),
        r if r >= 10.0 => format!("{r:.1}"),
        r if r >= 0.1 => format!("{r:.2}"),
        r => format!("{r:.4}"),
    }
}

/// Seconds as `HH:MM:SS`, with as many digits of hours as needed.
pub(crate) fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    format!("{:02}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(state: &State, seconds: u64) -> Instant {
        state.started + Duration::from_secs(seconds)
    }

    #[test]
    fn a_line_has_count_rate_and_remaining_time() {
        let mut state = State::new("train", 100, "images", Instant::now());
        state.message = "loss 0.5".into();
        let now = after(&state, 10);
        assert_eq!(state.inc(25, now).unwrap(), "train 25/100 images, 2.50/s, 00:00:30 left, loss 0.5");
    }

    #[test]
    fn lines_are_five_seconds_apart() {
        let mut state = State::new("decode", 1000, "files", Instant::now());
        let printed: Vec<bool> = (0..12).map(|s| state.inc(1, after(&state, s)).is_some()).collect();
        let at: Vec<usize> = (0..12).filter(|&s| printed[s]).collect();
        assert_eq!(at, [5, 10]);
    }

    #[test]
    fn the_last_line_has_the_total_time() {
        let mut state = State::new("val", 4, "images", Instant::now());
        let _ = state.inc(4, after(&state, 1));
        assert_eq!(state.last_line(after(&state, 3700)), "val 4/4 images, 0.0011/s, took 01:01:40");
    }

    #[test]
    fn no_remaining_time_without_progress_or_total() {
        let mut state = State::new("scan", 0, "files", Instant::now());
        assert_eq!(state.inc(0, after(&state, 6)).unwrap(), "scan 0 files");
        assert_eq!(state.inc(300, after(&state, 12)).unwrap(), "scan 300 files, 25.0/s");
        assert_eq!(state.last_line(state.started), "scan 300 files, took 00:00:00");
    }

    #[test]
    fn more_than_the_total_and_overflow_are_harmless() {
        let mut state = State::new("x", 2, "y", Instant::now());
        assert_eq!(state.inc(u64::MAX, after(&state, 5)).unwrap().split(", ").nth(2), Some("00:00:00 left"));
        assert!(state.inc(1, after(&state, 10)).is_some());
        assert_eq!(state.done, u64::MAX);
    }

    #[test]
    fn clocks() {
        for (seconds, expected) in
            [(0.0, "00:00:00"), (59.6, "00:01:00"), (3661.0, "01:01:01"), (360_000.0, "100:00:00")]
        {
            assert_eq!(clock(seconds), expected);
        }
        assert_eq!(clock(-1.0), "00:00:00");
        assert_eq!(clock(f64::NAN), "00:00:00");
    }

    #[test]
    fn the_bar_takes_any_label() {
        let bar = terminal_bar("{odd} label", 3, "{unit");
        bar.inc(1);
        bar.finish_and_clear();
        terminal_bar("no total", 0, "files").finish_and_clear();
        let progress = Progress::new("test", 2, "steps");
        progress.message("words");
        progress.inc(2);
        progress.finish();
    }
}
