//! The operations of an instruction set on rows, with the reference for the rest of a row.

#![allow(unsafe_code, reason = "calls functions of an instruction set, which only a core that has it may run")]

use crate::image::{PixelFormat, Row};
use crate::preprocess::windows::Windows;
use crate::preprocess::{Channels, resize};

/// The order of a converted row's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One byte a pixel.
    Gray,
    /// Red, green and blue of each pixel.
    Interleaved,
    /// All reds, then all greens, then all blues.
    Separate,
}

/// What the instruction sets rely on for their pointers: that the row has all bytes of `width` pixels, and `out` room for each.
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "no instruction set of this architecture converts rows")
)]
pub(super) fn assert_fits(row: &Row<'_>, width: usize, layout: Layout, out_len: usize) {
    let channels = if layout == Layout::Gray { 1 } else { 3 };
    assert!(out_len >= width * channels);
    let [first, second, third] = row.planes;
    let chroma = match row.format {
        PixelFormat::Nv12 => [width, 0],
        PixelFormat::I420 | PixelFormat::I422 => [width / 2; 2],
        PixelFormat::I444 => [width; 2],
        _ => [0; 2],
    };
    assert!(first.len() >= row.format.row_len(width) && second.len() >= chroma[0] && third.len() >= chroma[1]);
}

/// An instruction set: one static a file. `InstructionSet::operations` returns it only where the core has the instructions.
pub(crate) struct Operations {
    /// Whether this core has the instructions.
    pub(super) is_available: fn() -> bool,
    /// Converts an even number of pixels from the first on, and returns the number. `out` has the length of the layout.
    pub(super) convert: unsafe fn(row: &Row<'_>, width: usize, layout: Layout, out: &mut [u8]) -> usize,
    /// As [`crate::preprocess::resize`] does for one channel. The row and `out` have the lengths of the windows.
    pub(super) horizontal: unsafe fn(row: &[u8], windows: &Windows<'_>, out: &mut [u16]),
    /// Adds a weighted row to the sums, from the first on and up to the shorter of both, and returns the number.
    pub(super) accumulate: unsafe fn(row: &[u16], weight: u32, sums: &mut [u32]) -> usize,
    /// Writes sums as bytes, from the first on and up to the shorter of both, and returns the number.
    pub(super) finish: unsafe fn(sums: &[u32], out: &mut [u8]) -> usize,
}

/// Pixels of the rest of a row that the reference converts at a time.
const REST: usize = 16;

impl Operations {
    /// Converts a row to interleaved gray or RGB.
    pub(crate) fn interleave(&self, row: &Row<'_>, channels: Channels, out: &mut [u8]) {
        match (row.format, channels) {
            (PixelFormat::Gray8, Channels::Gray) if !row.is_limited_gray() => row.convert(channels, out),
            (PixelFormat::Rgb8, Channels::Rgb) => row.convert(channels, out),
            (_, Channels::Gray) => self.convert(row, Layout::Gray, out.len(), out),
            (_, Channels::Rgb) => self.convert(row, Layout::Interleaved, out.len() / 3, out),
        }
    }

    /// Converts a row to gray, or to all its reds, greens and blues.
    pub(crate) fn separate(&self, row: &Row<'_>, channels: Channels, out: &mut [u8]) {
        match (row.format, channels) {
            (PixelFormat::Gray8, Channels::Gray) if !row.is_limited_gray() => row.convert(channels, out),
            (PixelFormat::Gray8, Channels::Rgb) if !row.is_limited_gray() => {
                out.chunks_exact_mut(row.planes[0].len()).for_each(|plane| plane.copy_from_slice(row.planes[0]));
            }
            (_, Channels::Gray) => self.convert(row, Layout::Gray, out.len(), out),
            (_, Channels::Rgb) => self.convert(row, Layout::Separate, out.len() / 3, out),
        }
    }

    fn convert(&self, row: &Row<'_>, layout: Layout, width: usize, out: &mut [u8]) {
        // SAFETY: `InstructionSet::operations` returns only what the core has, and `out` holds a byte or three for each of `width` pixels.
        let mut done = unsafe { (self.convert)(row, width, layout, out) };
        while done < width {
            let count = REST.min(width - done);
            let part = row.part(done, count);
            match layout {
                Layout::Gray => part.convert(Channels::Gray, &mut out[done..done + count]),
                Layout::Interleaved => part.convert(Channels::Rgb, &mut out[done * 3..(done + count) * 3]),
                Layout::Separate => {
                    let mut pixels = [0; REST * 3];
                    part.convert(Channels::Rgb, &mut pixels[..count * 3]);
                    for (channel, plane) in out.chunks_exact_mut(width).enumerate() {
                        for (to, pixel) in plane[done..done + count].iter_mut().zip(pixels.as_chunks::<3>().0) {
                            *to = pixel[channel];
                        }
                    }
                }
            }
            done += count;
        }
    }

    /// Resizes one channel of a row, with eight fraction bits.
    pub(crate) fn horizontal(&self, row: &[u8], windows: &Windows<'_>, out: &mut [u16]) {
        assert!(row.len() == windows.source() && out.len() == windows.starts().len());
        // SAFETY: `InstructionSet::operations` returns only what the core has, and the lengths have just been checked.
        unsafe { (self.horizontal)(row, windows, out) }
    }

    /// Adds a weighted row to the sums.
    pub(crate) fn accumulate(&self, row: &[u16], weight: u32, sums: &mut [u32]) {
        // SAFETY: `InstructionSet::operations` returns only what the core has.
        let done = unsafe { (self.accumulate)(row, weight, sums) };
        resize::accumulate(&row[done..], weight, &mut sums[done..]);
    }

    /// Writes sums of one channel as bytes.
    pub(crate) fn finish(&self, sums: &[u32], out: &mut [u8]) {
        // SAFETY: `InstructionSet::operations` returns only what the core has.
        let done = unsafe { (self.finish)(sums, out) };
        resize::finish::<1>(&sums[done..], 0, &mut out[done..]);
    }
}
