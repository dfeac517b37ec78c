//! A contact sheet: a row for each sample, with the sample itself and as it was changed, each beside its mask. Holds no text; the
//! program says what a sheet shows.

use image::imageops::{FilterType, replace, resize};
use image::{GrayImage, Rgb, RgbImage};

use super::ReportError;
use super::panel::overlay;

/// Longest side of a picture: longer ones are shrunk, shorter ones enlarged by an integer.
const SIDE_MAX: u32 = 256;
/// Between an image and its overlay, in pixels.
const PAIR_GAP: u32 = 2;
/// Between two pairs and between two rows.
const GAP: u32 = 12;

/// An image with its mask of class ids, of one size.
#[derive(Debug, Clone)]
pub struct MaskedImage {
    /// The pixels.
    pub image: RgbImage,
    /// Class ids.
    pub mask: GrayImage,
}

/// Rows of images on white, each followed by its overlay in the colours of `palette`.
///
/// # Errors
/// If a mask has another size than its image.
pub fn contact_sheet(rows: &[Vec<MaskedImage>], palette: &[[u8; 3]]) -> Result<RgbImage, ReportError> {
    let (columns, largest) = (rows.iter().map(Vec::len).max().unwrap_or(0) as u32, largest(rows));
    let (width, height) = shown(largest.0, largest.1);
    let pair = 2 * width + PAIR_GAP;
    let size = |count: u32, side: u32| (count * (side + GAP)).saturating_sub(GAP);
    let mut sheet = RgbImage::from_pixel(size(columns, pair), size(rows.len() as u32, height), Rgb([255; 3]));
    for (row, top) in rows.iter().zip((0..).step_by((height + GAP) as usize)) {
        for (cell, left) in row.iter().zip((0..).step_by((pair + GAP) as usize)) {
            let (width, height) = shown(cell.image.width(), cell.image.height());
            let filter = if width > cell.image.width() { FilterType::Nearest } else { FilterType::Triangle };
            let image = resize(&cell.image, width, height, filter);
            // Masks hold ids: they are never blended.
            let mask = resize(&cell.mask, width, height, FilterType::Nearest);
            replace(&mut sheet, &overlay(&image, &mask, palette)?, left + i64::from(width + PAIR_GAP), top);
            replace(&mut sheet, &image, left, top);
        }
    }
    Ok(sheet)
}

/// Width and height that hold every image.
fn largest(rows: &[Vec<MaskedImage>]) -> (u32, u32) {
    let sizes = rows.iter().flatten().map(|cell| cell.image.dimensions());
    sizes.fold((1, 1), |(width, height), size| (width.max(size.0), height.max(size.1)))
}

/// The size in which an image is shown.
fn shown(width: u32, height: u32) -> (u32, u32) {
    let longest = width.max(height).max(1);
    let scaled = |side: u32| match SIDE_MAX / longest {
        0 => (u64::from(side) * u64::from(SIDE_MAX) / u64::from(longest)).max(1) as u32,
        factor => side * factor,
    };
    (scaled(width), scaled(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(width: u32, height: u32, gray: u8, class: u8) -> MaskedImage {
        MaskedImage {
            image: RgbImage::from_pixel(width, height, Rgb([gray; 3])),
            mask: GrayImage::from_pixel(width, height, image::Luma([class])),
        }
    }

    #[test]
    fn sizes_of_pictures() {
        assert_eq!(
            [shown(240, 176), shown(64, 48), shown(512, 128), shown(1, 5000)],
            [(240, 176), (256, 192), (256, 64), (1, 256)]
        );
    }

    #[test]
    fn rows_and_pairs_lie_in_a_grid() {
        let palette = [[0, 0, 0], [200, 100, 0]];
        let rows = [vec![cell(240, 176, 9, 1), cell(240, 176, 50, 0)], vec![cell(240, 176, 80, 0)]];
        let sheet = contact_sheet(&rows, &palette).unwrap();
        assert_eq!(sheet.dimensions(), (2 * (2 * 240 + 2) + 12, 2 * 176 + 12));
        let at = |x, y| sheet.get_pixel(x, y).0;
        assert_eq!([at(0, 0), at(239, 175), at(494, 0), at(0, 188)], [[9; 3], [9; 3], [50; 3], [80; 3]]);
        // (115 * 200 + 140 * 9 + 127) / 255 and so on.
        assert_eq!(at(242, 0), [95, 50, 5]);
        // Gaps, and the place of a missing pair, are white.
        assert_eq!([at(240, 0), at(482, 0), at(0, 176), at(600, 200)], [[255; 3]; 4]);
        assert_eq!(contact_sheet(&[], &palette).unwrap().dimensions(), (0, 0));
        let mut bad = cell(8, 8, 1, 1);
        bad.mask = GrayImage::new(8, 7);
        assert!(contact_sheet(&[vec![bad]], &palette).is_ok(), "both are scaled to the shown size");
    }
}
