//! The header of YUV4MPEG2, the format in which programs pass raw video through pipes. 8-bit 4:2:0, 4:2:2, 4:4:4 and gray are
//! supported.

use unet_shared::image::{ColourEncoding, PixelFormat, Range, SIDE_MAX};

use super::super::{Encoding, FRAME_BYTES_MAX, FrameFormat};

/// Size limit of a header, in bytes.
pub const HEADER_BYTES_MAX: usize = 1024;

const MAGIC: &[u8] = b"YUV4MPEG2";
const CROP: &str = "-vf crop=trunc(iw/2)*2:trunc(ih/2)*2";

/// A parsed header.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Y4mHeader {
    /// Pixel format of all frames.
    pub format: PixelFormat,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The range, if the header states one.
    pub range: Option<Range>,
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
    /// Two pixels of a row, or of a column, share their chroma.
    #[error("header: expected an even {} for {format}, found {width}x{height}; with ffmpeg, {CROP} cuts the last ones off",
        if format.needs_even_height() { "width and height" } else { "width" })]
    Odd {
        /// The format.
        format: PixelFormat,
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// An unsupported pixel format.
    #[error(
        "header: expected 8 bits of C420, C420jpeg, C420mpeg2, C420paldv, C422, C444 or Cmono, found {found}; ffmpeg writes C444 \
         with -pix_fmt yuv444p"
    )]
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
        let (mut width, mut height, mut range, mut format) = (None, None, None, PixelFormat::I420);
        for word in words {
            match word {
                [b'W', digits @ ..] => width = Some(side('W', digits)?),
                [b'H', digits @ ..] => height = Some(side('H', digits)?),
                b"C420" | b"C420jpeg" | b"C420mpeg2" | b"C420paldv" => format = PixelFormat::I420,
                b"C422" => format = PixelFormat::I422,
                b"C444" => format = PixelFormat::I444,
                b"Cmono" => format = PixelFormat::Gray8,
                [b'C', ..] => return Err(Y4mError::Colour { found: excerpt(word) }),
                b"XCOLORRANGE=FULL" => range = Some(Range::Full),
                b"XCOLORRANGE=LIMITED" => range = Some(Range::Limited),
                // Frame rate, interlacing, pixel aspect ratio and other comments do not change the pixels.
                _ => {}
            }
        }
        let width = width.ok_or(Y4mError::Missing { tag: 'W' })?;
        let height = height.ok_or(Y4mError::Missing { tag: 'H' })?;
        let odd = |side: u32, needs_even: bool| needs_even && !side.is_multiple_of(2);
        if odd(width, format.needs_even_width()) || odd(height, format.needs_even_height()) {
            return Err(Y4mError::Odd { format, width, height });
        }
        let header = Y4mHeader { format, width, height, range };
        match header.frame_len() {
            bytes if bytes > FRAME_BYTES_MAX => Err(Y4mError::Large { bytes, width, height }),
            _ => Ok(header),
        }
    }

    /// Bytes of a frame.
    pub fn frame_len(&self) -> usize {
        self.format.padded_len(self.height as usize, self.width as usize).unwrap_or(usize::MAX)
    }

    /// The format of its frames.
    pub fn frame_format(&self, colour: ColourEncoding) -> FrameFormat {
        let Y4mHeader { format, width, height, .. } = *self;
        FrameFormat { encoding: Encoding::Pixels(format), width, height, stride: width, colour }
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
        let other = |words: &str| Y4mHeader::parse(format!("YUV4MPEG2 W4 H3 {words}").as_bytes()).unwrap();
        let (half, whole) = (other("C422 XYSCSS=422 XCOLORRANGE=LIMITED"), other("C444 XCOLORRANGE=FULL"));
        assert_eq!((half.frame_len(), half.format, half.range), (24, PixelFormat::I422, Some(Range::Limited)));
        assert_eq!((whole.frame_len(), whole.format, whole.range), (36, PixelFormat::I444, Some(Range::Full)));
        assert_eq!(other("C444 XCOLORRANGE=UNKNOWN").range, None);
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
        let odd = |line: &str, text: &str| assert!(refused(line).starts_with(text), "{}", refused(line));
        odd("YUV4MPEG2 W3 H2", "header: expected an even width and height for i420, found 3x2; with ffmpeg, -vf crop=");
        odd("YUV4MPEG2 W3 H2 C422", "header: expected an even width for i422, found 3x2; with ffmpeg, -vf crop=");
        let colours = |found: &str| {
            format!(
                "header: expected 8 bits of C420, C420jpeg, C420mpeg2, C420paldv, C422, C444 or Cmono, found {found}; ffmpeg \
                 writes C444 with -pix_fmt yuv444p"
            )
        };
        assert_eq!(refused("YUV4MPEG2 W2 H2 C411"), colours("C411"));
        assert_eq!(refused("YUV4MPEG2 W2 H2 C420p10"), colours("C420p10"));
        let large = "header: expected frames of at most 67108864 bytes, found 402653184 for 16384x16384";
        assert_eq!(refused("YUV4MPEG2 W16384 H16384"), large);
    }
}
