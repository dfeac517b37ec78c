//! Depthwise convolutions: `vpdpbusd` on bytes of which each lane holds a column of one channel, for 64 channels of a pixel, 32
//! of two or 16 of four.

use std::arch::x86_64::*;

use super::{LANES, ToBytes};
use crate::inference::kernel::depthwise::BlockFormat;
use crate::inference::kernel::depthwise::row::{Columns, ROWS, Row};
use crate::inference::kernel::strip::OutputRange;

/// Bytes of a vector.
const BYTES: usize = 64;
/// Vectors of sums for a vector of bytes.
const VECTORS: usize = 4;

pub(super) static FORMATS: [BlockFormat; 3] = [format::<1>(), format::<2>(), format::<4>()];

const fn format<const N: usize>() -> BlockFormat {
    BlockFormat {
        channels: BYTES / N,
        vectors: VECTORS,
        lanes: LANES,
        taps: 4,
        weight_bytes: 1,
        subtracts: 0,
        masks: Pixels::<N, false>::MASKS,
        row: row::<N>,
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn row<const N: usize>(row: &mut Row<'_>) {
    // SAFETY: the caller promises that the processor has the instructions; pixels at the distance of their channels are
    // neighbours.
    unsafe {
        if row.input_step == BYTES / N {
            row.run::<Pixels<N, true>, Pixels<N, false>>();
        } else {
            row.run::<Pixels<N, false>, Pixels<N, false>>();
        }
    }
}

/// N pixels of 64 / N channels in each vector; whether they are neighbours in memory.
struct Pixels<const N: usize, const NEIGHBOURS: bool>;

/// Requantization of four vectors.
struct Requantize {
    multipliers: [__m512; VECTORS],
    bytes: ToBytes,
}

impl<const N: usize, const NEIGHBOURS: bool> Columns for Pixels<N, NEIGHBOURS> {
    const CHANNELS: usize = BYTES / N;
    const PIXELS: usize = N;
    const SUMS: usize = VECTORS * LANES;
    const WEIGHTS: usize = VECTORS * BYTES;
    const MASKS: bool = true;
    type Column = [__m512i; VECTORS];
    type Weights = [__m512i; VECTORS];
    type Sums = [__m512i; VECTORS];
    type Requantize = Requantize;

    #[inline(always)]
    unsafe fn column(rows: [*const u8; ROWS], step: usize) -> Self::Column {
        // SAFETY: the caller's promise.
        unsafe {
            let [a, b, c] = rows;
            let (a, b, c) =
                (load::<N, NEIGHBOURS>(a, step), load::<N, NEIGHBOURS>(b, step), load::<N, NEIGHBOURS>(c, step));
            let zero = _mm512_setzero_si512();
            let (ab_low, ab_high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
            let (c_low, c_high) = (_mm512_unpacklo_epi8(c, zero), _mm512_unpackhi_epi8(c, zero));
            [
                _mm512_unpacklo_epi16(ab_low, c_low),
                _mm512_unpackhi_epi16(ab_low, c_low),
                _mm512_unpacklo_epi16(ab_high, c_high),
                _mm512_unpackhi_epi16(ab_high, c_high),
            ]
        }
    }

    #[inline(always)]
    unsafe fn add(sums: Self::Sums, column: &Self::Column, weights: &Self::Weights) -> Self::Sums {
        // SAFETY: the caller's promise.
        unsafe {
            [
                _mm512_dpbusd_epi32(sums[0], column[0], weights[0]),
                _mm512_dpbusd_epi32(sums[1], column[1], weights[1]),
                _mm512_dpbusd_epi32(sums[2], column[2], weights[2]),
                _mm512_dpbusd_epi32(sums[3], column[3], weights[3]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn requantize(multipliers: *const f32, range: OutputRange) -> Requantize {
        // SAFETY: the caller's promise.
        unsafe {
            let multipliers = multipliers.cast::<[__m512; VECTORS]>().read_unaligned();
            Requantize { multipliers, bytes: ToBytes::new(range) }
        }
    }

    #[inline(always)]
    unsafe fn store(requantize: &Requantize, sums: Self::Sums, to: *mut u8, step: usize, channels: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let bytes = requantize.bytes.of(sums, requantize.multipliers);
            if channels == Self::CHANNELS && step == Self::CHANNELS || N == 1 && channels == BYTES {
                _mm512_storeu_si512(to.cast(), bytes);
                return;
            }
            match N {
                1 => _mm512_mask_storeu_epi8(to.cast(), (1 << channels) - 1, bytes),
                2 => {
                    let mask = ((1u64 << channels) - 1) as u32;
                    _mm256_mask_storeu_epi8(to.cast(), mask, _mm512_castsi512_si256(bytes));
                    _mm256_mask_storeu_epi8(to.add(step).cast(), mask, _mm512_extracti64x4_epi64::<1>(bytes));
                }
                _ => {
                    let mask = ((1u32 << channels) - 1) as u16;
                    _mm_mask_storeu_epi8(to.cast(), mask, _mm512_castsi512_si128(bytes));
                    _mm_mask_storeu_epi8(to.add(step).cast(), mask, _mm512_extracti32x4_epi32::<1>(bytes));
                    _mm_mask_storeu_epi8(to.add(2 * step).cast(), mask, _mm512_extracti32x4_epi32::<2>(bytes));
                    _mm_mask_storeu_epi8(to.add(3 * step).cast(), mask, _mm512_extracti32x4_epi32::<3>(bytes));
                }
            }
        }
    }
}

/// The bytes of N pixels, `step` apart.
///
/// # Safety
///
/// The processor has the instructions, and the bytes can be read.
#[inline(always)]
unsafe fn load<const N: usize, const NEIGHBOURS: bool>(from: *const u8, step: usize) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        if N == 1 || NEIGHBOURS {
            return _mm512_loadu_si512(from.cast());
        }
        if N == 2 {
            let first = _mm512_castsi256_si512(_mm256_loadu_si256(from.cast()));
            return _mm512_inserti64x4::<1>(first, _mm256_loadu_si256(from.add(step).cast()));
        }
        let (a, b, c) = (from.add(step), from.add(2 * step), from.add(3 * step));
        let bytes = _mm512_castsi128_si512(_mm_loadu_si128(from.cast()));
        let bytes = _mm512_inserti32x4::<1>(bytes, _mm_loadu_si128(a.cast()));
        let bytes = _mm512_inserti32x4::<2>(bytes, _mm_loadu_si128(b.cast()));
        _mm512_inserti32x4::<3>(bytes, _mm_loadu_si128(c.cast()))
    }
}
