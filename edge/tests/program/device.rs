//! `unet-edge run` as on a board: with a configuration, on sources that come, go and break.

use std::io::{Read, Write};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;

/// A configuration beside the fixture's package.
fn configure(fixture: &Fixture, rest: &str) -> PathBuf {
    let path = fixture.path("unet-edge.toml");
    std::fs::write(&path, format!("package = {:?}\n{rest}", fixture.package())).unwrap();
    path
}

fn lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn start(config: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unet-edge"));
    command.args(["run", "--config"]).arg(config).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Sends a signal and returns the output.
#[track_caller]
fn end(mut child: Child, signal: &str) -> Output {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    let asked = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(asked.elapsed() < Duration::from_secs(20), "the program does not exit");
        std::thread::sleep(Duration::from_millis(5));
    }
    // A loaded machine may be late; the program itself reports how long it took.
    child.wait_with_output().unwrap()
}

/// Milliseconds from the signal to the exit, as reported by the program.
#[track_caller]
fn exited_within(output: &Output) -> u64 {
    let stderr = stderr(output);
    let (_, rest) = stderr.split_once("exited within ").unwrap_or_else(|| panic!("{stderr}"));
    rest.split_once(" ms").unwrap().0.parse().unwrap()
}

/// Waits for a line of standard output.
fn wait_for_line(child: &mut Child) {
    let mut byte = [0];
    while byte != *b"\n" {
        child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
    }
}

#[test]
fn a_folder_of_images_to_lines_masks_and_a_recording_that_replays_to_the_same() {
    let fixture = Fixture::new();
    for name in ["a", "b", "c"] {
        fixture.write_image(&format!("source/{name}.png"));
    }
    let config = configure(
        &fixture,
        &format!(
            r#"
            [source]
            kind = "files"
            path = {source:?}
            [[rule]]
            name = "half is bright"
            class = "bright"
            condition = "area_percent >= 50"
            for = 2
            [outputs.masks]
            folder = {masks:?}
            files_max = 2
            [outputs.hard_frames]
            folder = {hard:?}
            margin_below = 200.0
            [outputs.recorder]
            folder = {recording:?}
            "#,
            source = fixture.path("source"),
            masks = fixture.path("masks"),
            hard = fixture.path("hard"),
            recording = fixture.path("recording"),
        ),
    );
    let output = unet_edge(&["run", "--config", "@"], &[&config]);
    check_exit(&output, 0);
    let seen = lines(&output);
    assert_eq!(seen.len(), 3);
    for (index, line) in seen.iter().enumerate() {
        assert_eq!((&line["sequence"], &line["width"]), (&index.into(), &16.into()));
        assert_eq!(line["shares"], serde_json::json!({"dark": 50.0, "bright": 50.0}));
        assert_eq!(line["rules"][0]["active"], index > 0, "{line}");
    }
    let files = |name: &str| std::fs::read_dir(fixture.path(name)).unwrap().map(|entry| entry.unwrap().path());
    // The newest two of three.
    let masks: Vec<_> = files("masks").collect();
    assert_eq!(masks.len(), 2);
    let mask = image::open(&masks[0]).unwrap();
    assert_eq!((mask.as_luma8().unwrap().get_pixel(7, 3).0, mask.width()), ([226], 16));
    assert_eq!(files("hard").count(), 1, "the pause keeps the others out");
    let recording = files("recording").next().unwrap();
    let again = unet_edge(&["run", "@", "--source", "@"], &[&fixture.package(), &recording]);
    check_exit(&again, 0);
    let digests = |lines: &[Value]| lines.iter().map(|line| line["mask_sha256"].clone()).collect::<Vec<_>>();
    assert_eq!(digests(&lines(&again)), digests(&seen));
}

#[test]
fn every_error_of_a_configuration_is_reported_with_its_line() {
    let fixture = Fixture::new();
    let config = configure(&fixture, "[source]\nkind = \"files\"\npath = \".\"\nspeed = 3\n[log]\nlevel = \"loud\"\n");
    let output = unet_edge(&["run", "--config", "@"], &[&config]);
    check_failure(
        &output,
        2,
        &["unet-edge.toml:5: source: unknown key \"speed\"", "loop", "unet-edge.toml:7: log", "loud"],
    );
    let config = configure(
        &fixture,
        "[source]\nkind = \"files\"\npath = \".\"\n[[rule]]\nname = \"r\"\nclass = \"brihgt\"\ncondition = \"regions > 1\"\n",
    );
    let output = unet_edge(&["run", "--config", "@"], &[&config]);
    check_failure(&output, 2, &["unet-edge.toml:7: ", "did you mean \"bright\"?"]);
}

#[test]
fn signals_stop_it_within_a_second() {
    let fixture = Fixture::new();
    fixture.write_image("source/a.png");
    let source = fixture.path("source");
    for signal in ["-TERM", "-INT"] {
        let config = configure(&fixture, &format!("[source]\nkind = \"files\"\npath = {source:?}\nloop = true\n"));
        let mut child = start(&config);
        wait_for_line(&mut child);
        // Unread output must not delay the exit.
        let output = end(child, signal);
        check_exit(&output, 0);
        assert!(exited_within(&output) <= 1000, "{}", stderr(&output));
    }
}

#[test]
fn a_missing_camera_is_waited_for() {
    let fixture = Fixture::new();
    let away = fixture.path("video0");
    let config = configure(&fixture, &format!("[source]\nkind = \"v4l2\"\ndevice = {away:?}\n"));
    let child = start(&config);
    std::thread::sleep(Duration::from_millis(500));
    let output = end(child, "-TERM");
    check_exit(&output, 0);
    assert!(stderr(&output).contains("video0"), "{}", stderr(&output));
    assert!(exited_within(&output) <= 1000, "{}", stderr(&output));
}

/// A stream of gray frames.
fn y4m(frames: usize) -> Vec<u8> {
    let mut stream = b"YUV4MPEG2 W16 H16 F30:1 Cmono\n".to_vec();
    for _ in 0..frames {
        stream.extend_from_slice(b"FRAME\n");
        stream.extend_from_slice(&[200; 256]);
    }
    stream
}

#[test]
fn a_program_that_dies_is_restarted() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("clip.y4m"), y4m(1)).unwrap();
    let clip = fixture.path("clip.y4m");
    let config = configure(
        &fixture,
        &format!("[source]\nkind = \"process\"\ncommand = [\"sh\", \"-c\", 'cat \"$0\"; exit 7', {clip:?}]\n"),
    );
    let mut child = start(&config);
    for _ in 0..3 {
        wait_for_line(&mut child);
    }
    let output = end(child, "-TERM");
    check_exit(&output, 0);
    let told = stderr(&output);
    assert!(told.contains("source lost") && told.contains("source back"), "{told}");
}

/// Runs on a stream at standard input.
fn run_on(fixture: &Fixture, stream: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unet-edge"));
    command.arg("run").arg(fixture.package()).args(["--source", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that refuses the header does not read the rest.
    let _ = child.stdin.take().unwrap().write_all(stream);
    child.wait_with_output().unwrap()
}

#[test]
fn streams_may_be_complete_cut_or_invalid() {
    let fixture = Fixture::new();
    let whole = y4m(5);
    let output = run_on(&fixture, &whole);
    check_exit(&output, 0);
    assert_eq!(lines(&output).len(), 5);
    let output = run_on(&fixture, &whole[..whole.len() - 100]);
    assert_eq!(lines(&output).len(), 4);
    check_failure(&output, 1, &["1 frames were skipped"]);
    assert!(stderr(&output).contains("frame 4 has 156 of 256 bytes"), "{}", stderr(&output));
    for head in ["W0 H0", "W65535 H65535", "W16", "W16 H-3"] {
        let output = run_on(&fixture, format!("YUV4MPEG2 {head} F30:1 Cmono\nFRAME\n").as_bytes());
        check_failure(&output, 2, &["standard input"]);
    }
    check_failure(&run_on(&fixture, b"\x89PNG\r\n"), 2, &["YUV4MPEG2"]);
}

#[test]
fn the_watchdog_is_fed_by_progress_only() {
    let fixture = Fixture::new();
    let socket = UnixDatagram::bind(fixture.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let clip = fixture.path("clip.y4m");
    std::fs::write(&clip, y4m(1)).unwrap();
    // One frame, then silence.
    let config = configure(
        &fixture,
        &format!("[source]\nkind = \"process\"\ncommand = [\"sh\", \"-c\", 'cat \"$0\"; exec sleep 60', {clip:?}]\n"),
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_unet-edge"));
    command.args(["run", "--config"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env("NOTIFY_SOCKET", fixture.path("notify")).env("WATCHDOG_USEC", "300000");
    let child = command.spawn().unwrap();
    let hear = || {
        let mut bytes = [0; 200];
        let len = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    };
    assert_eq!(hear(), "READY=1\n");
    assert_eq!(hear(), "WATCHDOG=1\n");
    socket.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    let mut bytes = [0; 200];
    assert!(socket.recv(&mut bytes).is_err(), "the watchdog was fed without a frame");
    let output = end(child, "-TERM");
    check_exit(&output, 0);
    assert_eq!(hear(), "STOPPING=1\n");
}
