//! Lovász-softmax (Berman et al. 2018): the convex extension of the Jaccard loss, that is, of `1 - IoU`.
//!
//! With the errors `|truth - p|` of a class sorted from the largest, and the Jaccard loss `J_i` of predicting the first `i` of them
//! wrongly, it is the sum of `error_i (J_i - J_(i-1))`. Instead of sorting, the errors are counted in buckets. Pixels of a bucket
//! have the same slope, as pixels of equal errors have no order: the mean of what the class's own pixels have before the others and
//! after them.

use rayon::prelude::*;

use super::Term;
use super::batch::{Batch, Block, Slopes};

/// Buckets of the errors from 0 to 1.
const BUCKETS: usize = 8192;
/// Classes that are counted in one pass, so that their counts fit into a core's cache.
const CLASSES_AT_ONCE: usize = 16;

/// Pixels of a bucket: the class's own, and others.
type Count = [u32; 2];

/// The weighted mean of the extensions of the classes that occur.
struct Lovasz {
    /// For each class, the slopes of the error in each bucket for the class's own pixels and for others; none for a class that has no
    /// part.
    slopes: Vec<Vec<[f32; 2]>>,
}

/// The loss times `scale`; none if no class has a weight.
pub(super) fn lovasz<'a>(batch: &Batch<'a>, scale: f64) -> Option<Box<dyn Term + 'a>> {
    let present: Vec<usize> =
        (0..batch.classes()).filter(|&class| batch.pixels[class] > 0 && batch.weights[class] > 0.0).collect();
    let total: f64 = present.iter().map(|&class| f64::from(batch.weights[class])).sum();
    let mut slopes = vec![vec![]; batch.classes()];
    for classes in present.chunks(CLASSES_AT_ONCE) {
        let counts = count(batch, classes);
        for (&class, counts) in classes.iter().zip(counts.chunks_exact(BUCKETS)) {
            slopes[class] = slopes_of(counts, batch.pixels[class], scale * f64::from(batch.weights[class]) / total);
        }
    }
    (total > 0.0).then(|| Box::new(Lovasz { slopes }) as Box<dyn Term>)
}

/// Bytes of the counts of all threads and their sum, and of the slopes.
pub(super) fn table_bytes(classes: usize, threads: usize) -> u64 {
    let counts = (threads + 1) * classes.min(CLASSES_AT_ONCE);
    ((counts * size_of::<Count>() + classes * size_of::<[f32; 2]>()) * BUCKETS) as u64
}

/// The bucket of an error.
fn bucket(error: f32) -> usize {
    ((error * BUCKETS as f32) as usize).min(BUCKETS - 1)
}

/// The error of a class at a pixel, and 0 for one of its own pixels, 1 for another.
fn error(p: f32, is_own: bool) -> (f32, usize) {
    if is_own { (1.0 - p, 0) } else { (p, 1) }
}

/// The counts of each class, `[classes][BUCKETS]`.
fn count(batch: &Batch, classes: &[usize]) -> Vec<Count> {
    let none = || vec![[0u32; 2]; classes.len() * BUCKETS];
    let of_threads = batch.parts().len().div_ceil(rayon::current_num_threads()).max(1);
    let counts = batch.parts().into_par_iter().with_min_len(of_threads).fold(none, |mut counts, part| {
        batch.for_each_block(part, |block| {
            for (&class, counts) in classes.iter().zip(counts.chunks_exact_mut(BUCKETS)) {
                let row = &block.rows()[class];
                for (pixel, own) in block.counted() {
                    let (error, kind) = error(row[pixel], own == class);
                    counts[bucket(error)][kind] += 1;
                }
            }
        });
        counts
    });
    counts.reduce(none, |mut all, some| {
        all.iter_mut().zip(some).for_each(|(all, some)| {
            all[0] += some[0];
            all[1] += some[1];
        });
        all
    })
}

/// The slopes of a class of `truth` pixels, times `factor`.
fn slopes_of(counts: &[Count], truth: u64, factor: f64) -> Vec<[f32; 2]> {
    let truth = truth as f64;
    let mut slopes = vec![[0f32; 2]; BUCKETS];
    // Of the errors above the bucket's: pixels of the class, which are missed, and others, which are added.
    let (mut missed, mut added) = (0.0, 0.0);
    for (slopes, [own, others]) in slopes.iter_mut().zip(counts).rev().filter(|(_, counts)| **counts != [0, 0]) {
        let (own, others) = (f64::from(*own), f64::from(*others));
        // J = 1 - (truth - missed) / (truth + added).
        let (before, after) = (1.0 / (truth + added), 1.0 / (truth + added + others));
        slopes[0] = (factor * 0.5 * (before + after)) as f32;
        if others > 0.0 {
            slopes[1] = (factor * (truth - missed - 0.5 * own) * (before - after) / others) as f32;
        }
        missed += own;
        added += others;
    }
    slopes
}

impl Term for Lovasz {
    fn value(&self, block: &Block) -> f64 {
        let mut value = 0.0;
        for (class, (slopes, row)) in self.slopes.iter().zip(block.rows()).enumerate() {
            if slopes.is_empty() {
                continue;
            }
            for (pixel, own) in block.counted() {
                let (error, kind) = error(row[pixel], own == class);
                value += f64::from(error) * f64::from(slopes[bucket(error)][kind]);
            }
        }
        value
    }

    fn add_slopes(&self, block: &Block, sums: &mut Slopes) {
        for (class, ((slopes, row), sums)) in
            self.slopes.iter().zip(block.rows()).zip(&mut sums.probabilities).enumerate()
        {
            if slopes.is_empty() {
                continue;
            }
            for (pixel, own) in block.counted() {
                let (error, kind) = error(row[pixel], own == class);
                let slope = slopes[bucket(error)][kind];
                sums[pixel] += if own == class { -slope } else { slope };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_of_one_pixel_a_bucket_are_the_steps_of_the_jaccard_loss() {
        let jaccard = |missed: f64, added: f64| 1.0 - (3.0 - missed) / (3.0 + added);
        let mut counts = vec![[0, 0]; BUCKETS];
        // From the largest error: another pixel, two of the class, another, and one of the class.
        let kinds = [1, 0, 0, 1, 0];
        kinds.iter().enumerate().for_each(|(place, &kind)| counts[BUCKETS - 1 - 3 * place][kind] = 1);
        let slopes = slopes_of(&counts, 3, 1.0);
        let (mut missed, mut added) = (0.0, 0.0);
        for (place, &kind) in kinds.iter().enumerate() {
            let before = jaccard(missed, added);
            if kind == 0 {
                missed += 1.0
            } else {
                added += 1.0
            }
            let found = f64::from(slopes[BUCKETS - 1 - 3 * place][kind]);
            // Within f32.
            assert!((found - (jaccard(missed, added) - before)).abs() < 1e-7, "{place}: {found}");
        }
    }

    #[test]
    fn slopes_of_a_bucket_are_the_mean_of_both_orders() {
        // Two pixels of the class, which has four, and three others. The class first: 1/4 each, then (2/4 - 2/7) / 3.
        // The others first: (4/4 - 4/7) / 3, then 1/7 each.
        let mut counts = vec![[0, 0]; BUCKETS];
        counts[5] = [2, 3];
        let [own, other] = slopes_of(&counts, 4, 1.0)[5].map(f64::from);
        assert!((own - (0.25 + 1.0 / 7.0) / 2.0).abs() < 1e-7, "{own}");
        assert!((other - ((0.5 - 2.0 / 7.0) + (1.0 - 4.0 / 7.0)) / 6.0).abs() < 1e-7, "{other}");
    }

    #[test]
    fn every_error_has_a_bucket() {
        assert_eq!([0.0, 1.0, 1.0001, f32::NAN, -1e-7].map(bucket), [0, BUCKETS - 1, BUCKETS - 1, 0, 0]);
    }
}
