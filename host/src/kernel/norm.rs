//! Batch norm (Ioffe and Szegedy 2015, algorithm 1) with the ReLU behind it, over tensors `[pixels, channels]`.

use rayon::prelude::*;

use super::InstructionSet;
use super::elementwise::Affine;
use super::shared::written;

/// Pixels of a part. Sums within a part are f32 in many slots, over parts f64 in order.
pub(super) const PART_PIXELS: usize = 4096;
/// Pixels, at most, that the mean of a part is guessed by: then it is off by less than a deviation.
const GUESS_PIXELS: usize = 64;
/// Values of a pattern, about.
const PATTERN: usize = 256;

/// Values that belong to channels, repeated over some pixels: what the inner loops read.
fn pattern(channels: usize, value: impl Fn(usize) -> f32) -> Vec<f32> {
    let repeats = (PATTERN / channels.max(1)).max(1);
    (0..repeats * channels).map(|i| value(i % channels)).collect()
}

/// Sums of a pattern's slots, a channel.
fn fold(slots: &[f32], channels: usize) -> Vec<f64> {
    let mut sums = vec![0f64; channels];
    for slots in slots.chunks_exact(channels) {
        for (sum, slot) in sums.iter_mut().zip(slots) {
            *sum += f64::from(*slot);
        }
    }
    sums
}

/// Mean and biased variance of each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Means.
    pub mean: Vec<f32>,
    /// Sums of squared differences from the mean, divided by the number of pixels.
    pub variance: Vec<f32>,
}

/// About the mean of each channel, by some pixels from all over `x`.
fn guess(x: &[f32], channels: usize) -> Vec<f32> {
    let pixels = x.len() / channels;
    let step = pixels.div_ceil(GUESS_PIXELS).max(1);
    let mut sums = vec![0f32; channels];
    for pixel in x.chunks_exact(channels).step_by(step) {
        sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
    }
    let count = pixels.div_ceil(step) as f32;
    sums.iter_mut().for_each(|sum| *sum /= count);
    sums
}

/// Mean and variance of each of `channels` over all pixels of `x`: within a part as differences from about its mean, so that
/// the sum of squares is hardly larger than what is left of it without the square of the sum, the parts joined by the formula
/// of Chan, Golub and LeVeque (1979).
pub fn statistics(set: InstructionSet, x: &[f32], channels: usize) -> Statistics {
    let table = set.table(channels.max(16));
    let parts: Vec<(Vec<f64>, Vec<f64>)> = x
        .par_chunks(PART_PIXELS * channels)
        .map(|x| {
            let guess = guess(x, channels);
            let shift = pattern(channels, |c| guess[c]);
            let (mut sums, mut squares) = (vec![0f32; shift.len()], vec![0f32; shift.len()]);
            // SAFETY: the table was chosen for this CPU.
            unsafe { (table.moments)(x, &shift, &mut sums, &mut squares) };
            let pixels = (x.len() / channels) as f64;
            let (sums, squares) = (fold(&sums, channels), fold(&squares, channels));
            let mean = sums.iter().enumerate().map(|(c, sum)| f64::from(guess[c]) + sum / pixels).collect();
            let spread =
                squares.iter().zip(&sums).map(|(square, sum)| (square - sum * sum / pixels).max(0.0)).collect();
            (mean, spread)
        })
        .collect();
    let (mut mean, mut spread, mut seen) = (vec![0f64; channels], vec![0f64; channels], 0f64);
    for (x, (means, spreads)) in x.chunks(PART_PIXELS * channels).zip(parts) {
        let pixels = (x.len() / channels) as f64;
        let all = seen + pixels;
        for c in 0..channels {
            let difference = means[c] - mean[c];
            mean[c] += difference * pixels / all;
            spread[c] += spreads[c] + difference * difference * seen * pixels / all;
        }
        seen = all;
    }
    let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
    spread.iter_mut().for_each(|v| *v /= seen.max(1.0));
    Statistics { mean: single(mean), variance: single(spread) }
}

/// Sum of each channel over all pixels.
pub fn channel_sums(set: InstructionSet, x: &[f32], channels: usize) -> Vec<f32> {
    let table = set.table(channels.max(16));
    let zeros = pattern(channels, |_| 0.0);
    let parts: Vec<Vec<f64>> = x
        .par_chunks(PART_PIXELS * channels)
        .map(|x| {
            let (mut sums, mut squares) = (zeros.clone(), zeros.clone());
            // SAFETY: the table was chosen for this CPU.
            unsafe { (table.moments)(x, &zeros, &mut sums, &mut squares) };
            fold(&sums, channels)
        })
        .collect();
    let mut total = vec![0f64; channels];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
    }
    total.into_iter().map(|v| v as f32).collect()
}

/// A batch norm's values, one a channel.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Scale.
    pub gamma: &'a [f32],
    /// Shift.
    pub beta: &'a [f32],
    /// Mean that is subtracted.
    pub mean: &'a [f32],
    /// Variance that is divided by.
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
        // SAFETY: the parts cover the output, each is written whole, by one thread.
        unsafe {
            written(x.len(), |y| {
                x.par_chunks(part).enumerate().for_each(|(number, x)| {
                    (table.norm_relu)(x, patterns.affine(), y.unwritten_part(number * part, x.len()));
                });
            })
        }
    }

    /// Turns the gradient of the output into that of `x`, and returns those of `gamma` and `beta`; mean and variance are those of `x` itself, whose gradients are included.
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
        let parts: Vec<(Vec<f64>, Vec<f64>)> = x
            .par_chunks(part)
            .zip(gradient.par_chunks(part))
            .map(|(x, gradient)| {
                let (mut sums, mut products) = (vec![0f32; affine.scale.len()], vec![0f32; affine.scale.len()]);
                // SAFETY: the table was chosen for this CPU.
                unsafe { (table.norm_relu_sums)(x, gradient, affine, &mut sums, &mut products) };
                (fold(&sums, channels), fold(&products, channels))
            })
            .collect();
        let (mut beta, mut gamma) = (vec![0f64; channels], vec![0f64; channels]);
        for (sums, products) in parts {
            for c in 0..channels {
                beta[c] += sums[c];
                gamma[c] += products[c] * self.inverse(c);
            }
        }
        let pixels = (x.len() / channels.max(1)).max(1) as f64;
        let slope = |c: usize| -f64::from(self.scale(c)) * self.inverse(c) * gamma[c] / pixels;
        let offset = |c: usize| -f64::from(self.scale(c)) * beta[c] / pixels;
        let (slope, offset) = (pattern(channels, |c| slope(c) as f32), pattern(channels, |c| offset(c) as f32));
        x.par_chunks(part).zip(gradient.par_chunks_mut(part)).for_each(|(x, gradient)| {
            // SAFETY: the table was chosen for this CPU.
            unsafe { (table.norm_relu_gradient)(x, affine, &slope, &offset, gradient) };
        });
        let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
        (single(gamma), single(beta))
    }
}
