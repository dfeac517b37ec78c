//! The header of YUV4MPEG2, the format in which programs pass raw video through pipes. 8-bit 4:2:0 and gray are supported.

use unet_shared::image::{PixelFormat, SIDE_MAX};

use super::super::{Encoding, FRAME_BYTES_MAX, FrameFormat};

/// Size limit of a header, in bytes.
pub const HEADER_BYTES_MAX: usize = 1024;

const MAGIC: &[u8] = b"YUV4MPEG2";

/// A parsed header.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Y4mHeader {
    /// Pixel format of all frames.
    pub format: PixelFormat,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Why a header is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Y4mError {
    /// Not a YUV4MPEG2 stream.
    #[error("expected a stream that begins with YUV4MPEG2, found {found}")]
    Magic {
        /// Its first bytes.
        found: String,
    },
    /// The header has no end.
    #[error("header: expected at most {HEADER_BYTES_MAX} bytes, found no end of it")]
    Long,
    /// No width or height.
    #[error("header: expected W and H, {tag} is missing")]
    Missing {
        /// The one that is missing.
        tag: char,
    },
    /// An invalid width or height.
    #[error("header: expected {tag} with 1 to {SIDE_MAX} pixels, found {found}")]
    Side {
        /// W or H.
        tag: char,
        /// Its value.
        found: String,
    },
    /// 4:2:0 has one chroma sample for two by two pixels.
    #[error("header: expected even sides for 4:2:0, found {width}x{height}")]
    Odd {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// An unsupported pixel format.
    #[error("header: expected C420, C420jpeg, C420mpeg2, C420paldv or Cmono, found {found}")]
    Colour {
        /// Its value.
        found: String,
    },
    /// Frames above the size limit.
    #[error("header: expected frames of at most {FRAME_BYTES_MAX} bytes, found {bytes} for {width}x{height}")]
    Large {
        /// Bytes of a frame.
        bytes: usize,
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
    },
}

impl Y4mHeader {
    /// Parses a header, without the line feed at its end.
    ///
    /// # Errors
    ///
    /// If it is not a header, or the frames are not supported.
    pub fn parse(line: &[u8]) -> Result<Self, Y4mError> {
        let mut words = line.split(|&byte| byte == b' ');
        if words.next() != Some(MAGIC) {
            return Err(Y4mError::Magic { found: excerpt(line) });
        }
        let (mut width, mut height, mut format) = (None, None, PixelFormat::I420);
        for word in words {
            match word {
                [b'W', digits @ ..] => width = Some(side('W', digits)?),
                [b'H', digits @ ..] => height = Some(side('H', digits)?),
                b"C420" | b"C420jpeg" | b"C420mpeg2" | b"C420paldv" => format = PixelFormat::I420,
                b"Cmono" => format = PixelFormat::Gray8,
                [b'C', ..] => return Err(Y4mError::Colour { found: excerpt(word) }),
                // Frame rate, interlacing, pixel aspect ratio and comments do not change the layout.
                _ => {}
            }
        }
        let width = width.ok_or(Y4mError::Missing { tag: 'W' })?;
        let height = height.ok_or(Y4mError::Missing { tag: 'H' })?;
        if format == PixelFormat::I420 && !(width.is_multiple_of(2) && height.is_multiple_of(2)) {
            return Err(Y4mError::Odd { width, height });
        }
        let header = Y4mHeader { format, width, height };
        match header.frame_len() {
            bytes if bytes > FRAME_BYTES_MAX => Err(Y4mError::Large { bytes, width, height }),
            _ => Ok(header),
        }
    }

    /// Bytes of a frame.
    pub fn frame_len(&self) -> usize {
        // Sides are at most SIDE_MAX, so this fits 32 bits.
        let pixels = self.width as usize * self.height as usize;
        if self.format == PixelFormat::I420 { pixels / 2 * 3 } else { pixels }
    }

    /// The format of its frames.
    pub fn frame_format(&self) -> FrameFormat {
        let Y4mHeader { format, width, height } = *self;
        FrameFormat { encoding: Encoding::Pixels(format), width, height, stride: width }
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

/// Bytes for a message, escaped and cut.
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
    fn headers_contain_size_and_format() {
        let header = Y4mHeader::parse(b"YUV4MPEG2 W640 H480 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG").unwrap();
        assert_eq!((header.width, header.height, header.format), (640, 480, PixelFormat::I420));
        assert_eq!(header.frame_len(), 460_800);
        let gray = Y4mHeader::parse(b"YUV4MPEG2 H3 W5 Cmono F0:0").unwrap();
        assert_eq!((gray.frame_len(), gray.format), (15, PixelFormat::Gray8));
        assert_eq!(Y4mHeader::parse(b"YUV4MPEG2 W2 H2").unwrap().format, PixelFormat::I420);
    }

    #[test]
    fn each_invalid_header_has_its_message() {
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
