//! Owns everything that is made for the eye: curves, the confusion matrix as a heat map, panels of original, truth and
//! prediction, and the one static page that holds them all.
//!
//! Takes plain numbers and pixels and draws them the same way each time. Deliberately knows no training loop, no model,
//! no file layout of a run: callers say what to draw and where to put it.

pub(crate) mod canvas;
pub mod confusion;
pub mod html;
pub mod panel;
pub mod plots;

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};

/// One epoch as the curves show it. `None` and numbers that are not finite leave a gap.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EpochPoint {
    /// Number of the epoch, from 1 upwards.
    pub epoch: u32,
    /// Mean loss over the training images.
    pub train_loss: Option<f64>,
    /// Mean loss over the validation images.
    pub val_loss: Option<f64>,
    /// Mean IoU on the validation images, 0 to 1.
    pub mean_iou: Option<f64>,
    /// IoU of each class, in the order of the classes; shorter where some are not known.
    pub class_iou: Vec<Option<f64>>,
}

/// A class as legends and tables show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportClass {
    /// Its name, any text.
    pub name: String,
    /// Its colour in masks and overlays, RGB.
    pub color: [u8; 3],
}

/// A picture of the report with what stands under it.
#[derive(Debug, Clone)]
pub struct ReportPicture {
    /// Words under the picture.
    pub caption: String,
    /// The pixels.
    pub image: RgbImage,
}

/// A table of the report under a heading of its own, such as the figures of export, quantization or parity.
#[derive(Debug, Clone, Default)]
pub struct ReportTable {
    /// Heading of the section.
    pub title: String,
    /// A sentence between heading and table; may be empty.
    pub note: String,
    /// Column headings; none for a table of names and values.
    pub columns: Vec<String>,
    /// Rows of cells. Cells that read as numbers are set to the right.
    pub rows: Vec<Vec<String>>,
}

/// What report.html shows, from top to bottom; what is empty is left out.
#[derive(Debug, Clone, Default)]
pub struct ReportData {
    /// The page's heading, such as the name of the run.
    pub title: String,
    /// A line under the heading: program, version, date, machine.
    pub subtitle: String,
    /// The numbers that one looks for first, as (label, value), such as best mean IoU, its epoch, the training time.
    pub key_figures: Vec<(String, String)>,
    /// The curves.
    pub epochs: Vec<EpochPoint>,
    /// The classes by id.
    pub classes: Vec<ReportClass>,
    /// Confusion counts, row = truth, column = prediction, classes x classes; empty before the first validation.
    pub counts: Vec<u64>,
    /// Panels, those that most need looking at first.
    pub panels: Vec<ReportPicture>,
    /// Further tables: export, quantization, parity.
    pub tables: Vec<ReportTable>,
    /// What the data set holds, as (label, value).
    pub dataset: Vec<(String, String)>,
    /// The resolved configuration as text.
    pub config: String,
}

/// Why a figure or the page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The counts do not belong to these classes.
    #[error("confusion matrix of {classes} classes has {counts} counts, expected {expected}")]
    Counts {
        /// Number of classes.
        classes: usize,
        /// Number of counts found.
        counts: usize,
        /// Number of counts expected.
        expected: usize,
    },
    /// Image and mask of one panel differ in size.
    #[error("{what} is {}x{}, its image {}x{}", found.0, found.1, image.0, image.1)]
    Size {
        /// Which of the masks.
        what: &'static str,
        /// Width and height of the mask.
        found: (u32, u32),
        /// Width and height of the image.
        image: (u32, u32),
    },
    /// There is nothing to draw.
    #[error("{what} has no pixels")]
    Empty {
        /// What was to be drawn.
        what: &'static str,
    },
    /// The picture could not be encoded.
    #[error("cannot encode {what} as PNG")]
    Encode {
        /// What was to be encoded.
        what: String,
        /// The encoder's reason.
        #[source]
        source: image::ImageError,
    },
    /// The file could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// Writes a picture as PNG. A file that is there is replaced as a whole or not at all.
pub fn save_png(path: &Path, image: &RgbImage) -> Result<(), ReportError> {
    let bytes = png_bytes(image).map_err(|source| ReportError::Encode { what: path.display().to_string(), source })?;
    write_whole(path, &bytes)
}

fn png_bytes(image: &RgbImage) -> Result<Vec<u8>, image::ImageError> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

/// Writes the whole file or none of it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    unet_engine::atomic_file::write(path, bytes).map_err(|source| ReportError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn a_picture_replaces_the_one_before_and_leaves_no_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        save_png(&path, &RgbImage::from_pixel(2, 1, Rgb([1, 2, 3]))).unwrap();
        save_png(&path, &RgbImage::from_pixel(3, 1, Rgb([4, 5, 6]))).unwrap();
        let read = image::open(&path).unwrap().into_rgb8();
        assert_eq!((read.dimensions(), read.get_pixel(2, 0).0), ((3, 1), [4, 5, 6]));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent").join("a.png");
        let error = save_png(&path, &RgbImage::new(1, 1)).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write {}", path.display()));
        let error = save_png(folder.path(), &RgbImage::new(1, 1)).unwrap_err();
        assert!(matches!(error, ReportError::Write { .. }));
    }
}
