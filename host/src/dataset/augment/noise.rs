//! Random noise.

use std::sync::Arc;

use crate::dataset::loader::Item;
use crate::rng::Rng;

/// Smallest and largest standard deviation, in gray values.
const DEVIATION: [i32; 2] = [2, 10];
/// 2^16 divided by the standard deviation of the sum of four uniform bytes, the square root of (2^16 - 1) / 3.
const UNIT: i32 = 443;
/// Twice the mean of that sum.
const MEAN_TWICE: i32 = 4 * 255;

/// Adds noise of a standard deviation of 2 to 10 gray values, independent in each pixel and channel, to a quarter of the images.
pub(super) fn apply(rng: &mut Rng, _width: usize, item: &mut Arc<Item>) {
    let (is_noisy, deviation) = (rng.below(4) == 0, rng.between(DEVIATION[0], DEVIATION[1]));
    if is_noisy {
        add(rng, deviation * UNIT, &mut Arc::make_mut(item).planes);
    }
}

/// Adds to each value the sum of four random bytes, which is close to the normal distribution, less its mean and scaled.
fn add(rng: &mut Rng, scale: i32, values: &mut [u8]) {
    let noisy = |value: u8, bytes: u32| {
        let sum: i32 = bytes.to_le_bytes().map(i32::from).iter().sum();
        let noise = ((2 * sum - MEAN_TWICE) * scale + (1 << 16)) >> 17;
        (i32::from(value) + noise).clamp(0, 255) as u8
    };
    for pair in values.chunks_mut(2) {
        let bits = rng.next_u64();
        for (value, bytes) in pair.iter_mut().zip([bits as u32, (bits >> 32) as u32]) {
            *value = noisy(*value, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_mean_0_and_its_deviation() {
        for deviation in [2, 5, 10] {
            let mut values = vec![128u8; 100_001];
            add(&mut Rng::new(3), deviation * UNIT, &mut values);
            let differences = || values.iter().map(|&value| f64::from(value) - 128.0);
            let mean = differences().sum::<f64>() / values.len() as f64;
            let variance = differences().map(|d| d * d).sum::<f64>() / values.len() as f64;
            // Rounding to whole gray values adds 1/12.
            let expected = f64::from(deviation * deviation) + 1.0 / 12.0;
            assert!(mean.abs() < 0.01 * f64::from(deviation), "{deviation}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.03, "{deviation}: {variance}");
        }
    }

    #[test]
    fn black_and_white_are_limits() {
        let mut values = [0, 255, 0, 255, 0, 255, 0, 255];
        add(&mut Rng::new(1), 10 * UNIT, &mut values);
        assert!(values.chunks_exact(2).all(|pair| pair[0] < 64 && pair[1] > 191), "{values:?}");
    }
}
