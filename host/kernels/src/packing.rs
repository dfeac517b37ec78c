//! Weights in the order in which the innermost loop reads them.

use rayon::prelude::*;

use super::shared::SharedMut;
use super::table::Table;

/// One or two registers of output channels, computed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// First output channel.
    pub first: usize,
    /// Registers: 1 or 2.
    pub registers: usize,
    /// Output channels that exist.
    pub valid: usize,
    /// Index of its weights.
    pub weights: usize,
}

/// The weights of a convolution, `[block][tap][input channel][output channel of the block]`, zero past the last channel.
#[derive(Debug)]
pub(super) struct Packed {
    /// All blocks one after another.
    pub values: Vec<f32>,
    /// Their channels.
    pub blocks: Vec<Block>,
    /// One a channel, padded to a whole number of blocks; empty without a bias.
    pub bias: Vec<f32>,
}

/// Weights in burn's order, `[outputs][inputs][taps]`, or derived from these.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<'a> {
    /// The values.
    pub values: &'a [f32],
    /// Channels of the output in forward direction.
    pub outputs: usize,
    /// Channels of the input in forward direction.
    pub inputs: usize,
    /// Taps of a pair of channels.
    pub taps: usize,
}

impl Weights<'_> {
    /// For the forward direction, with these taps in this order.
    pub fn pack(&self, table: &Table, taps: &[usize], bias: Option<&[f32]>) -> Packed {
        let at = |output: usize, input: usize| (output * self.inputs + input) * self.taps;
        self.pack_by(table, taps, 0..self.outputs, self.inputs, bias, at)
    }

    /// For the gradient of input channels `range`: sums run over the output's channels.
    pub fn pack_transposed(&self, table: &Table, taps: &[usize], range: std::ops::Range<usize>) -> Packed {
        let at = |input: usize, output: usize| (output * self.inputs + input) * self.taps;
        self.pack_by(table, taps, range, self.outputs, None, at)
    }

    /// `at(to, from)` is the index of the taps between two channels.
    fn pack_by(
        &self,
        table: &Table,
        taps: &[usize],
        range: std::ops::Range<usize>,
        from_channels: usize,
        bias: Option<&[f32]>,
        at: impl Fn(usize, usize) -> usize + Sync,
    ) -> Packed {
        let blocks = blocks(table.lanes, range.len(), from_channels * taps.len());
        let total: usize = blocks.iter().map(|b| b.registers * table.lanes * from_channels * taps.len()).sum();
        let mut values = vec![0f32; total];
        let shared = SharedMut::new(&mut values);
        blocks.par_iter().for_each(|block| {
            let width = block.registers * table.lanes;
            // SAFETY: each block has a part of its own.
            let out = unsafe { shared.part(block.weights, width * from_channels * taps.len()) };
            for from in 0..from_channels {
                for lane in 0..block.valid {
                    let source = &self.values[at(range.start + block.first + lane, from)..][..self.taps];
                    for (tap, &which) in taps.iter().enumerate() {
                        out[(tap * from_channels + from) * width + lane] = source[which];
                    }
                }
            }
        });
        let mut padded = vec![];
        if let Some(bias) = bias {
            padded = vec![0.0; range.len().next_multiple_of(2 * table.lanes)];
            padded[..bias.len()].copy_from_slice(bias);
        }
        Packed { values, blocks, bias: padded }
    }
}

/// As many blocks of two registers as possible, then one of one register for the rest.
fn blocks(lanes: usize, channels: usize, weights_a_channel: usize) -> Vec<Block> {
    let (mut found, mut first, mut weights) = (vec![], 0, 0);
    while first < channels {
        let left = channels - first;
        let registers = if left > lanes { 2 } else { 1 };
        let valid = left.min(registers * lanes);
        found.push(Block { first, registers, valid, weights });
        weights += registers * lanes * weights_a_channel;
        first += valid;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::InstructionSet;
    use super::*;

    #[test]
    fn blocks_cover_the_channels_once() {
        let found = blocks(8, 21, 2);
        assert_eq!(
            found,
            [
                Block { first: 0, registers: 2, valid: 16, weights: 0 },
                Block { first: 16, registers: 1, valid: 5, weights: 32 },
            ]
        );
    }

    #[test]
    fn weights_are_read_in_the_order_of_the_loop() {
        let table = InstructionSet::Portable.table(3);
        // Two outputs, three inputs, two taps.
        let values: Vec<f32> = (0..12).map(|v| v as f32).collect();
        let weights = Weights { values: &values, outputs: 2, inputs: 3, taps: 2 };
        let packed = weights.pack(table, &[1, 0], None);
        // Tap 1 first; input 0, outputs 0 and 1, then padding; input 1, ...
        assert_eq!(packed.values[..8], [1., 7., 0., 0., 0., 0., 0., 0.]);
        assert_eq!(packed.values[8..10], [3., 9.]);
        assert_eq!(packed.values[24..26], [0., 6.]);
        let packed = weights.pack_transposed(table, &[0], 1..3);
        // Output 0: inputs 1 and 2; output 1: the same.
        assert_eq!(packed.values[..2], [2., 4.]);
        assert_eq!(packed.values[8..10], [8., 10.]);
    }
}
