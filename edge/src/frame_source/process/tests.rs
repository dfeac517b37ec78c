use unet_shared::image::PixelFormat;

use super::super::spec::Side;
use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Process {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    Process::open(&ProcessSpec::new(command, ProcessOutput::Y4m)).unwrap()
}

/// `sh` that prints a stream of frames of 2x1 gray: `ab`, `cd`.
const TWO_FRAMES: &str = r"printf 'YUV4MPEG2 W2 H1 Cmono\nFRAME\nabFRAME\ncd'";

fn next(source: &mut Process, slot: &mut FrameSlot) -> Result<Arrival, SourceError> {
    source.next_frame(slot, PATIENCE)
}

#[test]
fn a_successful_exit_ends_the_source() {
    let mut source = shell(TWO_FRAMES);
    let mut slot = FrameSlot::default();
    for bytes in [b"ab", b"cd"] {
        assert_eq!(next(&mut source, &mut slot).unwrap(), Arrival::Frame);
        assert_eq!(slot.bytes, bytes);
    }
    assert_eq!(source.describe(), "sh: gray8 2x1, range full (assumed)");
    assert_eq!(next(&mut source, &mut slot).unwrap(), Arrival::End);
    assert_eq!(next(&mut source, &mut slot).unwrap(), Arrival::End);
}

#[test]
fn a_failed_program_is_restarted_and_its_last_output_reported() {
    let mut slot = FrameSlot::default();
    for (script, expected) in [
        (
            "echo first >&2; echo no camera >&2; exit 3",
            "sh: ended with exit status: 3 before its first frame; last output: first | no camera",
        ),
        ("exit 0", "sh: ended with exit status: 0 before its first frame"),
        (
            "printf 'YUV4MPEG2 W2 H1'; kill -9 $$",
            "sh: ended with signal: 9 (SIGKILL) before its first frame; stream is cut in its header, after 15 bytes",
        ),
    ] {
        let mut source = shell(script);
        let error = next(&mut source, &mut slot).unwrap_err();
        assert_eq!(error.kind(), Kind::Retry);
        let text = error.to_string();
        assert!(text.starts_with(expected.split("; last output").next().unwrap()), "{text}");
        assert!(text.ends_with(expected.rsplit("; ").next().unwrap()), "{text}");
    }
    let mut source = shell(&format!("{TWO_FRAMES}; printf 'FRAME\\ne'; echo gone >&2; exit 1"));
    for _ in 0..2 {
        assert_eq!(next(&mut source, &mut slot).unwrap(), Arrival::Frame);
    }
    let error = next(&mut source, &mut slot).unwrap_err();
    let expected =
        "sh: ended with exit status: 1 after 2 frames; stream is cut: frame 2 has 1 of 2 bytes; last output: gone";
    assert_eq!((error.to_string().as_str(), error.kind()), (expected, Kind::Retry));
}

#[test]
fn raw_frames_are_split_by_their_size() {
    let [width, height] = [4, 2].map(|side| Side::new(side).unwrap());
    let output = ProcessOutput::Raw { format: PixelFormat::Nv12, width, height, stride: 6 };
    // Frames of 6 * 2 luma and 6 chroma bytes.
    let command = ["sh", "-c", "printf '%036d' 0; exit 2"].map(str::to_owned).to_vec();
    let mut source = Process::open(&ProcessSpec::new(command, output)).unwrap();
    let mut slot = FrameSlot::default();
    for _ in 0..2 {
        assert_eq!(next(&mut source, &mut slot).unwrap(), Arrival::Frame);
        assert_eq!((slot.bytes.as_slice(), slot.format.stride), ([b'0'; 18].as_slice(), 6));
        slot.view().unwrap().unwrap();
    }
    let error = next(&mut source, &mut slot).unwrap_err();
    assert_eq!(error.to_string(), "sh: ended with exit status: 2 after 2 frames");
}

#[test]
fn invalid_raw_frames_are_refused_before_the_program_starts() {
    let side = |side| Side::new(side).unwrap();
    let open = |width, height, stride| {
        let (width, height) = (side(width), side(height));
        let output = ProcessOutput::Raw { format: PixelFormat::I420, width, height, stride };
        Process::open(&ProcessSpec::new(vec!["/no/such/program".to_owned()], output)).unwrap_err()
    };
    let error = open(3, 2, 4);
    assert_eq!(error.to_string(), "/no/such/program: frames: i420 image: expected an even width and height, found 3x2");
    assert!(open(4, 2, 2).to_string().contains("stride: expected at least 4 bytes"));
    assert!(open(16384, 16384, 16384).to_string().contains("expected at most 67108864 bytes per frame"));
    assert!(open(4, 2, u32::MAX).to_string().contains("expected at most 67108864 bytes per frame"));
    let error = open(4, 2, 4);
    assert_eq!((error.to_string().as_str(), error.kind()), ("/no/such/program: failed to start", Kind::Fatal));
}

#[test]
fn a_program_that_is_not_installed_is_said_to_be_missing_from_path() {
    let spec = ProcessSpec::new(vec!["no-such-program".to_owned()], ProcessOutput::Y4m);
    let error = Process::open(&spec).unwrap_err();
    let expected = "no-such-program: program not found in PATH; install it, or give its whole path";
    assert_eq!((error.to_string().as_str(), error.kind()), (expected, Kind::Fatal));
}

#[test]
fn a_silent_program_does_not_block() {
    let mut source = shell("printf 'YUV4MPEG2 W2 H1 Cmono\\nFRAME\\na'; sleep 100");
    let mut slot = FrameSlot::default();
    let start = std::time::Instant::now();
    assert_eq!(source.next_frame(&mut slot, Duration::from_millis(20)).unwrap(), Arrival::Nothing);
    assert_eq!(source.next_frame(&mut slot, Duration::ZERO).unwrap(), Arrival::Nothing);
    drop(source);
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn other_output_is_fatal() {
    let error = next(&mut shell("echo hello; sleep 100"), &mut FrameSlot::default()).unwrap_err();
    let expected = "sh: expected a stream that begins with YUV4MPEG2, found hello";
    assert_eq!((error.to_string().as_str(), error.kind()), (expected, Kind::Fatal));
    let script = format!("{TWO_FRAMES}; echo; sleep 100");
    let mut source = shell(&script);
    let mut slot = FrameSlot::default();
    for _ in 0..2 {
        next(&mut source, &mut slot).unwrap();
    }
    let error = next(&mut source, &mut slot).unwrap_err();
    assert_eq!(error.kind(), Kind::Retry);
    assert!(error.to_string().contains("expected the word FRAME"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn programs_and_their_children_end_with_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    // The second one ignores SIGTERM; both have a child.
    for trap in ["", "trap '' TERM;"] {
        let script = format!("{trap} sleep 100 & echo $$ $! > '{}'; {TWO_FRAMES}; wait", file.display());
        let mut source = shell(&script);
        let mut slot = FrameSlot::default();
        next(&mut source, &mut slot).unwrap();
        let start = std::time::Instant::now();
        drop(source);
        assert!(start.elapsed() < Duration::from_secs(2));
        for pid in std::fs::read_to_string(&file).unwrap().split_whitespace() {
            // This takes a moment, and the grandchild is reaped by the process that adopts it.
            let gone = || {
                let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                status.is_empty() || status.contains("State:\tZ") || status.contains("State:\tX")
            };
            while !gone() {
                assert!(start.elapsed() < PATIENCE, "{pid} is still there");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

#[test]
fn much_output_on_standard_error_does_not_block_a_program() {
    // 2 MB before the first frame: more than a pipe holds.
    let script =
        format!("head -c 2000000 /dev/zero | tr '\\0' 'x' >&2; echo >&2; echo the end >&2; {TWO_FRAMES}; exit 1");
    let mut source = shell(&script);
    let mut slot = FrameSlot::default();
    for _ in 0..2 {
        assert_eq!(next(&mut source, &mut slot).unwrap(), Arrival::Frame);
    }
    let text = next(&mut source, &mut slot).unwrap_err().to_string();
    assert!(text.ends_with("x | the end") && text.len() < 1200, "{text}");
}
