//! Owns what is drawn over and beside an image: masks in their colours, overlays, and panels of original, truth and
//! prediction.
//!
//! A mask is a gray picture of class ids; `ignore_index` (255) is hatched, so that it is never taken for a class. Knows
//! nothing of labels' own values, models or scores beyond the words it is given.

use image::imageops::{FilterType, resize};
use image::{GrayImage, Rgb, RgbImage};

use super::ReportError;
use super::canvas::{Anchor, Canvas, fit, ink};

pub use unet_shared::mask::IGNORE_INDEX;

/// The share of the mask's colour in overlays by default, of 255.
pub const OVERLAY_ALPHA: u8 = 115;

/// Images narrower than this are enlarged by a whole factor.
const WIDTH_MIN: u32 = 200;
/// Images wider or higher than this are shrunk.
const SIDE_MAX: u32 = 640;

const MARGIN: i64 = 12;
const GAP: i64 = 8;
const CAPTION_HEIGHT: i64 = 34;
const TITLE_HEIGHT: i64 = 24;

const HATCH_LIGHT: [u8; 3] = [176, 178, 182];
const HATCH_DARK: [u8; 3] = [128, 130, 136];

/// What a panel shows. Image and masks are of one size.
#[derive(Debug, Clone, Copy)]
pub struct Panel<'a> {
    /// The original.
    pub image: &'a RgbImage,
    /// Class ids of the label, where there is one.
    pub truth: Option<&'a GrayImage>,
    /// Class ids that the model says.
    pub prediction: &'a GrayImage,
    /// Colour of each class id.
    pub palette: &'a [[u8; 3]],
    /// Name of the frame, left in the strip above.
    pub name: &'a str,
    /// Score of the frame, right in the strip above; may be empty.
    pub score: &'a str,
}

/// Original | truth | prediction | overlay of the prediction side by side, under a strip with name and score. Small
/// images are enlarged, large ones shrunk to 640 pixels.
pub fn panel(panel: &Panel<'_>) -> Result<RgbImage, ReportError> {
    let size = panel.image.dimensions();
    check_size("the prediction", panel.prediction, size)?;
    if let Some(truth) = panel.truth {
        check_size("the truth", truth, size)?;
    }
    let shown = display_size(size)?;
    let filter = if shown.0 > size.0 { FilterType::Nearest } else { FilterType::Triangle };
    let image = if shown == size { panel.image.clone() } else { resize(panel.image, shown.0, shown.1, filter) };
    // Masks hold ids: they are never blended, and the hatching is drawn at the final size.
    let scaled = |mask: &GrayImage| resize(mask, shown.0, shown.1, FilterType::Nearest);
    let prediction = scaled(panel.prediction);

    let mut tiles = vec![("original", image.clone())];
    if let Some(truth) = panel.truth {
        tiles.push(("truth", colored(&scaled(truth), panel.palette)));
    }
    tiles.push(("prediction", colored(&prediction, panel.palette)));
    tiles.push(("overlay", overlay(&image, &prediction, panel.palette, OVERLAY_ALPHA)?));

    let (tile_width, tile_height) = (i64::from(shown.0), i64::from(shown.1));
    let count = tiles.len() as i64;
    let width = 2 * MARGIN + count * tile_width + (count - 1) * GAP;
    let height = CAPTION_HEIGHT + TITLE_HEIGHT + tile_height + MARGIN;
    let mut canvas = Canvas::new(width as u32, height as u32, ink::WHITE);
    canvas.rect(0, 0, width, CAPTION_HEIGHT, [238, 240, 243]);
    let middle = CAPTION_HEIGHT as f32 / 2.0;
    let score_room = width as f32 / 2.0;
    let score = fit(14.0, panel.score, score_room);
    let score_width = super::canvas::text_width(14.0, &score);
    let name_room = (width - 3 * MARGIN) as f32 - score_width;
    canvas.text(MARGIN as f32, middle, Anchor::Left, 14.0, ink::BLACK, &fit(14.0, panel.name, name_room));
    canvas.text((width - MARGIN) as f32, middle, Anchor::Right, 14.0, ink::BLACK, &score);
    for (index, (title, tile)) in tiles.iter().enumerate() {
        let x = MARGIN + index as i64 * (tile_width + GAP);
        let y = (CAPTION_HEIGHT + TITLE_HEIGHT / 2) as f32;
        canvas.text(x as f32, y, Anchor::Left, 12.0, ink::GRAY, title);
        canvas.paste(tile, x, CAPTION_HEIGHT + TITLE_HEIGHT);
    }
    Ok(canvas.into_image())
}

/// The mask's colours laid over the image: `(alpha * color + (255 - alpha) * pixel + 127) / 255` a channel. Ignored
/// pixels get gray hatching. Image and mask are of one size.
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
    if found == image { Ok(()) } else { Err(ReportError::Size { what, found, image }) }
}

fn display_size((width, height): (u32, u32)) -> Result<(u32, u32), ReportError> {
    if width == 0 || height == 0 {
        return Err(ReportError::Empty { what: "the image of a panel" });
    }
    // A tall strip is not enlarged beyond what a panel may be high.
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
    fn tiles_lie_where_they_should() {
        let image = RgbImage::from_pixel(100, 100, Rgb([9, 9, 9]));
        let truth = GrayImage::from_pixel(100, 100, image::Luma([1]));
        let prediction = GrayImage::from_pixel(100, 100, image::Luma([0]));
        let whole = Panel {
            image: &image,
            truth: Some(&truth),
            prediction: &prediction,
            palette: &PALETTE,
            name: "a name that does not fit any strip, however long that strip may be, since it goes on and on and on, \
                   and on, and on, and on",
            score: "IoU 0.91",
        };
        let drawn = panel(&whole).unwrap();
        assert_eq!(drawn.dimensions(), (24 + 4 * 200 + 3 * 8, 34 + 24 + 200 + 12));
        let at = |x, y| drawn.get_pixel(x, y).0;
        assert_eq!([at(12, 58), at(220, 58), at(428, 58)], [[9, 9, 9], [200, 100, 0], [0, 0, 0]]);
        // (115 * 0 + 140 * 9 + 127) / 255
        assert_eq!(at(636, 58), [5, 5, 5]);
        assert_eq!(at(11, 58), ink::WHITE);
        let without = panel(&Panel { truth: None, ..whole }).unwrap();
        assert_eq!(without.width(), 24 + 3 * 200 + 2 * 8);
    }

    #[test]
    fn sizes_that_differ_are_refused() {
        let image = RgbImage::new(4, 4);
        let (small, good) = (GrayImage::new(4, 3), GrayImage::new(4, 4));
        let whole =
            Panel { image: &image, truth: Some(&small), prediction: &good, palette: &PALETTE, name: "", score: "" };
        assert_eq!(panel(&whole).unwrap_err().to_string(), "the truth is 4x3, its image 4x4");
        assert!(panel(&Panel { truth: None, prediction: &small, ..whole }).is_err());
        assert!(overlay(&image, &small, &PALETTE, 9).is_err());
        let (image, mask) = (RgbImage::new(0, 4), GrayImage::new(0, 4));
        let empty = Panel { image: &image, truth: None, prediction: &mask, ..whole };
        assert_eq!(panel(&empty).unwrap_err().to_string(), "the image of a panel has no pixels");
    }
}
