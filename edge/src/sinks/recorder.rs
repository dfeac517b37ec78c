//! A recording of the original bytes of the processed frames.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Context, OpenError, SinkSpec, folder};
use crate::frame_source::recording::{Recorded, Recorder, RecorderBounds};
use crate::outputs::file_stem;
use crate::pipeline::{Outcome, Sink};
use crate::section::Section;
use crate::telemetry::log::{Failing, Log, LogLevel};

/// `[outputs.recorder]`
#[derive(Debug)]
struct RecorderSpec {
    /// `folder`; created if necessary.
    folder: PathBuf,
    /// `bytes_max` (default 1 GiB) of all recordings in the folder, and `frames_max` (unlimited) of this one.
    bounds: RecorderBounds,
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Arc<dyn SinkSpec>> {
    let mut section = section.section("recorder")?;
    let folder = folder(&mut section);
    let bytes_max = section.bytes("bytes_max").unwrap_or(1 << 30);
    let frames_max = section.integer("frames_max", 1..=u64::MAX, "1 or more frames").unwrap_or(u64::MAX);
    section.finish();
    Some(Arc::new(RecorderSpec { folder: folder?, bounds: RecorderBounds { bytes_max, frames_max } }))
}

impl SinkSpec for RecorderSpec {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn folder(&self) -> Option<(&Path, u64)> {
        Some((&self.folder, self.bounds.bytes_max))
    }

    fn open(&self, context: &Context<'_>) -> Result<Box<dyn Sink>, OpenError> {
        let stem = file_stem(context.clock.since_1970(), 0);
        let recorder =
            Recorder::create_in(&self.folder, &stem, self.bounds).map_err(OpenError::folder(&self.folder))?;
        Ok(Box::new(RecorderSink { recorder, full: false, failing: Failing::default() }))
    }
}

/// Writes the recording until it is full.
#[derive(Debug)]
struct RecorderSink {
    recorder: Recorder,
    full: bool,
    failing: Failing,
}

impl Sink for RecorderSink {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn write(&mut self, outcome: &Outcome, log: Log) {
        if self.full {
            return;
        }
        let recorded = self.recorder.record(&outcome.frame);
        if let Ok(Recorded::Full) = recorded {
            self.full = true;
            let (path, frames) = (self.recorder.path().display(), self.recorder.frames());
            log.say(LogLevel::Info, format_args!("recorder: {path} is full, with {frames} frames"));
        }
        self.failing.check(recorded.map(drop), |error| {
            log.say(LogLevel::Error, format_args!("recorder: write failed, will retry: {error}"));
        });
    }
}
