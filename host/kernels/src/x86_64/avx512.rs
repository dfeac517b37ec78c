//! Registers of 16 values: AVX-512.

use std::arch::x86_64::{
    __m512, _MM_HINT_T0, _mm_prefetch, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_storeu_ps,
};

use super::{avx2, avx512_half};
use crate::table::{Implementation, table};
use crate::vector::Vector;

pub(crate) static SET: Implementation =
    Implementation { is_available, table: &TABLE, narrow: Some(&avx512_half::TABLE) };

fn is_available() -> bool {
    // Every CPU with one of these has them all, except the first, of 2013, which was a coprocessor.
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && avx2::is_available()
}

impl Vector for __m512 {
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller's promise, here and below.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see above.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(*from) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_ps(a, b, self) }
    }

    #[inline(always)]
    fn prefetch(from: *const f32) {
        // SAFETY: a prefetch does not fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm512_add_ps(self, other) }
    }
}

// 32 registers: 2 x 14 sums, 2 of weights.
table! {
    features: ["avx512f,avx512vl,avx512bw,avx512dq"], vector: __m512,
    one: [1 2 3 4 5 6 7 8 9 10 11 12 13 14], two: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
    outer: [8 8 8], three_taps: outer_three_whole,
    depthwise: [8 8],
}
