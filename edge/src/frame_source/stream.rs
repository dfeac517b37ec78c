//! Frames out of a stream of bytes that comes as it likes: a frame that has half arrived when patience ends is gone on with
//! at the next call, whatever slot comes with it.

use std::io;
use std::time::Duration;

use super::deadline_read::DeadlineRead;
use super::y4m::{HEADER_BYTES_MAX, Y4mError, Y4mHeader, excerpt};
use super::{Arrival, FrameFormat, FrameSlot};
use crate::clock::{Clock, SystemClock};

/// The longest line before a frame, in bytes; its parameters are not looked at.
const MARK_BYTES_MAX: usize = 256;
const MARK: &[u8] = b"FRAME";

/// Why a stream gives no further frame.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The header is refused.
    #[error(transparent)]
    Header(#[from] Y4mError),
    /// It ended within the header.
    #[error("stream is cut in its header, after {found} bytes")]
    CutHeader {
        /// Bytes that were there.
        found: usize,
    },
    /// What stands before a frame is something else.
    #[error("frame {frame}: expected the word FRAME before its pixels, found {found}")]
    Mark {
        /// Counted from 0.
        frame: u64,
        /// What stands there.
        found: String,
    },
    /// It ended within a frame.
    #[error("stream is cut: frame {frame} has {found} of {expected} bytes")]
    Cut {
        /// Counted from 0.
        frame: u64,
        /// Bytes of a frame.
        expected: usize,
        /// Bytes that were there.
        found: usize,
    },
    /// It could not be read.
    #[error("could not be read")]
    Read(#[from] io::Error),
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    Mark,
    Pixels,
    Over,
}

/// Frames of a stream. Memory: one frame of at most [`super::FRAME_BYTES_MAX`] bytes and a few kilobytes, never more, whatever
/// the stream says.
#[derive(Debug)]
pub struct FrameStream<R> {
    input: R,
    stage: Stage,
    // Whether each frame has its mark.
    marked: bool,
    header: Option<Y4mHeader>,
    format: FrameFormat,
    frame_len: usize,
    // What was read beyond a line.
    ahead: Box<[u8]>,
    ahead_from: usize,
    ahead_to: usize,
    line: Vec<u8>,
    // The frame that is arriving; changes places with the slot's buffer.
    pending: Vec<u8>,
    filled: usize,
    captured: Duration,
    sequence: u64,
}

impl<R: DeadlineRead> FrameStream<R> {
    /// A stream that says itself what it is.
    pub fn y4m(input: R) -> Self {
        FrameStream {
            input,
            stage: Stage::Header,
            marked: true,
            header: None,
            format: FrameSlot::default().format,
            frame_len: 0,
            ahead: vec![0; 4096].into(),
            ahead_from: 0,
            ahead_to: 0,
            line: Vec::with_capacity(HEADER_BYTES_MAX),
            pending: Vec::new(),
            filled: 0,
            captured: Duration::ZERO,
            sequence: 0,
        }
    }

    /// Frames of `frame_len` bytes, at least one, with nothing between them.
    pub fn raw(input: R, format: FrameFormat, frame_len: usize) -> Self {
        let frame_len = frame_len.clamp(1, super::FRAME_BYTES_MAX);
        FrameStream { stage: Stage::Pixels, marked: false, format, frame_len, ..FrameStream::y4m(input) }
    }

    /// Where counting goes on.
    pub fn with_sequence(mut self, sequence: u64) -> Self {
        self.sequence = sequence;
        self
    }

    /// The next frame's number.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What the frames are, where it is known.
    pub fn format(&self) -> Option<FrameFormat> {
        if self.stage == Stage::Header || self.frame_len == 0 { None } else { Some(self.format) }
    }

    /// The header, once it has come.
    pub fn header(&self) -> Option<&Y4mHeader> {
        self.header.as_ref()
    }

    /// Reads the header, where there is one and it has not been read; whether it is there at `deadline`.
    ///
    /// # Errors
    ///
    /// When it is refused or cut.
    pub fn begin(&mut self, deadline: Duration) -> Result<bool, StreamError> {
        if self.stage != Stage::Header {
            return Ok(true);
        }
        match self.line(HEADER_BYTES_MAX, deadline)? {
            Line::Whole => {}
            Line::Waiting => return Ok(false),
            Line::End => {
                self.stage = Stage::Over;
                return Err(StreamError::CutHeader { found: self.line.len() });
            }
            Line::Long => {
                self.stage = Stage::Over;
                // What is no stream at all seldom has a line feed.
                Y4mHeader::parse(&self.line)?;
                return Err(Y4mError::Long.into());
            }
        }
        let header = Y4mHeader::parse(&self.line).inspect_err(|_| self.stage = Stage::Over)?;
        self.line.clear();
        (self.format, self.frame_len) = (header.frame_format(), header.frame_len());
        self.header = Some(header);
        self.stage = Stage::Mark;
        Ok(true)
    }

    /// The next frame, or nothing where `deadline` comes first. After an error there is nothing but the end.
    ///
    /// # Errors
    ///
    /// When the stream is cut or no stream.
    pub fn next(&mut self, slot: &mut FrameSlot, deadline: Duration) -> Result<Arrival, StreamError> {
        if !self.begin(deadline)? {
            return Ok(Arrival::Nothing);
        }
        loop {
            match self.stage {
                // The header has been read.
                Stage::Header | Stage::Over => return Ok(Arrival::End),
                Stage::Mark => match self.line(MARK_BYTES_MAX, deadline)? {
                    Line::Whole if self.line == MARK || self.line.starts_with(b"FRAME ") => {
                        self.line.clear();
                        self.stage = Stage::Pixels;
                    }
                    Line::Waiting => return Ok(Arrival::Nothing),
                    Line::End if self.line.is_empty() => self.stage = Stage::Over,
                    Line::End if MARK.starts_with(&self.line) || self.line.starts_with(MARK) => return Err(self.cut()),
                    _ => {
                        self.stage = Stage::Over;
                        return Err(StreamError::Mark { frame: self.sequence, found: excerpt(&self.line) });
                    }
                },
                Stage::Pixels => {
                    if self.pending.len() != self.frame_len {
                        self.pending.resize(self.frame_len, 0);
                    }
                    while self.filled < self.frame_len {
                        match self.pixels(deadline)? {
                            None => return Ok(Arrival::Nothing),
                            Some(0) if self.filled == 0 && !self.marked => {
                                self.stage = Stage::Over;
                                return Ok(Arrival::End);
                            }
                            Some(0) => return Err(self.cut()),
                            Some(count) => {
                                if self.filled == 0 && !self.marked {
                                    self.captured = SystemClock.now();
                                }
                                self.filled += count;
                            }
                        }
                    }
                    std::mem::swap(&mut slot.bytes, &mut self.pending);
                    (slot.format, slot.sequence, slot.captured) = (self.format, self.sequence, self.captured);
                    self.sequence += 1;
                    self.filled = 0;
                    if self.marked {
                        self.stage = Stage::Mark;
                    }
                    return Ok(Arrival::Frame);
                }
            }
        }
    }

    fn cut(&mut self) -> StreamError {
        self.stage = Stage::Over;
        StreamError::Cut { frame: self.sequence, expected: self.frame_len, found: self.filled }
    }

    /// Some pixels, into the frame that is arriving.
    fn pixels(&mut self, deadline: Duration) -> io::Result<Option<usize>> {
        let ahead = &self.ahead[self.ahead_from..self.ahead_to];
        let wanted = &mut self.pending[self.filled..];
        if ahead.is_empty() {
            return self.input.read_until(wanted, deadline);
        }
        let count = ahead.len().min(wanted.len());
        wanted[..count].copy_from_slice(&ahead[..count]);
        self.ahead_from += count;
        Ok(Some(count))
    }

    /// The rest of a line, without its line feed, which the caller clears when it is done with it.
    fn line(&mut self, bytes_max: usize, deadline: Duration) -> io::Result<Line> {
        loop {
            if self.ahead_from == self.ahead_to {
                match self.input.read_until(&mut self.ahead, deadline)? {
                    None => return Ok(Line::Waiting),
                    Some(0) => return Ok(Line::End),
                    Some(count) => (self.ahead_from, self.ahead_to) = (0, count),
                }
            }
            if self.line.is_empty() {
                self.captured = SystemClock.now();
            }
            let ahead = &self.ahead[self.ahead_from..self.ahead_to];
            let room = bytes_max - self.line.len();
            let within = &ahead[..ahead.len().min(room)];
            match within.iter().position(|&byte| byte == b'\n') {
                Some(end) => {
                    self.line.extend_from_slice(&within[..end]);
                    self.ahead_from += end + 1;
                    return Ok(Line::Whole);
                }
                None => {
                    self.line.extend_from_slice(within);
                    self.ahead_from += within.len();
                    if self.line.len() == bytes_max {
                        return Ok(Line::Long);
                    }
                }
            }
        }
    }
}

/// How far a line has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Whole,
    Waiting,
    End,
    Long,
}

#[cfg(test)]
mod tests;
