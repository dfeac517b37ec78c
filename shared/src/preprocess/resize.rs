//! Separable resize in integers: the taps of an axis, and the row operations that apply them.
//!
//! Each target index has consecutive source indices with weights that add up to exactly 2^14, so that a constant image
//! does not change. Horizontally a byte gains eight fraction bits, `(sum w*v + 2^5) >> 6`; vertically they are rounded
//! away, `(sum w*h + 2^21) >> 22`. No step can overflow u32: sources and targets have at most 2^14 indices, weights at
//! most 2^14, bytes 8 and rows 16 bits. A weight is off by one step of 2^14 at most, so a sum of n taps is off by less
//! than n/64 gray levels, in practice far less.
//!
//! Knows nothing of images, formats or placements. This is the reference for faster row operations.

use super::Filter;

const WEIGHT_BITS: u32 = 14;
const WEIGHT_ONE: u32 = 1 << WEIGHT_BITS;

/// Initial value of the sums: half a unit of the final shift.
pub(crate) const SUM_START: u32 = 1 << 21;

/// One axis of a resize, both sides 1 to `SIDE_MAX`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    source: u32,
    target: u32,
    filter: Filter,
}

impl Axis {
    pub(super) fn new(source: u32, target: u32, filter: Filter) -> Self {
        let filter = match filter {
            Filter::Area if source <= target => Filter::Bilinear,
            filter => filter,
        };
        Self { source, target, filter }
    }

    pub(super) const fn source(&self) -> u32 {
        self.source
    }

    pub(super) const fn target(&self) -> u32 {
        self.target
    }

    /// Calls `tap` with source index and weight (never 0), in increasing order, until it fails.
    pub(super) fn try_for_each_tap<E>(
        &self,
        index: u32,
        mut tap: impl FnMut(u32, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { source, target, filter } = *self;
        match filter {
            Filter::Nearest => tap((2 * index + 1) * source / (2 * target), WEIGHT_ONE),
            Filter::Bilinear => {
                // The target's centre in source pixels from the first source's centre, as a fraction of 2 * target.
                let centre = ((2 * index + 1) * source).saturating_sub(target);
                let (first, rest) = (centre / (2 * target), centre % (2 * target));
                let weight = (rest * WEIGHT_ONE + target) / (2 * target);
                if weight == 0 || first + 1 >= source {
                    return tap(first, WEIGHT_ONE);
                }
                if weight < WEIGHT_ONE {
                    tap(first, WEIGHT_ONE - weight)?;
                }
                tap(first + 1, weight)
            }
            Filter::Area => {
                // In units in which a source pixel is `target` and a target pixel `source` long.
                let (start, end) = (index * source, (index + 1) * source);
                let mut done = 0;
                for at in start / target..end.div_ceil(target) {
                    let covered = ((at + 1) * target).min(end) - start;
                    let cumulative = (covered * 2 * WEIGHT_ONE + source) / (2 * source);
                    if cumulative > done {
                        tap(at, cumulative - done)?;
                    }
                    done = cumulative;
                }
                Ok(())
            }
        }
    }

    /// Writes, for each target index, its first source index, the number of taps and the weights. `out` holds at least
    /// [`taps_len`] elements; returns those written.
    pub(super) fn write_taps<'a>(&self, out: &'a mut [u16]) -> &'a [u16] {
        let mut len = 0;
        for index in 0..self.target {
            let head = len;
            len += 2;
            let mut first = None;
            let Ok(()) = self.try_for_each_tap(index, |source, weight| {
                first.get_or_insert(source as u16);
                out[len] = weight as u16;
                len += 1;
                Ok::<(), core::convert::Infallible>(())
            });
            out[head] = first.unwrap_or(0);
            out[head + 1] = (len - head - 2) as u16;
        }
        &out[..len]
    }
}

/// The most elements that [`Axis::write_taps`] needs. With the area filter, neighbouring target pixels share one source
/// pixel, so there are up to source + target taps; otherwise at most two per target pixel.
pub(super) const fn taps_len(source: usize, target: usize) -> usize {
    let longer = if source > target { source } else { target };
    target.saturating_mul(3).saturating_add(longer)
}

/// Resizes an interleaved row of `C` channels to `out`, with eight fraction bits.
pub(crate) fn horizontal<const C: usize>(row: &[u8], mut taps: &[u16], out: &mut [u16]) {
    let pixels = row.as_chunks::<C>().0;
    for to in out.as_chunks_mut::<C>().0 {
        let [first, count, rest @ ..] = taps else { return };
        let (first, count) = (usize::from(*first), usize::from(*count));
        let (weights, next) = rest.split_at(count);
        let mut sums = [1u32 << 5; C];
        for (pixel, &weight) in pixels[first..first + count].iter().zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += u32::from(weight) * u32::from(value);
            }
        }
        *to = sums.map(|sum| (sum >> 6) as u16);
        taps = next;
    }
}

/// Adds a weighted row to the sums.
pub(crate) fn accumulate(row: &[u16], weight: u32, sums: &mut [u32]) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += weight * u32::from(value);
    }
}

/// Writes one channel of interleaved sums as bytes.
pub(crate) fn finish<const C: usize>(sums: &[u32], channel: usize, out: &mut [u8]) {
    for (to, pixel) in out.iter_mut().zip(sums.as_chunks::<C>().0) {
        *to = (pixel[channel] >> 22) as u8;
    }
}

/// The source index of each target index by [`Filter::Nearest`], `((2 i + 1) source) / (2 target)`, without a
/// division for each. Both sides are 1 to `SIDE_MAX`.
pub(crate) fn nearest_indices(source: u32, target: u32) -> impl Iterator<Item = usize> + Clone {
    let whole = 2 * target;
    let (mut at, mut rest) = (source / whole, source % whole);
    let (step, step_rest) = (2 * source / whole, 2 * source % whole);
    (0..target).map(move |_| {
        let index = at;
        at += step;
        rest += step_rest;
        if rest >= whole {
            at += 1;
            rest -= whole;
        }
        index as usize
    })
}
