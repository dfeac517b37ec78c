//! What the ARM instruction sets share: from sums in vectors of four output channels to bytes of the output.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Strip::check has checked")]

use std::arch::aarch64::*;

use crate::inference::kernel::combine::combine;
use crate::inference::kernel::strip::{OutputRange, Strip, StripOutput};

/// Output channels in a vector.
pub(crate) const LANES: usize = 4;

/// Requantization of V vectors of a pixel's channels.
pub(crate) struct Requantize<const V: usize> {
    multipliers: [float32x4_t; V],
    bytes: ToBytes,
}

/// From rounded sums to bytes; the same for all channels.
pub(crate) struct ToBytes {
    zero_point: int16x8_t,
    low: uint8x16_t,
    high: uint8x16_t,
}

impl ToBytes {
    pub(crate) fn new(range: OutputRange) -> Self {
        // SAFETY: every aarch64 core has these instructions.
        unsafe {
            ToBytes {
                zero_point: vdupq_n_s16(i16::from(range.zero_point)),
                low: vdupq_n_u8(range.low),
                high: vdupq_n_u8(range.high),
            }
        }
    }

    /// Four vectors of sums, each by its multipliers. The saturating narrowing equals a clamp of i32.
    #[inline(always)]
    pub(crate) fn of(&self, sums: [int32x4_t; 4], multipliers: [float32x4_t; 4]) -> uint8x16_t {
        // SAFETY: every aarch64 core has these instructions.
        unsafe {
            let round =
                |vector: usize| vqmovn_s32(vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums[vector]), multipliers[vector])));
            let ab = vqaddq_s16(vcombine_s16(round(0), round(1)), self.zero_point);
            let cd = vqaddq_s16(vcombine_s16(round(2), round(3)), self.zero_point);
            let bytes = vcombine_u8(vqmovun_s16(ab), vqmovun_s16(cd));
            vminq_u8(vmaxq_u8(bytes, self.low), self.high)
        }
    }
}

impl<const V: usize> Requantize<V> {
    /// Of a strip that has been checked, with V blocks of [`LANES`].
    pub(crate) fn of_strip(strip: &Strip<'_>) -> Self {
        let multipliers = strip.chunk.multipliers.as_ptr();
        // SAFETY: every aarch64 core has these instructions, and `Strip::check` has found LANES multipliers for each of
        // V vectors.
        let multipliers = std::array::from_fn(|vector| unsafe { vld1q_f32(multipliers.add(vector * LANES)) });
        Requantize { multipliers, bytes: ToBytes::new(strip.range) }
    }

    /// Stores the channels of the strip's pixels from `first` on, as bytes or as sums.
    #[inline(always)]
    pub(crate) fn store_all<const P: usize>(&self, strip: &mut Strip<'_>, first: usize, sums: &[[int32x4_t; V]; P]) {
        let (step, channels) = (strip.output_step, strip.chunk.channels);
        let output = match &mut strip.output {
            StripOutput::Bytes(output) => output.as_mut_ptr(),
            StripOutput::Sums(output) => {
                for (pixel, sums) in sums.iter().enumerate() {
                    for (block, &sums) in sums.iter().enumerate() {
                        // SAFETY: `Strip::check` has found the strip's pixels with whole vectors to be inside the output.
                        unsafe { vst1q_s32(output.as_mut_ptr().add((first + pixel) * step + block * LANES), sums) };
                    }
                }
                return;
            }
        };
        let together = if V < 4 { 4 / V } else { 1 };
        for start in (0..P).step_by(together) {
            let pixels = together.min(P - start);
            // Vectors past the last pixel are computed from others and not stored.
            let at = |vector: usize| ((start + vector / V).min(P - 1), vector % V);
            let four: [_; 4] = std::array::from_fn(|vector| sums[at(vector).0][at(vector).1]);
            let bytes = self.bytes.of(four, std::array::from_fn(|vector| self.multipliers[at(vector).1]));
            for pixel in 0..pixels {
                // SAFETY: the pixel is one of the strip's, and `Strip::check` has found its chunk's channels to be inside
                // the output; no more than these are written.
                unsafe { store_channels::<V>(output.add((first + start + pixel) * step), bytes, pixel, channels) };
            }
        }
    }
}

impl Requantize<1> {
    /// For one vector of channels.
    pub(crate) fn new(multipliers: &[f32], range: OutputRange) -> Self {
        assert!(multipliers.len() == LANES);
        // SAFETY: the assertion, and every aarch64 core has these instructions.
        Requantize { multipliers: [unsafe { vld1q_f32(multipliers.as_ptr()) }], bytes: ToBytes::new(range) }
    }

    /// Writes the first N of four neighbouring pixels.
    ///
    /// # Safety
    ///
    /// `channels` bytes, at most [`LANES`], can be written for each pixel, `step` bytes apart from `to` on.
    #[inline(always)]
    pub(crate) unsafe fn store<const N: usize>(&self, to: *mut u8, step: usize, channels: usize, sums: [int32x4_t; 4]) {
        let bytes = self.bytes.of(sums, [self.multipliers[0]; 4]);
        for pixel in 0..N {
            // SAFETY: the caller's promise.
            unsafe { store_channels::<1>(to.add(pixel * step), bytes, pixel, channels) };
        }
    }
}

combine!("neon", int32x4_t, LANES, vdupq_n_s32(0), vld1q_s32, vst1q_s32, vaddq_s32, Requantize<1>);

/// Stores the first `channels` of the V vectors of the `pixel`-th pixel in these bytes.
///
/// # Safety
///
/// As many bytes can be written.
#[inline(always)]
pub(crate) unsafe fn store_channels<const V: usize>(to: *mut u8, bytes: uint8x16_t, pixel: usize, channels: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if channels != V * LANES || V == 3 {
            let mut all = [0; 16];
            vst1q_u8(all.as_mut_ptr(), bytes);
            to.copy_from_nonoverlapping(all.as_ptr().add(pixel * V * LANES), channels);
            return;
        }
        let (words, halves) = (vreinterpretq_u32_u8(bytes), vreinterpretq_u64_u8(bytes));
        match (V, pixel) {
            (1, 0) => to.cast::<u32>().write_unaligned(vgetq_lane_u32::<0>(words)),
            (1, 1) => to.cast::<u32>().write_unaligned(vgetq_lane_u32::<1>(words)),
            (1, 2) => to.cast::<u32>().write_unaligned(vgetq_lane_u32::<2>(words)),
            (1, _) => to.cast::<u32>().write_unaligned(vgetq_lane_u32::<3>(words)),
            (2, 0) => to.cast::<u64>().write_unaligned(vgetq_lane_u64::<0>(halves)),
            (2, _) => to.cast::<u64>().write_unaligned(vgetq_lane_u64::<1>(halves)),
            _ => vst1q_u8(to, bytes),
        }
    }
}
