//! Frames that the model is unsure about, as PNG files for the next training.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Context, OpenError, PaintError, SinkSpec, folder};
use crate::outputs::{HardFrames, HardFramesBounds, file_stem};
use crate::pipeline::{Needs, Outcome, Sink, WriteError};
use crate::section::Section;
use crate::telemetry::log::Log;
use unet_engine::picture;

const FRAMES_MAX: u64 = 1_000_000;

/// `[outputs.hard_frames]`
#[derive(Debug)]
struct HardFramesSpec {
    /// `folder`; created if necessary.
    folder: PathBuf,
    /// `frames_max` (default 200), `bytes_max` (256 MiB), `margin_below` (16 steps of the quantized logits) and `pause_seconds`
    /// (10) between stored frames.
    bounds: HardFramesBounds,
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Arc<dyn SinkSpec>> {
    let mut section = section.section("hard_frames")?;
    let folder = folder(&mut section);
    let frames_max = section.integer("frames_max", 1..=FRAMES_MAX, "1 to 1000000 frames").unwrap_or(200) as usize;
    let bytes_max = section.bytes("bytes_max").unwrap_or(256 << 20);
    let margin_below = section.number("margin_below", 0.0..=256.0, "0 to 256 steps of the logits").unwrap_or(16.0);
    let pause = section.seconds("pause_seconds", 0.0..=86_400.0).unwrap_or(Duration::from_secs(10));
    section.finish();
    let bounds = HardFramesBounds { margin_below, frames_max, bytes_max, pause };
    Some(Arc::new(HardFramesSpec { folder: folder?, bounds }))
}

impl SinkSpec for HardFramesSpec {
    fn name(&self) -> &'static str {
        "hard frames"
    }

    fn folder(&self) -> Option<(&Path, u64)> {
        Some((&self.folder, self.bounds.bytes_max))
    }

    fn needs(&self) -> Needs {
        Needs { pixels: true, margin: true }
    }

    fn open(&self, context: &Context) -> Result<Box<dyn Sink>, OpenError> {
        let frames = context.places.open(&self.folder).and_then(|place| HardFrames::open(place, self.bounds));
        let frames = frames.map_err(OpenError::folder(&self.folder))?;
        Ok(Box::new(HardFrameSink(frames)))
    }
}

/// Writes the frames.
#[derive(Debug)]
struct HardFrameSink(HardFrames);

impl Sink for HardFrameSink {
    fn name(&self) -> &'static str {
        "hard frames"
    }

    fn write(&mut self, outcome: &Outcome, _: Log) -> Result<(), WriteError> {
        let now = outcome.frame.captured;
        if let Some(margin) = outcome.margin.filter(|&margin| self.0.accepts(margin, now)) {
            let stem = file_stem(outcome.since_1970, outcome.frame.sequence);
            let view = outcome.view().map_err(PaintError::Pixels)?;
            let png = picture::image_png(&view).map_err(PaintError::Picture)?;
            self.0.store(margin, now, &stem, "png", &png)?;
        }
        Ok(())
    }
}
