//! Weights in the order in which vector kernels multiply.
//!
//! A **group** is four neighbouring bytes of the input, at an offset from an output's first tap, and for each output
//! channel four weights; that is what one `vpdpbusd` multiplies in each of its lanes. All geometry is in the offsets:
//! a kernel sees one list of groups, whether they come from 3x3 taps of 16 channels or from one row of taps of a grey
//! picture.
//!
//! Weights that do not fit a kernel's instruction (nine bits from a zero point or from the sums of an upsampled input, pairs
//! that would saturate) are split into several groups at the same offset, whose sum is the weight: exact, at the cost of a
//! multiplication only where needed.
//!
//! What is said of groups here is how x86 wants them; [`super::packed::Instructions::pack`] is where an instruction set that wants its
//! weights in another order makes its own from the bytes at their offsets.

use std::collections::BTreeMap;

#[cfg(target_arch = "x86_64")]
use super::packed::Instructions;

/// By offset from an output's first tap: the weight of each output channel for that byte.
pub(super) type Bytes = BTreeMap<usize, Vec<i32>>;

/// Weights of one cache line; what vector loads want.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Line(pub(super) [i8; LINE]);

pub(super) const LINE: usize = 64;

impl Line {
    /// These weights and zeros behind them.
    fn from_weights(weights: &[i8]) -> Vec<Line> {
        let lines = weights.chunks(LINE).map(|weights| {
            let mut line = Line([0; LINE]);
            line.0[..weights.len()].copy_from_slice(weights);
            line
        });
        lines.collect()
    }
}

/// Kinds of groups that a kernel may have.
pub(super) const KINDS: usize = 4;

/// The groups of one phase of one chunk.
pub(super) struct Groups {
    pub(super) offsets: Vec<u32>,
    pub(super) weights: Vec<Line>,
    /// Bytes that are read from an output's first tap on: at least each offset + 4, or 8 where wide.
    pub(super) reach: usize,
    pub(super) wide: bool,
    /// How many of the offsets are of which kind, where a kernel has several.
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code, reason = "x86 has one kind"))]
    kinds: [usize; KINDS],
}

impl Groups {
    /// Groups of which each has `weights.len() / offsets.len()` bytes of weights.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn of_one_kind(offsets: Vec<u32>, weights: &[i8], reach: usize) -> Groups {
        Groups { offsets, weights: Line::from_weights(weights), reach, wide: false, kinds: [0; KINDS] }
    }

    /// Groups of the kinds of a kernel's own, in their order.
    #[cfg(target_arch = "aarch64")]
    pub(super) fn of_kinds(kinds: [usize; KINDS], offsets: Vec<u32>, weights: &[i8], reach: usize) -> Groups {
        Groups { offsets, weights: Line::from_weights(weights), reach, wide: false, kinds }
    }

    /// How many of the offsets are of each kind.
    #[cfg(target_arch = "aarch64")]
    pub(super) fn kinds(&self) -> [usize; KINDS] {
        self.kinds
    }

    /// Where the groups begin, in bytes from the first tap.
    pub(super) fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// Whether a group is eight bytes, for chunks of one vector of channels: two vectors of sums, in which lanes
    /// `4 * n` and `4 * n + 1` of the first are of channel `4 * n` (its first and last four bytes), the next two of
    /// channel `4 * n + 1`, and those of the second of channels `4 * n + 2` and `4 * n + 3`.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn is_wide(&self) -> bool {
        self.wide
    }

    /// For each group, each vector of sums and each lane, four weights; at least as many as that are.
    pub(super) fn weights(&self) -> &[Line] {
        &self.weights
    }
}

#[cfg(target_arch = "x86_64")]
impl Groups {
    /// Groups of four bytes: an [`Instructions::pack`].
    pub(super) fn pack(instructions: &Instructions, channels: usize, bytes: &Bytes, _: usize) -> Groups {
        Groups::by::<1>(instructions, channels, bytes)
    }

    /// As [`Groups::pack`], but of eight bytes where that is better for a chunk of one vector of channels.
    pub(super) fn pack_wide(instructions: &Instructions, channels: usize, bytes: &Bytes, _: usize) -> Groups {
        let narrow = Groups::by::<1>(instructions, channels, bytes);
        if channels > instructions.lanes {
            return narrow;
        }
        // Wide ones are twice the work; where bytes lie scattered, as in a grey picture's rows of taps, they lose.
        let wide = Groups::by::<2>(instructions, channels, bytes);
        let better = wide.offsets.len() * 16 <= narrow.offsets.len() * 9;
        if better { wide } else { narrow }
    }

    /// Groups of Q times four bytes.
    fn by<const Q: usize>(instructions: &Instructions, channels: usize, bytes: &Bytes) -> Groups {
        let lanes = channels.div_ceil(instructions.lanes) * instructions.lanes;
        let mut offsets = Vec::new();
        let mut weights: Vec<[i8; 4]> = Vec::new();
        let mut end = 0;
        while let Some((&start, _)) = bytes.range(end..).next() {
            end = start + 4 * Q;
            let weight = |at: usize, channel: usize| bytes.get(&at).map_or(0, |sums| sums[channel]);
            let mut rest: Vec<[[i32; 4]; Q]> = (0..channels)
                .map(|channel| {
                    std::array::from_fn(|quad| std::array::from_fn(|index| weight(start + 4 * quad + index, channel)))
                })
                .collect();
            while rest.iter().any(|rest| *rest != [[0; 4]; Q]) {
                let first = weights.len();
                weights.resize(first + lanes * Q, [0; 4]);
                offsets.push(start as u32); // a Grid has at most 2^30 bytes
                for (channel, rest) in rest.iter_mut().enumerate() {
                    for (quad, rest) in rest.iter_mut().enumerate() {
                        let taken = take_bytes(*rest);
                        weights[first + if Q == 1 { channel } else { wide_lane(lanes, channel, quad) }] = taken;
                        *rest = std::array::from_fn(|index| rest[index] - i32::from(taken[index]));
                    }
                }
            }
        }
        let weights = Line::from_weights(weights.as_flattened());
        Groups { offsets, weights, reach: end, wide: Q == 2, kinds: [0; KINDS] }
    }
}

/// The lane, counted over two vectors of `lanes`, that sums these four bytes of a wide group for this channel.
#[cfg(target_arch = "x86_64")]
fn wide_lane(lanes: usize, channel: usize, quad: usize) -> usize {
    channel % 4 / 2 * lanes + channel / 4 * 4 + channel % 2 * 2 + quad
}

/// As much of each weight as fits into eight bits.
pub(super) fn take_bytes(rest: [i32; 4]) -> [i8; 4] {
    rest.map(|weight| weight.clamp(-128, 127) as i8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_split_only_where_needed() {
        assert_eq!(take_bytes([1, -128, 127, 0]), [1, -128, 127, 0]);
        assert_eq!(take_bytes([128, -300, 508, 3]), [127, -128, 127, 3]);
    }
}
