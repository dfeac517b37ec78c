//! How the samples of a label file become label values, and what happens to values that are listed nowhere.

use super::LabelValue;

/// How labels are read. It is stored with runs and packages; the default is what runs and packages without it were made
/// with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Reading {
    /// The values of a file with a palette are its indices; otherwise, the palette's colours.
    pub palette_indices: bool,
    /// The values of a file that calls 0 white are its samples; otherwise, the samples inverted.
    pub samples_as_stored: bool,
    /// The value of transparent pixels; without one, a label that is not opaque is refused.
    pub transparent: Option<LabelValue>,
    /// Values that are neither in a class nor ignored.
    pub unlisted: Unlisted,
}

impl Reading {
    /// The reading of new runs: indices and samples as they are stored.
    pub const STORED: Self =
        Self { palette_indices: true, samples_as_stored: true, transparent: None, unlisted: Unlisted::Refused };

    /// Whether this is the default, which manifests and runs leave out.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a value is that is neither in a class nor ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Unlisted {
    /// An error.
    #[default]
    Refused,
    /// The listed value that is nearest; of equally near ones, that of the lowest id.
    Nearest,
    /// The last class: the foreground, if the values are instance ids.
    Foreground,
}
