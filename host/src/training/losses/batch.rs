//! The pixels of a batch, block by block with their probabilities, which are computed again in each pass: this takes less time than
//! reading them from memory would.

use rayon::prelude::*;
use unet_kernels::InstructionSet;
use unet_kernels::softmax::{BLOCK_PIXELS, Softmax};

use crate::training::target::Target;

/// Pixels of a part, a multiple of those of a block. Sums over parts are added in order, so that they do not depend on the number of
/// threads.
pub(super) const PART_PIXELS: usize = 64 * BLOCK_PIXELS;

/// The logits of a batch and its true classes.
pub(super) struct Batch<'a> {
    /// Logits, `[pixels, classes]`.
    logits: &'a [f32],
    /// Images, height and width.
    pub size: [usize; 3],
    /// The true class of each pixel; those past the last class are ignored.
    pub ids: &'a [u8],
    /// One weight per class.
    pub weights: &'a [f32],
    /// Pixels of each class.
    pub pixels: &'a [u64],
    /// Sum of the weights of all pixels that count.
    pub total: f64,
    set: InstructionSet,
}

/// Up to [`BLOCK_PIXELS`] neighbouring pixels.
pub(super) struct Block<'a> {
    /// Index of its first pixel in the batch.
    pub first: usize,
    /// The true class of each of its pixels.
    pub ids: &'a [u8],
    logits: &'a [f32],
    softmax: &'a Softmax,
    probabilities: &'a [f32],
    weights: &'a [f32],
}

impl<'a> Batch<'a> {
    /// From logits `[pixels, classes]` of images of `size`.
    pub fn new(logits: &'a [f32], size: [usize; 3], target: &'a Target, set: InstructionSet) -> Self {
        let (ids, weights) = (&*target.classes, &*target.weights);
        assert_eq!((logits.len(), ids.len()), (ids.len() * weights.len(), size.iter().product::<usize>()));
        Self { logits, size, ids, weights, pixels: &target.pixels, total: target.total(), set }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.weights.len()
    }

    /// The class of a pixel, if it counts.
    pub fn class(&self, pixel: usize) -> Option<usize> {
        Some(usize::from(self.ids[pixel])).filter(|class| *class < self.classes())
    }

    /// The weight of a pixel's class; 0 if the pixel is ignored.
    pub fn weight(&self, pixel: usize) -> f64 {
        self.class(pixel).map_or(0.0, |class| f64::from(self.weights[class]))
    }

    /// Calls `each` with the blocks of a part.
    pub fn for_each_block(&self, part: usize, mut each: impl FnMut(&Block)) {
        let classes = self.classes();
        let (mut softmax, mut probabilities) = (Softmax::new(self.set, classes), vec![0f32; classes * BLOCK_PIXELS]);
        let start = part * PART_PIXELS;
        let ids = &self.ids[start..(start + PART_PIXELS).min(self.ids.len())];
        for (number, ids) in ids.chunks(BLOCK_PIXELS).enumerate() {
            let first = start + number * BLOCK_PIXELS;
            let logits = &self.logits[first * classes..][..ids.len() * classes];
            softmax.compute(logits);
            let shares = softmax.sums().map(|sum| 1.0 / sum);
            let values = softmax.values().as_chunks::<BLOCK_PIXELS>().0;
            for (probabilities, values) in probabilities.as_chunks_mut::<BLOCK_PIXELS>().0.iter_mut().zip(values) {
                for ((p, value), share) in probabilities.iter_mut().zip(values).zip(&shares) {
                    *p = value * share;
                }
            }
            each(&Block {
                first,
                ids,
                logits,
                softmax: &softmax,
                probabilities: &probabilities,
                weights: self.weights,
            });
        }
    }

    /// The numbers of all parts.
    pub fn parts(&self) -> std::ops::Range<usize> {
        0..self.ids.len().div_ceil(PART_PIXELS)
    }

    /// The values that `add` makes of the blocks of each part, on several threads; in order.
    pub fn map_parts<T: Send>(&self, none: impl Fn() -> T + Sync, add: impl Fn(&mut T, &Block) + Sync) -> Vec<T> {
        let of_part = |part| {
            let mut value = none();
            self.for_each_block(part, |block| add(&mut value, block));
            value
        };
        self.parts().into_par_iter().map(of_part).collect()
    }

    /// The sum over all pixels of `value`, part by part.
    pub fn sum(&self, value: impl Fn(usize) -> f64 + Sync) -> f64 {
        let pixels = |part: usize| part * PART_PIXELS..((part + 1) * PART_PIXELS).min(self.ids.len());
        let sums: Vec<f64> = self.parts().into_par_iter().map(|part| pixels(part).map(&value).sum()).collect();
        sums.into_iter().sum()
    }
}

impl Block<'_> {
    /// The probabilities of each class, in order; stale past the last pixel.
    pub fn rows(&self) -> &[[f32; BLOCK_PIXELS]] {
        self.probabilities.as_chunks().0
    }

    /// The pixels that count, by their place in the block, with their classes.
    pub fn counted(&self) -> impl Iterator<Item = (usize, usize)> {
        let classes = self.weights.len();
        let pixels = self.ids.iter().map(|id| usize::from(*id)).enumerate();
        pixels.filter(move |(_, class)| *class < classes)
    }

    /// The weight of a class.
    pub fn weight(&self, class: usize) -> f64 {
        f64::from(self.weights[class])
    }

    /// `-log` of the probability of a class at a pixel.
    pub fn loss(&self, pixel: usize, class: usize) -> f64 {
        self.softmax.log_sum(pixel) - f64::from(self.logits[pixel * self.weights.len() + class])
    }
}

/// The slopes of a sum of losses at the pixels of a block, `[classes][BLOCK_PIXELS]` each.
pub(super) struct Slopes {
    /// For the logits.
    pub logits: Vec<[f32; BLOCK_PIXELS]>,
    /// For the probabilities.
    pub probabilities: Vec<[f32; BLOCK_PIXELS]>,
}

impl Slopes {
    /// None.
    pub fn zeros(classes: usize) -> Self {
        let zeros = vec![[0.0; BLOCK_PIXELS]; classes];
        Self { logits: zeros.clone(), probabilities: zeros }
    }

    /// Sets all to zero.
    pub fn clear(&mut self) {
        self.logits.fill([0.0; BLOCK_PIXELS]);
        self.probabilities.fill([0.0; BLOCK_PIXELS]);
    }

    /// Adds to the slopes of the logits what follows from those of the probabilities by the chain rule through softmax,
    /// `p_j (dp_j - sum over k of p_k dp_k)`, and writes them to `gradient`, `[pixels, classes]`; 0 for ignored pixels.
    pub fn write(&mut self, block: &Block, gradient: &mut [f32]) {
        let mut means = [0f32; BLOCK_PIXELS];
        for (row, slopes) in block.rows().iter().zip(&self.probabilities) {
            for ((mean, p), slope) in means.iter_mut().zip(row).zip(slopes) {
                *mean += p * slope;
            }
        }
        for ((row, slopes), logits) in block.rows().iter().zip(&self.probabilities).zip(&mut self.logits) {
            for (((logit, p), slope), mean) in logits.iter_mut().zip(row).zip(slopes).zip(&means) {
                *logit += p * (slope - mean);
            }
        }
        // Also where a logit is NaN.
        gradient.fill(0.0);
        let classes = self.logits.len();
        for (pixel, _) in block.counted() {
            for (gradient, slopes) in gradient[pixel * classes..][..classes].iter_mut().zip(&self.logits) {
                *gradient = slopes[pixel];
            }
        }
    }
}
