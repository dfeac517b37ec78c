//! Pixels that a class has in truth and prediction, from which its IoU follows.

use unet_shared::metrics::OwnedConfusion;

/// Numbers of pixels of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// In truth and prediction.
    pub both: u64,
    /// In the truth.
    pub truth: u64,
    /// In the prediction.
    pub predicted: u64,
}

/// A class id with its numbers.
pub type ClassOverlap = (usize, Overlap);

impl Overlap {
    /// Intersection over union; none if the class is in neither.
    pub fn iou(self) -> Option<f64> {
        let union = self.truth + self.predicted - self.both;
        (union > 0).then(|| self.both as f64 / union as f64)
    }
}

impl std::ops::AddAssign for Overlap {
    fn add_assign(&mut self, other: Self) {
        self.both += other.both;
        self.truth += other.truth;
        self.predicted += other.predicted;
    }
}

/// The mean of the IoU over the classes that have one, in their order; none if no class has.
pub fn mean_iou(classes: &[Overlap]) -> Option<f64> {
    let (sum, count) =
        classes.iter().filter_map(|class| class.iou()).fold((0.0, 0u32), |(sum, count), iou| (sum + iou, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// The classes in truth or prediction of a confusion matrix, in their order.
pub fn of_classes(confusion: &OwnedConfusion) -> Vec<ClassOverlap> {
    let (classes, mut overlaps) = (confusion.classes(), vec![Overlap::default(); confusion.classes()]);
    for (truth, row) in confusion.counts().chunks_exact(classes).enumerate() {
        for (predicted, &count) in row.iter().enumerate() {
            overlaps[truth].truth += count;
            overlaps[predicted].predicted += count;
        }
        overlaps[truth].both += row[truth];
    }
    overlaps.into_iter().enumerate().filter(|(_, overlap)| *overlap != Overlap::default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_of_a_confusion_matrix_by_hand() {
        // Class 2 is nowhere; class 3 is only predicted.
        let counts = vec![5, 1, 0, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let confusion = OwnedConfusion::from_counts(counts, 4).unwrap();
        let found = of_classes(&confusion);
        let overlap = |both, truth, predicted| Overlap { both, truth, predicted };
        assert_eq!(found, [(0, overlap(5, 8, 8)), (1, overlap(4, 7, 5)), (3, overlap(0, 0, 2))]);
        let all: Vec<Overlap> = found.into_iter().map(|(_, overlap)| overlap).collect();
        assert_eq!(all[0].iou(), Some(5.0 / 11.0));
        assert_eq!(mean_iou(&all), confusion.mean_iou());
        assert_eq!((Overlap::default().iou(), mean_iou(&[Overlap::default()])), (None, None));
    }
}
