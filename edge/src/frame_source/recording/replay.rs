//! A recording as a source.

use std::fs::File;
use std::io::BufReader;
use std::time::Duration;

use super::super::pace::Pace;
use super::super::{Arrival, ClipSpec, FrameFormat, FrameSlot, FrameSource, Rate, SourceError};
use super::{Read, RecordingError, RecordingReader};
use crate::clock::{Clock, SystemClock};
use unet_engine::error::{Kind, chain};

/// Frames of a recording with the numbers that the camera gave them, which grow over rounds. Their time is that of the
/// replay, as all that follows measures from it; [`RecordingReader`] tells the board's.
#[derive(Debug)]
pub struct Replay {
    spec: ClipSpec,
    name: String,
    reader: RecordingReader<BufReader<File>>,
    pace: Pace,
    format: Option<FrameFormat>,
    offset: u64,
    next_sequence: u64,
    frames_of_round: u64,
}

impl Replay {
    /// Opens the file.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or is no recording.
    pub fn open(spec: &ClipSpec) -> Result<Self, SourceError> {
        let name = spec.path.display().to_string();
        let reader = open(spec, &name)?;
        let pace = Pace::new(spec.rate.map(Rate::interval));
        let spec = spec.clone();
        Ok(Replay { spec, name, reader, pace, format: None, offset: 0, next_sequence: 0, frames_of_round: 0 })
    }

    fn error(&self, error: &RecordingError) -> SourceError {
        SourceError::new(&self.name, Kind::Fatal, chain(error), None)
    }
}

fn open(spec: &ClipSpec, name: &str) -> Result<RecordingReader<BufReader<File>>, SourceError> {
    let file = File::open(&spec.path)
        .map_err(|cause| SourceError::new(name, Kind::Fatal, "could not be opened", Some(cause)))?;
    RecordingReader::new(BufReader::new(file)).map_err(|error| SourceError::new(name, Kind::Fatal, chain(&error), None))
}

impl FrameSource for Replay {
    fn describe(&self) -> String {
        match self.format {
            Some(format) => format!("{}: recording, {format}", self.name),
            None => format!("{}: recording", self.name),
        }
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, patience: Duration) -> Result<Arrival, SourceError> {
        if !self.pace.wait(&SystemClock, patience) {
            return Ok(Arrival::Nothing);
        }
        let mut read = self.reader.next(slot).map_err(|error| self.error(&error))?;
        // A recording without frames has nothing to begin again with.
        if read == Read::End && self.spec.repeat && self.frames_of_round > 0 {
            self.reader = open(&self.spec, &self.name)?;
            (self.offset, self.frames_of_round) = (self.next_sequence, 0);
            read = self.reader.next(slot).map_err(|error| self.error(&error))?;
        }
        match read {
            Read::Frame => {
                self.format = Some(slot.format);
                slot.captured = SystemClock.now();
                slot.sequence = slot.sequence.saturating_add(self.offset);
                self.next_sequence = slot.sequence.saturating_add(1);
                self.frames_of_round += 1;
                Ok(Arrival::Frame)
            }
            Read::Cut => {
                let frames = self.frames_of_round;
                let problem = format!("recording is cut: {frames} frames are whole, the one after them is not");
                Err(SourceError::new(&self.name, Kind::SkipFrame, problem, None))
            }
            Read::End => Ok(Arrival::End),
        }
    }
}
