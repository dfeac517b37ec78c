//! Winograd's tiles by plain NEON: `smlal` of sixteen bits to 32.
//!
//! A vector of sums is four output channels of a tile, and the other factor one of eight neighbouring input channels: one load of a
//! tile's channels serves eight groups of weights, and one load of weights all tiles. 4 tiles by 16 channels leave 16 of 32
//! registers for both.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that are checked before")]

use std::arch::aarch64::*;

use super::four_lanes::{LANES, Requantize};
use crate::inference::kernel::winograd::transforms::{
    InputRows, OutputTiles, POINTS, Products, THIRD, TileKernel, of_column, of_column_products, of_row,
    of_row_products, transforms,
};

pub(crate) const KERNEL: TileKernel = TileKernel {
    blocks: 4,
    channels_min: 32,
    together: 1,
    depth_multiple: HALVES,
    input: transform_input,
    products,
    output: transform_products,
};

/// Input channels that one load brings.
const HALVES: usize = 8;

transforms!(
    "neon",
    8 halves by (vdupq_n_s16(0), load_bytes, vst1q_s16, vaddq_s16, vsubq_s16, double_halves),
    LANES sums by (vdupq_n_s32(0), vld1q_s32, vaddq_s32, vsubq_s32, double, sixteenth, third),
    Requantize<1>
);

/// Eight bytes, widened.
///
/// # Safety
///
/// They can be read.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load_bytes(from: *const u8) -> int16x8_t {
    // SAFETY: the caller's promise.
    vreinterpretq_s16_u16(vmovl_u8(unsafe { vld1_u8(from) }))
}

#[inline]
#[target_feature(enable = "neon")]
fn double_halves(halves: int16x8_t) -> int16x8_t {
    vaddq_s16(halves, halves)
}

#[inline]
#[target_feature(enable = "neon")]
fn double(sums: int32x4_t) -> int32x4_t {
    vaddq_s32(sums, sums)
}

#[inline]
#[target_feature(enable = "neon")]
fn sixteenth(sums: int32x4_t) -> int32x4_t {
    vshrq_n_s32::<4>(sums)
}

#[inline]
#[target_feature(enable = "neon")]
fn third(sums: int32x4_t) -> int32x4_t {
    vmulq_n_s32(sums, THIRD)
}

fn products(products: &mut Products<'_>) {
    products.check(LANES, HALVES);
    for point in 0..POINTS {
        let mut tile = 0;
        while tile < products.tiles {
            tile += match (products.tiles - tile, products.blocks) {
                (4.., 4) => tiles::<4, 4>(products, point, tile),
                (4.., 3) => tiles::<4, 3>(products, point, tile),
                (4.., 2) => tiles::<4, 2>(products, point, tile),
                (4.., _) => tiles::<4, 1>(products, point, tile),
                (_, 4) => tiles::<1, 4>(products, point, tile),
                (_, 3) => tiles::<1, 3>(products, point, tile),
                (_, 2) => tiles::<1, 2>(products, point, tile),
                _ => tiles::<1, 1>(products, point, tile),
            };
        }
    }
}

/// The products of P tiles from `tile` on, by V vectors of output channels. Returns P.
fn tiles<const P: usize, const V: usize>(products: &mut Products<'_>, point: usize, tile: usize) -> usize {
    let lanes = V * LANES;
    // SAFETY: every aarch64 core has these instructions. `Products::check`; the caller passes a point and tiles of these
    // products, and their number of blocks.
    unsafe {
        let input = products.input.as_ptr().add(point * products.point + tile * products.channels);
        let mut weights = products.weights.as_ptr().cast::<i16>().add(point * products.depth * lanes);
        let mut sums = [[vdupq_n_s32(0); V]; P];
        for channel in (0..products.depth).step_by(HALVES) {
            let mut inputs = [vdupq_n_s16(0); P];
            for (p, inputs) in inputs.iter_mut().enumerate() {
                *inputs = vld1q_s16(input.add(p * products.channels + channel));
            }
            macro_rules! channels {
                ($($channel:literal)*) => {
                    $(
                        add::<P, V, $channel>(&mut sums, &inputs, weights);
                        weights = weights.add(lanes);
                    )*
                };
            }
            channels!(0 1 2 3 4 5 6 7);
        }
        let to = products.products.as_mut_ptr().add((tile * POINTS + point) * lanes);
        for (p, sums) in sums.into_iter().enumerate() {
            for (vector, sum) in sums.into_iter().enumerate() {
                vst1q_s32(to.add(p * POINTS * lanes + vector * LANES), sum);
            }
        }
    }
    P
}

/// Adds the products of the C-th of eight input channels of each tile.
///
/// # Safety
///
/// The weights of V vectors can be read.
#[inline(always)]
unsafe fn add<const P: usize, const V: usize, const C: i32>(
    sums: &mut [[int32x4_t; V]; P],
    inputs: &[int16x8_t; P],
    weights: *const i16,
) {
    // SAFETY: the caller's promise; every aarch64 core has these instructions.
    unsafe {
        for vector in (0..V - V % 2).step_by(2) {
            let two = vld1q_s16(weights.add(vector * LANES));
            for (sums, &input) in sums.iter_mut().zip(inputs) {
                sums[vector] = vmlal_laneq_s16::<C>(sums[vector], vget_low_s16(two), input);
                sums[vector + 1] = vmlal_high_laneq_s16::<C>(sums[vector + 1], two, input);
            }
        }
        if V % 2 == 1 {
            let one = vld1_s16(weights.add((V - 1) * LANES));
            for (sums, &input) in sums.iter_mut().zip(inputs) {
                sums[V - 1] = vmlal_laneq_s16::<C>(sums[V - 1], one, input);
            }
        }
    }
}
