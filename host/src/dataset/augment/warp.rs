//! Samples image and mask where a [`Geometry`] says: the image bilinearly, reflected at its borders, the mask by the nearest pixel,
//! with ignored pixels outside. Positions and weights are integers, so every machine gives the same bytes.

use unet_shared::mask::IGNORE_INDEX;

use super::geometry::Geometry;
use crate::dataset::loader::Item;

/// Bits of a position below a pixel: an `i32` reaches eight times the largest side in both directions.
pub(super) const FRACTION: u32 = 14;
const ONE: i32 = 1 << FRACTION;
const HALF: i32 = ONE / 2;
/// Bits below a pixel of the affine map, whose steps are added up along a row.
const STEP_FRACTION: u32 = 32;

/// The item as `geometry` shows it.
pub(super) fn warp(geometry: &Geometry<'_>, item: &Item) -> Item {
    let [width, height] = geometry.size;
    let mut warped = Item {
        planes: vec![0; item.planes.len()],
        mask: vec![IGNORE_INDEX; item.mask.len()],
        truth: item.truth.clone(),
    };
    let mut positions = [vec![0i32; width], vec![0i32; width]];
    let mut taps = vec![Tap::default(); width];
    for y in 0..height {
        fill_row(geometry, y, &mut positions);
        let [xs, ys] = &positions;
        let row = y * width..(y + 1) * width;
        for ((class, &x), &y) in warped.mask[row.clone()].iter_mut().zip(xs).zip(ys) {
            let (x, y) = (((x + HALF) >> FRACTION) as usize, ((y + HALF) >> FRACTION) as usize);
            // Negative positions have wrapped to large numbers.
            if x < width && y < height {
                *class = item.mask[y * width + x];
            }
        }
        for ((tap, &x), &y) in taps.iter_mut().zip(xs).zip(ys) {
            *tap = Tap::new(reflect(x, width), reflect(y, height), width, height);
        }
        let (source, target) =
            (item.planes.chunks_exact(width * height), warped.planes.chunks_exact_mut(width * height));
        for (source, target) in source.zip(target) {
            sample(source, width, &taps, &mut target[row.clone()]);
        }
    }
    warped
}

/// The positions of a row's pixels in the image, relative to the centre of the first pixel, columns and rows.
fn fill_row(geometry: &Geometry<'_>, y: usize, positions: &mut [Vec<i32>; 2]) {
    let [width, height] = geometry.size;
    let fixed = |pixels: f64| (pixels * (1u64 << STEP_FRACTION) as f64).round() as i64;
    let from_centre = [0.5 - width as f64 / 2.0, y as f64 + 0.5 - height as f64 / 2.0];
    for (axis, positions) in positions.iter_mut().enumerate() {
        let [by_column, by_row] = geometry.matrix[axis];
        let first = geometry.centre[axis] - 0.5 + by_column * from_centre[0] + by_row * from_centre[1];
        // Half a unit more, as the shift below rounds down.
        let (mut position, step) = (fixed(first) + (1 << (STEP_FRACTION - FRACTION - 1)), fixed(by_column));
        for target in positions {
            *target = (position >> (STEP_FRACTION - FRACTION)) as i32;
            position += step;
        }
    }
    if let Some(displacement) = &geometry.displacement {
        displacement.add_row(y, positions);
    }
}

/// A position beyond a border, mirrored at it, and at most as far as the centres of the outermost pixels.
fn reflect(position: i32, side: usize) -> i32 {
    let side = side as i32;
    let position = position.max(-ONE - position);
    position.min((2 * side - 1) * ONE - position).clamp(0, (side - 1) * ONE)
}

/// What one pixel of the result reads from a plane.
#[derive(Clone, Copy, Default)]
struct Tap {
    /// The upper left one of four pixels.
    first: u32,
    /// Weights of the right and of the lower ones, in 256ths, 256 included.
    weights: [u16; 2],
}

impl Tap {
    fn new(x: i32, y: i32, width: usize, height: usize) -> Self {
        // The last two columns and rows are a pair even at the border itself, so that all four pixels exist.
        let column = (x >> FRACTION).min(width as i32 - 2).max(0);
        let row = (y >> FRACTION).min(height as i32 - 2).max(0);
        let weight = |position: i32, first: i32| ((position - (first << FRACTION)) >> (FRACTION - 8)) as u16;
        Self { first: (row * width as i32 + column) as u32, weights: [weight(x, column), weight(y, row)] }
    }
}

/// One row of a plane.
fn sample(source: &[u8], width: usize, taps: &[Tap], target: &mut [u8]) {
    if width == 1 || source.len() == width {
        // No pairs of columns or of rows; no network has an input of one pixel's width.
        taps.iter().zip(target).for_each(|(tap, pixel)| *pixel = source[tap.first as usize]);
        return;
    }
    for (tap, pixel) in taps.iter().zip(target) {
        let block = &source[tap.first as usize..][..width + 2];
        let [right, lower] = tap.weights.map(i32::from);
        let between = |left: u8, after: u8| 256 * i32::from(left) + (i32::from(after) - i32::from(left)) * right;
        let (above, below) = (between(block[0], block[1]), between(block[width], block[width + 1]));
        *pixel = ((256 * above + (below - above) * lower + (1 << 15)) >> 16) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::super::displacement::Displacement;
    use super::super::test_item;
    use super::*;

    /// Planes and mask of an image of one plane, whose pixels are its mask too, after a change.
    fn warped(width: usize, pixels: &[u8], change: impl Fn(&mut Geometry<'_>)) -> [Vec<u8>; 2] {
        let item = test_item(pixels);
        let mut geometry = Geometry::new(&item, width, &[]);
        change(&mut geometry);
        let warped = warp(&geometry, &item);
        [warped.planes, warped.mask]
    }

    /// Classes are never interpolated, so image and mask are equal only where every pixel maps exactly to one source pixel.
    fn check(width: usize, pixels: &[u8], change: impl Fn(&mut Geometry<'_>), expected: &[u8]) {
        assert_eq!(warped(width, pixels, change), [expected, expected]);
    }

    #[test]
    fn quarter_turns_are_exact() {
        let square = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        check(3, &square, |geometry| geometry.turn((0.0, 1.0)), &square);
        check(3, &square, |geometry| geometry.turn((1.0, 0.0)), &[7, 4, 1, 8, 5, 2, 9, 6, 3]);
        check(3, &square, |geometry| geometry.turn((0.0, -1.0)), &[9, 8, 7, 6, 5, 4, 3, 2, 1]);
        check(3, &square, |geometry| geometry.turn((-1.0, 0.0)), &[3, 6, 9, 2, 5, 8, 1, 4, 7]);
        // Four columns, two rows: the two in the middle stay, the rest is mirrored and ignored.
        let [planes, mask] = warped(4, &[1, 2, 3, 4, 5, 6, 7, 8], |geometry| geometry.turn((1.0, 0.0)));
        assert_eq!(planes, [6, 6, 2, 2, 7, 7, 3, 3]);
        assert_eq!(mask, [255, 6, 2, 255, 255, 7, 3, 255]);
    }

    #[test]
    fn an_image_twice_as_large_is_seen_in_part() {
        let pixels = [0, 80, 160, 240, 0, 80, 160, 240, 0, 80, 160, 240, 0, 80, 160, 240];
        let [planes, mask] = warped(4, &pixels, |geometry| {
            geometry.enlarge(2.0);
            geometry.place([0.5, 0.5]);
        });
        // The centres of the pixels are at 1.25, 1.75, 2.25 and 2.75, those of the image's at 0.5 to 3.5.
        assert_eq!((&planes[..4], &mask[..4]), (&[60, 100, 140, 180][..], &[80, 80, 160, 160][..]));
        let [planes, mask] = warped(4, &pixels, |geometry| {
            geometry.enlarge(2.0);
            geometry.look_at([3, 0]);
        });
        // The window ends at the border.
        assert_eq!((&planes[..4], &mask[..4]), (&[140, 180, 220, 240][..], &[160, 160, 240, 240][..]));
    }

    #[test]
    fn an_image_half_as_large_is_mirrored_and_ignored_outside() {
        let pixels = [0, 80, 160, 240, 0, 80, 160, 240, 0, 80, 160, 240, 0, 80, 160, 240];
        let [planes, mask] = warped(4, &pixels, |geometry| {
            geometry.enlarge(0.5);
            geometry.place([1.0, 0.0]);
        });
        // In the result it lies on the left, and at the bottom.
        assert_eq!(planes[..4], [40, 200, 200, 40]);
        assert_eq!(mask, [255, 255, 255, 255, 255, 255, 255, 255, 80, 240, 255, 255, 80, 240, 255, 255]);
    }

    #[test]
    fn shifts_move_the_image() {
        let change = |geometry: &mut Geometry<'_>| geometry.shift([0.25, -0.5]);
        let [planes, mask] = warped(4, &[1, 2, 3, 4, 5, 6, 7, 8], change);
        assert_eq!((planes, mask), (vec![5, 5, 6, 7, 5, 5, 6, 7], vec![255, 5, 6, 7, 255, 255, 255, 255]));
    }

    #[test]
    fn a_displacement_is_added() {
        let [planes, mask] = warped(4, &[0, 80, 160, 240, 8, 88, 168, 248], |geometry| {
            let mut axes = [1.25, 1.0].into_iter().flat_map(|pixels| [pixels; 49]);
            geometry.displacement = Some(Displacement::new(geometry.size, || axes.next().unwrap()));
        });
        // Columns 1.25, 2.25, 3.25 and 4.25, of which the third is the last one's and the fourth is mirrored to 2.75; row 1, and
        // row 2, which is mirrored to it.
        assert_eq!(planes, [108, 188, 248, 228, 108, 188, 248, 228]);
        assert_eq!(mask, [88, 168, 248, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn a_rotation_is_clockwise() {
        // A pixel right of the centre moves down in a clockwise turn.
        let mut pixels = vec![0; 21 * 21];
        pixels[10 * 21 + 18] = 200;
        let angle = super::super::elementary::sine_cosine(30.0);
        let [planes, mask] = warped(21, &pixels, |geometry| geometry.turn(angle));
        let found: Vec<usize> = (0..21 * 21).filter(|&i| mask[i] == 200).collect();
        // (8 cos 30, 8 sin 30) is (6.9, 4).
        assert!(found.contains(&(14 * 21 + 17)), "{found:?}");
        assert!(found.len() <= 2, "{found:?}");
        // The image's pixel is spread over its neighbours in the same place.
        let brightest = (0..21 * 21).max_by_key(|&i| planes[i]).unwrap();
        assert_eq!(brightest, 14 * 21 + 17);
        let near = |i: usize| (i % 21).abs_diff(17) <= 1 && (i / 21).abs_diff(14) <= 1;
        assert!((0..21 * 21).all(|i| planes[i] == 0 || near(i)), "{planes:?}");
    }

    #[test]
    fn positions_are_mirrored_once() {
        let at = |quarters: i32| reflect(quarters * ONE / 4, 3) * 4 / ONE;
        // Centres at 0, 1 and 2, borders at -1/2 and 5/2.
        assert_eq!(
            [-12, -6, -4, -3, -2, -1, 0, 5, 8, 9, 10, 11, 14, 30].map(at),
            [8, 2, 0, 0, 0, 0, 0, 5, 8, 8, 8, 8, 6, 0]
        );
    }
}
