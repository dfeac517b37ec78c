//! `unet-edge run` on a camera or another source of frames: assembles the pipeline and supervises it until the source ends or a
//! signal arrives.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use unet_data::counted;
use unet_edge::clock::{Clock, SystemClock};
use unet_edge::config::Resolved;
use unet_edge::frame_source::{Change, FrameSource, Kind, Reopening, Requirement};
use unet_edge::outputs::Places;
use unet_edge::peripherals::Pattern;
use unet_edge::pipeline::{self, Ended, Liveness, Losses, Needs, Parts, Running, Sink, Step};
use unet_edge::sinks::{Configured, Context, OpenError, SinkSpec};
use unet_edge::telemetry::Stage;
use unet_edge::telemetry::log::{Failing, Log, LogLevel};
use unet_edge::telemetry::notify::{Heartbeat, Notifier};
use unet_engine::error::chain;
use unet_engine::exit::Exit;
use unet_engine::package::Package;
use unet_engine::segmenter::{Int8Segmenter, Segmenter};
use unet_shared::tiles::TilesChoice;

use super::pins::{Light, Peripherals};
use super::reload::{Reload, Setup};
use super::signals::Signals;
use super::{Failure, where_from};

/// The program exits within a second of a signal, including the time that the operating system needs.
const END_PATIENCE: Duration = Duration::from_millis(600);
/// How often the status is sent to systemd.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);
/// How often a summary is logged.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(300);

/// What a board does, from a configuration or from flags.
pub struct Device {
    pub package: Package,
    pub setup: Setup,
}

impl Device {
    /// Runs until the source ends or a signal arrives.
    pub fn main(self) -> Result<(), Failure> {
        let Device { package, setup } = self;
        let log = Log::new(setup.log);
        let signals = Signals::catch(setup.file.is_some()).map_err(Failure::fault)?;
        let notifier = if setup.watchdog.notify {
            Notifier::from_environment(|name| std::env::var_os(name)).map_err(Failure::input)?
        } else {
            Notifier::default()
        };
        let spec = package.manifest.preprocess;
        let started = Instant::now();
        let segmenter = Int8Segmenter::load_with(&package, &setup.engine).map_err(Failure::input)?;
        let loading = started.elapsed();
        log.say(LogLevel::Info, format_args!("package {}, engine {}", package.manifest.name, segmenter.engine()));
        let clock = Arc::new(SystemClock);
        let places = Arc::new(Places::new(log));
        let rules = setup.resolved.rules.clone();
        let context = Context { manifest: package.manifest, rules, clock: clock.clone(), places };
        let sinks = open_sinks(&setup.outputs, &Arc::new(context.clone()))?;
        let peripherals = Peripherals::open(setup.file.as_deref(), &setup.board, &setup.rules)?;
        let source = open(&setup, log)?;
        let with_margin = Needs::of(&sinks).margin;
        let policy = setup.source.policy();
        let step = Step::new(spec, segmenter, &setup.resolved.regions, setup.resolved.rules.clone(), with_margin);
        let tiles = TilesChoice::or_trained(setup.tiles, context.manifest.tiles);
        let step = step.map_err(Failure::input)?.with_tiles(tiles);
        if let Some(note) = step.tiles_note() {
            log.say(LogLevel::Info, format_args!("{note}"));
        }
        let is_triggered = peripherals.trigger.is_some();
        let parts = Parts {
            source,
            live: policy.live,
            trigger: peripherals.trigger,
            step,
            pins: peripherals.outputs,
            sinks,
            stall: setup.watchdog.stall,
            clock: clock.clone(),
            log,
        };
        let running = pipeline::start(parts).map_err(Failure::fault)?;
        let watch = Watch {
            running,
            signals,
            light: peripherals.status_led,
            notifier,
            is_reopened: policy.is_reopened(),
            is_triggered,
            loading,
            setup,
            context,
            clock,
            log,
        };
        watch.main()
    }
}

/// Opens the source. One that is reopened after errors may be unavailable at the start, any other may not.
fn open(setup: &Setup, log: Log) -> Result<Box<dyn FrameSource>, Failure> {
    let (spec, stall) = (&setup.source, setup.watchdog.stall);
    let report = move |change| match change {
        Change::Lost(error) => log.say(LogLevel::Warning, format_args!("source lost, reopening: {}", chain(&error))),
        Change::Back { description, away, attempts } => log.say(
            LogLevel::Warning,
            format_args!(
                "source back after {:.1} s, {}: {description}",
                away.as_secs_f64(),
                counted(attempts as usize, "attempt")
            ),
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
            let error = chain(&error);
            log.say(LogLevel::Warning, format_args!("waiting for source until it is there: {error}"));
            Ok(Box::new(reopening().waiting()))
        }
        Err(error) if is_reopened => Err(Failure::device(error)),
        Err(error) => Err(Failure::input(match (&setup.file, spec.requirement()) {
            // Who types a path knows where it starts.
            (Some(_), Requirement::Path(path)) => chain(&error) + &where_from(path),
            _ => chain(&error),
        })),
    }
}

fn open_sinks(outputs: &[Arc<dyn SinkSpec>], context: &Arc<Context>) -> Result<Vec<Box<dyn Sink>>, Failure> {
    let open = |output: &Arc<dyn SinkSpec>| match Configured::now(Arc::clone(output), Arc::clone(context)) {
        Ok(sink) => Ok(Box::new(sink) as Box<dyn Sink>),
        Err(OpenError::Folder { folder, source }) => Err(Failure::write(&folder, source)),
        Err(OpenError::StandardOutput(source)) => Err(Failure::write("standard output".as_ref(), source)),
        Err(error @ OpenError::Package { .. }) => Err(Failure::input(error)),
    };
    outputs.iter().map(open).collect()
}

/// Supervises a pipeline: status LED, systemd, signals, and log.
struct Watch {
    running: Running,
    signals: Signals,
    light: Option<Box<dyn Light>>,
    notifier: Notifier,
    /// Whether the source is a device that is reopened after errors.
    is_reopened: bool,
    /// Whether only requested frames are processed.
    is_triggered: bool,
    /// How long loading the model took.
    loading: Duration,
    /// What is in use, for comparison when the configuration is read again.
    setup: Setup,
    context: Context,
    clock: Arc<SystemClock>,
    log: Log,
}

impl Watch {
    fn main(mut self) -> Result<(), Failure> {
        let mut heartbeat = self.notifier.watchdog().map(Heartbeat::new);
        let (mut status_at, mut summary_at) = (self.clock.now(), self.clock.now());
        let (mut light_failing, mut notify_failing) = (Failing::default(), Failing::default());
        let mut liveness = Liveness::new(self.clock.now(), self.setup.watchdog.stall, self.loading);
        notify_failing.check(self.notifier.ready(), |error| self.log_notify(&error));
        while !self.signals.is_stop() && !self.running.is_finished() {
            if self.signals.take_reload() {
                self.reload();
            }
            if self.signals.take_status() {
                self.log.say(LogLevel::Info, format_args!("status: {}", self.summary()));
            }
            let now = self.clock.now();
            let pulse = self.running.progress().pulse(self.is_triggered);
            liveness.see(now, pulse);
            let pattern = match pulse.frames {
                _ if liveness.is_stalled() => Pattern::NoCamera,
                0 => Pattern::Starting,
                _ => Pattern::Running,
            };
            if let Some(result) = self.light.as_mut().map(|light| light.update(pattern, now)) {
                light_failing.check(result, |error| {
                    self.log.say(LogLevel::Error, format_args!("status LED: {}", chain(&error)));
                });
            }
            if heartbeat.as_mut().is_some_and(|heartbeat| heartbeat.is_due(now, liveness.is_alive())) {
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

    /// Reads the configuration again, and takes from it what can change while frames are processed.
    fn reload(&mut self) {
        let Some(file) = self.setup.file.clone() else { return };
        match Setup::read(&file, &self.context.manifest) {
            Ok(new) => {
                let reload = Reload::between(&self.setup, &new);
                if reload.is_applied() {
                    let context = Context { rules: new.resolved.rules.clone(), ..self.context.clone() };
                    let shared = Arc::new(context.clone());
                    let sinks = new.outputs.iter().map(|spec| {
                        Box::new(Configured::later(Arc::clone(spec), Arc::clone(&shared))) as Box<dyn Sink>
                    });
                    let Resolved { rules, regions } = new.resolved.clone();
                    if let Err(error) = self.running.reconfigure(rules, regions, sinks.collect()) {
                        return self.log.say(LogLevel::Error, format_args!("{}: not applied: {error}", file.display()));
                    }
                    self.context = context;
                    self.setup.apply(new);
                }
                self.log.say(LogLevel::Warning, format_args!("{}: read again: {reload}", file.display()));
            }
            Err(failure) => {
                let told = "going on with the configuration as it was";
                self.log.say(LogLevel::Error, format_args!("not reloaded, {told}: {failure}"));
            }
        }
    }

    fn end(mut self) -> Result<(), Failure> {
        let start = Instant::now();
        let was_signalled = self.signals.is_stop();
        let _ = self.notifier.stopping();
        let (ended, pins) = self.running.stop(END_PATIENCE);
        // Goes off, or to its configured safe state.
        self.light = None;
        let failed = self.running.progress().drops().failed;
        if let Err(error) = pins {
            self.log.say(LogLevel::Error, format_args!("{}", chain(&error)));
        }
        let losses = self.running.losses();
        let left = listed(&losses, |losses| losses.waiting);
        if !left.is_empty() {
            self.log.say(LogLevel::Warning, format_args!("not written at the end: {left}"));
        }
        let unwritten = listed(&losses, |losses| losses.failed);
        let why = if was_signalled { "stopped by a signal" } else { "the source has ended" };
        let milliseconds = start.elapsed().as_millis();
        self.log.say(LogLevel::Info, format_args!("{why}: {}; exited within {milliseconds} ms", self.summary()));
        match ended {
            Ended::Panic(problem) => Err(Failure::internal(problem)),
            Ended::Source(error) if self.is_reopened => Err(Failure::device(error)),
            Ended::Source(error) => Err(Failure::input(error)),
            Ended::Regular if !unwritten.is_empty() => {
                let error = format!("results were lost because they could not be written: {unwritten}");
                Err(Failure { exit: Exit::Write, error: error.into() })
            }
            Ended::Regular if failed > 0 && !was_signalled => {
                Err(Failure::fault(format!("{} could not be read", counted(failed as usize, "frame"))))
            }
            Ended::Regular => Ok(()),
        }
    }

    fn summary(&self) -> String {
        let progress = self.running.progress();
        let drops = progress.drops();
        let latencies = self.running.latencies();
        let [p50, p90, p99] = latencies.of(Stage::Total).summary_us().map(|us| us as f64 / 1e3);
        let missed = listed(&self.running.losses(), |losses| losses.missed + losses.failed);
        let missed = if missed.is_empty() { String::new() } else { format!(" ({missed})") };
        format!(
            "{} of {} processed, dropped: {} by the source, {} while busy, {} failed, {} unwritten{missed}; \
             total p50 {p50:.1} ms, p90 {p90:.1}, p99 {p99:.1}",
            progress.finished(),
            counted(progress.arrived() as usize, "frame"),
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

/// The outputs with a count above 0: `masks 3, JSON lines 7`.
fn listed(losses: &[(&'static str, Losses)], count: impl Fn(&Losses) -> u64) -> String {
    let counts = losses.iter().map(|(name, losses)| (name, count(losses))).filter(|(_, count)| *count > 0);
    counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}
