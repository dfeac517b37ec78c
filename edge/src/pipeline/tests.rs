use unet_shared::digest::Digest;
use unet_shared::image::{ColourEncoding, PixelFormat};
use unet_shared::preprocess::{Channels, Filter, Fit, Normalize, Preprocess};

use super::*;
use crate::clock::tests::ManualClock;
use crate::frame_source::{Arrival, Encoding, FrameFormat, Kind};
use crate::peripherals::Trigger;
use crate::postprocess::RegionsSpec;
use crate::rules::{Change, Rule};
use crate::telemetry::Stage;
use crate::telemetry::log::LogLevel;
use unet_engine::segmenter::SegmentError;

const SIDE: u32 = 4;
const QUIET: Log = Log::none();

/// Advances by a millisecond at each reading.
fn ticking() -> ManualClock {
    ManualClock::ticking(Duration::from_millis(1))
}

/// Class 1 where a pixel is above 128.
struct Threshold;

impl Segmenter for Threshold {
    fn engine(&self) -> String {
        "threshold".to_owned()
    }

    fn classes(&self) -> usize {
        2
    }

    fn segment(&mut self, planes: &[u8], mask: &mut [u8]) -> Result<(), SegmentError> {
        for (class, &pixel) in mask.iter_mut().zip(planes) {
            *class = u8::from(pixel > 128);
        }
        Ok(())
    }

    fn logits_digest(&mut self) -> Result<Digest, SegmentError> {
        Ok(Digest::of(b""))
    }
}

/// Remembers its calls.
#[derive(Clone, Default)]
struct SpyPins(Arc<Mutex<Vec<String>>>);

impl SpyPins {
    fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Pins for SpyPins {
    fn apply(&mut self, changes: &[Change]) -> Result<(), PinsError> {
        for change in changes {
            self.0.lock().unwrap().push(format!("{} {}", change.rule, change.active));
        }
        Ok(())
    }

    fn make_safe(&mut self) -> Result<(), PinsError> {
        self.0.lock().unwrap().push("safe".to_owned());
        Ok(())
    }
}

fn step() -> Step<Threshold> {
    let spec = Preprocess {
        width: SIDE,
        height: SIDE,
        channels: Channels::Gray,
        fit: Fit::Stretch,
        filter: Filter::Nearest,
        normalize: Normalize::Unit,
        ..Preprocess::CLASSIC
    };
    let rule = Rule {
        name: "bright".to_owned(),
        class: 1,
        condition: "area_percent > 50".parse().unwrap(),
        for_frames: 2,
        release: 50.0,
        release_frames: 1,
    };
    Step::new(spec, Threshold, &RegionsSpec::default(), vec![rule], false).unwrap()
}

fn gray(value: u8) -> FrameSlot {
    let format = FrameFormat {
        encoding: Encoding::Pixels(PixelFormat::Gray8),
        width: SIDE,
        height: SIDE,
        stride: SIDE,
        colour: ColourEncoding::JPEG,
    };
    FrameSlot { bytes: vec![value; (SIDE * SIDE) as usize], format, ..FrameSlot::default() }
}

#[test]
fn a_frame_step_by_step() {
    let (mut step, clock, mut pins) = (step(), ticking(), SpyPins::default());
    let mut frame = gray(200);
    frame.bytes[0] = 0;
    let seen = step.step(&frame, &clock, &mut pins).unwrap();
    assert_eq!(seen.mask.classes[..5], [0, 1, 1, 1, 1]);
    assert_eq!((seen.size, seen.shares.count_of(1), seen.regions.count()), ((4, 4), 15, 2));
    // Captured at 0, dequeued at 0, and a millisecond each.
    let latency = Stage::ALL.map(|stage| seen.latency_us[stage]);
    assert_eq!(latency, [0, 1000, 1000, 1000, 3000]);
    assert!(pins.calls().is_empty(), "the rule needs two frames");
    step.step(&frame, &clock, &mut pins).unwrap();
    assert_eq!(pins.calls(), ["0 true"]);
    step.step(&gray(0), &clock, &mut pins).unwrap();
    assert_eq!(pins.calls(), ["0 true", "0 false"]);
    step.step(&frame, &clock, &mut pins).unwrap();
    step.step(&frame, &clock, &mut pins).unwrap();
    step.rest(&mut pins).unwrap();
    assert_eq!(pins.calls(), ["0 true", "0 false", "0 true", "0 false"]);
}

#[test]
fn a_short_frame_costs_itself_alone() {
    let (mut step, clock, mut pins) = (step(), ticking(), SpyPins::default());
    step.step(&gray(200), &clock, &mut pins).unwrap();
    let mut short = gray(200);
    short.bytes.pop();
    let error = step.step(&short, &clock, &mut pins).unwrap_err();
    assert!(error.to_string().contains("16"), "{error}");
    short.format.encoding = Encoding::Jpeg;
    assert!(matches!(step.step(&short, &clock, &mut pins), Err(StepError::Pixels(_))));
    // The second frame for the rule.
    step.step(&gray(200), &clock, &mut pins).unwrap();
    assert_eq!(pins.calls(), ["0 true"]);
}

/// Delivers these frames, then the given result.
struct Frames {
    frames: std::vec::IntoIter<FrameSlot>,
    at_end: fn() -> Result<Arrival, SourceError>,
}

impl FrameSource for Frames {
    fn describe(&self) -> String {
        "frames of a test".to_owned()
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, _: Duration) -> Result<Arrival, SourceError> {
        match self.frames.next() {
            Some(frame) => {
                *slot = frame;
                Ok(Arrival::Frame)
            }
            None => (self.at_end)(),
        }
    }
}

fn numbered(values: &[(u64, u8)]) -> Vec<FrameSlot> {
    values.iter().map(|&(sequence, value)| FrameSlot { sequence, ..gray(value) }).collect()
}

/// Remembers frame numbers and the first class of each mask.
#[derive(Clone, Default)]
struct SpySink(Arc<Mutex<Vec<(u64, u8)>>>);

impl SpySink {
    fn numbers(&self) -> Vec<u64> {
        self.0.lock().unwrap().iter().map(|seen| seen.0).collect()
    }
}

impl Sink for SpySink {
    fn name(&self) -> &'static str {
        "spy"
    }

    fn write(&mut self, outcome: &Outcome, _: Log) -> Result<(), WriteError> {
        assert_eq!(outcome.view().unwrap().width(), SIDE as usize);
        self.0.lock().unwrap().push((outcome.frame.sequence, outcome.mask[0]));
        Ok(())
    }
}

fn parts(frames: Vec<FrameSlot>, at_end: fn() -> Result<Arrival, SourceError>) -> (Parts<Threshold>, SpyPins, SpySink) {
    let (pins, sink) = (SpyPins::default(), SpySink::default());
    let parts = Parts {
        source: Box::new(Frames { frames: frames.into_iter(), at_end }),
        live: false,
        trigger: None,
        step: step(),
        pins: Box::new(pins.clone()),
        sinks: vec![Box::new(sink.clone())],
        stall: Duration::from_secs(3600),
        clock: Arc::new(ticking()),
        log: QUIET,
    };
    (parts, pins, sink)
}

fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(30), "nothing happened for 30 s");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn all_frames_of_a_file_are_processed_in_order() {
    let frames: Vec<(u64, u8)> = (0..200).map(|index| (index, (index % 3 * 100) as u8)).collect();
    let (parts, pins, sink) = parts(numbered(&frames), || Ok(Arrival::End));
    let mut running = start(parts).unwrap();
    until(|| running.is_finished());
    let progress = running.progress();
    assert_eq!((progress.captured(), progress.finished()), (200, 200));
    assert_eq!(progress.drops(), crate::telemetry::json_lines::Drops::default());
    assert_eq!(running.latencies().of(Stage::Inference).count(), 200);
    let (ended, result) = running.stop(Duration::from_secs(1));
    assert!(matches!(ended, Ended::Regular) && result.is_ok());
    let expected: Vec<_> = frames.iter().map(|&(sequence, value)| (sequence, u8::from(value > 128))).collect();
    assert_eq!(*sink.0.lock().unwrap(), expected);
    assert_eq!(pins.calls(), ["safe"]);
}

#[test]
fn gaps_and_unreadable_frames_are_counted() {
    let mut frames = numbered(&[(5, 0), (6, 0), (9, 0), (10, 0), (0, 0)]);
    frames[3].bytes.clear();
    let (parts, _, sink) = parts(frames, || Ok(Arrival::End));
    let mut running = start(parts).unwrap();
    until(|| running.is_finished());
    let drops = running.progress().drops();
    assert_eq!((drops.source, drops.failed, drops.busy, drops.unwritten), (2, 1, 0, 0));
    assert_eq!(running.progress().arrived(), 5);
    running.stop(Duration::from_secs(1)).1.unwrap();
    assert_eq!(sink.numbers(), [5, 6, 9, 0]);
}

#[test]
fn a_fatal_error_of_the_source_ends_the_run() {
    let fatal = || Err(SourceError::new("camera", Kind::Fatal, "is not a camera", None));
    let (parts, ..) = parts(numbered(&[(0, 0)]), fatal);
    let mut running = start(parts).unwrap();
    until(|| running.is_finished());
    let (ended, _) = running.stop(Duration::from_secs(1));
    assert!(matches!(ended, Ended::Source(error) if error.to_string() == "camera: is not a camera"));
}

/// A camera that stalls.
fn stalled() -> Result<Arrival, SourceError> {
    std::thread::sleep(Duration::from_millis(1));
    Ok(Arrival::Nothing)
}

#[test]
fn stopping_makes_the_pins_safe() {
    let (parts, pins, _) = parts(numbered(&[(0, 255), (1, 255)]), stalled);
    let mut running = start(parts).unwrap();
    until(|| running.progress().finished() == 2);
    let asked = Instant::now();
    let (ended, _) = running.stop(Duration::from_secs(1));
    assert!(asked.elapsed() < Duration::from_secs(1) && matches!(ended, Ended::Regular));
    assert_eq!(pins.calls(), ["0 true", "safe"]);
}

#[test]
fn rules_become_inactive_when_frames_stop() {
    let (mut parts, pins, _) = parts(numbered(&[(0, 255), (1, 255)]), stalled);
    parts.stall = Duration::from_millis(5);
    let mut running = start(parts).unwrap();
    until(|| pins.calls().len() == 2);
    assert_eq!(pins.calls(), ["0 true", "0 false"]);
    running.stop(Duration::from_secs(1)).1.unwrap();
}

/// Fires a number of times.
struct Edges(u32);

impl Trigger for Edges {
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn wait(&mut self, _: Duration) -> Result<bool, Self::Error> {
        std::thread::sleep(Duration::from_millis(1));
        self.0 = self.0.saturating_sub(1);
        Ok(self.0 > 0)
    }
}

#[test]
fn with_a_trigger_only_requested_frames_are_processed() {
    let mut frames = numbered(&[(0, 0), (1, 0), (2, 0), (3, 0)]);
    for frame in &mut frames[1..] {
        frame.captured = Duration::from_secs(1_000_000);
    }
    let (mut parts, _, sink) = parts(frames, stalled);
    parts.trigger = Some(Box::new(Edges(3)));
    let mut running = start(parts).unwrap();
    until(|| running.progress().finished() == 2);
    std::thread::sleep(Duration::from_millis(20));
    running.stop(Duration::from_secs(1)).1.unwrap();
    // The first was captured before the first edge; nothing requests the last.
    assert_eq!(sink.numbers(), [1, 2]);
}

/// Panics at its first frame.
struct Broken;

impl Sink for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn write(&mut self, _: &Outcome, log: Log) -> Result<(), WriteError> {
        log.say(LogLevel::Debug, format_args!("about to panic"));
        panic!("a bug in an output");
    }
}

#[test]
fn a_panic_of_a_sink_ends_the_run_with_safe_pins() {
    let (mut parts, pins, _) = parts(numbered(&[(0, 255), (1, 255)]), || Ok(Arrival::End));
    parts.sinks.insert(0, Box::new(Broken));
    let mut running = start(parts).unwrap();
    until(|| running.is_finished() && running.progress().finished() == 2);
    let (ended, _) = running.stop(Duration::from_secs(1));
    assert!(matches!(ended, Ended::Panic(_)), "{ended:?}");
    assert_eq!(pins.calls(), ["0 true", "safe"]);
}

fn losses(running: &Running, name: &str) -> Losses {
    running.losses().into_iter().find(|losses| losses.0 == name).map(|losses| losses.1).unwrap_or_default()
}

/// As on a full disk until the gate is open.
struct Failing(Arc<AtomicBool>, SpySink);

impl Sink for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn write(&mut self, outcome: &Outcome, log: Log) -> Result<(), WriteError> {
        if !self.0.load(Ordering::Relaxed) {
            return Err("no space".into());
        }
        self.1.write(outcome, log)
    }
}

#[test]
fn failed_writes_are_counted_and_tried_again_with_the_next_frame() {
    let frames: Vec<_> = (0..8).map(|sequence| (sequence, 255)).collect();
    let (mut parts, _, sink) = parts(numbered(&frames), stalled);
    let (open, written) = (Arc::new(AtomicBool::new(false)), SpySink::default());
    parts.sinks.push(Box::new(Failing(open.clone(), written.clone())));
    parts.sinks.push(Box::new(Failing(open.clone(), written.clone())));
    (parts.source, parts.live) = (Box::new(Live(0)), true);
    let mut running = start(parts).unwrap();
    until(|| losses(&running, "failing").failed >= 8);
    open.store(true, Ordering::Relaxed);
    until(|| written.numbers().len() > 3);
    let Losses { missed, failed, waiting } = losses(&running, "failing");
    assert!(failed >= 8 && waiting <= 6, "{missed} {failed} {waiting}");
    running.stop(Duration::from_secs(5)).1.unwrap();
    // Two sinks lost each of these frames, which count once.
    let unwritten = running.progress().drops().unwritten;
    let (all, spy) = (losses(&running, "failing"), losses(&running, "spy"));
    assert!(
        unwritten >= failed.div_ceil(2) && unwritten <= all.failed + all.missed + spy.missed,
        "{unwritten} {all:?}"
    );
    assert!(sink.numbers().len() > 3);
    assert_eq!(all.waiting, 0);
}

#[test]
fn rules_and_sinks_are_replaced_between_two_frames() {
    let (mut parts, pins, before) = parts(Vec::new(), stalled);
    (parts.source, parts.live) = (Box::new(Live(0)), true);
    let mut running = start(parts).unwrap();
    until(|| before.numbers().len() > 3 && pins.calls() == ["0 true"]);
    let after = SpySink::default();
    running.reconfigure(Vec::new(), RegionsSpec::default(), vec![Box::new(after.clone())]).unwrap();
    until(|| after.numbers().len() > 3);
    running.stop(Duration::from_secs(5)).1.unwrap();
    // The rule is gone, and its pin is inactive.
    assert_eq!(pins.calls(), ["0 true", "0 false", "safe"]);
    let (before, after) = (before.numbers(), after.numbers());
    assert!(before.last() < after.first(), "{before:?} {after:?}");
    // Two waited for the sink that ended, and each sink may miss some.
    assert_eq!(losses(&running, "spy").failed, 0);
    // Too late: nothing takes it, and its sinks end.
    running.reconfigure(Vec::new(), RegionsSpec::default(), vec![Box::new(SpySink::default())]).unwrap();
}

/// Panics at its first frame.
struct BrokenSource;

impl FrameSource for BrokenSource {
    fn describe(&self) -> String {
        "broken".to_owned()
    }

    fn next_frame(&mut self, _: &mut FrameSlot, _: Duration) -> Result<Arrival, SourceError> {
        panic!("a bug in a source");
    }
}

#[test]
fn a_panic_of_the_source_ends_the_run_with_safe_pins() {
    let (mut parts, pins, _) = parts(Vec::new(), stalled);
    parts.source = Box::new(BrokenSource);
    let mut running = start(parts).unwrap();
    until(|| running.is_finished());
    assert!(matches!(running.stop(Duration::from_secs(1)).0, Ended::Panic(_)));
    assert_eq!(pins.calls(), ["safe"]);
}

#[test]
fn pins_are_safe_when_the_source_has_ended_and_when_the_pipeline_is_dropped() {
    // A sink that blocks must not keep a pin active.
    let (mut parts, pins, _) = parts(numbered(&[(0, 255), (1, 255)]), || Ok(Arrival::End));
    let gate = Arc::new(Mutex::new(()));
    let held = gate.lock().unwrap();
    parts.sinks.push(Box::new(Slow(gate.clone())));
    let running = start(parts).unwrap();
    until(|| pins.calls() == ["0 true", "safe"]);
    assert!(!running.is_finished());
    drop(held);
    let (parts, pins, _) = self::parts(numbered(&[(0, 255), (1, 255)]), stalled);
    let running = start(parts).unwrap();
    until(|| pins.calls() == ["0 true"]);
    drop(running);
    assert_eq!(pins.calls(), ["0 true", "safe"]);
}

/// Blocks in its first frame until it is released.
struct Slow(Arc<Mutex<()>>);

impl Sink for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn write(&mut self, _: &Outcome, _: Log) -> Result<(), WriteError> {
        drop(self.0.lock());
        Ok(())
    }
}

/// As a camera: one frame every millisecond.
struct Live(u64);

impl FrameSource for Live {
    fn describe(&self) -> String {
        "a camera".to_owned()
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, _: Duration) -> Result<Arrival, SourceError> {
        std::thread::sleep(Duration::from_millis(1));
        *slot = FrameSlot { sequence: self.0, ..gray(255) };
        self.0 += 1;
        Ok(Arrival::Frame)
    }
}

#[test]
fn a_slow_sink_delays_neither_pins_nor_other_sinks() {
    let (mut parts, pins, sink) = parts(Vec::new(), stalled);
    let gate = Arc::new(Mutex::new(()));
    let held = gate.lock().unwrap();
    (parts.source, parts.live) = (Box::new(Live(0)), true);
    parts.sinks.insert(0, Box::new(Slow(gate.clone())));
    let mut running = start(parts).unwrap();
    until(|| sink.numbers().len() > 50);
    let missed = |running: &Running, name| losses(running, name).missed;
    // One is being written, two wait.
    assert!(missed(&running, "slow") >= 50 - 3, "{}", missed(&running, "slow"));
    assert_eq!(pins.calls(), ["0 true"]);
    drop(held);
    // It continues with its queue.
    let before = running.progress().finished();
    until(|| running.progress().finished() > before + 20);
    assert!(matches!(running.stop(Duration::from_secs(5)).0, Ended::Regular));
    // A frame that several sinks missed counts once.
    let (slow, spy) = (missed(&running, "slow"), missed(&running, "spy"));
    assert!((slow.max(spy)..=slow + spy).contains(&running.progress().drops().unwritten));
}

/// Original bytes and pixels of a frame.
type BytesAndPixels = (Vec<u8>, Vec<u8>);

/// Keeps the original bytes and the pixels of each frame.
#[derive(Clone, Default)]
struct Both(Arc<Mutex<Vec<BytesAndPixels>>>);

impl Sink for Both {
    fn name(&self) -> &'static str {
        "both"
    }

    fn needs(&self) -> Needs {
        Needs { pixels: true, ..Needs::default() }
    }

    fn write(&mut self, outcome: &Outcome, _: Log) -> Result<(), WriteError> {
        let pixels = outcome.view().unwrap().data().to_vec();
        self.0.lock().unwrap().push((outcome.frame.bytes.clone(), pixels));
        Ok(())
    }
}

#[test]
fn sinks_share_the_decoded_pixels_and_the_original_bytes() {
    let mut frames = numbered(&[(0, 0), (1, 0)]);
    let images = [50, 200].map(|value| {
        let mut jpeg = Vec::new();
        let image = image::GrayImage::from_pixel(SIDE, SIDE, image::Luma([value]));
        image::codecs::jpeg::JpegEncoder::new(&mut jpeg).encode_image(&image).unwrap();
        jpeg
    });
    for (frame, jpeg) in frames.iter_mut().zip(&images) {
        frame.format = FrameFormat { encoding: Encoding::Jpeg, stride: 0, ..frame.format };
        frame.bytes.clone_from(jpeg);
    }
    let (mut parts, _, _) = parts(frames, || Ok(Arrival::End));
    let sinks = [Both::default(), Both::default()];
    parts.sinks = sinks.iter().map(|sink| Box::new(sink.clone()) as Box<dyn Sink>).collect();
    let mut running = start(parts).unwrap();
    until(|| running.is_finished());
    running.stop(Duration::from_secs(1)).1.unwrap();
    for sink in sinks {
        let seen = sink.0.lock().unwrap();
        let expected = images.iter().cloned().zip([vec![50; 16], vec![200; 16]]).collect::<Vec<_>>();
        assert_eq!(*seen, expected);
    }
}
