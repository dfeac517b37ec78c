//! A recording of the original bytes of the processed frames.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Context, OpenError, SinkSpec, folder};
use crate::clock::Clock;
use crate::frame_source::recording::{Recorded, Recorder, RecorderBounds};
use crate::outputs::{Place, file_stem};
use crate::pipeline::{Outcome, Sink, WriteError};
use crate::section::Section;
use crate::telemetry::log::{Log, LogLevel};

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

    fn open(&self, context: &Context) -> Result<Box<dyn Sink>, OpenError> {
        let failed = OpenError::folder(&self.folder);
        let open = || {
            let place = context.places.open(&self.folder)?;
            let recorder = create(&place, self.bounds, context.clock.as_ref())?;
            Ok((place, recorder))
        };
        let (place, recorder) = open().map_err(failed)?;
        let (bounds, clock) = (self.bounds, Arc::clone(&context.clock));
        Ok(Box::new(RecorderSink { place, bounds, clock, recorder, full: false }))
    }
}

fn create(place: &Place, bounds: RecorderBounds, clock: &dyn Clock) -> io::Result<Recorder> {
    Recorder::create_in(place.path(), &file_stem(clock.since_1970(), 0), bounds)
}

/// Writes the recording until it is full.
struct RecorderSink {
    place: Arc<Place>,
    bounds: RecorderBounds,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    full: bool,
}

impl Sink for RecorderSink {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn write(&mut self, outcome: &Outcome, log: Log) -> Result<(), WriteError> {
        if self.full {
            return Ok(());
        }
        if self.recorder.is_removed() {
            // What is written to a file without a name is lost.
            self.place.restore()?;
            self.recorder = create(&self.place, self.bounds, self.clock.as_ref())?;
            let path = self.recorder.path().display();
            log.say(LogLevel::Warning, format_args!("recorder: the recording was removed, going on with {path}"));
        }
        if self.recorder.record(&outcome.frame)? == Recorded::Full {
            self.full = true;
            let (path, frames) = (self.recorder.path().display(), self.recorder.frames());
            // Without a frame, earlier recordings have used up the limit.
            let level = if frames == 0 { LogLevel::Warning } else { LogLevel::Info };
            let bytes_max = self.bounds.bytes_max;
            log.say(
                level,
                format_args!("recorder: {path} is full, with {frames} frames; the folder may have {bytes_max} bytes"),
            );
        }
        Ok(())
    }
}
