//! The sum of two tensors.

use rayon::prelude::*;

/// Values that a thread adds at once: 256 KiB of each tensor.
const BLOCK: usize = 1 << 16;

/// Adds `values` to `sum`, number by number. Bound by memory, so that each instruction set takes the same time.
///
/// # Panics
/// If the lengths differ.
pub fn add_to(sum: &mut [f32], values: &[f32]) {
    assert_eq!(sum.len(), values.len(), "expected tensors of one shape");
    sum.par_chunks_mut(BLOCK).zip(values.par_chunks(BLOCK)).for_each(|(sum, values)| {
        for (sum, value) in sum.iter_mut().zip(values) {
            *sum += value;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_added_to_its_own() {
        let mut sum: Vec<f32> = (0..BLOCK + 3).map(|i| i as f32).collect();
        let values: Vec<f32> = (0..BLOCK + 3).map(|i| 2.0 * i as f32 + 0.5).collect();
        add_to(&mut sum, &values);
        assert!(sum.iter().enumerate().all(|(i, sum)| *sum == 3.0 * i as f32 + 0.5));
    }
}
