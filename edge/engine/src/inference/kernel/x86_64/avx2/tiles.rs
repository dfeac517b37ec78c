//! Winograd's tiles by `vpmaddwd`, on two input channels at a time.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that are checked before")]

use std::arch::x86_64::*;

use super::{LANES, Requantize, dot};
use crate::inference::kernel::winograd::transforms::{
    InputRows, OutputTiles, POINTS, Products, THIRD, TileKernel, of_column, of_column_products, of_row,
    of_row_products, transforms,
};

pub(super) const KERNEL: TileKernel = TileKernel {
    blocks: 2,
    channels_min: 24,
    together: PAIR,
    depth_multiple: PAIR,
    input: transform_input,
    products,
    output: transform_products,
};

/// Input channels that one instruction multiplies in each lane.
const PAIR: usize = 2;

transforms!(
    "avx2",
    16 halves by (_mm256_setzero_si256(), load_bytes, store_halves, _mm256_add_epi16, _mm256_sub_epi16, double_halves),
    LANES sums by (_mm256_setzero_si256(), _mm256_loadu_si256, _mm256_add_epi32, _mm256_sub_epi32, double, sixteenth, third),
    Requantize
);

#[target_feature(enable = "avx2")]
fn products(products: &mut Products<'_>) {
    products.check(LANES, PAIR);
    for point in 0..POINTS {
        let mut tile = 0;
        while tile < products.tiles {
            tile += match (products.tiles - tile, products.blocks) {
                (6.., 2) => tiles::<6, 2>(products, point, tile),
                (4.., 2) => tiles::<4, 2>(products, point, tile),
                (2.., 2) => tiles::<2, 2>(products, point, tile),
                (_, 2) => tiles::<1, 2>(products, point, tile),
                (6.., _) => tiles::<6, 1>(products, point, tile),
                (2.., _) => tiles::<2, 1>(products, point, tile),
                _ => tiles::<1, 1>(products, point, tile),
            };
        }
    }
}

/// The products of P tiles from `tile` on, by B vectors of output channels. Returns P.
#[target_feature(enable = "avx2")]
fn tiles<const P: usize, const B: usize>(products: &mut Products<'_>, point: usize, tile: usize) -> usize {
    let lanes = B * LANES;
    // SAFETY: `Products::check`; the caller passes a point and tiles of these products, and their number of blocks.
    unsafe {
        let input = products.input.as_ptr().add(point * products.point + tile * products.channels);
        let mut weights = products.weights.as_ptr().cast::<i16>().add(point * products.depth * lanes);
        let mut sums = [[_mm256_setzero_si256(); B]; P];
        for channel in (0..products.depth).step_by(PAIR) {
            let mut pairs = [_mm256_setzero_si256(); B];
            for (block, pairs) in pairs.iter_mut().enumerate() {
                *pairs = _mm256_load_si256(weights.add(block * LANES * PAIR).cast());
            }
            for (p, sums) in sums.iter_mut().enumerate() {
                let taps = input.add(p * products.channels + channel).cast::<i32>().read_unaligned();
                let taps = _mm256_set1_epi32(taps);
                for (sum, pairs) in sums.iter_mut().zip(pairs) {
                    *sum = dot(*sum, taps, pairs);
                }
            }
            weights = weights.add(lanes * PAIR);
        }
        let to = products.products.as_mut_ptr().add((tile * POINTS + point) * lanes);
        for (p, sums) in sums.into_iter().enumerate() {
            for (block, sum) in sums.into_iter().enumerate() {
                _mm256_storeu_si256(to.add(p * POINTS * lanes + block * LANES).cast(), sum);
            }
        }
    }
    P
}

/// Sixteen bytes, widened.
///
/// # Safety
///
/// They can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_bytes(from: *const u8) -> __m256i {
    // SAFETY: the caller's promise.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(from.cast()) })
}

/// Stores sixteen numbers.
///
/// # Safety
///
/// They can be written.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store_halves(to: *mut i16, halves: __m256i) {
    // SAFETY: the caller's promise.
    unsafe { _mm256_storeu_si256(to.cast(), halves) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn double_halves(halves: __m256i) -> __m256i {
    _mm256_add_epi16(halves, halves)
}

#[inline]
#[target_feature(enable = "avx2")]
fn double(sums: __m256i) -> __m256i {
    _mm256_add_epi32(sums, sums)
}

#[inline]
#[target_feature(enable = "avx2")]
fn sixteenth(sums: __m256i) -> __m256i {
    _mm256_srai_epi32::<4>(sums)
}

#[inline]
#[target_feature(enable = "avx2")]
fn third(sums: __m256i) -> __m256i {
    _mm256_mullo_epi32(sums, _mm256_set1_epi32(THIRD))
}
