//! The keys of sources whose frames are stored: a stream, images, a recording.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::spec::{Policy, Rate, read_path};
use crate::section::Section;

/// Where the frames are stored, and how they are played.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipSpec {
    /// `path`: a file or folder; for a stream `-` is standard input.
    pub path: PathBuf,
    /// `loop`: whether it starts over at its end; not possible with standard input. Default false.
    pub repeat: bool,
    /// `rate`: frames per second. By default each frame follows as soon as the one before is processed.
    pub rate: Option<Rate>,
}

impl ClipSpec {
    /// The frames of `path`, once, as fast as they are processed.
    pub(super) fn once(path: impl Into<PathBuf>) -> Self {
        ClipSpec { path: path.into(), repeat: false, rate: None }
    }

    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        section.require("path", "the path of a file or folder");
        let path = read_path(section, "path");
        let repeat = section.boolean("loop").unwrap_or(false);
        let rate = Rate::read(section);
        Some(ClipSpec { path: path?.value, repeat, rate })
    }

    pub(super) fn policy(&self) -> Policy {
        Policy::stored(self.rate)
    }

    pub(super) fn interval(&self) -> Option<Duration> {
        self.rate.map(Rate::interval)
    }
}

/// Whether a path has this extension, in any case.
pub(super) fn has_extension(word: &str, extension: &str) -> bool {
    Path::new(word).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}
