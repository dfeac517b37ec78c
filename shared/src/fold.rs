//! Folds: the parts of a dataset that a cross-validation validates one after the other.

use core::fmt;
use core::str::FromStr;

/// Fewest folds of a dataset.
pub const FOLDS_MIN: u32 = 2;
/// Most folds of a dataset.
pub const FOLDS_MAX: u32 = 1000;

/// Fold `index` of `count`, counted from 1, as text `2/5`: the part of the dataset that is for validation; all others are to train on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "alloc",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "alloc::string::String", into = "alloc::string::String")
)]
pub struct Fold {
    index: u32,
    count: u32,
}

/// Why a text or numbers are not a fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldError {
    /// The text is not K/N.
    Text,
    /// Too few or too many folds.
    Count {
        /// The number found.
        found: u32,
    },
    /// No such fold.
    Index {
        /// Number of folds.
        count: u32,
        /// The index found.
        found: u32,
    },
}

impl fmt::Display for FoldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Text => f.write_str("fold: expected K/N, such as 2/5"),
            Self::Count { found } => write!(f, "folds: expected {FOLDS_MIN} to {FOLDS_MAX}, found {found}"),
            Self::Index { count, found } => write!(f, "fold: expected 1 to {count}, found {found}"),
        }
    }
}

impl core::error::Error for FoldError {}

impl Fold {
    /// Fold `index` of `count`.
    ///
    /// # Errors
    /// If a number is out of range.
    pub fn new(index: u32, count: u32) -> Result<Self, FoldError> {
        if !(FOLDS_MIN..=FOLDS_MAX).contains(&count) {
            return Err(FoldError::Count { found: count });
        }
        if !(1..=count).contains(&index) {
            return Err(FoldError::Index { count, found: index });
        }
        Ok(Self { index, count })
    }

    /// Which fold, from 1 to [`Fold::count`].
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Number of folds.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }
}

impl fmt::Display for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Fold {
    type Err = FoldError;

    fn from_str(text: &str) -> Result<Self, FoldError> {
        let (index, count) = text.split_once('/').ok_or(FoldError::Text)?;
        let number = |text: &str| text.parse().map_err(|_| FoldError::Text);
        Self::new(number(index)?, number(count)?)
    }
}

#[cfg(feature = "alloc")]
impl TryFrom<alloc::string::String> for Fold {
    type Error = FoldError;

    fn try_from(text: alloc::string::String) -> Result<Self, FoldError> {
        text.parse()
    }
}

#[cfg(feature = "alloc")]
impl From<Fold> for alloc::string::String {
    fn from(fold: Fold) -> Self {
        alloc::format!("{fold}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn folds_are_read_as_they_are_written() {
        let fold: Fold = "2/5".parse().unwrap();
        assert_eq!((fold.index(), fold.count(), fold.to_string().as_str()), (2, 5, "2/5"));
        for (text, error) in [
            ("2", FoldError::Text),
            ("a/5", FoldError::Text),
            ("1/1", FoldError::Count { found: 1 }),
            ("1/1001", FoldError::Count { found: 1001 }),
            ("0/5", FoldError::Index { count: 5, found: 0 }),
            ("6/5", FoldError::Index { count: 5, found: 6 }),
        ] {
            assert_eq!(text.parse::<Fold>(), Err(error), "{text}");
        }
    }
}
