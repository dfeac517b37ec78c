//! The value range of a tensor: a histogram that grows with it, and the quantization chosen from it.

use unet_shared::quantization::Quantization;

/// Number of bins on each side of zero; even, so that the range can be doubled by merging pairs of bins.
const BINS: usize = 2048;

/// Clipping points to try, in percent of the observed range.
const CLIP_CANDIDATES: std::ops::RangeInclusive<u32> = 20..=100;

/// Histogram of the values of a tensor, in bins of equal width on both sides of zero.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// Width of a bin; 0 until the first value other than zero.
    width: f32,
    negative: Vec<u64>,
    positive: Vec<u64>,
    minimum: f32,
    maximum: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { width: 0.0, negative: vec![0; BINS], positive: vec![0; BINS], minimum: 0.0, maximum: 0.0 }
    }
}

impl Histogram {
    /// Counts the values. Values that are not finite are ignored; zero is always in the range.
    pub fn add(&mut self, values: &[f32]) {
        let largest = values.iter().filter(|v| v.is_finite()).fold(0f32, |max, v| max.max(v.abs()));
        if largest > 0.0 && self.width == 0.0 {
            // Not 0 even for subnormal numbers, or doubling would never reach them.
            self.width = (largest / BINS as f32).max(f32::MIN_POSITIVE);
        }
        while largest > self.width * BINS as f32 {
            self.width *= 2.0;
            for side in [&mut self.negative, &mut self.positive] {
                for k in 0..BINS / 2 {
                    side[k] = side[2 * k] + side[2 * k + 1];
                }
                side[BINS / 2..].fill(0);
            }
        }
        if self.width == 0.0 {
            self.positive[0] += values.len() as u64;
            return;
        }
        for &value in values.iter().filter(|v| v.is_finite()) {
            let bin = ((value.abs() / self.width) as usize).min(BINS - 1);
            if value < 0.0 {
                self.negative[bin] += 1;
            } else {
                self.positive[bin] += 1;
            }
            self.minimum = self.minimum.min(value);
            self.maximum = self.maximum.max(value);
        }
    }

    /// The u8 quantization of the whole observed range, without clipping.
    pub fn full_range(&self) -> Quantization {
        quantization(self.minimum, self.maximum)
    }

    /// The u8 quantization with the smallest squared error over the histogram, among clipped ranges.
    pub fn min_error(&self) -> Quantization {
        CLIP_CANDIDATES
            .map(|percent| {
                let share = percent as f32 / 100.0;
                let candidate = quantization(self.minimum * share, self.maximum * share);
                (self.squared_error(&candidate), candidate)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map_or_else(|| self.full_range(), |(_, best)| best)
    }

    /// Sum of the squared quantization errors of all values. Within the range the error of a value is uniform over a step, so
    /// its square is on average a twelfth of the step's square; beyond the range it is the distance to its end.
    fn squared_error(&self, quantization: &Quantization) -> f64 {
        let low = -(quantization.zero_point as f64) * f64::from(quantization.scale);
        let high = (255 - quantization.zero_point) as f64 * f64::from(quantization.scale);
        let rounding = f64::from(quantization.scale).powi(2) / 12.0;
        let error = |value: f64, count: u64| {
            let beyond = (value - high).max(low - value).max(0.0);
            count as f64 * if beyond > 0.0 { beyond * beyond } else { rounding }
        };
        let centre = |k: usize| (k as f64 + 0.5) * f64::from(self.width);
        // Zero is exact, and after a ReLU about half of the values are zero, so bin 0 has no error.
        let positive: f64 = self.positive.iter().enumerate().skip(1).map(|(k, &n)| error(centre(k), n)).sum();
        let negative: f64 = self.negative.iter().enumerate().map(|(k, &n)| error(-centre(k), n)).sum();
        positive + negative
    }
}

/// The u8 quantization that maps `minimum <= 0` and `maximum >= 0` to the ends of 0..=255, with zero exactly representable.
fn quantization(minimum: f32, maximum: f32) -> Quantization {
    let (minimum, maximum) = (minimum.min(0.0), maximum.max(0.0));
    let scale = (maximum - minimum) / 255.0;
    if !scale.is_normal() {
        return Quantization { scale: 1.0 / 255.0, zero_point: 0 };
    }
    Quantization { scale, zero_point: (-minimum / scale).round_ties_even() as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_range_maps_its_ends_to_the_ends() {
        let mut histogram = Histogram::default();
        histogram.add(&[-1.0, 0.5, 1.55]);
        let q = histogram.full_range();
        assert!((q.scale - 0.01).abs() < 1e-7);
        assert_eq!(q.zero_point, 100);
    }

    #[test]
    fn a_tensor_of_zeros_has_a_quantization() {
        let mut histogram = Histogram::default();
        histogram.add(&[0.0; 10]);
        assert_eq!(histogram.min_error(), Quantization { scale: 1.0 / 255.0, zero_point: 0 });
    }

    #[test]
    fn clipping_balances_an_outlier_against_the_rounding_of_the_rest() {
        let mut spread: Vec<f32> = (0..100_000).map(|k| k as f32 / 100_000.0).collect();
        let mut even = Histogram::default();
        even.add(&spread);
        assert!(even.min_error().scale > 0.98 / 255.0, "{:?}", even.min_error());
        spread.push(3.0);
        let mut outlier = Histogram::default();
        outlier.add(&spread);
        // Clipping at c costs (3 - c)^2 for the outlier and N (c / 255)^2 / 12 for the rest, least at
        // c = 3 / (1 + N / (12 * 255^2)) = 2.659 for N = 100,000; candidates are a hundredth of 3 apart.
        assert!((outlier.min_error().scale * 255.0 - 2.659).abs() < 0.03, "{:?}", outlier.min_error());
        assert_eq!(outlier.full_range().scale, 3.0 / 255.0);
    }

    #[test]
    fn growing_loses_no_value_and_ends_for_subnormal_numbers() {
        let mut histogram = Histogram::default();
        histogram.add(&[f32::MIN_POSITIVE / 4.0, 0.0]);
        histogram.add(&[0.001, 0.002]);
        histogram.add(&[-7.0, 5.0]);
        assert_eq!(histogram.positive.iter().chain(&histogram.negative).sum::<u64>(), 6);
        assert_eq!((histogram.minimum, histogram.maximum), (-7.0, 5.0));
    }
}
