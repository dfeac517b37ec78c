//! Random flips.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dataset::loader::Item;
use crate::rng::Rng;

/// The flips that may be drawn, each in half of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flips {
    /// Swap left and right.
    pub horizontal: bool,
    /// Swap top and bottom.
    pub vertical: bool,
}

impl Flips {
    /// No flip.
    pub const NONE: Self = Self { horizontal: false, vertical: false };
    /// Left and right.
    pub const HORIZONTAL: Self = Self { horizontal: true, vertical: false };
    /// Top and bottom.
    pub const VERTICAL: Self = Self { horizontal: false, vertical: true };
    /// Both, independently.
    pub const BOTH: Self = Self { horizontal: true, vertical: true };
}

impl fmt::Display for Flips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.horizontal, self.vertical) {
            (false, false) => "no flips",
            (true, false) => "horizontal flips",
            (false, true) => "vertical flips",
            (true, true) => "flips both ways",
        })
    }
}

impl clap::ValueEnum for Flips {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::NONE, Self::HORIZONTAL, Self::VERTICAL, Self::BOTH]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        let name = match (self.horizontal, self.vertical) {
            (false, false) => "none",
            (true, false) => "horizontal",
            (false, true) => "vertical",
            (true, true) => "both",
        };
        Some(name.into())
    }
}

impl Flips {
    /// Flips planes and mask, which have `width` columns, or leaves them.
    pub(super) fn apply(self, rng: &mut Rng, width: usize, item: &mut Arc<Item>) {
        let (horizontal, vertical) = (rng.flip(), rng.flip());
        let drawn = Self { horizontal: horizontal && self.horizontal, vertical: vertical && self.vertical };
        if drawn == Self::NONE {
            return;
        }
        let item = Arc::make_mut(item);
        let pixels = item.mask.len();
        item.planes.chunks_exact_mut(pixels).for_each(|plane| drawn.flip(width, plane));
        drawn.flip(width, &mut item.mask);
    }

    fn flip(self, width: usize, plane: &mut [u8]) {
        if self.horizontal {
            plane.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        if self.vertical {
            let (top, bottom) = plane.split_at_mut(plane.len() / width / 2 * width);
            for (above, below) in top.chunks_exact_mut(width).zip(bottom.rchunks_exact_mut(width)) {
                above.swap_with_slice(below);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_item;
    use super::*;

    #[test]
    fn flips_of_a_plane_of_three_columns() {
        let flipped = |flips: Flips, mut plane: Vec<u8>| {
            flips.flip(3, &mut plane);
            plane
        };
        let two_rows = vec![1, 2, 3, 4, 5, 6];
        assert_eq!(flipped(Flips::NONE, two_rows.clone()), two_rows);
        assert_eq!(flipped(Flips::HORIZONTAL, two_rows.clone()), [3, 2, 1, 6, 5, 4]);
        assert_eq!(flipped(Flips::VERTICAL, two_rows.clone()), [4, 5, 6, 1, 2, 3]);
        assert_eq!(flipped(Flips::BOTH, two_rows), [6, 5, 4, 3, 2, 1]);
        // The middle row of three stays.
        assert_eq!(flipped(Flips::VERTICAL, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]), [7, 8, 9, 4, 5, 6, 1, 2, 3]);
    }

    #[test]
    fn half_of_the_samples_are_flipped_and_each_plane_with_its_mask() {
        let drawn = |flips: Flips, sample: u64| {
            let mut item = Arc::new(Item { planes: vec![1, 2, 3, 4, 5, 6], mask: vec![1, 2, 3], truth: None });
            flips.apply(&mut Rng::from_parts(&[1, sample]), 3, &mut item);
            (item.planes.clone(), item.mask.clone())
        };
        let flipped = (vec![3, 2, 1, 6, 5, 4], vec![3, 2, 1]);
        let count = (0..64).filter(|&sample| drawn(Flips::HORIZONTAL, sample) == flipped).count();
        assert!((16..48).contains(&count), "{count} of 64");
        assert!((0..64).all(|sample| drawn(Flips::NONE, sample) == (vec![1, 2, 3, 4, 5, 6], vec![1, 2, 3])));
    }

    #[test]
    fn an_item_that_is_not_flipped_is_not_copied() {
        let item = test_item(&[1, 2, 3]);
        let mut shared = Arc::clone(&item);
        Flips::NONE.apply(&mut Rng::new(1), 3, &mut shared);
        assert!(Arc::ptr_eq(&item, &shared));
    }
}
