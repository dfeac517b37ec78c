//! The layouts that a dataset may have on disk, and the list of their readers.
//!
//! Each reader recognises its layout and pairs images with masks; all return the same [`Contents`]. A new one is a file
//! below this one, with its [`Format`], and a line in [`FORMATS`].

use std::fmt;

use serde::{Serialize, Serializer};

use super::dataset_file::DatasetFile;
use super::listing::{Folder, Listing};
use super::pairing::Pairing;
use super::sample::Split;

mod nnunet;
mod one_folder;
mod splits;
mod two_folders;

/// All readers, in the order in which they are asked: formats that are known by a file of their own before those that
/// are told by the names of folders.
static FORMATS: [&Format; 4] = [&nnunet::FORMAT, &splits::FORMAT, &two_folders::FORMAT, &one_folder::FORMAT];

/// A reader of one layout.
struct Format {
    /// Name in reports.
    name: &'static str,
    /// Description for people.
    description: &'static str,
    /// Patterns of paths, for the error that lists what is accepted.
    patterns: &'static [&'static str],
    /// Reads a folder: `Ok(None)` if it has another layout, and an error if it has this one but cannot be read.
    read: fn(&Listing) -> Result<Option<Contents>, String>,
}

/// The layout of a dataset.
#[derive(Clone, Copy)]
pub struct Layout(&'static Format);

impl Layout {
    /// The name in reports, such as `two_folders`.
    pub fn name(self) -> &'static str {
        self.0.name
    }
}

impl PartialEq for Layout {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Layout {}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.description)
    }
}

impl Serialize for Layout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a reader finds in a folder.
pub(crate) struct Contents {
    /// The pairs of each split; `None` if the layout does not state the split.
    pub(crate) parts: Vec<(Option<Split>, Pairing)>,
    /// Classes and ignored values, if the format states them itself. `dataset.toml` takes precedence.
    pub(crate) classes: Option<DatasetFile>,
}

impl Contents {
    /// Pairs without splits or classes.
    fn unsplit(pairing: Pairing) -> Self {
        Self { parts: vec![(None, pairing)], classes: None }
    }
}

/// Asks each reader for the contents of a folder; the error says why none can read it.
pub(crate) fn read(listing: &Listing) -> Result<(Layout, Contents), String> {
    for format in FORMATS {
        if let Some(contents) = (format.read)(listing)? {
            return Ok((Layout(format), contents));
        }
    }
    Err(describe_folders(listing))
}

/// The accepted layouts, for the reader of an error.
pub const ACCEPTED_LAYOUTS: AcceptedLayouts = AcceptedLayouts;

/// Displays as a list of the accepted layouts.
#[derive(Debug, Clone, Copy)]
pub struct AcceptedLayouts;

impl fmt::Display for AcceptedLayouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("accepted layouts:\n")?;
        FORMATS.iter().flat_map(|format| format.patterns).try_for_each(|pattern| writeln!(f, "  {pattern}"))?;
        f.write_str(
            "folders may also be called img, imgs, photos, frames; labels, annotations, ground_truth, gt, segmentation; \
             training, validation, testing;\n\
             image and mask share their stem, apart from endings such as _image, _mask, _label, _annotation, _gt; \
             files are PNG, JPEG, TIFF or BMP",
        )
    }
}

/// The folders whose names belong to a layout and that hold images.
fn image_folders(listing: &Listing) -> impl Iterator<Item = &Folder> {
    listing.folders.iter().filter(|folder| folder.known && !folder.images.is_empty())
}

/// The only folder of `found`; of several, the only one that is itself called `images` or `masks`.
fn one_of<'a>(listing: &Listing, found: impl Iterator<Item = &'a Folder>) -> Result<Option<&'a Folder>, String> {
    let found: Vec<&Folder> = found.collect();
    if found.len() <= 1 {
        return Ok(found.first().copied());
    }
    let plain = |folder: &&&Folder| {
        let name = folder.path.file_name().map(|name| name.to_string_lossy().to_lowercase());
        matches!(name.as_deref(), Some("images" | "masks"))
    };
    let mut plainly = found.iter().filter(plain);
    match (plainly.next(), plainly.next()) {
        (Some(folder), None) => Ok(Some(folder)),
        _ => {
            let names: Vec<String> = found.iter().map(|folder| listing.show(&folder.path)).collect();
            Err(format!("folders {} are ambiguous", names.join(", ")))
        }
    }
}

/// What a folder without an accepted layout holds.
fn describe_folders(listing: &Listing) -> String {
    let mut parts = Vec::new();
    for folder in &listing.folders {
        let (images, others) = (folder.images.len(), folder.others.len());
        if images + others > 0 {
            parts.push(format!("{} ({images} image files, {others} others)", listing.show(&folder.path)));
        }
    }
    match parts.len() {
        0 => "no file in it or up to three folders below".into(),
        1..=6 => format!("found {}, which is no layout of images and masks", parts.join(", ")),
        n => format!(
            "found {} and {} folders more, which is no layout of images and masks",
            parts[..6].join(", "),
            n - 6
        ),
    }
}
