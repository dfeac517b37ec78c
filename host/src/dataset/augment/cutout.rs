//! Random holes.

use std::sync::Arc;

use unet_shared::mask::IGNORE_INDEX;

use crate::dataset::loader::Item;
use crate::rng::Rng;

/// Shortest and longest side of the hole, in 32nds of the image's.
const SIDE: [i32; 2] = [4, 10];

/// Fills a rectangle of half of the images with the mean of each channel and ignores its pixels. Its sides are an eighth to five
/// sixteenths of the image's, at a random place within it.
pub(super) fn apply(rng: &mut Rng, width: usize, item: &mut Arc<Item>) {
    let height = item.mask.len() / width;
    let is_cut = rng.flip();
    let [columns, rows] = [width, height].map(|side| {
        let length = (side * rng.between(SIDE[0], SIDE[1]) as usize).div_ceil(32);
        let first = rng.below((side - length) as u64 + 1) as usize;
        first..first + length
    });
    if !is_cut {
        return;
    }
    let item = Arc::make_mut(item);
    let fill = |plane: &mut [u8], value: u8| {
        plane[rows.start * width..rows.end * width]
            .chunks_exact_mut(width)
            .for_each(|row| row[columns.clone()].fill(value));
    };
    for plane in item.planes.chunks_exact_mut(width * height) {
        let sum: u64 = plane.iter().map(|&value| u64::from(value)).sum();
        let pixels = plane.len() as u64;
        fill(plane, ((sum + pixels / 2) / pixels) as u8);
    }
    fill(&mut item.mask, IGNORE_INDEX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_has_the_mean_of_each_channel_and_no_class() {
        // Means of 2 and of 19.5.
        let plane = |first: u8, second: u8| (0..32 * 32).map(move |i| if i % 2 == 0 { first } else { second });
        let planes: Vec<u8> = plane(1, 3).chain(plane(19, 20)).collect();
        let mut cut = 0;
        for sample in 0..40 {
            let mut item = Arc::new(Item { planes: planes.clone(), mask: vec![1; 32 * 32], truth: None });
            apply(&mut Rng::new(sample), 32, &mut item);
            let hole: Vec<usize> = (0..32 * 32).filter(|&i| item.mask[i] == IGNORE_INDEX).collect();
            cut += usize::from(!hole.is_empty());
            assert!(hole.is_empty() || (16..=100).contains(&hole.len()), "{}", hole.len());
            for (i, (before, after)) in planes.iter().zip(&item.planes).enumerate() {
                let is_hole = item.mask[i % (32 * 32)] == IGNORE_INDEX;
                let mean = if i < 32 * 32 { 2 } else { 20 };
                assert_eq!(*after, if is_hole { mean } else { *before });
            }
        }
        assert!((10..30).contains(&cut), "{cut} of 40");
    }
}
