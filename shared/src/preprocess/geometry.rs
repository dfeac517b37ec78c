//! The placement of an image within the target. Integer arithmetic only; [`crate::mask`] has the inverse.

/// The rectangle of the target, in pixels, that the image fills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize))]
pub struct Placement {
    /// First column.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Placement {
    /// Whether the rectangle is not empty and within a target of this size.
    #[must_use]
    pub fn is_within(&self, width: u32, height: u32) -> bool {
        let fits = |start: u32, len: u32, side: u32| len > 0 && start.checked_add(len).is_some_and(|end| end <= side);
        fits(self.x, self.width, width) && fits(self.y, self.height, height)
    }

    /// The largest rectangle of the image's aspect ratio, centred; of an odd margin, the larger part is on the right or
    /// below. The side that does not fill the target is rounded half up and at least one pixel. All sides are 1 to
    /// `SIDE_MAX`, so no product exceeds 2^30.
    pub(super) fn letterbox(image: (u32, u32), target: (u32, u32)) -> Self {
        let scaled = |side: u32, to: u32, of: u32| (2 * side * to + of) / (2 * of);
        let (width, height) = if target.0 * image.1 <= target.1 * image.0 {
            (target.0, scaled(image.1, target.0, image.0).clamp(1, target.1))
        } else {
            (scaled(image.0, target.1, image.1).clamp(1, target.0), target.1)
        };
        Self { x: (target.0 - width) / 2, y: (target.1 - height) / 2, width, height }
    }
}
