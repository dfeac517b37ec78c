//! How far the mean IoU would move with other images of the same kind: its bootstrap confidence interval.

use serde::Serialize;

use super::overlap::{ClassOverlap, Overlap, mean_iou};
use crate::rng::Rng;

/// Sets of images that are drawn.
const RESAMPLES: usize = 1000;
/// The same sets for every evaluation, so that a record has one interval.
const SEED: u64 = 95;

/// The 95 % confidence interval of the mean IoU by the percentile bootstrap (Efron 1979): as many images as there are, drawn with
/// replacement, counted together and scored, 1000 times. Images count as independent: for slices of one volume and for frames of one
/// video, which are alike, it is too narrow. It says nothing of another training run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The 2.5th percentile, interpolated between the two nearest scores.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
    /// Images that are drawn from: those with pixels that count.
    pub images: usize,
}

impl Interval {
    /// The interval of images with these classes in truth or prediction; none for fewer than two images with any.
    pub(super) fn of(images: &[Vec<ClassOverlap>]) -> Option<Self> {
        let images: Vec<&[ClassOverlap]> = images.iter().map(Vec::as_slice).filter(|image| !image.is_empty()).collect();
        if images.len() < 2 {
            return None;
        }
        let classes = images.iter().flat_map(|image| image.iter()).map(|(class, _)| class + 1).max().unwrap_or(0);
        let mut rng = Rng::new(SEED);
        let mut totals = vec![Overlap::default(); classes];
        let mut scores: Vec<f64> = (0..RESAMPLES)
            .filter_map(|_| {
                totals.fill(Overlap::default());
                for _ in 0..images.len() {
                    for &(class, overlap) in images[rng.below(images.len() as u64) as usize] {
                        totals[class] += overlap;
                    }
                }
                mean_iou(&totals)
            })
            .collect();
        scores.sort_by(f64::total_cmp);
        Some(Self { low: percentile(&scores, 2.5), high: percentile(&scores, 97.5), images: images.len() })
    }
}

/// The value below which `percent` of the sorted values lie, linear between neighbours. There is at least one value.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let last = sorted.len() - 1;
    let at = last as f64 * percent / 100.0;
    let below = (at as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(both: u64, truth: u64, predicted: u64) -> Vec<ClassOverlap> {
        vec![(0, Overlap { both, truth, predicted })]
    }

    #[test]
    fn percentiles_by_hand() {
        assert_eq!(percentile(&[3.0], 97.5), 3.0);
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 50.0), 2.0);
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 75.0), 3.0);
        assert_eq!((percentile(&[1.0, 2.0], 0.0), percentile(&[1.0, 2.0], 100.0)), (1.0, 2.0));
    }

    #[test]
    fn too_few_images_have_no_interval_and_equal_ones_one_without_width() {
        assert_eq!(Interval::of(&[]), None);
        assert_eq!(Interval::of(&[image(1, 2, 2), vec![], vec![]]), None);
        let found = Interval::of(&[image(1, 2, 2), vec![], image(1, 2, 2), image(2, 4, 4)]);
        assert_eq!(found, Some(Interval { low: 1.0 / 3.0, high: 1.0 / 3.0, images: 3 }));
    }

    #[test]
    fn two_images_are_drawn_both_ways() {
        // A quarter of the sets has the first image twice, a quarter the second.
        let found = Interval::of(&[image(0, 1, 1), image(1, 1, 1)]).unwrap();
        assert_eq!((found.low, found.high), (0.0, 1.0));
    }

    #[test]
    fn the_interval_is_that_of_the_formula_for_many_images() {
        // Each image is right or wrong: the score is a mean of 400 draws with probability 0.8.
        let images: Vec<_> = (0..400).map(|number| image(u64::from(number % 5 > 0), 1, 1)).collect();
        // An image that is wrong has a union of 2.
        let score = |right: f64| right / (right + 2.0 * (1.0 - right));
        let spread = 1.96 * (0.8f64 * 0.2 / 400.0).sqrt();
        let found = Interval::of(&images).unwrap();
        assert!((found.low - score(0.8 - spread)).abs() < 0.01, "{found:?}");
        assert!((found.high - score(0.8 + spread)).abs() < 0.01, "{found:?}");
        assert_eq!(Interval::of(&images), Some(found));
    }

    #[test]
    fn a_class_that_a_set_does_not_have_is_not_counted_in_it() {
        // The second class is perfect and in one image only: sets without it score the first class alone.
        let both = Overlap { both: 4, truth: 4, predicted: 4 };
        let images = [image(1, 2, 2), vec![(0, Overlap { both: 1, truth: 2, predicted: 2 }), (1, both)]];
        let found = Interval::of(&images).unwrap();
        assert_eq!((found.low, found.high), (1.0 / 3.0, (1.0 / 3.0 + 1.0) / 2.0));
    }
}
