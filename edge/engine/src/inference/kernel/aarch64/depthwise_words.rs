//! Depthwise convolutions by `smlal` on bytes that are widened to 16 bits: every 64-bit ARM core. Weights of nine bits, from a
//! zero point, need no second product.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Row::check has checked")]

use std::arch::aarch64::*;
use std::arch::asm;

use super::four_lanes::{LANES, ToBytes, store_channels};
use crate::inference::kernel::depthwise::BlockFormat;
use crate::inference::kernel::depthwise::row::{Columns, ROWS, Row};
use crate::inference::kernel::strip::OutputRange;

/// Eight channels of a pixel.
pub(crate) const FORMAT: BlockFormat = BlockFormat {
    channels: Words::CHANNELS,
    vectors: VECTORS,
    lanes: LANES,
    taps: 1,
    weight_bytes: 2,
    subtracts: 0,
    masks: Words::MASKS,
    row,
};

/// Vectors of sums.
const VECTORS: usize = 2;

fn row(row: &mut Row<'_>) {
    // SAFETY: every aarch64 core has these instructions; a vector holds one pixel.
    unsafe { row.run::<Words, Words>() }
}

/// Eight channels of a pixel.
struct Words;

impl Columns for Words {
    const CHANNELS: usize = 8;
    const PIXELS: usize = 1;
    const SUMS: usize = VECTORS * LANES;
    const WEIGHTS: usize = ROWS * 2 * Self::CHANNELS;
    const MASKS: bool = false;
    type Column = [int16x8_t; ROWS];
    type Weights = [int16x8_t; ROWS];
    type Sums = [int32x4_t; VECTORS];
    type Requantize = ([float32x4_t; VECTORS], ToBytes);

    #[inline(always)]
    unsafe fn column(rows: [*const u8; ROWS], _: usize) -> Self::Column {
        // SAFETY: the caller's promise.
        unsafe { [load(rows[0]), load(rows[1]), load(rows[2])] }
    }

    #[inline(always)]
    unsafe fn add(sums: Self::Sums, column: &Self::Column, weights: &Self::Weights) -> Self::Sums {
        let [mut low, mut high] = sums;
        for (&bytes, &weights) in column.iter().zip(weights) {
            // As assembly, because the compiler would widen weights once before the loop and multiply 32 bits, which takes twice as
            // long.
            // SAFETY: every aarch64 core has these instructions, which touch nothing but their registers.
            unsafe {
                asm!(
                    "smlal {low:v}.4s, {bytes:v}.4h, {weights:v}.4h",
                    "smlal2 {high:v}.4s, {bytes:v}.8h, {weights:v}.8h",
                    low = inout(vreg) low,
                    high = inout(vreg) high,
                    bytes = in(vreg) bytes,
                    weights = in(vreg) weights,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
        }
        [low, high]
    }

    #[inline(always)]
    unsafe fn requantize(multipliers: *const f32, range: OutputRange) -> Self::Requantize {
        // SAFETY: the caller's promise.
        (unsafe { multipliers.cast::<[float32x4_t; VECTORS]>().read_unaligned() }, ToBytes::new(range))
    }

    #[inline(always)]
    unsafe fn store(([a, b], bytes): &Self::Requantize, sums: Self::Sums, to: *mut u8, _: usize, channels: usize) {
        // The same eight bytes twice.
        let bytes = bytes.of([sums[0], sums[1], sums[0], sums[1]], [*a, *b, *a, *b]);
        // SAFETY: the caller's promise.
        unsafe { store_channels::<VECTORS>(to, bytes, 0, channels) };
    }
}

/// Eight bytes, widened.
///
/// # Safety
///
/// They can be read.
#[inline(always)]
unsafe fn load(from: *const u8) -> int16x8_t {
    // SAFETY: the caller's promise.
    unsafe { vreinterpretq_s16_u16(vmovl_u8(vld1_u8(from))) }
}
