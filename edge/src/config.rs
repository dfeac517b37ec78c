//! The configuration file of a board, `unet-edge.toml`. It is read and checked as a whole, so that one attempt shows every error
//! with its line; `unet-edge.example.toml` beside the crate's manifest shows every key.
//!
//! The keys of each source and of each output are read beside that source and output. Relative paths are relative to the
//! working directory of the program.

mod board;
mod pin;
mod rules;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeTable;
use unet_data::toml_problem;
use unet_engine::inference::{EngineOptions, KernelChoice};
use unet_shared::tiles::TilesChoice;

pub use crate::section::{ConfigError, ConfigErrors};
pub use board::BoardConfig;
pub use pin::{InputConfig, OutputConfig, TriggerWay};
pub use rules::{Resolved, RuleConfig};

use crate::board::LineAddress;
use crate::frame_source::{self, SourceSpec};
use crate::postprocess::Connectivity;
use crate::section::{Errors, Lined, Section};
use crate::sinks::{self, SinkSpec};
use crate::telemetry::log::LogLevel;

/// Size limit of the file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// What a board does.
#[derive(Debug, Clone)]
pub struct Config {
    /// The package.
    pub package: PathBuf,
    /// How the model is run.
    pub engine: EngineOptions,
    /// Whether and how frames are cut; none to do as the package says.
    pub tiles: Option<TilesChoice>,
    /// Where frames come from.
    pub source: Arc<dyn SourceSpec>,
    /// Which regions are reported.
    pub regions: RegionsConfig,
    /// What is decided from a mask.
    pub rules: Vec<RuleConfig>,
    /// The board and its pins.
    pub board: BoardConfig,
    /// What is written.
    pub outputs: Vec<Arc<dyn SinkSpec>>,
    /// Supervision.
    pub watchdog: WatchdogConfig,
    /// The log level.
    pub log: LogLevel,
    // For errors found by `resolve`.
    file: String,
}

/// `[regions]`
#[derive(Debug, Clone, PartialEq)]
pub struct RegionsConfig {
    /// Which pixels are neighbours.
    pub connectivity: Connectivity,
    /// How many regions are listed.
    pub regions_max: usize,
    /// The smallest region that counts, in pixels of the mask.
    pub area_min: u32,
    /// Names of the classes without regions, with their lines.
    pub without: Vec<(String, usize)>,
}

/// `[watchdog]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchdogConfig {
    /// Whether the service manager is notified, if there is one.
    pub notify: bool,
    /// How long frames may be missing before the source counts as lost.
    pub stall: Duration,
}

impl Default for WatchdogConfig {
    fn default() -> Self {
        WatchdogConfig { notify: true, stall: Duration::from_secs(5) }
    }
}

/// Reads the file `path`, see [`parse`].
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn read(path: &Path) -> Result<Config, ConfigErrors> {
    let file = path.display().to_string();
    let unreadable = |problem: String| ConfigErrors::of_file(&file, problem);
    let failed = |error: std::io::Error| unreadable(format!("could not be read: {error}"));
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > CONFIG_BYTES_MAX {
        return Err(unreadable(format!("expected at most {CONFIG_BYTES_MAX} bytes, found {bytes}")));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    parse(&file, &text)
}

/// Parses a configuration; `file` names it in messages.
///
/// # Errors
///
/// Everything that is wrong with it, ordered by line. If the text is not valid TOML, only the syntax errors.
pub fn parse(file: &str, text: &str) -> Result<Config, ConfigErrors> {
    let errors = Errors::new(file, text);
    let (table, malformed) = DeTable::parse_recoverable(text);
    for error in &malformed {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.lines().nth(errors.line(start) - 1).unwrap_or_default();
        errors.add(start, "", &toml_problem(line, error.message()));
    }
    if !malformed.is_empty() {
        return Err(errors.finish());
    }
    let mut root = Section::new(String::new(), Some(table.get_ref()), 0, &errors);
    root.require("package", "the path of a package");
    let package = root.path("package");
    let (engine, tiles) = engine(root.section("engine"));
    root.require("source", "a table of keys");
    let source = root.section("source").and_then(frame_source::read);
    let regions = regions(root.section("regions"));
    let (board, boards) = board::read(root.section("board"));
    let rules = rules::read(root.sections("rule"), &boards);
    let outputs = sinks::read(root.section_or_empty("outputs"));
    let watchdog = watchdog(root.section("watchdog"));
    let log = log(root.section("log"));
    root.finish();
    check_pins(&board, &rules, &errors);
    match (package, source) {
        (Some(package), Some(source)) if errors.is_empty() => Ok(Config {
            package: package.value,
            engine,
            tiles,
            source,
            regions,
            rules,
            board,
            outputs,
            watchdog,
            log,
            file: file.to_owned(),
        }),
        // A missing package or source has been reported.
        _ => Err(errors.finish()),
    }
}

fn engine(section: Option<Section<'_, '_>>) -> (EngineOptions, Option<TilesChoice>) {
    let (mut options, mut tiles) = (EngineOptions::default(), None);
    let Some(mut section) = section else { return (options, tiles) };
    if let Some(threads) = section.integer("threads", 1..=EngineOptions::THREADS_MAX as u64, "1 to 64 threads") {
        options.threads = threads as usize;
    }
    if let Some(Lined { value: name, .. }) = section.text("kernel") {
        match name.parse::<KernelChoice>() {
            Ok(kernel) => match kernel.check() {
                Ok(()) => options.kernel = kernel,
                // The key and its value are named already.
                Err(error) => {
                    let problem = error.to_string();
                    section
                        .refuse_with("kernel", problem.strip_prefix(&format!("kernel {name}: ")).unwrap_or(&problem));
                }
            },
            Err(error) => section.refuse_with("kernel", &error.to_string()),
        }
    }
    if let Some(Lined { value: text, .. }) = section.text("tiles") {
        match text.parse() {
            Ok(choice) => tiles = Some(choice),
            Err(error) => section.refuse_with("tiles", &format!("{error}; or \"none\"")),
        }
    }
    section.finish();
    (options, tiles)
}

fn regions(section: Option<Section<'_, '_>>) -> RegionsConfig {
    let mut config =
        RegionsConfig { connectivity: Connectivity::Eight, regions_max: 16, area_min: 1, without: Vec::new() };
    let Some(mut section) = section else { return config };
    let ways = [(4, Connectivity::Four), (8, Connectivity::Eight)];
    if let Some(found) = section.integer("connectivity", 0..=u64::MAX, "4 or 8") {
        match ways.iter().find(|(number, _)| *number == found) {
            Some((_, connectivity)) => config.connectivity = *connectivity,
            None => section.refuse("connectivity", "4 or 8"),
        }
    }
    if let Some(max) = section.integer("max", 0..=1024, "0 to 1024 regions") {
        config.regions_max = max as usize;
    }
    if let Some(area) = section.integer("area_min", 1..=u64::from(u32::MAX), "1 or more pixels") {
        config.area_min = area as u32;
    }
    let without = section.texts("without", "[\"background\"]").unwrap_or_default();
    config.without = without.into_iter().map(|Lined { value, line }| (value, line)).collect();
    section.finish();
    config
}

fn watchdog(section: Option<Section<'_, '_>>) -> WatchdogConfig {
    let mut config = WatchdogConfig::default();
    let Some(mut section) = section else { return config };
    config.notify = section.boolean("notify").unwrap_or(true);
    config.stall = section.seconds("stall_seconds", 0.1..=3600.0).unwrap_or(config.stall);
    section.finish();
    config
}

fn log(section: Option<Section<'_, '_>>) -> LogLevel {
    let Some(mut section) = section else { return LogLevel::default() };
    let level = section.choice("level", &LogLevel::ALL.map(|level| (level.name(), level)));
    section.finish();
    level.unwrap_or_default()
}

/// Reports pins that are used twice.
fn check_pins(board: &BoardConfig, rules: &[RuleConfig], errors: &Errors<'_>) {
    let led = board.status_led.as_ref().map(|led| ("board: status_led".to_owned(), &led.address, led.line));
    let trigger = board.trigger.as_ref().map(|input| ("board: trigger".to_owned(), &input.address, input.line));
    let outputs = rules.iter().filter_map(|rule| {
        let output = rule.output.as_ref()?;
        Some((format!("rule {:?}: output", rule.name), &output.address, output.line))
    });
    let mut seen: Vec<(String, &LineAddress, usize)> = Vec::new();
    for (user, address, line) in led.into_iter().chain(trigger).chain(outputs) {
        if let Some((other, _, other_line)) = seen.iter().find(|(_, used, _)| *used == address) {
            errors.add_at_line(line, &user, &format!("the pin is already used by {other} in line {other_line}"));
        }
        seen.push((user, address, line));
    }
}

#[cfg(test)]
mod tests;
