//! Integer colour arithmetic, a row at a time: RGB to gray by BT.601, and YUV of each encoding to RGB and gray.
//!
//! Every formula is integer, so that every machine and instruction set gives the same bytes. Where lengths differ, the
//! longer row is processed in part.

use super::{ColourEncoding, Factors, PixelFormat, Range, with_factors};
use crate::preprocess::Channels;

/// The bytes of one row of an image, in the first plane and, in planar formats, in the second and third.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) format: PixelFormat,
    pub(crate) encoding: ColourEncoding,
    pub(crate) planes: [&'a [u8]; 3],
}

impl<'a> Row<'a> {
    /// `len` pixels from `start`; both are even if chroma covers two pixels.
    pub(crate) fn part(&self, start: usize, len: usize) -> Self {
        let [first, second, third] = self.planes;
        let part = |plane: &'a [u8], row_len: fn(usize) -> usize| &plane[row_len(start)..row_len(start + len)];
        let (format, encoding) = (self.format, self.encoding);
        let first = &first[format.row_len(start)..format.row_len(start + len)];
        let (second, third) = match format {
            PixelFormat::Nv12 => (part(second, |pixels| pixels), third),
            PixelFormat::I420 | PixelFormat::I422 => {
                (part(second, |pixels| pixels / 2), part(third, |pixels| pixels / 2))
            }
            PixelFormat::I444 => (part(second, |pixels| pixels), part(third, |pixels| pixels)),
            _ => (second, third),
        };
        Self { format, encoding, planes: [first, second, third] }
    }

    /// Whether the row is gray whose bytes are to be stretched to the full range.
    pub(crate) fn is_limited_gray(&self) -> bool {
        self.format == PixelFormat::Gray8 && self.encoding.range == Range::Limited
    }

    /// Converts to interleaved gray or RGB, pixel by pixel: the reference for every instruction set.
    pub(crate) fn convert(&self, channels: Channels, out: &mut [u8]) {
        let [row, second, third] = self.planes;
        let encoding = self.encoding;
        // One match per row: the loop of each arm knows its layout at compile time.
        match self.format {
            PixelFormat::Gray8 if self.is_limited_gray() => {
                let pixels = row.iter().map(|&y| [y, 128, 128]);
                with_factors!(encoding, pixel_row, (pixels, channels, out));
            }
            PixelFormat::Gray8 => gray_row(row, channels, out),
            PixelFormat::Rgb8 => rgb_row::<3, 0, 2>(row, channels, out),
            PixelFormat::Bgr8 => rgb_row::<3, 2, 0>(row, channels, out),
            PixelFormat::Rgba8 => rgb_row::<4, 0, 2>(row, channels, out),
            PixelFormat::Yuyv => {
                let pairs = row.as_chunks::<4>().0.iter().map(|&[y0, u, y1, v]| [y0, y1, u, v]);
                with_factors!(encoding, pair_row, (pairs, channels, out));
            }
            PixelFormat::Uyvy => {
                let pairs = row.as_chunks::<4>().0.iter().map(|&[u, y0, v, y1]| [y0, y1, u, v]);
                with_factors!(encoding, pair_row, (pairs, channels, out));
            }
            PixelFormat::Nv12 => {
                let luma = row.as_chunks::<2>().0.iter();
                let pairs = luma.zip(second.as_chunks::<2>().0).map(|(&[y0, y1], &[u, v])| [y0, y1, u, v]);
                with_factors!(encoding, pair_row, (pairs, channels, out));
            }
            PixelFormat::I420 | PixelFormat::I422 => {
                let luma = row.as_chunks::<2>().0.iter();
                let pairs = luma.zip(second.iter().zip(third)).map(|(&[y0, y1], (&u, &v))| [y0, y1, u, v]);
                with_factors!(encoding, pair_row, (pairs, channels, out));
            }
            PixelFormat::I444 => {
                let pixels = row.iter().zip(second.iter().zip(third)).map(|(&y, (&u, &v))| [y, u, v]);
                with_factors!(encoding, pixel_row, (pixels, channels, out));
            }
        }
    }
}

/// Gray of full-range RGB: BT.601's 0.299, 0.587, 0.114 in fifteen bits. The weights add up to 2^15, so white stays 255
/// and gray does not change.
pub(super) fn gray_of_rgb(r: u8, g: u8, b: u8) -> u8 {
    ((9798 * u32::from(r) + 19235 * u32::from(g) + 3735 * u32::from(b) + 16384) >> 15) as u8
}

/// RGB of YUV. The factors of the encoding at `FACTORS` in [`Factors::ALL`] are known at compile time, so that a factor of 0 costs
/// nothing.
#[inline]
pub(super) fn rgb_of_yuv<const FACTORS: usize>([y, u, v]: [u8; 3]) -> [u8; 3] {
    let Factors { red, green, blue, .. } = const { &Factors::ALL[FACTORS] };
    [red, green, blue].map(|factors| weighted::<FACTORS>([y, u, v], factors))
}

/// Gray of YUV; luma alone, stretched to the full range, with the matrix of BT.601.
#[inline]
pub(super) fn gray_of_yuv<const FACTORS: usize>(yuv: [u8; 3]) -> u8 {
    weighted::<FACTORS>(yuv, &const { &Factors::ALL[FACTORS] }.gray)
}

#[inline]
fn weighted<const FACTORS: usize>([y, u, v]: [u8; 3], &[first, second]: &[i16; 2]) -> u8 {
    let Factors { black, luma, .. } = const { &Factors::ALL[FACTORS] };
    let luma = i32::from(*luma) * (i32::from(y) - i32::from(*black));
    let chroma = i32::from(first) * (i32::from(u) - 128) + i32::from(second) * (i32::from(v) - 128);
    ((luma + chroma + 128) >> 8).clamp(0, 255) as u8
}

/// A row of gray pixels; as RGB each is written three times.
fn gray_row(row: &[u8], channels: Channels, out: &mut [u8]) {
    match channels {
        Channels::Gray => out.copy_from_slice(row),
        Channels::Rgb => {
            for (to, &gray) in out.as_chunks_mut::<3>().0.iter_mut().zip(row) {
                *to = [gray; 3];
            }
        }
    }
}

/// A row of pixels of `N` bytes with red at `R`, green at 1 and blue at `B`.
fn rgb_row<const N: usize, const R: usize, const B: usize>(row: &[u8], channels: Channels, out: &mut [u8]) {
    let pixels = row.as_chunks::<N>().0;
    match channels {
        Channels::Gray => {
            for (to, from) in out.iter_mut().zip(pixels) {
                *to = gray_of_rgb(from[R], from[1], from[B]);
            }
        }
        Channels::Rgb => {
            for (to, from) in out.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
                *to = [from[R], from[1], from[B]];
            }
        }
    }
}

/// A row of pixel pairs `[y0, y1, u, v]`.
fn pair_row<const FACTORS: usize, P: Iterator<Item = [u8; 4]>>(pairs: P, channels: Channels, out: &mut [u8]) {
    match channels {
        Channels::Gray => {
            for (to, [y0, y1, u, v]) in out.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
                *to = [y0, y1].map(|y| gray_of_yuv::<FACTORS>([y, u, v]));
            }
        }
        Channels::Rgb => {
            for (to, [y0, y1, u, v]) in out.as_chunks_mut::<6>().0.iter_mut().zip(pairs) {
                let [[r0, g0, b0], [r1, g1, b1]] = [y0, y1].map(|y| rgb_of_yuv::<FACTORS>([y, u, v]));
                *to = [r0, g0, b0, r1, g1, b1];
            }
        }
    }
}

/// A row of pixels `[y, u, v]`.
fn pixel_row<const FACTORS: usize, P: Iterator<Item = [u8; 3]>>(pixels: P, channels: Channels, out: &mut [u8]) {
    match channels {
        Channels::Gray => {
            for (to, pixel) in out.iter_mut().zip(pixels) {
                *to = gray_of_yuv::<FACTORS>(pixel);
            }
        }
        Channels::Rgb => {
            for (to, pixel) in out.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
                *to = rgb_of_yuv::<FACTORS>(pixel);
            }
        }
    }
}
