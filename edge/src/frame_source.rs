//! Where frames come from: one trait for cameras, programs, streams and files, and the slot that a frame is written to.
//!
//! A frame here is what a source delivers, before any preprocessing. Knows nothing of models, threads or what is done with a
//! frame. `KINDS` lists the kinds of source; each describes itself in its own file, see `SourceKind` in `spec.rs`.

mod clip;
mod colour;
mod deadline_read;
mod error;
mod files;
mod jpeg;
mod pace;
mod process;
pub mod recording;
mod reopening;
mod spec;
pub mod stream;
mod stream_file;
pub mod v4l2;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use unet_data::any_of;
use unet_shared::image::{ColourEncoding, ImageError, ImageView, PixelFormat};

use crate::section::Section;

pub use deadline_read::DeadlineRead;
pub use error::{Kind, SourceError};
pub use jpeg::{DecodedFrame, PixelsError, pixels};
pub use reopening::{Change, Reopening};
use spec::SourceKind;
pub use spec::{Policy, Rate, Reopen, Requirement, SourceSpec};

/// Every kind of source. The last one takes the words of the command line that no other claims.
const KINDS: [&SourceKind; 6] =
    [&v4l2::KIND, &process::KIND, &stream_file::Y4M, &stream_file::MJPEG, &recording::KIND, &files::KIND];

/// Size limit of a frame: twice a 4K frame in RGBA.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// Reads `[source]`.
pub(crate) fn read(mut section: Section<'_, '_>) -> Option<Arc<dyn SourceSpec>> {
    let names = KINDS.map(|kind| (kind.name, kind));
    section.require("kind", "the kind of source");
    // The other keys depend on the kind, or on the one that is probably meant.
    let kind = section.choice("kind", &names).or_else(|| section.suggested("kind", &names))?;
    let source = (kind.read)(&mut section);
    section.finish_with(|key| {
        let has_key = |other: &&&SourceKind| Section::keys_of(other.read).contains(&key);
        let others: Vec<String> = KINDS.iter().filter(has_key).map(|other| format!("{:?}", other.name)).collect();
        let expected = any_of(&others);
        (!others.is_empty())
            .then(|| format!("key {key:?} does not apply to kind = {:?}, only to {expected}", kind.name))
    });
    source
}

/// A source in one word of the command line: `/dev/video0`, a folder, an image, `clip.y4m`, `clip.mjpeg`, `recording.uerec`, `-` for a
/// YUV4MPEG2 stream on standard input; or with its kind as a prefix, as in `v4l2:/dev/v4l/by-id/…`, `process:rpicam-vid`, and
/// `process:PROGRAM ARGUMENTS` for a program that writes YUV4MPEG2.
///
/// # Errors
///
/// If the word names nothing.
pub fn parse_word(word: &str) -> Result<Arc<dyn SourceSpec>, String> {
    if let Some((prefix, rest)) = word.split_once(':')
        && let Some(kind) = KINDS.iter().find(|kind| kind.name == prefix)
    {
        return match rest {
            "" => Err(format!("source {word}: expected something after the colon, found nothing")),
            rest => (kind.from_word)(rest).map_err(|problem| format!("source {word}: {problem}")),
        };
    }
    if process::ffmpeg::is_input(word) && !std::path::Path::new(word).is_dir() {
        if !process::ffmpeg::is_url(word) && !std::path::Path::new(word).exists() {
            return Err(format!("{word} does not exist; {}", process::ffmpeg::advice(word)));
        }
        return Err(process::ffmpeg::advice(word));
    }
    match KINDS.iter().find(|kind| (kind.claims)(word)) {
        Some(kind) if !word.is_empty() => (kind.from_word)(word),
        _ => Err("source: expected a camera, a folder, a file or -, found nothing".to_owned()),
    }
}

/// Encoding of a frame's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Uncompressed pixels.
    Pixels(PixelFormat),
    /// A JPEG image, as sent by MJPEG cameras; the size in its header counts.
    Jpeg,
}

/// Format of a frame. Each frame carries it, since a camera that was reopened may deliver another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameFormat {
    /// Encoding of the bytes.
    pub encoding: Encoding,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row of the first plane to the next; 0 for JPEG.
    pub stride: u32,
    /// Range and matrix of pixels with luma. Those of JPEG are always the same.
    pub colour: ColourEncoding,
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

/// A frame, in memory that is reused for the next one.
#[derive(Debug, Clone)]
pub struct FrameSlot {
    /// Exactly the bytes that the source delivered.
    pub bytes: Vec<u8>,
    /// Their format.
    pub format: FrameFormat,
    /// Frame number, counted by the source from its start; a gap is a frame that the source lost.
    pub sequence: u64,
    /// When the first byte was captured, on the system's monotonic clock; the time of arrival if the source does not know.
    pub captured: Duration,
}

impl Default for FrameSlot {
    /// An empty slot, to be written to.
    fn default() -> Self {
        let encoding = Encoding::Pixels(PixelFormat::Gray8);
        let format = FrameFormat { encoding, width: 0, height: 0, stride: 0, colour: ColourEncoding::JPEG };
        FrameSlot { bytes: Vec::new(), format, sequence: 0, captured: Duration::ZERO }
    }
}

impl FrameSlot {
    /// The pixels; `None` for a frame that has to be decoded first.
    ///
    /// # Errors
    ///
    /// If there are fewer bytes than the format needs, or the format is invalid.
    pub fn view(&self) -> Option<Result<ImageView<'_>, ImageError>> {
        let FrameFormat { encoding, width, height, stride, colour } = self.format;
        match encoding {
            Encoding::Pixels(format) => {
                let view = ImageView::new(&self.bytes, width as usize, height as usize, stride as usize, format);
                Some(view.map(|view| view.encoded(colour)))
            }
            Encoding::Jpeg => None,
        }
    }
}

/// Result of waiting for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The slot holds the next frame.
    Frame,
    /// No frame arrived in time.
    Nothing,
    /// There are no more frames: the last file, the end of a stream.
    End,
}

/// A source of frames.
pub trait FrameSource: Send {
    /// What it is and what was negotiated, for the log: `/dev/video0 (vivid): yuyv 640x480, 30 frames per second`.
    fn describe(&self) -> String;

    /// Waits for the next frame, not much longer than `patience`, and writes it to the slot. The slot's buffer is reused: once it
    /// has grown to the size of a frame, nothing is allocated.
    ///
    /// # Errors
    ///
    /// [`SourceError::kind`] tells how to go on.
    fn next_frame(&mut self, slot: &mut FrameSlot, patience: Duration) -> Result<Arrival, SourceError>;
}

#[cfg(test)]
mod tests;
