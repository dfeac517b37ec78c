//! Batch norm (Ioffe and Szegedy 2015, algorithm 1) followed by ReLU, on tensors `[pixels, channels]`.

use rayon::prelude::*;

use super::elementwise::Affine;
use super::instruction_set::InstructionSet;
use super::shared::written;

/// Pixels of a part. Sums over parts are added in order.
pub(super) const PART_PIXELS: usize = 4096;
/// Approximate number of values of a pattern.
const PATTERN: usize = 256;

/// Pixels of a pattern.
fn repeats(channels: usize) -> usize {
    (PATTERN / channels.max(1)).max(1)
}

/// The values of channels, repeated over some pixels for the inner loops.
fn pattern(channels: usize, value: impl Fn(usize) -> f32) -> Vec<f32> {
    (0..repeats(channels) * channels).map(|i| value(i % channels)).collect()
}

/// Slots of a pattern for sums.
fn slots(channels: usize) -> Vec<f64> {
    vec![0.0; repeats(channels) * channels]
}

/// The sum of a pattern's slots for each channel.
fn fold(slots: &[f64], channels: usize) -> Vec<f64> {
    let mut sums = vec![0.0; channels];
    for slots in slots.chunks_exact(channels) {
        add(&mut sums, slots);
    }
    sums
}

fn add(sums: &mut [f64], values: &[f64]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

fn single(values: Vec<f64>) -> Vec<f32> {
    values.into_iter().map(|v| v as f32).collect()
}

/// Mean and biased variance of each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Means.
    pub mean: Vec<f32>,
    /// Sums of squared differences from the mean, divided by the number of pixels.
    pub variance: Vec<f32>,
}

/// Two sums of each channel over a part of the pixels, by a kernel that adds to the slots of a pattern.
fn part_sums(channels: usize, kernel: impl FnOnce(&mut [f64], &mut [f64])) -> (Vec<f64>, Vec<f64>) {
    let (mut first, mut second) = (slots(channels), slots(channels));
    kernel(&mut first, &mut second);
    (fold(&first, channels), fold(&second, channels))
}

/// The two sums over all parts, added in order.
fn total(channels: usize, parts: impl IndexedParallelIterator<Item = (Vec<f64>, Vec<f64>)>) -> (Vec<f64>, Vec<f64>) {
    let mut collected = Vec::new();
    parts.collect_into_vec(&mut collected);
    let (mut first, mut second) = (vec![0.0; channels], vec![0.0; channels]);
    for part in &collected {
        add(&mut first, &part.0);
        add(&mut second, &part.1);
    }
    (first, second)
}

/// Sums and sums of squares of each channel over all pixels.
fn moments(set: InstructionSet, x: &[f32], channels: usize) -> (Vec<f64>, Vec<f64>) {
    let table = set.table(channels.max(16));
    let parts = x.par_chunks(PART_PIXELS * channels).map(|x| {
        // SAFETY: the table was chosen for this CPU.
        part_sums(channels, |sums, squares| unsafe { (table.moments)(x, sums, squares) })
    });
    total(channels, parts)
}

/// Mean and variance of each of `channels` over all pixels of `x`. The variance is the mean of squares minus the square of the
/// mean, in f64: for a standard deviation of one ten-thousandth of the mean, its relative error is 1e-8.
pub fn statistics(set: InstructionSet, x: &[f32], channels: usize) -> Statistics {
    let pixels = (x.len() / channels).max(1) as f64;
    let (sums, squares) = moments(set, x, channels);
    let variance = sums.iter().zip(&squares).map(|(sum, square)| {
        let variance = (square - sum * sum / pixels) / pixels;
        // `max` would turn NaN into 0.
        if variance < 0.0 { 0.0 } else { variance }
    });
    let variance = single(variance.collect());
    Statistics { mean: single(sums.into_iter().map(|sum| sum / pixels).collect()), variance }
}

/// Sum of each channel over all pixels.
pub fn channel_sums(set: InstructionSet, x: &[f32], channels: usize) -> Vec<f32> {
    single(moments(set, x, channels).0)
}

/// A batch norm's values, one a channel.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Scale.
    pub gamma: &'a [f32],
    /// Shift.
    pub beta: &'a [f32],
    /// Mean, which is subtracted.
    pub mean: &'a [f32],
    /// Variance, by whose root the difference is divided.
    pub variance: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// A norm's values as the inner loops read them.
struct Patterns {
    mean: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Patterns {
    fn affine(&self) -> Affine<'_> {
        Affine { mean: &self.mean, scale: &self.scale, shift: &self.shift }
    }
}

impl Norm<'_> {
    fn patterns(&self) -> Patterns {
        let channels = self.channels();
        Patterns {
            mean: pattern(channels, |c| self.mean[c]),
            scale: pattern(channels, |c| self.scale(c)),
            shift: pattern(channels, |c| self.beta[c]),
        }
    }

    fn channels(&self) -> usize {
        self.gamma.len()
    }

    /// 1 / standard deviation.
    fn inverse(&self, c: usize) -> f64 {
        1.0 / (f64::from(self.variance[c]) + f64::from(self.epsilon)).sqrt()
    }

    fn scale(&self, c: usize) -> f32 {
        (f64::from(self.gamma[c]) * self.inverse(c)) as f32
    }

    /// `max(gamma * (x - mean) / sqrt(variance + epsilon) + beta, 0)`.
    pub fn forward(&self, set: InstructionSet, x: &[f32]) -> Vec<f32> {
        let channels = self.channels();
        let table = set.table(channels.max(16));
        let patterns = self.patterns();
        let part = PART_PIXELS * channels;
        // SAFETY: the parts cover the output; one thread writes all of each.
        unsafe {
            written(x.len(), |y| {
                x.par_chunks(part).enumerate().for_each(|(number, x)| {
                    (table.norm_relu)(x, patterns.affine(), y.unwritten_part(number * part, x.len()));
                });
            })
        }
    }

    /// Turns the gradient of the output into that of `x`, and returns the gradients of `gamma` and `beta`. Mean and variance are
    /// the statistics of `x` itself; the gradient goes through them too.
    ///
    /// With `g` the gradient where the output is positive, `h = (x - mean) / sqrt(variance + epsilon)` and `n` pixels:
    /// `dbeta = sum g`, `dgamma = sum g h`, `dx = gamma / sqrt(variance + epsilon) (g - dbeta / n - h dgamma / n)`.
    pub fn backward(&self, set: InstructionSet, x: &[f32], gradient: &mut [f32]) -> (Vec<f32>, Vec<f32>) {
        assert_eq!(x.len(), gradient.len());
        let channels = self.channels();
        let table = set.table(channels.max(16));
        let patterns = self.patterns();
        let affine = patterns.affine();
        let part = PART_PIXELS * channels;
        let parts = x.par_chunks(part).zip(gradient.par_chunks(part)).map(|(x, gradient)| {
            // SAFETY: the table was chosen for this CPU.
            part_sums(channels, |sums, products| unsafe {
                (table.norm_relu_sums)(x, gradient, affine, sums, products);
            })
        });
        let (gamma, beta) = self.parameter_gradients(parts);
        let pixels = (x.len() / channels.max(1)).max(1) as f64;
        let slope = |c: usize| -f64::from(self.scale(c)) * self.inverse(c) * gamma[c] / pixels;
        let offset = |c: usize| -f64::from(self.scale(c)) * beta[c] / pixels;
        let (slope, offset) = (pattern(channels, |c| slope(c) as f32), pattern(channels, |c| offset(c) as f32));
        x.par_chunks(part).zip(gradient.par_chunks_mut(part)).for_each(|(x, gradient)| {
            // SAFETY: the table was chosen for this CPU.
            unsafe { (table.norm_relu_gradient)(x, affine, &slope, &offset, gradient) };
        });
        (single(gamma), single(beta))
    }

    /// The same where mean and variance are constants: `dx = gamma / sqrt(variance + epsilon) g`. One pass instead of two.
    pub fn backward_frozen(&self, set: InstructionSet, x: &[f32], gradient: &mut [f32]) -> (Vec<f32>, Vec<f32>) {
        assert_eq!(x.len(), gradient.len());
        let channels = self.channels();
        let table = set.table(channels.max(16));
        let patterns = self.patterns();
        let affine = patterns.affine();
        let part = PART_PIXELS * channels;
        let parts = x.par_chunks(part).zip(gradient.par_chunks_mut(part)).map(|(x, gradient)| {
            // SAFETY: the table was chosen for this CPU.
            part_sums(channels, |sums, products| unsafe {
                (table.norm_relu_frozen_gradient)(x, gradient, affine, sums, products);
            })
        });
        let (gamma, beta) = self.parameter_gradients(parts);
        (single(gamma), single(beta))
    }

    /// `dgamma` and `dbeta` from the sums of `g` and of `g (x - mean)` of each part.
    fn parameter_gradients(
        &self,
        parts: impl IndexedParallelIterator<Item = (Vec<f64>, Vec<f64>)>,
    ) -> (Vec<f64>, Vec<f64>) {
        let (beta, mut gamma) = total(self.channels(), parts);
        gamma.iter_mut().enumerate().for_each(|(c, sum)| *sum *= self.inverse(c));
        (gamma, beta)
    }
}
