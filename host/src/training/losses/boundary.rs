//! Weights of pixels by their distance to the nearest boundary between classes, as in the U-Net of Ronneberger et al. 2015 (eq. 2)
//! for two neighbouring objects.

use rayon::prelude::*;

use super::batch::Batch;

/// Weight that is added on a boundary.
const HEIGHT: f64 = 4.0;
/// Distance in pixels at which it has fallen to `exp(-1/2)` of that.
const WIDTH: f64 = 3.0;

/// `1 + 4 exp(-d^2 / (2 * 3^2))` for each pixel, where `d` is the number of steps, diagonal ones too, to the nearest pixel that
/// has a pixel of another class beside it. Ignored pixels make no boundary.
pub(super) fn weights(batch: &Batch) -> Vec<f32> {
    let [_, height, width] = batch.size;
    let mut weights = vec![1.0; batch.ids.len()];
    weights.par_chunks_mut((height * width).max(1)).zip(batch.ids.par_chunks((height * width).max(1))).for_each(
        |(weights, ids)| {
            for (weight, distance) in weights.iter_mut().zip(distances(ids, height, width, batch.classes())) {
                let distance = f64::from(distance);
                *weight = (1.0 + HEIGHT * (-distance * distance / (2.0 * WIDTH * WIDTH)).exp()) as f32;
            }
        },
    );
    weights
}

/// Steps from each pixel of an image to the nearest boundary pixel; [`u16::MAX`] if the image has no boundary.
fn distances(ids: &[u8], height: usize, width: usize, classes: usize) -> Vec<u16> {
    let mut distances = vec![u16::MAX; ids.len()];
    let counts = |id: u8| usize::from(id) < classes;
    let mut meet = |a: usize, b: usize| {
        if ids[a] != ids[b] && counts(ids[a]) && counts(ids[b]) {
            (distances[a], distances[b]) = (0, 0);
        }
    };
    for y in 0..height {
        for x in 0..width {
            let at = y * width + x;
            if x + 1 < width {
                meet(at, at + 1);
            }
            if y + 1 < height {
                meet(at, at + width);
            }
        }
    }
    // Two passes find the number of steps exactly (Rosenfeld and Pfaltz 1966).
    let mut nearer = |at: usize, from: usize| distances[at] = distances[at].min(distances[from].saturating_add(1));
    for y in 0..height {
        for x in 0..width {
            let at = y * width + x;
            if x > 0 {
                nearer(at, at - 1);
            }
            if y > 0 {
                for from in x.saturating_sub(1)..(x + 2).min(width) {
                    nearer(at, (y - 1) * width + from);
                }
            }
        }
    }
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            let at = y * width + x;
            if x + 1 < width {
                nearer(at, at + 1);
            }
            if y + 1 < height {
                for from in x.saturating_sub(1)..(x + 2).min(width) {
                    nearer(at, (y + 1) * width + from);
                }
            }
        }
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_a_search_over_all_pixels() {
        let rng = &mut crate::rng::Rng::new(4);
        for (height, width) in [(1, 1), (1, 9), (9, 1), (7, 12)] {
            for _ in 0..20 {
                let classes = [0u8, 0, 0, 0, 0, 0, 0, 1, 255];
                let ids: Vec<u8> = (0..height * width).map(|_| classes[rng.below(9) as usize]).collect();
                let place = |at: usize| ((at / width) as i32, (at % width) as i32);
                let beside = |a: usize, b: usize| {
                    let ((ay, ax), (by, bx)) = (place(a), place(b));
                    (ay - by).abs() + (ax - bx).abs() == 1
                };
                let on =
                    |a: usize| ids[a] < 2 && (0..ids.len()).any(|b| beside(a, b) && ids[b] < 2 && ids[a] != ids[b]);
                let steps = |a: usize, b: usize| {
                    let ((ay, ax), (by, bx)) = (place(a), place(b));
                    (ay - by).abs().max((ax - bx).abs()) as u16
                };
                let nearest = |a| (0..ids.len()).filter(|&b| on(b)).map(|b| steps(a, b)).min().unwrap_or(u16::MAX);
                let expected: Vec<u16> = (0..ids.len()).map(nearest).collect();
                assert_eq!(distances(&ids, height, width, 2), expected, "{ids:?}");
            }
        }
    }
}
