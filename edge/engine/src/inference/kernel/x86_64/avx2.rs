//! AVX2: `vpmaddwd` on bytes and weights widened to 16 bits, whose sums cannot saturate.
//!
//! `vpmaddubsw` would take the bytes directly, but saturates if two neighbouring weights of one sign sum to more than 128. In
//! trained networks nearly every vector of weights has such a pair, and splitting them costs more than widening. Since factors have 16
//! bits anyway, most 3x3 convolutions use Winograd's algorithm, in `tiles`.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Strip::check has checked")]

mod tiles;

use std::arch::x86_64::*;

use super::depthwise_words::depthwise_words;
use super::eight_lanes::eight_lanes;
use super::quads::quads;
use super::rounds::rounds;
use crate::inference::kernel::combine::combine;
use crate::inference::kernel::depthwise::BlockFormat;
use crate::inference::kernel::depthwise::row::{Columns, ROWS, Row};
use crate::inference::kernel::groups::{Bytes, Groups};
use crate::inference::kernel::instruction_set::InstructionSet;
use crate::inference::kernel::loops::loops;
use crate::inference::kernel::strip::{OutputRange, Strip, StripOutput};

pub(crate) static SET: InstructionSet = InstructionSet {
    is_available,
    multiply,
    lanes: LANES,
    blocks: 2,
    tiles: &[&[8, 4, 2, 1], &[6, 4, 2, 1]],
    subtracts: 0,
    widen: Some(widen),
    pack,
    strip,
    combine: Some(combine),
    winograd: Some(tiles::KERNEL),
    depthwise: &[WORDS],
    loops: LOOPS,
};

fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
}

loops!("avx2");

rounds!(16, "vpmaddwd ymm12, ymm14, ymm15\nvpaddd ymm\\sum, ymm\\sum, ymm12");

eight_lanes!("avx2", dot, [(8, 1), (4, 1), (2, 1), (1, 1), (6, 2), (4, 2), (2, 2), (1, 2)]);

depthwise_words!("avx2", dot);

/// Two products of 16-bit numbers in each lane; 255 * 32768 twice, or 4,080 * 18,360 in `tiles`, is far from the end of 32 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn dot(sums: __m256i, pairs: __m256i, weights: __m256i) -> __m256i {
    _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, weights))
}

/// An `InstructionSet::widen`.
#[target_feature(enable = "avx2")]
fn widen(bytes: &[u8], to: &mut [i32]) {
    const STEP: usize = 16;
    assert!(to.len() * 2 >= bytes.len());
    let whole = bytes.len() / STEP * STEP;
    for start in (0..whole).step_by(STEP) {
        // SAFETY: `bytes` has `start + STEP` bytes, and `to` half as many i32.
        unsafe {
            let from = _mm_loadu_si128(bytes.as_ptr().add(start).cast());
            _mm256_storeu_si256(to.as_mut_ptr().add(start / 2).cast(), _mm256_cvtepu8_epi16(from));
        }
    }
    for (to, bytes) in to[whole / 2..].iter_mut().zip(bytes[whole..].chunks(2)) {
        *to = i32::from(bytes[0]) | i32::from(bytes.get(1).copied().unwrap_or(0)) << 16;
    }
}

/// Groups of two bytes, which are four when widened: for each channel two weights of 16 bits.
fn pack(channels: usize, bytes: &Bytes, _: usize) -> Groups {
    let lanes = channels.next_multiple_of(LANES);
    let mut offsets = Vec::new();
    let mut weights = Vec::new();
    let mut end = 0;
    while let Some((&start, _)) = bytes.range(end..).next() {
        end = start + 2;
        let mut rest = vec![[0; 2]; lanes];
        for (index, sums) in [bytes.get(&start), bytes.get(&(start + 1))].into_iter().enumerate() {
            for (rest, &sum) in rest.iter_mut().zip(sums.into_iter().flatten()) {
                rest[index] = sum;
            }
        }
        // The sum of very many taps at one byte could exceed 16 bits, and is then split.
        while rest.iter().any(|rest| *rest != [0; 2]) {
            offsets.push(2 * start as u32); // a Grid has at most 2^30 bytes
            for rest in rest.as_flattened_mut() {
                let taken = (*rest).clamp(i16::MIN.into(), i16::MAX.into());
                *rest -= taken;
                weights.extend((taken as i16).to_le_bytes().map(|byte| byte as i8));
            }
        }
    }
    Groups::new([offsets.len(), 0, 0, 0], false, offsets, &weights, 2 * end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_pairs_of_sixteen_bits_and_are_split_beyond_them() {
        let bytes = Bytes::from([(8, vec![1, -2]), (9, vec![40_000, 3]), (12, vec![5, -300])]);
        let groups = pack(2, &bytes, 1);
        assert_eq!(groups.offsets(), [16, 16, 24]);
        let weights = groups.weights().iter().flat_map(|line| line.0.as_chunks::<2>().0);
        let weights: Vec<i16> = weights.map(|pair| i16::from_le_bytes(pair.map(|byte| byte as u8))).collect();
        let expected = |pairs: [i16; 4]| {
            let mut lanes = [0; 2 * LANES];
            lanes[..4].copy_from_slice(&pairs);
            lanes
        };
        assert_eq!(weights[..16], expected([1, 32767, -2, 3]));
        assert_eq!(weights[16..32], expected([0, 7233, 0, 0]));
        assert_eq!(weights[32..48], expected([5, 0, -300, 0]));
    }

    #[test]
    fn bytes_are_widened_to_the_last_one() {
        if !is_available() {
            return;
        }
        for length in 0..70 {
            let bytes: Vec<u8> = (0..length).map(|index| 255 - index).collect();
            let mut to = vec![-1; bytes.len().div_ceil(2) + 1];
            // SAFETY: the instructions are available.
            unsafe { widen(&bytes, &mut to) };
            let pairs: Vec<i32> =
                bytes.chunks(2).map(|pair| i32::from(pair[0]) | i32::from(*pair.get(1).unwrap_or(&0)) << 16).collect();
            assert_eq!(to[..pairs.len()], pairs, "{length} bytes");
            assert_eq!(to[pairs.len()..], [-1], "{length} bytes");
        }
    }
}
