//! Reading a recording, from a file or any bytes.

use std::io;

use super::super::colour::Said;
use super::super::{FRAME_BYTES_MAX, FrameSlot};
use super::{HEADER_LEN, Header, MAGIC, TRAILER_LEN, trailer};

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// Not a recording.
    #[error("expected a recording, which begins with UEREC001, found {found}")]
    Magic {
        /// Its first bytes.
        found: String,
    },
    /// A frame does not begin with a header.
    #[error("frame {frame}: expected a frame header, found other bytes")]
    Header {
        /// Counted from 0.
        frame: u64,
    },
    /// A frame above the size limit.
    #[error("frame {frame}: expected at most {FRAME_BYTES_MAX} bytes, found {bytes}")]
    Large {
        /// Counted from 0.
        frame: u64,
        /// Size in its header.
        bytes: u32,
    },
    /// An I/O error.
    #[error("could not be read")]
    Read(#[from] io::Error),
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The slot holds a frame.
    Frame,
    /// An incomplete frame, at which the recording was cut off. Nothing follows.
    Cut,
    /// The end.
    End,
}

/// Reads the frames of a recording. Uses memory for one frame, and never more than the bytes that exist.
#[derive(Debug)]
pub struct RecordingReader<R> {
    input: R,
    frame: u64,
    over: bool,
    stated: Said,
}

impl<R: io::Read> RecordingReader<R> {
    /// Reads the head of the file.
    ///
    /// # Errors
    ///
    /// If it is not a recording.
    pub fn new(mut input: R) -> Result<Self, RecordingError> {
        let mut magic = [0; MAGIC.len()];
        let found = fill(&mut input, &mut magic)?;
        if magic != MAGIC {
            let found = if found == 0 { "nothing".to_owned() } else { magic[..found].escape_ascii().to_string() };
            return Err(RecordingError::Magic { found });
        }
        Ok(RecordingReader { input, frame: 0, over: false, stated: Said::default() })
    }

    /// What the last frame stated of range and matrix.
    pub(super) fn stated(&self) -> Said {
        self.stated
    }

    /// Reads the next frame with its recorded time. After anything but a frame there is only the end.
    ///
    /// # Errors
    ///
    /// If the bytes are neither a frame nor a frame that was cut off.
    pub fn next(&mut self, slot: &mut FrameSlot) -> Result<Read, RecordingError> {
        if self.over {
            return Ok(Read::End);
        }
        let read = self.frame(slot);
        match read {
            Ok(Read::Frame) => self.frame += 1,
            _ => self.over = true,
        }
        read
    }

    fn frame(&mut self, slot: &mut FrameSlot) -> Result<Read, RecordingError> {
        let frame = self.frame;
        let mut bytes = [0; HEADER_LEN];
        match fill(&mut self.input, &mut bytes)? {
            0 => return Ok(Read::End),
            HEADER_LEN => {}
            _ => return Ok(Read::Cut),
        }
        let Some((Header { format, len, sequence, captured }, stated)) = Header::from_bytes(&bytes) else {
            // After a power loss the file may end with zeros, which were allocated but never written.
            return if bytes == [0; HEADER_LEN] { Ok(Read::Cut) } else { Err(RecordingError::Header { frame }) };
        };
        if len as usize > FRAME_BYTES_MAX {
            return Err(RecordingError::Large { frame, bytes: len });
        }
        if !read_exactly(&mut self.input, &mut slot.bytes, len as usize)? {
            return Ok(Read::Cut);
        }
        let mut end = [0; TRAILER_LEN];
        if fill(&mut self.input, &mut end)? < TRAILER_LEN || end != trailer(sequence) {
            return Ok(Read::Cut);
        }
        (slot.format, slot.sequence, slot.captured) = (format, sequence, captured);
        self.stated = stated;
        Ok(Read::Frame)
    }
}

/// Reads `len` bytes of the input into `bytes`; returns whether there were so many. Grows in steps, so that a wrong length
/// does not allocate more than there are bytes.
fn read_exactly(input: &mut impl io::Read, bytes: &mut Vec<u8>, len: usize) -> io::Result<bool> {
    const STEP: usize = 1 << 20;
    // The bytes of the previous frame are overwritten, not cleared.
    let mut filled = 0;
    bytes.truncate(len);
    while filled < len {
        let end = bytes.len().max(filled + STEP).min(len);
        if bytes.capacity() < end {
            bytes.reserve_exact(end - bytes.len());
        }
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        let count = fill(input, &mut bytes[filled..end])?;
        filled += count;
        if filled < end {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads until the buffer is full or the input ends; returns the number of bytes.
fn fill(input: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
