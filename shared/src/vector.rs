//! Vector kernels for rows of pixels: which instruction sets there are, and what each of them does.
//!
//! One file an instruction set; each gives, byte for byte, what the reference in [`crate::image`] and
//! [`crate::preprocess`] gives, in whole vectors, and leaves the rest of a row to it. AVX2 is looked for at run time where
//! there is std, and otherwise at compile time; NEON is part of every 64-bit ARM target that has it. Knows rows and
//! windows; nothing of images as a whole, of placements or of files.

#![allow(unsafe_code, reason = "calls kernels of an instruction set, which only a core that has it may run")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
mod neon;
#[cfg(test)]
mod tests;

use crate::image::{PixelFormat, Row};
use crate::preprocess::windows::Windows;
use crate::preprocess::{Channels, resize};

/// Who computes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// Plain Rust; the reference for the others.
    Scalar,
    /// 256-bit vectors of x86-64.
    Avx2,
    /// 128-bit vectors of 64-bit ARM.
    Neon,
}

impl InstructionSet {
    /// All, the preferred ones last.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Neon];

    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
        }
    }

    /// Whether this program has its kernels and this core can run them.
    #[must_use]
    pub fn is_available(self) -> bool {
        self == Self::Scalar || self.operations().is_some()
    }

    /// The fastest that this core has.
    #[must_use]
    pub fn best() -> Self {
        if Self::Neon.is_available() {
            Self::Neon
        } else if Self::Avx2.is_available() {
            Self::Avx2
        } else {
            Self::Scalar
        }
    }

    /// Its kernels; `None` for plain Rust and for what this core lacks.
    pub(crate) fn operations(self) -> Option<&'static Operations> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 if has_avx2() => Some(&avx2::OPERATIONS),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
            Self::Neon => Some(&neon::OPERATIONS),
            _ => None,
        }
    }
}

#[cfg(all(target_arch = "x86_64", any(feature = "std", test)))]
fn has_avx2() -> bool {
    std::is_x86_feature_detected!("avx2")
}

#[cfg(all(target_arch = "x86_64", not(any(feature = "std", test))))]
fn has_avx2() -> bool {
    cfg!(target_feature = "avx2")
}

/// How the pixels of a converted row lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// One byte a pixel.
    Gray,
    /// Red, green and blue of each pixel.
    Interleaved,
    /// All reds, then all greens, then all blues.
    Separate,
}

/// What kernels rely on for their pointers: that the row has all bytes of `width` pixels, and `out` a place for each.
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon", target_endian = "little")))]
fn assert_fits(row: &Row<'_>, width: usize, layout: Layout, out_len: usize) {
    let channels = if layout == Layout::Gray { 1 } else { 3 };
    assert!(out_len >= width * channels);
    let [first, second, third] = row.planes;
    let chroma = match row.format {
        PixelFormat::Nv12 => [width, 0],
        PixelFormat::I420 => [width / 2; 2],
        _ => [0; 2],
    };
    assert!(first.len() >= row.format.row_len(width) && second.len() >= chroma[0] && third.len() >= chroma[1]);
}

/// The kernels of one instruction set. [`InstructionSet::operations`] hands them out, to a core that has it and to no
/// other.
pub(crate) struct Operations {
    /// Converts pixels from the first on, a number that is even, and says how many. `out` is as long as the layout asks for.
    convert: unsafe fn(row: &Row<'_>, width: usize, layout: Layout, out: &mut [u8]) -> usize,
    /// As [`crate::preprocess::resize`] does for one channel. The row and `out` have the lengths of the windows.
    horizontal: unsafe fn(row: &[u8], windows: &Windows<'_>, out: &mut [u16]),
    /// Adds a weighted row to sums, up to the shorter of both, from the first on, and says how many.
    accumulate: unsafe fn(row: &[u16], weight: u32, sums: &mut [u32]) -> usize,
    /// Writes sums as bytes, up to the shorter of both, from the first on, and says how many.
    finish: unsafe fn(sums: &[u32], out: &mut [u8]) -> usize,
}

/// Pixels that the reference converts at a time where a kernel leaves some.
const REST: usize = 16;

impl Operations {
    /// Converts a row to interleaved gray or RGB.
    pub(crate) fn interleave(&self, row: &Row<'_>, channels: Channels, out: &mut [u8]) {
        match (row.format, channels) {
            (PixelFormat::Gray8, Channels::Gray) | (PixelFormat::Rgb8, Channels::Rgb) => row.convert(channels, out),
            (_, Channels::Gray) => self.convert(row, Layout::Gray, out.len(), out),
            (_, Channels::Rgb) => self.convert(row, Layout::Interleaved, out.len() / 3, out),
        }
    }

    /// Converts a row to gray, or to all its reds, greens and blues.
    pub(crate) fn separate(&self, row: &Row<'_>, channels: Channels, out: &mut [u8]) {
        match (row.format, channels) {
            (PixelFormat::Gray8, Channels::Gray) => row.convert(channels, out),
            (PixelFormat::Gray8, Channels::Rgb) => {
                out.chunks_exact_mut(row.planes[0].len()).for_each(|plane| plane.copy_from_slice(row.planes[0]));
            }
            (_, Channels::Gray) => self.convert(row, Layout::Gray, out.len(), out),
            (_, Channels::Rgb) => self.convert(row, Layout::Separate, out.len() / 3, out),
        }
    }

    fn convert(&self, row: &Row<'_>, layout: Layout, width: usize, out: &mut [u8]) {
        // SAFETY: a core that has the instruction set, and `out` holds a byte or three for each of `width` pixels.
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
        // SAFETY: a core that has the instruction set, and the lengths have just been checked.
        unsafe { (self.horizontal)(row, windows, out) }
    }

    /// Adds a weighted row to the sums.
    pub(crate) fn accumulate(&self, row: &[u16], weight: u32, sums: &mut [u32]) {
        // SAFETY: a core that has the instruction set.
        let done = unsafe { (self.accumulate)(row, weight, sums) };
        resize::accumulate(&row[done..], weight, &mut sums[done..]);
    }

    /// Writes sums of one channel as bytes.
    pub(crate) fn finish(&self, sums: &[u32], out: &mut [u8]) {
        // SAFETY: a core that has the instruction set.
        let done = unsafe { (self.finish)(sums, out) };
        resize::finish::<1>(&sums[done..], 0, &mut out[done..]);
    }
}
