//! Random quarter turns.

use super::geometry::Geometry;
use crate::rng::Rng;

/// Turns the image by 0, 90, 180 or 270 degrees about its centre. One that is not square keeps its size: a turn by 90 degrees
/// cuts its longer side, and ignores what it leaves empty. One that is more than twice as long as wide is only turned by 180.
pub(super) fn draw(rng: &mut Rng, geometry: &mut Geometry<'_>) {
    let [width, height] = geometry.size;
    let turns = rng.below(4);
    let is_long = width > 2 * height || height > 2 * width;
    geometry.turn(match turns {
        1 if !is_long => (1.0, 0.0),
        3 if !is_long => (-1.0, 0.0),
        2 | 3 => (0.0, -1.0),
        _ => (0.0, 1.0),
    });
}
