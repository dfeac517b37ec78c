//! A contact sheet: a row for each sample, with the sample itself and as it was changed, each beside its mask. Holds no text; the
//! program says what a sheet shows.

use image::imageops::replace;
use image::{GrayImage, Rgb, RgbImage};

use super::ReportError;
use super::panel::{image_and_overlay, shrunk};

/// Longest side of a picture: longer ones are shrunk, shorter ones enlarged by an integer.
const SIDE_MAX: u32 = 256;
/// Between an image and its overlay, in pixels.
const PAIR_GAP: u32 = 2;
/// Between two pairs and between two rows.
const GAP: u32 = 12;

/// An image and its overlay, in the size in which a sheet shows them.
#[derive(Debug, Clone)]
pub struct Cell {
    image: RgbImage,
    overlay: RgbImage,
}

impl Cell {
    /// The image, and its mask of class ids over it in the colours of `palette`.
    ///
    /// # Errors
    /// If the mask has another size than the image, or they have no pixels.
    pub fn new(image: &RgbImage, mask: &GrayImage, palette: &[[u8; 3]]) -> Result<Self, ReportError> {
        let [image, overlay] = image_and_overlay(image, mask, palette, shown)?;
        Ok(Self { image, overlay })
    }
}

/// Rows of images on white, each followed by its overlay.
pub fn contact_sheet(rows: &[Vec<Cell>]) -> RgbImage {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let (width, height) = largest(rows);
    let pair = 2 * width + PAIR_GAP;
    let size = |count: u32, side: u32| (count * (side + GAP)).saturating_sub(GAP);
    let mut sheet = RgbImage::from_pixel(size(columns, pair), size(rows.len() as u32, height), Rgb([255; 3]));
    for (row, top) in rows.iter().zip((0..).step_by((height + GAP) as usize)) {
        for (cell, left) in row.iter().zip((0..).step_by((pair + GAP) as usize)) {
            replace(&mut sheet, &cell.overlay, left + i64::from(width + PAIR_GAP), top);
            replace(&mut sheet, &cell.image, left, top);
        }
    }
    sheet
}

/// Width and height that hold every image.
fn largest(rows: &[Vec<Cell>]) -> (u32, u32) {
    let sizes = rows.iter().flatten().map(|cell| cell.image.dimensions());
    sizes.fold((1, 1), |(width, height), size| (width.max(size.0), height.max(size.1)))
}

/// The size in which an image is shown.
fn shown((width, height): (u32, u32)) -> (u32, u32) {
    match SIDE_MAX / width.max(height).max(1) {
        0 => shrunk((width, height), SIDE_MAX),
        factor => (width * factor, height * factor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALETTE: [[u8; 3]; 2] = [[0, 0, 0], [200, 100, 0]];

    fn cell(width: u32, height: u32, gray: u8, class: u8) -> Cell {
        let image = RgbImage::from_pixel(width, height, Rgb([gray; 3]));
        Cell::new(&image, &GrayImage::from_pixel(width, height, image::Luma([class])), &PALETTE).unwrap()
    }

    #[test]
    fn sizes_of_pictures() {
        assert_eq!(
            [shown((240, 176)), shown((64, 48)), shown((512, 128)), shown((1, 5000))],
            [(240, 176), (256, 192), (256, 64), (1, 256)]
        );
    }

    #[test]
    fn rows_and_pairs_lie_in_a_grid() {
        let rows = [vec![cell(240, 176, 9, 1), cell(240, 176, 50, 0)], vec![cell(240, 176, 80, 0)]];
        let sheet = contact_sheet(&rows);
        assert_eq!(sheet.dimensions(), (2 * (2 * 240 + 2) + 12, 2 * 176 + 12));
        let at = |x, y| sheet.get_pixel(x, y).0;
        assert_eq!([at(0, 0), at(239, 175), at(494, 0), at(0, 188)], [[9; 3], [9; 3], [50; 3], [80; 3]]);
        // (115 * 200 + 140 * 9 + 127) / 255 and so on.
        assert_eq!(at(242, 0), [95, 50, 5]);
        // Gaps, and the place of a missing pair, are white.
        assert_eq!([at(240, 0), at(482, 0), at(0, 176), at(600, 200)], [[255; 3]; 4]);
        assert_eq!(contact_sheet(&[]).dimensions(), (0, 0));
    }

    #[test]
    fn a_cell_is_as_large_as_it_is_shown() {
        let large = cell(1024, 512, 9, 1);
        assert_eq!([large.image.dimensions(), large.overlay.dimensions()], [(256, 128); 2]);
        assert_eq!(cell(64, 48, 9, 1).overlay.dimensions(), (256, 192));
    }

    #[test]
    fn a_mask_of_another_size_is_refused() {
        let error = |width, height, mask| {
            let image = RgbImage::new(width, height);
            Cell::new(&image, &mask, &PALETTE).unwrap_err().to_string()
        };
        assert_eq!(error(8, 8, GrayImage::new(8, 7)), "the mask is 8x7, its image 8x8");
        assert!(error(0, 8, GrayImage::new(0, 8)).contains("has no pixels"));
    }
}
