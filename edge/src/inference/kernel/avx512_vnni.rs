//! AVX-512 VNNI: `vpdpbusd` on 16 output channels, 16 pixels by one vector of sums or 12 by two.
//!
//! Every multiplication needs a broadcast of input bytes; two vectors share one. Where there is but one vector of
//! channels, groups are wide: eight bytes are broadcast, and neighbouring lanes sum the first and the last four of them
//! for one channel. They are added at the end.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Strip::check has proved")]

use std::arch::x86_64::*;

use super::packed::{Groups, Instructions, Strip, take_bytes};

const LANES: usize = 16;

/// How a convolution is packed and run for this instruction set.
pub(super) static INSTRUCTIONS: Instructions = Instructions {
    lanes: LANES,
    blocks: 2,
    tiles: TILES,
    take: take_bytes,
    subtracts: 0,
    pack: Groups::pack_wide,
    strip,
};

/// As many sums as registers hold beside the weights.
static TILES: &[&[usize]] = &[&[16, 8, 4, 2, 1], &[12, 8, 4, 2, 1]];

/// Whether this core has what [`strip`] needs.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn strip(pixels: usize, blocks: usize, strip: &mut Strip<'_>) {
    match (pixels, blocks, strip.groups.is_wide()) {
        (16, 1, false) => tiles::<16, 1, false>(strip),
        (8, 1, false) => tiles::<8, 1, false>(strip),
        (4, 1, false) => tiles::<4, 1, false>(strip),
        (2, 1, false) => tiles::<2, 1, false>(strip),
        (1, 1, false) => tiles::<1, 1, false>(strip),
        (12, 2, false) => tiles::<12, 2, false>(strip),
        (8, 2, false) => tiles::<8, 2, false>(strip),
        (4, 2, false) => tiles::<4, 2, false>(strip),
        (2, 2, false) => tiles::<2, 2, false>(strip),
        (1, 2, false) => tiles::<1, 2, false>(strip),
        (12, 1, true) => tiles::<12, 2, true>(strip),
        (8, 1, true) => tiles::<8, 2, true>(strip),
        (4, 1, true) => tiles::<4, 2, true>(strip),
        (2, 1, true) => tiles::<2, 2, true>(strip),
        (1, 1, true) => tiles::<1, 2, true>(strip),
        _ => unreachable!("no tile of {pixels} pixels by {blocks} vectors"),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn tiles<const P: usize, const V: usize, const WIDE: bool>(strip: &mut Strip<'_>) {
    let blocks = if WIDE { 1 } else { V };
    strip.check(P, blocks, LANES, V);
    let offsets = strip.groups.offsets();
    let weights = strip.groups.weights().as_ptr().cast::<i8>();
    let requantize = Requantize::<V>::new(strip, blocks);
    for tile in 0..strip.tiles {
        let mut sums = [[_mm512_setzero_si512(); P]; V];
        for (block, sums) in sums.iter_mut().enumerate().take(blocks) {
            // SAFETY: `check` has found LANES biases for each block.
            let bias = unsafe { _mm512_loadu_si512(strip.chunk.bias.as_ptr().add(block * LANES).cast()) };
            *sums = [bias; P];
        }
        if WIDE {
            // Each bias once, in the first of its channel's two lanes.
            let bias = sums[0][0];
            sums[0] = [_mm512_unpacklo_epi32(bias, _mm512_setzero_si512()); P];
            sums[1] = [_mm512_unpackhi_epi32(bias, _mm512_setzero_si512()); P];
        }
        // SAFETY: pixel tile * P is one of the strip's; `check`.
        let pixel = unsafe { strip.input.as_ptr().add(tile * P * strip.input_step) };
        for (index, &offset) in offsets.iter().enumerate() {
            // SAFETY: `check` has found V vectors of weights for each offset, and reads of a group's bytes, 4 or 8, at
            // each offset from each pixel of the strip to be inside the input.
            unsafe {
                let weights = weights.add(index * V * LANES * 4);
                let weights: [_; V] =
                    std::array::from_fn(|vector| _mm512_load_si512(weights.add(vector * LANES * 4).cast()));
                let taps = pixel.add(offset as usize);
                for p in 0..P {
                    let bytes = taps.add(p * strip.input_step);
                    let bytes = if WIDE {
                        _mm512_set1_epi64(bytes.cast::<i64>().read_unaligned())
                    } else {
                        _mm512_set1_epi32(bytes.cast::<i32>().read_unaligned())
                    };
                    for (sums, &weights) in sums.iter_mut().zip(&weights) {
                        sums[p] = _mm512_dpbusd_epi32(sums[p], bytes, weights);
                    }
                }
            }
        }
        if WIDE {
            let (low, high) = sums.split_at_mut(1);
            for (low, high) in low[0].iter_mut().zip(&high[0]) {
                let pair = (_mm512_castsi512_ps(*low), _mm512_castsi512_ps(*high));
                let first = _mm512_castps_si512(_mm512_shuffle_ps::<0b10_00_10_00>(pair.0, pair.1));
                let last = _mm512_castps_si512(_mm512_shuffle_ps::<0b11_01_11_01>(pair.0, pair.1));
                *low = _mm512_add_epi32(first, last);
            }
        }
        for (block, sums) in sums.iter().enumerate().take(blocks) {
            for first in (0..P).step_by(4) {
                requantize.store(strip, block, tile * P + first, &sums[first..P.min(first + 4)]);
            }
        }
    }
}

/// What is done with the sums, in registers.
struct Requantize<const V: usize> {
    /// One for each block; the rest unused.
    multipliers: [__m512; V],
    zero_point: __m512i,
    low: __m512i,
    high: __m512i,
    /// From four pixels in each 128 bits to a pixel in each 128 bits.
    by_pixel: __m512i,
}

impl<const V: usize> Requantize<V> {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn new(strip: &Strip<'_>, blocks: usize) -> Self {
        let multipliers = strip.chunk.multipliers.as_ptr();
        Requantize {
            multipliers: std::array::from_fn(|vector| {
                let block = vector.min(blocks - 1);
                // SAFETY: `Strip::check` has found LANES multipliers for each block.
                unsafe { _mm512_loadu_ps(multipliers.add(block * LANES)) }
            }),
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
