//! Integer BT.601, a row at a time: RGB to gray, and limited-range YUV to RGB and gray.
//!
//! Every formula is integer, so that every machine and instruction set gives the same bytes. Where lengths differ, the
//! longer row is processed in part.

use super::PixelFormat;
use crate::preprocess::Channels;

/// The bytes of one row of an image, in the first plane and, in planar formats, in the second and third.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) format: PixelFormat,
    pub(crate) planes: [&'a [u8]; 3],
}

impl<'a> Row<'a> {
    /// `len` pixels from `start`; both are even if chroma covers two pixels.
    pub(crate) fn part(&self, start: usize, len: usize) -> Self {
        let [first, second, third] = self.planes;
        let part = |plane: &'a [u8], row_len: fn(usize) -> usize| &plane[row_len(start)..row_len(start + len)];
        let format = self.format;
        let first = &first[format.row_len(start)..format.row_len(start + len)];
        let (second, third) = match format {
            PixelFormat::Nv12 => (part(second, |pixels| pixels), third),
            PixelFormat::I420 => (part(second, |pixels| pixels / 2), part(third, |pixels| pixels / 2)),
            _ => (second, third),
        };
        Self { format, planes: [first, second, third] }
    }

    /// Converts to interleaved gray or RGB, pixel by pixel: the reference for every instruction set.
    pub(crate) fn convert(&self, channels: Channels, out: &mut [u8]) {
        let [row, second, third] = self.planes;
        // One match per row: the loop of each arm knows its layout at compile time.
        match self.format {
            PixelFormat::Gray8 => gray_row(row, channels, out),
            PixelFormat::Rgb8 => rgb_row::<3, 0, 2>(row, channels, out),
            PixelFormat::Bgr8 => rgb_row::<3, 2, 0>(row, channels, out),
            PixelFormat::Rgba8 => rgb_row::<4, 0, 2>(row, channels, out),
            PixelFormat::Yuyv => {
                let pairs = row.as_chunks::<4>().0.iter().map(|&[y0, u, y1, v]| [y0, y1, u, v]);
                yuv_row(pairs, channels, out);
            }
            PixelFormat::Uyvy => {
                let pairs = row.as_chunks::<4>().0.iter().map(|&[u, y0, v, y1]| [y0, y1, u, v]);
                yuv_row(pairs, channels, out);
            }
            PixelFormat::Nv12 => {
                let luma = row.as_chunks::<2>().0.iter();
                let pairs = luma.zip(second.as_chunks::<2>().0).map(|(&[y0, y1], &[u, v])| [y0, y1, u, v]);
                yuv_row(pairs, channels, out);
            }
            PixelFormat::I420 => {
                let luma = row.as_chunks::<2>().0.iter();
                let pairs = luma.zip(second.iter().zip(third)).map(|(&[y0, y1], (&u, &v))| [y0, y1, u, v]);
                yuv_row(pairs, channels, out);
            }
        }
    }
}

/// Gray of full-range RGB: BT.601's 0.299, 0.587, 0.114 in fifteen bits. The weights add up to 2^15, so white stays 255
/// and gray does not change.
pub(super) fn gray_of_rgb(r: u8, g: u8, b: u8) -> u8 {
    ((9798 * u32::from(r) + 19235 * u32::from(g) + 3735 * u32::from(b) + 16384) >> 15) as u8
}

/// RGB of limited-range YUV, BT.601 in eight bits.
pub(super) fn rgb_of_yuv(y: u8, u: u8, v: u8) -> [u8; 3] {
    let c = 298 * (i32::from(y) - 16);
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    [clamp((c + 409 * v + 128) >> 8), clamp((c - 100 * u - 208 * v + 128) >> 8), clamp((c + 516 * u + 128) >> 8)]
}

/// Gray of limited-range YUV: luma alone, stretched to the full range.
pub(super) fn gray_of_y(y: u8) -> u8 {
    clamp((298 * (i32::from(y) - 16) + 128) >> 8)
}

fn clamp(value: i32) -> u8 {
    value.clamp(0, 255) as u8
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
fn yuv_row(pairs: impl Iterator<Item = [u8; 4]>, channels: Channels, out: &mut [u8]) {
    match channels {
        Channels::Gray => {
            for (to, [y0, y1, ..]) in out.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
                *to = [gray_of_y(y0), gray_of_y(y1)];
            }
        }
        Channels::Rgb => {
            for (to, [y0, y1, u, v]) in out.as_chunks_mut::<6>().0.iter_mut().zip(pairs) {
                let ([r0, g0, b0], [r1, g1, b1]) = (rgb_of_yuv(y0, u, v), rgb_of_yuv(y1, u, v));
                *to = [r0, g0, b0, r1, g1, b1];
            }
        }
    }
}
