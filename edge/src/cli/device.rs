//! `unet-edge run` on a camera or another source of frames: assembles the pipeline and supervises it until the source ends or a
//! signal arrives.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use unet_edge::clock::{Clock, SystemClock};
use unet_edge::config::{BoardConfig, Resolved, RuleConfig, WatchdogConfig};
use unet_edge::frame_source::{Change, FrameSource, Kind, Reopening, SourceSpec};
use unet_edge::peripherals::Pattern;
use unet_edge::pipeline::{self, Ended, Needs, Parts, Running, Sink, Step};
use unet_edge::sinks::{Context, OpenError, SinkSpec};
use unet_edge::telemetry::Stage;
use unet_edge::telemetry::log::{Failing, Log, LogLevel};
use unet_edge::telemetry::notify::{Heartbeat, Notifier};
use unet_engine::error::chain;
use unet_engine::inference::EngineOptions;
use unet_engine::package::Package;
use unet_engine::segmenter::{Int8Segmenter, Segmenter};
use unet_shared::tiles::TilesChoice;

use super::Failure;
use super::pins::{Light, Peripherals};

/// The program exits within a second of a signal, including the time that the operating system needs.
const END_PATIENCE: Duration = Duration::from_millis(600);
/// How often the status is sent to systemd.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);
/// How often a summary is logged.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(300);

/// What a board does, from a configuration or from flags.
pub struct Device {
    pub package: Package,
    pub engine: EngineOptions,
    pub tiles: Option<TilesChoice>,
    pub source: Arc<dyn SourceSpec>,
    pub resolved: Resolved,
    pub rules: Vec<RuleConfig>,
    pub board: BoardConfig,
    pub outputs: Vec<Arc<dyn SinkSpec>>,
    pub watchdog: WatchdogConfig,
    pub log: LogLevel,
}

impl Device {
    /// Runs until the source ends or a signal arrives.
    pub fn main(self) -> Result<(), Failure> {
        let log = Log::new(self.log);
        let stop = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, stop.clone()).map_err(Failure::fault)?;
        }
        let notifier = if self.watchdog.notify {
            Notifier::from_environment(|name| std::env::var_os(name)).map_err(Failure::input)?
        } else {
            Notifier::default()
        };
        let spec = self.package.manifest.preprocess;
        let segmenter = Int8Segmenter::load_with(&self.package, &self.engine).map_err(Failure::input)?;
        log.say(LogLevel::Info, format_args!("package {}: {}", self.package.manifest.name, segmenter.engine()));
        let (manifest, rules) = (&self.package.manifest, &self.resolved.rules);
        let sinks = open_sinks(&self.outputs, &Context { manifest, rules, clock: &SystemClock })?;
        let peripherals = Peripherals::open(&self.board, &self.rules)?;
        let source = open(&self.source, self.watchdog.stall, log)?;
        let with_margin = Needs::of(&sinks).margin;
        let policy = self.source.policy();
        let step = Step::new(spec, segmenter, &self.resolved.regions, self.resolved.rules, with_margin);
        let tiles = TilesChoice::or_trained(self.tiles, self.package.manifest.tiles);
        let step = step.map_err(Failure::input)?.with_tiles(tiles);
        if let Some(note) = step.tiles_note() {
            log.say(LogLevel::Info, format_args!("{note}"));
        }
        let is_triggered = peripherals.trigger.is_some();
        let clock = Arc::new(SystemClock);
        let parts = Parts {
            source,
            live: policy.live,
            trigger: peripherals.trigger,
            step,
            pins: peripherals.outputs,
            sinks,
            stall: self.watchdog.stall,
            clock: clock.clone(),
            log,
        };
        let running = pipeline::start(parts).map_err(Failure::fault)?;
        let watch = Watch {
            running,
            stop,
            light: peripherals.status_led,
            notifier,
            is_reopened: policy.is_reopened(),
            is_triggered,
            stall: self.watchdog.stall,
            clock,
            log,
        };
        watch.main()
    }
}

/// Opens the source. One that is reopened after errors may be unavailable at the start, any other may not.
fn open(spec: &Arc<dyn SourceSpec>, stall: Duration, log: Log) -> Result<Box<dyn FrameSource>, Failure> {
    let report = move |change| match change {
        Change::Lost(error) => log.say(LogLevel::Warning, format_args!("source lost, reopening: {}", chain(&error))),
        Change::Back { description, away, attempts } => log.say(
            LogLevel::Warning,
            format_args!("source back after {:.1} s, {attempts} attempts: {description}", away.as_secs_f64()),
        ),
    };
    let is_reopened = spec.policy().is_reopened();
    let reopening = || Reopening::new(Arc::clone(spec), Some(stall), report);
    match spec.open() {
        Ok(source) => {
            log.say(LogLevel::Info, format_args!("source {}", source.describe()));
            Ok(if is_reopened { Box::new(reopening().with_open(source)) } else { source })
        }
        Err(error) if is_reopened && error.kind() == Kind::Retry => {
            log.say(LogLevel::Warning, format_args!("waiting for source: {}", chain(&error)));
            Ok(Box::new(reopening()))
        }
        Err(error) if is_reopened => Err(Failure::device(error)),
        Err(error) => Err(Failure::input(error)),
    }
}

fn open_sinks(outputs: &[Arc<dyn SinkSpec>], context: &Context<'_>) -> Result<Vec<Box<dyn Sink>>, Failure> {
    let open = |output: &Arc<dyn SinkSpec>| {
        output.open(context).map_err(|error| match error {
            OpenError::Folder { folder, source } => Failure::write(&folder, source),
            OpenError::Package { .. } => Failure::input(error),
        })
    };
    outputs.iter().map(open).collect()
}

/// Supervises a pipeline: status LED, systemd, signals, and log.
struct Watch {
    running: Running,
    stop: Arc<AtomicBool>,
    light: Option<Box<dyn Light>>,
    notifier: Notifier,
    /// Whether the source is a device that is reopened after errors.
    is_reopened: bool,
    /// Whether only requested frames are processed.
    is_triggered: bool,
    stall: Duration,
    clock: Arc<SystemClock>,
    log: Log,
}

impl Watch {
    fn main(mut self) -> Result<(), Failure> {
        let mut heartbeat = self.notifier.watchdog().map(Heartbeat::new);
        let (mut status_at, mut summary_at) = (self.clock.now(), self.clock.now());
        let (mut light_failing, mut notify_failing) = (Failing::default(), Failing::default());
        // When the last frame was counted, and the count.
        let mut last = (self.clock.now(), 0);
        notify_failing.check(self.notifier.ready(), |error| self.log_notify(&error));
        while !self.stop.load(Ordering::Relaxed) && !self.running.is_finished() {
            let now = self.clock.now();
            let progress = self.running.progress();
            // Without a trigger's edge nothing is processed; captured frames show that the source works.
            let frames = if self.is_triggered { progress.captured() } else { progress.finished() };
            if frames > last.1 {
                last = (now, frames);
            }
            let pattern = match frames {
                _ if now.saturating_sub(last.0) > self.stall => Pattern::NoCamera,
                0 => Pattern::Starting,
                _ => Pattern::Running,
            };
            if let Some(result) = self.light.as_mut().map(|light| light.update(pattern, now)) {
                light_failing.check(result, |error| {
                    self.log.say(LogLevel::Error, format_args!("status LED: {}", chain(&error)));
                });
            }
            if heartbeat.as_mut().is_some_and(|heartbeat| heartbeat.is_due(now, frames)) {
                notify_failing.check(self.notifier.watchdog_alive(), |error| self.log_notify(&error));
            }
            if now.saturating_sub(status_at) >= STATUS_INTERVAL {
                status_at = now;
                if self.notifier.is_connected() {
                    notify_failing.check(self.notifier.status(&self.summary()), |error| self.log_notify(&error));
                }
            }
            if now.saturating_sub(summary_at) >= SUMMARY_INTERVAL {
                summary_at = now;
                self.log.say(LogLevel::Info, format_args!("{}", self.summary()));
            }
            std::thread::sleep(Pattern::UPDATE);
        }
        self.end()
    }

    fn end(mut self) -> Result<(), Failure> {
        let start = Instant::now();
        let was_signalled = self.stop.load(Ordering::Relaxed);
        let _ = self.notifier.stopping();
        let (ended, pins) = self.running.stop(END_PATIENCE);
        // Goes off, or to its configured safe state.
        self.light = None;
        let failed = self.running.progress().drops().failed;
        if let Err(error) = pins {
            self.log.say(LogLevel::Error, format_args!("{}", chain(&error)));
        }
        let why = if was_signalled { "stopped by a signal" } else { "the source has ended" };
        let milliseconds = start.elapsed().as_millis();
        self.log.say(LogLevel::Info, format_args!("{why}: {}; exited within {milliseconds} ms", self.summary()));
        match ended {
            Ended::Regular if failed > 0 && !was_signalled => {
                Err(Failure::fault(format!("{failed} frames were skipped")))
            }
            Ended::Regular => Ok(()),
            Ended::Source(error) if self.is_reopened => Err(Failure::device(error)),
            Ended::Source(error) => Err(Failure::input(error)),
            Ended::Panic(problem) => Err(Failure::internal(problem)),
        }
    }

    fn summary(&self) -> String {
        let progress = self.running.progress();
        let drops = progress.drops();
        let latencies = self.running.latencies();
        let [p50, p90, p99] = latencies.of(Stage::Total).summary_us().map(|us| us as f64 / 1e3);
        let missed: Vec<String> = self.running.missed().map(|(name, missed)| format!("{name} {missed}")).collect();
        let missed = if missed.is_empty() { String::new() } else { format!(" ({})", missed.join(", ")) };
        format!(
            "{} of {} frames processed, dropped: {} by the source, {} while busy, {} failed, {} unwritten{missed}; \
             total p50 {p50:.1} ms, p90 {p90:.1}, p99 {p99:.1}",
            progress.finished(),
            progress.captured(),
            drops.source,
            drops.busy,
            drops.failed,
            drops.unwritten
        )
    }

    fn log_notify(&self, error: &io::Error) {
        self.log.say(LogLevel::Warning, format_args!("failed to notify systemd: {error}"));
    }
}
