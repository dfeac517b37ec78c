//! Masks in their colours, overlays, and panels: image, truth, prediction and overlay as tiles of one size.
//!
//! A mask is a gray image of class ids; `ignore_index` (255) is hatched, so that it is never taken for a class. Panels hold no
//! text: names and scores are in the report and in file names. Knows no label values and no models.

use image::imageops::{FilterType, replace, resize};
use image::{GrayImage, Rgb, RgbImage};

use unet_engine::picture::{OVERLAY_ALPHA, paint_mask};

use super::ReportError;

/// Images narrower than this are enlarged by an integer factor.
const WIDTH_MIN: u32 = 200;
/// Images wider or higher than this are shrunk.
const SIDE_MAX: u32 = 640;

/// Between the tiles of a panel in pixels.
const GAP: u32 = 8;

/// What a panel shows. Image and masks are of one size.
#[derive(Debug, Clone, Copy)]
pub struct Panel<'a> {
    /// The original.
    pub image: &'a RgbImage,
    /// Class ids of the label, if there is one.
    pub truth: Option<&'a GrayImage>,
    /// Class ids that the model predicts.
    pub prediction: &'a GrayImage,
    /// Colour of each class id.
    pub palette: &'a [[u8; 3]],
}

/// A part of a panel.
#[derive(Debug, Clone)]
pub struct Tile {
    /// What it shows.
    pub title: &'static str,
    /// Its pixels.
    pub image: RgbImage,
}

impl Panel<'_> {
    /// Image, truth (if there is one), prediction and overlay of the prediction. Small images are enlarged, large ones
    /// shrunk to 640 pixels.
    ///
    /// # Errors
    /// If sizes differ or are 0.
    pub fn tiles(&self) -> Result<Vec<Tile>, ReportError> {
        let size = self.image.dimensions();
        check_size("the prediction", self.prediction, size)?;
        if let Some(truth) = self.truth {
            check_size("the truth", truth, size)?;
        }
        let shown = display_size(size)?;
        let image = scaled(self.image, shown);
        // The hatching is drawn at the final size.
        let prediction = scaled_mask(self.prediction, shown);
        let overlay = overlay(&image, &prediction, self.palette)?;

        let mut tiles = vec![Tile { title: "image", image }];
        if let Some(truth) = self.truth {
            tiles.push(Tile { title: "truth", image: colored(&scaled_mask(truth, shown), self.palette)? });
        }
        tiles.push(Tile { title: "prediction", image: colored(&prediction, self.palette)? });
        tiles.push(Tile { title: "overlay", image: overlay });
        Ok(tiles)
    }
}

/// The image in another size, with larger pixels if it is enlarged.
fn scaled(image: &RgbImage, size: (u32, u32)) -> RgbImage {
    if size == image.dimensions() {
        return image.clone();
    }
    let filter = if size.0 > image.width() { FilterType::Nearest } else { FilterType::Triangle };
    resize(image, size.0, size.1, filter)
}

/// The mask in another size. It holds ids, which are never blended.
fn scaled_mask(mask: &GrayImage, size: (u32, u32)) -> GrayImage {
    resize(mask, size.0, size.1, FilterType::Nearest)
}

/// The image, and its overlay, in the size that `shown` chooses for its own.
///
/// # Errors
/// If the sizes differ or are 0.
pub(super) fn image_and_overlay(
    image: &RgbImage,
    mask: &GrayImage,
    palette: &[[u8; 3]],
    shown: impl Fn((u32, u32)) -> (u32, u32),
) -> Result<[RgbImage; 2], ReportError> {
    check_size("the mask", mask, image.dimensions())?;
    let size = shown(has_pixels(image.dimensions())?);
    let image = scaled(image, size);
    let overlay = overlay(&image, &scaled_mask(mask, size), palette)?;
    Ok([image, overlay])
}

/// The tiles of a panel from left to right on white.
pub fn side_by_side(tiles: &[Tile]) -> RgbImage {
    let width: u32 = tiles.iter().map(|tile| tile.image.width() + GAP).sum();
    let height = tiles.iter().map(|tile| tile.image.height()).max().unwrap_or(0);
    let mut all = RgbImage::from_pixel(width.saturating_sub(GAP), height, Rgb([255; 3]));
    let mut left = 0;
    for tile in tiles {
        replace(&mut all, &tile.image, i64::from(left), 0);
        left += tile.image.width() + GAP;
    }
    all
}

/// The image with the mask's colours over it, see [`paint_mask`].
///
/// # Errors
/// If the sizes differ.
fn overlay(image: &RgbImage, mask: &GrayImage, palette: &[[u8; 3]]) -> Result<RgbImage, ReportError> {
    check_size("the mask", mask, image.dimensions())?;
    painted(image.clone(), mask, palette, OVERLAY_ALPHA)
}

/// The mask in its colours.
fn colored(mask: &GrayImage, palette: &[[u8; 3]]) -> Result<RgbImage, ReportError> {
    painted(RgbImage::new(mask.width(), mask.height()), mask, palette, u8::MAX)
}

fn painted(mut image: RgbImage, mask: &GrayImage, palette: &[[u8; 3]], alpha: u8) -> Result<RgbImage, ReportError> {
    paint_mask(&mut image, mask, palette, alpha).map_err(|error| ReportError::Fault(error.to_string()))?;
    Ok(image)
}

fn check_size(what: &'static str, mask: &GrayImage, image: (u32, u32)) -> Result<(), ReportError> {
    let found = mask.dimensions();
    if found == image {
        return Ok(());
    }
    Err(ReportError::Fault(format!("{what} is {}x{}, its image {}x{}", found.0, found.1, image.0, image.1)))
}

fn has_pixels((width, height): (u32, u32)) -> Result<(u32, u32), ReportError> {
    if width == 0 || height == 0 {
        return Err(ReportError::Fault("the image of a panel has no pixels".to_owned()));
    }
    Ok((width, height))
}

/// Both sides so that the longer one is at most `side_max`, by the same factor.
pub(super) fn shrunk((width, height): (u32, u32), side_max: u32) -> (u32, u32) {
    let longest = width.max(height).max(side_max);
    let side = |side: u32| (u64::from(side) * u64::from(side_max) / u64::from(longest)).max(1) as u32;
    (side(width), side(height))
}

fn display_size(size: (u32, u32)) -> Result<(u32, u32), ReportError> {
    let (width, height) = has_pixels(size)?;
    // A tall strip is not enlarged beyond the maximum height of a panel.
    let factor = WIDTH_MIN.div_ceil(width).min(SIDE_MAX / height).max(1);
    if width < WIDTH_MIN && factor > 1 {
        return Ok((width * factor, height * factor));
    }
    Ok(shrunk(size, SIDE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALETTE: [[u8; 3]; 2] = [[0, 0, 0], [200, 100, 0]];

    #[test]
    fn display_sizes() {
        let cases = [
            ((128, 128), (256, 256)),
            ((199, 100), (398, 200)),
            ((200, 300), (200, 300)),
            ((640, 480), (640, 480)),
            ((1280, 720), (640, 360)),
            ((996, 1024), (622, 640)),
            ((10, 4000), (1, 640)),
            ((1, 1), (200, 200)),
            ((100, 500), (100, 500)),
        ];
        for (size, expected) in cases {
            assert_eq!(display_size(size).unwrap(), expected, "{size:?}");
        }
    }

    #[test]
    fn tiles_are_side_by_side() {
        let image = RgbImage::from_pixel(100, 100, Rgb([9, 9, 9]));
        let truth = GrayImage::from_pixel(100, 100, image::Luma([1]));
        let prediction = GrayImage::from_pixel(100, 100, image::Luma([0]));
        let panel = Panel { image: &image, truth: Some(&truth), prediction: &prediction, palette: &PALETTE };
        let tiles = panel.tiles().unwrap();
        assert_eq!(tiles.iter().map(|t| t.title).collect::<Vec<_>>(), ["image", "truth", "prediction", "overlay"]);
        let drawn = side_by_side(&tiles);
        assert_eq!(drawn.dimensions(), (4 * 200 + 3 * 8, 200));
        let at = |x, y| drawn.get_pixel(x, y).0;
        assert_eq!([at(0, 0), at(208, 0), at(416, 199)], [[9, 9, 9], [200, 100, 0], [0, 0, 0]]);
        // (115 * 0 + 140 * 9 + 127) / 255
        assert_eq!(at(823, 199), [5, 5, 5]);
        assert_eq!([at(200, 0), at(207, 199)], [[255; 3]; 2]);
        let without = Panel { truth: None, ..panel }.tiles().unwrap();
        assert_eq!(side_by_side(&without).width(), 3 * 200 + 2 * 8);
        assert_eq!(side_by_side(&[]).dimensions(), (0, 0));
    }

    #[test]
    fn sizes_that_differ_are_refused() {
        let image = RgbImage::new(4, 4);
        let (small, good) = (GrayImage::new(4, 3), GrayImage::new(4, 4));
        let whole = Panel { image: &image, truth: Some(&small), prediction: &good, palette: &PALETTE };
        assert_eq!(whole.tiles().unwrap_err().to_string(), "the truth is 4x3, its image 4x4");
        let error = Panel { truth: None, prediction: &small, ..whole }.tiles().unwrap_err();
        assert_eq!(error.to_string(), "the prediction is 4x3, its image 4x4");
        assert_eq!(overlay(&image, &small, &PALETTE).unwrap_err().to_string(), "the mask is 4x3, its image 4x4");
        let (image, mask) = (RgbImage::new(0, 4), GrayImage::new(0, 4));
        let empty = Panel { image: &image, truth: None, prediction: &mask, ..whole };
        assert_eq!(empty.tiles().unwrap_err().to_string(), "the image of a panel has no pixels");
    }
}
