//! AVX-VNNI: `vpdpbusd` on 8 output channels, for cores without AVX-512.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Strip::check has checked")]

mod depthwise;

use std::arch::x86_64::*;

use super::depthwise_words::depthwise_words;
use super::eight_lanes::eight_lanes;
use super::pack::pack;
use super::quads::quads;
use super::rounds::rounds;
use crate::inference::kernel::combine::combine;
use crate::inference::kernel::depthwise::BlockFormat;
use crate::inference::kernel::depthwise::row::{Columns, ROWS, Row};
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
    widen: None,
    pack: pack::<LANES>,
    strip,
    combine: Some(combine),
    winograd: None,
    depthwise: &[depthwise::FORMAT, WORDS],
    loops: LOOPS,
};

fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni")
}

loops!("avx2,avxvnni");

rounds!(32, "{{vex}} vpdpbusd ymm\\sum, ymm14, ymm15");

eight_lanes!("avx2,avxvnni", dot, [(8, 1), (4, 1), (2, 1), (1, 1), (6, 2), (4, 2), (2, 2), (1, 2)]);

depthwise_words!("avx2,avxvnni", dot_words);

#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn dot(sums: __m256i, bytes: __m256i, weights: __m256i) -> __m256i {
    _mm256_dpbusd_avx_epi32(sums, bytes, weights)
}

/// Two products of 16-bit numbers in each lane.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn dot_words(sums: __m256i, pairs: __m256i, weights: __m256i) -> __m256i {
    _mm256_dpwssd_avx_epi32(sums, pairs, weights)
}
