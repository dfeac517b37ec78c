//! Labels that are drawn: shapes of an annotation file over a background, in the order of the file, later over earlier.
//!
//! A pixel belongs to a polygon if its centre does by the even-odd rule; its centre is half a pixel right of and below its
//! corner, where the coordinates of all annotation formats begin. Every machine computes the same pixels.

use std::path::PathBuf;

use super::decode::{DecodedLabel, FileError, OwnedSamples, image_size};
use super::run_lengths::RunLengths;
use unet_shared::image::SIDE_MAX;

/// The value where no shape is.
pub const BACKGROUND: u8 = 0;

/// The value of pixels that are ignored.
pub const IGNORED: u8 = 255;

/// Beyond, squares of coordinates overflow, and a shape's box is the whole label.
const BOXED_MAX: f64 = 1e150;

/// A label as shapes.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// The annotation file, for messages.
    pub file: PathBuf,
    /// The size of the label.
    pub size: DrawingSize,
    /// The shapes, first to last.
    pub shapes: Vec<Shape>,
}

/// Where the size of a drawn label is stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrawingSize {
    /// By the annotation file: width and height. Coordinates are in pixels.
    Stated(usize, usize),
    /// By this image. Coordinates are in pixels.
    Image(PathBuf),
    /// By this image. Coordinates are shares of its sides.
    SharesOf(PathBuf),
}

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// The label value of its pixels.
    pub value: u8,
    /// Its pixels.
    pub outline: Outline,
}

/// The pixels of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Outline {
    /// The union of polygons, each a list of corners `[x, y]`.
    Polygons(Vec<Vec<[f64; 2]>>),
    /// Pixels whose centres are at most `radius` away from `centre`.
    Circle {
        /// Its centre.
        centre: [f64; 2],
        /// Its radius.
        radius: f64,
    },
    /// Pixels whose centres are in an axis-aligned ellipse.
    Ellipse {
        /// Its centre.
        centre: [f64; 2],
        /// Half its width and half its height.
        radii: [f64; 2],
    },
    /// A mask of the label's size.
    Runs(RunLengths),
    /// A mask of any size; what is beyond the label's borders is cut off.
    Patch {
        /// Column and row of its first pixel.
        at: [i64; 2],
        /// The mask.
        mask: RunLengths,
    },
}

impl Drawing {
    /// Draws the label.
    pub fn draw(&self) -> Result<DecodedLabel, FileError> {
        let ((width, height), [across, down]) = match &self.size {
            DrawingSize::Stated(width, height) => ((*width, *height), [1.0, 1.0]),
            DrawingSize::Image(image) => (image_size(image, None)?, [1.0, 1.0]),
            DrawingSize::SharesOf(image) => {
                let size = image_size(image, None)?;
                (size, [size.0 as f64, size.1 as f64])
            }
        };
        let refused = |found| FileError::Drawing { path: self.file.clone(), found };
        if width == 0 || height == 0 || width > SIDE_MAX || height > SIDE_MAX {
            return Err(refused(format!("expected sides of 1 to {SIDE_MAX} pixels, found {width}x{height}")));
        }
        let mut samples = vec![BACKGROUND; width * height];
        for Shape { value, outline } in &self.shapes {
            match outline {
                Outline::Polygons(polygons) => {
                    for polygon in polygons {
                        let corners: Vec<[f64; 2]> = polygon.iter().map(|[x, y]| [x * across, y * down]).collect();
                        fill(&corners, *value, width, &mut samples);
                    }
                }
                Outline::Circle { centre, radius } => {
                    let inside = |dx: f64, dy: f64| dx * dx + dy * dy <= radius * radius;
                    fill_where(*centre, [*radius; 2], *value, width, &mut samples, inside);
                }
                Outline::Ellipse { centre, radii: [across, down] } => {
                    let inside = |dx: f64, dy: f64| {
                        let (x, y) = (dx / across, dy / down);
                        x * x + y * y <= 1.0
                    };
                    fill_where(*centre, [*across, *down], *value, width, &mut samples, inside);
                }
                Outline::Runs(runs) if runs.size() == (width, height) => {
                    runs.for_each(|x, y| samples[y * width + x] = *value);
                }
                Outline::Patch { at: [left, top], mask } => mask.for_each(|x, y| {
                    let (x, y) = (left.saturating_add(x as i64), top.saturating_add(y as i64));
                    let inside = |at: i64, side: usize| usize::try_from(at).ok().filter(|&at| at < side);
                    if let (Some(x), Some(y)) = (inside(x, width), inside(y, height)) {
                        samples[y * width + x] = *value;
                    }
                }),
                Outline::Runs(runs) => {
                    let (w, h) = runs.size();
                    return Err(refused(format!("expected a mask of {width}x{height} pixels, found {w}x{h}")));
                }
            }
        }
        Ok(DecodedLabel::drawn(width, height, OwnedSamples::Gray8(samples)))
    }

    /// Calls `part` with all that the pixels depend on, apart from the image's size.
    pub(crate) fn for_each_part(&self, part: &mut dyn FnMut(&[u8])) {
        if let DrawingSize::Stated(width, height) = self.size {
            part(&[width, height].map(|side| (side as u64).to_le_bytes()).concat());
        }
        let point = |[x, y]: &[f64; 2]| [x.to_le_bytes(), y.to_le_bytes()].concat();
        for Shape { value, outline } in &self.shapes {
            part(&[*value]);
            match outline {
                Outline::Polygons(polygons) => {
                    polygons.iter().for_each(|polygon| part(&polygon.iter().flat_map(point).collect::<Vec<u8>>()));
                }
                Outline::Ellipse { centre, radii } => part(&[point(centre), point(radii)].concat()),
                Outline::Circle { centre, radius } => part(&[point(centre), radius.to_le_bytes().into()].concat()),
                Outline::Runs(runs) => part(runs.to_text().as_bytes()),
                Outline::Patch { at, mask } => {
                    let (width, height) = mask.size();
                    part(&[at[0], at[1], width as i64, height as i64].map(i64::to_le_bytes).concat());
                    part(mask.to_text().as_bytes());
                }
            }
        }
    }
}

/// Sets the pixels for which `inside` holds, given the offset of their centre from `centre`. It holds for none beyond
/// `reach`, across and down.
fn fill_where(
    centre: [f64; 2],
    reach: [f64; 2],
    value: u8,
    width: usize,
    samples: &mut [u8],
    inside: impl Fn(f64, f64) -> bool,
) {
    let height = samples.len() / width;
    // One pixel more, and as much again as rounding may add.
    let span = |centre: f64, reach: f64, side: usize| {
        let size = centre.abs() + reach.abs();
        if size < BOXED_MAX {
            let reach = reach.abs() + 1.0 + size * 1e-12;
            // A conversion from float saturates.
            ((centre - reach) as usize).min(side)..((centre + reach).ceil() as usize).min(side)
        } else {
            0..side
        }
    };
    let ([x, y], columns) = (centre, span(centre[0], reach[0], width));
    for row in span(y, reach[1], height) {
        for (column, pixel) in columns.clone().zip(&mut samples[row * width..][columns.clone()]) {
            if inside(column as f64 + 0.5 - x, row as f64 + 0.5 - y) {
                *pixel = value;
            }
        }
    }
}

/// Sets the pixels inside one polygon. An edge counts for the rows whose centres are at or below its upper and above its
/// lower end, so that a corner counts once.
fn fill(corners: &[[f64; 2]], value: u8, width: usize, samples: &mut [u8]) {
    let height = samples.len() / width;
    let edges = || corners.iter().zip(corners.iter().cycle().skip(1));
    // The first pixel whose centre is at or beyond a coordinate; a conversion from float saturates.
    let first = |at: f64, side: usize| ((at - 0.5).ceil() as usize).min(side);
    let top = corners.iter().map(|corner| corner[1]).fold(f64::INFINITY, f64::min);
    let bottom = corners.iter().map(|corner| corner[1]).fold(f64::NEG_INFINITY, f64::max);
    let mut crossings: Vec<f64> = Vec::new();
    for y in first(top, height)..first(bottom, height) {
        let centre = y as f64 + 0.5;
        crossings.clear();
        crossings.extend(edges().filter(|(a, b)| (a[1] <= centre) != (b[1] <= centre)).map(|(a, b)| {
            // From the upper end, so that an edge that two polygons share is the same line in both.
            let (a, b) = if a[1] <= b[1] { (a, b) } else { (b, a) };
            a[0] + (centre - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
        }));
        crossings.sort_by(f64::total_cmp);
        for pair in crossings.as_chunks::<2>().0 {
            let (from, to) = (first(pair[0], width), first(pair[1], width));
            samples[y * width + from..y * width + to.max(from)].fill(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn draw(width: usize, height: usize, shapes: Vec<(u8, Vec<[f64; 2]>)>) -> Vec<String> {
        let shapes =
            shapes.into_iter().map(|(value, corners)| Shape { value, outline: Outline::Polygons(vec![corners]) });
        let drawing = Drawing { file: "f".into(), size: DrawingSize::Stated(width, height), shapes: shapes.collect() };
        let OwnedSamples::Gray8(samples) = drawing.draw().unwrap().samples else { panic!() };
        samples.chunks(width).map(|row| row.iter().map(|value| char::from(b'0' + value)).collect()).collect()
    }

    #[test]
    fn pixels_whose_centres_are_inside_belong_to_a_polygon() {
        assert_eq!(
            draw(4, 3, vec![(1, vec![[1.0, 1.0], [3.0, 1.0], [3.0, 2.0], [1.0, 2.0]])]),
            ["0000", "0110", "0000"]
        );
        // Beyond all borders, and on the centres: a left edge counts, a right one does not.
        assert_eq!(draw(2, 2, vec![(1, vec![[-9.0, -9.0], [9.0, -9.0], [9.0, 9.0], [-9.0, 9.0]])]), ["11", "11"]);
        assert_eq!(draw(3, 1, vec![(1, vec![[0.5, 0.0], [2.5, 0.0], [2.5, 1.0], [0.5, 1.0]])]), ["110"]);
        // A triangle below the diagonal: the centres on the diagonal are on a left edge or a right one.
        assert_eq!(draw(3, 3, vec![(1, vec![[0.0, 0.0], [3.0, 3.0], [0.0, 3.0]])]), ["000", "100", "110"]);
        assert_eq!(draw(3, 3, vec![(1, vec![[0.0, 0.0], [3.0, 0.0], [3.0, 3.0]])]), ["111", "011", "001"]);
    }

    #[test]
    fn a_polygon_that_crosses_itself_is_even_odd_and_later_shapes_cover_earlier_ones() {
        let inner = [[1.0, 1.0], [4.0, 1.0], [4.0, 4.0], [1.0, 4.0]];
        let outer = [[0.0, 0.0], [5.0, 0.0], [5.0, 5.0], [0.0, 5.0], [0.0, 0.0]];
        // Once around, once around the hole, and back along the same line.
        let ring = [outer.as_slice(), &inner, &[[1.0, 1.0]]].concat();
        assert_eq!(draw(5, 5, vec![(1, ring)])[..2], ["11111", "10001"]);
        let squares = |first, second| {
            let square = |x: f64| vec![[x, 0.0], [x + 2.0, 0.0], [x + 2.0, 1.0], [x, 1.0]];
            draw(3, 1, vec![(first, square(0.0)), (second, square(1.0))])
        };
        assert_eq!((squares(1, 2), squares(2, 1)), (vec!["122".to_owned()], vec!["211".to_owned()]));
    }

    #[test]
    fn degenerate_shapes_draw_nothing_and_bad_sizes_are_refused() {
        assert_eq!(draw(2, 1, vec![(1, vec![]), (1, vec![[0.0, 0.0]]), (1, vec![[0.0, 0.0], [2.0, 1.0]])]), ["00"]);
        assert_eq!(draw(2, 1, vec![(1, vec![[f64::MAX, f64::MIN], [f64::MIN, f64::MAX], [0.0, 1e300]])]).len(), 1);
        let drawing = Drawing { file: "f".into(), size: DrawingSize::Stated(0, 4), shapes: vec![] };
        assert_eq!(
            drawing.draw().unwrap_err().to_string(),
            format!("f: expected sides of 1 to {SIDE_MAX} pixels, found 0x4")
        );
    }

    proptest! {
        #[test]
        fn only_the_box_of_a_shape_is_visited(
            x in prop_oneof![-20.0..40.0, (-80i32..160).prop_map(|half| f64::from(half) / 2.0), -1e18..1e18, -1e200..1e200],
            y in prop_oneof![-20.0..40.0, (-80i32..160).prop_map(|half| f64::from(half) / 2.0), -1e18..1e18],
            across in prop_oneof![-20.0..40.0, (0i32..80).prop_map(|half| f64::from(half) / 2.0), 0.0..1e18, 1e150..1e200],
            down in prop_oneof![0.0..40.0, (0i32..80).prop_map(|half| f64::from(half) / 2.0), 0.0..1e18],
        ) {
            let (width, height) = (23, 17);
            let all = |inside: &dyn Fn(f64, f64) -> bool| -> Vec<u8> {
                let pixels = (0..width * height).map(|at| ((at % width) as f64 + 0.5 - x, (at / width) as f64 + 0.5 - y));
                pixels.map(|(dx, dy)| inside(dx, dy).into()).collect()
            };
            let drawn = |outline| {
                let shapes = vec![Shape { value: 1, outline }];
                let drawing = Drawing { file: "f".into(), size: DrawingSize::Stated(width, height), shapes };
                drawing.draw().unwrap().samples
            };
            let circle = Outline::Circle { centre: [x, y], radius: across };
            prop_assert_eq!(drawn(circle), OwnedSamples::Gray8(all(&|dx, dy| dx * dx + dy * dy <= across * across)));
            let inside = |dx: f64, dy: f64| (dx / across) * (dx / across) + (dy / down) * (dy / down) <= 1.0;
            let ellipse = Outline::Ellipse { centre: [x, y], radii: [across, down] };
            prop_assert_eq!(drawn(ellipse), OwnedSamples::Gray8(all(&inside)));
        }
    }

    #[test]
    fn circles_and_runs() {
        let outline = Outline::Circle { centre: [1.5, 1.5], radius: 1.0 };
        let shapes = vec![Shape { value: 3, outline }];
        let mut drawing = Drawing { file: "f".into(), size: DrawingSize::Stated(3, 3), shapes };
        let samples = |drawing: &Drawing| drawing.draw().map(|label| label.samples);
        assert_eq!(samples(&drawing).unwrap(), OwnedSamples::Gray8(vec![0, 3, 0, 3, 3, 3, 0, 3, 0]));
        for (radii, expected) in [([1.5, 0.5], [0, 0, 0, 5, 5, 5, 0, 0, 0]), ([0.0, 9.0], [0; 9])] {
            drawing.shapes = vec![Shape { value: 5, outline: Outline::Ellipse { centre: [1.5, 1.5], radii } }];
            assert_eq!(samples(&drawing).unwrap(), OwnedSamples::Gray8(expected.to_vec()));
        }
        let runs = RunLengths::from_counts(vec![0, 4, 5], 3, 3).unwrap();
        drawing.shapes = vec![Shape { value: 2, outline: Outline::Runs(runs) }];
        assert_eq!(samples(&drawing).unwrap(), OwnedSamples::Gray8(vec![2, 2, 0, 2, 0, 0, 2, 0, 0]));
        let mask = RunLengths::from_counts(vec![0, 4], 2, 2).unwrap();
        drawing.shapes = vec![Shape { value: 4, outline: Outline::Patch { at: [-1, 2], mask: mask.clone() } }];
        assert_eq!(samples(&drawing).unwrap(), OwnedSamples::Gray8(vec![0, 0, 0, 0, 0, 0, 4, 0, 0]));
        drawing.shapes[0].outline = Outline::Patch { at: [i64::MAX, 0], mask };
        assert_eq!(samples(&drawing).unwrap(), OwnedSamples::Gray8(vec![0; 9]));
        drawing.shapes[0].outline = Outline::Runs(RunLengths::from_counts(vec![0, 4, 5], 3, 3).unwrap());
        drawing.size = DrawingSize::Stated(4, 3);
        assert!(samples(&drawing).unwrap_err().to_string().contains("expected a mask of 4x3 pixels, found 3x3"));
    }
}
