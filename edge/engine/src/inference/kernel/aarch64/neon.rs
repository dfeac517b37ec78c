//! Plain NEON, as in Cortex-A72 (Raspberry Pi 4): `smull` and `smlal` of eight bits to sixteen, `sadalp` to 32.
//!
//! 128 is subtracted from each byte by flipping its highest bit, and weights are at least -127, so that a 16-bit lane holds the
//! sum of any two products (2 * 127 * 128 = 32512).
//!
//! A vector of sums belongs to one pixel and one output channel; its lanes sum neighbouring bytes of the input and are added
//! at the end. A tile is 4 pixels by 4 channels: 16 sums, 4 registers for weights, and the rest for bytes and products, so
//! that nothing is spilled. Most 3x3 convolutions use Winograd's algorithm instead, in `halves`.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Strip::check has checked")]

use std::arch::aarch64::*;
use std::array::from_fn;

use super::depthwise_words;
use super::four_lanes::{self, LANES, Requantize};
use super::halves;
use super::rounds::rounds;
use super::windows::{self, WINDOW};
use crate::inference::kernel::groups::{Bytes, Groups};
use crate::inference::kernel::instruction_set::InstructionSet;
use crate::inference::kernel::loops::Loops;
use crate::inference::kernel::strip::Strip;

pub(crate) static SET: InstructionSet = InstructionSet {
    is_available,
    multiply,
    lanes: LANES,
    blocks: 1,
    tiles: &[&[4, 2, 1]],
    subtracts: 128,
    widen: None,
    pack,
    strip,
    combine: Some(four_lanes::combine),
    winograd: Some(halves::KERNEL),
    depthwise: &[depthwise_words::FORMAT],
    loops: Loops::BASELINE,
};

/// Bytes of a narrow group.
const HALF: usize = 8;

fn is_available() -> bool {
    cfg!(target_endian = "little")
}

rounds!("smull v24.8h, v30.8b, v31.8b\nsmlal2 v24.8h, v30.16b, v31.16b\nsadalp v\\sum\\().4s, v24.8h");

fn pack(channels: usize, bytes: &Bytes, input_step: usize) -> Groups {
    windows::pack::<HALF, WINDOW>(take, channels, bytes, input_step)
}

/// All but -128, so that any two products fit into 16 bits.
fn take(rest: [i32; 4]) -> [i8; 4] {
    rest.map(|weight| weight.clamp(-127, 127) as i8)
}

fn strip(pixels: usize, blocks: usize, strip: &mut Strip<'_>) {
    match (pixels, blocks) {
        (4, 1) => tiles::<4>(strip),
        (2, 1) => tiles::<2>(strip),
        (1, 1) => tiles::<1>(strip),
        _ => unreachable!("no tile of {pixels} pixels by {blocks} vectors"),
    }
}

/// Sums of a pixel, for each channel.
type Sums = [int32x4_t; LANES];

fn tiles<const P: usize>(strip: &mut Strip<'_>) {
    strip.check_windows::<HALF>(P, 1, LANES);
    let [three, two, one, narrow] = strip.groups.kinds();
    let requantize = Requantize::<1>::of_strip(strip);
    let step = strip.input_step;
    for tile in 0..strip.tiles {
        let mut offsets = strip.groups.offsets().iter().map(|&offset| offset as usize);
        let mut weights = strip.groups.weights().as_ptr().cast::<i8>();
        // SAFETY: every aarch64 core has these instructions. `check_windows` has found LANES biases; weights of LANES
        // channels for all windows and narrow groups of each kind, in this order; and reads of each group's bytes, from
        // each pixel of the strip, to be inside the input. Pixel tile * P is one of the strip's.
        unsafe {
            let mut sums = [[vdupq_n_s32(0); LANES]; P];
            let pixel = strip.input.as_ptr().add(tile * P * step);
            // Each tap loads its window again: loads are cheap here, registers are scarce.
            for (runs, windows) in [(three, 3), (two, 2), (one, 1)] {
                for offset in offsets.by_ref().take(runs) {
                    for tap in 0..windows {
                        window(&mut sums, pixel.add(offset + tap * step), step, weights);
                        weights = weights.add(WINDOW * LANES);
                    }
                }
            }
            for offset in offsets.take(narrow) {
                half(&mut sums, pixel.add(offset), step, weights);
                weights = weights.add(HALF * LANES);
            }
            let bias = vld1q_s32(strip.chunk.bias.as_ptr());
            let sums = sums.map(|sums| [vaddq_s32(add_lanes(sums), bias)]);
            requantize.store_all(strip, tile * P, &sums);
        }
    }
}

/// Adds a window from `taps` on, for P pixels that are `step` bytes apart.
///
/// # Safety
///
/// All windows and their weights can be read.
#[inline(always)]
unsafe fn window<const P: usize>(sums: &mut [Sums; P], taps: *const u8, step: usize, weights: *const i8) {
    // SAFETY: the caller's promise.
    unsafe {
        let weights: [_; LANES] = from_fn(|channel| vld1q_s8(weights.add(channel * WINDOW)));
        for (p, sums) in sums.iter_mut().enumerate() {
            let bytes = load(taps.add(p * step));
            for (sums, weights) in sums.iter_mut().zip(weights) {
                let products = vmull_s8(vget_low_s8(bytes), vget_low_s8(weights));
                *sums = vpadalq_s16(*sums, vmlal_high_s8(products, bytes, weights));
            }
        }
    }
}

/// Adds eight bytes from `taps` on.
///
/// # Safety
///
/// They and their weights can be read.
#[inline(always)]
unsafe fn half<const P: usize>(sums: &mut [Sums; P], taps: *const u8, step: usize, weights: *const i8) {
    // SAFETY: the caller's promise.
    unsafe {
        let weights: [_; LANES] = from_fn(|channel| vld1_s8(weights.add(channel * HALF)));
        for (p, sums) in sums.iter_mut().enumerate() {
            let bytes = vreinterpret_s8_u8(veor_u8(vld1_u8(taps.add(p * step)), vdup_n_u8(0x80)));
            for (sums, weights) in sums.iter_mut().zip(weights) {
                *sums = vpadalq_s16(*sums, vmull_s8(bytes, weights));
            }
        }
    }
}

/// Sixteen bytes, 128 subtracted.
///
/// # Safety
///
/// They can be read.
#[inline(always)]
unsafe fn load(from: *const u8) -> int8x16_t {
    // SAFETY: the caller's promise.
    unsafe { vreinterpretq_s8_u8(veorq_u8(vld1q_u8(from), vdupq_n_u8(0x80))) }
}

/// A lane for the sum of each vector.
#[inline(always)]
fn add_lanes([a, b, c, d]: Sums) -> int32x4_t {
    // SAFETY: every aarch64 core has these instructions.
    unsafe { vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_minus_128_are_split() {
        assert_eq!(take([1, -128, 127, 300]), [1, -127, 127, 127]);
    }
}
