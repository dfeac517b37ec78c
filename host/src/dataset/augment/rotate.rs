//! Random rotations.

use super::elementary::sine_cosine;
use super::geometry::Geometry;
use crate::rng::Rng;

/// The largest angle in degrees.
const DEGREES_MAX: f32 = 10.0;

/// Turns half of the images by up to 10 degrees in either direction.
pub(super) fn draw(rng: &mut Rng, geometry: &mut Geometry<'_>) {
    let (is_turned, degrees) = (rng.flip(), rng.range_f32(-DEGREES_MAX, DEGREES_MAX));
    if is_turned {
        geometry.turn(sine_cosine(f64::from(degrees)));
    }
}
