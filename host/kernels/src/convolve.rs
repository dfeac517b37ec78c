//! Sums over taps and channels for every pixel: the one loop behind convolutions forward and backward.

use std::cell::RefCell;

use rayon::prelude::*;

use super::micro::Taps;
use super::packing::Packed;
use super::planes::{Place, Planes, Size};
use super::shared::SharedMut;
use super::table::Table;
use super::tile::{self, Buffer};

/// Bytes of a tile; it and a block of weights fit into a core's L2 cache.
pub(super) const TILE_BYTES: usize = 256 << 10;
/// Minimum number of tasks of a convolution, if its shape allows: enough for a workstation's cores.
const TASKS: usize = 32;

thread_local! {
    static TILE: RefCell<Buffer> = RefCell::default();
}

/// An input of a sum: a group of channels, and a row and column relative to the border's corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    /// Index of the group.
    pub group: usize,
    /// Rows below the border's first.
    pub y: usize,
    /// Columns right of the border's first.
    pub x: usize,
}

/// A tensor to compute, on the pixels of the input's size.
pub(super) struct Output<'a> {
    /// Destination.
    pub values: SharedMut<'a>,
    /// Layout of its values.
    pub place: Place,
    /// The summed inputs.
    pub taps: Vec<Tap>,
    /// Their weights.
    pub weights: Packed,
}

/// Pixels computed at once: the number from half of `most` up to `most` with which a row takes the least time. A run of `p`
/// pixels costs about `p + 1`, because of the weights that it loads.
fn run_length(most: usize, width: usize) -> usize {
    if width <= most {
        return width;
    }
    (most.div_ceil(2)..=most).min_by_key(|&p| (width.div_ceil(p) * (p + 1), most - p)).unwrap_or(most)
}

/// Computes `outputs` from `groups` of channels, which all have the same `size`. All groups' taps read as many channels.
pub(super) fn convolve(table: &'static Table, size: Size, border: usize, groups: &[&[Planes]], outputs: &[Output]) {
    if size.pixels() == 0 {
        return;
    }
    for planes in groups.iter().flat_map(|group| group.iter()) {
        assert!(planes.values.len() >= planes.place.needed(size.images, size.height, size.width));
    }
    let (first_block, blocks) = tile::first_blocks(groups, table.lanes);
    let rows = tile::rows(TILE_BYTES, blocks * table.lanes, size, border);
    let tiles = size.height.div_ceil(rows);
    // Each task's part of each tile.
    let columns: Vec<(usize, usize)> = outputs
        .iter()
        .enumerate()
        .flat_map(|(o, output)| (0..output.weights.blocks.len()).map(move |b| (o, b)))
        .collect();
    let splits = TASKS.div_ceil(size.images * tiles).min(columns.len()).max(1);
    (0..size.images * tiles * splits).into_par_iter().for_each(|task| {
        let (split, place) = (task / (size.images * tiles), task % (size.images * tiles));
        let (image, first_row) = (place / tiles, place % tiles * rows);
        let rows = rows.min(size.height - first_row);
        let shape = tile::Shape { lanes: table.lanes, rows: rows + 2 * border, columns: size.width + 2 * border };
        TILE.with_borrow_mut(|buffer| {
            let tile = tile::fill(table, buffer, shape, groups, tile::Rows { size, image, first: first_row, border });
            let range = columns.len() * split / splits..columns.len() * (split + 1) / splits;
            for &(output, block) in &columns[range] {
                let output = &outputs[output];
                let channels = tile::channels(groups[output.taps[0].group]);
                let offsets: Vec<usize> = output
                    .taps
                    .iter()
                    .map(|tap| first_block[tap.group] * shape.block() + tap.y * shape.row() + tap.x * shape.lanes)
                    .collect();
                rows_of_block(
                    table,
                    shape,
                    tile,
                    &offsets,
                    channels,
                    output,
                    block,
                    (image, first_row, rows, size.width),
                );
            }
        });
    });
}

/// One block of output channels on the rows of a tile.
#[expect(clippy::too_many_arguments, reason = "the loop body of `convolve`")]
fn rows_of_block(
    table: &Table,
    shape: tile::Shape,
    tile: &[f32],
    offsets: &[usize],
    channels: usize,
    output: &Output,
    block: usize,
    (image, first_row, rows, width): (usize, usize, usize, usize),
) {
    let block = output.weights.blocks[block];
    let kernels = table.taps[block.registers - 1];
    let run = run_length(kernels.len(), width);
    let weights = &output.weights.values[block.weights..];
    let reach = (channels.div_ceil(shape.lanes) - 1) * shape.block() + shape.lanes;
    let furthest = offsets.iter().max().unwrap_or(&0) + (rows - 1) * shape.row() + (width - 1) * shape.lanes + reach;
    assert!(furthest <= tile.len() && weights.len() >= offsets.len() * channels * block.registers * table.lanes);
    let bias = if output.weights.bias.is_empty() {
        std::ptr::null()
    } else {
        output.weights.bias[block.first..][..block.registers * table.lanes].as_ptr()
    };
    for row in 0..rows {
        let first = output.place.index(image, first_row + row, 0) + block.first;
        output.values.at(first, (width - 1) * output.place.pixel + block.valid);
        let mut x = 0;
        while x < width {
            // The last run overlaps the one before it and writes the same values again.
            let start = x.min(width - run);
            let job = Taps {
                tile: tile[row * shape.row() + start * shape.lanes..].as_ptr(),
                offsets: offsets.as_ptr(),
                taps: offsets.len(),
                channels,
                block_stride: shape.block(),
                weights: weights.as_ptr(),
                bias,
                output: output.values.at(first + start * output.place.pixel, 1),
                pixel_stride: output.place.pixel,
                valid: block.valid,
            };
            // SAFETY: the table was chosen for this CPU. The tile holds what the taps of the last pixel reach and the
            // weights as many as are read, both asserted above; so is the end of the row that is written. Each task has
            // rows and channels of its own.
            unsafe { kernels[run - 1](&job) };
            x += run;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_waste_little_of_a_row() {
        assert_eq!(run_length(14, 9), 9);
        assert_eq!(run_length(14, 16), 8);
        assert_eq!(run_length(14, 256), 13);
        for width in 1..600 {
            let run = run_length(14, width);
            assert!(width.div_ceil(run) * run <= width + width / 8 + 1, "{width}: {run}");
        }
    }
}
