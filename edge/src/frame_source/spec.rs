//! What a kind of source has to say about itself to be configured, checked, opened and run. Each kind does so in its own file;
//! the list of all kinds is in [`super::KINDS`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use unet_shared::image::SIDE_MAX;
use unet_shared::samples::SampleReading;

use super::process::ffmpeg;
use super::{FrameSource, SourceError};
use crate::section::{Lined, Section};

/// A kind of source.
pub(crate) struct SourceKind {
    /// `kind` in `[source]`, and the prefix on the command line: `NAME:REST`.
    pub(crate) name: &'static str,
    /// Reads the keys of `[source]` other than `kind`, and reports what is wrong with them.
    pub(crate) read: fn(&mut Section<'_, '_>) -> Option<Arc<dyn SourceSpec>>,
    /// From a word of the command line, without the prefix.
    pub(crate) from_word: fn(&str) -> Result<Arc<dyn SourceSpec>, String>,
    /// Whether a word of the command line without a prefix means this kind.
    pub(crate) claims: fn(&str) -> bool,
}

/// A configured source that is not open yet.
pub trait SourceSpec: fmt::Debug + Send + Sync {
    /// Its name in messages.
    fn name(&self) -> String;

    /// How the pipeline treats it.
    fn policy(&self) -> Policy;

    /// The time between two frames, if the configuration sets it.
    fn interval(&self) -> Option<Duration> {
        None
    }

    /// What has to exist before it can be opened.
    fn requirement(&self) -> Requirement<'_>;

    /// Opens it.
    ///
    /// # Errors
    ///
    /// [`super::Kind::Retry`] if it may be available later, as a camera that is unplugged; else [`super::Kind::Fatal`].
    fn open(&self) -> Result<Box<dyn FrameSource>, SourceError>;

    /// This source, reading image files as in training; `None` if it reads no image files.
    fn reading_as(&self, _reading: &SampleReading) -> Option<Arc<dyn SourceSpec>> {
        None
    }

    /// The image file or folder of images that it plays, if it is one.
    fn images(&self) -> Option<&Path> {
        None
    }
}

/// The path at a key, which is no URL.
pub(super) fn read_path(section: &mut Section<'_, '_>, key: &'static str) -> Option<Lined<PathBuf>> {
    let path = section.path(key)?;
    if ffmpeg::is_url(&path.value.to_string_lossy()) {
        let block = "kind = \"process\", preset = \"ffmpeg\" and this as its input";
        section.refuse_with(key, &format!("expected a path, found a URL, which needs ffmpeg: {block}"));
        return None;
    }
    Some(path)
}

/// How the pipeline treats a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether frames arrive in real time. If the pipeline falls behind a live source, the newest frame wins and older ones are
    /// dropped; any other source waits until each frame is processed.
    pub live: bool,
    /// What happens when it fails or ends.
    pub reopen: Reopen,
}

/// What happens when a source fails or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reopen {
    /// Both end the run. The source has to be available at the start.
    Never,
    /// After an error the source is reopened; its end ends the run.
    AfterError,
    /// The source is reopened after either: it has no regular end.
    AfterErrorOrEnd,
}

impl Policy {
    /// For frames that are stored somewhere. Those that are replayed at a rate stand in for a camera.
    pub(super) fn stored(rate: Option<Rate>) -> Self {
        Policy { live: rate.is_some(), reopen: Reopen::Never }
    }

    /// Whether it is reopened at all, and waited for at the start.
    pub fn is_reopened(self) -> bool {
        self.reopen != Reopen::Never
    }
}

/// What has to exist before a source can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement<'a> {
    /// Nothing, as for standard input; the text names it.
    Nothing(&'static str),
    /// A V4L2 device.
    Camera(&'a Path),
    /// A program, by path or found in `PATH`.
    Program(&'a str),
    /// A file or folder.
    Path(&'a Path),
}

/// Frames per second, more than 0 and at most 1000.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    // The interval of the slowest can still be counted in nanoseconds.
    const RANGE: std::ops::RangeInclusive<f64> = 1e-6..=1000.0;

    /// 30 frames per second.
    pub(super) const THIRTY: Rate = Rate(30.0);

    /// `None` if out of range.
    pub fn new(per_second: f64) -> Option<Self> {
        Rate::RANGE.contains(&per_second).then_some(Rate(per_second))
    }

    /// The key `rate` of a section.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        section.number("rate", Rate::RANGE, "0.000001 to 1000 frames per second").map(Rate)
    }

    /// Frames per second.
    pub fn per_second(self) -> f64 {
        self.0
    }

    /// Time between frames.
    pub fn interval(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.0)
    }
}

/// Width or height of a frame in pixels, 1 to [`SIDE_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side(u32);

impl Side {
    /// `None` if out of range.
    pub const fn new(pixels: u32) -> Option<Self> {
        if pixels >= 1 && pixels <= SIDE_MAX as u32 { Some(Side(pixels)) } else { None }
    }

    /// The key `key` of a section.
    pub(super) fn read(section: &mut Section<'_, '_>, key: &'static str) -> Option<Self> {
        let expected = format!("1 to {SIDE_MAX} pixels");
        section.integer(key, 1..=SIDE_MAX as u64, &expected).map(|pixels| Side(pixels as u32))
    }

    /// In pixels.
    pub const fn get(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_sides_have_a_range() {
        assert_eq!(Rate::new(2.5).unwrap().interval(), Duration::from_millis(400));
        for rate in [0.0, -1.0, 1e-7, 1000.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Rate::new(rate), None, "{rate}");
        }
        assert_eq!([0, 1, 16384, 16385].map(|side| Side::new(side).map(Side::get)), [None, Some(1), Some(16384), None]);
    }
}
