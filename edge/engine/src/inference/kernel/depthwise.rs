//! A depthwise convolution, in which each channel is convolved with taps of its own: vectors hold neighbouring channels, and no
//! byte is multiplied with a weight of another channel.
//!
//! A **block** is the channels that an instruction set computes together; the last one overlaps the one before it, or
//! has lanes whose weights are 0 if there are too few channels. Taps that lie below each other in a column are multiplied
//! together, up to [`ROWS`] of them: a **column**.
//!
//! Interleaving the bytes of a column within the 128 bits of a vector permutes channels. Packing the sums to bytes, which works
//! within 128 bits too, undoes that; in between, weights, biases and multipliers have the order of the sums.

pub(crate) mod row;

use super::convolution::{ConvShape, Convolution};
use super::grid::Grid;
use super::groups::{LINE, Line};
use super::instruction_set::InstructionSet;
use super::packed::{folded, output_range};
use super::strip::OutputRange;
use super::view::{InputView, OutputView};
use row::{ROWS, Row};

/// How an instruction set computes blocks of some size.
pub(crate) struct BlockFormat {
    /// Channels of a block.
    pub(crate) channels: usize,
    /// Vectors of sums: of four channels from each 16 bytes of a row if there are four, or of each 8 if there are two.
    pub(crate) vectors: usize,
    /// Sums in a vector.
    pub(crate) lanes: usize,
    /// Taps of a column that one instruction multiplies and adds up in each lane.
    pub(crate) taps: usize,
    /// Bytes of a weight, 1 or 2.
    pub(crate) weight_bytes: usize,
    /// What the kernel subtracts from each input byte before it multiplies.
    pub(crate) subtracts: u8,
    /// Whether fewer channels cost no more than all.
    pub(crate) masks: bool,
    /// Computes a block of a row of pixels.
    ///
    /// # Safety
    ///
    /// The processor has the instructions.
    pub(crate) row: unsafe fn(row: &mut Row<'_>),
}

/// The packed weights of a block.
pub(crate) struct Block {
    /// Channels that are written.
    pub(crate) channels: usize,
    /// Of each column: where its taps are, in bytes from an output's first tap.
    pub(crate) offsets: Vec<[u32; ROWS]>,
    /// Of each column: for each `taps` of its rows, the weights of a lane side by side.
    pub(crate) weights: Vec<Line>,
    /// With the input's zero point folded in, in the order of the sums.
    pub(crate) bias: Vec<i32>,
    /// In the order of the sums.
    pub(crate) multipliers: Vec<f32>,
}

/// A depthwise convolution, packed for an instruction set.
pub(super) struct Depthwise {
    blocks: Vec<PackedBlock>,
    range: OutputRange,
}

/// A block and where it is in input and output.
struct PackedBlock {
    format: &'static BlockFormat,
    first_channel: usize,
    block: Block,
}

/// Whether each channel has taps of its own, and there are several channels.
pub(super) fn is_depthwise(shape: &ConvShape) -> bool {
    let channels = shape.channels_in;
    !shape.upsample && channels > 1 && channels == shape.channels_out && channels == shape.groups
}

impl Depthwise {
    /// `None` if numbers could overflow i32. The convolution [`is_depthwise`].
    pub(super) fn new(set: &InstructionSet, convolution: &Convolution, input: &Grid) -> Option<Depthwise> {
        let channels = convolution.shape.channels_in;
        let mut blocks = Vec::new();
        let mut start = 0;
        while start < channels {
            let format = format_for(set.depthwise, channels - start, channels);
            let first_channel = start.min(channels.saturating_sub(format.channels));
            let written = format.channels.min(channels);
            let block = Block::new(format, convolution, input, first_channel, written)?;
            blocks.push(PackedBlock { format, first_channel, block });
            start = first_channel + written;
        }
        Some(Depthwise { blocks, range: output_range(convolution) })
    }

    pub(super) fn bytes(&self) -> usize {
        let bytes = |block: &Block| {
            4 * (block.bias.len() + block.multipliers.len())
                + size_of_val(block.offsets.as_slice())
                + size_of_val(block.weights.as_slice())
        };
        self.blocks.iter().map(|packed| bytes(&packed.block)).sum()
    }

    /// The caller has checked that the views fit the convolution.
    #[allow(
        unsafe_code,
        reason = "calls a function of an instruction set, which `Kernel::instruction_set` found to be available"
    )]
    pub(super) fn run(&self, shape: &ConvShape, input: &InputView<'_>, output: &mut OutputView<'_>) {
        for row in output.rows() {
            let first_row = (row * shape.strides[0]) as isize - shape.pads[0] as isize;
            let first_tap = input.grid.index(first_row, -(shape.pads[1] as isize)) + input.first_channel;
            let first_byte = output.index(row, 0);
            for packed in &self.blocks {
                let mut row = Row {
                    input: &input.bytes[first_tap + packed.first_channel..],
                    input_step: shape.strides[1] * input.grid.pixel_stride,
                    output: &mut output.bytes[first_byte + packed.first_channel..],
                    output_step: output.grid.pixel_stride,
                    width: output.grid.width,
                    block: &packed.block,
                    range: self.range,
                };
                // SAFETY: `Kernel::instruction_set` returns only sets that this processor has.
                unsafe { (packed.format.row)(&mut row) };
            }
        }
    }
}

/// The format of the next block if so many of all channels are left: the largest that they fill but for a part of the smallest.
fn format_for(formats: &'static [BlockFormat], left: usize, all: usize) -> &'static BlockFormat {
    let smallest = &formats[formats.len() - 1];
    let filled = left.next_multiple_of(smallest.channels);
    let suits = |format: &&BlockFormat| format.channels <= filled && (format.masks || format.channels <= all);
    formats.iter().find(suits).unwrap_or(smallest)
}

impl BlockFormat {
    /// The channel of each sum.
    fn order(&self) -> impl Iterator<Item = usize> {
        let (vectors, lanes) = (self.vectors, self.lanes);
        (0..vectors)
            .flat_map(move |vector| (0..lanes).map(move |lane| (lane / 4 * vectors + vector) * 4 + lane % 4))
            // A vector may hold the same channels of several pixels.
            .map(|channel| channel % self.channels)
    }

    /// As much of a weight as fits into one.
    fn take(&self, weight: i32) -> i32 {
        let half = 1 << (8 * self.weight_bytes - 1);
        weight.clamp(-half, half - 1)
    }
}

impl Block {
    fn new(
        format: &BlockFormat,
        convolution: &Convolution,
        input: &Grid,
        first_channel: usize,
        channels: usize,
    ) -> Option<Block> {
        let mut folded_channels = Vec::with_capacity(format.channels);
        for channel in first_channel..first_channel + channels {
            let (folded, multiplier) = folded(convolution, channel)?;
            let sum: i64 = convolution.channel_weights(channel).map(i64::from).sum();
            // As in `packed.rs`: this may wrap; then its sums wrap too, and end at the right value.
            folded_channels.push(((i64::from(folded) + i64::from(format.subtracts) * sum) as i32, multiplier));
        }
        folded_channels.resize(format.channels, (0, 0.0));
        let (bias, multipliers) = format.order().map(|channel| folded_channels[channel]).unzip();

        let shape = &convolution.shape;
        let [rows, columns] = shape.kernel_size;
        let (mut offsets, mut weights) = (Vec::new(), Vec::new());
        for first_row in (0..rows).step_by(ROWS) {
            for column in 0..columns {
                let places: [_; ROWS] = std::array::from_fn(|index| {
                    // Where there is no row its weights are 0, and any byte will do.
                    let row = if first_row + index < rows { first_row + index } else { first_row };
                    let pixel = column * shape.dilations[1] * input.pixel_stride;
                    (row * shape.dilations[0] * input.row_stride() + pixel) as u32 // a Grid has at most 2^30 bytes
                });
                let weight = |channel: usize, index: usize| {
                    let exists = channel < channels && first_row + index < rows;
                    if exists { convolution.weight(first_channel + channel, 0, [first_row + index, column]) } else { 0 }
                };
                let mut rest: Vec<[i32; ROWS]> =
                    (0..format.channels).map(|channel| std::array::from_fn(|index| weight(channel, index))).collect();
                // The rest of weights that are too large becomes another column at the same place.
                loop {
                    offsets.push(places);
                    let taken: Vec<[i32; ROWS]> =
                        rest.iter().map(|weights| weights.map(|weight| format.take(weight))).collect();
                    push_column(&mut weights, format, &taken);
                    for (rest, taken) in rest.as_flattened_mut().iter_mut().zip(taken.as_flattened()) {
                        *rest -= taken;
                    }
                    if rest.as_flattened().iter().all(|&rest| rest == 0) {
                        break;
                    }
                }
            }
        }
        let weights = weights.chunks(LINE).map(|weights| {
            let mut line = Line([0; LINE]);
            line.0[..weights.len()].copy_from_slice(weights);
            line
        });
        Some(Block { channels, offsets, weights: weights.collect(), bias, multipliers })
    }
}

/// Appends the weights of a column, of which each channel has `taken`.
fn push_column(weights: &mut Vec<i8>, format: &BlockFormat, taken: &[[i32; ROWS]]) {
    for first in (0..ROWS).step_by(format.taps) {
        for channel in format.order() {
            for index in first..first + format.taps {
                let weight = taken[channel].get(index).copied().unwrap_or(0);
                weights.extend(weight.to_le_bytes()[..format.weight_bytes].iter().map(|&byte| byte as i8));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(unsafe_code, reason = "the type of a function of an instruction set")]
    unsafe fn nothing(_: &mut Row<'_>) {}

    const fn format(channels: usize, vectors: usize, lanes: usize, masks: bool) -> BlockFormat {
        BlockFormat { channels, vectors, lanes, taps: 4, weight_bytes: 1, subtracts: 0, masks, row: nothing }
    }

    static FORMATS: [BlockFormat; 3] = [format(64, 4, 16, true), format(32, 4, 16, true), format(16, 4, 16, true)];
    static UNMASKED: [BlockFormat; 2] = [format(32, 4, 8, false), format(16, 2, 8, false)];

    #[test]
    fn blocks_are_as_large_as_the_channels_fill() {
        let sizes = |formats: &'static [BlockFormat], all: usize| {
            let mut sizes = Vec::new();
            let mut left = all;
            while left > 0 {
                let size = format_for(formats, left, all).channels;
                sizes.push(size);
                left = left.saturating_sub(size);
            }
            sizes
        };
        assert_eq!(sizes(&FORMATS, 3), [16]);
        assert_eq!(sizes(&FORMATS, 17), [32]);
        assert_eq!(sizes(&FORMATS, 40), [32, 16]);
        assert_eq!(sizes(&FORMATS, 49), [64]);
        assert_eq!(sizes(&FORMATS, 96), [64, 32]);
        // The last may overlap the one before it, but not be larger than all channels.
        assert_eq!(sizes(&UNMASKED, 24), [16, 16]);
        assert_eq!(sizes(&UNMASKED, 56), [32, 32]);
        assert_eq!(sizes(&UNMASKED, 3), [16]);
    }

    #[test]
    fn sums_have_the_order_that_packing_to_bytes_undoes() {
        let first = |format: &BlockFormat, count: usize| format.order().take(count).collect::<Vec<_>>();
        // The first vector: four of each 16 channels.
        assert_eq!(first(&FORMATS[0], 9), [0, 1, 2, 3, 16, 17, 18, 19, 32]);
        assert_eq!(first(&FORMATS[1], 9), [0, 1, 2, 3, 16, 17, 18, 19, 0]);
        let words = &UNMASKED[1];
        assert_eq!(first(words, 16), [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]);
    }
}
