//! AVX2: `vpmaddubsw`, whose 16-bit sums of two products saturate, on weights that are split until they cannot.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Strip::check has proved")]

use std::arch::x86_64::*;

use super::eight_lanes::eight_lanes;
use super::packed::{Answer, Instructions, OutputRange, Strip, quads};
use super::upsampled::combine;

/// How a convolution is packed and run for this instruction set.
pub(super) static INSTRUCTIONS: Instructions = Instructions {
    lanes: LANES,
    blocks: 2,
    wide: false,
    tiles: &[&[8, 4, 2, 1], &[4, 2, 1]],
    take,
    strip,
    combine: Some(combine),
};

/// Whether this core has what [`strip`] needs.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
}

eight_lanes!("avx2", dot, [(8, 1), (4, 1), (2, 1), (1, 1), (4, 2), (2, 2), (1, 2)]);

/// Exact for weights of [`take`] only.
#[inline]
#[target_feature(enable = "avx2")]
fn dot(sums: __m256i, bytes: __m256i, weights: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(bytes, weights);
    _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

/// Of each pair of weights as much as 255 times them stays within 16 bits: 255 * 128 = 32640.
fn take([a, b, c, d]: [i32; 4]) -> [i8; 4] {
    const MOST: i32 = 128;
    let pair = |first: i32, second: i32| {
        let first = first.clamp(-MOST, 127);
        let left = |same_sign: bool| if same_sign { MOST - first.abs() } else { MOST };
        let second = second.clamp(-left(first < 0), left(first > 0).min(127));
        [first as i8, second as i8]
    };
    let ([a, b], [c, d]) = (pair(a, b), pair(c, d));
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pair_can_saturate_and_parts_sum_to_the_weight() {
        for first in -520..=520 {
            for second in -520..=520 {
                let mut rest = [first, second, second, first];
                let mut parts = 0;
                while rest != [0; 4] {
                    let taken = take(rest).map(i32::from);
                    for pair in [&taken[..2], &taken[2..]] {
                        let sum = |sign: i32| 255 * pair.iter().map(|&weight| (sign * weight).max(0)).sum::<i32>();
                        assert!(sum(1) <= 32767 && sum(-1) <= 32768, "{taken:?}");
                    }
                    rest = std::array::from_fn(|index| rest[index] - taken[index]);
                    parts += 1;
                    assert!(parts <= 9);
                }
            }
        }
        assert_eq!(take([100, 28, -100, 127]), [100, 28, -100, 127]);
        assert_eq!(take([100, 29, -128, -1]), [100, 28, -128, 0]);
    }
}
