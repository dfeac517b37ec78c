//! Brightness, contrast and gamma: one curve from gray value to gray value, the same for all channels.

use super::elementary::{STEPS, power};
use crate::rng::Rng;

/// Bits below a gray value, so that only the finished curve is rounded.
const FRACTION: u32 = 8;
const WHITE: i32 = 255 << FRACTION;

/// The largest change of brightness, in gray values.
const BRIGHTNESS_MAX: i32 = 32;
/// Contrast as a power of two in 64ths: 0.75 to 1.33.
const CONTRAST_STEPS: i32 = 27;
/// Gamma as a power of two in 64ths: 0.7 to 1.4.
const GAMMA_STEPS: i32 = 31;

/// The curve of an image.
#[derive(Debug)]
pub(super) struct Tone<'a> {
    /// All channels of the image.
    pixels: &'a [u8],
    /// A gray value for each, not yet limited to black and white.
    curve: [i32; 256],
}

impl<'a> Tone<'a> {
    /// The curve that changes nothing.
    pub fn new(pixels: &'a [u8]) -> Self {
        Self { pixels, curve: std::array::from_fn(|value| (value as i32) << FRACTION) }
    }

    /// The finished curve; none if it changes nothing.
    pub fn table(&self) -> Option<[u8; 256]> {
        let table = self.curve.map(|value| ((value + (1 << (FRACTION - 1))).clamp(0, WHITE) >> FRACTION) as u8);
        (0..=u8::MAX).zip(table).any(|(value, changed)| value != changed).then_some(table)
    }

    /// The mean of the image after the curve so far.
    fn mean(&self) -> i32 {
        let mut counts = [0i64; 256];
        self.pixels.iter().for_each(|&value| counts[usize::from(value)] += 1);
        let sum: i64 = counts.iter().zip(self.curve).map(|(count, value)| count * i64::from(value)).sum();
        (sum / self.pixels.len().max(1) as i64) as i32
    }

    fn each(&mut self, change: impl Fn(i32) -> i32) {
        self.curve.iter_mut().for_each(|value| *value = change(*value));
    }
}

/// Adds up to 32 gray values to half of the images, or subtracts them.
pub(super) fn brightness(rng: &mut Rng, tone: &mut Tone<'_>) {
    let (is_changed, added) = (rng.flip(), rng.between(-BRIGHTNESS_MAX, BRIGHTNESS_MAX));
    if is_changed {
        tone.each(|value| value + (added << FRACTION));
    }
}

/// Stretches the gray values of half of the images around their mean by 0.75 to 1.33.
pub(super) fn contrast(rng: &mut Rng, tone: &mut Tone<'_>) {
    let (is_changed, steps) = (rng.flip(), rng.between(-CONTRAST_STEPS, CONTRAST_STEPS));
    if is_changed {
        let (mean, factor) = (tone.mean(), (power(2.0, steps) * 1024.0).round() as i32);
        tone.each(|value| mean + (((value - mean) * factor) >> 10));
    }
}

/// Raises the gray values of half of the images, as shares of white, to a power of 0.7 to 1.4.
pub(super) fn gamma(rng: &mut Rng, tone: &mut Tone<'_>) {
    let (is_changed, steps) = (rng.flip(), rng.between(-GAMMA_STEPS, GAMMA_STEPS));
    if is_changed {
        let exponent = (power(2.0, steps) * f64::from(STEPS)).round() as i32;
        tone.each(|value| {
            let share = f64::from(value.clamp(0, WHITE)) / f64::from(WHITE);
            (power(share, exponent) * f64::from(WHITE)).round() as i32
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a change that is drawn with `wanted` makes of an image.
    fn drawn(change: fn(&mut Rng, &mut Tone<'_>), pixels: &[u8], wanted: (i32, i32)) -> Option<[u8; 256]> {
        let (largest, wanted) = wanted;
        let seed = (0..100_000).find(|&seed| {
            let mut rng = Rng::new(seed);
            rng.flip() && rng.between(-largest, largest) == wanted
        });
        let mut tone = Tone::new(pixels);
        change(&mut Rng::new(seed.unwrap()), &mut tone);
        tone.table()
    }

    #[test]
    fn brightness_is_added() {
        let table = drawn(brightness, &[], (BRIGHTNESS_MAX, 20)).unwrap();
        assert_eq!([table[0], table[100], table[240]], [20, 120, 255]);
        let table = drawn(brightness, &[], (BRIGHTNESS_MAX, -20)).unwrap();
        assert_eq!([table[0], table[100], table[240]], [0, 80, 220]);
        assert_eq!(drawn(brightness, &[], (BRIGHTNESS_MAX, 0)), None);
    }

    #[test]
    fn contrast_keeps_the_mean() {
        // 2^(-26.56/64) would be 3/4.
        let pixels = [50, 150];
        let table = drawn(contrast, &pixels, (CONTRAST_STEPS, -27)).unwrap();
        // 100 +- 50 * 0.7465
        assert_eq!([table[50], table[100], table[150]], [63, 100, 137]);
        let table = drawn(contrast, &pixels, (CONTRAST_STEPS, 27)).unwrap();
        // 100 +- 50 * 1.3397
        assert_eq!([table[0], table[50], table[150], table[255]], [0, 33, 167, 255]);
        assert_eq!(drawn(contrast, &pixels, (CONTRAST_STEPS, 0)), None);
    }

    #[test]
    fn gamma_keeps_black_and_white() {
        let table = drawn(gamma, &[], (GAMMA_STEPS, 31)).unwrap();
        // 2^(31/64) is 1.399, in 64ths 90/64: 255 * (64/255)^1.40625 is 36.5.
        assert_eq!([table[0], table[64], table[255]], [0, 37, 255]);
        let table = drawn(gamma, &[], (GAMMA_STEPS, -31)).unwrap();
        // 46/64: 255 * (64/255)^0.71875 is 94.4.
        assert_eq!([table[0], table[64], table[255]], [0, 94, 255]);
        assert_eq!(drawn(gamma, &[], (GAMMA_STEPS, 0)), None);
    }

    #[test]
    fn changes_are_rounded_once() {
        let mut tone = Tone::new(&[0, 255]);
        // Half the contrast and back again.
        let mean = tone.mean();
        assert_eq!(mean, WHITE / 2);
        tone.each(|value| (value + mean) >> 1);
        tone.each(|value| 2 * value - mean);
        assert_eq!(tone.table(), None);
    }
}
