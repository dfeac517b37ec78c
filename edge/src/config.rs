//! The one file that says what a board does: `unet-edge.toml`. Read and checked as a whole, so that one attempt shows every
//! mistake with its line; `unet-edge.example.toml` beside the crate's manifest shows every key.
//!
//! What the source is stays open here: its section is read by serde into whatever type the caller names. Relative paths are
//! relative to where the program is started.

mod board;
mod errors;
mod outputs;
mod rules;
mod section;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use toml::de::DeTable;

pub use board::{BoardConfig, InputConfig, OutputConfig, TriggerWay};
pub use errors::{ConfigError, ConfigErrors};
pub use outputs::{FolderConfig, HardFramesConfig, OutputsConfig, RecorderConfig};
pub use rules::{Resolved, RuleConfig};

use crate::postprocess::Connectivity;
use errors::Errors;
use section::{Lined, Section};

/// The largest file that is read.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// What a board does. `S` is what the section `[source]` is read into.
#[derive(Debug, Clone, PartialEq)]
pub struct Config<S> {
    /// The package.
    pub package: PathBuf,
    /// How it is run.
    pub engine: EngineConfig,
    /// Where frames come from.
    pub source: S,
    /// Which regions are looked for.
    pub regions: RegionsConfig,
    /// What is decided.
    pub rules: Vec<RuleConfig>,
    /// The pins.
    pub board: BoardConfig,
    /// What is written.
    pub outputs: OutputsConfig,
    /// What tells that all is well.
    pub watchdog: WatchdogConfig,
    /// How much is said.
    pub log: LogLevel,
    // For messages of the second step.
    file: String,
}

/// `[engine]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// How many threads share a frame.
    pub threads: u16,
    /// What computes, by the name that `--kernel` takes.
    pub kernel: String,
    /// Where that name stands.
    pub kernel_line: usize,
}

/// `[regions]`
#[derive(Debug, Clone, PartialEq)]
pub struct RegionsConfig {
    /// Which pixels are neighbours.
    pub connectivity: Connectivity,
    /// How many are listed.
    pub regions_max: usize,
    /// The smallest that counts, in pixels of the mask.
    pub area_min: u32,
    /// Names of the classes whose regions are not looked for, with their lines.
    pub without: Vec<(String, usize)>,
}

/// `[watchdog]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchdogConfig {
    /// Whether the service manager is told, where there is one.
    pub notify: bool,
    /// Without a frame for so long the camera counts as gone.
    pub stall: Duration,
}

/// `[log]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// What ends the program or loses data.
    Error,
    /// What goes on but should not be.
    Warning,
    /// What happens now and then.
    #[default]
    Info,
    /// What happens with each frame.
    Debug,
}

impl LogLevel {
    /// All of them, the quietest first.
    pub const ALL: [LogLevel; 4] = [LogLevel::Error, LogLevel::Warning, LogLevel::Info, LogLevel::Debug];

    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warning => "warning",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        }
    }
}

/// Reads the file `path`, as [`parse`] does its text.
///
/// # Errors
///
/// All that is wrong with it.
pub fn read<S: DeserializeOwned>(path: &Path) -> Result<Config<S>, ConfigErrors> {
    let file = path.display().to_string();
    let unreadable = |problem: String| ConfigErrors::of_file(&file, problem);
    let bytes = std::fs::metadata(path).map_err(|error| unreadable(format!("could not be read: {error}")))?.len();
    if bytes > CONFIG_BYTES_MAX {
        return Err(unreadable(format!("expected at most {CONFIG_BYTES_MAX} bytes, found {bytes}")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(format!("could not be read: {error}")))?;
    parse(&file, &text)
}

/// Reads a configuration; `file` is its name in messages.
///
/// # Errors
///
/// All that is wrong with it, in the order of the lines. A text that is no TOML has only its mistakes of form shown.
pub fn parse<S: DeserializeOwned>(file: &str, text: &str) -> Result<Config<S>, ConfigErrors> {
    let errors = Errors::new(file, text);
    let (table, malformed) = DeTable::parse_recoverable(text);
    for error in &malformed {
        errors.add(error.span().map_or(0, |span| span.start), "", error.message().trim_end());
    }
    if !malformed.is_empty() {
        return Err(errors.finish());
    }
    let mut root = Section::new(String::new(), table.get_ref(), 0, &errors);
    let package = root.path("package");
    if package.is_none() {
        root.want("package", "the path of a package");
    }
    let engine = engine(root.section("engine"));
    let source = root.deserialize("source");
    let regions = regions(root.section("regions"));
    let board = board::read(root.section("board"));
    let rules = rules::read(root.sections("rule"), board.name);
    let outputs = outputs::read(root.section("outputs"));
    let watchdog = watchdog(root.section("watchdog"));
    let log = log(root.section("log"));
    root.finish();
    board::check_pins(&board, &rules, &errors);
    if !errors.is_empty() {
        return Err(errors.finish());
    }
    match (package, source) {
        (Some(package), Some(source)) => Ok(Config {
            package: package.value,
            engine,
            source,
            regions,
            rules,
            board,
            outputs,
            watchdog,
            log,
            file: file.to_owned(),
        }),
        // Each of them would have been an error.
        _ => Err(errors.finish()),
    }
}

fn engine(section: Option<Section<'_, '_>>) -> EngineConfig {
    let default = EngineConfig { threads: 1, kernel: "auto".to_owned(), kernel_line: 0 };
    let Some(mut section) = section else { return default };
    let threads = section.integer("threads", 1..=64, "1 to 64 threads");
    let kernel = section.text("kernel");
    section.finish();
    let (kernel, kernel_line) = kernel.map_or((default.kernel, 0), |Lined { value, line }| (value, line));
    EngineConfig { threads: threads.map_or(1, |threads| threads as u16), kernel, kernel_line }
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
    config.without = section.texts("without").into_iter().map(|Lined { value, line }| (value, line)).collect();
    section.finish();
    config
}

impl Default for WatchdogConfig {
    fn default() -> Self {
        WatchdogConfig { notify: true, stall: Duration::from_secs(5) }
    }
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

#[cfg(test)]
mod tests;
