//! The outputs of a board: lines of JSON, images, hard frames, recordings. Each describes its keys in `[outputs]`, and writes
//! what the pipeline hands it, in its own file; `KINDS` lists all of them.

mod configured;
mod hard_frames;
mod images;
pub mod json_lines;
mod line_file;
mod recorder;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use unet_shared::image::ImageError;
use unet_shared::manifest::Manifest;
use unet_shared::mask::MaskError;

use crate::clock::Clock;
use crate::outputs::Places;
use crate::pipeline::{Needs, Sink};
use crate::rules::Rule;
use crate::section::Section;
use unet_engine::picture::PictureError;

pub use configured::Configured;
pub use line_file::LineFile;

type Read = fn(&mut Section<'_, '_>) -> Option<Arc<dyn SinkSpec>>;

/// Every kind of output: reads its keys from `[outputs]`, if they are present.
const KINDS: [Read; 5] =
    [json_lines::read, images::read_masks, images::read_overlays, hard_frames::read, recorder::read];

/// A configured output that is not open yet.
pub trait SinkSpec: fmt::Debug + Send + Sync {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// The folder that it writes to, and the most bytes that it stores there.
    fn folder(&self) -> Option<(&Path, u64)> {
        None
    }

    /// What it needs beyond mask, shares, regions and rules.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Opens it.
    ///
    /// # Errors
    ///
    /// If its folder cannot be used or another process uses it, or the package cannot be shown.
    fn open(&self, context: &Context) -> Result<Box<dyn Sink>, OpenError>;
}

/// What an output may depend on.
#[derive(Clone)]
pub struct Context {
    /// The package's classes, colours and preprocessing.
    pub manifest: Manifest,
    /// The rules, in the order of their states.
    pub rules: Vec<Rule>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The folders of this process.
    pub places: Arc<Places>,
}

/// Why an output cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its folder cannot be used.
    #[error("{}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Standard output cannot be used.
    #[error("standard output")]
    StandardOutput(#[source] io::Error),
    /// The package cannot be shown.
    #[error("{output}: {problem}")]
    Package {
        /// Name of the output.
        output: &'static str,
        /// What is wrong with the package.
        problem: String,
    },
}

impl OpenError {
    fn folder(folder: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| OpenError::Folder { folder: folder.to_owned(), source }
    }
}

/// Reads `[outputs]`.
pub(crate) fn read(mut section: Section<'_, '_>) -> Vec<Arc<dyn SinkSpec>> {
    let sinks: Vec<Arc<dyn SinkSpec>> = KINDS.iter().filter_map(|read| read(&mut section)).collect();
    let folder = |name| sinks.iter().find(|sink| sink.name() == name).and_then(|sink| sink.folder());
    if let (Some((masks, _)), Some((overlays, _))) = (folder("masks"), folder("overlays"))
        && masks.components().eq(overlays.components())
    {
        let found = masks.display();
        let problem =
            format!("masks and overlays have the same file names: expected two folders, found {found} for both");
        section.errors().add_at_line(section.line(), section.name(), &problem);
    }
    section.finish();
    sinks
}

/// The outputs without a configuration: lines of JSON, and masks and overlays in two folders below `output`, if there is one.
pub fn without_configuration(output: Option<&Path>) -> Vec<Arc<dyn SinkSpec>> {
    let mut sinks: Vec<Arc<dyn SinkSpec>> = vec![Arc::new(json_lines::JsonLinesSpec)];
    sinks.extend(output.into_iter().flat_map(images::below));
    sinks
}

/// The key `folder`.
fn folder(section: &mut Section<'_, '_>) -> Option<PathBuf> {
    section.require("folder", "the path of a folder");
    section.path("folder").map(|path| path.value)
}

/// Why an image cannot be made.
#[derive(Debug, thiserror::Error)]
enum PaintError {
    #[error("mask: {0}")]
    Mask(MaskError),
    #[error("pixels: {0}")]
    Pixels(ImageError),
    #[error(transparent)]
    Picture(#[from] PictureError),
}

#[cfg(test)]
mod tests;
