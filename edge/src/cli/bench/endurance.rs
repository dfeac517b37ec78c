//! `unet-edge bench --minutes`: the same frames over and over, with a line per minute that shows whether the board heats up and
//! slows down. Temperature and throttling are sampled every second, between frames.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Serialize;
use unet_edge::telemetry::histogram::Histogram;
use unet_engine::machine::{Roots, heat, processor};

/// Duration and intervals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Total duration.
    pub whole: Duration,
    /// Time between lines.
    pub line: Duration,
    /// Time between samples of the machine.
    pub sample: Duration,
    /// Minimum number of frames, even if that takes longer.
    pub frames_min: u64,
}

impl Plan {
    pub fn of_minutes(minutes: f64, frames_min: u64) -> Self {
        let whole = Duration::from_secs_f64(minutes * 60.0);
        Plan { whole, line: Duration::from_secs(60), sample: Duration::from_secs(1), frames_min }
    }
}

/// Results of a minute or of the whole run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Span {
    /// Seconds from the start to its end.
    pub seconds: f64,
    pub frames: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// Maximum temperature; `None` if unknown.
    pub celsius: Option<f64>,
    /// Minimum frequency of the fastest core.
    pub megahertz: Option<u64>,
    /// All reasons for throttling; `None` if unknown.
    pub throttled: Option<BTreeSet<String>>,
}

/// Results of a run.
#[derive(Debug, Serialize)]
pub(super) struct Endurance {
    pub minutes: Vec<Span>,
    pub summary: Span,
}

/// Runs `frame`, which returns the time that it measured, until the plan is complete, and shows each line at once.
pub(super) fn run<E>(
    plan: Plan,
    roots: &Roots,
    mut frame: impl FnMut() -> Result<Duration, E>,
    mut show: impl FnMut(&Span) -> Result<(), E>,
) -> Result<Endurance, E> {
    let before = heat::throttling(roots).unwrap_or_default();
    let (mut minute, mut whole) = (Tally::default(), Tally::default());
    let mut minutes = Vec::new();
    let start = Instant::now();
    let mut next_sample = Duration::ZERO;
    loop {
        let elapsed = start.elapsed();
        let over = elapsed >= plan.whole && whole.times.count() >= plan.frames_min;
        if over || elapsed >= next_sample {
            next_sample = elapsed + plan.sample;
            for tally in [&mut minute, &mut whole] {
                tally.sample(roots, &before);
            }
        }
        let lines = minutes.len() as u32;
        if (over && minute.times.count() > 0) || elapsed >= plan.line.saturating_mul(lines + 1) {
            let span = std::mem::take(&mut minute).span(elapsed);
            show(&span)?;
            minutes.push(span);
        }
        if over {
            return Ok(Endurance { minutes, summary: whole.span(elapsed) });
        }
        let time = frame()?;
        minute.times.record(time);
        whole.times.record(time);
    }
}

/// A span in progress.
#[derive(Default)]
struct Tally {
    times: Histogram,
    celsius: Option<f64>,
    megahertz: Option<u64>,
    throttled: Option<BTreeSet<String>>,
}

impl Tally {
    /// Events that the firmware remembers from before the measurement do not count.
    fn sample(&mut self, roots: &Roots, before: &heat::Throttling) {
        if let Some(zone) = heat::hottest(roots) {
            self.celsius = Some(self.celsius.map_or(zone.celsius, |max| max.max(zone.celsius)));
        }
        if let Some(megahertz) = processor::megahertz(roots) {
            self.megahertz = Some(self.megahertz.map_or(megahertz, |min| min.min(megahertz)));
        }
        if let Some(found) = heat::throttling(roots) {
            let new = found.since_start.into_iter().filter(|reason| !before.since_start.contains(reason));
            self.throttled.get_or_insert_default().extend(found.now.into_iter().chain(new));
        }
    }

    fn span(self, elapsed: Duration) -> Span {
        let [p50_ms, p90_ms, p99_ms] = self.times.summary_us().map(milliseconds);
        Span {
            seconds: elapsed.as_secs_f64(),
            frames: self.times.count(),
            p50_ms,
            p90_ms,
            p99_ms,
            max_ms: milliseconds(self.times.max_us()),
            celsius: self.celsius,
            megahertz: self.megahertz,
            throttled: self.throttled,
        }
    }
}

fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e3
}

impl Span {
    /// `1:00 1234 frames, p50 … ms, …; up to 61.2 °C, down to 1500 MHz, not throttled`
    pub fn line(&self) -> String {
        let seconds = self.seconds as u64;
        format!("{:>4}:{:02} {}; {}", seconds / 60, seconds % 60, self.times(), self.machine())
    }

    fn times(&self) -> String {
        format!(
            "{} frames, p50 {:.2} ms, p90 {:.2}, p99 {:.2}, max {:.2}",
            self.frames, self.p50_ms, self.p90_ms, self.p99_ms, self.max_ms
        )
    }

    fn machine(&self) -> String {
        let celsius =
            self.celsius.map_or_else(|| "temperature unknown".to_owned(), |celsius| format!("up to {celsius:.1} °C"));
        let megahertz = self.megahertz.map_or_else(String::new, |megahertz| format!(", down to {megahertz} MHz"));
        let throttled = match &self.throttled {
            None => "throttling unknown".to_owned(),
            Some(reasons) if reasons.is_empty() => "not throttled".to_owned(),
            Some(reasons) => format!("throttled: {}", reasons.iter().cloned().collect::<Vec<_>>().join(", ")),
        };
        format!("{celsius}{megahertz}, {throttled}")
    }
}

impl Endurance {
    /// The closing line.
    pub fn text(&self, by: &str, threads: usize) -> String {
        let held_back = |span: &&Span| span.throttled.as_ref().is_some_and(|reasons| !reasons.is_empty());
        let throttled = match self.minutes.iter().filter(held_back).count() {
            0 => String::new(),
            spans => format!(" (in {spans} of {} lines)", self.minutes.len()),
        };
        let summary = &self.summary;
        let ratio = if summary.p50_ms > 0.0 { summary.p99_ms / summary.p50_ms } else { 1.0 };
        format!(
            "{:.1} minutes by {by}, threads {threads}: {}; p99 is {ratio:.2} times p50; {}{throttled}",
            summary.seconds / 60.0,
            summary.times(),
            summary.machine()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(whole: u64, frames_min: u64) -> Plan {
        let [whole, line] = [whole, 40].map(Duration::from_millis);
        Plan { whole, line, sample: Duration::from_millis(1), frames_min }
    }

    /// Frames of a millisecond that report 1, 2, … milliseconds.
    fn counting() -> impl FnMut() -> Result<Duration, String> {
        let mut count = 0;
        move || {
            std::thread::sleep(Duration::from_millis(1));
            count += 1;
            Ok(Duration::from_millis(count))
        }
    }

    #[test]
    fn each_line_has_its_own_times_and_the_summary_has_all() {
        let folder = tempfile::tempdir().unwrap();
        let thermal = folder.path().join("sys/class/thermal/thermal_zone0");
        std::fs::create_dir_all(&thermal).unwrap();
        let mut shown = Vec::new();
        let mut next = counting();
        let frame = || {
            let time = next()?;
            // The temperature rises with each frame.
            std::fs::write(thermal.join("temp"), (40_000 + time.as_millis() * 1000).to_string()).unwrap();
            Ok::<_, String>(time)
        };
        let show = |span: &Span| {
            shown.push(span.clone());
            Ok(())
        };
        let Endurance { minutes, summary } = run(plan(100, 0), &Roots::below(folder.path()), frame, show).unwrap();
        assert_eq!(minutes, shown);
        // 40, 80 and the rest; a machine that stalls may merge two lines.
        assert!((1..=3).contains(&minutes.len()), "{minutes:?}");
        assert_eq!(minutes.iter().map(|span| span.frames).sum::<u64>(), summary.frames);
        assert_eq!(summary.max_ms, summary.frames as f64);
        assert_eq!(minutes.last().unwrap().max_ms, summary.max_ms);
        if let [first, second, ..] = minutes.as_slice() {
            assert!(first.max_ms < second.p50_ms, "{minutes:?}");
            assert!(first.celsius.unwrap() <= second.celsius.unwrap());
        }
        assert_eq!(summary.celsius, Some(40.0 + summary.frames as f64));
        assert_eq!((summary.throttled, summary.megahertz), (None, None));
    }

    #[test]
    fn it_runs_until_there_are_enough_frames_or_an_error() {
        let roots = Roots::below(tempfile::tempdir().unwrap().path());
        let done = run(plan(1, 20), &roots, counting(), |_| Ok(())).unwrap();
        assert_eq!(done.summary.frames, 20);
        let error = run(plan(1, 20), &roots, || Err("no more"), |_| Ok(())).unwrap_err();
        assert_eq!(error, "no more");
    }

    #[test]
    fn earlier_events_of_the_firmware_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let firmware = folder.path().join("sys/devices/platform/soc/soc:firmware");
        std::fs::create_dir_all(&firmware).unwrap();
        let flags = |flags: &str| std::fs::write(firmware.join("get_throttled"), flags).unwrap();
        let roots = Roots::below(folder.path());
        // Under-voltage before; then throttled between two samples.
        flags("10000");
        let before = heat::throttling(&roots).unwrap();
        let mut tally = Tally::default();
        tally.sample(&roots, &before);
        assert_eq!(tally.throttled, Some(BTreeSet::new()));
        flags("50000");
        tally.sample(&roots, &before);
        flags("50002");
        tally.sample(&roots, &before);
        let expected = ["throttled", "frequency capped"].map(str::to_owned);
        assert_eq!(tally.throttled, Some(BTreeSet::from(expected)));
    }

    #[test]
    fn lines_are_readable() {
        let mut span = Span {
            seconds: 121.4,
            frames: 1234,
            p50_ms: 10.0,
            p90_ms: 11.0,
            p99_ms: 12.5,
            max_ms: 20.0,
            celsius: None,
            megahertz: None,
            throttled: None,
        };
        let times = "1234 frames, p50 10.00 ms, p90 11.00, p99 12.50, max 20.00";
        assert_eq!(span.line(), format!("   2:01 {times}; temperature unknown, throttling unknown"));
        span.throttled = Some(BTreeSet::new());
        (span.celsius, span.megahertz) = (Some(61.25), Some(1500));
        assert_eq!(span.line(), format!("   2:01 {times}; up to 61.2 °C, down to 1500 MHz, not throttled"));
        let mut slow = span.clone();
        slow.throttled = Some(BTreeSet::from(["under-voltage".to_owned()]));
        let text = Endurance { minutes: vec![span, slow.clone()], summary: slow }.text("neon", 4);
        let expected = format!(
            "2.0 minutes by neon, threads 4: {times}; p99 is 1.25 times p50; up to 61.2 °C, down to 1500 MHz, \
             throttled: under-voltage (in 1 of 2 lines)"
        );
        assert_eq!(text, expected);
    }
}
