//! Random shifts.

use super::geometry::Geometry;
use crate::rng::Rng;

/// The largest shift as a share of the side.
const SHARE_MAX: f32 = 1.0 / 16.0;

/// Moves half of the images by up to a 16th of width and height.
pub(super) fn draw(rng: &mut Rng, geometry: &mut Geometry<'_>) {
    let is_moved = rng.flip();
    let share = [rng.range_f32(-SHARE_MAX, SHARE_MAX), rng.range_f32(-SHARE_MAX, SHARE_MAX)];
    if is_moved {
        geometry.shift(share.map(f64::from));
    }
}
