//! A run of pixels of one output row: what an instruction set computes in one call.

use super::groups::Groups;

/// A run of pixels of one output row, and what to compute them from.
pub(crate) struct Strip<'a> {
    /// From the first pixel's first tap on.
    pub(crate) input: &'a [u8],
    /// Bytes from the first tap of a pixel to that of the next.
    pub(crate) input_step: usize,
    pub(crate) output: StripOutput<'a>,
    /// From a pixel's first channel to that of the next.
    pub(crate) output_step: usize,
    /// How many tiles of pixels.
    pub(crate) tiles: usize,
    pub(crate) groups: &'a Groups,
    pub(crate) chunk: &'a Chunk,
    pub(crate) range: OutputRange,
}

/// Where the sums go, from the first pixel's first channel on.
pub(crate) enum StripOutput<'a> {
    /// They are requantized.
    Bytes(&'a mut [u8]),
    /// They are stored unchanged, whole vectors of them.
    Sums(&'a mut [i32]),
}

/// Output channels that are computed together.
pub(crate) struct Chunk {
    pub(crate) channels: usize,
    /// With the input's zero point folded in; one a lane.
    pub(crate) bias: Vec<i32>,
    /// One a lane.
    pub(crate) multipliers: Vec<f32>,
}

/// How a rounded sum becomes a byte.
#[derive(Clone, Copy)]
pub(crate) struct OutputRange {
    pub(crate) zero_point: u8,
    pub(crate) low: u8,
    pub(crate) high: u8,
}

impl Strip<'_> {
    /// What the instruction sets rely on for their pointers, with `weights` bytes of weights.
    ///
    /// # Panics
    ///
    /// If tiles of `pixels` would leave the slices: a defect in `packed.rs`.
    pub(crate) fn check(&self, pixels: usize, blocks: usize, lanes: usize, weights: usize) {
        let last = self.tiles * pixels - 1;
        assert!(last * self.input_step + self.groups.reach() <= self.input.len());
        match &self.output {
            StripOutput::Bytes(bytes) => assert!(last * self.output_step + self.chunk.channels <= bytes.len()),
            StripOutput::Sums(sums) => assert!(last * self.output_step + blocks * lanes <= sums.len()),
        }
        assert!(self.chunk.bias.len() == blocks * lanes && self.chunk.multipliers.len() == blocks * lanes);
        assert!(self.chunk.channels > (blocks - 1) * lanes && self.chunk.channels <= blocks * lanes);
        assert!(self.groups.kinds().iter().sum::<usize>() == self.groups.offsets().len());
        assert!(size_of_val(self.groups.weights()) >= weights);
    }
}
