use super::*;
use crate::board::{Bias, BoardName, LineId};
use crate::peripherals::SafeState;

const EXAMPLE: &str = include_str!("../../unet-edge.example.toml");
const SMALLEST: &str = "package = \"a.unet\"\n[source]\nkind = \"files\"\npath = \"a\"\n";

fn parsed(text: &str) -> Config {
    parse("unet-edge.toml", text).unwrap()
}

/// The messages without the file's name.
fn errors(text: &str) -> Vec<String> {
    let error = parse("unet-edge.toml", text).unwrap_err().to_string();
    error.lines().map(|line| line.strip_prefix("unet-edge.toml:").unwrap().to_owned()).collect()
}

/// The messages of a text appended to the smallest configuration, of four lines.
fn errors_after(text: &str) -> Vec<String> {
    errors(&format!("{SMALLEST}{text}"))
}

#[test]
fn the_example_is_read() {
    let config = parsed(EXAMPLE);
    assert_eq!(config.package, Path::new("concrete.unet"));
    assert_eq!((config.engine.threads, config.engine.kernel), (4, KernelChoice::Auto));
    assert_eq!(config.source.name(), "/dev/video0");
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
    let outputs: Vec<_> = config.outputs.iter().map(|output| (output.name(), output.folder())).collect();
    let expected = [
        ("JSON lines", None),
        ("masks", Some((Path::new("out/masks"), 256 << 20))),
        ("overlays", Some((Path::new("out/overlays"), 64_000_000))),
        ("hard frames", Some((Path::new("out/hard"), 256 << 20))),
    ];
    assert_eq!(outputs, expected);
    assert!(config.watchdog.notify);
    assert_eq!(config.log, LogLevel::Info);
    let resolved = config.resolve(&["background", "grain", "crack"]).unwrap();
    assert_eq!(resolved.rules.iter().map(|rule| rule.class).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((resolved.regions.without.as_slice(), resolved.regions.area_min), ([0].as_slice(), 20));
}

#[test]
fn commented_keys_of_the_example_are_valid() {
    // Keys and headers after a #; prose has no = after its first word.
    let shown = EXAMPLE.lines().map(|line| {
        let Some(rest) = line.strip_prefix("# ") else { return line };
        let key = rest.split(' ').nth(1) == Some("=");
        if key || rest.starts_with('[') { rest } else { line }
    });
    let config = parsed(&shown.collect::<Vec<_>>().join("\n"));
    assert_eq!(config.outputs.last().unwrap().folder(), Some((Path::new("out/recording"), 1 << 30)));
}

#[test]
fn missing_keys_have_defaults() {
    let config = parsed(SMALLEST);
    assert_eq!((config.engine.threads, config.engine.kernel, config.tiles), (1, KernelChoice::Auto, None));
    assert_eq!((config.board, config.rules.len()), (BoardConfig::default(), 0));
    assert_eq!(config.outputs.iter().map(|output| output.name()).collect::<Vec<_>>(), ["JSON lines"]);
    assert_eq!(config.watchdog, WatchdogConfig { notify: true, stall: Duration::from_secs(5) });
}

#[test]
fn tiles_are_sizes_or_none() {
    let tiles = |text: &str| parsed(&format!("{SMALLEST}[engine]\ntiles = {text}\n")).tiles;
    assert_eq!(tiles("\"512,64\""), Some(TilesChoice::Cut("512,64".parse().unwrap())));
    assert_eq!(tiles("\"none\""), Some(TilesChoice::Whole));
    for wrong in ["\"511\"", "\"64,64\"", "\"some\"", "512"] {
        let errors = errors_after(&format!("[engine]\ntiles = {wrong}\n"));
        assert!(errors.len() == 1 && errors[0].starts_with("6: engine: tiles"), "{errors:?}");
    }
}

#[test]
fn every_error_is_reported_with_its_line() {
    let text = r#"package = 7
[engine]
thread = 4
[source]
kind = "v4l2"
devise = "/dev/video0"
width = "640"
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
            "1: package = 7: expected a non-empty string in quotes",
            "3: engine: unknown key \"thread\"; did you mean threads?",
            "4: source: device is missing: expected the path of a camera, such as \"/dev/video0\"",
            "6: source: unknown key \"devise\"; did you mean device?",
            "7: source: width = \"640\": expected 1 to 16384 pixels, without quotes: width = 640",
            "12: rule \"crack\": for = 0: expected 1 or more frames",
            "14: log: level = \"inform\": expected error, warning, info or debug; did you mean \"info\"?",
        ]
    );
}

#[test]
fn wrong_sizes_names_and_kernels_are_reported_together() {
    let text = r#"package = "concrete.unet"
[source]
kind = "v4l2"
device = "/dev/video0"
width = "640"
height = 0
rate = "30/1"
format = "MJPG"
[outputs.masks]
folder = "m"
bytes_max = "1 TB of data"
files_max = -1
[log]
level = "verbose"
[engine]
threads = 0
kernel = "gpu"
"#;
    let found = errors(text);
    let lines: Vec<_> = found.iter().map(|error| error.split(':').next().unwrap().parse::<usize>().unwrap()).collect();
    assert_eq!(lines, [5, 6, 7, 8, 11, 12, 14, 16, 17], "{found:#?}");
    assert!(found[8].starts_with("17: engine: kernel = \"gpu\": "), "{}", found[8]);
}

#[test]
fn the_keys_of_a_misspelled_source_are_checked() {
    let source = |lines: &str| errors(&format!("package = \"a\"\n[source]\n{lines}\n"));
    assert_eq!(
        source("kind = \"vl42\"\ndevice = 3"),
        [
            "3: source: kind = \"vl42\": expected v4l2, process, y4m, mjpeg, recording or files; did you mean \"v4l2\"?",
            "4: source: device = 3: expected a non-empty string in quotes",
        ]
    );
    assert_eq!(
        source("kind = \"files\"\npath = \"a\"\nrange = \"full\"\ncamera = 1\nrte = 3"),
        [
            "5: source: key \"range\" does not apply to kind = \"files\", only to \"v4l2\", \"process\", \"y4m\" or \"recording\"",
            "6: source: key \"camera\" does not apply to kind = \"files\", only to \"process\"",
            "7: source: unknown key \"rte\"; did you mean rate?",
        ]
    );
    assert_eq!(source("device = 3"), ["2: source: kind is missing: expected the kind of source"]);
}

#[test]
fn missing_keys_are_reported_at_their_table() {
    assert_eq!(
        errors(""),
        ["1: package is missing: expected the path of a package", "1: source is missing: expected a table of keys",]
    );
    assert_eq!(
        errors_after("\n[[rule]]\nfor = 3\n[outputs.masks]\n"),
        [
            "6: rule 1: name is missing: expected a unique name",
            "6: rule 1: class is missing: expected the name of a class of the package",
            "6: rule 1: condition is missing: expected a condition such as \"area_percent > 0.5\"",
            "8: outputs.masks: folder is missing: expected the path of a folder",
        ]
    );
}

#[test]
fn rules_are_checked() {
    let rule = |lines: &str| errors_after(&format!("[[rule]]\nname = \"a\"\nclass = \"b\"\n{lines}\n"));
    assert_eq!(
        rule("condition = \"area > 1\""),
        ["8: rule \"a\": condition = \"area > 1\": expected area_percent, regions or largest_area, found \"area\""]
    );
    assert_eq!(
        rule("condition = \"regions > 1\"\nrelease = 2"),
        ["9: rule \"a\": release = 2: expected at most 1, the threshold of the condition"]
    );
    assert_eq!(
        rule("condition = \"regions < 1\"\nrelease = 0.5"),
        ["9: rule \"a\": release = 0.5: expected at least 1, the threshold of the condition"]
    );
    let twice = "condition = \"regions < 1\"\n[[rule]]\nname = \"a\"\nclass = \"b\"\ncondition = \"regions < 1\"";
    assert_eq!(rule(twice), ["10: rule \"a\": name = \"a\": expected a name that no other rule has"]);
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
            "7: board: status_led: board pi5: expected GPIO0 to GPIO27, or a position of the header such as \"pin 11\", found \
         \"GPIO40\"",
            "8: board.trigger: by = \"poling\": expected events or polling; did you mean \"polling\"?",
            "13: rule \"a\".output: unknown key \"save\"; did you mean safe?",
            "13: rule \"a\": output: the pin is already used by board: trigger in line 8",
        ]
    );
}

#[test]
fn pins_of_an_unknown_board_are_checked() {
    let text = r#"[board]
name = "pi3"
status_led = { pin = "GPIO58", active_lo = true }
trigger = "GPIO17"
[[rule]]
name = "a"
class = "b"
condition = "regions > 1"
output = "pin 11"
"#;
    let found = errors_after(text);
    assert_eq!(found.len(), 4, "{found:#?}");
    assert_eq!(found[0], "6: board: name = \"pi3\": expected pi4, pi5, orin-nano or generic; did you mean \"pi4\"?");
    assert_eq!(found[1], "7: board.status_led: unknown key \"active_lo\"; did you mean active_low?");
    assert!(found[2].starts_with("7: board: status_led: if pi4 is meant, expected GPIO0 to GPIO"), "{}", found[2]);
    assert_eq!(found[3], "13: rule \"a\": output: the pin is already used by board: trigger in line 8");
    // Without a name that is near, what no board has.
    let found = errors_after("[board]\nname = \"beaglebone\"\nstatus_led = \"40\"\ntrigger = \"GPIO17\"\n");
    assert!(found[0].starts_with("6: board: name = \"beaglebone\": expected "), "{found:?}");
    assert_eq!(found[1..], ["7: board: status_led: expected a pin of any board, found \"40\""]);
}

#[test]
fn conditions_that_never_or_always_hold_are_told() {
    let notes = |lines: &str| {
        let rule = "[regions]\nwithout = [\"b\"]\n[[rule]]\nname = \"a\"\nclass = ";
        let config = parsed(&format!("{SMALLEST}{rule}{lines}"));
        let line = |ConfigError { line, problem }: ConfigError| format!("{line}: {problem}");
        config.constant_conditions(64).into_iter().map(line).collect::<Vec<_>>()
    };
    for (lines, expected) in [
        ("\"c\"\ncondition = \"area_percent > 99\"", None),
        (
            "\"c\"\ncondition = \"area_percent > 150\"",
            Some("10: rule \"a\": condition = \"area_percent > 150\" can never hold: area_percent is 0 to 100"),
        ),
        (
            "\"c\"\ncondition = \"largest_area <= 64\"",
            Some("10: rule \"a\": condition = \"largest_area <= 64\" always holds: largest_area is 0 to 64"),
        ),
        (
            "\"b\"\ncondition = \"regions > 0\"",
            Some(
                "10: rule \"a\": condition = \"regions > 0\" can never hold: [regions] is without \"b\", so regions is 0",
            ),
        ),
        (
            "\"b\"\ncondition = \"area_percent > 5\"\nrelease = -1",
            Some(
                "11: rule \"a\": release = -1 always holds, the rule stays active once it is: area_percent is 0 to 100",
            ),
        ),
    ] {
        assert_eq!(notes(lines), expected.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn syntax_errors_are_reported_alone() {
    let errors = errors("package = \n[source\nkind = \"v4l2\"\n");
    assert!(errors.len() >= 2, "{errors:?}");
    assert!(errors[0].starts_with("1: ") && errors[1].starts_with("2: "), "{errors:?}");
    assert!(parse("a", "package = \"x\"\npackage = \"y\"\n").unwrap_err().to_string().starts_with("a:2: "));
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
            "unet-edge.toml:6: regions: without: expected a class of the package (background, crack), found \"backround\"; did you \
         mean \"background\"?",
            "unet-edge.toml:9: rule \"a\": class: expected a class of the package (background, crack), found \"crak\"; did you mean \
         \"crack\"?",
        ]
    );
}

#[test]
fn a_missing_file_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unet-edge.toml");
    let error = read(&path).unwrap_err();
    assert!(error.to_string().starts_with(&format!("{}: could not be read: ", path.display())), "{error}");
    std::fs::write(&path, SMALLEST).unwrap();
    assert_eq!(read(&path).unwrap().source.name(), "a");
}
