//! What the losses of a batch are computed from, and the gradient that they add to. Values are stored pixel by pixel.

use std::ops::Range;

use rayon::prelude::*;

use crate::training::target::Target;

/// Pixels of a part. Sums over parts are added in order, so that they do not depend on the number of threads.
pub(super) const PART_PIXELS: usize = 4096;

/// The probabilities of a batch and its true classes.
pub(super) struct Batch<'a> {
    /// Number of classes.
    pub classes: usize,
    /// Images, height and width.
    pub size: [usize; 3],
    /// The true class of each pixel; those past the last class are ignored.
    pub ids: &'a [u8],
    /// One weight per class.
    pub weights: &'a [f32],
    /// Pixels of each class.
    pub pixels: &'a [u64],
    /// Logarithms of the probabilities, `[pixels, classes]`.
    pub logs: Vec<f32>,
    /// The probabilities, softmax of the logits.
    pub probabilities: Vec<f32>,
}

/// The gradient of a sum of losses, `[pixels, classes]` each; empty if only the value is needed.
pub(super) struct Gradient {
    /// For the logits.
    pub logits: Vec<f32>,
    /// For the probabilities, if a loss is a function of them; the chain rule through softmax is applied at the end.
    pub probabilities: Vec<f32>,
}

impl<'a> Batch<'a> {
    /// From logits `[pixels, classes]`.
    pub fn new(mut logits: Vec<f32>, size: [usize; 3], target: &'a Target) -> Self {
        let (ids, weights) = (&*target.classes, &*target.weights);
        let classes = weights.len();
        assert_eq!((logits.len(), ids.len()), (ids.len() * classes, size.iter().product::<usize>()));
        logits.par_chunks_mut(PART_PIXELS * classes).for_each(|part| {
            for logits in part.chunks_exact_mut(classes) {
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
                let log_sum = largest + sum.ln();
                logits.iter_mut().for_each(|logit| *logit -= log_sum);
            }
        });
        let mut probabilities = Vec::new();
        logits.par_iter().map(|log| log.exp()).collect_into_vec(&mut probabilities);
        Self { classes, size, ids, weights, pixels: &target.pixels, logs: logits, probabilities }
    }

    /// The class of a pixel, if it counts.
    pub fn class(&self, pixel: usize) -> Option<usize> {
        Some(usize::from(self.ids[pixel])).filter(|class| *class < self.classes)
    }

    /// The weight of a pixel's class; 0 if the pixel is ignored.
    pub fn weight(&self, pixel: usize) -> f64 {
        self.class(pixel).map_or(0.0, |class| f64::from(self.weights[class]))
    }

    /// `-log` of the probability of the true class; 0 if the pixel is ignored.
    pub fn loss(&self, pixel: usize) -> f32 {
        self.class(pixel).map_or(0.0, |class| -self.logs[pixel * self.classes + class])
    }

    /// The value of `part` for the pixels of each part, on several threads; in order.
    pub fn for_each_part<T: Send>(&self, part: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
        let pixels = self.ids.len();
        let parts = (0..pixels.div_ceil(PART_PIXELS)).into_par_iter();
        parts.map(|number| part(number * PART_PIXELS..((number + 1) * PART_PIXELS).min(pixels))).collect()
    }

    /// The sum over all pixels of `value`, part by part.
    pub fn sum(&self, value: impl Fn(usize) -> f64 + Sync) -> f64 {
        self.for_each_part(|pixels| pixels.map(&value).sum::<f64>()).into_iter().sum()
    }

    /// Calls `change` with each pixel and its `classes` values of `gradient`, on several threads.
    pub fn for_each_pixel(&self, gradient: &mut [f32], change: impl Fn(usize, &mut [f32]) + Sync) {
        gradient.par_chunks_mut(PART_PIXELS * self.classes).enumerate().for_each(|(part, values)| {
            for (index, values) in values.chunks_exact_mut(self.classes).enumerate() {
                change(part * PART_PIXELS + index, values);
            }
        });
    }

    /// The probabilities of a pixel.
    pub fn of_pixel(&self, pixel: usize) -> &[f32] {
        &self.probabilities[pixel * self.classes..][..self.classes]
    }
}

impl Gradient {
    /// Nothing yet.
    pub fn zeros(batch: &Batch) -> Self {
        Self { logits: vec![0.0; batch.logs.len()], probabilities: vec![] }
    }

    /// For the value alone: everything that is added is dropped.
    pub fn none() -> Self {
        Self { logits: vec![], probabilities: vec![] }
    }

    /// The part for the probabilities, made when it is first needed.
    pub fn probabilities(&mut self) -> &mut [f32] {
        self.probabilities.resize(self.logits.len(), 0.0);
        &mut self.probabilities
    }

    /// The gradient for the logits: `dz_j = p_j (dp_j - sum over k of p_k dp_k)` is added for that of the probabilities.
    pub fn into_logits(self, batch: &Batch) -> Vec<f32> {
        let Self { mut logits, probabilities: slopes } = self;
        if !slopes.is_empty() {
            batch.for_each_pixel(&mut logits, |pixel, gradient| {
                let slopes = &slopes[pixel * batch.classes..][..batch.classes];
                let probabilities = batch.of_pixel(pixel);
                let mean: f32 = probabilities.iter().zip(slopes).map(|(p, slope)| p * slope).sum();
                for ((gradient, p), slope) in gradient.iter_mut().zip(probabilities).zip(slopes) {
                    *gradient += p * (slope - mean);
                }
            });
        }
        logits
    }
}
