//! Data movement, comparison and addition: pooling, upsampling, copying, depth-to-space, and the two ends where the caller's NCHW becomes
//! NHWC with a border, and back. Safe code over slices; knows no ONNX and no threads.

use std::fmt;
use std::ops::Range;

use unet_shared::quantization::Addition;

use super::super::kernel::{Grid, InputView, Loops, OutputView};
use super::threads::Rows;

/// An operator that makes one tensor of another without arithmetic. A new one is a function here and a static that names it.
pub(super) struct Movement {
    /// Its name in ONNX.
    pub name: &'static str,
    /// Computes the rows of the target.
    pub run: fn(&InputView<'_>, OutputView<'_>),
}

/// Maximum over 2x2 with stride 2; an odd last row or column is left out.
pub(super) static MAX_POOL: Movement = Movement { name: "MaxPool", run: max_pool };
/// Each pixel becomes 2x2 equal ones.
pub(super) static UPSAMPLE: Movement = Movement { name: "Resize", run: upsample };
/// `[4 C, H, W]` to `[C, 2 H, 2 W]`, ONNX's mode DCR.
pub(super) static DEPTH_TO_SPACE: Movement = Movement { name: "DepthToSpace", run: depth_to_space };

/// Twice the height and width by linear interpolation between pixel centres, for a zero point that is even, and one that is odd.
pub(super) static UPSAMPLE_LINEAR: [Movement; 2] = [
    Movement { name: "Resize", run: |source, target| upsample_linear(source, target, 0) },
    Movement { name: "Resize", run: |source, target| upsample_linear(source, target, 1) },
];

impl PartialEq for Movement {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl fmt::Debug for Movement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

impl Rows for OutputView<'_> {
    fn rows(&self) -> Range<usize> {
        OutputView::rows(self)
    }

    fn split(self, row: usize) -> (Self, Self) {
        self.split_at_row(row)
    }
}

/// Fills the border around the pixels of a buffer.
pub(super) fn fill_border(grid: &Grid, fill: u8, bytes: &mut [u8]) {
    let (row, side) = (grid.row_stride(), grid.border() * grid.pixel_stride());
    let (first, end) = (grid.border() * row, (grid.border() + grid.height()) * row);
    bytes[..first].fill(fill);
    for row in bytes[first..end].chunks_exact_mut(row) {
        row[..side].fill(fill);
        let right = row.len() - side;
        row[right..].fill(fill);
    }
    bytes[end..end + first].fill(fill);
}

/// The windows of a pooling. Pixels of the padding do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PoolWindows {
    /// Rows and columns of a window.
    pub kernel: [usize; 2],
    /// Rows and columns from a window to the next.
    pub strides: [usize; 2],
    /// Rows above and columns left of the image in the first window.
    pub before: [usize; 2],
}

impl PoolWindows {
    /// The rows (axis 0) or columns (axis 1) of window `at`, of `pixels`.
    fn range(&self, axis: usize, at: usize, pixels: usize) -> Range<usize> {
        let start = at * self.strides[axis];
        let end = start + self.kernel[axis] - self.before[axis];
        start.saturating_sub(self.before[axis])..end.min(pixels)
    }
}

/// Maximum over each window.
pub(super) fn max_pool_windows(source: &InputView<'_>, mut target: OutputView<'_>, windows: &PoolWindows) {
    let (height, width, pixel) = (source.grid().height(), source.grid().width(), source.grid().pixel_stride());
    target.for_each_row(|y, row, stride, channels| {
        let rows = windows.range(0, y, height);
        for (x, out) in row.chunks_exact_mut(stride).enumerate() {
            let out = &mut out[channels.clone()];
            out.fill(0);
            for row in rows.clone() {
                let row = source.row(row);
                for column in windows.range(1, x, width) {
                    raise(out, &row[column * pixel..][source.channels()]);
                }
            }
        }
    });
}

/// The larger of both, byte by byte.
fn raise(out: &mut [u8], other: &[u8]) {
    let (blocks, rest) = out.as_chunks_mut::<16>();
    let (other_blocks, other_rest) = other.as_chunks::<16>();
    for (block, other) in blocks.iter_mut().zip(other_blocks) {
        *block = std::array::from_fn(|i| block[i].max(other[i]));
    }
    for (out, other) in rest.iter_mut().zip(other_rest) {
        *out = (*out).max(*other);
    }
}

fn max_pool(source: &InputView<'_>, mut target: OutputView<'_>) {
    let (first, count) = (source.channels().start, source.channels().len());
    let second = source.grid().pixel_stride() + first;
    target.for_each_row(|y, row, stride, channels| {
        let (above, below) = (source.row(2 * y), source.row(2 * y + 1));
        let pair = 2 * source.grid().pixel_stride();
        let windows = above.chunks_exact(pair).zip(below.chunks_exact(pair));
        for (pixel, (above, below)) in row.chunks_exact_mut(stride).zip(windows) {
            let [a, b] = [first, second].map(|start| &above[start..start + count]);
            let [c, d] = [first, second].map(|start| &below[start..start + count]);
            largest(&mut pixel[channels.clone()], [a, b, c, d]);
        }
    });
}

/// The maximum of four slices of equal length, byte by byte.
fn largest(out: &mut [u8], from: [&[u8]; 4]) {
    // Arrays of a fixed length compile to vector instructions.
    let (blocks, rest) = out.as_chunks_mut::<16>();
    let parts = from.map(|slice| slice.as_chunks::<16>());
    for (index, block) in blocks.iter_mut().enumerate() {
        let [a, b, c, d] = parts.map(|(blocks, _)| &blocks[index]);
        *block = std::array::from_fn(|i| a[i].max(b[i]).max(c[i].max(d[i])));
    }
    for (index, out) in rest.iter_mut().enumerate() {
        *out = parts.map(|(_, rest)| rest[index]).into_iter().fold(0, u8::max);
    }
}

fn upsample(source: &InputView<'_>, mut target: OutputView<'_>) {
    target.for_each_row(|y, row, stride, channels| {
        for (pair, pixel) in row.chunks_exact_mut(2 * stride).zip(source.pixels(y / 2)) {
            for out in pair.chunks_exact_mut(stride) {
                out[channels.clone()].copy_from_slice(pixel);
            }
        }
    });
}

/// A pixel's own quarter of each neighbour square weighs 9, the two beside it 3 and the one across 1, of 16; beyond an edge the
/// edge's pixels repeat.
fn upsample_linear(source: &InputView<'_>, mut target: OutputView<'_>, zero_point: u16) {
    let (height, width) = (source.grid().height(), source.grid().width());
    // The neighbour of `at / 2` that is nearest to `at`.
    let beside = |at: usize, size: usize| {
        if at.is_multiple_of(2) { (at / 2).saturating_sub(1) } else { (at / 2 + 1).min(size - 1) }
    };
    target.for_each_row(|y, row, stride, channels| {
        let rows = [source.row(y / 2), source.row(beside(y, height))];
        let pixel = |row: usize, x: usize| &rows[row][x * source.grid().pixel_stride()..][source.channels()];
        for (x, out) in row.chunks_exact_mut(stride).enumerate() {
            let (own, other) = (x / 2, beside(x, width));
            let from = [pixel(0, own), pixel(1, own), pixel(0, other), pixel(1, other)];
            interpolate(&mut out[channels.clone()], from, zero_point);
        }
    });
}

/// Sixteenths of 9, 3, 3 and 1 of these bytes, each less the zero point, rounded half to even; all of one length.
fn interpolate(out: &mut [u8], from: [&[u8]; 4], zero_point: u16) {
    let [a, b, c, d] = from.map(|slice| &slice[..out.len()]);
    for (index, out) in out.iter_mut().enumerate() {
        let [a, b, c, d] = [a, b, c, d].map(|slice| u16::from(slice[index]));
        let sum = 9 * a + 3 * (b + c) + d;
        let (floor, sixteenths) = (sum >> 4, sum & 15);
        // Whether the floor is odd once the zero point is taken away: then a half goes up.
        let odd = (floor ^ zero_point) & 1;
        *out = (floor + ((sixteenths + odd + 7) >> 4)) as u8;
    }
}

/// The same pixels.
pub(super) fn copy(source: &InputView<'_>, mut target: OutputView<'_>) {
    target.for_each_row(|y, row, stride, channels| {
        for (out, pixel) in row.chunks_exact_mut(stride).zip(source.pixels(y)) {
            out[channels.clone()].copy_from_slice(pixel);
        }
    });
}

/// The same pixels, each byte through `table`.
pub(super) fn map(source: &InputView<'_>, mut target: OutputView<'_>, table: &[u8; 256]) {
    target.for_each_row(|y, row, stride, channels| {
        for (out, pixel) in row.chunks_exact_mut(stride).zip(source.pixels(y)) {
            for (out, &byte) in out[channels.clone()].iter_mut().zip(pixel) {
                *out = table[usize::from(byte)];
            }
        }
    });
}

/// The sum of two tensors of as many channels.
pub(super) fn add(sources: [&InputView<'_>; 2], mut target: OutputView<'_>, addition: &Addition, loops: &Loops) {
    let packed = |source: &InputView<'_>| source.channels().len() == source.grid().pixel_stride();
    let packed = sources.into_iter().all(packed);
    target.for_each_row(|y, row, stride, channels| {
        // Without other channels between them, a row is one run of bytes.
        if packed && channels.len() == stride {
            let [a, b] = sources.map(|source| source.row(y));
            return loops.add(row, a, b, addition);
        }
        let [a, b] = sources.map(|source| source.pixels(y));
        for ((out, a), b) in row.chunks_exact_mut(stride).zip(a).zip(b) {
            loops.add(&mut out[channels.clone()], a, b, addition);
        }
    });
}

fn depth_to_space(source: &InputView<'_>, mut target: OutputView<'_>) {
    target.for_each_row(|y, row, stride, channels| {
        let count = channels.len();
        let first = y % 2 * 2 * count;
        // Without other channels between them, two neighbours are one run of bytes in both buffers.
        match (stride == count, 2 * count) {
            (true, run @ 2..4) => copy_runs::<2>(row, source.pixels(y / 2), first, run),
            (true, run @ 4..8) => copy_runs::<4>(row, source.pixels(y / 2), first, run),
            (true, run @ 8..16) => copy_runs::<8>(row, source.pixels(y / 2), first, run),
            (true, run @ 16..32) => copy_runs::<16>(row, source.pixels(y / 2), first, run),
            (true, run @ 32..=64) => copy_runs::<32>(row, source.pixels(y / 2), first, run),
            _ => {
                for (pair, pixel) in row.chunks_exact_mut(2 * stride).zip(source.pixels(y / 2)) {
                    for (x, out) in pair.chunks_exact_mut(stride).enumerate() {
                        let quarter = first + x * count;
                        out[channels.clone()].copy_from_slice(&pixel[quarter..quarter + count]);
                    }
                }
            }
        }
    });
}

/// Copies `run` bytes of each pixel, from `first` on, one after the other. A run has `N` to `2 * N` bytes, and is copied as two
/// blocks of `N` that may overlap: blocks of constant length need no loop.
fn copy_runs<'a, const N: usize>(row: &mut [u8], pixels: impl Iterator<Item = &'a [u8]>, first: usize, run: usize) {
    for (out, pixel) in row.chunks_exact_mut(run).zip(pixels) {
        let pixel = &pixel[first..first + run];
        out[..N].copy_from_slice(&pixel[..N]);
        out[run - N..].copy_from_slice(&pixel[run - N..]);
    }
}

/// From the caller's NCHW; `read` converts a run of values to as many bytes.
pub(super) fn enter<T: Copy>(frame: &[T], mut target: OutputView<'_>, read: impl Fn(&[T], &mut [u8])) {
    const RUN: usize = 64;
    let (height, width) = (target.grid().height(), target.grid().width());
    target.for_each_row(|y, row, stride, channels| {
        for (plane, channel) in channels.enumerate() {
            let start = (plane * height + y) * width;
            let values = &frame[start..start + width];
            if stride == 1 {
                read(values, row);
                continue;
            }
            for (values, pixels) in values.chunks(RUN).zip(row.chunks_mut(RUN * stride)) {
                let mut bytes = [0; RUN];
                let bytes = &mut bytes[..values.len()];
                read(values, bytes);
                for (out, &byte) in pixels.chunks_exact_mut(stride).zip(&*bytes) {
                    out[channel] = byte;
                }
            }
        }
    });
}

/// Some channels of the caller's tensor, NCHW; threads share channels, not rows.
pub(super) struct Planes<'a, T> {
    channels: Range<usize>,
    /// Values of a channel.
    plane: usize,
    values: &'a mut [T],
}

impl<'a, T> Planes<'a, T> {
    /// All of `channels` planes.
    pub(super) fn new(channels: usize, values: &'a mut [T]) -> Self {
        Planes { channels: 0..channels, plane: values.len() / channels.max(1), values }
    }
}

impl<T: Send> Rows for Planes<'_, T> {
    const ROWS_MIN: usize = 1;

    fn rows(&self) -> Range<usize> {
        self.channels.clone()
    }

    fn split(self, channel: usize) -> (Self, Self) {
        let Planes { channels, plane, values } = self;
        let (first, second) = values.split_at_mut((channel - channels.start) * plane);
        (
            Planes { channels: channels.start..channel, plane, values: first },
            Planes { channels: channel..channels.end, plane, values: second },
        )
    }
}

/// To the caller's NCHW, each byte converted by `give`.
pub(super) fn leave<T>(source: &InputView<'_>, target: Planes<'_, T>, give: impl Fn(u8) -> T) {
    let width = source.grid().width();
    let planes = target.values.chunks_exact_mut(target.plane.max(1));
    for (channel, plane) in target.channels.zip(planes) {
        let channel = source.channels().start + channel;
        for (y, row) in plane.chunks_exact_mut(width).enumerate() {
            for (out, pixel) in row.iter_mut().zip(source.row(y).chunks_exact(source.grid().pixel_stride())) {
                *out = give(pixel[channel]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use unet_shared::quantization::Quantization;

    use super::super::super::kernel::Kernel;
    use super::*;

    /// A buffer of 0xee with a border of 1, and its pixels set to `value(y, x, channel)`.
    fn buffer(grid: Grid, value: impl Fn(usize, usize, usize) -> u8) -> Vec<u8> {
        let mut bytes = vec![0xee; grid.bytes()];
        let channels = grid.pixel_stride();
        let mut target = OutputView::new(grid, 0..channels, &mut bytes).unwrap();
        target.for_each_row(|y, row, stride, _| {
            for (x, pixel) in row.chunks_exact_mut(stride).enumerate() {
                for (channel, out) in pixel.iter_mut().enumerate() {
                    *out = value(y, x, channel);
                }
            }
        });
        bytes
    }

    fn at(grid: &Grid, bytes: &[u8], y: usize, x: usize, channel: usize) -> u8 {
        bytes[(grid.border() + y) * grid.row_stride() + (grid.border() + x) * grid.pixel_stride() + channel]
    }

    #[test]
    fn pooling_writes_the_maximum_and_nothing_else() {
        let (from, to) = (Grid::new(4, 5, 1, 20).unwrap(), Grid::new(2, 2, 1, 24).unwrap());
        let value = |y: usize, x: usize, c: usize| ((y * 37 + x * 91 + c * 13) % 251) as u8;
        let bytes = buffer(from, value);
        let mut out = vec![0xdd; to.bytes()];
        let source = InputView::new(from, 1..20, &bytes).unwrap();
        max_pool(&source, OutputView::new(to, 3..22, &mut out).unwrap());
        let mut expected = vec![0xdd; to.bytes()];
        for y in 0..2 {
            for x in 0..2 {
                for c in 0..19 {
                    let window = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(dy, dx)| value(2 * y + dy, 2 * x + dx, c + 1));
                    let index = (1 + y) * to.row_stride() + (1 + x) * to.pixel_stride() + 3 + c;
                    expected[index] = window.into_iter().max().unwrap();
                }
            }
        }
        assert_eq!(out, expected);
    }

    #[test]
    fn upsampling_and_depth_to_space_place_their_pixels() {
        let (from, to) = (Grid::new(2, 3, 0, 8).unwrap(), Grid::new(4, 6, 1, 8).unwrap());
        let bytes = buffer(from, |y, x, c| (y * 100 + x * 10 + c) as u8);
        let source = InputView::new(from, 0..8, &bytes).unwrap();
        let mut out = vec![0; to.bytes()];
        upsample(&source, OutputView::new(to, 0..8, &mut out).unwrap());
        assert_eq!(at(&to, &out, 3, 5, 7), 127);
        assert_eq!(at(&to, &out, 1, 2, 4), 14);
        depth_to_space(&source, OutputView::new(to, 5..7, &mut out).unwrap());
        // Row 3 and column 4 are the lower left quarter, channels 4 and 5, of pixel (1, 2).
        assert_eq!([5, 6].map(|c| at(&to, &out, 3, 4, c)), [124, 125]);
        assert_eq!(at(&to, &out, 3, 4, 4), 124);
        // Alone in its buffer, with and without a border.
        for border in [0, 1] {
            let to = Grid::new(4, 6, border, 2).unwrap();
            let mut out = vec![0; to.bytes()];
            depth_to_space(&source, OutputView::new(to, 0..2, &mut out).unwrap());
            assert_eq!([0, 1].map(|c| at(&to, &out, 3, 4, c)), [124, 125]);
            assert_eq!([0, 1].map(|c| at(&to, &out, 0, 5, c)), [22, 23]);
        }
    }

    #[test]
    fn depth_to_space_of_any_number_of_channels_is_that_of_the_formula() {
        for count in 1..=40 {
            let from = Grid::new(2, 3, 0, 4 * count).unwrap();
            let value = |y: usize, x: usize, c: usize| ((y * 37 + x * 91 + c * 13) % 251) as u8;
            let bytes = buffer(from, value);
            let source = InputView::new(from, 0..4 * count, &bytes).unwrap();
            // Alone in its buffer, and with another channel on each side.
            for others in [0, 1] {
                let to = Grid::new(4, 6, 1, count + 2 * others).unwrap();
                let mut out = vec![255; to.bytes()];
                depth_to_space(&source, OutputView::new(to, others..others + count, &mut out).unwrap());
                for (y, x) in (0..4).flat_map(|y| (0..6).map(move |x| (y, x))) {
                    for c in 0..count + 2 * others {
                        let channel = c.checked_sub(others).filter(|&channel| channel < count);
                        let quarter = (y % 2 * 2 + x % 2) * count;
                        let expected = channel.map_or(255, |channel| value(y / 2, x / 2, quarter + channel));
                        assert_eq!(at(&to, &out, y, x, c), expected, "{count} channels, {others}: {y} {x} {c}");
                    }
                }
            }
        }
    }

    #[test]
    fn additions_write_their_own_channels_and_nothing_else() {
        let of = |scale, zero_point| Quantization { scale, zero_point };
        let addition = Addition { inputs: [of(0.5, 3), of(0.25, 9)], output: of(0.4, 7), low: 7 };
        let values = [|y, x, c| (y * 37 + x * 91 + c * 13) as u8, |y, x, c| (y * 11 + x * 7 + c * 59) as u8];
        let channels = 5;
        // Each of the three alone in its buffer, or with other channels.
        for others in [[0, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 3], [1, 2, 3]] {
            let grid = |others: usize| Grid::new(3, 4, 1, channels + others).unwrap();
            let bytes: [Vec<u8>; 2] = std::array::from_fn(|source| buffer(grid(others[source]), values[source]));
            let [a, b] = std::array::from_fn(|source| {
                let first = others[source];
                InputView::new(grid(first), first..first + channels, &bytes[source]).unwrap()
            });
            let to = grid(others[2]);
            let mut expected = vec![0xdd; to.bytes()];
            let mut out = expected.clone();
            add([&a, &b], OutputView::new(to, 0..channels, &mut out).unwrap(), &addition, &Kernel::best().loops());
            for (y, x, c) in (0..3 * 4 * channels).map(|i| (i / channels / 4, i / channels % 4, i % channels)) {
                let [a, b] = std::array::from_fn(|source| values[source](y, x, others[source] + c));
                let index = (1 + y) * to.row_stride() + (1 + x) * to.pixel_stride() + c;
                expected[index] = addition.add(a, b);
            }
            assert_eq!(out, expected, "{others:?}");
        }
    }

    /// Against real arithmetic, with halves among the results.
    #[test]
    fn linear_upsampling_rounds_real_arithmetic() {
        let (height, width) = (3, 4);
        let from = Grid::new(height, width, 1, 20).unwrap();
        let value = |y: usize, x: usize, c: usize| ((y * 37 + x * 91 + c * 13) % 251) as u8;
        let bytes = buffer(from, value);
        let source = InputView::new(from, 1..20, &bytes).unwrap();
        let to = Grid::new(2 * height, 2 * width, 0, 19).unwrap();
        for zero_point in [0, 7, 128] {
            let mut out = vec![0; to.bytes()];
            (UPSAMPLE_LINEAR[zero_point % 2].run)(&source, OutputView::new(to, 0..19, &mut out).unwrap());
            let mut halves = 0;
            for (y, x, c) in (0..6).flat_map(|y| (0..8).flat_map(move |x| (0..19).map(move |c| (y, x, c)))) {
                let along = |at: usize, size: usize| {
                    let source = ((at as f64 + 0.5) / 2.0 - 0.5).clamp(0.0, (size - 1) as f64);
                    let low = source as usize;
                    [(low, 1.0 - source.fract()), ((low + 1).min(size - 1), source.fract())]
                };
                let pairs = along(y, height).into_iter().flat_map(|row| along(x, width).map(|column| (row, column)));
                let real: f64 =
                    pairs.map(|((y, wy), (x, wx))| wy * wx * (f64::from(value(y, x, c + 1)) - zero_point as f64)).sum();
                halves += usize::from(real.fract().abs() == 0.5);
                let expected = real.round_ties_even() + zero_point as f64;
                assert_eq!(f64::from(at(&to, &out, y, x, c)), expected, "{y} {x} {c} around {zero_point}");
            }
            assert!(halves > 10, "{halves}");
        }
    }

    #[test]
    fn a_table_maps_the_channels_of_a_view_and_nothing_else() {
        let (from, to) = (Grid::new(2, 3, 1, 5).unwrap(), Grid::new(2, 3, 0, 4).unwrap());
        let bytes = buffer(from, |y, x, c| (y * 100 + x * 10 + c) as u8);
        let mut out = vec![0xdd; to.bytes()];
        let table: [u8; 256] = std::array::from_fn(|byte| 255 - byte as u8);
        map(&InputView::new(from, 2..4, &bytes).unwrap(), OutputView::new(to, 1..3, &mut out).unwrap(), &table);
        // Channels 2 and 3 of pixel (1, 2) are 122 and 123.
        assert_eq!([0, 1, 2, 3].map(|c| at(&to, &out, 1, 2, c)), [0xdd, 133, 132, 0xdd]);
        assert_eq!([0, 1, 2, 3].map(|c| at(&to, &out, 0, 0, c)), [0xdd, 253, 252, 0xdd]);
    }

    #[test]
    fn a_border_is_filled_and_the_pixels_stay() {
        let grid = Grid::new(2, 2, 1, 3).unwrap();
        let mut bytes = buffer(grid, |_, _, _| 1);
        fill_border(&grid, 9, &mut bytes);
        let sum: usize = bytes[..16 * 3].iter().map(|&byte| usize::from(byte)).sum();
        assert_eq!(sum, 4 * 3 + 12 * 3 * 9);
    }

    #[test]
    fn windows_of_any_kind_are_those_of_a_search() {
        let from = Grid::new(5, 6, 1, 4).unwrap();
        let value = |y: usize, x: usize, c: usize| ((y * 83 + x * 47 + c * 19) % 241) as u8;
        let bytes = buffer(from, value);
        let source = InputView::new(from, 1..4, &bytes).unwrap();
        for (kernel, strides, before, [height, width]) in [
            ([3, 3], [2, 2], [1, 1], [3, 3]),
            ([2, 3], [1, 2], [0, 2], [4, 3]),
            ([1, 5], [3, 1], [0, 4], [2, 6]),
            ([2, 2], [2, 2], [0, 0], [2, 3]),
        ] {
            let windows = PoolWindows { kernel, strides, before };
            let to = Grid::new(height, width, 0, 3).unwrap();
            let mut out = vec![0xdd; to.bytes()];
            max_pool_windows(&source, OutputView::new(to, 0..3, &mut out).unwrap(), &windows);
            for (y, x, c) in (0..height * width * 3).map(|i| (i / 3 / width, i / 3 % width, i % 3)) {
                let taps = (0..kernel[0]).flat_map(|row| (0..kernel[1]).map(move |column| (row, column)));
                let inside = taps.filter_map(|(row, column)| {
                    let row = (y * strides[0] + row).checked_sub(before[0]).filter(|&row| row < 5)?;
                    let column = (x * strides[1] + column).checked_sub(before[1]).filter(|&column| column < 6)?;
                    Some(value(row, column, c + 1))
                });
                assert_eq!(at(&to, &out, y, x, c), inside.max().unwrap(), "{windows:?} {y} {x} {c}");
            }
        }
    }

    fn flipped(values: &[u8], out: &mut [u8]) {
        out.iter_mut().zip(values).for_each(|(out, value)| *out = value ^ 0x80);
    }

    #[test]
    fn channels_enter_side_by_side() {
        let (grid, width) = (Grid::new(2, 130, 1, 3).unwrap(), 130);
        let frame: Vec<u8> = (0..3 * 2 * width).map(|index| (index * 7 % 251) as u8).collect();
        let mut bytes = vec![0; grid.bytes()];
        enter(&frame, OutputView::new(grid, 0..3, &mut bytes).unwrap(), |values, out| out.copy_from_slice(values));
        for (channel, y, x) in [(0, 0, 0), (1, 1, 63), (2, 1, 64), (0, 0, 129), (2, 0, 128)] {
            assert_eq!(at(&grid, &bytes, y, x, channel), frame[(channel * 2 + y) * width + x]);
        }
    }

    #[test]
    fn a_tensor_that_enters_leaves_unchanged() {
        let grid = Grid::new(3, 5, 1, 4).unwrap();
        let frame: Vec<u8> = (0..30).collect();
        let mut bytes = vec![0; grid.bytes()];
        enter(&frame, OutputView::new(grid, 1..3, &mut bytes).unwrap(), flipped);
        let mut answer = vec![0; 30];
        let source = InputView::new(grid, 1..3, &bytes).unwrap();
        leave(&source, Planes::new(2, &mut answer), |value| value ^ 0x80);
        assert_eq!(answer, frame);
    }
}
