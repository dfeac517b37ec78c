//! Random sizes, and which part of an enlarged image is kept.

use super::elementary::power;
use super::geometry::Geometry;
use super::rare_class::rare_pixel;
use crate::rng::Rng;

/// The exponent of two is drawn from minus to plus this many 64ths: 1/2 to 2.
const SCALE_STEPS: i32 = 64;
/// 2^(-20/64) to 2^(20/64): 0.805 to 1.242.
const MAGNIFY_STEPS: i32 = 20;

/// Draws the image 0.5 to 2 times as large, and crops it as in [`change`].
pub(super) fn scale(rng: &mut Rng, geometry: &mut Geometry<'_>) {
    change(rng, geometry, SCALE_STEPS);
}

/// Draws the image 0.805 to 1.242 times as large, cropped in the same way.
pub(super) fn magnify(rng: &mut Rng, geometry: &mut Geometry<'_>) {
    change(rng, geometry, MAGNIFY_STEPS);
}

/// Draws a factor whose logarithm is uniform. An enlarged image is cropped to a window: half of the time at a uniformly random
/// place, otherwise around a pixel of a class drawn from those of the image, rare ones more often. A smaller image lies
/// at a random place in the result.
fn change(rng: &mut Rng, geometry: &mut Geometry<'_>, steps: i32) {
    let exponent = rng.between(-steps, steps);
    let place = [f64::from(rng.unit_f32()), f64::from(rng.unit_f32())];
    let favours_rare = rng.flip();
    geometry.enlarge(power(2.0, exponent));
    let pixel = if favours_rare && geometry.is_enlarged() { rare_pixel(rng, geometry) } else { None };
    match pixel {
        Some(pixel) => geometry.look_at(pixel),
        None => geometry.place(place),
    }
}
