//! The taps of an axis for vector kernels: for each target index a window of neighbouring source indices, all of one width,
//! with a weight for each. What a window has too many weighs 0.
//!
//! No window leaves the row: one that would begins earlier, with its zeros in front.

#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "only vector kernels read windows, and there are none")
)]

use core::convert::Infallible;

use super::resize::Axis;

/// Widths of windows are multiples of this, and so many targets there are at least.
pub(crate) const STEP: usize = 8;

/// Windows within rows of [`source`](Self::source) values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows<'a> {
    source: usize,
    width: usize,
    starts: &'a [u16],
    weights: &'a [u16],
}

impl<'a> Windows<'a> {
    /// Whether a window fits the row, and there are at least [`STEP`] of them.
    pub(super) fn fits(axis: &Axis) -> bool {
        let (source, target) = (axis.source() as usize, axis.target() as usize);
        source >= width(source, target) && target >= STEP
    }

    /// The windows of an axis that [`fits`](Self::fits), written into `out` of at least [`len`] elements.
    pub(super) fn new(axis: &Axis, out: &'a mut [u16]) -> Self {
        let (source, target) = (axis.source() as usize, axis.target() as usize);
        let width = width(source, target);
        let (starts, weights) = out[..target * (width + 1)].split_at_mut(target);
        weights.fill(0);
        for (index, (start, weights)) in starts.iter_mut().zip(weights.chunks_exact_mut(width)).enumerate() {
            let mut first = None;
            let Ok(()) = axis.try_for_each_tap(index as u32, |at, weight| {
                let first = *first.get_or_insert((at as usize).min(source - width));
                weights[at as usize - first] = weight as u16;
                Ok::<(), Infallible>(())
            });
            *start = first.unwrap_or(0) as u16;
        }
        Self { source, width, starts, weights }
    }

    /// Values of a row.
    pub(crate) const fn source(&self) -> usize {
        self.source
    }

    /// Values of a window: a multiple of [`STEP`].
    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    /// The first index of each window; `width` values from there are within the row.
    pub(crate) const fn starts(&self) -> &'a [u16] {
        self.starts
    }

    /// `width` weights for each window, each 2^14 at most.
    pub(crate) const fn weights(&self) -> &'a [u16] {
        self.weights
    }
}

/// A target pixel covers parts of source / target pixels and one more at most, or is between two.
const fn width(source: usize, target: usize) -> usize {
    if target == 0 {
        return STEP;
    }
    source.div_ceil(target).saturating_add(1).div_ceil(STEP).saturating_mul(STEP)
}

/// Elements that [`Windows::new`] needs at most, for this target and every smaller one.
pub(super) const fn len(source: usize, target: usize) -> usize {
    // A width is below source / target + 2 + STEP, and each window has a start.
    target.saturating_mul(STEP + 2).saturating_add(source)
}
