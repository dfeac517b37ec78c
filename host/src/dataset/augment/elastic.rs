//! Random elastic deformations.

use super::displacement::Displacement;
use super::geometry::Geometry;
use crate::rng::Rng;

/// Standard deviation of the grid's points, as a share of the shorter side; the spline between them halves it.
const SHARE: f64 = 0.04;
/// The largest deviation of a point in standard deviations, so that nothing folds over: neighbours are a quarter of a side apart.
const DEVIATIONS_MAX: f64 = 2.5;

/// Bends half of the images by a smooth field over 4x4 cells, about 2 % of the shorter side and at most 10 %.
pub(super) fn draw(rng: &mut Rng, geometry: &mut Geometry<'_>) {
    if !rng.flip() {
        return;
    }
    let [width, height] = geometry.size;
    let side = width.min(height) as f64;
    let point = || f64::from(rng.normal_f32()).clamp(-DEVIATIONS_MAX, DEVIATIONS_MAX) * SHARE * side;
    geometry.displacement = Some(Displacement::new(geometry.size, point));
}
