//! Recordings: the original bytes of each frame with format, number and time, for replay on a workstation.
//!
//! The file format, with all numbers in little endian:
//!
//! ```text
//! 8 bytes       "UEREC001"
//! frames, each:
//!    4 bytes    "FRAM"
//!    u8         encoding: 0 JPEG, 1 gray8, 2 rgb8, 3 bgr8, 4 rgba8, 5 yuyv, 6 uyvy, 7 nv12, 8 i420, 9 i422, 10 i444
//!    u8         range of luma and chroma: 0 unknown, as in older recordings, and without luma; 1 limited, 2 full
//!    u8         matrix: 0 unknown, as in older recordings, and without chroma; 1 bt601, 2 bt709
//!    u8         0
//!    u32 x 3    width, height, stride (0 for JPEG)
//!    u32        number of bytes of the frame, at most 64 MiB
//!    u64        sequence number
//!    u64        when it was captured, in nanoseconds of the board's monotonic clock
//!    bytes      the frame
//!    8 bytes    "END", 0, and the lowest 32 bits of the sequence number
//! ```
//!
//! A frame is complete if all of it is present, including its last 8 bytes. Whatever follows the last complete frame was cut off
//! when the board lost power, and is ignored.

mod reader;
mod recorder;
mod replay;

use std::time::Duration;

use unet_shared::image::{Matrix, PixelFormat, Range};

use super::colour::{Colour, Said};
use super::{Encoding, FrameFormat};

pub use reader::{Read, RecordingError, RecordingReader};
pub use recorder::{Recorded, Recorder, RecorderBounds};
pub(crate) use replay::KIND;

/// File extension of recordings.
pub const EXTENSION: &str = "uerec";

const MAGIC: [u8; 8] = *b"UEREC001";
const MARK: [u8; 4] = *b"FRAM";
const HEADER_LEN: usize = 40;
const TRAILER_LEN: usize = 8;

/// All encodings; the index is the number in the file.
const ENCODINGS: [Encoding; 11] = [
    Encoding::Jpeg,
    Encoding::Pixels(PixelFormat::Gray8),
    Encoding::Pixels(PixelFormat::Rgb8),
    Encoding::Pixels(PixelFormat::Bgr8),
    Encoding::Pixels(PixelFormat::Rgba8),
    Encoding::Pixels(PixelFormat::Yuyv),
    Encoding::Pixels(PixelFormat::Uyvy),
    Encoding::Pixels(PixelFormat::Nv12),
    Encoding::Pixels(PixelFormat::I420),
    Encoding::Pixels(PixelFormat::I422),
    Encoding::Pixels(PixelFormat::I444),
];

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    format: FrameFormat,
    len: u32,
    sequence: u64,
    captured: Duration,
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER_LEN] {
        let FrameFormat { encoding, width, height, stride, colour } = self.format;
        // The list has every encoding.
        let number = ENCODINGS.iter().position(|&known| known == encoding).unwrap_or(0) as u8;
        let [mut range, mut matrix] = [0, 0];
        if let Encoding::Pixels(format) = encoding {
            if format.has_luma() {
                range = 1 + u8::from(colour.range == Range::Full);
            }
            if format.has_chroma() {
                matrix = 1 + u8::from(colour.matrix == Matrix::Bt709);
            }
        }
        let number = u32::from_le_bytes([number, range, matrix, 0]);
        // Five centuries of uptime fit.
        let nanoseconds = u64::try_from(self.captured.as_nanos()).unwrap_or(u64::MAX);
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&MARK);
        for (place, value) in
            bytes[4..24].as_chunks_mut::<4>().0.iter_mut().zip([number, width, height, stride, self.len])
        {
            *place = value.to_le_bytes();
        }
        for (place, value) in bytes[24..].as_chunks_mut::<8>().0.iter_mut().zip([self.sequence, nanoseconds]) {
            *place = value.to_le_bytes();
        }
        bytes
    }

    /// The header, and what it states of range and matrix; `None` if it is not a header.
    fn from_bytes(bytes: &[u8; HEADER_LEN]) -> Option<(Self, Said)> {
        let (mark, rest) = bytes.split_first_chunk::<4>()?;
        if *mark != MARK {
            return None;
        }
        let small = |index: usize| rest.as_chunks::<4>().0.get(index).copied().map(u32::from_le_bytes);
        let large = |index: usize| rest[20..].as_chunks::<8>().0.get(index).copied().map(u64::from_le_bytes);
        let [number, range, matrix, 0] = small(0)?.to_le_bytes() else { return None };
        let encoding = *ENCODINGS.get(usize::from(number))?;
        let stated = Said {
            range: *[None, Some(Range::Limited), Some(Range::Full)].get(usize::from(range))?,
            matrix: *[None, Some(Matrix::Bt601), Some(Matrix::Bt709)].get(usize::from(matrix))?,
        };
        let colour = Colour { stated, ..Colour::default() }.of(encoding);
        let format = FrameFormat { encoding, width: small(1)?, height: small(2)?, stride: small(3)?, colour };
        let captured = Duration::from_nanos(large(1)?);
        Some((Header { format, len: small(4)?, sequence: large(0)?, captured }, stated))
    }
}

fn trailer(sequence: u64) -> [u8; TRAILER_LEN] {
    let [a, b, c, d, ..] = sequence.to_le_bytes();
    [b'E', b'N', b'D', 0, a, b, c, d]
}

#[cfg(test)]
mod tests;
