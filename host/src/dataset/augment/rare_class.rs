//! Chooses a pixel so that rare classes are seen more often.

use unet_shared::mask::IGNORE_INDEX;

use super::geometry::Geometry;
use crate::rng::Rng;

/// Column and row of a pixel. Draws a class of the mask, in inverse proportion to its pixels in the training images, then one of
/// its pixels, all equally likely. `None` if all pixels are ignored.
pub(super) fn rare_pixel(rng: &mut Rng, geometry: &Geometry<'_>) -> Option<[usize; 2]> {
    let mut counts = [0u64; 256];
    geometry.mask.iter().for_each(|&class| counts[usize::from(class)] += 1);
    counts[usize::from(IGNORE_INDEX)] = 0;
    let total: u64 = geometry.class_pixels.iter().sum();
    // Weights have 10 bits below 1, and the product fits into 128 bits. Each is at most 2^54, so the sum of 255 fits into 64.
    let weight = |class: usize| match geometry.class_pixels.get(class) {
        _ if counts[class] == 0 => 0,
        Some(&pixels) => ((u128::from(total) << 10) / u128::from(pixels.max(1))).clamp(1, 1 << 54) as u64,
        None => 1,
    };
    let mut drawn = rng.below((0..256).map(weight).sum());
    let class = (0..256).find(|&class| {
        let found = drawn < weight(class);
        drawn = drawn.saturating_sub(weight(class));
        found
    })?;
    let number = rng.below(counts[class]) as usize;
    let mut pixels = geometry.mask.iter().enumerate().filter(|(_, id)| usize::from(**id) == class);
    let (index, _) = pixels.nth(number)?;
    Some([index % geometry.size[0], index / geometry.size[0]])
}

#[cfg(test)]
mod tests {
    use super::super::test_item;
    use super::*;

    /// Pixels of each value of this mask that 4000 draws choose.
    fn drawn(mask: &[u8], class_pixels: &[u64]) -> Vec<usize> {
        let item = test_item(mask);
        let geometry = Geometry::new(&item, mask.len() / 2, class_pixels);
        let mut chosen = vec![0; mask.len()];
        for seed in 0..4000 {
            if let Some([x, y]) = rare_pixel(&mut Rng::from_parts(&[seed]), &geometry) {
                chosen[y * mask.len() / 2 + x] += 1;
            }
        }
        chosen
    }

    #[test]
    fn a_class_is_drawn_in_inverse_proportion_to_its_pixels() {
        // Class 1 has a third of the pixels of class 0, so it is drawn three times as often; class 2 is not in the mask.
        let chosen = drawn(&[0, 0, 1, 0, 255, 255], &[300, 100, 1]);
        assert_eq!([chosen[4], chosen[5], chosen.iter().sum::<usize>()], [0, 0, 4000]);
        assert!((2880..3120).contains(&chosen[2]), "{chosen:?}");
        assert!([chosen[0], chosen[1], chosen[3]].iter().all(|n| (250..420).contains(n)), "{chosen:?}");
    }

    #[test]
    fn without_counts_all_classes_are_equal_and_without_classes_nothing_is_drawn() {
        let chosen = drawn(&[0, 0, 0, 7], &[]);
        assert!((1850..2150).contains(&chosen[3]), "{chosen:?}");
        assert_eq!(drawn(&[255; 4], &[9, 9]), [0; 4]);
    }
}
