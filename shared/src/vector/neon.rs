//! NEON: sixteen pixels at a time as two halves, even and odd pixels, that share their chroma.
//!
//! The colours of YUV fit into 16 bits although the products do not: the part of a factor that is a multiple of 256 is added
//! after the shift by 8, with the same result. In BT.601 298 = 256 + 42, 409 = 512 - 103, -208 = -256 + 48, 516 = 512 + 4.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that are stated at each")]

use core::arch::aarch64::*;

use super::operations::{Layout, Operations, assert_fits};
use crate::image::{Factors, PixelFormat, Row, small, whole, with_factors};
use crate::preprocess::windows::{STEP, Windows};

pub(super) static OPERATIONS: Operations = Operations { is_available, convert, horizontal, accumulate, finish };

/// Part of the target.
fn is_available() -> bool {
    true
}

/// Pixels of a step of [`convert`].
const PIXELS: usize = 16;

/// Red, green and blue of sixteen pixels.
type Rgb = uint8x16x3_t;

/// Y of eight even and eight odd pixels, and their U and V.
type Shared = [uint8x8_t; 4];

/// Y, U and V of sixteen pixels.
type Yuv = [uint8x16_t; 3];

#[target_feature(enable = "neon")]
fn convert(row: &Row<'_>, width: usize, layout: Layout, out: &mut [u8]) -> usize {
    assert_fits(row, width, layout, out.len());
    let out = Out { start: out.as_mut_ptr(), width, layout };
    let [first, second, third] = row.planes.map(<[u8]>::as_ptr);
    let encoding = row.encoding;
    // SAFETY: in each arm sixteen pixels from `x` on are within the row, and `assert_fits` has found all of its bytes in the row
    // and in `out`.
    unsafe {
        match row.format {
            PixelFormat::Gray8 if row.is_limited_gray() => {
                let none = vdupq_n_u8(128);
                with_factors!(encoding, yuv, (&out, |x| [vld1q_u8(first.add(x)), none, none]));
            }
            PixelFormat::Gray8 => rgb(&out, |x| {
                let gray = vld1q_u8(first.add(x));
                uint8x16x3_t(gray, gray, gray)
            }),
            PixelFormat::Rgb8 => rgb(&out, |x| vld3q_u8(first.add(x * 3))),
            PixelFormat::Bgr8 => rgb(&out, |x| {
                let uint8x16x3_t(b, g, r) = vld3q_u8(first.add(x * 3));
                uint8x16x3_t(r, g, b)
            }),
            PixelFormat::Rgba8 => rgb(&out, |x| {
                let uint8x16x4_t(r, g, b, _) = vld4q_u8(first.add(x * 4));
                uint8x16x3_t(r, g, b)
            }),
            PixelFormat::Yuyv => {
                let load = |x| {
                    let uint8x8x4_t(even, u, odd, v) = vld4_u8(first.add(x * 2));
                    [even, odd, u, v]
                };
                with_factors!(encoding, shared, (&out, load));
            }
            PixelFormat::Uyvy => {
                let load = |x| {
                    let uint8x8x4_t(u, even, v, odd) = vld4_u8(first.add(x * 2));
                    [even, odd, u, v]
                };
                with_factors!(encoding, shared, (&out, load));
            }
            PixelFormat::Nv12 => {
                let load = |x| {
                    let (uint8x8x2_t(even, odd), uint8x8x2_t(u, v)) = (vld2_u8(first.add(x)), vld2_u8(second.add(x)));
                    [even, odd, u, v]
                };
                with_factors!(encoding, shared, (&out, load));
            }
            PixelFormat::I420 | PixelFormat::I422 => {
                let load = |x| {
                    let uint8x8x2_t(even, odd) = vld2_u8(first.add(x));
                    [even, odd, vld1_u8(second.add(x / 2)), vld1_u8(third.add(x / 2))]
                };
                with_factors!(encoding, shared, (&out, load));
            }
            PixelFormat::I444 => {
                let load = |x| [first, second, third].map(|plane| vld1q_u8(plane.add(x)));
                with_factors!(encoding, yuv, (&out, load));
            }
        }
    }
    width / PIXELS * PIXELS
}

/// Where converted pixels go.
struct Out {
    start: *mut u8,
    width: usize,
    layout: Layout,
}

impl Out {
    /// Writes sixteen pixels, one channel after the other.
    ///
    /// # Safety
    /// Pixels `x` to `x + 16` are within the row.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn separate(&self, x: usize, uint8x16x3_t(r, g, b): Rgb) {
        for (channel, values) in [r, g, b].into_iter().enumerate() {
            // SAFETY: one byte a pixel and channel, of which there are three.
            unsafe { vst1q_u8(self.start.add(channel * self.width + x), values) }
        }
    }
}

/// Converts whole steps of RGB pixels.
///
/// # Safety
/// All of `out` can be written.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn rgb(out: &Out, load: impl Fn(usize) -> Rgb) {
    for x in (0..out.width / PIXELS * PIXELS).step_by(PIXELS) {
        let pixels = load(x);
        // SAFETY: whole steps end within the row; one byte or three a pixel.
        unsafe {
            match out.layout {
                Layout::Gray => vst1q_u8(out.start.add(x), gray_of_rgb(pixels)),
                Layout::Separate => out.separate(x, pixels),
                Layout::Interleaved => vst3q_u8(out.start.add(x * 3), pixels),
            }
        }
    }
}

/// Converts whole steps of pixels that share their chroma in pairs, by the factors at `FACTORS` in [`Factors::ALL`].
///
/// # Safety
/// All of `out` can be written.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn shared<const FACTORS: usize, L: Fn(usize) -> Shared>(out: &Out, load: L) {
    let steps = (0..out.width / PIXELS * PIXELS).step_by(PIXELS);
    let rgb = |x| {
        let [even, odd, u, v] = load(x);
        let colours = chroma::<FACTORS>(u, v);
        let zipped = |at: usize| {
            let [even, odd] = [even, odd].map(|y| of_yuv::<FACTORS>(y, colours[at]));
            vcombine_u8(vzip1_u8(even, odd), vzip2_u8(even, odd))
        };
        uint8x16x3_t(zipped(0), zipped(1), zipped(2))
    };
    // SAFETY: whole steps end within the row; one byte or three a pixel.
    unsafe {
        match out.layout {
            Layout::Gray => steps.for_each(|x| {
                let [even, odd, u, v] = load(x);
                let [.., gray] = chroma::<FACTORS>(u, v);
                vst2_u8(out.start.add(x), uint8x8x2_t(of_yuv::<FACTORS>(even, gray), of_yuv::<FACTORS>(odd, gray)));
            }),
            Layout::Separate => steps.for_each(|x| out.separate(x, rgb(x))),
            Layout::Interleaved => steps.for_each(|x| vst3q_u8(out.start.add(x * 3), rgb(x))),
        }
    }
}

/// Converts whole steps of YUV pixels by the factors at `FACTORS` in [`Factors::ALL`].
///
/// # Safety
/// All of `out` can be written.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn yuv<const FACTORS: usize, L: Fn(usize) -> Yuv>(out: &Out, load: L) {
    let steps = (0..out.width / PIXELS * PIXELS).step_by(PIXELS);
    let colours = |x| {
        let [y, u, v] = load(x);
        let halves = [[y, u, v].map(|of| vget_low_u8(of)), [y, u, v].map(|of| vget_high_u8(of))];
        let [low, high] = halves.map(|[y, u, v]| chroma::<FACTORS>(u, v).map(|colour| of_yuv::<FACTORS>(y, colour)));
        [0, 1, 2, 3].map(|at| vcombine_u8(low[at], high[at]))
    };
    let rgb = |x| {
        let [r, g, b, _] = colours(x);
        uint8x16x3_t(r, g, b)
    };
    // SAFETY: whole steps end within the row; one byte or three a pixel.
    unsafe {
        match out.layout {
            Layout::Gray => steps.for_each(|x| vst1q_u8(out.start.add(x), colours(x)[3])),
            Layout::Separate => steps.for_each(|x| out.separate(x, rgb(x))),
            Layout::Interleaved => steps.for_each(|x| vst3q_u8(out.start.add(x * 3), rgb(x))),
        }
    }
}

/// Bytes minus a constant.
#[inline]
#[target_feature(enable = "neon")]
fn less(values: uint8x8_t, constant: u8) -> int16x8_t {
    vreinterpretq_s16_u16(vsubl_u8(values, vdup_n_u8(constant)))
}

/// What chroma adds to red, green, blue and gray: the small part, before the shift, and the whole part. All factors are
/// constants here: those that are 0 disappear, and so does a colour that is not used.
#[inline]
#[target_feature(enable = "neon")]
fn chroma<const FACTORS: usize>(u: uint8x8_t, v: uint8x8_t) -> [[int16x8_t; 2]; 4] {
    let Factors { red, green, blue, gray, .. } = const { &Factors::ALL[FACTORS] };
    let (u, v) = (less(u, 128), less(v, 128));
    let sum = |first, second| vmlaq_n_s16(vmulq_n_s16(u, first), v, second);
    let parts = |[first, second]: [i16; 2]| [sum(small(first), small(second)), sum(whole(first), whole(second))];
    [parts(*red), parts(*green), parts(*blue), parts(*gray)]
}

/// One colour. The sum before the shift fits 16 bits, as `encoding.rs` asserts, and the shift adds the half.
#[inline]
#[target_feature(enable = "neon")]
fn of_yuv<const FACTORS: usize>(y: uint8x8_t, [fraction, whole]: [int16x8_t; 2]) -> uint8x8_t {
    let Factors { black, luma: factor, .. } = const { &Factors::ALL[FACTORS] };
    let luma = less(y, *black as u8);
    let shifted = vrshrq_n_s16::<8>(vaddq_s16(vmulq_n_s16(luma, small(*factor)), fraction));
    vqmovun_s16(vaddq_s16(vaddq_s16(luma, whole), shifted))
}

/// Gray in fifteen bits; the shift adds the half.
#[inline]
#[target_feature(enable = "neon")]
fn gray_of_rgb(uint8x16x3_t(r, g, b): Rgb) -> uint8x16_t {
    let four = |[r, g, b]: [uint16x4_t; 3]| {
        vrshrn_n_u32::<15>(vmlal_n_u16(vmlal_n_u16(vmull_n_u16(r, 9798), g, 19235), b, 3735))
    };
    let eight = |channels: [uint16x8_t; 3]| {
        let [low, high] = [channels.map(|of| vget_low_u16(of)), channels.map(|of| vget_high_u16(of))];
        vmovn_u16(vcombine_u16(four(low), four(high)))
    };
    let [low, high] = [[r, g, b].map(|of| vmovl_u8(vget_low_u8(of))), [r, g, b].map(|of| vmovl_high_u8(of))];
    vcombine_u8(eight(low), eight(high))
}

#[target_feature(enable = "neon")]
fn horizontal(row: &[u8], windows: &Windows<'_>, out: &mut [u16]) {
    // With a small constant width the loop is unrolled.
    match windows.width() {
        STEP => horizontal_of::<STEP>(row, windows, out),
        _ => horizontal_of::<0>(row, windows, out),
    }
}

/// Windows of `WIDTH` values, or of any number if that is 0. Four targets at a time; the last four overlap the ones before
/// and repeat their result.
#[target_feature(enable = "neon")]
fn horizontal_of<const WIDTH: usize>(row: &[u8], windows: &Windows<'_>, out: &mut [u16]) {
    let starts = windows.starts();
    let width = if WIDTH == 0 { windows.width() } else { WIDTH };
    assert!(row.len() == windows.source() && out.len() == starts.len() && starts.len() >= STEP);
    assert!(windows.width() == width);
    let last = out.len() - 4;
    for first in (0..out.len()).step_by(4).map(|first| first.min(last)) {
        let sum = |skip: usize| {
            let mut sum = vdupq_n_u32(0);
            // SAFETY: `first` is at most four before the end; a window is within the row, `width` values of eight at a
            // time; so are its weights.
            unsafe {
                let values = row.as_ptr().add(usize::from(*starts.get_unchecked(first + skip)));
                let weights = windows.weights().as_ptr().add((first + skip) * width);
                for at in (0..width).step_by(STEP) {
                    let (values, weights) = (vmovl_u8(vld1_u8(values.add(at))), vld1q_u16(weights.add(at)));
                    sum = vmlal_u16(sum, vget_low_u16(values), vget_low_u16(weights));
                    sum = vmlal_high_u16(sum, values, weights);
                }
            }
            sum
        };
        let pairs = vpaddq_u32(vpaddq_u32(sum(0), sum(1)), vpaddq_u32(sum(2), sum(3)));
        // SAFETY: `first` is at most four before the end.
        unsafe { vst1_u16(out.as_mut_ptr().add(first), vrshrn_n_u32::<6>(pairs)) }
    }
}

#[target_feature(enable = "neon")]
fn accumulate(row: &[u16], weight: u32, sums: &mut [u32]) -> usize {
    let whole = row.len().min(sums.len()) / 8 * 8;
    // 2^14 at most.
    let weight = weight as u16;
    for at in (0..whole).step_by(8) {
        // SAFETY: eight values from `at` are in both.
        unsafe {
            let values = vld1q_u16(row.as_ptr().add(at));
            let sum = sums.as_mut_ptr().add(at);
            vst1q_u32(sum, vmlal_n_u16(vld1q_u32(sum), vget_low_u16(values), weight));
            vst1q_u32(sum.add(4), vmlal_high_n_u16(vld1q_u32(sum.add(4)), values, weight));
        }
    }
    whole
}

#[target_feature(enable = "neon")]
fn finish(sums: &[u32], out: &mut [u8]) -> usize {
    let whole = sums.len().min(out.len()) / 8 * 8;
    for at in (0..whole).step_by(8) {
        // SAFETY: eight values from `at` are in both.
        unsafe {
            let sum = sums.as_ptr().add(at);
            let high = vcombine_u16(vshrn_n_u32::<16>(vld1q_u32(sum)), vshrn_n_u32::<16>(vld1q_u32(sum.add(4))));
            vst1_u8(out.as_mut_ptr().add(at), vshrn_n_u16::<6>(high));
        }
    }
    whole
}
