//! Masks and overlays as PNG files in memory. Knows label values and class colours, not where a mask comes from.

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageError, ImageFormat, RgbImage};
use unet_shared::image::{ImageError as ViewError, ImageView};
use unet_shared::label::{LabelError, LabelSamplesMut, LabelTable, LabelValue};
use unet_shared::mask::IGNORE_INDEX;
use unet_shared::preprocess::Channels;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The mask has another number of pixels than the picture.
    #[error("mask: expected {expected} pixels, found {found}")]
    Size {
        /// Pixels of the picture.
        expected: usize,
        /// Pixels of the mask.
        found: usize,
    },
    /// A class of the mask has no label value of the kind that the others have.
    #[error("mask cannot be written with label values")]
    Label(#[source] LabelError),
    /// A row of the image could not be read.
    #[error("image cannot be read")]
    View(#[source] ViewError),
    /// The encoder failed.
    #[error("PNG cannot be encoded")]
    Png(#[source] ImageError),
}

/// A PNG of `mask` (class ids, `width * height`) with the first label value of each class: 8 bit gray where the values
/// fit, else 16 bit gray, or RGB where any class is a colour.
///
/// # Errors
///
/// When sizes differ, or an id of the mask has no value.
pub fn label_png(mask: &[u8], width: usize, height: usize, labels: &LabelTable) -> Result<Vec<u8>, PictureError> {
    check_size(mask, width * height)?;
    let values: Vec<_> = (0..=u8::MAX).map_while(|id| labels.value_of(id)).collect();
    let (columns, rows) = (width as u32, height as u32);
    let colours = values.iter().any(|value| matches!(value, LabelValue::Rgb(_)));
    let wide = values.iter().any(|value| matches!(value, LabelValue::Gray(gray) if *gray > 255));
    let picture = if colours {
        let mut samples = vec![0; mask.len() * 3];
        labels.decode(mask, LabelSamplesMut::Rgb8(&mut samples)).map_err(PictureError::Label)?;
        ImageBuffer::from_raw(columns, rows, samples).map(DynamicImage::ImageRgb8)
    } else if wide {
        let mut samples = vec![0u16; mask.len()];
        labels.decode(mask, LabelSamplesMut::Gray16(&mut samples)).map_err(PictureError::Label)?;
        ImageBuffer::from_raw(columns, rows, samples).map(DynamicImage::ImageLuma16)
    } else {
        let mut samples = vec![0; mask.len()];
        labels.decode(mask, LabelSamplesMut::Gray8(&mut samples)).map_err(PictureError::Label)?;
        ImageBuffer::from_raw(columns, rows, samples).map(DynamicImage::ImageLuma8)
    };
    png(&picture.ok_or(PictureError::Size { expected: width * height, found: mask.len() })?)
}

/// The share of a class's colour in overlays, of 255.
pub const OVERLAY_ALPHA: u8 = 115;

const HATCH_LIGHT: [u8; 3] = [176, 178, 182];
const HATCH_DARK: [u8; 3] = [128, 130, 136];

/// The colour of a pixel of class `id` at column `x` and row `y`: ignored pixels are hatched, so that they are never taken for
/// a class, and ids beyond the palette, which only a mask of another model has, are magenta.
pub fn class_color(id: u8, palette: &[[u8; 3]], x: u32, y: u32) -> [u8; 3] {
    if id == IGNORE_INDEX {
        return if (x + y) % 8 < 3 { HATCH_DARK } else { HATCH_LIGHT };
    }
    palette.get(usize::from(id)).copied().unwrap_or([255, 0, 255])
}

/// Paints a mask (class ids, row by row) over an image: `(alpha * colour + (255 - alpha) * pixel + 127) / 255` a channel.
///
/// # Errors
///
/// When the mask has another number of pixels than the image.
pub fn paint_mask(image: &mut RgbImage, mask: &[u8], palette: &[[u8; 3]], alpha: u8) -> Result<(), PictureError> {
    check_size(mask, image.width() as usize * image.height() as usize)?;
    let blend = |color: u8, pixel: u8| {
        let (alpha, color, pixel) = (u32::from(alpha), u32::from(color), u32::from(pixel));
        ((alpha * color + (255 - alpha) * pixel + 127) / 255) as u8
    };
    for ((x, y, pixel), &id) in image.enumerate_pixels_mut().zip(mask) {
        let color = class_color(id, palette, x, y);
        for (sample, color) in pixel.0.iter_mut().zip(color) {
            *sample = blend(color, *sample);
        }
    }
    Ok(())
}

/// The pixels of any view as RGB.
///
/// # Errors
///
/// When a row cannot be read.
pub fn rgb_image(image: &ImageView<'_>) -> Result<RgbImage, PictureError> {
    let (width, height) = (image.width(), image.height());
    let mut rgb = RgbImage::new(width as u32, height as u32);
    for (y, row) in rgb.chunks_exact_mut(width * 3).enumerate() {
        image.read_row(y, Channels::Rgb, row).map_err(PictureError::View)?;
    }
    Ok(rgb)
}

/// A PNG of the image with `mask` painted over it at [`OVERLAY_ALPHA`].
///
/// # Errors
///
/// When sizes differ, or the image cannot be read.
pub fn overlay_png(image: &ImageView<'_>, mask: &[u8], palette: &[[u8; 3]]) -> Result<Vec<u8>, PictureError> {
    painted_png(rgb_image(image)?, mask, palette)
}

/// [`overlay_png`] of a picture that is not needed afterwards: a large one is in memory once.
///
/// # Errors
///
/// When sizes differ.
pub fn painted_png(mut picture: RgbImage, mask: &[u8], palette: &[[u8; 3]]) -> Result<Vec<u8>, PictureError> {
    paint_mask(&mut picture, mask, palette, OVERLAY_ALPHA)?;
    png(&picture.into())
}

/// A PNG of an image, RGB.
///
/// # Errors
///
/// When a row cannot be read.
pub fn image_png(image: &ImageView<'_>) -> Result<Vec<u8>, PictureError> {
    png(&rgb_image(image)?.into())
}

fn check_size(mask: &[u8], expected: usize) -> Result<(), PictureError> {
    if mask.len() == expected { Ok(()) } else { Err(PictureError::Size { expected, found: mask.len() }) }
}

fn png(picture: &DynamicImage) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).map_err(PictureError::Png)?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use unet_shared::image::PixelFormat;

    use super::*;

    #[test]
    fn gray_labels_are_written_with_their_values() {
        let labels = LabelTable::from_sorted([29, 226].map(LabelValue::Gray)).unwrap();
        let png = label_png(&[0, 1, 1, 0, 0, 0], 3, 2, &labels).unwrap();
        let picture = image::load_from_memory(&png).unwrap();
        assert_eq!(picture.as_luma8().unwrap().as_raw(), &[29, 226, 226, 29, 29, 29]);
    }

    #[test]
    fn large_values_take_16_bits_and_colours_three_channels() {
        let labels = LabelTable::from_sorted([3, 300].map(LabelValue::Gray)).unwrap();
        let picture = image::load_from_memory(&label_png(&[0, 1], 2, 1, &labels).unwrap()).unwrap();
        assert_eq!(picture.as_luma16().unwrap().as_raw(), &[3, 300]);
        let labels = LabelTable::from_sorted([[0, 0, 0], [255, 1, 2]].map(LabelValue::Rgb)).unwrap();
        let picture = image::load_from_memory(&label_png(&[0, 1], 1, 2, &labels).unwrap()).unwrap();
        assert_eq!(picture.as_rgb8().unwrap().as_raw(), &[0, 0, 0, 255, 1, 2]);
    }

    #[test]
    fn an_overlay_mixes_pixel_and_colour() {
        let view = ImageView::packed(&[100, 200], 2, 1, PixelFormat::Gray8).unwrap();
        let palette = [[0, 0, 0], [255, 0, 100]];
        let png = overlay_png(&view, &[0, 1], &palette).unwrap();
        let picture = image::load_from_memory(&png).unwrap();
        // 140 / 255 of 100; of 200 that is 109.8, and 115 / 255 of the colour adds 115, 0 and 45.1.
        assert_eq!(picture.as_rgb8().unwrap().as_raw(), &[55, 55, 55, 225, 110, 155]);
        let mut image = rgb_image(&view).unwrap();
        paint_mask(&mut image, &[0, 1], &palette, 0).unwrap();
        assert_eq!(image.as_raw(), &[100, 100, 100, 200, 200, 200]);
        paint_mask(&mut image, &[0, 1], &palette, 255).unwrap();
        assert_eq!(image.as_raw(), &[0, 0, 0, 255, 0, 100]);
    }

    #[test]
    fn ignored_pixels_are_hatched_and_unknown_ids_stand_out() {
        let colors: Vec<_> = (0..8).map(|x| class_color(IGNORE_INDEX, &[], x, 0) == HATCH_DARK).collect();
        assert_eq!(colors, [true, true, true, false, false, false, false, false]);
        assert_eq!(class_color(7, &[[0; 3]], 0, 0), [255, 0, 255]);
    }

    #[test]
    fn masks_that_do_not_fit_are_errors() {
        let labels = LabelTable::from_sorted([29].map(LabelValue::Gray)).unwrap();
        assert!(matches!(label_png(&[0], 2, 1, &labels), Err(PictureError::Size { expected: 2, found: 1 })));
        assert!(matches!(label_png(&[1], 1, 1, &labels), Err(PictureError::Label(_))));
        let view = ImageView::packed(&[100], 1, 1, PixelFormat::Gray8).unwrap();
        assert!(matches!(overlay_png(&view, &[1, 1], &[[0; 3]]), Err(PictureError::Size { expected: 1, found: 2 })));
    }
}
