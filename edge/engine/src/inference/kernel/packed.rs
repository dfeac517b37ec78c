//! A convolution as vector instruction sets compute it: its weights in [`super::groups`], and the walk over an image by strips
//! of pixels.
//!
//! A **chunk** is as many output channels as an instruction set computes at once.
//!
//! A convolution on an upsampled input is four on the input itself, one for each parity of the output's row and column
//! (a **phase**): taps that fall on the same pixel are summed at load. A 3x3 kernel becomes 2x2.

use std::ops::Range;

use super::convolution::{ConvShape, Convolution};
use super::grid::Grid;
use super::groups::{Bytes, Groups};
use super::instruction_set::InstructionSet;
use super::strip::{Chunk, OutputRange, Strip, StripOutput};
use super::view::{InputView, OutputView};
use super::widened::{Taps, Window};

/// The maximum number of weights of small groups, zeros included.
const PADDED_WEIGHTS_MAX: usize = 1 << 28;

/// A chunk and where it is in the output.
struct PackedChunk {
    first_channel: usize,
    blocks: usize,
    chunk: Chunk,
    phases: Vec<Phase>,
}

/// The outputs of one parity; without upsampling, all.
struct Phase {
    /// Row and column of its first output.
    first: [usize; 2],
    /// Row and column of the first tap of its first output.
    origin: [isize; 2],
    groups: Groups,
}

/// A convolution, packed for an instruction set.
pub(super) struct Packed {
    set: &'static InstructionSet,
    chunks: Vec<PackedChunk>,
    range: OutputRange,
    /// If the input is widened.
    window: Option<Window>,
}

impl Packed {
    /// `None` if numbers could overflow i32, or the weights of small groups would take too much memory.
    pub(super) fn new(set: &'static InstructionSet, convolution: &Convolution, input: &Grid) -> Option<Packed> {
        let shape = &convolution.shape;
        // Each lane of a chunk is multiplied with all bytes that any of its channels reads, so that a chunk should not hold more
        // groups than it must.
        let of_group = shape.channels_out / shape.groups;
        let (per_run, per_chunk) = match shape.groups {
            1 => (of_group, set.lanes * set.blocks),
            // The weights grow by as many zeros as there are lanes.
            _ if of_group < set.lanes && shape.weights().saturating_mul(set.lanes) > PADDED_WEIGHTS_MAX => return None,
            _ if of_group < set.lanes => (shape.channels_out, set.lanes),
            _ => (of_group, set.lanes * set.blocks),
        };
        let mut chunks = Vec::new();
        for run in (0..shape.channels_out).step_by(per_run) {
            for first_channel in (run..run + per_run).step_by(per_chunk) {
                let channels = per_chunk.min(run + per_run - first_channel);
                chunks.push(PackedChunk::new(set, convolution, input, first_channel, channels)?);
            }
        }
        let window = set.widen.map(|widen| Window::new(widen, &convolution.shape, input));
        Some(Packed { set, chunks, range: output_range(convolution), window })
    }

    /// Scratch space of a run, in i32.
    pub(super) fn scratch(&self) -> usize {
        self.window.as_ref().map_or(0, Window::scratch)
    }

    pub(super) fn bytes(&self) -> usize {
        let chunk = |packed: &PackedChunk| {
            let groups = packed.phases.iter().map(|phase| phase.groups.bytes());
            4 * (packed.chunk.bias.len() + packed.chunk.multipliers.len()) + groups.sum::<usize>()
        };
        self.chunks.iter().map(chunk).sum()
    }

    /// The caller has checked that the views fit the convolution and that `scratch` is large enough.
    pub(super) fn run(
        &self,
        shape: &ConvShape,
        input: &InputView<'_>,
        output: &mut OutputView<'_>,
        scratch: &mut [i32],
    ) {
        let rows = output.rows();
        let Some(window) = &self.window else {
            return self.run_rows(shape, input, &Taps::unwidened(input.bytes), output, rows);
        };
        let mut start = rows.start;
        while start < rows.end {
            let end = rows.end.min(start + window.rows());
            let taps = window.widen(input, self.bytes_read(shape, input, output.grid.width, start..end), scratch);
            self.run_rows(shape, input, &taps, output, start..end);
            start = end;
        }
    }

    /// The input bytes that these rows of the output are computed from.
    fn bytes_read(&self, shape: &ConvShape, input: &InputView<'_>, width: usize, rows: Range<usize>) -> Range<usize> {
        let factor = if shape.upsample { 2 } else { 1 };
        let phases = self.chunks.iter().flat_map(|chunk| &chunk.phases);
        let (mut read_from, mut read_to) = (usize::MAX, 0);
        for phase in phases {
            // An output one pixel wide has no odd column.
            let Some(steps) = (width - phase.first[1]).div_ceil(factor).checked_sub(1) else { continue };
            for row in rows.clone().filter(|row| row % factor == phase.first[0]) {
                let first = phase.first_tap(shape, input, row);
                let end = first + steps * shape.strides[1] * input.grid.pixel_stride + phase.groups.reach().div_ceil(2);
                (read_from, read_to) = (read_from.min(first), read_to.max(end));
            }
        }
        read_from..read_to
    }

    /// Computes some rows from the bytes that they read.
    #[allow(
        unsafe_code,
        reason = "calls a function of an instruction set, which `Kernel::instruction_set` found to be available"
    )]
    fn run_rows(
        &self,
        shape: &ConvShape,
        input: &InputView<'_>,
        taps: &Taps<'_>,
        output: &mut OutputView<'_>,
        rows: Range<usize>,
    ) {
        let factor = if shape.upsample { 2 } else { 1 };
        let input_step = shape.strides[1] * input.grid.pixel_stride * taps.scale;
        let output_step = factor * output.grid.pixel_stride;
        for chunk in &self.chunks {
            for row in rows.clone() {
                for phase in chunk.phases.iter().filter(|phase| row % factor == phase.first[0]) {
                    let width = (output.grid.width - phase.first[1]).div_ceil(factor);
                    let input = taps.from(phase.first_tap(shape, input, row));
                    let first_byte = output.index(row, phase.first[1]) + chunk.first_channel;
                    let vectors = if phase.groups.is_wide() { 2 } else { chunk.blocks };
                    let tiles = self.set.tiles[vectors - 1];
                    for_each_tile(width, tiles, |start, pixels, tiles| {
                        let mut strip = Strip {
                            input: &input[start * input_step..],
                            input_step,
                            output: StripOutput::Bytes(&mut output.bytes[first_byte + start * output_step..]),
                            output_step,
                            tiles,
                            groups: &phase.groups,
                            chunk: &chunk.chunk,
                            range: self.range,
                        };
                        // SAFETY: `Kernel::instruction_set` returns only sets that this processor has.
                        unsafe { (self.set.strip)(pixels, chunk.blocks, &mut strip) };
                    });
                }
            }
        }
    }

    /// The sums of at least these output channels for each pixel of an input row: `[pixel][channel]`. Only for a 1x1
    /// convolution with strides of 1 whose channels fill whole vectors. `scratch` as in [`Packed::run`].
    #[allow(
        unsafe_code,
        reason = "calls a function of an instruction set, which `Kernel::instruction_set` found to be available"
    )]
    pub(super) fn sums(
        &self,
        input: &InputView<'_>,
        row: usize,
        channels: Range<usize>,
        sums: &mut [i32],
        scratch: &mut [i32],
    ) {
        let first_tap = input.grid.index(row as isize, 0) + input.first_channel;
        let taps = match &self.window {
            None => Taps::unwidened(input.bytes),
            Some(window) => {
                let end = first_tap + (input.grid.width - 1) * input.grid.pixel_stride + input.channels;
                window.widen(input, first_tap..end + 1, scratch)
            }
        };
        let input_step = input.grid.pixel_stride * taps.scale;
        let bytes = taps.from(first_tap);
        let output_step = self.chunks.iter().map(|chunk| chunk.chunk.channels).sum();
        for chunk in &self.chunks {
            let end = chunk.first_channel + chunk.chunk.channels;
            let [phase] = chunk.phases.as_slice() else { unreachable!("a convolution without upsampling") };
            if end <= channels.start || channels.end <= chunk.first_channel {
                continue;
            }
            let tiles = self.set.tiles[if phase.groups.is_wide() { 1 } else { chunk.blocks - 1 }];
            for_each_tile(input.grid.width, tiles, |start, pixels, tiles| {
                let mut strip = Strip {
                    input: &bytes[start * input_step..],
                    input_step,
                    output: StripOutput::Sums(&mut sums[chunk.first_channel + start * output_step..]),
                    output_step,
                    tiles,
                    groups: &phase.groups,
                    chunk: &chunk.chunk,
                    range: self.range,
                };
                // SAFETY: `Kernel::instruction_set` returns only sets that this processor has.
                unsafe { (self.set.strip)(pixels, chunk.blocks, &mut strip) };
            });
        }
    }
}

impl Phase {
    /// Index in the input's bytes of the first tap of the first output of a row.
    fn first_tap(&self, shape: &ConvShape, input: &InputView<'_>, row: usize) -> usize {
        let factor = if shape.upsample { 2 } else { 1 };
        let row = (row / factor * shape.strides[0]) as isize + self.origin[0];
        input.grid.index(row, self.origin[1]) + input.first_channel
    }
}

/// Covers `width` pixels by tiles of the given sizes (descending to 1): calls `call` with first pixel, size and count. The last
/// tile overlaps the one before instead of being narrow, since computing a pixel twice is harmless.
fn for_each_tile(width: usize, sizes: &[usize], mut call: impl FnMut(usize, usize, usize)) {
    let mut start = 0;
    while start < width {
        let rest = width - start;
        let covering = sizes.iter().rev().find(|&&size| size >= rest);
        match covering {
            Some(&size) if size <= width => {
                call(width - size, size, 1);
                return;
            }
            _ => {
                let size = sizes.iter().copied().find(|&size| size <= rest).unwrap_or(1);
                call(start, size, rest / size);
                start += rest / size * size;
            }
        }
    }
}

impl PackedChunk {
    fn new(
        set: &InstructionSet,
        convolution: &Convolution,
        input: &Grid,
        first_channel: usize,
        channels: usize,
    ) -> Option<PackedChunk> {
        let blocks = channels.div_ceil(set.lanes);
        let lanes = blocks * set.lanes;
        let mut bias = vec![0; lanes];
        let mut multipliers = vec![0.0; lanes];
        for lane in 0..channels {
            let channel = first_channel + lane;
            let (folded, multiplier) = folded(convolution, channel)?;
            let sum: i64 = convolution.channel_weights(channel).map(i64::from).sum();
            // Compensates for what the kernel subtracts from each byte. This may wrap; then its sums wrap too, and end at the
            // right value.
            bias[lane] = (i64::from(folded) + i64::from(set.subtracts) * sum) as i32;
            multipliers[lane] = multiplier;
        }
        let factor = if convolution.shape.upsample { 2 } else { 1 };
        let mut phases = Vec::new();
        for row in 0..factor {
            for column in 0..factor {
                phases.push(Phase::new(
                    set,
                    convolution,
                    input,
                    first_channel..first_channel + channels,
                    [row, column],
                ));
            }
        }
        Some(PackedChunk { first_channel, blocks, chunk: Chunk { channels, bias, multipliers }, phases })
    }
}

/// How sums of this convolution become bytes.
pub(super) fn output_range(convolution: &Convolution) -> OutputRange {
    let [low, high] = convolution.clamp;
    OutputRange { zero_point: convolution.y_zero_point, low, high }
}

/// The bias of an output channel with the input's zero point folded in, and its multiplier; `None` if a sum, or its product
/// with the multiplier, could overflow i32.
pub(super) fn folded(convolution: &Convolution, channel: usize) -> Option<(i32, f32)> {
    let (sum, magnitude) = convolution
        .channel_weights(channel)
        .fold((0, 0), |(sum, magnitude), weight| (sum + i64::from(weight), magnitude + i64::from(weight.abs())));
    let folded = i64::from(convolution.bias[channel]) - i64::from(convolution.x_zero_point) * sum;
    // Also bounds each partial sum: the parts of a split weight have its sign.
    let max = folded.abs() + 255 * magnitude;
    let multiplier = convolution.multipliers[channel];
    // Each f32 operation rounds by less than one part in 2^23; 2.1e9 leaves a margin of 2 %.
    if max > i64::from(i32::MAX) || max as f64 * f64::from(multiplier.abs()) > 2.1e9 {
        return None;
    }
    Some((i32::try_from(folded).ok()?, multiplier))
}

impl Phase {
    fn new(
        set: &InstructionSet,
        convolution: &Convolution,
        input: &Grid,
        channels: Range<usize>,
        first: [usize; 2],
    ) -> Phase {
        let shape = &convolution.shape;
        // The pixel of the input that a tap of the phase's first output reads.
        let place = |axis: usize, tap: usize| {
            let place = (first[axis] + tap * shape.dilations[axis]) as isize - shape.pads[axis] as isize;
            if shape.upsample { place >> 1 } else { place }
        };
        let origin = [place(0, 0), place(1, 0)];
        let of_group = shape.channels_out / shape.groups;
        // By offset: the weight of each output channel for that byte. Taps on the same pixel are summed.
        let mut bytes = Bytes::new();
        for row in 0..shape.kernel_size[0] {
            for column in 0..shape.kernel_size[1] {
                let down = (place(0, row) - origin[0]) as usize;
                let right = (place(1, column) - origin[1]) as usize;
                let pixel = down * input.row_stride() + right * input.pixel_stride;
                let mut group = channels.start..channels.start;
                while group.end < channels.end {
                    group = group.end..channels.end.min((group.end / of_group + 1) * of_group);
                    let first = pixel + shape.first_channel_in(group.start);
                    for channel_in in 0..shape.depth() {
                        let sums = bytes.entry(first + channel_in).or_insert_with(|| vec![0; channels.len()]);
                        for channel in group.clone() {
                            sums[channel - channels.start] += convolution.weight(channel, channel_in, [row, column]);
                        }
                    }
                }
            }
        }
        bytes.retain(|_, sums| sums.iter().any(|&sum| sum != 0));
        let input_step = shape.strides[1] * input.pixel_stride();
        Phase { first, origin, groups: (set.pack)(channels.len(), &bytes, input_step) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_each_width_and_stay_inside() {
        for sizes in [&[16, 8, 4, 2, 1][..], &[8, 4, 2, 1], &[6, 4, 2, 1], &[4, 2, 1], &[1]] {
            for width in 1..100 {
                let mut seen = vec![false; width];
                for_each_tile(width, sizes, |start, size, count| {
                    assert!(count > 0 && start + size * count <= width);
                    seen[start..start + size * count].fill(true);
                });
                assert!(seen.iter().all(|&seen| seen), "{width} by {sizes:?}");
            }
        }
    }
}
