//! The result of a check, as data.

use std::collections::BTreeMap;

use serde::Serialize;
use unet_data::layout::Layout;
use unet_data::{Split, Unused};
use unet_shared::label::LabelValue;

use super::finding::{Finding, Severity};

/// What a dataset holds and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// The folder or file that was checked.
    pub root: String,
    /// The layout; none if training refuses the folder.
    pub layout: Option<Layout>,
    /// Pairs of each split.
    pub splits: Vec<SplitSummary>,
    /// Image files that can be read.
    pub images: usize,
    /// Image files that cannot be read.
    pub images_unreadable: usize,
    /// Mask files that can be read.
    pub masks: usize,
    /// Mask files that cannot be read.
    pub masks_unreadable: usize,
    /// Sizes of the images, the most frequent first.
    pub sizes: Vec<SizeSummary>,
    /// Pixel formats, such as `gray8` or `gray8 of 16-bit samples` (which are read as 8 bits), and the number of images of each.
    pub formats: BTreeMap<String, usize>,
    /// How the labels are understood and why; none if they cannot be.
    pub labels: Option<String>,
    /// The values in the masks, in order, with the class of each.
    pub values: Vec<ValueSummary>,
    /// Number of values beyond those listed.
    pub values_omitted: usize,
    /// The classes.
    pub classes: Vec<ClassSummary>,
    /// What the layout's reader assumed or left out, a sentence each.
    pub notes: Vec<String>,
    /// Image files that are not used, by folder.
    pub unused: Vec<Unused>,
    /// The findings, errors first.
    pub findings: Vec<Finding>,
}

/// Number of pairs of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SplitSummary {
    /// The split.
    pub split: Split,
    /// Number of pairs.
    pub pairs: usize,
}

/// Number of images of a size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizeSummary {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Number of images.
    pub images: usize,
}

/// Frequency of a mask value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValueSummary {
    /// The gray value or colour.
    pub value: LabelValue,
    /// Its share of all mask pixels.
    pub share: f64,
    /// Number of masks that contain it.
    pub masks: u64,
    /// Its class id; none if it is ignored or there are no classes.
    pub class: Option<u8>,
    /// Whether it is ignored.
    pub ignored: bool,
}

/// Frequency of a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassSummary {
    /// Its id.
    pub id: u8,
    /// Its name.
    pub name: String,
    /// Its share of all pixels that are not ignored.
    pub share: f64,
    /// Number of label values that map to it.
    pub values: usize,
}

impl CheckReport {
    /// Whether anything stops training or makes its scores meaningless.
    pub fn has_errors(&self) -> bool {
        self.of(Severity::Error).next().is_some()
    }

    /// The findings of one severity.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.severity == severity)
    }
}
