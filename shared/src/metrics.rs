//! Metrics as counts: a confusion matrix, and the scores derived from it.
//!
//! Owns the counting and the formulas of IoU, Dice and accuracy. Knows nothing of files, class names or sizes: truth
//! and prediction are masks of the same length.

use core::fmt;

use crate::label::CLASSES_MAX;
use crate::mask::IGNORE_INDEX;

/// Why pixels cannot be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricsError {
    /// No class, or more than [`CLASSES_MAX`].
    Classes {
        /// Classes found.
        found: usize,
    },
    /// The storage does not have the number of classes squared.
    Storage {
        /// Classes squared.
        expected: usize,
        /// Counts found.
        found: usize,
    },
    /// Truth and prediction differ in length.
    Length {
        /// Pixels of the truth.
        truth: usize,
        /// Pixels of the prediction.
        prediction: usize,
    },
    /// An id is not a class (and, in the truth, not [`IGNORE_INDEX`]).
    Id {
        /// The id.
        id: u8,
        /// Number of classes.
        classes: usize,
        /// Index of the pixel.
        index: usize,
    },
    /// Matrices of different numbers of classes cannot be merged.
    Merge {
        /// Classes of this matrix.
        expected: usize,
        /// Classes of the other matrix.
        found: usize,
    },
    /// The sum of the counts exceeds 64 bits.
    Overflow,
}

impl fmt::Display for MetricsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Classes { found } => {
                write!(f, "confusion matrix: expected 1 to {CLASSES_MAX} classes, found {found}")
            }
            Self::Storage { expected, found } => {
                write!(f, "confusion matrix: expected {expected} counts, found {found}")
            }
            Self::Length { truth, prediction } => {
                write!(f, "prediction: expected {truth} pixels as in the truth, found {prediction}")
            }
            Self::Id { id, classes, index } => {
                write!(f, "mask: expected class ids below {classes}, found {id} at pixel {index}")
            }
            Self::Merge { expected, found } => {
                write!(f, "confusion matrix to add: expected {expected} classes, found {found}")
            }
            Self::Overflow => f.write_str("confusion matrix: the sum of the counts exceeds 64 bits"),
        }
    }
}

impl core::error::Error for MetricsError {}

/// Counts of pixels by class: rows are the truth, columns the prediction. Pixels whose truth is [`IGNORE_INDEX`] are
/// not counted.
///
/// The sum of all counts always fits `u64`, so no partial sum overflows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix<S> {
    counts: S,
    classes: usize,
    total: u64,
}

/// A confusion matrix that owns its counts.
#[cfg(feature = "alloc")]
pub type OwnedConfusion = ConfusionMatrix<alloc::vec::Vec<u64>>;

impl<S: AsRef<[u64]>> ConfusionMatrix<S> {
    /// A matrix of existing counts: `classes * classes`, row by row.
    ///
    /// # Errors
    /// If the number of classes or the length of the storage is wrong, or the sum does not fit.
    pub fn from_counts(counts: S, classes: usize) -> Result<Self, MetricsError> {
        check_storage(counts.as_ref().len(), classes)?;
        let sum = counts.as_ref().iter().try_fold(0u64, |sum, &count| sum.checked_add(count));
        Ok(Self { total: sum.ok_or(MetricsError::Overflow)?, counts, classes })
    }

    /// The counts, `classes * classes`, row by row.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        self.counts.as_ref()
    }

    /// Number of classes.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// Pixels counted.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Pixels of `class` in the truth; 0 for an id that is not a class.
    #[must_use]
    pub fn truth_pixels(&self, class: usize) -> u64 {
        self.counts().chunks_exact(self.classes).nth(class).map_or(0, |row| row.iter().sum())
    }

    /// Pixels predicted as `class` that are not ignored; 0 for an id that is not a class.
    #[must_use]
    pub fn predicted_pixels(&self, class: usize) -> u64 {
        self.counts().chunks_exact(self.classes).filter_map(|row| row.get(class)).sum()
    }

    /// Pixels of `class` predicted as such; 0 for an id that is not a class.
    #[must_use]
    pub fn correct_pixels(&self, class: usize) -> u64 {
        self.counts().chunks_exact(self.classes).nth(class).and_then(|row| row.get(class)).copied().unwrap_or(0)
    }

    /// Intersection over union (the Jaccard index): `tp / (tp + fp + fn)`. None if the class is in neither truth nor
    /// prediction.
    #[must_use]
    pub fn iou(&self, class: usize) -> Option<f64> {
        let (both, sum) = self.overlap(class);
        ratio(both, sum - both)
    }

    /// Dice coefficient (the F1 score): `2 tp / (2 tp + fp + fn)`. None if the class is in neither truth nor
    /// prediction.
    #[must_use]
    pub fn dice(&self, class: usize) -> Option<f64> {
        let (both, sum) = self.overlap(class);
        ratio(2 * both, sum)
    }

    /// The mean of [`iou`](Self::iou) over the classes that have one. None if no class has.
    #[must_use]
    pub fn mean_iou(&self) -> Option<f64> {
        let (sum, count) = (0..self.classes)
            .filter_map(|class| self.iou(class))
            .fold((0.0, 0u32), |(sum, count), iou| (sum + iou, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// The share of counted pixels that are correct. None if no pixel is counted.
    #[must_use]
    pub fn pixel_accuracy(&self) -> Option<f64> {
        let correct: u64 = (0..self.classes).map(|class| self.correct_pixels(class)).sum();
        ratio(correct.into(), self.total.into())
    }

    /// True positives, and pixels in truth plus pixels in prediction.
    fn overlap(&self, class: usize) -> (u128, u128) {
        let sum = u128::from(self.truth_pixels(class)) + u128::from(self.predicted_pixels(class));
        (self.correct_pixels(class).into(), sum)
    }
}

impl<S: AsRef<[u64]> + AsMut<[u64]>> ConfusionMatrix<S> {
    /// An empty matrix in the given storage of `classes * classes`, which is cleared.
    ///
    /// # Errors
    /// If the number of classes or the length of the storage is wrong.
    pub fn new(mut storage: S, classes: usize) -> Result<Self, MetricsError> {
        check_storage(storage.as_ref().len(), classes)?;
        storage.as_mut().fill(0);
        Ok(Self { counts: storage, classes, total: 0 })
    }

    /// Counts the pixels of a frame. An error leaves the counts unchanged.
    ///
    /// # Errors
    /// If the lengths differ, an id is not a class (predictions are checked even where the truth is ignored), or the
    /// sum no longer fits.
    pub fn add(&mut self, truth: &[u8], prediction: &[u8]) -> Result<(), MetricsError> {
        if truth.len() != prediction.len() {
            return Err(MetricsError::Length { truth: truth.len(), prediction: prediction.len() });
        }
        let classes = self.classes;
        let no_class = |id: u8| usize::from(id) >= classes;
        if let Some(index) = truth.iter().position(|&id| id != IGNORE_INDEX && no_class(id)) {
            return Err(MetricsError::Id { id: truth[index], classes, index });
        }
        if let Some(index) = prediction.iter().position(|&id| no_class(id)) {
            return Err(MetricsError::Id { id: prediction[index], classes, index });
        }
        let counted = truth.iter().filter(|&&id| id != IGNORE_INDEX).count() as u64;
        self.total = self.total.checked_add(counted).ok_or(MetricsError::Overflow)?;
        let counts = self.counts.as_mut();
        for (&row, &column) in truth.iter().zip(prediction) {
            if row != IGNORE_INDEX {
                counts[usize::from(row) * classes + usize::from(column)] += 1;
            }
        }
        Ok(())
    }

    /// Adds the counts of another matrix. An error leaves the counts unchanged.
    ///
    /// # Errors
    /// If the numbers of classes differ, or the sum no longer fits.
    pub fn merge<T: AsRef<[u64]>>(&mut self, other: &ConfusionMatrix<T>) -> Result<(), MetricsError> {
        if self.classes != other.classes {
            return Err(MetricsError::Merge { expected: self.classes, found: other.classes });
        }
        self.total = self.total.checked_add(other.total).ok_or(MetricsError::Overflow)?;
        for (to, from) in self.counts.as_mut().iter_mut().zip(other.counts()) {
            *to += from;
        }
        Ok(())
    }
}

fn check_storage(len: usize, classes: usize) -> Result<(), MetricsError> {
    if !(1..=CLASSES_MAX).contains(&classes) {
        return Err(MetricsError::Classes { found: classes });
    }
    let expected = classes * classes;
    if len == expected { Ok(()) } else { Err(MetricsError::Storage { expected, found: len }) }
}

fn ratio(part: u128, whole: u128) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(feature = "alloc")]
mod owned {
    //! The owned matrix and its serialized form.

    use alloc::vec::Vec;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{CLASSES_MAX, ConfusionMatrix, MetricsError, OwnedConfusion};

    impl OwnedConfusion {
        /// An empty matrix of `classes`.
        ///
        /// # Errors
        /// If there is no class, or too many.
        pub fn zeros(classes: usize) -> Result<Self, MetricsError> {
            if !(1..=CLASSES_MAX).contains(&classes) {
                return Err(MetricsError::Classes { found: classes });
            }
            Self::new(alloc::vec![0; classes * classes], classes)
        }
    }

    #[derive(Serialize)]
    struct Written<'a> {
        classes: usize,
        counts: &'a [u64],
    }

    #[derive(Deserialize)]
    struct Read {
        classes: usize,
        counts: Vec<u64>,
    }

    impl<S: AsRef<[u64]>> Serialize for ConfusionMatrix<S> {
        fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
            Written { classes: self.classes, counts: self.counts() }.serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for OwnedConfusion {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let Read { classes, counts } = Read::deserialize(deserializer)?;
            Self::from_counts(counts, classes).map_err(serde::de::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests;
