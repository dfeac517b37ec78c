//! The folders of a dataset that a person chose.

use serde::{Deserialize, Serialize};
use unet_data::FolderChoice;

/// Where a dataset's images and masks are, if its names leave several possible; `dataset.toml` has the same keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub struct FolderOptions {
    /// Folder of the images below the dataset's, or the end of its path (default: found by its name)
    #[arg(long, value_name = "FOLDER")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
    /// Folder of the masks, likewise
    #[arg(long, value_name = "FOLDER")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masks: Option<String>,
    /// What a mask's name has after that of its image, such as _mask
    #[arg(long, allow_hyphen_values = true)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

impl FolderOptions {
    /// These options, and where they say nothing those of `other`.
    pub fn or(self, other: Self) -> Self {
        Self {
            images: self.images.or(other.images),
            masks: self.masks.or(other.masks),
            suffix: self.suffix.or(other.suffix),
        }
    }

    /// The same for the reader of datasets.
    pub fn choice(&self) -> FolderChoice {
        FolderChoice {
            images: self.images.clone().map(Into::into),
            masks: self.masks.clone().map(Into::into),
            suffix: self.suffix.clone(),
        }
    }
}
