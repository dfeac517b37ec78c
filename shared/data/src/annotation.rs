//! Where the label of a sample comes from, and the one way to read it.
//!
//! A reader of a layout says where; training, checks, scores and digests read through [`Annotation::decode`] and need not
//! know. Knows no classes: what is decoded are label values.

use std::path::{Path, PathBuf};

use super::decode::{DecodedLabel, FileError, decode_label, read_bytes};

/// The source of a label.
#[derive(Debug, Clone, PartialEq)]
pub enum Annotation {
    /// An image file that holds the label's values.
    File(PathBuf),
}

impl Annotation {
    /// The file that stands for the label in messages.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
        }
    }

    /// Reads the label.
    pub fn decode(&self) -> Result<DecodedLabel, FileError> {
        match self {
            Self::File(path) => decode_label(path),
        }
    }

    /// Calls `part` with everything that the label is made from, for a digest; equal for equal labels wherever their files
    /// are.
    pub(crate) fn for_each_part(&self, part: &mut dyn FnMut(&[u8])) -> Result<(), FileError> {
        match self {
            Self::File(path) => part(&read_bytes(path)?),
        }
        Ok(())
    }
}

impl From<PathBuf> for Annotation {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}
