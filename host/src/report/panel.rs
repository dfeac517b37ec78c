//! Masks in their colours, overlays, and panels: image, truth, prediction and overlay as tiles of one size.
//!
//! A mask is a gray image of class ids; `ignore_index` (255) is hatched, so that it is never taken for a class. Panels hold no
//! text: names and scores are in the report and in file names. Knows no label values and no models.

use image::imageops::{FilterType, replace, resize};
use image::{GrayImage, Rgb, RgbImage};

use super::ReportError;

pub use unet_shared::mask::IGNORE_INDEX;

/// Default share of the mask's colour in overlays, of 255.
pub const OVERLAY_ALPHA: u8 = 115;

/// Images narrower than this are enlarged by an integer factor.
const WIDTH_MIN: u32 = 200;
/// Images wider or higher than this are shrunk.
const SIDE_MAX: u32 = 640;

/// Between the tiles of a panel in pixels.
const GAP: u32 = 8;

const HATCH_LIGHT: [u8; 3] = [176, 178, 182];
const HATCH_DARK: [u8; 3] = [128, 130, 136];

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
        let filter = if shown.0 > size.0 { FilterType::Nearest } else { FilterType::Triangle };
        let image = if shown == size { self.image.clone() } else { resize(self.image, shown.0, shown.1, filter) };
        // Masks hold ids: they are never blended, and the hatching is drawn at the final size.
        let scaled = |mask: &GrayImage| resize(mask, shown.0, shown.1, FilterType::Nearest);
        let prediction = scaled(self.prediction);
        let overlay = overlay(&image, &prediction, self.palette, OVERLAY_ALPHA)?;

        let mut tiles = vec![Tile { title: "image", image }];
        if let Some(truth) = self.truth {
            tiles.push(Tile { title: "truth", image: colored(&scaled(truth), self.palette) });
        }
        tiles.push(Tile { title: "prediction", image: colored(&prediction, self.palette) });
        tiles.push(Tile { title: "overlay", image: overlay });
        Ok(tiles)
    }
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

/// The mask's colours laid over the image: `(alpha * color + (255 - alpha) * pixel + 127) / 255` a channel. Ignored
/// pixels get gray hatching.
///
/// # Errors
/// If the sizes differ.
pub fn overlay(image: &RgbImage, mask: &GrayImage, palette: &[[u8; 3]], alpha: u8) -> Result<RgbImage, ReportError> {
    check_size("the mask", mask, image.dimensions())?;
    let blend = |color: u8, pixel: u8| {
        let (alpha, color, pixel) = (u32::from(alpha), u32::from(color), u32::from(pixel));
        ((alpha * color + (255 - alpha) * pixel + 127) / 255) as u8
    };
    Ok(RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let color = class_color(mask.get_pixel(x, y).0[0], palette, x, y);
        let pixel = image.get_pixel(x, y).0;
        Rgb(std::array::from_fn(|channel| blend(color[channel], pixel[channel])))
    }))
}

/// The mask in its colours, ignored pixels hatched.
pub fn colored(mask: &GrayImage, palette: &[[u8; 3]]) -> RgbImage {
    RgbImage::from_fn(mask.width(), mask.height(), |x, y| Rgb(class_color(mask.get_pixel(x, y).0[0], palette, x, y)))
}

/// Ids beyond the palette, which only a mask of another model has, are magenta.
fn class_color(id: u8, palette: &[[u8; 3]], x: u32, y: u32) -> [u8; 3] {
    if id == IGNORE_INDEX {
        return if (x + y) % 8 < 3 { HATCH_DARK } else { HATCH_LIGHT };
    }
    palette.get(usize::from(id)).copied().unwrap_or([255, 0, 255])
}

fn check_size(what: &'static str, mask: &GrayImage, image: (u32, u32)) -> Result<(), ReportError> {
    let found = mask.dimensions();
    if found == image {
        return Ok(());
    }
    Err(ReportError::Fault(format!("{what} is {}x{}, its image {}x{}", found.0, found.1, image.0, image.1)))
}

fn display_size((width, height): (u32, u32)) -> Result<(u32, u32), ReportError> {
    if width == 0 || height == 0 {
        return Err(ReportError::Fault("the image of a panel has no pixels".to_owned()));
    }
    // A tall strip is not enlarged beyond the maximum height of a panel.
    let factor = WIDTH_MIN.div_ceil(width).min(SIDE_MAX / height).max(1);
    let longest = width.max(height);
    if width < WIDTH_MIN && factor > 1 {
        return Ok((width * factor, height * factor));
    }
    if longest <= SIDE_MAX {
        return Ok((width, height));
    }
    let shrunk = |side: u32| (u64::from(side) * u64::from(SIDE_MAX) / u64::from(longest)).max(1) as u32;
    Ok((shrunk(width), shrunk(height)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALETTE: [[u8; 3]; 2] = [[0, 0, 0], [200, 100, 0]];

    #[test]
    fn overlay_by_hand() {
        let image = RgbImage::from_pixel(2, 1, Rgb([100, 101, 102]));
        let mask = GrayImage::from_raw(2, 1, vec![1, 0]).unwrap();
        let half = overlay(&image, &mask, &PALETTE, 51).unwrap();
        // A fifth of the colour and four fifths of the pixel: 40 + 80, 20 + 80.8, 0 + 81.6.
        assert_eq!(half.get_pixel(0, 0).0, [120, 101, 82]);
        assert_eq!(half.get_pixel(1, 0).0, [80, 81, 82]);
        assert_eq!(overlay(&image, &mask, &PALETTE, 0).unwrap(), image);
        assert_eq!(overlay(&image, &mask, &PALETTE, 255).unwrap(), colored(&mask, &PALETTE));
    }

    #[test]
    fn ignored_is_hatched_and_unknown_ids_stand_out() {
        let mask = GrayImage::from_pixel(8, 1, image::Luma([IGNORE_INDEX]));
        let drawn = colored(&mask, &PALETTE);
        let dark: Vec<bool> = drawn.pixels().map(|p| p.0 == HATCH_DARK).collect();
        assert_eq!(dark, [true, true, true, false, false, false, false, false]);
        let mask = GrayImage::from_pixel(1, 1, image::Luma([7]));
        assert_eq!(colored(&mask, &PALETTE).get_pixel(0, 0).0, [255, 0, 255]);
    }

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
        assert_eq!(overlay(&image, &small, &PALETTE, 9).unwrap_err().to_string(), "the mask is 4x3, its image 4x4");
        let (image, mask) = (RgbImage::new(0, 4), GrayImage::new(0, 4));
        let empty = Panel { image: &image, truth: None, prediction: &mask, ..whole };
        assert_eq!(empty.tiles().unwrap_err().to_string(), "the image of a panel has no pixels");
    }
}
