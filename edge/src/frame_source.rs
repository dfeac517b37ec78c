//! Where frames come from: one trait for cameras, processes, streams and files, and the slot that a frame is written to.
//!
//! Owns what a frame is before any preprocessing. Knows nothing of models, threads or what is done with a frame.

mod deadline_read;
mod files;
mod jpeg;
mod pace;
mod process;
pub mod recording;
mod reopening;
mod spec;
pub mod stream;
#[cfg(target_os = "linux")]
pub mod v4l2;
pub mod y4m;

use std::fmt;
use std::time::Duration;

use unet_shared::image::{ImageError, ImageView, PixelFormat};

use unet_engine::error::Kind;

pub use deadline_read::DeadlineRead;
pub use files::Files;
pub use jpeg::decode_jpeg;
pub use process::Process;
pub use reopening::{Change, Reopening};
pub use spec::{CameraFormat, CameraSpec, ClipSpec, ProcessOutput, ProcessSpec, Rate, Side, SourceSpec};

/// The most bytes of a frame that any source takes: 4K in RGBA is half of it.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// How the bytes of a frame are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Pixels as they lie in memory.
    Pixels(PixelFormat),
    /// A JPEG image, as MJPEG cameras send them; its own size counts.
    Jpeg,
}

/// What a source gives, as negotiated; each frame carries it, since a camera that comes back may give something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameFormat {
    /// How the bytes are to be read.
    pub encoding: Encoding,
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row of the first plane to the next; 0 for JPEG.
    pub stride: u32,
}

impl fmt::Display for FrameFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrameFormat { encoding, width, height, .. } = self;
        match encoding {
            Encoding::Pixels(format) => write!(formatter, "{format} {width}x{height}"),
            Encoding::Jpeg => write!(formatter, "jpeg {width}x{height}"),
        }
    }
}

/// A frame, in memory that the next one uses again.
#[derive(Debug, Clone)]
pub struct FrameSlot {
    /// What the source gave, and no more.
    pub bytes: Vec<u8>,
    /// How to read it.
    pub format: FrameFormat,
    /// Counted by the source from where it began; a gap is a frame that the source lost.
    pub sequence: u64,
    /// When the first byte was captured, on the system's monotonic clock; the time of arrival where the source does not say.
    pub captured: Duration,
}

impl Default for FrameSlot {
    /// An empty one, to be written to.
    fn default() -> Self {
        let encoding = Encoding::Pixels(PixelFormat::Gray8);
        let format = FrameFormat { encoding, width: 0, height: 0, stride: 0 };
        FrameSlot { bytes: Vec::new(), format, sequence: 0, captured: Duration::ZERO }
    }
}

impl FrameSlot {
    /// The pixels, where there are any without decoding.
    ///
    /// # Errors
    ///
    /// When there are fewer bytes than the format takes, or it is no format of pixels that can be.
    pub fn view(&self) -> Option<Result<ImageView<'_>, ImageError>> {
        let FrameFormat { encoding, width, height, stride } = self.format;
        match encoding {
            Encoding::Pixels(format) => {
                Some(ImageView::new(&self.bytes, width as usize, height as usize, stride as usize, format))
            }
            Encoding::Jpeg => None,
        }
    }
}

/// What waiting for a frame came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The slot holds the next frame.
    Frame,
    /// None came in time; the source is well, or does not know better.
    Nothing,
    /// There will be no more: the last file, the end of a stream.
    End,
}

/// Something that gives frames, one after the other.
pub trait FrameSource: Send {
    /// What it is and what was negotiated, for a person: `/dev/video0 (vivid): yuyv 640x480, 30 frames a second`.
    fn describe(&self) -> String;

    /// Waits for the next frame, not much longer than `patience`, and writes it to the slot, whose buffer is used again:
    /// once it has grown to the size of a frame, nothing is allocated.
    ///
    /// # Errors
    ///
    /// [`SourceError::kind`] says how to go on: the frame is lost, the source has to be opened again, or it is over.
    fn next_frame(&mut self, slot: &mut FrameSlot, patience: Duration) -> Result<Arrival, SourceError>;
}

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
#[error("{source_name}: {problem}")]
pub struct SourceError {
    /// Which source.
    pub source_name: String,
    /// What was expected, and what was found.
    pub problem: String,
    kind: Kind,
    #[source]
    cause: Option<std::io::Error>,
}

impl SourceError {
    /// An error of a source, with what to do about it.
    pub fn new(
        source_name: impl Into<String>,
        kind: Kind,
        problem: impl Into<String>,
        cause: Option<std::io::Error>,
    ) -> Self {
        SourceError { source_name: source_name.into(), problem: problem.into(), kind, cause }
    }

    /// [`Kind::SkipFrame`]: the next frame may be fine; [`Kind::Retry`]: the source has to be opened again;
    /// [`Kind::Fatal`]: that would not help.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}
