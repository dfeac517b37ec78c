//! A 3x3 convolution on an input upsampled by 2, without the upsampled tensor and without summed weights, which would exceed
//! eight bits.
//!
//! On the upsampled grid the nine taps of an output fall on at most four pixels of the input, and along each axis in one of
//! two ways. With `a[ky][kx]` the sums over channels of one tap at one input pixel (a 1x1 convolution to nine times the
//! channels), the left and the right one of the two outputs over pixel `p` are
//!
//! ```text
//! left[ky](p)  = a[ky][0](p - 1) + a[ky][1](p) + a[ky][2](p)
//! right[ky](p) = a[ky][0](p)     + a[ky][1](p) + a[ky][2](p + 1)
//! ```
//!
//! and, with either of them as `r`, the upper and the lower output over row `s` are
//!
//! ```text
//! upper(s) = r[0](s - 1) + r[1](s) + r[2](s)
//! lower(s) = r[0](s)     + r[1](s) + r[2](s + 1)
//! ```
//!
//! Nine multiplications for four outputs instead of 36 on the upsampled tensor; all sums are i32, so the result is the same.
//! Each output has each tap once, so the bias is added to the middle tap. A pixel of the border is the input's zero point; its
//! sums are constants.

use std::ops::Range;

use super::combine::{CARRIED, Combine, SummedRow, TAPS};
use super::convolution::{ConvShape, Convolution};
use super::grid::Grid;
use super::instruction_set::InstructionSet;
use super::packed::{Packed, folded, output_range};
use super::strip::OutputRange;
use super::view::{InputView, OutputView};

/// Such a convolution, packed for an instruction set.
pub(super) struct Upsampled {
    bands: Vec<Band>,
    range: OutputRange,
    combine: Combine,
}

/// Output channels that are computed together.
struct Band {
    first_channel: usize,
    channels: usize,
    /// Channels, filled up to whole vectors.
    lanes: usize,
    /// One a lane.
    multipliers: Vec<f32>,
    /// The 1x1 convolution to `[ky][kx][lane]`.
    taps: Packed,
    /// The sums of `taps` for a pixel of the border.
    edge: Vec<i32>,
}

/// Maximum channels of a band: with more, the sums of a row do not fit into the L2 cache.
const BAND: usize = 32;

impl Upsampled {
    /// `None` if numbers could overflow i32, or the convolution or the instruction set is not of this kind.
    pub(super) fn new(set: &'static InstructionSet, convolution: &Convolution, input: &Grid) -> Option<Upsampled> {
        let combine = set.combine?;
        // With few channels, storing and loading the sums costs more than the multiplications that are saved.
        let shape = &convolution.shape;
        let pays = shape.channels_in >= 12 && shape.groups == 1;
        if !shape.upsample || shape.dilations != [1, 1] || shape.kernel_size != [3, 3] || shape.pads != [1; 4] || !pays
        {
            return None;
        }
        let per_band = BAND.next_multiple_of(set.lanes);
        let bands = (0..shape.channels_out)
            .step_by(per_band)
            .map(|first| {
                let channels = per_band.min(shape.channels_out - first);
                Band::new(set, convolution, input, first..first + channels)
            })
            .collect::<Option<_>>()?;
        Some(Upsampled { bands, range: output_range(convolution), combine })
    }

    pub(super) fn bytes(&self) -> usize {
        let band = |band: &Band| band.taps.bytes() + 4 * (band.edge.len() + band.multipliers.len());
        self.bands.iter().map(band).sum()
    }

    /// Scratch space of a run, in i32, for rows of this many input pixels.
    pub(super) fn scratch(&self, width: usize) -> usize {
        let lanes = self.bands.iter().map(|band| band.lanes).max().unwrap_or(0);
        let taps = self.bands.iter().map(|band| band.taps.scratch()).max().unwrap_or(0);
        (TAPS + CARRIED) * width * lanes + taps
    }

    /// The caller has checked that the views fit the convolution and that `scratch` is large enough.
    #[allow(
        unsafe_code,
        reason = "calls a function of an instruction set, which `Kernel::instruction_set` found to be available"
    )]
    pub(super) fn run(&self, input: &InputView<'_>, output: &mut OutputView<'_>, scratch: &mut [i32]) {
        let rows = output.rows();
        if rows.is_empty() {
            return;
        }
        let width = input.grid.width;
        let wanted = |row: isize| usize::try_from(row).is_ok_and(|row| rows.contains(&row));
        for band in &self.bands {
            let (sums, rest) = scratch.split_at_mut(TAPS * width * band.lanes);
            let (carry, rest) = rest.split_at_mut(CARRIED * width * band.lanes);
            // Output row r needs input rows (r - 1) >> 1 and (r + 1) >> 1: from -1 to one after the last.
            for row in (rows.start as isize - 1) >> 1..=(rows.end as isize) >> 1 {
                let (above, below) = (wanted(2 * row - 1), wanted(2 * row));
                let (lower, next) = (wanted(2 * row + 1), wanted(2 * row + 2));
                // The row above needs r[2], this one's upper row r[1] and r[2], its lower r[0] and r[1], the next one r[0].
                let first = if lower || next { 0 } else { 2 - usize::from(below) };
                let end = if above || below { 3 } else { 1 + usize::from(lower) };
                band.sum(input, row, first..end, sums, rest);
                let mut summed = SummedRow {
                    width,
                    lanes: band.lanes,
                    channels: band.channels,
                    sums,
                    edge: &band.edge,
                    carry,
                    multipliers: &band.multipliers,
                    range: self.range,
                    above: None,
                    below: None,
                    output_step: output.grid.pixel_stride,
                };
                let at = |row: isize| output.index(row as usize, 0) + band.first_channel;
                match (above.then(|| at(2 * row - 1)), below.then(|| at(2 * row))) {
                    (Some(above), Some(below)) => {
                        let (first, second) = output.bytes.split_at_mut(below);
                        (summed.above, summed.below) = (Some(&mut first[above..]), Some(second));
                    }
                    (above, below) => {
                        // At most one of them.
                        let bytes = above.or(below).map(|start| &mut output.bytes[start..]);
                        if above.is_some() { summed.above = bytes } else { summed.below = bytes }
                    }
                }
                // SAFETY: `Kernel::instruction_set` returns only sets that this processor has.
                unsafe { (self.combine)(&mut summed) };
            }
        }
    }
}

impl Band {
    fn new(
        set: &'static InstructionSet,
        convolution: &Convolution,
        input: &Grid,
        channels: Range<usize>,
    ) -> Option<Band> {
        let lanes = channels.len().next_multiple_of(set.lanes);
        let depth = convolution.shape.channels_in;
        let mut weights = vec![0; TAPS * lanes * depth];
        let mut zero_points = vec![0; TAPS * lanes];
        let mut bias = vec![0; TAPS * lanes];
        let mut multipliers = vec![0.0; lanes];
        for (lane, channel) in channels.clone().enumerate() {
            (bias[TAPS / 2 * lanes + lane], multipliers[lane]) = folded(convolution, channel)?;
            for tap in 0..TAPS {
                let to = tap * lanes + lane;
                zero_points[to] = convolution.weight_zero_point(channel);
                for (channel_in, weight) in weights[to * depth..][..depth].iter_mut().enumerate() {
                    *weight = convolution.weights[(channel * depth + channel_in) * TAPS + tap];
                }
            }
        }
        let shape = ConvShape {
            kernel_size: [1, 1],
            pads: [0; 4],
            strides: [1, 1],
            dilations: [1, 1],
            channels_in: depth,
            channels_out: TAPS * lanes,
            groups: 1,
            upsample: false,
        };
        let edge = (0..TAPS * lanes)
            .map(|to| {
                let weights = weights[to * depth..][..depth].iter();
                let sum: i32 = weights.map(|&weight| i32::from(weight) - zero_points[to]).sum();
                // One of the sums over taps that `folded` has found to fit into i32.
                bias[to] + i32::from(convolution.x_zero_point) * sum
            })
            .collect();
        let pointwise = Convolution {
            shape,
            weights,
            weight_zero_points: zero_points,
            bias,
            // The sums are not requantized.
            multipliers: vec![0.0; TAPS * lanes],
            x_zero_point: 0,
            y_zero_point: 0,
            clamp: [0, 255],
        };
        let taps = Packed::new(set, &pointwise, input)?;
        Some(Band { first_channel: channels.start, channels: channels.len(), lanes, multipliers, taps, edge })
    }

    /// The sums of at least these `ky` for each pixel of an input row, which may be in the border.
    fn sum(&self, input: &InputView<'_>, row: isize, ky: Range<usize>, sums: &mut [i32], scratch: &mut [i32]) {
        match usize::try_from(row).ok().filter(|&row| row < input.grid.height) {
            Some(row) => self.taps.sums(input, row, ky.start * 3 * self.lanes..ky.end * 3 * self.lanes, sums, scratch),
            None => {
                for pixel in sums.chunks_exact_mut(self.edge.len()) {
                    pixel.copy_from_slice(&self.edge);
                }
            }
        }
    }
}
