//! What a device does, and what of it a changed configuration can replace while frames are processed: rules, regions and outputs.
//! Package, engine, source, board, pins, watchdog and log level need a restart.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use unet_edge::board::LineAddress;
use unet_edge::config::{self, BoardConfig, Config, OutputConfig, Resolved, RuleConfig, WatchdogConfig};
use unet_edge::frame_source::SourceSpec;
use unet_edge::peripherals::SafeState;
use unet_edge::sinks::SinkSpec;
use unet_edge::telemetry::log::LogLevel;
use unet_engine::inference::EngineOptions;
use unet_shared::manifest::Manifest;
use unet_shared::tiles::TilesChoice;

use super::Failure;

/// A configuration with the classes of its package resolved, or what flags say in its place.
pub struct Setup {
    /// The configuration file.
    pub file: Option<PathBuf>,
    pub package: PathBuf,
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

impl Setup {
    /// Resolves the names of a configuration.
    pub fn new(file: &Path, config: Config, manifest: &Manifest) -> Result<Self, Failure> {
        let classes: Vec<&str> = manifest.classes.iter().map(|class| class.name.as_str()).collect();
        let resolved = config.resolve(&classes).map_err(Failure::input)?;
        let Config { package, engine, tiles, source, rules, board, outputs, watchdog, log, .. } = config;
        let (file, source) = (Some(file.to_owned()), as_trained(source, manifest));
        Ok(Setup { file, package, engine, tiles, source, resolved, rules, board, outputs, watchdog, log })
    }

    /// Reads a configuration file for a package that is loaded.
    pub fn read(file: &Path, manifest: &Manifest) -> Result<Self, Failure> {
        Setup::new(file, config::read(file).map_err(Failure::input)?, manifest)
    }

    /// Takes the parts that a running pipeline can replace.
    pub fn apply(&mut self, new: Setup) {
        (self.resolved, self.rules, self.outputs) = (new.resolved, new.rules, new.outputs);
    }
}

/// The source, reading image files as the package's training did.
pub fn as_trained(source: Arc<dyn SourceSpec>, manifest: &Manifest) -> Arc<dyn SourceSpec> {
    source.reading_as(&manifest.preprocess.samples).unwrap_or(source)
}

/// What changed between two configurations.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reload {
    applied: Vec<&'static str>,
    restart: Vec<&'static str>,
}

impl Reload {
    /// Compares the one in use with a new one.
    pub fn between(old: &Setup, new: &Setup) -> Self {
        let mut reload = Reload::default();
        let mut restart = |name, differs: bool| reload.restart.extend(differs.then_some(name));
        restart("package", old.package != new.package);
        restart("[engine]", differ(&(old.engine, old.tiles), &(new.engine, new.tiles)));
        restart("[source]", differ(&old.source, &new.source));
        restart("[board]", board(&old.board) != board(&new.board));
        restart("[watchdog]", old.watchdog != new.watchdog);
        restart("[log]", old.log != new.log);
        let pins_differ = pins(&old.rules) != pins(&new.rules);
        restart("the pins of the rules", pins_differ);
        // Neither rules nor what is written about them may be of different configurations.
        if !pins_differ {
            let mut applied = |name, differs: bool| reload.applied.extend(differs.then_some(name));
            applied("rules", old.resolved.rules != new.resolved.rules);
            applied("[regions]", differ(&old.resolved.regions, &new.resolved.regions));
            applied("[outputs]", differ(&old.outputs, &new.outputs));
        }
        reload
    }

    /// Whether anything can be replaced.
    pub fn is_applied(&self) -> bool {
        !self.applied.is_empty()
    }
}

impl fmt::Display for Reload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let applied = if self.applied.is_empty() { "nothing".to_owned() } else { self.applied.join(", ") };
        write!(formatter, "applied {applied}")?;
        if !self.restart.is_empty() {
            write!(formatter, "; changed and in need of a restart: {}", self.restart.join(", "))?;
        }
        Ok(())
    }
}

/// Whether two parts read differently. Their types have no equality of their own.
fn differ<T: fmt::Debug>(old: &T, new: &T) -> bool {
    format!("{old:?}") != format!("{new:?}")
}

/// A pin without its name and its line in the file.
type Pin<'a> = (&'a LineAddress, bool, SafeState);

fn pin(output: &OutputConfig) -> Pin<'_> {
    (&output.address, output.active_low, output.safe)
}

/// The pin of each rule, without those after the last one.
fn pins(rules: &[RuleConfig]) -> Vec<Option<Pin<'_>>> {
    let mut pins: Vec<_> = rules.iter().map(|rule| rule.output.as_ref().map(pin)).collect();
    pins.truncate(pins.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
    pins
}

fn board(board: &BoardConfig) -> impl PartialEq + '_ {
    let BoardConfig { name, status_led, trigger } = board;
    let trigger =
        trigger.as_ref().map(|input| (&input.address, input.active_low, input.bias, input.debounce, input.way));
    (*name, status_led.as_ref().map(pin), trigger)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"package = "a.unet"
[source]
kind = "files"
path = "a"
[[rule]]
name = "crack"
class = "crack"
condition = "area_percent > 0.5"
output = "gpio/1"
[[rule]]
name = "grain"
class = "grain"
condition = "regions > 3"
[watchdog]
stall_seconds = 5
"#;

    fn setup(text: &str) -> Setup {
        let config = config::parse("unet-edge.toml", text).unwrap();
        let resolved = config.resolve(&["grain", "crack"]).unwrap();
        let Config { package, engine, tiles, source, rules, board, outputs, watchdog, log, .. } = config;
        Setup { file: None, package, engine, tiles, source, resolved, rules, board, outputs, watchdog, log }
    }

    /// The result of replacing a part of the text.
    #[track_caller]
    fn changed(from: &str, to: &str) -> String {
        assert!(TEXT.contains(from));
        Reload::between(&setup(TEXT), &setup(&TEXT.replace(from, to))).to_string()
    }

    #[test]
    fn what_is_applied_and_what_needs_a_restart_is_told() {
        assert_eq!(changed("package", "# a comment\npackage"), "applied nothing");
        assert_eq!(changed("> 0.5", "> 0.7"), "applied rules");
        assert_eq!(changed("[watchdog]", "[outputs.masks]\nfolder = 'm'\n[watchdog]"), "applied [outputs]");
        assert_eq!(changed("[watchdog]", "[regions]\nmax = 3\n[watchdog]"), "applied [regions]");
        let restart = "; changed and in need of a restart: ";
        assert_eq!(changed("a.unet", "b.unet"), format!("applied nothing{restart}package"));
        assert_eq!(changed("\"a\"", "\"b\""), format!("applied nothing{restart}[source]"));
        assert_eq!(changed("stall_seconds = 5", "stall_seconds = 6"), format!("applied nothing{restart}[watchdog]"));
        let pins = "the pins of the rules";
        assert_eq!(changed("gpio/1", "gpio/2"), format!("applied nothing{restart}{pins}"));
        let last = "condition = \"regions > 3\"\n";
        let led = "[board]\nstatus_led = \"gpio/0\"\n";
        assert_eq!(
            changed(last, &format!("condition = \"regions > 4\"\n{led}")),
            format!("applied rules{restart}[board]")
        );
        // A rule without a pin may be added or removed at the end.
        let more = "[[rule]]\nname = \"more\"\nclass = \"grain\"\ncondition = \"regions > 9\"\n";
        assert_eq!(changed(last, &format!("{last}{more}")), "applied rules");
    }
}
