//! A program that writes frames to its standard output. It runs in its own process group, which ends with the source; if it
//! fails, the error contains the last lines of its standard error.

mod child;
pub(super) mod ffmpeg;
mod spec;

use std::process::ChildStdout;
use std::time::Duration;

use unet_shared::image::ImageView;

use super::deadline_read::Polled;
use super::stream::{FrameStream, StreamError};
use super::{Arrival, Encoding, FRAME_BYTES_MAX, FrameFormat, FrameSlot, FrameSource, Kind, SourceError};
use crate::clock::{Clock, SystemClock};
use child::Running;
use spec::{ProcessOutput, ProcessSpec};

pub(crate) use spec::KIND;

/// Frames of a program.
#[derive(Debug)]
struct Process {
    name: String,
    stream: FrameStream<Polled<ChildStdout>>,
    // Last, so that the pipe is closed before the program is ended.
    running: Running,
}

impl Process {
    /// Starts the program. Its frames are read later.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or its raw frames are invalid.
    fn open(spec: &ProcessSpec) -> Result<Self, SourceError> {
        let name = spec.command.first().cloned().unwrap_or_default();
        let raw = match spec.output {
            ProcessOutput::Y4m | ProcessOutput::Mjpeg => None,
            ProcessOutput::Raw { format, width, height, stride } => {
                let (width, height) = (width.get(), height.get());
                let encoding = Encoding::Pixels(format);
                let frame = FrameFormat { encoding, width, height, stride, colour: spec.colour.encoding(format) };
                let len = raw_frame_len(&frame)
                    .map_err(|problem| SourceError::new(&name, Kind::Fatal, format!("frames: {problem}"), None))?;
                Some((frame, len))
            }
        };
        let (running, output) = Running::start(&spec.command).map_err(|cause| {
            use std::io::ErrorKind::{InvalidInput, NotFound, PermissionDenied};
            let kind = match cause.kind() {
                NotFound | PermissionDenied | InvalidInput => Kind::Fatal,
                // Out of processes or memory.
                _ => Kind::Retry,
            };
            // A name without a separator is looked up; a path is not.
            if cause.kind() == NotFound && !name.contains(std::path::is_separator) {
                let problem = "program not found in PATH; install it, or give its whole path";
                return SourceError::new(&name, kind, problem, None);
            }
            SourceError::new(&name, kind, "failed to start", Some(cause))
        })?;
        let output = Polled(output);
        let stream = match raw {
            Some((format, len)) => FrameStream::raw(output, format, len),
            None if spec.output == ProcessOutput::Mjpeg => FrameStream::mjpeg(output),
            None => FrameStream::y4m(output),
        };
        Ok(Process { name, stream: stream.with_colour(spec.colour), running })
    }

    /// The end of the output: a regular end or an error, depending on how the program exited.
    fn ended(&mut self, cut: Option<StreamError>) -> Result<Arrival, SourceError> {
        let status = self.running.finish();
        if status.success && cut.is_none() && self.stream.sequence() > 0 {
            return Ok(Arrival::End);
        }
        let frames = match self.stream.sequence() {
            0 => "before its first frame".to_owned(),
            1 => "after 1 frame".to_owned(),
            count => format!("after {count} frames"),
        };
        let mut problem = format!("{} {frames}", status.text);
        // Without any output there is nothing to be cut.
        if let Some(cut) = cut.filter(|cut| !matches!(cut, StreamError::CutHeader { found: 0 })) {
            problem = format!("{problem}; {cut}");
        }
        if !status.last_output.is_empty() {
            problem = format!("{problem}; last output: {}", status.last_output);
        }
        Err(SourceError::new(&self.name, Kind::Retry, problem, None))
    }
}

/// Bytes of a raw frame: all planes, including the padding of the last row.
fn raw_frame_len(format: &FrameFormat) -> Result<usize, String> {
    let Encoding::Pixels(pixels) = format.encoding else { return Err("expected pixels".to_owned()) };
    let (rows, stride) = (format.height as usize, format.stride as usize);
    match pixels.padded_len(rows, stride) {
        Some(bytes) if bytes <= FRAME_BYTES_MAX => {
            // The check that each frame has to pass.
            let zeros = vec![0; bytes];
            ImageView::new(&zeros, format.width as usize, rows, stride, pixels).map_err(|error| error.to_string())?;
            Ok(bytes)
        }
        _ => Err(format!(
            "expected at most {FRAME_BYTES_MAX} bytes per frame, found {format} with rows of {stride} bytes"
        )),
    }
}

impl FrameSource for Process {
    fn describe(&self) -> String {
        match self.stream.format() {
            Some(format) => {
                format!("{}: {format}{}", self.name, self.stream.colour().describe(format.encoding))
            }
            None => self.name.clone(),
        }
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, patience: Duration) -> Result<Arrival, SourceError> {
        match self.stream.next(slot, SystemClock.now() + patience) {
            Ok(Arrival::End) => self.ended(None),
            Ok(other) => Ok(other),
            Err(cut @ (StreamError::Cut { .. } | StreamError::CutHeader { .. } | StreamError::CutImage { .. })) => {
                self.ended(Some(cut))
            }
            Err(StreamError::Read(cause)) => {
                Err(SourceError::new(&self.name, Kind::Retry, "could not be read", Some(cause)))
            }
            Err(error @ (StreamError::Header(_) | StreamError::NoImage { .. })) => {
                Err(SourceError::new(&self.name, Kind::Fatal, error.to_string(), None))
            }
            Err(error @ StreamError::Large { .. }) => {
                Err(SourceError::new(&self.name, Kind::SkipFrame, error.to_string(), None))
            }
            // Bytes were lost; restarting the program restores the frame boundaries.
            Err(error @ StreamError::Mark { .. }) => {
                Err(SourceError::new(&self.name, Kind::Retry, error.to_string(), None))
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests;
