//! A copy of some rows with a border of zeros, small enough for a core's own cache, channels in blocks of a register.

use super::planes::{Planes, Size};
use super::table::Table;

/// Bytes of a cache line, to which tiles are aligned.
const LINE: usize = 64;

/// Memory of a tile, reused by a thread.
#[derive(Default)]
pub(super) struct Buffer {
    values: Vec<f32>,
}

impl Buffer {
    /// At least `length` values with arbitrary content, aligned to a cache line.
    fn aligned(&mut self, length: usize) -> &mut [f32] {
        let spare = LINE / size_of::<f32>();
        if self.values.len() < length + spare {
            self.values = vec![0.0; length + spare];
        }
        let skip = self.values.as_ptr().align_offset(LINE).min(spare);
        &mut self.values[skip..skip + length]
    }
}

/// The shape of a tile: see [`micro`](super::micro) for the order of its values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Values of a block's pixel.
    pub lanes: usize,
    /// Rows, with the border.
    pub rows: usize,
    /// Columns, with the border.
    pub columns: usize,
}

impl Shape {
    /// Values from a row to the next.
    pub fn row(&self) -> usize {
        self.columns * self.lanes
    }

    /// Values from a block to the next.
    pub fn block(&self) -> usize {
        self.rows * self.row()
    }
}

/// The rows of an image in a tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    /// Number and size of the images.
    pub size: Size,
    /// Index of the image.
    pub image: usize,
    /// The first row inside the border.
    pub first: usize,
    /// Rows above and below, and columns at either side, that belong to the border.
    pub border: usize,
}

/// Minimum rows of a tile inside its border, if the image has as many: with fewer, most of it would be border.
const LEAST_ROWS: usize = 4;

/// Bytes of a row of so many channels in blocks, with its border.
fn row_bytes(channels: usize, width: usize, border: usize) -> usize {
    channels * (width + 2 * border) * size_of::<f32>()
}

/// Rows inside the border of each of an image's tiles of about `bytes`, for so many channels in blocks; as equal in height as
/// possible.
pub(super) fn rows(bytes: usize, channels: usize, size: Size, border: usize) -> usize {
    let (height, row) = (size.height.max(1), row_bytes(channels, size.width, border));
    let most = (bytes / row.max(1)).saturating_sub(2 * border).clamp(LEAST_ROWS.min(height), height);
    height.div_ceil(height.div_ceil(most))
}

/// Bytes of the largest tile of [`rows`], with the border of a 3x3 convolution.
pub(super) fn most_bytes(bytes: usize, channels: usize, width: usize) -> usize {
    bytes.max((LEAST_ROWS + 2) * row_bytes(channels, width, 1))
}

/// Blocks of each group of channels, the first of each group.
pub(super) fn first_blocks(groups: &[&[Planes]], lanes: usize) -> (Vec<usize>, usize) {
    let mut first = Vec::with_capacity(groups.len());
    let mut blocks = 0;
    for group in groups {
        first.push(blocks);
        blocks += channels(group).div_ceil(lanes);
    }
    (first, blocks)
}

/// Channels of a group.
pub(super) fn channels(group: &[Planes]) -> usize {
    group.iter().map(|planes| planes.place.channels).sum()
}

/// Copies rows of an image to `buffer`, from those of the border on, with zeros outside the image and in lanes past a group's
/// channels. Each group begins with a block of its own; within a group channels follow one another.
pub(super) fn fill<'b>(
    table: &Table,
    buffer: &'b mut Buffer,
    shape: Shape,
    groups: &[&[Planes]],
    part: Rows,
) -> &'b [f32] {
    let (_, blocks) = first_blocks(groups, shape.lanes);
    let tile = buffer.aligned(blocks * shape.block());
    let mut block = 0;
    for group in groups {
        let mut before = 0;
        for planes in *group {
            let mut channel = 0;
            while channel < planes.place.channels {
                let (at, lane) = ((before + channel) / shape.lanes, (before + channel) % shape.lanes);
                let count = (shape.lanes - lane).min(planes.place.channels - channel);
                let values = &mut tile[(block + at) * shape.block()..][..shape.block()];
                fill_block(table, values, shape, planes, (channel, lane, count), part);
                channel += count;
            }
            before += planes.place.channels;
        }
        let used = before % shape.lanes;
        if used > 0 {
            let last = (block + before / shape.lanes) * shape.block();
            for pixel in tile[last..last + shape.block()].chunks_exact_mut(shape.lanes) {
                pixel[used..].fill(0.0);
            }
        }
        block += before.div_ceil(shape.lanes);
    }
    tile
}

/// Fills some lanes of a block: `count` channels from `channel` on, to lanes from `lane` on.
fn fill_block(
    table: &Table,
    block: &mut [f32],
    shape: Shape,
    planes: &Planes,
    (channel, lane, count): (usize, usize, usize),
    Rows { size, image, first: first_row, border }: Rows,
) {
    let clear = |pixels: &mut [f32]| {
        for pixel in pixels.chunks_exact_mut(shape.lanes) {
            pixel[lane..lane + count].fill(0.0);
        }
    };
    for (row, out) in block.chunks_exact_mut(shape.row()).enumerate() {
        let Some(y) = (first_row + row).checked_sub(border).filter(|y| *y < size.height) else {
            clear(out);
            continue;
        };
        let (left, rest) = out.split_at_mut(border * shape.lanes);
        let (middle, right) = rest.split_at_mut(size.width * shape.lanes);
        clear(left);
        clear(right);
        let from = planes.place.index(image, y, 0) + channel;
        let needed = (size.width - 1) * planes.place.pixel + count;
        let values = &planes.values[from..from + needed];
        // SAFETY: the table was chosen for this CPU; the reads end with the slice of `needed` values, and the writes stay
        // in `middle`, which has `lanes` values a pixel, of which `lane + count` are touched at most.
        unsafe {
            (table.spread)(values.as_ptr(), planes.place.pixel, count, size.width, middle.as_mut_ptr().add(lane));
        }
    }
}
