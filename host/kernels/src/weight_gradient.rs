//! Sums over all pixels for the gradient of weights.

use std::cell::RefCell;

use rayon::prelude::*;

use super::micro::Outer;
use super::planes::{Planes, Size};
use super::shared::SharedMut;
use super::table::Table;
use super::tile::{self, Buffer};

/// Bytes of the two tiles together.
pub(super) const TILE_BYTES: usize = 384 << 10;
/// Pixels of a run, whose data fits into a core's L1 cache.
const RUN_PIXELS: usize = 256;
/// Number of tasks, if the shape allows. Results depend on it, so it is not the number of cores.
const TASKS: usize = 16;
/// Number of values of all partial sums.
const PARTIAL_VALUES: usize = 1 << 20;
/// Inputs of at most so many channels have compute kernels of their own.
pub(super) const THIN: usize = 4;

thread_local! {
    static TILES: RefCell<(Buffer, Buffer)> = RefCell::default();
}

/// Values of the partial sums for so many weights, if the image has enough rows for all tasks.
pub fn partial_sums(weights: usize) -> usize {
    (PARTIAL_VALUES / weights.max(1)).clamp(1, TASKS) * weights
}

/// The first of some taps in a row: a group of the input, and a row and column relative to the border's corner.
#[derive(Clone, Copy, Debug)]
pub(super) struct TapRow {
    /// Index of the group.
    pub group: usize,
    /// Rows below the border's first.
    pub y: usize,
    /// Columns right of the border's first.
    pub x: usize,
}

/// The taps of a gradient's pixel, as it sees the input.
pub(super) struct Window {
    /// The first tap of each row of taps.
    pub rows: Vec<TapRow>,
    /// Taps in each of them, to the right: 1, 2 or 3.
    pub columns: usize,
}

impl Window {
    /// Rows of `columns` taps of the only group of the input, from `(y, x)`.
    pub fn new(starts: impl IntoIterator<Item = (usize, usize)>, columns: usize) -> Self {
        Self { rows: starts.into_iter().map(|(y, x)| TapRow { group: 0, y, x }).collect(), columns }
    }
}

/// `sums[g][o][i][t] = sum over pixels p of gradients[g][p][o] * input[p + tap t][i]`, the taps of gradient group `g` being
/// those of `windows[g]`. All windows have as many taps, and all groups of the input as many channels.
///
/// Returns `[gradient groups][outputs][inputs][taps]`.
pub(super) fn weight_gradient(
    table: &'static Table,
    size: Size,
    border: usize,
    input: &[&[Planes]],
    gradients: &[&[Planes]],
    windows: &[Window],
) -> Vec<f32> {
    for planes in input.iter().chain(gradients).flat_map(|group| group.iter()) {
        assert!(planes.values.len() >= planes.place.needed(size.images, size.height, size.width));
    }
    let lanes = table.lanes;
    let (inputs, outputs) = (tile::channels(input[0]), tile::channels(gradients[0]));
    let taps = windows[0].rows.len() * windows[0].columns;
    let layout = Layout {
        thin: inputs <= THIN && gradients.len() == 1 && (taps == 1 || taps == 9),
        groups: gradients.len(),
        outputs: outputs.next_multiple_of(lanes),
        true_outputs: outputs,
        inputs: inputs.next_multiple_of(lanes),
        true_inputs: inputs,
        taps,
    };
    let (_, input_blocks) = tile::first_blocks(input, lanes);
    let (_, gradient_blocks) = tile::first_blocks(gradients, lanes);
    let rows = tile::rows(TILE_BYTES, (input_blocks + gradient_blocks) * lanes, size, border);
    let tiles = size.height.div_ceil(rows);
    let places = size.images * tiles;
    let parts = (PARTIAL_VALUES / layout.values()).clamp(1, TASKS).min(places.max(1));
    // A part's tasks share its sums: each has some blocks of the gradient's channels.
    let blocks = layout.outputs / lanes;
    let splits = if layout.thin { 1 } else { TASKS.div_ceil(parts).min(blocks) };
    let mut sums = vec![0f32; parts * layout.values()];
    let shared = SharedMut::new(&mut sums);
    (0..parts * splits).into_par_iter().for_each(|task| {
        let (part, split) = (task / splits, task % splits);
        let blocks = blocks * split / splits..blocks * (split + 1) / splits;
        TILES.with_borrow_mut(|(input_buffer, gradient_buffer)| {
            for place in places * part / parts..places * (part + 1) / parts {
                let (image, first_row) = (place / tiles, place % tiles * rows);
                let rows = rows.min(size.height - first_row);
                let x_shape = tile::Shape { lanes, rows: rows + 2 * border, columns: size.width + 2 * border };
                let g_shape = tile::Shape { lanes, rows, columns: size.width };
                let part_rows = tile::Rows { size, image, first: first_row, border };
                let x = tile::fill(table, input_buffer, x_shape, input, part_rows);
                let g = tile::fill(table, gradient_buffer, g_shape, gradients, tile::Rows { border: 0, ..part_rows });
                let tiles = Tiles { x, x_shape, g, g_shape };
                let base = part * layout.values();
                if layout.thin {
                    add_thin(table, &tiles, &layout, &windows[0], &shared, base);
                } else {
                    add_tile(table, &tiles, &layout, windows, blocks.clone(), &shared, base);
                }
            }
        });
    });
    layout.join(&sums, parts)
}

/// The input and the gradient of some rows.
struct Tiles<'a> {
    x: &'a [f32],
    x_shape: tile::Shape,
    g: &'a [f32],
    g_shape: tile::Shape,
}

/// The order of partial sums: `[groups][outputs][taps][inputs]`, or for a thin input `[taps][true inputs][outputs]`.
struct Layout {
    thin: bool,
    groups: usize,
    outputs: usize,
    true_outputs: usize,
    inputs: usize,
    true_inputs: usize,
    taps: usize,
}

impl Layout {
    /// Values of one part.
    fn values(&self) -> usize {
        self.groups * self.outputs * self.taps * if self.thin { self.true_inputs } else { self.inputs }
    }

    /// Adds the parts in order, without the padding.
    fn join(&self, sums: &[f32], parts: usize) -> Vec<f32> {
        let (inputs, outputs, taps) = (self.true_inputs, self.true_outputs, self.taps);
        let mut joined = vec![0f32; self.groups * outputs * inputs * taps];
        joined.par_chunks_mut((inputs * taps).max(1)).enumerate().for_each(|(index, out)| {
            let (group, output) = (index / outputs, index % outputs);
            for part in 0..parts {
                let sums = &sums[part * self.values()..][..self.values()];
                if self.thin {
                    for (at, out) in out.iter_mut().enumerate() {
                        let (input, tap) = (at / taps, at % taps);
                        *out += sums[(tap * inputs + input) * self.outputs + output];
                    }
                    continue;
                }
                for tap in 0..taps {
                    let from = ((group * self.outputs + output) * taps + tap) * self.inputs;
                    for (input, sum) in sums[from..from + inputs].iter().enumerate() {
                        out[input * taps + tap] += sum;
                    }
                }
            }
        });
        joined
    }
}

/// The runs of a tile of the gradient: `(first row, rows, first column, columns)`.
pub(super) fn runs(shape: tile::Shape) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    let parts = shape.columns.div_ceil(RUN_PIXELS).max(1);
    let columns = shape.columns.div_ceil(parts).max(1);
    let rows = (RUN_PIXELS / columns).max(1);
    (0..shape.rows).step_by(rows).flat_map(move |row| {
        (0..shape.columns)
            .step_by(columns)
            .map(move |column| (row, rows.min(shape.rows - row), column, columns.min(shape.columns - column)))
    })
}

/// Adds a tile's contribution to the sums of some blocks of the gradient's channels.
fn add_tile(
    table: &Table,
    tiles: &Tiles,
    layout: &Layout,
    windows: &[Window],
    blocks: std::ops::Range<usize>,
    sums: &SharedMut,
    base: usize,
) {
    let Tiles { x, x_shape, g, g_shape } = tiles;
    let lanes = table.lanes;
    let taps_a_row = windows[0].columns;
    let at_once = table.outer_channels[taps_a_row - 1];
    for (row, rows, column, columns) in runs(*g_shape) {
        for input in 0..layout.inputs / lanes {
            for (group, window) in windows.iter().enumerate() {
                for (number, taps) in window.rows.iter().enumerate() {
                    let first = taps.group * (layout.inputs / lanes) + input;
                    let from = first * x_shape.block() + (row + taps.y) * x_shape.row() + (column + taps.x) * lanes;
                    let end = from + (rows - 1) * x_shape.row() + (columns - 1 + taps_a_row) * lanes;
                    assert!(end <= x.len());
                    for channel in (blocks.start * lanes..layout.true_outputs.min(blocks.end * lanes)).step_by(at_once)
                    {
                        let block = group * (layout.outputs / lanes) + channel / lanes;
                        let gradient = block * g_shape.block() + row * g_shape.row() + column * lanes + channel % lanes;
                        assert!(gradient + (rows - 1) * g_shape.row() + (columns - 1) * lanes + at_once <= g.len());
                        let channel_stride = layout.taps * layout.inputs;
                        let to = base
                            + (group * layout.outputs + channel) * channel_stride
                            + number * taps_a_row * layout.inputs
                            + input * lanes;
                        let reach = (at_once - 1) * channel_stride + (taps_a_row - 1) * layout.inputs + lanes;
                        let job = Outer {
                            gradient: g[gradient..].as_ptr(),
                            gradient_row: g_shape.row(),
                            input: x[from..].as_ptr(),
                            input_row: x_shape.row(),
                            rows,
                            columns,
                            sums: sums.at(to, reach),
                            channel_stride,
                            tap_stride: layout.inputs,
                        };
                        // SAFETY: the table was chosen for this CPU; reads and writes end where asserted; no other task
                        // has this part of the sums and these channels.
                        unsafe { table.outer[taps_a_row - 1](&job) };
                    }
                }
            }
        }
    }
}

/// The same for an input of few channels.
fn add_thin(table: &Table, tiles: &Tiles, layout: &Layout, window: &Window, sums: &SharedMut, base: usize) {
    let Tiles { x, x_shape, g, g_shape } = tiles;
    let lanes = table.lanes;
    for (row, rows, column, columns) in runs(*g_shape) {
        for channel in 0..layout.true_inputs {
            let group = layout.inputs / lanes * x_shape.block();
            let offsets: Vec<usize> = window
                .rows
                .iter()
                .flat_map(|taps| (0..window.columns).map(move |k| (taps.group, taps.y, taps.x + k)))
                .map(|(input, y, x)| input * group + y * x_shape.row() + x * lanes)
                .collect();
            let from = channel / lanes * x_shape.block() + row * x_shape.row() + column * lanes + channel % lanes;
            let furthest = offsets.iter().max().unwrap_or(&0) + (rows - 1) * x_shape.row() + (columns - 1) * lanes;
            assert!(from + furthest < x.len());
            for block in 0..layout.outputs / lanes {
                let gradient = block * g_shape.block() + row * g_shape.row() + column * lanes;
                assert!(gradient + (rows - 1) * g_shape.row() + columns * lanes <= g.len());
                let tap_stride = layout.true_inputs * layout.outputs;
                let to = base + channel * layout.outputs + block * lanes;
                let job = Outer {
                    gradient: g[gradient..].as_ptr(),
                    gradient_row: g_shape.row(),
                    input: x[from..].as_ptr(),
                    input_row: x_shape.row(),
                    rows,
                    columns,
                    sums: sums.at(to, (layout.taps - 1) * tap_stride + lanes),
                    channel_stride: 0,
                    tap_stride,
                };
                // SAFETY: the table was chosen for this CPU; reads and writes end where asserted; each task has a part of
                // the sums of its own.
                unsafe {
                    match <&[usize; 9]>::try_from(&offsets[..]) {
                        Ok(nine) => (table.thin_9)(&job, nine),
                        Err(_) => (table.thin_1)(&job, &[offsets[0]]),
                    }
                }
            }
        }
    }
}
