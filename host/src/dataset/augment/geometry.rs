//! Where the pixels of a changed image come from. All geometric operations change one map, so that the image is sampled once.

use super::displacement::Displacement;
use crate::dataset::loader::Item;

/// The map from the pixels of the result to positions in the image: affine, plus a displacement. Lengths are in pixels, and
/// the centre of the first pixel is at (0.5, 0.5).
#[derive(Debug)]
pub(super) struct Geometry<'a> {
    /// Width and height of image and result.
    pub size: [usize; 2],
    /// Class ids of the image.
    pub mask: &'a [u8],
    /// Pixels of each class in the training images; empty if no operation asks for them.
    pub class_pixels: &'a [u64],
    /// From an offset to the result's centre to the offset from `centre`.
    pub matrix: [[f64; 2]; 2],
    /// The position in the image that the result's centre shows.
    pub centre: [f64; 2],
    /// Added to the result of the affine map.
    pub displacement: Option<Displacement>,
    /// How much larger the image is drawn.
    enlargement: f64,
}

impl<'a> Geometry<'a> {
    /// The identity for an item of `width` columns.
    pub fn new(item: &'a Item, width: usize, class_pixels: &'a [u64]) -> Self {
        let size = [width, item.mask.len() / width];
        Self {
            size,
            mask: &item.mask,
            class_pixels,
            matrix: [[1.0, 0.0], [0.0, 1.0]],
            centre: middle(size),
            displacement: None,
            enlargement: 1.0,
        }
    }

    /// Whether the map changes nothing.
    pub fn is_identity(&self) -> bool {
        self.matrix == [[1.0, 0.0], [0.0, 1.0]] && self.centre == middle(self.size) && self.displacement.is_none()
    }

    /// Turns the image clockwise about its centre.
    pub fn turn(&mut self, (sine, cosine): (f64, f64)) {
        let [[a, b], [c, d]] = self.matrix;
        self.matrix = [[a * cosine - b * sine, a * sine + b * cosine], [c * cosine - d * sine, c * sine + d * cosine]];
    }

    /// Draws the image larger by this factor, or smaller by one below 1.
    pub fn enlarge(&mut self, factor: f64) {
        self.enlargement *= factor;
        self.matrix.as_flattened_mut().iter_mut().for_each(|value| *value /= factor);
    }

    /// Whether only a part of the image can be seen.
    pub fn is_enlarged(&self) -> bool {
        self.enlargement > 1.0
    }

    /// Moves the visible window to `share` of its way from the image's left and top border to the right and bottom one. A window
    /// larger than the image always contains all of it.
    pub fn place(&mut self, share: [f64; 2]) {
        self.centre = [0, 1].map(|axis| {
            let [low, high] = self.centres(axis);
            low + (high - low) * share[axis]
        });
    }

    /// Moves the visible window so that a pixel is as near to its centre as a window within the image allows.
    pub fn look_at(&mut self, pixel: [usize; 2]) {
        self.centre = [0, 1].map(|axis| {
            let [low, high] = self.centres(axis);
            (pixel[axis] as f64 + 0.5).clamp(low, high)
        });
    }

    /// Moves the image by shares of its sides.
    pub fn shift(&mut self, share: [f64; 2]) {
        self.centre = [0, 1].map(|axis| self.centre[axis] - share[axis] * self.size[axis] as f64);
    }

    /// The lowest and the highest position of the window's centre.
    fn centres(&self, axis: usize) -> [f64; 2] {
        let side = self.size[axis] as f64;
        let half = side / self.enlargement / 2.0;
        let low = half.min(side - half);
        [low, side - low]
    }
}

fn middle(size: [usize; 2]) -> [f64; 2] {
    size.map(|side| side as f64 / 2.0)
}
