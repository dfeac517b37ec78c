//! Loops that the compiler vectorizes by itself, compiled by the file of each instruction set.
//!
//! Values are stored channel by channel within a pixel. Values of a channel (a mean, a scale) are repeated to a *pattern* of
//! some hundred values, so that the innermost loop is long for any number of channels; blocks of values are whole pixels.

use std::mem::MaybeUninit;

/// Adds `x` to `sums` and its square to `squares`, separately for each slot of the pattern.
///
/// In f64, in which the square of an f32 is exact. In f32, all pixels of a flat image would be rounded the same way, and the
/// error of the variance be many times the rounding error of one sum.
#[inline(always)]
pub(super) fn moments(x: &[f32], sums: &mut [f64], squares: &mut [f64]) {
    for x in x.chunks(sums.len()) {
        for ((x, sum), square) in x.iter().zip(&mut *sums).zip(&mut *squares) {
            let x = f64::from(*x);
            *sum += x;
            *square += x * x;
        }
    }
}

/// The parameters of batch norm, `(x - mean) * scale + shift`, each a pattern.
///
/// The mean is subtracted first: expanded, `x * scale + (shift - mean * scale)` rounds a sum that may be many times larger, by
/// the same amount at each pixel of a channel, and sums over pixels accumulate that.
#[derive(Clone, Copy)]
pub(super) struct Affine<'a> {
    /// Means.
    pub mean: &'a [f32],
    /// Scales.
    pub scale: &'a [f32],
    /// Shifts.
    pub shift: &'a [f32],
}

/// `y = max((x - mean) * scale + shift, 0)`; NaN stays NaN.
#[inline(always)]
pub(super) fn norm_relu(x: &[f32], affine: Affine, y: &mut [MaybeUninit<f32>]) {
    let Affine { mean, scale, shift } = affine;
    for (x, y) in x.chunks(scale.len()).zip(y.chunks_mut(scale.len())) {
        for (((x, y), mean), (scale, shift)) in x.iter().zip(y).zip(mean).zip(scale.iter().zip(shift)) {
            let v = (x - mean) * scale + shift;
            // `max` would turn NaN into 0, and hide that training diverged.
            y.write(if v < 0.0 { 0.0 } else { v });
        }
    }
}

/// With `d = x - mean` and `g` the gradient where `d * scale + shift > 0` and 0 elsewhere: adds `g` to `sums` and `g * d` to
/// `products`, separately for each slot of the pattern, in f64 as in [`moments`].
#[inline(always)]
pub(super) fn norm_relu_sums(x: &[f32], gradient: &[f32], affine: Affine, sums: &mut [f64], products: &mut [f64]) {
    let Affine { mean, scale, shift } = affine;
    for (x, gradient) in x.chunks(scale.len()).zip(gradient.chunks(scale.len())) {
        let pattern = scale.iter().zip(shift).zip(mean);
        let sums = sums.iter_mut().zip(&mut *products);
        for (((x, gradient), ((scale, shift), mean)), (sum, product)) in x.iter().zip(gradient).zip(pattern).zip(sums) {
            let d = x - mean;
            let g = if d * scale + shift > 0.0 { *gradient } else { 0.0 };
            *sum += f64::from(g);
            *product += f64::from(g) * f64::from(d);
        }
    }
}

/// With `d` and `g` as in [`norm_relu_sums`]: `gradient = g * scale + (d * slope + offset)`, in place.
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

/// The gradient of [`norm_relu`] with constant statistics: with `d` and `g` as in [`norm_relu_sums`], which it also computes,
/// `gradient = g * scale`, in place.
#[inline(always)]
pub(super) fn norm_relu_frozen_gradient(
    x: &[f32],
    gradient: &mut [f32],
    affine: Affine,
    sums: &mut [f64],
    products: &mut [f64],
) {
    let Affine { mean, scale, shift } = affine;
    for (x, gradient) in x.chunks(scale.len()).zip(gradient.chunks_mut(scale.len())) {
        let pattern = scale.iter().zip(shift).zip(mean);
        let sums = sums.iter_mut().zip(&mut *products);
        for (((x, gradient), ((scale, shift), mean)), (sum, product)) in x.iter().zip(gradient).zip(pattern).zip(sums) {
            let d = x - mean;
            let g = if d * scale + shift > 0.0 { *gradient } else { 0.0 };
            *sum += f64::from(g);
            *product += f64::from(g) * f64::from(d);
            *gradient = g * scale;
        }
    }
}

/// The largest value of each 2x2 window of two rows.
#[inline(always)]
pub(super) fn pool(upper: &[f32], lower: &[f32], channels: usize, y: &mut [MaybeUninit<f32>]) {
    let pairs = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
    for ((upper, lower), y) in pairs.zip(y.chunks_exact_mut(channels)) {
        let (a, b) = upper.split_at(channels);
        let (c, d) = lower.split_at(channels);
        for i in 0..channels {
            y[i].write(larger(larger(a[i], b[i]), larger(c[i], d[i])));
        }
    }
}

/// The larger number; NaN if either is NaN.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// Adds the gradient of [`pool`] to the first of the largest values of each window, row by row.
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
            to_a[i] += if in_a { g } else { 0.0 };
            to_b[i] += if in_b & !in_a { g } else { 0.0 };
            to_c[i] += if in_c & !in_a & !in_b { g } else { 0.0 };
            to_d[i] += if in_a | in_b | in_c { 0.0 } else { g };
        }
    }
}

/// Pixels of a call of [`exponentials`].
pub(super) const PIXELS: usize = 64;

/// For values `[classes][PIXELS]`: the largest of each pixel, `exp(value - largest)` in place, and its sum for each pixel.
#[inline(always)]
pub(super) fn exponentials(values: &mut [f32], largest: &mut [f32; PIXELS], sums: &mut [f32; PIXELS]) {
    largest.fill(f32::NEG_INFINITY);
    for row in values.as_chunks::<PIXELS>().0 {
        for (largest, value) in largest.iter_mut().zip(row) {
            *largest = largest.max(*value);
        }
    }
    sums.fill(0.0);
    for row in values.as_chunks_mut::<PIXELS>().0 {
        for ((value, largest), sum) in row.iter_mut().zip(&*largest).zip(&mut *sums) {
            *value = exp(*value - largest);
            *sum += *value;
        }
    }
}

/// `e^x` for x up to 0, within 2 units in the last place; `e^-87` below -87; NaN for NaN.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`; `e^r` by its Taylor polynomial, times `2^n` by the exponent's bits.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer, in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    // ln 2 in two parts; the first has so few bits that n times it is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x < -87.0 { -87.0 } else { x };
    let shifted = clamped * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = (clamped - n * LN_2_HIGH) - n * LN_2_LOW;
    let series = 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let power = (series * r) * r + r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(MAGIC.to_bits()) << 23;
    if x.is_nan() { x } else { f32::from_bits(power.to_bits().wrapping_add(exponent)) }
}

/// The factors of a step of Adam (Kingma and Ba 2015, algorithm 1), in the rearranged form of its section 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factors {
    /// Decay of the first moment.
    pub beta_1: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// Added to the root of the second moment: epsilon times `sqrt(1 - beta_2^t)`.
    pub epsilon: f32,
    /// `sqrt(1 - beta_2^t) / (1 - beta_1^t)`.
    pub correction: f32,
    /// Learning rate.
    pub rate: f32,
}

/// A step of Adam (Kingma and Ba 2015, algorithm 1); weights and moments are updated in place.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_right_to_two_units() {
        for i in 0..=870_000 {
            let x = -(i as f32) / 10_000.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (found - expected).abs() <= 2.0 * f64::from(f32::EPSILON) * expected,
                "{x}: {found:e} {expected:e}"
            );
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-1e9), exp(-87.0));
        assert!(exp(f32::NAN).is_nan());
    }
}
