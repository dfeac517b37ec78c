//! Random saturation and hue.

use std::sync::Arc;

use super::elementary::{STEPS, sine_cosine};
use crate::dataset::loader::Item;
use crate::rng::Rng;

/// Saturation in 64ths: 0.5 to 1.5.
const SATURATION: [i32; 2] = [32, 96];
/// The largest turn of the hue in degrees.
const DEGREES_MAX: f32 = 18.0;
/// Bits below 1 of the matrix.
const FRACTION: u32 = 12;

/// Turns the hue of half of the images by up to 18 degrees and multiplies their saturation by 0.5 to 1.5. Images of one channel
/// stay as they are.
pub(super) fn apply(rng: &mut Rng, _width: usize, item: &mut Arc<Item>) {
    let is_changed = rng.flip();
    let saturation = f64::from(rng.between(SATURATION[0], SATURATION[1])) / f64::from(STEPS);
    let degrees = f64::from(rng.range_f32(-DEGREES_MAX, DEGREES_MAX));
    if !is_changed || item.planes.len() != 3 * item.mask.len() {
        return;
    }
    change(&matrix(saturation, degrees), &mut Arc::make_mut(item).planes);
}

/// The rotation about the line of grays by an angle, with distances from it multiplied by `saturation`.
fn matrix(saturation: f64, degrees: f64) -> [[i32; 3]; 3] {
    let (sine, cosine) = sine_cosine(degrees);
    let mut matrix = [[0; 3]; 3];
    for (row, weights) in matrix.iter_mut().enumerate() {
        // Rodrigues' formula for the axis (1, 1, 1).
        for (step, sign) in [(1, -1.0), (2, 1.0)] {
            let weight = 1.0 / 3.0 + saturation * (sign * sine / 3.0f64.sqrt() - cosine / 3.0);
            weights[(row + step) % 3] = (weight * f64::from(1 << FRACTION)).round() as i32;
        }
        // A row's sum is 1, so grays stay as they are.
        weights[row] = (1 << FRACTION) - weights.iter().sum::<i32>();
    }
    matrix
}

fn change(matrix: &[[i32; 3]; 3], planes: &mut [u8]) {
    let (red, rest) = planes.split_at_mut(planes.len() / 3);
    let (green, blue) = rest.split_at_mut(red.len());
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let from = [*red, *green, *blue].map(i32::from);
        let [r, g, b] = matrix.map(|row| {
            let sum = row[0] * from[0] + row[1] * from[1] + row[2] * from[2];
            ((sum + (1 << (FRACTION - 1))) >> FRACTION).clamp(0, 255) as u8
        });
        (*red, *green, *blue) = (r, g, b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(saturation: f64, degrees: f64, pixel: [u8; 3]) -> [u8; 3] {
        let mut planes = pixel;
        change(&matrix(saturation, degrees), &mut planes);
        planes
    }

    #[test]
    fn saturation_moves_away_from_the_mean() {
        assert_eq!(changed(1.0, 0.0, [10, 100, 250]), [10, 100, 250]);
        assert_eq!(changed(0.5, 0.0, [60, 90, 150]), [80, 95, 125]);
        assert_eq!(changed(1.5, 0.0, [60, 90, 150]), [40, 85, 175]);
        assert_eq!(changed(1.5, 0.0, [0, 0, 240]), [0, 0, 255]);
    }

    #[test]
    fn the_hue_turns_from_red_towards_green() {
        // 30 degrees of 240 around a mean of 80: 80 + 160 * cos(30), 80 + 160 * cos(90), 80 + 160 * cos(150).
        assert_eq!(changed(1.0, 30.0, [240, 0, 0]), [219, 80, 0]);
        assert_eq!(changed(1.0, -30.0, [240, 0, 0]), [219, 0, 80]);
        assert_eq!(changed(1.0, 30.0, [0, 240, 0]), [0, 219, 80]);
    }

    #[test]
    fn grays_keep_their_value_whatever_is_drawn() {
        let grays: Vec<u8> = (0..3).flat_map(|_| 0..=u8::MAX).collect();
        for sample in 0..50 {
            let mut item = Arc::new(Item { planes: grays.clone(), mask: vec![0; 256], truth: None });
            apply(&mut Rng::new(sample), 16, &mut item);
            assert_eq!(item.planes, grays);
        }
    }

    #[test]
    fn images_of_one_channel_are_not_copied() {
        for sample in 0..20 {
            let item = super::super::test_item(&[1, 2, 3, 4]);
            let mut shared = Arc::clone(&item);
            apply(&mut Rng::new(sample), 2, &mut shared);
            assert!(Arc::ptr_eq(&item, &shared));
        }
    }
}
