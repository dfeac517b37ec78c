//! `unet-edge run` on a camera or another source of frames: assembles the pipeline, and watches it until it ends or is asked
//! to.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use unet_edge::board::BoardError;
use unet_edge::clock::{Clock, SystemClock};
use unet_edge::config::{BoardConfig, FolderConfig, LogLevel, OutputsConfig, Resolved, RuleConfig, WatchdogConfig};
use unet_edge::frame_source::recording::{Recorder, RecorderBounds};
use unet_edge::frame_source::{Change, FrameSource, Reopening, SourceSpec};
use unet_edge::outputs::{BoundedFolder, FolderBounds, HardFrames, HardFramesBounds, file_stem};
use unet_edge::peripherals::Pattern;
use unet_edge::pipeline::sinks::{HardFrameSink, LineSink, Picture, PictureSink, RecorderSink};
use unet_edge::pipeline::{self, Ended, Parts, Running, Sink, Step};
use unet_edge::rules::Rule;
use unet_edge::telemetry::Stage;
use unet_edge::telemetry::json_lines::JsonLines;
use unet_edge::telemetry::log::Log;
use unet_edge::telemetry::notify::{Heartbeat, Notifier};
use unet_engine::error::{Kind, chain};
use unet_engine::inference::EngineOptions;
use unet_engine::package::Package;
use unet_engine::segmenter::{Int8Segmenter, Segmenter};

use super::Failure;
use super::pins::{Light, Peripherals};

/// The program ends within a second after it is asked to, the time that the system takes for it included.
const END_PATIENCE: Duration = Duration::from_millis(600);
/// How often a person and the service manager are told how it goes.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);
const SUMMARY_INTERVAL: Duration = Duration::from_secs(300);

/// What a board does, whoever has said it.
pub struct Device {
    pub package: Package,
    pub engine: EngineOptions,
    pub source: SourceSpec,
    pub resolved: Resolved,
    pub rules: Vec<RuleConfig>,
    pub board: BoardConfig,
    pub outputs: OutputsConfig,
    pub watchdog: WatchdogConfig,
    pub log: LogLevel,
}

impl Device {
    /// Until the source ends, or a signal comes.
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
        let sinks = sinks(&self.package, &self.outputs, &self.resolved.rules)?;
        let peripherals = Peripherals::open(&self.board, &self.rules)?;
        let source = open(&self.source, self.watchdog.stall, log)?;
        let with_margin = self.outputs.hard_frames.is_some();
        let step = Step::new(spec, segmenter, &self.resolved.regions, self.resolved.rules, with_margin);
        let is_triggered = peripherals.trigger.is_some();
        let clock = Arc::new(SystemClock);
        let parts = Parts {
            source,
            keep_all: keeps_all(&self.source),
            trigger: peripherals.trigger,
            step: step.map_err(Failure::input)?,
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
            comes_back: comes_back(&self.source),
            is_triggered,
            stall: self.watchdog.stall,
            clock,
            log,
        };
        watch.main()
    }
}

/// A camera or program that is away, now or later, is waited for; everything else has to be there.
fn open(spec: &SourceSpec, stall: Duration, log: Log) -> Result<Box<dyn FrameSource>, Failure> {
    let tell = move |change| match change {
        Change::Lost(error) => {
            log.say(LogLevel::Warning, format_args!("source lost, and tried again: {}", chain(&error)));
        }
        Change::Back { description, away, attempts } => log.say(
            LogLevel::Warning,
            format_args!("source back after {:.1} s, {attempts} attempts: {description}", away.as_secs_f64()),
        ),
    };
    let comes_back = comes_back(spec);
    let opened = spec.open();
    if let Ok(source) = &opened {
        log.say(LogLevel::Info, format_args!("source {}", source.describe()));
    }
    match opened {
        Ok(source) if comes_back => Ok(Box::new(Reopening::new(spec.clone(), Some(stall), tell).with_open(source))),
        Ok(source) => Ok(source),
        Err(error) if comes_back && error.kind() == Kind::Retry => {
            log.say(LogLevel::Warning, format_args!("source is waited for: {}", chain(&error)));
            Ok(Box::new(Reopening::new(spec.clone(), Some(stall), tell)))
        }
        Err(error) if comes_back => Err(Failure::device(error)),
        Err(error) => Err(Failure::input(error)),
    }
}

fn comes_back(source: &SourceSpec) -> bool {
    matches!(source, SourceSpec::V4l2(_) | SourceSpec::Process(_))
}

/// Files wait until they are seen, unless they play a camera by a rate of their own.
fn keeps_all(source: &SourceSpec) -> bool {
    match source {
        SourceSpec::Files(clip) | SourceSpec::Y4m(clip) | SourceSpec::Recording(clip) => clip.rate.is_none(),
        SourceSpec::V4l2(_) | SourceSpec::Process(_) => false,
    }
}

fn sinks(package: &Package, outputs: &OutputsConfig, rules: &[Rule]) -> Result<Vec<Box<dyn Sink>>, Failure> {
    let manifest = &package.manifest;
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if outputs.json_lines {
        let classes = manifest.classes.iter().map(|class| class.name.as_str());
        let lines = JsonLines::new(classes, rules.iter().map(|rule| rule.name.as_str()));
        sinks.push(Box::new(LineSink::new(lines, io::stdout())));
    }
    let folder = |folder: &FolderConfig| {
        let bounds = FolderBounds { files_max: folder.files_max, bytes_max: folder.bytes_max };
        BoundedFolder::open(&folder.folder, bounds).map_err(|error| Failure::write(&folder.folder, error))
    };
    let spec = manifest.preprocess;
    if let Some(masks) = &outputs.masks {
        let picture = Picture::Mask(Box::new(manifest.label_table().map_err(Failure::input)?));
        sinks.push(Box::new(PictureSink::new("masks", picture, spec, folder(masks)?, masks.every)));
    }
    if let Some(overlays) = &outputs.overlays {
        let picture = Picture::Overlay(manifest.classes.iter().map(|class| class.color).collect());
        sinks.push(Box::new(PictureSink::new("overlays", picture, spec, folder(overlays)?, overlays.every)));
    }
    if let Some(hard) = &outputs.hard_frames {
        let bounds = HardFramesBounds {
            margin_below: hard.margin_below,
            frames_max: hard.frames_max,
            bytes_max: hard.bytes_max,
            pause: hard.pause,
        };
        let frames = HardFrames::open(&hard.folder, bounds).map_err(|error| Failure::write(&hard.folder, error))?;
        sinks.push(Box::new(HardFrameSink::new(frames)));
    }
    if let Some(recorder) = &outputs.recorder {
        let bounds = RecorderBounds { bytes_max: recorder.bytes_max, frames_max: recorder.frames_max };
        let stem = file_stem(SystemClock.since_1970(), 0);
        let recorder = Recorder::create_in(&recorder.folder, &stem, bounds)
            .map_err(|error| Failure::write(&recorder.folder, error))?;
        sinks.push(Box::new(RecorderSink::new(recorder)));
    }
    Ok(sinks)
}

/// What looks after a pipeline: the light, the service manager, signals, and a word now and then.
struct Watch {
    running: Running,
    stop: Arc<AtomicBool>,
    light: Option<Box<dyn Light>>,
    notifier: Notifier,
    /// Whether the source is a camera or a program, no file.
    comes_back: bool,
    /// Whether frames are only seen when something asks for them.
    is_triggered: bool,
    stall: Duration,
    clock: Arc<SystemClock>,
    log: Log,
}

impl Watch {
    fn main(mut self) -> Result<(), Failure> {
        let mut heartbeat = self.notifier.watchdog().map(Heartbeat::new);
        let (mut status_at, mut summary_at) = (self.clock.now(), self.clock.now());
        let (mut light_fails, mut manager_fails) = (false, false);
        // When the last frame came, and how many there were then.
        let mut last = (self.clock.now(), 0);
        self.tell_manager(Notifier::ready(&self.notifier), &mut manager_fails);
        while !self.stop.load(Ordering::Relaxed) && !self.running.is_finished() {
            let now = self.clock.now();
            let progress = self.running.progress();
            // Without a question there is no answer; frames that come show that the source is well.
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
                self.tell_light(result, &mut light_fails);
            }
            if heartbeat.as_mut().is_some_and(|heartbeat| heartbeat.is_due(now, frames)) {
                self.tell_manager(self.notifier.watchdog_alive(), &mut manager_fails);
            }
            if now.saturating_sub(status_at) >= STATUS_INTERVAL {
                status_at = now;
                if self.notifier.is_connected() {
                    self.tell_manager(self.notifier.status(&self.summary()), &mut manager_fails);
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
        let asked = Instant::now();
        let was_asked = self.stop.load(Ordering::Relaxed);
        let _ = self.notifier.stopping();
        let (ended, pins) = self.running.stop(END_PATIENCE);
        // Goes out, or is left as its configuration says.
        self.light = None;
        let failed = self.running.progress().drops().failed;
        if let Err(error) = pins {
            self.log.say(LogLevel::Error, format_args!("{}", chain(&error)));
        }
        let why = if was_asked { "asked to end" } else { "the source has ended" };
        let milliseconds = asked.elapsed().as_millis();
        self.log.say(LogLevel::Info, format_args!("{why}: {}; ended within {milliseconds} ms", self.summary()));
        match ended {
            Ended::Well if failed > 0 && !was_asked => Err(Failure::fault(format!("{failed} frames were skipped"))),
            Ended::Well => Ok(()),
            Ended::Source(error) if self.comes_back => Err(Failure::device(error)),
            Ended::Source(error) => Err(Failure::input(error)),
            Ended::Fault(problem) => Err(Failure::internal(problem)),
        }
    }

    fn summary(&self) -> String {
        let progress = self.running.progress();
        let drops = progress.drops();
        let latencies = self.running.latencies();
        let [p50, p90, p99] = latencies.of(Stage::Total).summary_us().map(|us| us as f64 / 1e3);
        format!(
            "{} frames seen of {}, lost {} by the source, {} while busy, {} failed, {} unwritten; \
             total p50 {p50:.1} ms, p90 {p90:.1}, p99 {p99:.1}",
            progress.finished(),
            progress.captured(),
            drops.source,
            drops.busy,
            drops.failed,
            drops.unwritten
        )
    }

    /// Of errors that come again and again only the first is worth a word.
    fn tell_light(&self, result: Result<(), BoardError>, failing: &mut bool) {
        match result {
            Ok(()) => *failing = false,
            Err(error) => {
                if !std::mem::replace(failing, true) {
                    self.log.say(LogLevel::Error, format_args!("status LED: {}", chain(&error)));
                }
            }
        }
    }

    fn tell_manager(&self, result: io::Result<()>, failing: &mut bool) {
        match result {
            Ok(()) => *failing = false,
            Err(error) => {
                if !std::mem::replace(failing, true) {
                    self.log.say(LogLevel::Warning, format_args!("the service manager takes no word: {error}"));
                }
            }
        }
    }
}

/// The folders that `--output` asks for, with bounds that no short run meets.
pub fn output_folders(output: &Path) -> [FolderConfig; 2] {
    ["masks", "overlays"].map(|name| FolderConfig {
        folder: output.join(name),
        files_max: 100_000,
        bytes_max: 8 << 30,
        every: 1,
    })
}
