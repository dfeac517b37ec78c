//! `unet-edge run` as on a board: with a configuration, on sources that come, go and break.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use unet_shared::samples::Range;

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
    for signal in ["-TERM", "-INT", "-QUIT", "-ALRM", "-XCPU"] {
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
    check_failure(&output, 1, &["1 frame could not be read"]);
    assert!(stderr(&output).contains("frame 4 has 156 of 256 bytes"), "{}", stderr(&output));
    for head in ["W0 H0", "W65535 H65535", "W16", "W16 H-3"] {
        let output = run_on(&fixture, format!("YUV4MPEG2 {head} F30:1 Cmono\nFRAME\n").as_bytes());
        check_failure(&output, 2, &["standard input"]);
    }
    check_failure(&run_on(&fixture, b"\x89PNG\r\n"), 2, &["YUV4MPEG2"]);
}

/// The next message to the service manager, ignoring status lines; `None` after two seconds without one.
fn hear(socket: &UnixDatagram) -> Option<String> {
    loop {
        let mut bytes = [0; 1000];
        let len = match socket.recv(&mut bytes) {
            Ok(len) => len,
            // A timed receive fails with EINTR when a stopped process continues.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return None,
        };
        let message = String::from_utf8(bytes[..len].to_vec()).unwrap();
        if !message.starts_with("STATUS=") {
            return Some(message);
        }
    }
}

#[test]
fn the_watchdog_is_fed_while_frames_arrive() {
    let fixture = Fixture::new();
    let socket = UnixDatagram::bind(fixture.path("notify")).unwrap();
    let wait = |seconds| socket.set_read_timeout(Some(Duration::from_secs(seconds))).unwrap();
    let (head, frame, there) = (fixture.path("head"), fixture.path("frame"), fixture.path("there"));
    let stream = y4m(1);
    let header = stream.len() - 256 - 6;
    for (path, bytes) in [(&head, &stream[..header]), (&frame, &stream[header..]), (&there, b"".as_slice())] {
        std::fs::write(path, bytes).unwrap();
    }
    // Three frames a second, three heartbeats for each; and none while a file is missing, even after it restarts.
    let script = r#"cat "$0"; while :; do [ ! -e "$2" ] || cat "$1"; sleep 0.3; done"#;
    let config = configure(
        &fixture,
        &format!(
            "[source]\nkind = \"process\"\ncommand = [\"sh\", \"-c\", '{script}', {head:?}, {frame:?}, {there:?}]\n\
             [watchdog]\nstall_seconds = 1\n"
        ),
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_unet-edge"));
    command.args(["run", "--config"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env("NOTIFY_SOCKET", fixture.path("notify")).env("WATCHDOG_USEC", "300000");
    let child = command.spawn().unwrap();
    // The rate depends on the load; only that heartbeats come and stop is checked.
    wait(20);
    assert_eq!(hear(&socket).unwrap(), "READY=1\n");
    for _ in 0..12 {
        assert_eq!(hear(&socket).unwrap(), "WATCHDOG=1\n");
    }
    std::fs::remove_file(&there).unwrap();
    let started = Instant::now();
    wait(2);
    while hear(&socket).is_some() {
        assert!(started.elapsed() < Duration::from_secs(30), "the watchdog is fed without frames");
    }
    std::fs::write(&there, "").unwrap();
    wait(20);
    assert_eq!(hear(&socket).unwrap(), "WATCHDOG=1\n");
    let output = end(child, "-TERM");
    check_exit(&output, 0);
    while let Some(message) = hear(&socket) {
        if message == "STOPPING=1\n" {
            return;
        }
        assert_eq!(message, "WATCHDOG=1\n");
    }
    panic!("expected STOPPING=1");
}

#[test]
fn heartbeats_resume_after_a_suspended_program_continues() {
    let fixture = Fixture::new();
    let socket = UnixDatagram::bind(fixture.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let clip = fixture.path("clip.y4m");
    std::fs::write(&clip, y4m(1)).unwrap();
    // One frame at the start, and then a pause that the configuration allows.
    let script = r#"[ -e "$1" ] || cat "$0"; : >"$1"; exec sleep 60"#;
    let config = configure(
        &fixture,
        &format!(
            "[source]\nkind = \"process\"\ncommand = [\"sh\", \"-c\", '{script}', {clip:?}, {:?}]\n\
             [watchdog]\nstall_seconds = 4\n",
            fixture.path("seen")
        ),
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_unet-edge"));
    command.args(["run", "--config"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env("NOTIFY_SOCKET", fixture.path("notify")).env("WATCHDOG_USEC", "300000");
    let child = command.spawn().unwrap();
    for expected in ["READY=1\n", "WATCHDOG=1\n"] {
        assert_eq!(hear(&socket).unwrap(), expected);
    }
    sends(&child, "-STOP");
    std::thread::sleep(Duration::from_secs(5));
    // What was sent before it stopped.
    socket.set_nonblocking(true).unwrap();
    while hear(&socket).is_some() {}
    socket.set_nonblocking(false).unwrap();
    sends(&child, "-CONT");
    for _ in 0..5 {
        assert_eq!(hear(&socket).unwrap(), "WATCHDOG=1\n");
    }
    check_exit(&end(child, "-TERM"), 0);
}

/// Runs until the images end, with standard output in a file.
fn run_to(output: std::fs::File, config: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unet-edge"));
    command.args(["run", "--config"]).arg(config).stdin(Stdio::null()).stdout(output).output().unwrap()
}

#[track_caller]
fn sends(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// Waits until the program has said this on standard error, which goes to a file.
#[track_caller]
fn wait_for_words(log: &Path, words: &str) {
    let start = Instant::now();
    while !std::fs::read_to_string(log).unwrap().contains(words) {
        assert!(start.elapsed() < Duration::from_secs(30), "{words} in {}", std::fs::read_to_string(log).unwrap());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts with lines and log in files of the fixture.
fn start_with_files(fixture: &Fixture, config: &Path) -> Child {
    let file = |name| std::fs::File::create(fixture.path(name)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_unet-edge"));
    command.args(["run", "--config"]).arg(config).stdin(Stdio::null());
    command.stdout(file("lines")).stderr(file("log")).spawn().unwrap()
}

/// Images again and again, at a rate.
fn looped(fixture: &Fixture, rate: u32) -> String {
    fixture.write_image("source/a.png");
    format!("[source]\nkind = \"files\"\npath = {:?}\nloop = true\nrate = {rate}\n", fixture.path("source"))
}

#[test]
fn lines_that_cannot_be_written_are_counted_and_fail_the_run() {
    let fixture = Fixture::new();
    for name in ["a", "b", "c"] {
        fixture.write_image(&format!("source/{name}.png"));
    }
    let source = fixture.path("source");
    let config = configure(&fixture, &format!("[source]\nkind = \"files\"\npath = {source:?}\n"));
    if let Ok(full) = std::fs::File::options().write(true).open("/dev/full") {
        let output = run_to(full, &config);
        check_exit(&output, 4);
        let told = stderr(&output);
        assert!(told.ends_with("error: results were lost because they could not be written: JSON lines 3\n"), "{told}");
        assert!(told.contains("JSON lines: write failed, will retry: No space left"), "{told}");
        assert!(told.contains("3 of 3 frames processed") && told.contains("3 unwritten (JSON lines 3)"), "{told}");
    }
    // A reader that has gone.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = run_to(std::fs::File::from(std::os::fd::OwnedFd::from(writer)), &config);
    check_exit(&output, 4);
    assert!(stderr(&output).contains("JSON lines: write failed, will retry: Broken pipe"), "{}", stderr(&output));
}

#[test]
fn a_full_file_holds_whole_lines_and_writing_goes_on_when_there_is_room() {
    let fixture = Fixture::new();
    let config = configure(&fixture, &(looped(&fixture, 50) + "[outputs.masks]\nfolder = 'unused'\n"));
    let config_text = std::fs::read_to_string(&config).unwrap();
    let text = config_text.replace("'unused'", &format!("{:?}", fixture.path("masks")));
    std::fs::write(&config, text).unwrap();
    let (lines, log) = (fixture.path("lines"), fixture.path("log"));
    // A limit of the shell, in blocks of 512 or 1024 bytes, which a later `prlimit` lifts; it stands in for a full disk. The log
    // goes through a pipe, which has no such limit.
    let script = "ulimit -S -f 4; exec \"$0\" run --config \"$1\" >\"$2\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_unet-edge")]).arg(&config).arg(&lines);
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let told = std::thread::spawn({
        let log = log.clone();
        move || std::io::copy(&mut errors, &mut std::fs::File::create(log).unwrap())
    });
    std::thread::sleep(Duration::from_millis(100));
    wait_for_words(&log, "JSON lines: write failed, will retry: File too large");
    let full = std::fs::read_to_string(&lines).unwrap();
    assert!(full.ends_with("}\n") && !full.is_empty(), "{full}");
    let lifted = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &child.id().to_string()]).status();
    if lifted.is_ok_and(|status| status.success()) {
        wait_for_words(&log, "JSON lines: writing again, ");
    }
    std::thread::sleep(Duration::from_millis(200));
    let output = end(child, "-TERM");
    told.join().unwrap().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let text = std::fs::read_to_string(&lines).unwrap();
    for line in text.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error} in {line}"));
    }
    assert!(std::fs::read_to_string(&log).unwrap().contains("results were lost"));
}

#[test]
fn a_second_program_is_refused_by_the_folder_and_a_killed_one_leaves_no_lock() {
    let fixture = Fixture::new();
    let masks = fixture.path("masks");
    let config = configure(&fixture, &format!("{}[outputs.masks]\nfolder = {masks:?}\n", looped(&fixture, 20)));
    let mut first = start(&config);
    wait_for_line(&mut first);
    let output = unet_edge(&["run", "--config", "@"], &[&config]);
    check_failure(&output, 4, &["masks: in use by another unet-edge"]);
    // Also without a configuration.
    let arguments = ["run", "@", "--source", "@", "--output", "@"];
    let images = unet_edge(&arguments, &[&fixture.package(), &fixture.path("source"), fixture.folder.path()]);
    check_failure(&images, 4, &["masks: in use by another unet-edge"]);
    first.kill().unwrap();
    first.wait().unwrap();
    let mut second = start(&config);
    wait_for_line(&mut second);
    check_exit(&end(second, "-TERM"), 0);
}

#[test]
fn a_removed_folder_is_created_again_and_told() {
    let fixture = Fixture::new();
    let (masks, recording) = (fixture.path("masks"), fixture.path("recording"));
    let outputs = format!("[outputs.masks]\nfolder = {masks:?}\n[outputs.recorder]\nfolder = {recording:?}\n");
    let config = configure(&fixture, &(looped(&fixture, 50) + &outputs));
    let child = start_with_files(&fixture, &config);
    let files = |folder: &Path| std::fs::read_dir(folder).map_or(0, |entries| entries.count());
    let wait_for_files = || {
        let start = Instant::now();
        while files(&masks) < 3 || files(&recording) < 1 {
            assert!(start.elapsed() < Duration::from_secs(30), "no files");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for_files();
    // A mask may be written in between.
    while masks.exists() {
        let _ = std::fs::remove_dir_all(&masks);
    }
    std::fs::remove_dir_all(&recording).unwrap();
    wait_for_words(&fixture.path("log"), "masks: was removed, created again");
    wait_for_words(&fixture.path("log"), "recorder: the recording was removed");
    wait_for_files();
    // A mask that is being written when its folder goes is lost.
    assert!(matches!(end(child, "-TERM").status.code(), Some(0 | 4)));
}

#[test]
fn hup_takes_a_valid_configuration_and_keeps_the_old_one_otherwise() {
    let fixture = Fixture::new();
    let masks = fixture.path("masks");
    let rule = |percent: u32| {
        format!("[[rule]]\nname = \"bright\"\nclass = \"bright\"\ncondition = \"area_percent >= {percent}\"\n")
    };
    let source = looped(&fixture, 50);
    let config = configure(&fixture, &format!("{source}{}", rule(60)));
    let child = start_with_files(&fixture, &config);
    let (lines, log) = (fixture.path("lines"), fixture.path("log"));
    wait_for_words(&lines, "\"active\":false");
    // Not valid: everything goes on as before.
    configure(&fixture, "[source]\nkind = \"none\"\n");
    sends(&child, "-HUP");
    wait_for_words(&log, "not reloaded, going on with the configuration as it was: ");
    assert!(std::fs::read_to_string(&log).unwrap().contains("unet-edge.toml:3: source: kind = \"none\""));
    assert!(!std::fs::read_to_string(&lines).unwrap().contains("\"active\":true"));
    // Valid: another threshold and an output; the changed stall needs a restart.
    let more = format!("[outputs.masks]\nfolder = {masks:?}\n[watchdog]\nstall_seconds = 9\n");
    configure(&fixture, &format!("{source}{}{more}", rule(50)));
    sends(&child, "-HUP");
    wait_for_words(&log, "read again: applied rules, [outputs]; changed and in need of a restart: [watchdog]");
    wait_for_words(&lines, "\"active\":true");
    let start = Instant::now();
    while std::fs::read_dir(&masks).map_or(0, |entries| entries.count()) < 3 {
        assert!(start.elapsed() < Duration::from_secs(30), "no masks");
        std::thread::sleep(Duration::from_millis(10));
    }
    for signal in ["-USR1", "-USR2"] {
        sends(&child, signal);
    }
    wait_for_words(&log, "status: ");
    let output = end(child, "-TERM");
    assert_eq!(output.status.code(), Some(0));
    // No frame is written twice or out of order.
    let text = std::fs::read_to_string(&lines).unwrap();
    let numbers = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["sequence"].as_u64().unwrap());
    assert!(numbers.is_sorted_by(|one, other| one < other));
}

#[test]
fn hup_with_an_unchanged_configuration_changes_nothing_for_a_package_with_a_range() {
    let fixture = Fixture::reading_as(SampleReading { range: Range::new(0.0, 4095.0).ok(), bands: None });
    let config = configure(&fixture, &looped(&fixture, 50));
    let child = start_with_files(&fixture, &config);
    let (lines, log) = (fixture.path("lines"), fixture.path("log"));
    wait_for_words(&lines, "\"sequence\":");
    sends(&child, "-HUP");
    wait_for_words(&log, "unet-edge.toml: read again: ");
    check_exit(&end(child, "-TERM"), 0);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("unet-edge.toml: read again: applied nothing\n") && !log.contains("changed"), "{log}");
}

#[test]
fn hup_without_a_configuration_stops_it() {
    let fixture = Fixture::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_unet-edge"));
    command.arg("run").arg(fixture.package()).args(["--source", "process:sleep 60"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    check_exit(&end(child, "-HUP"), 0);
}

#[test]
fn a_relative_path_that_does_not_exist_is_told_where_it_starts() {
    let fixture = Fixture::new();
    let here =
        format!("; relative paths start at the working directory, {}", std::env::current_dir().unwrap().display());
    let source = "[source]\nkind = \"files\"\npath = \"no/such/folder\"\n";
    let config = configure(&fixture, source);
    let output = unet_edge(&["run", "--config", "@"], &[&config]);
    check_failure(&output, 2, &["no/such/folder", &here]);
    std::fs::write(&config, format!("package = \"no/such.unet\"\n{source}")).unwrap();
    let output = unet_edge(&["run", "--config", "@"], &[&config]);
    check_failure(&output, 2, &["failed to read package no/such.unet: file or folder does not exist", &here]);
}

#[test]
fn a_pin_that_is_not_there_is_named_with_its_rule_and_line() {
    let fixture = Fixture::new();
    fixture.write_image("a.png");
    let path = fixture.path("a.png");
    let rule = "[[rule]]\nname = \"r\"\nclass = \"bright\"\ncondition = \"regions > 9\"\noutput = \"no-such-chip/3\"\n";
    let config = configure(&fixture, &format!("[source]\nkind = \"files\"\npath = {path:?}\n{rule}"));
    let output = unet_edge(&["run", "--config", "@"], &[&config]);
    let place = format!("{}:9: rule \"r\", no-such-chip/3: ", config.display());
    let expected: &[&str] = if unet_edge::board::chips().unwrap().is_empty() {
        &["found no accessible GPIO chip; check that there are files /dev/gpiochip* and that this user may open them"]
    } else {
        &["GPIO chip no-such-chip line 3: ", "no chip with that label"]
    };
    check_failure(&output, 3, &[&[place.as_str()], expected].concat());
}
