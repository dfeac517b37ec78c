//! Random flips of an image with its mask, drawn from the run's seed, the epoch and the sample alone.

use crate::rng::Rng;

/// Separates the draws of flips from the other uses of one seed.
const FLIP_STREAM: u64 = 0xf11b;

/// Which flips a run draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Flips {
    /// Left and right may change places.
    pub horizontal: bool,
    /// Top and bottom may change places.
    pub vertical: bool,
}

/// The flips of one sample in one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    horizontal: bool,
    vertical: bool,
}

impl Flips {
    /// Draws for `sample` in `epoch`: the same for the same arguments, in whatever order they are asked.
    pub fn draw(self, seed: u64, epoch: usize, sample: usize) -> Drawn {
        let mut rng = Rng::from_parts(&[seed, FLIP_STREAM, epoch as u64, sample as u64]);
        let (horizontal, vertical) = (rng.flip(), rng.flip());
        Drawn { horizontal: horizontal && self.horizontal, vertical: vertical && self.vertical }
    }
}

impl Drawn {
    /// No flip.
    pub const NONE: Self = Self { horizontal: false, vertical: false };

    /// Copies a plane of `width` columns, flipped, each value through `map`.
    pub fn copy<T: Copy, U>(self, plane: &[T], width: usize, out: &mut Vec<U>, map: impl Fn(T) -> U) {
        let rows = plane.len() / width;
        for y in 0..rows {
            let y = if self.vertical { rows - 1 - y } else { y };
            let row = &plane[y * width..(y + 1) * width];
            if self.horizontal {
                out.extend(row.iter().rev().map(|&v| map(v)));
            } else {
                out.extend(row.iter().map(|&v| map(v)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flips_are_those_of_a_two_by_three_plane() {
        let flip = |horizontal, vertical| {
            let mut out = vec![];
            Drawn { horizontal, vertical }.copy(&[1, 2, 3, 4, 5, 6], 3, &mut out, |v: i32| v);
            out
        };
        assert_eq!(flip(false, false), [1, 2, 3, 4, 5, 6]);
        assert_eq!(flip(true, false), [3, 2, 1, 6, 5, 4]);
        assert_eq!(flip(false, true), [4, 5, 6, 1, 2, 3]);
        assert_eq!(flip(true, true), [6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn draws_depend_on_seed_epoch_and_sample_and_obey_the_switches() {
        let both = Flips { horizontal: true, vertical: true };
        assert_eq!(both.draw(1, 2, 3), both.draw(1, 2, 3));
        let drawn: Vec<_> = (0..64).map(|sample| both.draw(1, 2, sample)).collect();
        let horizontal = drawn.iter().filter(|d| d.horizontal).count();
        assert!((16..48).contains(&horizontal), "{horizontal} of 64");
        let none = Flips { horizontal: false, vertical: false };
        assert!((0..64).all(|sample| none.draw(1, 2, sample) == Drawn::NONE));
    }
}
