//! A frame allocates nothing on its way from capture to mask, pins and a line of JSON, once a few have passed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use unet_edge::clock::{Clock, SystemClock};
use unet_edge::frame_source::{Arrival, Encoding, FrameFormat, FrameSlot, FrameSource, SourceError};
use unet_edge::pipeline::{self, Parts, Step};
use unet_edge::postprocess::RegionsSpec;
use unet_edge::rules::Rule;
use unet_edge::sinks::LineFile;
use unet_edge::sinks::json_lines::LineSink;
use unet_edge::telemetry::json_lines::JsonLines;
use unet_edge::telemetry::log::Log;
use unet_engine::package::Package;
use unet_engine::segmenter::Int8Segmenter;
use unet_shared::image::{ColourEncoding, PixelFormat};
use unet_shared::tiles::Tiles;
use unet_test_support::counting_allocator::{Counting, allocations};
use unet_test_support::tiny_package;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WIDTH: u32 = 64;
const HEIGHT: u32 = 48;
/// Buffers of slots, lists of regions and lines have grown by then.
const WARM: u64 = 300;
const FRAMES: u64 = 1000;

/// A few frames of noise in a loop, and the allocations between the [`WARM`]th frame and the last.
struct Noise {
    frames: Vec<Vec<u8>>,
    sequence: u64,
    at_warm: Arc<AtomicU64>,
    at_end: Arc<AtomicU64>,
}

impl FrameSource for Noise {
    fn describe(&self) -> String {
        "noise".to_owned()
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, _: Duration) -> Result<Arrival, SourceError> {
        match self.sequence {
            WARM => self.at_warm.store(allocations(), Ordering::Relaxed),
            FRAMES => {
                self.at_end.store(allocations(), Ordering::Relaxed);
                return Ok(Arrival::End);
            }
            _ => {}
        }
        slot.bytes.clear();
        slot.bytes.extend_from_slice(&self.frames[self.sequence as usize % self.frames.len()]);
        let encoding = Encoding::Pixels(PixelFormat::Yuyv);
        slot.format = FrameFormat {
            encoding,
            width: WIDTH,
            height: HEIGHT,
            stride: 2 * WIDTH,
            colour: ColourEncoding::assumed(PixelFormat::Yuyv),
        };
        (slot.sequence, slot.captured) = (self.sequence, SystemClock.now());
        self.sequence += 1;
        Ok(Arrival::Frame)
    }
}

// One test, as the counters are the process's.
#[test]
fn a_frame_allocates_nothing_from_capture_to_the_line_of_json() {
    for tiles in [None, Some("16,4".parse().unwrap())] {
        frames_allocate_nothing(tiles);
    }
}

fn frames_allocate_nothing(tiles: Option<Tiles>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.unet");
    let (manifest, members) = tiny_package::parts();
    unet_engine::package::write(&path, manifest, members).unwrap();
    let package = Package::read(&path).unwrap();
    let spec = package.manifest.preprocess;
    let segmenter = Int8Segmenter::load(&package).unwrap();
    let rule = Rule {
        name: "bright".to_owned(),
        class: 1,
        condition: "regions > 3".parse().unwrap(),
        for_frames: 1,
        release: 3.0,
        release_frames: 1,
    };
    let (at_warm, at_end) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut state = 1_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let frames = (0..16).map(|_| (0..WIDTH * HEIGHT * 2).map(|_| byte()).collect()).collect();
    let lines = LineFile::new(std::fs::File::create(folder.path().join("lines")).unwrap());
    let parts = Parts {
        source: Box::new(Noise { frames, sequence: 0, at_warm: at_warm.clone(), at_end: at_end.clone() }),
        live: false,
        trigger: None,
        step: Step::new(spec, segmenter, &RegionsSpec::default(), vec![rule], true).unwrap().with_tiles(tiles),
        pins: Box::new(()),
        sinks: vec![Box::new(LineSink::new(JsonLines::new(["dark", "bright"], ["bright"]), lines))],
        stall: Duration::from_secs(60),
        clock: Arc::new(SystemClock),
        log: Log::none(),
    };
    let mut running = pipeline::start(parts).unwrap();
    while !running.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(running.progress().finished(), FRAMES);
    running.stop(Duration::from_secs(1)).1.unwrap();
    let (before, after) = (at_warm.load(Ordering::Relaxed), at_end.load(Ordering::Relaxed));
    // The counter works.
    assert!(before > 0);
    assert_eq!(after - before, 0, "allocations in {} frames, {tiles:?}", FRAMES - WARM);
}
