//! Frames from a stream of bytes that arrives in arbitrary pieces. A frame that is incomplete at the deadline is continued at the
//! next call, whatever slot comes with it.

mod images;
mod y4m_header;

use std::io;
use std::time::Duration;

use super::colour::Colour;
use super::deadline_read::DeadlineRead;
use super::{Arrival, Encoding, FRAME_BYTES_MAX, FrameFormat, FrameSlot};
use crate::clock::{Clock, SystemClock};
use images::{Images, Step};
use unet_shared::image::ColourEncoding;
use y4m_header::{HEADER_BYTES_MAX, excerpt};

pub use y4m_header::{Y4mError, Y4mHeader};

/// Size limit of the line before a frame, in bytes; its parameters are ignored.
const MARK_BYTES_MAX: usize = 256;
const MARK: &[u8] = b"FRAME";
/// Most bytes before the first JPEG image: what is no image begins otherwise.
const SKIPPED_MAX: usize = 1 << 16;

/// Why a stream has no further frame.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The header is refused.
    #[error(transparent)]
    Header(#[from] Y4mError),
    /// It ended within the header.
    #[error("stream is cut in its header, after {found} bytes")]
    CutHeader {
        /// Bytes found.
        found: usize,
    },
    /// A frame does not begin with its mark.
    #[error("frame {frame}: expected the word FRAME before the pixels, found {found}")]
    Mark {
        /// Counted from 0.
        frame: u64,
        /// Bytes found in its place.
        found: String,
    },
    /// It ended within a frame.
    #[error("stream is cut: frame {frame} has {found} of {expected} bytes")]
    Cut {
        /// Counted from 0.
        frame: u64,
        /// Bytes of a frame.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// It does not begin with an image.
    #[error("expected JPEG images one after another, found {found} and no image in {SKIPPED_MAX} bytes")]
    NoImage {
        /// Its first bytes.
        found: String,
    },
    /// It ended within an image.
    #[error("stream is cut: frame {frame} ends after {found} bytes, without an end marker")]
    CutImage {
        /// Counted from 0.
        frame: u64,
        /// Bytes found.
        found: usize,
    },
    /// An image above the size limit.
    #[error("frame {frame}: expected a JPEG image of at most {FRAME_BYTES_MAX} bytes, found no end of it")]
    Large {
        /// Counted from 0.
        frame: u64,
    },
    /// It could not be read.
    #[error("could not be read")]
    Read(#[from] io::Error),
}

/// What comes next in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    Mark,
    Pixels,
    Images,
    Over,
}

/// Frames of a stream. Uses memory for one frame of at most [`super::FRAME_BYTES_MAX`] bytes and a few kilobytes, whatever the
/// stream contains.
#[derive(Debug)]
pub struct FrameStream<R> {
    input: R,
    stage: Stage,
    // Whether each frame begins with a mark.
    marked: bool,
    format: FrameFormat,
    frame_len: usize,
    colour: Colour,
    images: Images,
    // Bytes read beyond a line.
    ahead: Box<[u8]>,
    ahead_from: usize,
    ahead_to: usize,
    line: Vec<u8>,
    // The incomplete frame; swapped with the slot's buffer.
    pending: Vec<u8>,
    filled: usize,
    captured: Duration,
    sequence: u64,
}

impl<R: DeadlineRead> FrameStream<R> {
    /// A YUV4MPEG2 stream.
    pub fn y4m(input: R) -> Self {
        FrameStream {
            input,
            stage: Stage::Header,
            marked: true,
            format: FrameSlot::default().format,
            frame_len: 0,
            colour: Colour::default(),
            images: Images::default(),
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

    /// Frames of `frame_len` bytes, at least 1, with nothing between them.
    pub fn raw(input: R, format: FrameFormat, frame_len: usize) -> Self {
        let frame_len = frame_len.clamp(1, super::FRAME_BYTES_MAX);
        FrameStream { stage: Stage::Pixels, marked: false, format, frame_len, ..FrameStream::y4m(input) }
    }

    /// JPEG images, one after another. Other bytes between them, such as the headers of a multipart stream, are skipped.
    pub fn mjpeg(input: R) -> Self {
        let colour = ColourEncoding::JPEG;
        let format = FrameFormat { encoding: Encoding::Jpeg, width: 0, height: 0, stride: 0, colour };
        FrameStream { stage: Stage::Images, marked: false, format, ..FrameStream::y4m(input) }
    }

    /// With the range and matrix that somebody says before a header does.
    pub(super) fn with_colour(mut self, colour: Colour) -> Self {
        self.colour = colour;
        self
    }

    /// Continues counting from `sequence`.
    pub fn with_sequence(mut self, sequence: u64) -> Self {
        self.sequence = sequence;
        self
    }

    /// Who says what of range and matrix, once the header is read.
    pub(super) fn colour(&self) -> Colour {
        self.colour
    }

    /// Number of the next frame.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Format of the frames, once it is known.
    pub fn format(&self) -> Option<FrameFormat> {
        if self.stage == Stage::Header || self.format.width == 0 { None } else { Some(self.format) }
    }

    /// Reads the header if the stream has one; returns whether it is complete at `deadline`.
    ///
    /// # Errors
    ///
    /// If it is refused or cut.
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
                // Files of other kinds often have no line feed.
                Y4mHeader::parse(&self.line)?;
                return Err(Y4mError::Long.into());
            }
        }
        let header = Y4mHeader::parse(&self.line).inspect_err(|_| self.stage = Stage::Over)?;
        self.line.clear();
        self.colour.stated.range = header.range;
        self.format = header.frame_format(self.colour.encoding(header.format));
        self.frame_len = header.frame_len();
        self.stage = Stage::Mark;
        Ok(true)
    }

    /// The next frame, or nothing if `deadline` comes first. After an error there is only the end.
    ///
    /// # Errors
    ///
    /// If the stream is cut or malformed.
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
                Stage::Images => return self.image(slot, deadline),
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
                    self.deliver(slot);
                    if self.marked {
                        self.stage = Stage::Mark;
                    }
                    return Ok(Arrival::Frame);
                }
            }
        }
    }

    /// Swaps the complete frame with the slot.
    fn deliver(&mut self, slot: &mut FrameSlot) {
        std::mem::swap(&mut slot.bytes, &mut self.pending);
        (slot.format, slot.sequence, slot.captured) = (self.format, self.sequence, self.captured);
        self.sequence += 1;
        self.filled = 0;
    }

    /// The next JPEG image.
    fn image(&mut self, slot: &mut FrameSlot, deadline: Duration) -> Result<Arrival, StreamError> {
        loop {
            if self.ahead_from == self.ahead_to {
                match self.input.read_until(&mut self.ahead, deadline)? {
                    None => return Ok(Arrival::Nothing),
                    Some(0) => {
                        self.stage = Stage::Over;
                        return match self.images.is_within() {
                            true => Err(StreamError::CutImage { frame: self.sequence, found: self.pending.len() }),
                            false if self.sequence == 0 => Err(self.no_image()),
                            false => Ok(Arrival::End),
                        };
                    }
                    Some(count) => (self.ahead_from, self.ahead_to) = (0, count),
                }
                if self.sequence == 0 && self.line.is_empty() {
                    // For a message, should there be no image.
                    let first = self.ahead_to.min(HEADER_BYTES_MAX);
                    self.line.extend_from_slice(&self.ahead[..first]);
                }
            }
            let (used, step) = self.images.feed(&self.ahead[self.ahead_from..self.ahead_to], &mut self.pending);
            self.ahead_from += used;
            match step {
                Step::More if self.pending.len() > FRAME_BYTES_MAX => {
                    self.images.abandon();
                    self.pending.clear();
                    return Err(StreamError::Large { frame: self.sequence });
                }
                Step::More if self.sequence == 0 && self.images.skipped() > SKIPPED_MAX as u64 => {
                    self.stage = Stage::Over;
                    return Err(self.no_image());
                }
                Step::More => {}
                Step::Begun => self.captured = SystemClock.now(),
                Step::Complete => {
                    let size = images::size(&self.pending);
                    (self.format.width, self.format.height) = size.unwrap_or_default();
                    self.deliver(slot);
                    self.pending.clear();
                    return Ok(Arrival::Frame);
                }
            }
        }
    }

    fn no_image(&self) -> StreamError {
        StreamError::NoImage { found: excerpt(&self.line) }
    }

    fn cut(&mut self) -> StreamError {
        self.stage = Stage::Over;
        StreamError::Cut { frame: self.sequence, expected: self.frame_len, found: self.filled }
    }

    /// Reads some pixels into the incomplete frame.
    fn pixels(&mut self, deadline: Duration) -> io::Result<Option<usize>> {
        let ahead = &self.ahead[self.ahead_from..self.ahead_to];
        let missing = &mut self.pending[self.filled..];
        if ahead.is_empty() {
            return self.input.read_until(missing, deadline);
        }
        let count = ahead.len().min(missing.len());
        missing[..count].copy_from_slice(&ahead[..count]);
        self.ahead_from += count;
        Ok(Some(count))
    }

    /// Reads the rest of a line into `self.line`, without its line feed. The caller clears the line after use.
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

/// State of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Whole,
    Waiting,
    End,
    Long,
}

#[cfg(test)]
mod tests;
