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

/// `y = max(x * scale + shift, 0)`.
#[inline(always)]
pub(super) fn norm_relu(x: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks(scale.len()).zip(y.chunks_mut(scale.len())) {
        for (((x, y), scale), shift) in x.iter().zip(y).zip(scale).zip(shift) {
            *y = (x * scale + shift).max(0.0);
        }
    }
}

/// With `g` the gradient where `x * scale + shift > 0` and 0 elsewhere: adds `g` to `sums` and `g * (x - mean)` to
/// `products`, each slot of the pattern by itself.
#[inline(always)]
pub(super) fn norm_relu_sums(
    x: &[f32],
    gradient: &[f32],
    scale: &[f32],
    shift: &[f32],
    mean: &[f32],
    sums: &mut [f32],
    products: &mut [f32],
) {
    for (x, gradient) in x.chunks(scale.len()).zip(gradient.chunks(scale.len())) {
        let pattern = scale.iter().zip(shift).zip(mean);
        let sums = sums.iter_mut().zip(&mut *products);
        for (((x, gradient), ((scale, shift), mean)), (sum, product)) in x.iter().zip(gradient).zip(pattern).zip(sums) {
            let g = if x * scale + shift > 0.0 { *gradient } else { 0.0 };
            *sum += g;
            *product += g * (x - mean);
        }
    }
}

/// With `g` as in [`norm_relu_sums`]: `gradient = g * scale + x * slope + offset`, in its own place.
#[inline(always)]
pub(super) fn norm_relu_gradient(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    slope: &[f32],
    offset: &[f32],
    gradient: &mut [f32],
) {
    for (x, gradient) in x.chunks(scale.len()).zip(gradient.chunks_mut(scale.len())) {
        let pattern = scale.iter().zip(shift).zip(slope).zip(offset);
        for ((x, gradient), (((scale, shift), slope), offset)) in x.iter().zip(gradient).zip(pattern) {
            let g = if x * scale + shift > 0.0 { *gradient } else { 0.0 };
            *gradient = g * scale + (x * slope + offset);
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
