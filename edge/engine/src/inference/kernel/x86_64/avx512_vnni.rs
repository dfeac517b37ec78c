//! AVX-512 VNNI: `vpdpbusd` on 16 output channels, 16 pixels by one vector of sums or 12 by two.
//!
//! Every multiplication needs a broadcast of input bytes; two vectors share one. With a single vector of channels, groups are
//! wide: eight bytes are broadcast, and neighbouring lanes sum the first and the last four of them for one channel. They
//! are added at the end.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Strip::check has checked")]

mod depthwise;

use std::arch::x86_64::*;

use super::pack::pack_wide;
use super::quads::quads;
use super::rounds::rounds;
use crate::inference::kernel::combine::combine;
use crate::inference::kernel::instruction_set::InstructionSet;
use crate::inference::kernel::loops::loops;
use crate::inference::kernel::strip::{OutputRange, Strip, StripOutput};

const LANES: usize = 16;

pub(crate) static SET: InstructionSet = InstructionSet {
    is_available,
    multiply,
    lanes: LANES,
    blocks: 2,
    tiles: TILES,
    subtracts: 0,
    widen: None,
    pack: pack_wide::<LANES>,
    strip,
    combine: Some(combine),
    winograd: None,
    depthwise: &depthwise::FORMATS,
    loops: LOOPS,
};

/// As many sums as fit into registers beside the weights.
static TILES: &[&[usize]] = &[&[16, 8, 4, 2, 1], &[12, 8, 4, 2, 1]];

fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}

loops!("avx512f,avx512bw,avx512vl,avx512vnni");

rounds!(64, "vpdpbusd zmm\\sum, zmm14, zmm15");

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
    let offsets = strip.groups.offsets();
    strip.check(P, blocks, LANES, offsets.len() * V * LANES * 4);
    let weights = strip.groups.weights().as_ptr().cast::<i8>();
    let bytes = ToBytes::new(strip.range);
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
        let step = strip.output_step;
        for (block, &sums) in sums.iter().enumerate().take(blocks) {
            // SAFETY: `check` has found the pixels of the strip, with the chunk's channels or whole vectors of sums, to be
            // inside the output, and LANES multipliers for each block.
            unsafe {
                match &mut strip.output {
                    StripOutput::Bytes(output) => {
                        let channels = (strip.chunk.channels - block * LANES).min(LANES);
                        let multipliers = _mm512_loadu_ps(strip.chunk.multipliers.as_ptr().add(block * LANES));
                        let requantize = Requantize { multipliers, bytes };
                        let to = output.as_mut_ptr().add(tile * P * step + block * LANES);
                        quads!(sums, |quad, N, at| requantize.store::<N>(to.add(at * step), step, channels, quad));
                    }
                    StripOutput::Sums(output) => {
                        let to = output.as_mut_ptr().add(tile * P * step + block * LANES);
                        for (p, &sums) in sums.iter().enumerate() {
                            _mm512_storeu_si512(to.add(p * step).cast(), sums);
                        }
                    }
                }
            }
        }
    }
}

combine!(
    "avx512f,avx512bw,avx512vl,avx512vnni",
    __m512i,
    LANES,
    _mm512_setzero_si512(),
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm512_add_epi32,
    Requantize
);

/// Requantization of one vector of channels, in registers.
#[derive(Clone, Copy)]
struct Requantize {
    multipliers: __m512,
    bytes: ToBytes,
}

/// From rounded sums to bytes; the same for all channels.
#[derive(Clone, Copy)]
struct ToBytes {
    zero_point: __m512i,
    low: __m512i,
    high: __m512i,
    /// From four pixels in each 128 bits to a pixel in each 128 bits.
    by_pixel: __m512i,
}

impl ToBytes {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn new(range: OutputRange) -> Self {
        ToBytes {
            zero_point: _mm512_set1_epi16(i16::from(range.zero_point)),
            low: _mm512_set1_epi8(range.low as i8),
            high: _mm512_set1_epi8(range.high as i8),
            by_pixel: _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
        }
    }

    /// Four vectors of sums, each by its multipliers: four bytes of each in each 128 bits. The saturating packs equal a clamp of
    /// i32.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn of(&self, sums: [__m512i; 4], multipliers: [__m512; 4]) -> __m512i {
        let round =
            |vector: usize| _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(sums[vector]), multipliers[vector]));
        let ab = _mm512_adds_epi16(_mm512_packs_epi32(round(0), round(1)), self.zero_point);
        let cd = _mm512_adds_epi16(_mm512_packs_epi32(round(2), round(3)), self.zero_point);
        _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(ab, cd), self.low), self.high)
    }
}

impl Requantize {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn new(multipliers: &[f32], range: OutputRange) -> Self {
        assert!(multipliers.len() == LANES);
        // SAFETY: the assertion.
        Requantize { multipliers: unsafe { _mm512_loadu_ps(multipliers.as_ptr()) }, bytes: ToBytes::new(range) }
    }

    /// Writes the first N of four neighbouring pixels.
    ///
    /// # Safety
    ///
    /// `channels` bytes, at most LANES, can be written for each pixel, `step` bytes apart from `to` on.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn store<const N: usize>(&self, to: *mut u8, step: usize, channels: usize, sums: [__m512i; 4]) {
        let bytes = self.bytes.of(sums, [self.multipliers; 4]);
        let bytes = _mm512_permutexvar_epi32(self.bytes.by_pixel, bytes);
        let vectors = [
            _mm512_castsi512_si128(bytes),
            _mm512_extracti32x4_epi32::<1>(bytes),
            _mm512_extracti32x4_epi32::<2>(bytes),
            _mm512_extracti32x4_epi32::<3>(bytes),
        ];
        for (index, &vector) in vectors.iter().enumerate().take(N) {
            // SAFETY: the caller's promise; only the channels are written.
            unsafe {
                let to = to.add(index * step);
                if channels == LANES {
                    _mm_storeu_si128(to.cast(), vector);
                } else {
                    _mm_mask_storeu_epi8(to.cast(), ((1u32 << channels) - 1) as u16, vector);
                }
            }
        }
    }
}
