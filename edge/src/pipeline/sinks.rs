//! The outputs of a board: lines of JSON, pictures on the disk, hard frames, recordings.

use std::io::Write;
use std::time::Duration;

use unet_shared::digest::Digest;
use unet_shared::label::LabelTable;
use unet_shared::mask::{MaskError, mask_to_image};
use unet_shared::preprocess::Preprocess;

use super::outcome::Outcome;
use super::pixels::PixelsError;
use super::sink::{Sink, tell};
use crate::config::LogLevel;
use crate::frame_source::recording::{Recorded, Recorder};
use crate::outputs::{BoundedFolder, HardFrames, file_stem};
use crate::telemetry::json_lines::{FrameRecord, JsonLines};
use crate::telemetry::log::Log;
use unet_engine::error::chain;
use unet_engine::picture::{self, PictureError};

/// A line of JSON for each frame.
#[derive(Debug)]
pub struct LineSink<W> {
    lines: JsonLines,
    output: Option<W>,
}

impl<W: Write + Send> LineSink<W> {
    /// Writes to `output`, until that takes no more.
    pub fn new(lines: JsonLines, output: W) -> Self {
        LineSink { lines, output: Some(output) }
    }
}

impl<W: Write + Send> Sink for LineSink<W> {
    fn deliver(&mut self, outcome: &mut Outcome, log: Log) {
        let Some(output) = &mut self.output else { return };
        let record = FrameRecord {
            sequence: outcome.frame.sequence,
            captured: outcome.frame.captured,
            frame: outcome.size,
            placement: outcome.placement,
            latency_us: &outcome.latency_us,
            mask_sha256: Digest::of(&outcome.mask),
            shares: &outcome.shares,
            regions: &outcome.regions,
            rules: &outcome.rules,
            drops: outcome.drops,
        };
        if let Err(error) = output.write_all(self.lines.line(&record)).and_then(|()| output.flush()) {
            // A reader that has gone does not come back; frames and pins go on.
            log.say(LogLevel::Warning, format_args!("standard output takes no more lines: {error}"));
            self.output = None;
        }
    }
}

/// What of a frame a folder gets.
#[derive(Debug)]
pub enum Picture {
    /// The mask, in label values, at the frame's size.
    Mask(Box<LabelTable>),
    /// The frame with the mask laid over, in these colours.
    Overlay(Vec<[u8; 3]>),
}

/// Pictures in a folder.
#[derive(Debug)]
pub struct PictureSink {
    name: &'static str,
    picture: Picture,
    spec: Preprocess,
    folder: BoundedFolder,
    every: u64,
    seen: u64,
    at_size: Vec<u8>,
}

/// Why there is no picture of a frame.
#[derive(Debug, thiserror::Error)]
enum PaintError {
    #[error("mask: {0}")]
    Mask(MaskError),
    #[error(transparent)]
    Pixels(#[from] PixelsError),
    #[error(transparent)]
    Picture(#[from] PictureError),
}

impl PictureSink {
    /// One of `every` frames.
    pub fn new(name: &'static str, picture: Picture, spec: Preprocess, folder: BoundedFolder, every: u64) -> Self {
        PictureSink { name, picture, spec, folder, every: every.max(1), seen: 0, at_size: Vec::new() }
    }

    fn paint(&mut self, outcome: &mut Outcome) -> Result<Vec<u8>, PaintError> {
        let (width, height) = (outcome.size.0 as usize, outcome.size.1 as usize);
        self.at_size.resize(width * height, 0);
        mask_to_image(&outcome.mask, &self.spec, outcome.placement, width, height, &mut self.at_size)
            .map_err(PaintError::Mask)?;
        Ok(match &self.picture {
            Picture::Mask(labels) => picture::label_png(&self.at_size, width, height, labels)?,
            Picture::Overlay(colors) => picture::overlay_png(&outcome.view()?, &self.at_size, colors)?,
        })
    }
}

impl Sink for PictureSink {
    fn deliver(&mut self, outcome: &mut Outcome, log: Log) {
        let is_wanted = self.seen.is_multiple_of(self.every);
        self.seen += 1;
        if !is_wanted {
            return;
        }
        match self.paint(outcome) {
            Ok(png) => {
                let name = file_stem(outcome.since_1970, outcome.frame.sequence) + ".png";
                tell(self.folder.store(&name, &png), self.name, log);
            }
            Err(error) => log.say(LogLevel::Warning, format_args!("{}: {}", self.name, chain(&error))),
        }
    }
}

/// Frames that the model is unsure of.
#[derive(Debug)]
pub struct HardFrameSink(HardFrames);

impl HardFrameSink {
    /// Keeps them there.
    pub fn new(frames: HardFrames) -> Self {
        HardFrameSink(frames)
    }
}

impl Sink for HardFrameSink {
    fn deliver(&mut self, outcome: &mut Outcome, log: Log) {
        let now: Duration = outcome.frame.captured;
        let Some(margin) = outcome.margin.filter(|&margin| self.0.wants(margin, now)) else { return };
        let stem = file_stem(outcome.since_1970, outcome.frame.sequence);
        let png = outcome.view().map_err(PaintError::from).and_then(|view| Ok(picture::image_png(&view)?));
        match png {
            Ok(png) => tell(self.0.store(margin, now, &stem, "png", &png), "hard frames", log),
            Err(error) => log.say(LogLevel::Warning, format_args!("hard frames: {}", chain(&error))),
        }
    }
}

/// The frames that were seen, as the source gave them.
#[derive(Debug)]
pub struct RecorderSink {
    recorder: Recorder,
    full: bool,
    failing: bool,
}

impl RecorderSink {
    /// Appends to a recording until that is full.
    pub fn new(recorder: Recorder) -> Self {
        RecorderSink { recorder, full: false, failing: false }
    }
}

impl Sink for RecorderSink {
    fn deliver(&mut self, outcome: &mut Outcome, log: Log) {
        if self.full {
            return;
        }
        match self.recorder.record(&outcome.frame) {
            Ok(Recorded::Written) => self.failing = false,
            Ok(Recorded::Full) => {
                self.full = true;
                let (path, frames) = (self.recorder.path().display(), self.recorder.frames());
                log.say(LogLevel::Info, format_args!("recorder: {path} is full, with {frames} frames"));
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    log.say(LogLevel::Error, format_args!("recorder: could not write, and will try on: {error}"));
                }
            }
        }
    }
}
