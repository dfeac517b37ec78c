//! AVX-VNNI: `vpdpbusd` on 8 output channels, for cores without AVX-512.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Strip::check has proved")]

use std::arch::x86_64::*;

use super::eight_lanes::eight_lanes;
use super::groups::Groups;
use super::packed::{Answer, Instructions, OutputRange, Strip, quads};
use super::upsampled::combine;

/// How a convolution is packed and run for this instruction set.
pub(super) static INSTRUCTIONS: Instructions = Instructions {
    lanes: LANES,
    blocks: 2,
    tiles: &[&[8, 4, 2, 1], &[6, 4, 2, 1]],
    subtracts: 0,
    widen: None,
    pack: Groups::pack,
    strip,
    combine: Some(combine),
};

/// Whether this core has what [`strip`] needs.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni")
}

eight_lanes!("avx2,avxvnni", dot, [(8, 1), (4, 1), (2, 1), (1, 1), (6, 2), (4, 2), (2, 2), (1, 2)]);

#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn dot(sums: __m256i, bytes: __m256i, weights: __m256i) -> __m256i {
    _mm256_dpbusd_avx_epi32(sums, bytes, weights)
}
