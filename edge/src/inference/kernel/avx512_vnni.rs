//! AVX-512 VNNI: `vpdpbusd` on 16 output channels, 16 pixels by one vector of channels or 8 by two.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Strip::check has proved")]

use std::arch::x86_64::*;

use super::packed::{Instructions, Strip, take_bytes};

const LANES: usize = 16;

/// How a convolution is packed and run for this instruction set.
pub(super) static INSTRUCTIONS: Instructions =
    Instructions { lanes: LANES, blocks: 2, tiles: &[&[16, 8, 4, 2, 1], &[8, 4, 2, 1]], take: take_bytes, strip };

/// Whether this core has what [`strip`] needs.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn strip(pixels: usize, blocks: usize, strip: &mut Strip<'_>) {
    match (pixels, blocks) {
        (16, 1) => tiles::<16, 1>(strip),
        (8, 1) => tiles::<8, 1>(strip),
        (4, 1) => tiles::<4, 1>(strip),
        (2, 1) => tiles::<2, 1>(strip),
        (1, 1) => tiles::<1, 1>(strip),
        (8, 2) => tiles::<8, 2>(strip),
        (4, 2) => tiles::<4, 2>(strip),
        (2, 2) => tiles::<2, 2>(strip),
        (1, 2) => tiles::<1, 2>(strip),
        _ => unreachable!("no tile of {pixels} pixels by {blocks} vectors"),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn tiles<const P: usize, const B: usize>(strip: &mut Strip<'_>) {
    strip.check(P, B, LANES);
    let offsets = strip.groups.offsets();
    let weights = strip.groups.weights().as_ptr().cast::<i8>();
    let requantize = Requantize::<B>::new(strip);
    for tile in 0..strip.tiles {
        let mut sums = [[_mm512_setzero_si512(); P]; B];
        for (block, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `check` has found B * LANES biases.
            let bias = unsafe { _mm512_loadu_si512(strip.chunk.bias.as_ptr().add(block * LANES).cast()) };
            *sums = [bias; P];
        }
        // SAFETY: pixel tile * P is one of the strip's; `check`.
        let pixel = unsafe { strip.input.as_ptr().add(tile * P * strip.input_step) };
        for (index, &offset) in offsets.iter().enumerate() {
            // SAFETY: `check` has found B vectors of weights for each offset, and reads of 4 bytes at each offset from
            // each pixel of the strip to be inside the input.
            unsafe {
                let weights = weights.add(index * B * LANES * 4);
                let weights: [_; B] =
                    std::array::from_fn(|block| _mm512_load_si512(weights.add(block * LANES * 4).cast()));
                let taps = pixel.add(offset as usize);
                for p in 0..P {
                    let bytes = taps.add(p * strip.input_step).cast::<i32>().read_unaligned();
                    let bytes = _mm512_set1_epi32(bytes);
                    for (sums, &weights) in sums.iter_mut().zip(&weights) {
                        sums[p] = _mm512_dpbusd_epi32(sums[p], bytes, weights);
                    }
                }
            }
        }
        for (block, sums) in sums.iter().enumerate() {
            for first in (0..P).step_by(4) {
                requantize.store(strip, block, tile * P + first, &sums[first..P.min(first + 4)]);
            }
        }
    }
}

/// What is done with the sums, in registers.
struct Requantize<const B: usize> {
    multipliers: [__m512; B],
    zero_point: __m512i,
    low: __m512i,
    high: __m512i,
    /// From four pixels in each 128 bits to a pixel in each 128 bits.
    by_pixel: __m512i,
}

impl<const B: usize> Requantize<B> {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn new(strip: &Strip<'_>) -> Self {
        let multipliers = strip.chunk.multipliers.as_ptr();
        Requantize {
            // SAFETY: `Strip::check` has found B * LANES multipliers.
            multipliers: std::array::from_fn(|block| unsafe { _mm512_loadu_ps(multipliers.add(block * LANES)) }),
            zero_point: _mm512_set1_epi16(i16::from(strip.range.zero_point)),
            low: _mm512_set1_epi8(strip.range.low as i8),
            high: _mm512_set1_epi8(strip.range.high as i8),
            by_pixel: _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
        }
    }

    /// Up to four neighbouring pixels of one vector of channels. The saturating packs give what a clamp of i32 would.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn store(&self, strip: &mut Strip<'_>, block: usize, first: usize, sums: &[__m512i]) {
        let mut rounded = [_mm512_setzero_si512(); 4];
        for (rounded, &sums) in rounded.iter_mut().zip(sums) {
            let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), self.multipliers[block]);
            *rounded = _mm512_cvtps_epi32(scaled);
        }
        let [a, b, c, d] = rounded;
        let ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), self.zero_point);
        let cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), self.zero_point);
        let bytes = _mm512_packus_epi16(ab, cd);
        let bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, self.low), self.high);
        let bytes = _mm512_permutexvar_epi32(self.by_pixel, bytes);
        let vectors = [
            _mm512_castsi512_si128(bytes),
            _mm512_extracti32x4_epi32::<1>(bytes),
            _mm512_extracti32x4_epi32::<2>(bytes),
            _mm512_extracti32x4_epi32::<3>(bytes),
        ];
        let channels = (strip.chunk.channels - block * LANES).min(LANES);
        for (index, &vector) in vectors.iter().enumerate().take(sums.len()) {
            // SAFETY: the pixel is one of the strip's, and `Strip::check` has found its chunk's channels to be inside
            // the output; no more than these are written.
            unsafe {
                let to = strip.output.as_mut_ptr().add((first + index) * strip.output_step + block * LANES);
                if channels == LANES {
                    _mm_storeu_si128(to.cast(), vector);
                } else {
                    _mm_mask_storeu_epi8(to.cast(), ((1u32 << channels) - 1) as u16, vector);
                }
            }
        }
    }
}
