//! Reading a recording, from a file or any bytes.

use std::io;

use super::super::{FRAME_BYTES_MAX, FrameSlot};
use super::{HEADER_LEN, Header, MAGIC, TRAILER_LEN, trailer};

/// Why bytes are no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// They begin with something else.
    #[error("expected a recording, which begins with UEREC001, found {found}")]
    Magic {
        /// How they begin.
        found: String,
    },
    /// Where a frame should begin stands something else.
    #[error("frame {frame}: expected its header, found something else")]
    Header {
        /// Counted from 0.
        frame: u64,
    },
    /// A frame says that it has more bytes than are taken.
    #[error("frame {frame}: expected at most {FRAME_BYTES_MAX} bytes, found {bytes}")]
    Large {
        /// Counted from 0.
        frame: u64,
        /// What it says.
        bytes: u32,
    },
    /// They could not be read.
    #[error("could not be read")]
    Read(#[from] io::Error),
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The slot holds a frame.
    Frame,
    /// The frame that was being written when the recording was cut off: it is no frame, and nothing follows.
    Cut,
    /// Nothing follows.
    End,
}

/// The frames of a recording. Takes memory for one frame, as far as its bytes are there.
#[derive(Debug)]
pub struct RecordingReader<R> {
    input: R,
    frame: u64,
    over: bool,
}

impl<R: io::Read> RecordingReader<R> {
    /// Reads the first bytes.
    ///
    /// # Errors
    ///
    /// When it is no recording.
    pub fn new(mut input: R) -> Result<Self, RecordingError> {
        let mut magic = [0; MAGIC.len()];
        let found = fill(&mut input, &mut magic)?;
        if magic != MAGIC {
            let found = if found == 0 { "nothing".to_owned() } else { magic[..found].escape_ascii().to_string() };
            return Err(RecordingError::Magic { found });
        }
        Ok(RecordingReader { input, frame: 0, over: false })
    }

    /// Reads the next frame, its time as it was recorded. After anything but a frame there is only the end.
    ///
    /// # Errors
    ///
    /// When it is no frame, and not one that was cut off either.
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
        let Some(Header { format, len, sequence, captured }) = Header::from_bytes(&bytes) else {
            // A disk that lost its power may have made room for bytes that never came.
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
        Ok(Read::Frame)
    }
}

/// Makes `bytes` hold `len` bytes of the input; whether there were so many. Grows in steps, so that a length that lies takes
/// no more memory than there are bytes.
fn read_exactly(input: &mut impl io::Read, bytes: &mut Vec<u8>, len: usize) -> io::Result<bool> {
    const STEP: usize = 1 << 20;
    // The bytes of the frame before are written over, not cleared.
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

/// Reads until the buffer is full or nothing is left; how many bytes.
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
