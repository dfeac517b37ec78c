//! Arrays of 8 values, for any CPU; the compiler maps them to the registers of its target.

use super::table::{Implementation, table};
use super::vector::Vector;

pub(crate) static SET: Implementation = Implementation { is_available, table: &TABLE, narrow: None };

fn is_available() -> bool {
    true
}

/// Eight values.
#[derive(Clone, Copy)]
struct Eight([f32; 8]);

impl Vector for Eight {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise, here and below; an array of f32 is aligned like f32.
        Self(unsafe { *from.cast::<[f32; 8]>() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see above.
        unsafe { *to.cast::<[f32; 8]>() = self.0 }
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        // SAFETY: see above.
        Self([unsafe { *from }; 8])
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + a.0[lane] * b.0[lane]))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }
}

// Targets without wider vectors have about 16 registers of one or four values.
table! {
    features: [], vector: Eight,
    one: [1 2 3 4], two: [1 2],
    outer: [2 2 2], three_taps: outer_three_whole,
    depthwise: [2 2],
}
