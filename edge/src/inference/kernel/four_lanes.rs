//! What the ARM instruction sets have in common: from sums in vectors of four output channels to bytes of the output.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Strip::check has proved")]

use std::arch::aarch64::*;

use super::packed::Strip;

/// Output channels in a vector.
pub(super) const LANES: usize = 4;

/// What is done with the sums of V vectors of a pixel's channels.
pub(super) struct Requantize<const V: usize> {
    multipliers: [float32x4_t; V],
    zero_point: int16x8_t,
    low: uint8x16_t,
    high: uint8x16_t,
}

impl<const V: usize> Requantize<V> {
    /// After a check of the strip, with V blocks of [`LANES`].
    pub(super) fn new(strip: &Strip<'_>) -> Self {
        let multipliers = strip.chunk.multipliers.as_ptr();
        // SAFETY: every aarch64 core has these instructions, and `Strip::check` has found LANES multipliers for each of
        // V vectors.
        unsafe {
            Requantize {
                multipliers: std::array::from_fn(|vector| vld1q_f32(multipliers.add(vector * LANES))),
                zero_point: vdupq_n_s16(i16::from(strip.range.zero_point)),
                low: vdupq_n_u8(strip.range.low),
                high: vdupq_n_u8(strip.range.high),
            }
        }
    }

    /// Stores the channels of the strip's pixels from `first` on.
    #[inline(always)]
    pub(super) fn store<const P: usize>(&self, strip: &mut Strip<'_>, first: usize, sums: &[[int32x4_t; V]; P]) {
        let together = if V < 4 { 4 / V } else { 1 };
        for start in (0..P).step_by(together) {
            let pixels = together.min(P - start);
            // SAFETY: every aarch64 core has these instructions.
            let rounded: [int16x4_t; 4] = std::array::from_fn(|vector| unsafe {
                let (pixel, block) = (vector / V, vector % V);
                if pixel < pixels {
                    let scaled = vmulq_f32(vcvtq_f32_s32(sums[start + pixel][block]), self.multipliers[block]);
                    vqmovn_s32(vcvtnq_s32_f32(scaled))
                } else {
                    vdup_n_s16(0)
                }
            });
            // SAFETY: as above. The saturating narrowing gives what a clamp of i32 would.
            let bytes = unsafe {
                let [a, b, c, d] = rounded;
                let ab = vqaddq_s16(vcombine_s16(a, b), self.zero_point);
                let cd = vqaddq_s16(vcombine_s16(c, d), self.zero_point);
                let bytes = vcombine_u8(vqmovun_s16(ab), vqmovun_s16(cd));
                vminq_u8(vmaxq_u8(bytes, self.low), self.high)
            };
            for pixel in 0..pixels {
                // SAFETY: the pixel is one of the strip's, and `Strip::check` has found its chunk's channels to be inside
                // the output; no more than these are written.
                unsafe {
                    let to = strip.output.as_mut_ptr().add((first + start + pixel) * strip.output_step);
                    store_channels::<V>(to, bytes, pixel, strip.chunk.channels);
                }
            }
        }
    }
}

/// Stores the first `channels` of the V vectors of a pixel, which is the pixel-th in these bytes.
///
/// # Safety
///
/// As many bytes may be written.
#[inline(always)]
unsafe fn store_channels<const V: usize>(to: *mut u8, bytes: uint8x16_t, pixel: usize, channels: usize) {
    // SAFETY: the caller's.
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
