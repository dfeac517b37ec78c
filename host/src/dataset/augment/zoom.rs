//! Random enlargement: a window of the image at full size.

use std::sync::Arc;

use crate::dataset::loader::Item;
use crate::rng::Rng;

/// Smallest side of the window, in 256ths of the image's.
const WINDOW_MIN: i32 = 128;

/// Enlarges a window whose sides are the same random share of the image's, from half to all of it, at a random place: the
/// image bilinearly, the mask by the nearest pixel. All of it is integer arithmetic.
pub(super) fn apply(rng: &mut Rng, width: usize, item: &mut Arc<Item>) {
    let share = rng.between(WINDOW_MIN, 256) as u64;
    let (place_x, place_y) = (rng.next_u64(), rng.next_u64());
    if share == 256 {
        return;
    }
    let item = Arc::make_mut(item);
    let height = item.mask.len() / width;
    let (columns, rows) = (Axis::new(width, share, place_x), Axis::new(height, share, place_y));
    let enlarged = item.planes.chunks_exact(width * height).flat_map(|plane| bilinear(plane, &columns, &rows));
    item.planes = enlarged.collect();
    item.mask = nearest(&item.mask, &columns, &rows);
}

/// What one axis of the enlarged image reads.
struct Axis {
    /// One entry a target pixel.
    taps: Vec<Tap>,
}

struct Tap {
    /// The two source pixels around the centre of the target pixel.
    around: [usize; 2],
    /// Weight of the second one, in 256ths.
    weight: u32,
    /// The source pixel under the centre.
    under: usize,
}

impl Axis {
    /// A window of `share` 256ths of `side` pixels, at a place that 64 random bits choose.
    fn new(side: usize, share: u64, place: u64) -> Self {
        let window = ((side as u64 * share + 128) >> 8).max(1);
        let first = Rng::new(place).below(side as u64 - window + 1) as usize;
        let tap = |target: u64| {
            // The target pixel's centre in the window, by half pixels.
            let centre = (2 * target + 1) * window;
            let position = (centre * 128 / side as u64).saturating_sub(128).min((window - 1) * 256);
            let lower = (position >> 8) as usize;
            let upper = (lower + 1).min(window as usize - 1);
            Tap {
                around: [first + lower, first + upper],
                weight: (position & 255) as u32,
                under: first + (centre / (2 * side as u64)) as usize,
            }
        };
        Self { taps: (0..side as u64).map(tap).collect() }
    }
}

fn bilinear(plane: &[u8], columns: &Axis, rows: &Axis) -> Vec<u8> {
    let width = columns.taps.len();
    let mut enlarged = Vec::with_capacity(plane.len());
    for row in &rows.taps {
        let [above, below] = row.around.map(|y| &plane[y * width..(y + 1) * width]);
        enlarged.extend(columns.taps.iter().map(|column| {
            let [left, right] = column.around;
            let between =
                |row: &[u8]| u32::from(row[left]) * (256 - column.weight) + u32::from(row[right]) * column.weight;
            ((between(above) * (256 - row.weight) + between(below) * row.weight + (1 << 15)) >> 16) as u8
        }));
    }
    enlarged
}

fn nearest(mask: &[u8], columns: &Axis, rows: &Axis) -> Vec<u8> {
    let width = columns.taps.len();
    let mut enlarged = Vec::with_capacity(mask.len());
    for row in &rows.taps {
        let row = &mask[row.under * width..(row.under + 1) * width];
        enlarged.extend(columns.taps.iter().map(|column| row[column.under]));
    }
    enlarged
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An axis of four pixels that enlarges two of them.
    fn half(first: u64) -> Axis {
        let place = (0..).find(|&place| Rng::new(place).below(3) == first).unwrap();
        Axis::new(4, 128, place)
    }

    #[test]
    fn two_pixels_become_four() {
        // Centres lie at -1/4, 1/4, 3/4 and 5/4 of the two pixels.
        let row = Axis::new(1, 256, 0);
        assert_eq!(bilinear(&[9, 0, 100, 9], &half(1), &row), [0, 25, 75, 100]);
        assert_eq!(nearest(&[9, 0, 100, 9], &half(1), &row), [0, 0, 100, 100]);
        assert_eq!(bilinear(&[8, 16, 9, 9], &half(0), &row), [8, 10, 14, 16]);
        assert_eq!(nearest(&[9, 9, 1, 2], &half(2), &row), [1, 1, 2, 2]);
    }

    #[test]
    fn rows_are_enlarged_as_columns_are() {
        let column = Axis::new(1, 256, 0);
        assert_eq!(bilinear(&[9, 0, 100, 9], &column, &half(1)), [0, 25, 75, 100]);
        assert_eq!(nearest(&[9, 0, 100, 9], &column, &half(1)), [0, 0, 100, 100]);
    }

    #[test]
    fn the_whole_window_is_the_image_itself() {
        let plane: Vec<u8> = (0..7 * 5).map(|i| (i * 37 % 251) as u8).collect();
        let (columns, rows) = (Axis::new(7, 256, 3), Axis::new(5, 256, 4));
        assert_eq!(bilinear(&plane, &columns, &rows), plane);
        assert_eq!(nearest(&plane, &columns, &rows), plane);
    }

    #[test]
    fn every_window_lies_within_the_image() {
        for (side, place) in (1..70).flat_map(|side| (0..20).map(move |place| (side, place))) {
            for share in [128, 129, 200, 255, 256] {
                let axis = Axis::new(side, share, place);
                assert_eq!(axis.taps.len(), side);
                assert!(axis.taps.iter().all(|tap| tap.around[1] < side && tap.under < side && tap.weight < 256));
            }
        }
    }
}
