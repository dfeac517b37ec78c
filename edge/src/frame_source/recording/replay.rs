//! A recording as a source.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use super::super::clip::{ClipSpec, has_extension};
use super::super::colour::{Colour, Said};
use super::super::pace::Pace;
use super::super::spec::{Policy, Rate, Requirement, SourceKind, SourceSpec};
use super::super::{Arrival, FrameFormat, FrameSlot, FrameSource, Kind, SourceError};
use super::{EXTENSION, Read, RecordingError, RecordingReader};
use crate::clock::{Clock, SystemClock};
use unet_engine::error::chain;

/// `kind = "recording"`, with the keys of a [`ClipSpec`], `range` and `matrix`.
pub(crate) const KIND: SourceKind = SourceKind {
    name: "recording",
    read: |section| {
        let (clip, colour) = (ClipSpec::read(section), Said::read(section));
        Some(Arc::new(RecordingSpec { clip: clip?, colour }))
    },
    from_word: |path| Ok(Arc::new(RecordingSpec { clip: ClipSpec::once(path), colour: Said::default() })),
    claims: |word| has_extension(word, EXTENSION),
};

#[derive(Debug)]
struct RecordingSpec {
    clip: ClipSpec,
    colour: Said,
}

impl SourceSpec for RecordingSpec {
    fn name(&self) -> String {
        self.clip.path.display().to_string()
    }

    fn policy(&self) -> Policy {
        self.clip.policy()
    }

    fn interval(&self) -> Option<Duration> {
        self.clip.interval()
    }

    fn requirement(&self) -> Requirement<'_> {
        Requirement::Path(&self.clip.path)
    }

    fn open(&self) -> Result<Box<dyn FrameSource>, SourceError> {
        Ok(Box::new(Replay::open(&self.clip, self.colour)?))
    }
}

/// Plays a recording. Frames keep the camera's numbers, which keep increasing when the recording starts over. Their time is the
/// time of the replay, since latencies are measured from it; [`RecordingReader`] has the original time.
#[derive(Debug)]
pub(super) struct Replay {
    spec: ClipSpec,
    name: String,
    reader: RecordingReader<BufReader<File>>,
    pace: Pace,
    colour: Colour,
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
    /// If it cannot be opened or is not a recording.
    pub(super) fn open(spec: &ClipSpec, configured: Said) -> Result<Self, SourceError> {
        let name = spec.path.display().to_string();
        let reader = open(spec, &name)?;
        let pace = Pace::new(spec.rate.map(Rate::interval));
        let spec = spec.clone();
        let colour = Colour { configured, ..Colour::default() };
        Ok(Replay { spec, name, reader, pace, colour, format: None, offset: 0, next_sequence: 0, frames_of_round: 0 })
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
            Some(format) => {
                format!("{}: recording, {format}{}", self.name, self.colour.describe(format.encoding))
            }
            None => format!("{}: recording", self.name),
        }
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, patience: Duration) -> Result<Arrival, SourceError> {
        if !self.pace.wait(&SystemClock, patience) {
            return Ok(Arrival::Nothing);
        }
        let mut read = self.reader.next(slot).map_err(|error| self.error(&error))?;
        // A recording without frames is not repeated.
        if read == Read::End && self.spec.repeat && self.frames_of_round > 0 {
            self.reader = open(&self.spec, &self.name)?;
            (self.offset, self.frames_of_round) = (self.next_sequence, 0);
            read = self.reader.next(slot).map_err(|error| self.error(&error))?;
        }
        match read {
            Read::Frame => {
                self.colour.stated = self.reader.stated();
                slot.format.colour = self.colour.of(slot.format.encoding);
                self.format = Some(slot.format);
                slot.captured = SystemClock.now();
                slot.sequence = slot.sequence.saturating_add(self.offset);
                self.next_sequence = slot.sequence.saturating_add(1);
                self.frames_of_round += 1;
                Ok(Arrival::Frame)
            }
            Read::Cut => {
                let frames = self.frames_of_round;
                let problem = format!("recording is cut after {frames} complete frames");
                Err(SourceError::new(&self.name, Kind::SkipFrame, problem, None))
            }
            Read::End => Ok(Arrival::End),
        }
    }
}
