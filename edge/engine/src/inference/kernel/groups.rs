//! Weights in the order in which vector instructions multiply them.
//!
//! A **group** is some neighbouring bytes of the input, at an offset from an output's first tap, and the weights of each
//! output channel for them: what one instruction multiplies. All geometry is in the offsets: a kernel sees one list of
//! groups, whether they come from 3x3 taps of 16 channels or from one row of taps on a gray image.
//!
//! Weights that exceed the range of the instruction (nine bits due to a zero point or to the sums of an upsampled input) are
//! split into several groups at the same offset whose sum is the weight: exact, and paid for only where needed.

use std::collections::BTreeMap;

/// By offset from an output's first tap: the weight of each output channel for that byte.
pub(crate) type Bytes = BTreeMap<usize, Vec<i32>>;

/// Weights of one cache line, aligned for vector loads.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Line(pub(crate) [i8; LINE]);

pub(crate) const LINE: usize = 64;

/// Maximum kinds of groups that an instruction set may have.
pub(crate) const KINDS: usize = 4;

/// The groups of one phase of one chunk.
pub(crate) struct Groups {
    offsets: Vec<u32>,
    weights: Vec<Line>,
    reach: usize,
    is_wide: bool,
    kinds: [usize; KINDS],
}

impl Groups {
    /// As many groups of each kind as `kinds` says, in the order of the instruction set. Each has
    /// `weights.len() / offsets.len()` bytes of weights if there is one kind. None reads at `reach` or beyond.
    pub(crate) fn new(kinds: [usize; KINDS], is_wide: bool, offsets: Vec<u32>, weights: &[i8], reach: usize) -> Groups {
        let lines = weights.chunks(LINE).map(|weights| {
            let mut line = Line([0; LINE]);
            line.0[..weights.len()].copy_from_slice(weights);
            line
        });
        Groups { offsets, weights: lines.collect(), reach, is_wide, kinds }
    }

    /// Whether there are two vectors of sums for one vector of channels.
    pub(crate) fn is_wide(&self) -> bool {
        self.is_wide
    }

    /// How many of the offsets are of each kind.
    pub(crate) fn kinds(&self) -> [usize; KINDS] {
        self.kinds
    }

    /// Where the groups begin, in bytes from the first tap.
    pub(crate) fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The weights of each group.
    pub(crate) fn weights(&self) -> &[Line] {
        &self.weights
    }

    /// Bytes that are read from an output's first tap on.
    pub(crate) fn reach(&self) -> usize {
        self.reach
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.offsets.as_slice()) + size_of_val(self.weights.as_slice())
    }
}

/// As much of each weight as fits into eight bits.
pub(crate) fn take_bytes(rest: [i32; 4]) -> [i8; 4] {
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
