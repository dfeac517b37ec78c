use serde::Deserialize;

use super::*;
use crate::board::{Bias, BoardName, LineId};
use crate::peripherals::SafeState;

/// A source of the kind that the sections are made for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    kind: String,
    device: Option<String>,
}

const EXAMPLE: &str = include_str!("../../unet-edge.example.toml");
const SMALLEST: &str = "package = \"a.unet\"\n[source]\nkind = \"v4l2\"\n";

fn parsed(text: &str) -> Config<Source> {
    parse("unet-edge.toml", text).unwrap()
}

/// The messages without the file's name.
fn errors(text: &str) -> Vec<String> {
    let error = parse::<Source>("unet-edge.toml", text).unwrap_err().to_string();
    error.lines().map(|line| line.strip_prefix("unet-edge.toml:").unwrap().to_owned()).collect()
}

/// The messages that a piece of text gets after the smallest configuration, of three lines.
fn errors_after(text: &str) -> Vec<String> {
    errors(&format!("{SMALLEST}{text}"))
}

#[test]
fn the_example_is_read() {
    let config = parsed(EXAMPLE);
    assert_eq!(config.package, Path::new("sandstone.unet"));
    assert_eq!((config.engine.threads, config.engine.kernel.as_str()), (4, "auto"));
    assert_eq!(config.source, Source { kind: "v4l2".to_owned(), device: Some("/dev/video0".to_owned()) });
    let [crack, grains] = config.rules.as_slice() else { panic!("{:?}", config.rules) };
    assert_eq!((crack.condition.to_string().as_str(), crack.for_frames), ("area_percent > 0.5", 3));
    assert_eq!((crack.release, crack.release_frames), (0.3, 10));
    let pin = crack.output.as_ref().unwrap();
    assert_eq!((pin.active_low, pin.safe, &pin.address.line), (true, SafeState::Inactive, &LineId::Offset(22)));
    assert_eq!((grains.for_frames, grains.release, grains.release_frames), (1, 5.0, 1));
    assert_eq!(grains.output.as_ref().unwrap().address.line, LineId::Offset(23));
    assert_eq!(config.board.name, BoardName::Pi4);
    let trigger = config.board.trigger.as_ref().unwrap();
    assert_eq!((trigger.bias, trigger.debounce), (Some(Bias::PullDown), Duration::from_millis(5)));
    let masks = config.outputs.masks.as_ref().unwrap();
    assert_eq!((masks.files_max, masks.bytes_max, masks.every), (1000, 256 << 20, 10));
    assert_eq!(config.outputs.overlays.as_ref().unwrap().bytes_max, 64_000_000);
    assert_eq!(config.outputs.hard_frames.as_ref().unwrap().pause, Duration::from_secs(10));
    assert!(config.outputs.json_lines && config.outputs.recorder.is_none() && config.watchdog.notify);
    assert_eq!(config.log, LogLevel::Info);
    let resolved = config.resolve(&["background", "grain", "crack"]).unwrap();
    assert_eq!(resolved.rules.iter().map(|rule| rule.class).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((resolved.regions.without.as_slice(), resolved.regions.area_min), ([0].as_slice(), 20));
}

#[test]
fn what_the_example_shows_behind_a_sign_is_known_too() {
    // Keys and headers that a # hides; prose has no = after its first word.
    let shown = EXAMPLE.lines().map(|line| {
        let Some(rest) = line.strip_prefix("# ") else { return line };
        let key = rest.split(' ').nth(1) == Some("=");
        if key || rest.starts_with('[') { rest } else { line }
    });
    let config = parsed(&shown.collect::<Vec<_>>().join("\n"));
    assert_eq!(config.outputs.recorder.unwrap().bytes_max, 1 << 30);
}

#[test]
fn what_is_not_said_has_a_default() {
    let config = parsed(SMALLEST);
    assert_eq!((config.engine.threads, config.engine.kernel.as_str()), (1, "auto"));
    assert_eq!((config.board, config.rules.len()), (BoardConfig::default(), 0));
    assert!(config.outputs.json_lines && config.outputs.masks.is_none());
    assert_eq!(config.watchdog, WatchdogConfig { notify: true, stall: Duration::from_secs(5) });
}

#[test]
fn all_mistakes_are_told_with_their_lines() {
    let text = r#"package = 7
[engine]
thread = 4
[source]
kind = "v4l2"
devise = "/dev/video0"
[[rule]]
name = "crack"
class = "crack"
condition = "area_percent > 0.5"
for = 0
[log]
level = "inform"
"#;
    assert_eq!(
        errors(text),
        [
            "1: package = 7: expected a text that is not empty, in quotes",
            "3: engine: unknown key \"thread\"; did you mean threads?",
            "6: source: unknown field `devise`, expected `kind` or `device`; did you mean device?",
            "11: rule \"crack\": for = 0: expected 1 or more frames",
            "13: log: level = \"inform\": expected one of error, warning, info, debug; did you mean \"info\"?",
        ]
    );
}

#[test]
fn what_is_missing_is_told_where_it_should_be() {
    assert_eq!(
        errors(""),
        ["1: package is missing: expected the path of a package", "1: source is missing: expected a table of keys",]
    );
    assert_eq!(
        errors_after("\n[[rule]]\nfor = 3\n[outputs.masks]\n"),
        [
            "5: rule 1: name is missing: expected a name of its own",
            "5: rule 1: class is missing: expected the name of a class of the package",
            "5: rule 1: condition is missing: expected such as \"area_percent > 0.5\"",
            "7: outputs.masks: folder is missing: expected the path of a folder",
        ]
    );
}

#[test]
fn rules_are_checked() {
    let rule = |lines: &str| errors_after(&format!("[[rule]]\nname = \"a\"\nclass = \"b\"\n{lines}\n"));
    assert_eq!(
        rule("condition = \"area > 1\""),
        ["7: rule \"a\": condition = \"area > 1\": expected area_percent, regions or largest_area, found \"area\""]
    );
    assert_eq!(
        rule("condition = \"regions > 1\"\nrelease = 2"),
        ["8: rule \"a\": release = 2: expected at most 1, the threshold of the condition"]
    );
    assert_eq!(
        rule("condition = \"regions < 1\"\nrelease = 0.5"),
        ["8: rule \"a\": release = 0.5: expected at least 1, the threshold of the condition"]
    );
    let twice = "condition = \"regions < 1\"\n[[rule]]\nname = \"a\"\nclass = \"b\"\ncondition = \"regions < 1\"";
    assert_eq!(rule(twice), ["9: rule \"a\": name = \"a\": expected a name that no other rule has"]);
    assert_eq!(
        errors(&format!("rule = 3\n{SMALLEST}")),
        ["1: rule = 3: expected a list of tables, each under [[rule]]"]
    );
}

#[test]
fn pins_are_checked() {
    let text = r#"[board]
name = "pi5"
status_led = "GPIO40"
trigger = { pin = "GPIO17", by = "poling" }
[[rule]]
name = "a"
class = "b"
condition = "regions > 1"
output = { pin = "pin 11", save = "active" }
"#;
    assert_eq!(
        errors_after(text),
        [
            "6: board: status_led: board pi5: expected GPIO0 to GPIO27, or a position of the header such as \"pin 11\", found \
         \"GPIO40\"",
            "7: board.trigger: by = \"poling\": expected one of events, polling; did you mean \"polling\"?",
            "12: rule \"a\".output: unknown key \"save\"; did you mean safe?",
            "12: rule \"a\": output: the pin is that of board: trigger in line 7",
        ]
    );
    // Of a board that is not known no pin can be wrong.
    assert_eq!(
        errors_after("[board]\nname = \"pi3\"\nstatus_led = \"GPIO40\"\n"),
        ["5: board: name = \"pi3\": expected one of pi4, pi5, orin-nano, generic; did you mean \"pi4\"?"]
    );
}

#[test]
fn bytes_may_have_a_unit() {
    let bytes = |value: &str| {
        let text = format!("{SMALLEST}[outputs.masks]\nfolder = \"a\"\nbytes_max = {value}\n");
        parse::<Source>("", &text).ok().map(|config| config.outputs.masks.unwrap().bytes_max)
    };
    assert_eq!(bytes("65_536"), Some(65_536));
    assert_eq!(bytes("0x10"), Some(16));
    assert_eq!(bytes("\"3 kB\""), Some(3000));
    assert_eq!(bytes("\"2MiB\""), Some(2 << 20));
    for refused in ["0", "-1", "\"MB\"", "\"1 TB\"", "\"99999999999 GiB\"", "1.5", "\"\""] {
        assert_eq!(bytes(refused), None, "{refused}");
    }
}

#[test]
fn a_text_that_is_no_toml_has_its_form_told() {
    let errors = errors("package = \n[source\nkind = \"v4l2\"\n");
    assert!(errors.len() >= 2, "{errors:?}");
    assert!(errors[0].starts_with("1: ") && errors[1].starts_with("2: "), "{errors:?}");
    assert!(parse::<Source>("a", "package = \"x\"\npackage = \"y\"\n").unwrap_err().to_string().starts_with("a:2: "));
}

#[test]
fn classes_are_checked_against_the_package() {
    let text =
        "[regions]\nwithout = [\"backround\"]\n[[rule]]\nname = \"a\"\nclass = \"crak\"\ncondition = \"regions > 1\"\n";
    let config = parsed(&format!("{SMALLEST}{text}"));
    let error = config.resolve(&["background", "crack"]).unwrap_err().to_string();
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            "unet-edge.toml:5: regions: without: expected a class of the package (background, crack), found \"backround\"; did you \
         mean \"background\"?",
            "unet-edge.toml:8: rule \"a\": class: expected a class of the package (background, crack), found \"crak\"; did you mean \
         \"crack\"?",
        ]
    );
}

#[test]
fn files_are_read_and_their_absence_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unet-edge.toml");
    let error = read::<Source>(&path).unwrap_err();
    assert!(error.to_string().starts_with(&format!("{}: could not be read: ", path.display())), "{error}");
    std::fs::write(&path, SMALLEST).unwrap();
    assert_eq!(read::<Source>(&path).unwrap().source.kind, "v4l2");
}
