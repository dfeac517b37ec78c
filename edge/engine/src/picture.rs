//! Masks and overlays as PNG files in memory. Knows label values and class colours, not where a mask comes from.

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageError, ImageFormat};
use unet_shared::image::{ImageError as ViewError, ImageView};
use unet_shared::label::{LabelError, LabelSamplesMut, LabelTable, LabelValue};
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
    /// A class of the mask has no colour.
    #[error("mask: expected class ids below {expected}, found {found}")]
    Class {
        /// Number of colours.
        expected: usize,
        /// The class.
        found: u8,
    },
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
    png(picture, mask.len())
}

/// A PNG of the image with each pixel half its own and half the colour of its class in `mask`, rounded down.
///
/// # Errors
///
/// When sizes differ, a class has no colour, or the image cannot be read.
pub fn overlay_png(image: &ImageView<'_>, mask: &[u8], colors: &[[u8; 3]]) -> Result<Vec<u8>, PictureError> {
    let (width, height) = (image.width(), image.height());
    check_size(mask, width * height)?;
    let mut samples = vec![0; width * height * 3];
    for ((y, row), ids) in samples.chunks_exact_mut(width * 3).enumerate().zip(mask.chunks_exact(width)) {
        image.read_row(y, Channels::Rgb, row).map_err(PictureError::View)?;
        for (pixel, &id) in row.as_chunks_mut::<3>().0.iter_mut().zip(ids) {
            let color = colors.get(usize::from(id)).ok_or(PictureError::Class { expected: colors.len(), found: id })?;
            for (sample, part) in pixel.iter_mut().zip(color) {
                *sample = sample.midpoint(*part);
            }
        }
    }
    let picture = ImageBuffer::from_raw(width as u32, height as u32, samples).map(DynamicImage::ImageRgb8);
    png(picture, mask.len())
}

/// A PNG of an image, RGB.
///
/// # Errors
///
/// When a row cannot be read.
pub fn image_png(image: &ImageView<'_>) -> Result<Vec<u8>, PictureError> {
    let (width, height) = (image.width(), image.height());
    let mut samples = vec![0; width * height * 3];
    for (y, row) in samples.chunks_exact_mut(width * 3).enumerate() {
        image.read_row(y, Channels::Rgb, row).map_err(PictureError::View)?;
    }
    let picture = ImageBuffer::from_raw(width as u32, height as u32, samples).map(DynamicImage::ImageRgb8);
    png(picture, width * height)
}

fn check_size(mask: &[u8], expected: usize) -> Result<(), PictureError> {
    if mask.len() == expected { Ok(()) } else { Err(PictureError::Size { expected, found: mask.len() }) }
}

fn png(picture: Option<DynamicImage>, found: usize) -> Result<Vec<u8>, PictureError> {
    let picture = picture.ok_or(PictureError::Size { expected: 0, found })?;
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
    fn an_overlay_is_half_image_and_half_class() {
        let view = ImageView::packed(&[100, 200], 2, 1, PixelFormat::Gray8).unwrap();
        let png = overlay_png(&view, &[0, 1], &[[0, 0, 0], [255, 0, 100]]).unwrap();
        let picture = image::load_from_memory(&png).unwrap();
        assert_eq!(picture.as_rgb8().unwrap().as_raw(), &[50, 50, 50, 227, 100, 150]);
    }

    #[test]
    fn masks_that_do_not_fit_are_errors() {
        let labels = LabelTable::from_sorted([29].map(LabelValue::Gray)).unwrap();
        assert!(matches!(label_png(&[0], 2, 1, &labels), Err(PictureError::Size { expected: 2, found: 1 })));
        assert!(matches!(label_png(&[1], 1, 1, &labels), Err(PictureError::Label(_))));
        let view = ImageView::packed(&[100], 1, 1, PixelFormat::Gray8).unwrap();
        assert!(matches!(overlay_png(&view, &[1], &[[0; 3]]), Err(PictureError::Class { expected: 1, found: 1 })));
    }
}
