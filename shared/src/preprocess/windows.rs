//! The taps of an axis for vector instructions: for each target index a window of neighbouring source indices, all of
//! the same width, with a weight for each. Surplus indices have the weight 0.
//!
//! No window extends beyond the row: near the end it starts earlier, with its zeros in front.

#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "only vector instructions need windows")
)]

use core::convert::Infallible;

use super::resize::Axis;

/// Widths of windows are multiples of this, and there are at least so many targets.
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

    /// Values per row.
    pub(crate) const fn source(&self) -> usize {
        self.source
    }

    /// Values per window: a multiple of [`STEP`].
    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    /// The first index of each window; `width` values from there are within the row.
    pub(crate) const fn starts(&self) -> &'a [u16] {
        self.starts
    }

    /// `width` weights per window, each at most 2^14.
    pub(crate) const fn weights(&self) -> &'a [u16] {
        self.weights
    }
}

/// A target pixel covers at most source / target pixels and one more, or is between two.
const fn width(source: usize, target: usize) -> usize {
    if target == 0 {
        return STEP;
    }
    source.div_ceil(target).saturating_add(1).div_ceil(STEP).saturating_mul(STEP)
}

/// The most elements that [`Windows::new`] needs, for this target and every smaller one.
pub(super) const fn len(source: usize, target: usize) -> usize {
    // A width is below source / target + 2 + STEP, and each window has a start.
    target.saturating_mul(STEP + 2).saturating_add(source)
}
