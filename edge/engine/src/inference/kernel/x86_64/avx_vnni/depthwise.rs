//! Depthwise convolutions: `vpdpbusd` on bytes of which each lane holds a column of one channel, for 32 channels of a pixel.

use std::arch::x86_64::*;

use super::{LANES, to_bytes};
use crate::inference::kernel::depthwise::BlockFormat;
use crate::inference::kernel::depthwise::row::{Columns, ROWS, Row};
use crate::inference::kernel::strip::OutputRange;

/// Vectors of sums for a vector of bytes.
const VECTORS: usize = 4;

/// Blocks of 32 channels.
pub(super) const FORMAT: BlockFormat = BlockFormat {
    channels: Quads::CHANNELS,
    vectors: VECTORS,
    lanes: LANES,
    taps: 4,
    weight_bytes: 1,
    subtracts: 0,
    masks: Quads::MASKS,
    row,
};

#[target_feature(enable = "avx2,avxvnni")]
fn row(row: &mut Row<'_>) {
    // SAFETY: the caller promises that the processor has the instructions; a vector holds one pixel.
    unsafe { row.run::<Quads, Quads>() }
}

/// The channels of a pixel.
struct Quads;

impl Columns for Quads {
    const CHANNELS: usize = 32;
    const PIXELS: usize = 1;
    const SUMS: usize = VECTORS * LANES;
    const WEIGHTS: usize = VECTORS * 32;
    const MASKS: bool = false;
    type Column = [__m256i; VECTORS];
    type Weights = [__m256i; VECTORS];
    type Sums = [__m256i; VECTORS];
    type Requantize = ([__m256; VECTORS], OutputRange);

    #[inline(always)]
    unsafe fn column(rows: [*const u8; ROWS], _: usize) -> Self::Column {
        // SAFETY: the caller's promise.
        unsafe {
            let a = _mm256_loadu_si256(rows[0].cast());
            let b = _mm256_loadu_si256(rows[1].cast());
            let c = _mm256_loadu_si256(rows[2].cast());
            let zero = _mm256_setzero_si256();
            let (ab_low, ab_high) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
            let (c_low, c_high) = (_mm256_unpacklo_epi8(c, zero), _mm256_unpackhi_epi8(c, zero));
            [
                _mm256_unpacklo_epi16(ab_low, c_low),
                _mm256_unpackhi_epi16(ab_low, c_low),
                _mm256_unpacklo_epi16(ab_high, c_high),
                _mm256_unpackhi_epi16(ab_high, c_high),
            ]
        }
    }

    #[inline(always)]
    unsafe fn add(sums: Self::Sums, column: &Self::Column, weights: &Self::Weights) -> Self::Sums {
        // SAFETY: the caller's promise.
        unsafe {
            [
                _mm256_dpbusd_avx_epi32(sums[0], column[0], weights[0]),
                _mm256_dpbusd_avx_epi32(sums[1], column[1], weights[1]),
                _mm256_dpbusd_avx_epi32(sums[2], column[2], weights[2]),
                _mm256_dpbusd_avx_epi32(sums[3], column[3], weights[3]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn requantize(multipliers: *const f32, range: OutputRange) -> Self::Requantize {
        // SAFETY: the caller's promise.
        (unsafe { multipliers.cast::<[__m256; VECTORS]>().read_unaligned() }, range)
    }

    #[inline(always)]
    unsafe fn store(
        &(multipliers, range): &Self::Requantize,
        sums: Self::Sums,
        to: *mut u8,
        _: usize,
        channels: usize,
    ) {
        // SAFETY: the caller's promise; only the channels are written.
        unsafe {
            let bytes = to_bytes(range, sums, multipliers);
            if channels == Self::CHANNELS {
                _mm256_storeu_si256(to.cast(), bytes);
            } else {
                let mut all = [0; Self::CHANNELS];
                _mm256_storeu_si256(all.as_mut_ptr().cast(), bytes);
                to.copy_from_nonoverlapping(all.as_ptr(), channels);
            }
        }
    }
}
