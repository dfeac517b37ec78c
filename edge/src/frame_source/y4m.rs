//! YUV4MPEG2, the text and pixels that programs hand each other through pipes: its header, and files and standard input as
//! sources. 4:2:0 with 8 bits and gray are read; a mark before each frame is all else that it has.

mod source;

use std::time::Duration;

use unet_shared::image::{PixelFormat, SIDE_MAX};

use super::{Encoding, FRAME_BYTES_MAX, FrameFormat, Rate};

pub use source::Y4m;

/// The longest header, in bytes.
pub const HEADER_BYTES_MAX: usize = 1024;

const MAGIC: &[u8] = b"YUV4MPEG2";

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Y4mHeader {
    /// How the pixels of all frames lie.
    pub format: PixelFormat,
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames a second, where it is said and can be.
    pub rate: Option<Rate>,
}

/// Why a header is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Y4mError {
    /// Something else.
    #[error("expected a stream that begins with YUV4MPEG2, found {found}")]
    Magic {
        /// How it begins.
        found: String,
    },
    /// A header without end.
    #[error("header: expected at most {HEADER_BYTES_MAX} bytes, found no end of it")]
    Long,
    /// No width or height.
    #[error("header: expected W and H, {tag} is missing")]
    Missing {
        /// The one that is missing.
        tag: char,
    },
    /// A width or height that cannot be.
    #[error("header: expected {tag} with 1 to {SIDE_MAX} pixels, found {found}")]
    Side {
        /// W or H.
        tag: char,
        /// What stands there.
        found: String,
    },
    /// 4:2:0 has one colour for two by two pixels.
    #[error("header: expected even sides for 4:2:0, found {width}x{height}")]
    Odd {
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Another layout.
    #[error("header: expected C420, C420jpeg, C420mpeg2, C420paldv or Cmono, found {found}")]
    Colour {
        /// What stands there.
        found: String,
    },
    /// More than is taken for a frame.
    #[error("header: expected frames of at most {FRAME_BYTES_MAX} bytes, found {bytes} for {width}x{height}")]
    Large {
        /// Of a frame.
        bytes: usize,
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
    },
}

impl Y4mHeader {
    /// Reads a header, without the line feed at its end.
    ///
    /// # Errors
    ///
    /// When it is none, or one of frames that are not read.
    pub fn parse(line: &[u8]) -> Result<Self, Y4mError> {
        let mut words = line.split(|&byte| byte == b' ');
        if words.next() != Some(MAGIC) {
            return Err(Y4mError::Magic { found: excerpt(line) });
        }
        let (mut width, mut height, mut rate, mut format) = (None, None, None, PixelFormat::I420);
        for word in words {
            match word {
                [b'W', digits @ ..] => width = Some(side('W', digits)?),
                [b'H', digits @ ..] => height = Some(side('H', digits)?),
                [b'F', fraction @ ..] => rate = frames_a_second(fraction),
                b"C420" | b"C420jpeg" | b"C420mpeg2" | b"C420paldv" => format = PixelFormat::I420,
                b"Cmono" => format = PixelFormat::Gray8,
                [b'C', ..] => return Err(Y4mError::Colour { found: excerpt(word) }),
                // Interlacing, the shape of pixels and comments change nothing of how the bytes lie.
                _ => {}
            }
        }
        let width = width.ok_or(Y4mError::Missing { tag: 'W' })?;
        let height = height.ok_or(Y4mError::Missing { tag: 'H' })?;
        if format == PixelFormat::I420 && !(width.is_multiple_of(2) && height.is_multiple_of(2)) {
            return Err(Y4mError::Odd { width, height });
        }
        let header = Y4mHeader { format, width, height, rate };
        match header.frame_len() {
            bytes if bytes > FRAME_BYTES_MAX => Err(Y4mError::Large { bytes, width, height }),
            _ => Ok(header),
        }
    }

    /// Bytes of a frame.
    pub fn frame_len(&self) -> usize {
        // Sides are at most SIDE_MAX, so that this fits 32 bits.
        let pixels = self.width as usize * self.height as usize;
        if self.format == PixelFormat::I420 { pixels / 2 * 3 } else { pixels }
    }

    /// As frames carry it.
    pub fn frame_format(&self) -> FrameFormat {
        let Y4mHeader { format, width, height, .. } = *self;
        FrameFormat { encoding: Encoding::Pixels(format), width, height, stride: width }
    }

    /// From one frame to the next, where it is said.
    pub fn interval(&self) -> Option<Duration> {
        self.rate.map(Rate::interval)
    }
}

fn side(tag: char, digits: &[u8]) -> Result<u32, Y4mError> {
    match number(digits) {
        Some(side) if (1..=SIDE_MAX as u32).contains(&side) => Ok(side),
        _ => Err(Y4mError::Side { tag, found: excerpt(digits) }),
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    let plain = digits.iter().all(u8::is_ascii_digit);
    if plain { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// `30:1`; programs write `0:0` where they do not know.
fn frames_a_second(fraction: &[u8]) -> Option<Rate> {
    let colon = fraction.iter().position(|&byte| byte == b':')?;
    let (numerator, denominator) = (number(&fraction[..colon])?, number(&fraction[colon + 1..])?);
    Rate::try_from(f64::from(numerator) / f64::from(denominator)).ok()
}

/// Bytes for a message: what is no letter is shown as a number.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    const BYTES_MAX: usize = 32;
    match bytes.get(..BYTES_MAX) {
        _ if bytes.is_empty() => "nothing".to_owned(),
        Some(first) if bytes.len() > BYTES_MAX => format!("{}…", first.escape_ascii()),
        _ => bytes.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        Y4mHeader::parse(line.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn headers_say_size_format_and_rate() {
        let header = Y4mHeader::parse(b"YUV4MPEG2 W640 H480 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG").unwrap();
        assert_eq!((header.width, header.height, header.format), (640, 480, PixelFormat::I420));
        assert_eq!(header.frame_len(), 460_800);
        assert!((header.rate.unwrap().per_second() - 29.97).abs() < 0.001);
        let gray = Y4mHeader::parse(b"YUV4MPEG2 H3 W5 Cmono F0:0").unwrap();
        assert_eq!((gray.frame_len(), gray.rate, gray.format), (15, None, PixelFormat::Gray8));
        assert_eq!(Y4mHeader::parse(b"YUV4MPEG2 W2 H2").unwrap().format, PixelFormat::I420);
        for rate in ["F", "F1", "F1:0", "F:", "F99999999999:1", "F-1:1"] {
            assert_eq!(Y4mHeader::parse(format!("YUV4MPEG2 W2 H2 {rate}").as_bytes()).unwrap().rate, None);
        }
    }

    #[test]
    fn headers_that_cannot_be_are_told_apart() {
        assert_eq!(refused(""), "expected a stream that begins with YUV4MPEG2, found nothing");
        assert_eq!(refused("\u{1}PNG"), "expected a stream that begins with YUV4MPEG2, found \\x01PNG");
        assert!(refused(&"x".repeat(999)).ends_with(&format!("found {}…", "x".repeat(32))));
        assert_eq!(refused("YUV4MPEG2 W2"), "header: expected W and H, H is missing");
        assert_eq!(refused("YUV4MPEG2 W0 H0"), "header: expected W with 1 to 16384 pixels, found 0");
        assert_eq!(refused("YUV4MPEG2 W2 H65535"), "header: expected H with 1 to 16384 pixels, found 65535");
        assert_eq!(refused("YUV4MPEG2 W2 H4294967298"), "header: expected H with 1 to 16384 pixels, found 4294967298");
        assert_eq!(refused("YUV4MPEG2 W-2 H2"), "header: expected W with 1 to 16384 pixels, found -2");
        assert_eq!(refused("YUV4MPEG2 W H2"), "header: expected W with 1 to 16384 pixels, found nothing");
        assert_eq!(refused("YUV4MPEG2 W3 H2"), "header: expected even sides for 4:2:0, found 3x2");
        let colours = "header: expected C420, C420jpeg, C420mpeg2, C420paldv or Cmono, found";
        assert_eq!(refused("YUV4MPEG2 W2 H2 C444"), format!("{colours} C444"));
        assert_eq!(refused("YUV4MPEG2 W2 H2 C420p10"), format!("{colours} C420p10"));
        let large = "header: expected frames of at most 67108864 bytes, found 402653184 for 16384x16384";
        assert_eq!(refused("YUV4MPEG2 W16384 H16384"), large);
    }
}
