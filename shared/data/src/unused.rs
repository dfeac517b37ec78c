//! Image files in a dataset's folder that are not used, so that nothing is left out silently.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::counted::counted;
use super::listing::{Folder, Kind, Listing};

/// Image files of one folder that are not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// The folder, relative to the dataset's, with forward slashes.
    pub folder: String,
    /// Number of image files.
    pub files: usize,
    /// Why.
    pub reason: UnusedReason,
}

/// Why files are not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnusedReason {
    /// They lie below a folder whose files are read.
    Nested,
    /// They are images, and there are no masks for their folder.
    Unlabelled,
    /// They are masks, and there are no images for their folder.
    WithoutImages,
    /// Their folder is not part of the layout.
    OtherFolder,
    /// They lie among files that are read.
    OtherFile,
}

impl fmt::Display for UnusedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nested => "nested, without partners in the same place",
            Self::Unlabelled => "images without masks",
            Self::WithoutImages => "masks without images",
            Self::OtherFolder => "not a folder of this layout",
            Self::OtherFile => "not named by the annotations",
        })
    }
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}: {})", self.folder, counted(self.files, "image file"), self.reason)
    }
}

/// The image files of a listing that are neither in `used` nor in `told`, which are reported elsewhere.
pub(crate) fn find(listing: &Listing, used: &HashSet<&Path>, told: &HashSet<&Path>) -> Vec<Unused> {
    let read: BTreeSet<&Path> = used.iter().filter_map(|path| path.parent()).collect();
    let reason = |folder: &Folder| {
        if read.contains(folder.path.as_path()) {
            return UnusedReason::OtherFile;
        }
        let is_below = folder.path.ancestors().skip(1).any(|above| above != listing.root && read.contains(above));
        match folder.kind {
            _ if is_below => UnusedReason::Nested,
            Some(Kind::Images) => UnusedReason::Unlabelled,
            Some(Kind::Masks) => UnusedReason::WithoutImages,
            None => UnusedReason::OtherFolder,
        }
    };
    let left = |path: &&PathBuf| !used.contains(path.as_path()) && !told.contains(path.as_path());
    let unused = listing.folders.iter().map(|folder| Unused {
        folder: listing.show(&folder.path),
        files: folder.images.iter().filter(left).count(),
        reason: reason(folder),
    });
    unused.filter(|unused| unused.files > 0).collect()
}
