//! Registers of 4 values: NEON, which every 64-bit ARM core has.

use std::arch::aarch64::{float32x4_t, vaddq_f32, vdupq_n_f32, vfmaq_f32, vld1q_dup_f32, vld1q_f32, vst1q_f32};

use super::table::{Implementation, table};
use super::vector::Vector;

pub(crate) static SET: Implementation = Implementation { is_available, table: &TABLE, narrow: None };

fn is_available() -> bool {
    std::arch::is_aarch64_feature_detected!("neon")
}

impl Vector for float32x4_t {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller's promise, here and below.
        unsafe { vdupq_n_f32(0.0) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see above.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see above.
        unsafe { vst1q_f32(to, self) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        // SAFETY: see above.
        unsafe { vld1q_dup_f32(from) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: see above.
        unsafe { vfmaq_f32(self, a, b) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { vaddq_f32(self, other) }
    }
}

// 32 registers: 2 x 13 sums, 2 of weights, some of the input. With 14 pixels, a loop reloads what was spilled.
table! {
    features: ["neon"], vector: float32x4_t,
    one: [1 2 3 4 5 6 7 8 9 10 11 12 13], two: [1 2 3 4 5 6 7 8 9 10 11 12 13],
    outer: [4 4 4], three_taps: outer_three_whole,
    depthwise: [8 8],
}
