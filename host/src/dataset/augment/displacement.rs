//! A smooth displacement of every pixel: a cubic B-spline over a coarse grid of points.

use std::ops::Range;

use super::warp::FRACTION;

/// Cells of the grid along each axis; a spline has three more points than cells.
pub(super) const CELLS: usize = 4;
const POINTS: usize = CELLS + 3;
/// Units of a point's displacement in a pixel, as bits.
const UNIT: u32 = 6;
/// Bits of the spline's weights: the product of a weight and a displacement of a tenth of the largest side fits into 31.
const WEIGHT: u32 = 12;

/// How far the pixels of the result are from the place that they show.
#[derive(Debug)]
pub(super) struct Displacement {
    columns: Axis,
    rows: Axis,
    /// For columns and rows: the points row by row, in units of 2^-[`UNIT`] pixels.
    points: [[[i32; POINTS]; POINTS]; 2],
}

impl Displacement {
    /// One whose points `draw` gives in pixels, columns first.
    pub fn new([width, height]: [usize; 2], mut draw: impl FnMut() -> f64) -> Self {
        let mut points = [[[0; POINTS]; POINTS]; 2];
        for point in points.as_flattened_mut().as_flattened_mut() {
            *point = (draw() * f64::from(1 << UNIT)).round() as i32;
        }
        Self { columns: Axis::new(width), rows: Axis::new(height), points }
    }

    /// Adds the displacement of row `y` to the positions of its pixels.
    pub fn add_row(&self, y: usize, positions: &mut [Vec<i32>; 2]) {
        let cell = self.rows.cells.iter().position(|cell| cell.contains(&y)).unwrap_or(CELLS - 1);
        let weights = self.rows.weights.each_ref().map(|weights| weights[y]);
        for (points, positions) in self.points.iter().zip(positions) {
            let row: [i32; POINTS] = std::array::from_fn(|column| {
                let sum: i32 = (0..4).map(|k| points[cell + k][column] * weights[k]).sum();
                sum >> WEIGHT
            });
            for (index, cell) in self.columns.cells.iter().enumerate() {
                let [a, b, c, d] = self.columns.weights.each_ref().map(|weights| &weights[cell.clone()]);
                let near = &row[index..index + 4];
                for ((((position, a), b), c), d) in positions[cell.clone()].iter_mut().zip(a).zip(b).zip(c).zip(d) {
                    let sum = near[0] * a + near[1] * b + near[2] * c + near[3] * d;
                    *position += (sum >> WEIGHT) << (FRACTION - UNIT);
                }
            }
        }
    }
}

/// The spline's weights along one axis.
#[derive(Debug)]
struct Axis {
    /// The pixels of each cell.
    cells: [Range<usize>; CELLS],
    /// The weights of the four points around each pixel; their sum is 2^[`WEIGHT`].
    weights: [Vec<i32>; 4],
}

impl Axis {
    fn new(side: usize) -> Self {
        let cell_of = |pixel: usize| (2 * pixel + 1) * CELLS / (2 * side);
        let cells = std::array::from_fn(|cell| {
            let first = (0..side).position(|pixel| cell_of(pixel) >= cell).unwrap_or(side);
            let end = (0..side).position(|pixel| cell_of(pixel) > cell).unwrap_or(side);
            first..end
        });
        let mut weights = [const { Vec::new() }; 4];
        for pixel in 0..side {
            let within = (pixel as f64 + 0.5) * CELLS as f64 / side as f64 - cell_of(pixel) as f64;
            for (weights, weight) in weights.iter_mut().zip(spline(within)) {
                weights.push(weight);
            }
        }
        Self { cells, weights }
    }
}

/// Weights of a uniform cubic B-spline at `t` of the way from the second to the third of its four points.
fn spline(t: f64) -> [i32; 4] {
    let weight = |sixths: f64| (sixths / 6.0 * f64::from(1 << WEIGHT)).round() as i32;
    let (square, cube, left) = (t * t, t * t * t, 1.0 - t);
    let [first, third, fourth] = [weight(left * left * left), weight(3.0 * (t + square - cube) + 1.0), weight(cube)];
    [first, (1 << WEIGHT) - first - third - fourth, third, fourth]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_the_spline() {
        // 1/6, 4/6 and 1/6 of 4096 at a point; halfway between two 1/48 and 23/48.
        assert_eq!(spline(0.0), [683, 2730, 683, 0]);
        assert_eq!(spline(0.5), [85, 1963, 1963, 85]);
        for t in 0..100 {
            assert_eq!(spline(f64::from(t) / 100.0).iter().sum::<i32>(), 4096);
        }
    }

    #[test]
    fn equal_points_move_every_pixel_equally() {
        for size in [[64, 48], [5, 3], [2, 2], [1, 1]] {
            let displacement = Displacement::new(size, || 1.5);
            for y in 0..size[1] {
                let mut positions = [vec![7; size[0]], vec![9; size[0]]];
                displacement.add_row(y, &mut positions);
                let moved = 3 << (FRACTION - 1);
                assert_eq!(positions, [vec![7 + moved; size[0]], vec![9 + moved; size[0]]]);
            }
        }
    }

    #[test]
    fn the_displacement_has_no_steps() {
        let mut sign = 1.0;
        let displacement = Displacement::new([256, 256], || {
            sign = -sign;
            8.0 * sign
        });
        let mut before: Option<[Vec<i32>; 2]> = None;
        let mut ends = [i32::MAX, i32::MIN];
        for y in 0..256 {
            let mut positions = [vec![0; 256], vec![0; 256]];
            displacement.add_row(y, &mut positions);
            for axis in &positions {
                ends = axis.iter().fold(ends, |[low, high], &position| [low.min(position), high.max(position)]);
                // Points 64 pixels apart differ by 16 pixels: at most 16/64 of a pixel for each pixel.
                assert!(axis.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 1 << (FRACTION - 2)));
            }
            if let Some(before) = &before {
                let steps = before.iter().flatten().zip(positions.iter().flatten()).map(|(a, b)| a.abs_diff(*b));
                assert!(steps.max() <= Some(1 << (FRACTION - 2)));
            }
            before = Some(positions);
        }
        // At a point a third of its displacement is left in each direction, as its neighbours are opposite: 8/9 of a pixel.
        let ninths = ends.map(|end| (f64::from(end) / f64::from(1 << FRACTION) * 9.0).round());
        assert_eq!(ninths, [-8.0, 8.0]);
    }
}
