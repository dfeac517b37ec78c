//! What a person chose where a dataset's folder can be read in several ways.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The folders of images and masks and the ending of the masks' names; what is absent is found as usual.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FolderChoice {
    /// The folder of the images: a path below the dataset's folder, or the end of one, such as `1st_manual` for
    /// `training/1st_manual` and `test/1st_manual`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// The folder of the masks, in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masks: Option<PathBuf>,
    /// What the stem of a mask has after that of its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

impl FolderChoice {
    /// Whether nothing was chosen.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// This choice, and where it says nothing another one.
    pub fn or(self, other: Self) -> Self {
        Self {
            images: self.images.or(other.images),
            masks: self.masks.or(other.masks),
            suffix: self.suffix.or(other.suffix),
        }
    }
}
