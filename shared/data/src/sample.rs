//! A sample of a dataset, and the parts that a dataset is split into.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::annotation::Annotation;
use super::decode::{DecodedImage, FileError, image_size, read_raster};
use unet_shared::samples::SampleReading;

/// An image file and its label, if it has one.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The stem of the image's file name; no two samples of a split share it.
    pub name: String,
    /// The image file.
    pub image: PathBuf,
    /// The page of the image's file, if that is a TIFF file of several.
    pub page: Option<usize>,
    /// Where its label comes from; every sample of a dataset has one.
    pub label: Option<Annotation>,
}

impl Sample {
    /// Reads the image, its samples as `reading` says.
    pub fn decode_image(&self, reading: &SampleReading) -> Result<DecodedImage, FileError> {
        read_raster(&self.image, self.page)?.into_image(&self.image, reading)
    }

    /// Width and height of the image as [`Sample::decode_image`] returns it, from what comes before its pixels.
    pub fn image_size(&self) -> Result<(usize, usize), FileError> {
        image_size(&self.image, self.page)
    }
}

/// A part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Samples to train on.
    Train,
    /// Samples to score during training.
    Val,
    /// Samples held out until the end.
    Test,
}

impl Split {
    /// All splits.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// The name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is not the name of a split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected train, val or test, found {0:?}")]
pub struct ParseSplitError(pub String);

impl FromStr for Split {
    type Err = ParseSplitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|split| split.name() == text).ok_or_else(|| ParseSplitError(text.into()))
    }
}

#[cfg(test)]
impl Sample {
    /// A sample whose image, all black, and label are saved in `folder`.
    pub(crate) fn gray(folder: &std::path::Path, name: &str, width: u32, label: Vec<u8>) -> Self {
        let height = label.len() as u32 / width;
        let (image, path) = (folder.join(format!("{name}.jpg")), folder.join(format!("{name}.png")));
        image::GrayImage::new(width, height).save(&image).unwrap();
        image::GrayImage::from_raw(width, height, label).unwrap().save(&path).unwrap();
        Self { name: name.into(), image, page: None, label: Some(path.into()) }
    }
    /// The pages of stacks of these names and numbers of pages, without files.
    pub(crate) fn slices(stacks: &[(&str, usize)]) -> Vec<Self> {
        let slice = |stack: &str, page: usize| Self {
            name: format!("{stack}_page{:04}", page + 1),
            image: format!("{stack}.tif").into(),
            page: Some(page),
            label: None,
        };
        stacks.iter().flat_map(|&(stack, pages)| (0..pages).map(move |page| slice(stack, page))).collect()
    }
}
