//! AVX2: sixteen pixels of 16 bits at a time, and `vpmaddwd` for products of 32 bits.
//!
//! The colours of YUV fit into 16 bits although the products do not: the part of a factor that is a multiple of 256 is added
//! after the shift by 8, with the same result. In BT.601 298 = 256 + 42, 409 = 512 - 103, -208 = -256 + 48, 516 = 512 + 4.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that are stated at each")]

use core::arch::x86_64::*;

use super::operations::{Layout, Operations, assert_fits};
use crate::image::{Factors, PixelFormat, Row, small, whole, with_factors};
use crate::preprocess::windows::{STEP, Windows};

pub(super) static OPERATIONS: Operations = Operations { is_available, convert, horizontal, accumulate, finish };

#[cfg(any(feature = "std", test))]
fn is_available() -> bool {
    std::is_x86_feature_detected!("avx2")
}

#[cfg(not(any(feature = "std", test)))]
fn is_available() -> bool {
    cfg!(target_feature = "avx2")
}

/// Pixels of a step of [`convert`].
const PIXELS: usize = 16;

/// Red, green and blue of sixteen pixels.
type Rgb = [__m128i; 3];

/// Y, U and V of sixteen pixels, each widened to 16 bits.
type Yuv = [__m256i; 3];

#[target_feature(enable = "avx2")]
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
                let none = _mm256_set1_epi16(128);
                with_factors!(encoding, yuv, (&out, |x| [widened(first.add(x)), none, none]));
            }
            PixelFormat::Gray8 => rgb(&out, |x| [_mm_loadu_si128(first.add(x).cast()); 3]),
            PixelFormat::Rgb8 => rgb(&out, |x| of_three_bytes(first.add(x * 3), [0, 1, 2])),
            PixelFormat::Bgr8 => rgb(&out, |x| of_three_bytes(first.add(x * 3), [2, 1, 0])),
            PixelFormat::Rgba8 => rgb(&out, |x| of_four_bytes(first.add(x * 4))),
            PixelFormat::Yuyv => with_factors!(encoding, yuv, (&out, |x| of_pairs::<0, 1, 3>(first.add(x * 2)))),
            PixelFormat::Uyvy => with_factors!(encoding, yuv, (&out, |x| of_pairs::<1, 0, 2>(first.add(x * 2)))),
            PixelFormat::Nv12 => {
                let load = |x| {
                    let chroma = _mm_loadu_si128(second.add(x).cast());
                    let [u, v] = [0, 1].map(|at| _mm256_cvtepu8_epi16(_mm_shuffle_epi8(chroma, of_mask(twice(at)))));
                    [widened(first.add(x)), u, v]
                };
                with_factors!(encoding, yuv, (&out, load));
            }
            PixelFormat::I420 | PixelFormat::I422 => {
                let load = |x| {
                    let [u, v] = [second, third].map(|plane| {
                        let chroma = _mm_loadl_epi64(plane.add(x / 2).cast());
                        _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(chroma, chroma))
                    });
                    [widened(first.add(x)), u, v]
                };
                with_factors!(encoding, yuv, (&out, load));
            }
            PixelFormat::I444 => {
                let load = |x| [first, second, third].map(|plane| widened(plane.add(x)));
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
    /// Writes sixteen gray pixels.
    ///
    /// # Safety
    /// Pixels `x` to `x + 16` are within the row.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn gray(&self, x: usize, gray: __m128i) {
        // SAFETY: one byte a pixel.
        unsafe { _mm_storeu_si128(self.start.add(x).cast(), gray) }
    }

    /// Writes sixteen pixels, one channel after the other.
    ///
    /// # Safety
    /// As [`gray`](Self::gray).
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn separate(&self, x: usize, rgb: Rgb) {
        for (channel, values) in rgb.into_iter().enumerate() {
            // SAFETY: one byte a pixel and channel, of which there are three.
            unsafe { _mm_storeu_si128(self.start.add(channel * self.width + x).cast(), values) }
        }
    }

    /// Writes sixteen pixels, interleaved.
    ///
    /// # Safety
    /// As [`gray`](Self::gray).
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn interleaved(&self, x: usize, [r, g, b]: Rgb) {
        const MASKS: [[[u8; 16]; 3]; 3] = interleaving();
        for (part, masks) in MASKS.into_iter().enumerate() {
            let [r, g, b] =
                [(r, masks[0]), (g, masks[1]), (b, masks[2])].map(|(of, mask)| _mm_shuffle_epi8(of, of_mask(mask)));
            let bytes = _mm_or_si128(_mm_or_si128(r, g), b);
            // SAFETY: three bytes a pixel, hence three times sixteen.
            unsafe { _mm_storeu_si128(self.start.add(x * 3 + part * 16).cast(), bytes) }
        }
    }
}

/// For each sixteen of 48 interleaved bytes, and each channel: which of its pixels goes where.
const fn interleaving() -> [[[u8; 16]; 3]; 3] {
    let mut masks = [[[0x80; 16]; 3]; 3];
    let mut at = 0;
    while at < 48 {
        masks[at / 16][at % 3][at % 16] = (at / 3) as u8;
        at += 1;
    }
    masks
}

/// Converts whole steps of RGB pixels.
///
/// # Safety
/// All of `out` can be written.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn rgb(out: &Out, load: impl Fn(usize) -> Rgb) {
    for x in (0..out.width / PIXELS * PIXELS).step_by(PIXELS) {
        let pixels = load(x);
        // SAFETY: whole steps end within the row.
        unsafe {
            match out.layout {
                Layout::Gray => out.gray(x, gray_of_rgb(pixels)),
                Layout::Separate => out.separate(x, pixels),
                Layout::Interleaved => out.interleaved(x, pixels),
            }
        }
    }
}

/// Converts whole steps of YUV pixels by the factors at `FACTORS` in [`Factors::ALL`].
///
/// # Safety
/// All of `out` can be written.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn yuv<const FACTORS: usize, L: Fn(usize) -> Yuv>(out: &Out, load: L) {
    let steps = (0..out.width / PIXELS * PIXELS).step_by(PIXELS);
    // SAFETY: whole steps end within the row.
    unsafe {
        match out.layout {
            Layout::Gray => {
                steps.for_each(|x| out.gray(x, of_yuv::<FACTORS>(load(x), const { Factors::ALL[FACTORS].gray })));
            }
            Layout::Separate => steps.for_each(|x| out.separate(x, rgb_of_yuv::<FACTORS>(load(x)))),
            Layout::Interleaved => steps.for_each(|x| out.interleaved(x, rgb_of_yuv::<FACTORS>(load(x)))),
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn rgb_of_yuv<const FACTORS: usize>(yuv: Yuv) -> Rgb {
    let Factors { red, green, blue, .. } = const { &Factors::ALL[FACTORS] };
    [of_yuv::<FACTORS>(yuv, *red), of_yuv::<FACTORS>(yuv, *green), of_yuv::<FACTORS>(yuv, *blue)]
}

/// One colour by the factors of its chroma, all of which are constants here: those that are 0 disappear, and what two colours
/// share is computed once. The sums before the shift fit 16 bits, as `encoding.rs` asserts.
#[inline]
#[target_feature(enable = "avx2")]
fn of_yuv<const FACTORS: usize>([y, u, v]: Yuv, [first, second]: [i16; 2]) -> __m128i {
    let Factors { black, luma: factor, .. } = const { &Factors::ALL[FACTORS] };
    let luma = _mm256_sub_epi16(y, _mm256_set1_epi16(*black));
    let [u, v] = [u, v].map(|chroma| _mm256_sub_epi16(chroma, _mm256_set1_epi16(128)));
    let times = |values, factor| _mm256_mullo_epi16(values, _mm256_set1_epi16(factor));
    let inner = _mm256_add_epi16(times(luma, small(*factor)), _mm256_set1_epi16(128));
    let fraction = _mm256_add_epi16(inner, _mm256_add_epi16(times(u, small(first)), times(v, small(second))));
    let wholes = _mm256_add_epi16(times(u, whole(first)), times(v, whole(second)));
    bytes(_mm256_add_epi16(_mm256_add_epi16(luma, wholes), _mm256_srai_epi16::<8>(fraction)))
}

/// Sixteen numbers, clamped to bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn bytes(values: __m256i) -> __m128i {
    _mm_packus_epi16(_mm256_castsi256_si128(values), _mm256_extracti128_si256::<1>(values))
}

/// Gray in fifteen bits; the last pair's factor adds the half.
#[inline]
#[target_feature(enable = "avx2")]
fn gray_of_rgb([r, g, b]: Rgb) -> __m128i {
    let half = |rg: __m128i, b: __m128i| {
        let rg = _mm256_madd_epi16(_mm256_cvtepu8_epi16(rg), _mm256_set1_epi32(19235 << 16 | 9798));
        let b = _mm256_madd_epi16(_mm256_cvtepu8_epi16(b), _mm256_set1_epi32(16384 << 16 | 3735));
        _mm256_srli_epi32::<15>(_mm256_add_epi32(rg, b))
    };
    let one = _mm_set1_epi8(1);
    let low = half(_mm_unpacklo_epi8(r, g), _mm_unpacklo_epi8(b, one));
    let high = half(_mm_unpackhi_epi8(r, g), _mm_unpackhi_epi8(b, one));
    bytes(_mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn of_mask(mask: [u8; 16]) -> __m128i {
    // SAFETY: the array has sixteen bytes.
    unsafe { _mm_loadu_si128(mask.as_ptr().cast()) }
}

/// Byte `at` of each two, twice.
const fn twice(at: u8) -> [u8; 16] {
    let mut mask = [0; 16];
    let mut to = 0;
    while to < 16 {
        mask[to] = (to / 2 * 2) as u8 + at;
        to += 1;
    }
    mask
}

/// Sixteen bytes, widened.
///
/// # Safety
/// They can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn widened(from: *const u8) -> __m256i {
    // SAFETY: the caller's.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(from.cast()) })
}

/// Sixteen pixels in pairs of four bytes: luma at `Y` and `Y + 2`, chroma at `U` and `V`.
///
/// # Safety
/// 32 bytes can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn of_pairs<const Y: u8, const U: u8, const V: u8>(from: *const u8) -> Yuv {
    /// Byte `first` of each four for the first of two lanes, `second` for the second.
    const fn spread(first: u8, second: u8) -> [u8; 16] {
        let mut mask = [0x80; 16];
        let mut to = 0;
        while to < 16 {
            mask[to] = to as u8 + first;
            mask[to + 2] = to as u8 + second;
            to += 4;
        }
        mask
    }
    // SAFETY: the caller's.
    let pairs = unsafe { _mm256_loadu_si256(from.cast()) };
    let take = |first, second| _mm256_shuffle_epi8(pairs, _mm256_broadcastsi128_si256(of_mask(spread(first, second))));
    [take(Y, Y + 2), take(U, U), take(V, V)]
}

/// Sixteen pixels of three bytes, with their channels in this order.
///
/// # Safety
/// 48 bytes can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn of_three_bytes(from: *const u8, order: [usize; 3]) -> Rgb {
    const LAST: __m128i = by_channel(3, 4);
    const OTHERS: __m128i = by_channel(3, 0);
    // SAFETY: the last sixteen of 48 bytes begin at 32; their first four belong to the previous pixels.
    let fours = unsafe {
        [(0, OTHERS), (12, OTHERS), (24, OTHERS), (32, LAST)]
            .map(|(at, mask)| _mm_shuffle_epi8(_mm_loadu_si128(from.add(at).cast()), mask))
    };
    let channels = transposed(fours);
    order.map(|channel| channels[channel])
}

/// Sixteen pixels of four bytes, without the last.
///
/// # Safety
/// 64 bytes can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn of_four_bytes(from: *const u8) -> Rgb {
    const MASK: __m128i = by_channel(4, 0);
    // SAFETY: the caller's.
    transposed(unsafe { [0, 16, 32, 48].map(|at| _mm_shuffle_epi8(_mm_loadu_si128(from.add(at).cast()), MASK)) })
}

/// The mask that gathers four pixels of `size` bytes from byte `skip` on by channel: four reds, four greens, four blues.
const fn by_channel(size: u8, skip: u8) -> __m128i {
    let mut mask = [0x80; 16];
    let mut at = 0;
    while at < 12 {
        mask[at as usize] = skip + at % 4 * size + at / 4;
        at += 1;
    }
    // SAFETY: any sixteen bytes are a vector.
    unsafe { core::mem::transmute::<[u8; 16], __m128i>(mask) }
}

/// Four times four reds, greens and blues by channel.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed([first, second, third, fourth]: [__m128i; 4]) -> Rgb {
    let (front, back) = (_mm_unpacklo_epi32(first, second), _mm_unpacklo_epi32(third, fourth));
    let blue = _mm_unpacklo_epi64(_mm_unpackhi_epi32(first, second), _mm_unpackhi_epi32(third, fourth));
    [_mm_unpacklo_epi64(front, back), _mm_unpackhi_epi64(front, back), blue]
}

#[target_feature(enable = "avx2")]
fn horizontal(row: &[u8], windows: &Windows<'_>, out: &mut [u16]) {
    // With a small constant width the loop is unrolled.
    match windows.width() {
        STEP => horizontal_of::<STEP>(row, windows, out),
        _ => horizontal_of::<0>(row, windows, out),
    }
}

/// Windows of `WIDTH` values, or of any number if that is 0. Eight targets at a time; the last eight overlap the ones before
/// and repeat their result.
#[target_feature(enable = "avx2")]
fn horizontal_of<const WIDTH: usize>(row: &[u8], windows: &Windows<'_>, out: &mut [u16]) {
    let starts = windows.starts();
    let width = if WIDTH == 0 { windows.width() } else { WIDTH };
    assert!(row.len() == windows.source() && out.len() == starts.len() && starts.len() >= STEP);
    assert!(windows.width() == width);
    let last = out.len() - STEP;
    for first in (0..out.len()).step_by(STEP).map(|first| first.min(last)) {
        // Of two targets, one in each half.
        let sum = |skip: usize| {
            let mut sum = _mm256_setzero_si256();
            let target = first + skip;
            // SAFETY: `first` is at most eight before the end; a window is within the row, `width` values of eight at a
            // time; so are its weights.
            unsafe {
                let start = |target| row.as_ptr().add(usize::from(*starts.get_unchecked(target)));
                let (one, other) = (start(target), start(target + 1));
                let weights = windows.weights().as_ptr().add(target * width);
                for at in (0..width).step_by(STEP) {
                    let [one, other] = [one, other].map(|values| _mm_loadl_epi64(values.add(at).cast()));
                    let values = _mm256_cvtepu8_epi16(_mm_unpacklo_epi64(one, other));
                    let weights = weights.add(at);
                    let weights = _mm256_loadu2_m128i(weights.add(width).cast(), weights.cast());
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(values, weights));
                }
            }
            sum
        };
        let pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(sum(0), sum(2)), _mm256_hadd_epi32(sum(4), sum(6)));
        let rounded = _mm256_srli_epi32::<6>(_mm256_add_epi32(pairs, _mm256_set1_epi32(1 << 5)));
        // Even targets are in the lower half and odd ones in the upper, sixteen bits each.
        let odd = _mm_slli_epi32::<16>(_mm256_extracti128_si256::<1>(rounded));
        let values = _mm_or_si128(_mm256_castsi256_si128(rounded), odd);
        // SAFETY: `first` is at most eight before the end.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().add(first).cast(), values) }
    }
}

#[target_feature(enable = "avx2")]
fn accumulate(row: &[u16], weight: u32, sums: &mut [u32]) -> usize {
    let whole = row.len().min(sums.len()) / 8 * 8;
    let weight = _mm256_set1_epi32(weight as i32);
    for at in (0..whole).step_by(8) {
        // SAFETY: eight values from `at` are in both.
        unsafe {
            let values = _mm256_cvtepu16_epi32(_mm_loadu_si128(row.as_ptr().add(at).cast()));
            let sum = sums.as_mut_ptr().add(at).cast();
            _mm256_storeu_si256(sum, _mm256_add_epi32(_mm256_loadu_si256(sum), _mm256_mullo_epi32(values, weight)));
        }
    }
    whole
}

#[target_feature(enable = "avx2")]
fn finish(sums: &[u32], out: &mut [u8]) -> usize {
    let whole = sums.len().min(out.len()) / 16 * 16;
    for at in (0..whole).step_by(16) {
        // SAFETY: sixteen values from `at` are in both.
        unsafe {
            let half = |skip| _mm256_srli_epi32::<22>(_mm256_loadu_si256(sums.as_ptr().add(at + skip).cast()));
            let values = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(half(0), half(8)));
            _mm_storeu_si128(out.as_mut_ptr().add(at).cast(), bytes(values));
        }
    }
    whole
}
