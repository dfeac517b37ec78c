//! A program that writes frames to its standard output. It has a process group of its own, which ends with the source; what
//! it last said on standard error stands in the error when it dies.

mod child;

use std::process::ChildStdout;
use std::time::Duration;

use unet_shared::image::ImageView;

use super::deadline_read::Polled;
use super::stream::{FrameStream, StreamError};
use super::{
    Arrival, Encoding, FRAME_BYTES_MAX, FrameFormat, FrameSlot, FrameSource, ProcessOutput, ProcessSpec, SourceError,
};
use crate::clock::{Clock, SystemClock};
use child::Running;
use unet_engine::error::Kind;

/// Frames of a program.
#[derive(Debug)]
pub struct Process {
    name: String,
    stream: FrameStream<Polled<ChildStdout>>,
    // Last, so that the pipe is closed before the program is ended.
    running: Running,
}

impl Process {
    /// Starts the program. That it runs says nothing of its frames.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or its frames could never be read.
    pub fn open(spec: &ProcessSpec) -> Result<Self, SourceError> {
        let name = spec.command.first().cloned().unwrap_or_default();
        let raw = match spec.output {
            ProcessOutput::Y4m => None,
            ProcessOutput::Raw { format, width, height, stride } => {
                let (width, height) = (width.get(), height.get());
                let encoding = Encoding::Pixels(format);
                let frame = FrameFormat { encoding, width, height, stride };
                let len = raw_frame_len(&frame)
                    .map_err(|problem| SourceError::new(&name, Kind::Fatal, format!("frames: {problem}"), None))?;
                Some((frame, len))
            }
        };
        let (running, output) = Running::start(&spec.command).map_err(|cause| {
            use std::io::ErrorKind::{InvalidInput, NotFound, PermissionDenied};
            let kind = match cause.kind() {
                NotFound | PermissionDenied | InvalidInput => Kind::Fatal,
                // The system is short of something.
                _ => Kind::Retry,
            };
            SourceError::new(&name, kind, "could not be started", Some(cause))
        })?;
        let stream = match raw {
            None => FrameStream::y4m(Polled(output)),
            Some((format, len)) => FrameStream::raw(Polled(output), format, len),
        };
        Ok(Process { name, stream, running })
    }

    /// What an end means depends on how the program ended.
    fn ended(&mut self, cut: Option<StreamError>) -> Result<Arrival, SourceError> {
        let status = self.running.finish();
        if status.success && cut.is_none() && self.stream.sequence() > 0 {
            return Ok(Arrival::End);
        }
        let frames = match self.stream.sequence() {
            0 => "without a frame".to_owned(),
            1 => "after 1 frame".to_owned(),
            count => format!("after {count} frames"),
        };
        let mut problem = format!("{} {frames}", status.text);
        if let Some(cut) = cut {
            problem = format!("{problem}; {cut}");
        }
        if !status.last_words.is_empty() {
            problem = format!("{problem}; it last said: {}", status.last_words);
        }
        Err(SourceError::new(&self.name, Kind::Retry, problem, None))
    }
}

/// Bytes of a raw frame: what its planes take, the padding of its last row too.
fn raw_frame_len(format: &FrameFormat) -> Result<usize, String> {
    let Encoding::Pixels(pixels) = format.encoding else { return Err("expected pixels".to_owned()) };
    let (rows, stride) = (format.height as usize, format.stride as usize);
    let eighths = match pixels {
        unet_shared::image::PixelFormat::Nv12 | unet_shared::image::PixelFormat::I420 => 12,
        _ => 8,
    };
    let bytes = rows.checked_mul(stride).and_then(|bytes| bytes.checked_mul(eighths)).map(|bytes| bytes / 8);
    match bytes {
        Some(bytes) if bytes <= FRAME_BYTES_MAX => {
            // The very check that each frame has to pass.
            let zeros = vec![0; bytes];
            ImageView::new(&zeros, format.width as usize, rows, stride, pixels).map_err(|error| error.to_string())?;
            Ok(bytes)
        }
        _ => Err(format!("expected at most {FRAME_BYTES_MAX} bytes each, found {format} with rows of {stride} bytes")),
    }
}

impl FrameSource for Process {
    fn describe(&self) -> String {
        match self.stream.format() {
            Some(format) => format!("{}: {format}", self.name),
            None => self.name.clone(),
        }
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, patience: Duration) -> Result<Arrival, SourceError> {
        match self.stream.next(slot, SystemClock.now() + patience) {
            Ok(Arrival::End) => self.ended(None),
            Ok(other) => Ok(other),
            Err(cut @ (StreamError::Cut { .. } | StreamError::CutHeader { .. })) => self.ended(Some(cut)),
            Err(StreamError::Read(cause)) => {
                Err(SourceError::new(&self.name, Kind::Retry, "could not be read", Some(cause)))
            }
            Err(StreamError::Header(error)) => Err(SourceError::new(&self.name, Kind::Fatal, error.to_string(), None)),
            // Bytes were lost; a new start brings the two back into step.
            Err(error @ StreamError::Mark { .. }) => {
                Err(SourceError::new(&self.name, Kind::Retry, error.to_string(), None))
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests;
