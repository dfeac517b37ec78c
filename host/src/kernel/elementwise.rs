//! Loops over values that the compiler turns into vectors by itself, compiled by each file of an instruction set.
//!
//! Values lie channel by channel within a pixel. What belongs to a channel (a mean, a scale) is repeated to a *pattern* of
//! some hundred values, so that the innermost loop is long whatever the number of channels; blocks of values begin with a
//! pixel and end with one.

use super::adam::Factors;

/// Adds `x - shift` to `sums` and its square to `squares`, each slot of the pattern by itself.
#[inline(always)]
pub(super) fn moments(x: &[f32], shift: &[f32], sums: &mut [f32], squares: &mut [f32]) {
    for x in x.chunks(shift.len()) {
        for (((x, shift), sum), square) in x.iter().zip(shift).zip(&mut *sums).zip(&mut *squares) {
            let d = x - shift;
            *sum += d;
            *square += d * d;
        }
    }
}

/// What batch norm with ReLU reads, each a pattern: what belongs to `(x - mean) * scale + shift`.
///
/// The mean is subtracted first: multiplied out, `x * scale + (shift - mean * scale)` rounds a sum that may be many times
/// larger, by the same amount at each pixel of a channel, and what sums over pixels adds that up.
#[derive(Clone, Copy)]
pub(super) struct Affine<'a> {
    /// Means.
    pub mean: &'a [f32],
    /// Scales.
    pub scale: &'a [f32],
    /// Shifts.
    pub shift: &'a [f32],
}

/// `y = max((x - mean) * scale + shift, 0)`.
#[inline(always)]
pub(super) fn norm_relu(x: &[f32], affine: Affine, y: &mut [f32]) {
    let Affine { mean, scale, shift } = affine;
    for (x, y) in x.chunks(scale.len()).zip(y.chunks_mut(scale.len())) {
        for (((x, y), mean), (scale, shift)) in x.iter().zip(y).zip(mean).zip(scale.iter().zip(shift)) {
            *y = ((x - mean) * scale + shift).max(0.0);
        }
    }
}

/// With `d = x - mean` and `g` the gradient where `d * scale + shift > 0` and 0 elsewhere: adds `g` to `sums` and `g * d` to
/// `products`, each slot of the pattern by itself.
#[inline(always)]
pub(super) fn norm_relu_sums(x: &[f32], gradient: &[f32], affine: Affine, sums: &mut [f32], products: &mut [f32]) {
    let Affine { mean, scale, shift } = affine;
    for (x, gradient) in x.chunks(scale.len()).zip(gradient.chunks(scale.len())) {
        let pattern = scale.iter().zip(shift).zip(mean);
        let sums = sums.iter_mut().zip(&mut *products);
        for (((x, gradient), ((scale, shift), mean)), (sum, product)) in x.iter().zip(gradient).zip(pattern).zip(sums) {
            let d = x - mean;
            let g = if d * scale + shift > 0.0 { *gradient } else { 0.0 };
            *sum += g;
            *product += g * d;
        }
    }
}

/// With `d` and `g` as in [`norm_relu_sums`]: `gradient = g * scale + (d * slope + offset)`, in its own place.
#[inline(always)]
pub(super) fn norm_relu_gradient(x: &[f32], affine: Affine, slope: &[f32], offset: &[f32], gradient: &mut [f32]) {
    let Affine { mean, scale, shift } = affine;
    for (x, gradient) in x.chunks(scale.len()).zip(gradient.chunks_mut(scale.len())) {
        let pattern = scale.iter().zip(shift).zip(mean).zip(slope).zip(offset);
        for ((x, gradient), ((((scale, shift), mean), slope), offset)) in x.iter().zip(gradient).zip(pattern) {
            let d = x - mean;
            let g = if d * scale + shift > 0.0 { *gradient } else { 0.0 };
            *gradient = g * scale + (d * slope + offset);
        }
    }
}

/// The largest value of each 2x2 window of two rows.
#[inline(always)]
pub(super) fn pool(upper: &[f32], lower: &[f32], channels: usize, y: &mut [f32]) {
    let pairs = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
    for ((upper, lower), y) in pairs.zip(y.chunks_exact_mut(channels)) {
        let (a, b) = upper.split_at(channels);
        let (c, d) = lower.split_at(channels);
        for i in 0..channels {
            y[i] = a[i].max(b[i]).max(c[i].max(d[i]));
        }
    }
}

/// The gradient of [`pool`]: to the first of the largest values of a window, row by row; 0 to the others.
#[inline(always)]
pub(super) fn pool_gradient(
    upper: &[f32],
    lower: &[f32],
    gradient: &[f32],
    channels: usize,
    to_upper: &mut [f32],
    to_lower: &mut [f32],
) {
    let width = 2 * channels;
    let windows = upper.chunks_exact(width).zip(lower.chunks_exact(width)).zip(gradient.chunks_exact(channels));
    let outputs = to_upper.chunks_exact_mut(width).zip(to_lower.chunks_exact_mut(width));
    for (((upper, lower), gradient), (to_upper, to_lower)) in windows.zip(outputs) {
        let (a, b) = upper.split_at(channels);
        let (c, d) = lower.split_at(channels);
        let (to_a, to_b) = to_upper.split_at_mut(channels);
        let (to_c, to_d) = to_lower.split_at_mut(channels);
        for i in 0..channels {
            let largest = a[i].max(b[i]).max(c[i].max(d[i]));
            let (in_a, in_b, in_c) = (a[i] == largest, b[i] == largest, c[i] == largest);
            let g = gradient[i];
            to_a[i] = if in_a { g } else { 0.0 };
            to_b[i] = if in_b & !in_a { g } else { 0.0 };
            to_c[i] = if in_c & !in_a & !in_b { g } else { 0.0 };
            to_d[i] = if in_a | in_b | in_c { 0.0 } else { g };
        }
    }
}

/// A step of Adam (Kingma and Ba 2015, algorithm 1); the moments are updated in place, as are the weights.
#[inline(always)]
pub(super) fn adam(
    factors: &Factors,
    weights: &mut [f32],
    gradient: &[f32],
    moment_1: &mut [f32],
    moment_2: &mut [f32],
) {
    let Factors { beta_1, beta_2, epsilon, correction, rate } = *factors;
    for (((w, &g), m), v) in weights.iter_mut().zip(gradient).zip(moment_1).zip(moment_2) {
        *m = *m * beta_1 + g * (1.0 - beta_1);
        *v = *v * beta_2 + (g * g) * (1.0 - beta_2);
        *w -= *m * correction / (v.sqrt() + epsilon) * rate;
    }
}
