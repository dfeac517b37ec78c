//! What a run is shown as: curves, the confusion matrix as a heat map, panels of image, truth and prediction, and the one
//! static page with all of it.
//!
//! Takes plain numbers and pixels and draws them the same way each time. Plots are SVG, which scales and whose text can be
//! selected; only what consists of pixels is PNG. Knows no training loop, no model, and no file layout of a run: callers say
//! what to draw and where to put it.

mod axis;
pub mod comparison;
mod confusion;
pub mod contact_sheet;
mod curves;
pub mod html;
mod markup;
pub mod panel;
mod reliability;
mod svg;

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};
use unet_shared::metrics::OwnedConfusion;

use crate::assessment::boundary::BoundaryIou;
use crate::assessment::calibration::Calibration;
use panel::Tile;

/// One epoch of the curves. `None` and numbers that are not finite leave a gap.
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

/// A frame with its prediction.
#[derive(Debug, Clone)]
pub struct ReportPanel {
    /// Text above the tiles.
    pub caption: String,
    /// From left to right.
    pub tiles: Vec<Tile>,
}

/// A table with its own heading, such as the results of export, quantization or parity.
#[derive(Debug, Clone, Default)]
pub struct ReportTable {
    /// Heading of the section.
    pub title: String,
    /// A sentence between heading and table; may be empty.
    pub note: String,
    /// Column headings; none for a table of names and values.
    pub columns: Vec<String>,
    /// Rows of cells. Numbers are aligned to the right.
    pub rows: Vec<Vec<String>>,
}

/// The curves of a run among others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunCurves {
    /// Its name, any text.
    pub name: String,
    /// The series that it belongs to, counted from 0; runs of one series have one colour.
    pub series: usize,
    /// Its place in that series, counted from 0.
    pub member: usize,
    /// Its curves.
    pub epochs: Vec<EpochPoint>,
}

/// The content of report.html from top to bottom; what is empty is left out.
#[derive(Debug, Clone, Default)]
pub struct ReportData {
    /// The page's heading, such as the name of the run.
    pub title: String,
    /// A line under the heading: program, version, date, machine.
    pub subtitle: String,
    /// The most important numbers as (label, value), such as best mean IoU, its epoch, the training time.
    pub key_figures: Vec<(String, String)>,
    /// The curves.
    pub epochs: Vec<EpochPoint>,
    /// The classes by id.
    pub classes: Vec<ReportClass>,
    /// Confusion counts of these classes; none before the first validation.
    pub confusion: Option<OwnedConfusion>,
    /// Boundary IoU of these classes, one entry for each width.
    pub boundary: Vec<BoundaryIou>,
    /// Calibration of the probabilities.
    pub calibration: Option<Calibration>,
    /// Panels of the images with the lowest scores, the worst first.
    pub panels: Vec<ReportPanel>,
    /// Further tables: export, quantization, parity.
    pub tables: Vec<ReportTable>,
    /// Facts about the dataset as (label, value).
    pub dataset: Vec<(String, String)>,
    /// The resolved configuration as text.
    pub config: String,
}

/// Why a plot, a panel or the page was not made. Two kinds, since they end the program with different exit codes.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// What is to be shown contradicts itself, or cannot be encoded: a fault of the program.
    #[error("{0}")]
    Fault(String),
    /// The file cannot be written.
    #[error("failed to write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// Writes the loss by epoch as SVG. An existing file is replaced as a whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_loss_curves(path: &Path, epochs: &[EpochPoint]) -> Result<(), ReportError> {
    write_whole(path, curves::loss_curves(epochs).document().as_bytes())
}

/// Writes the IoU by epoch as SVG.
///
/// # Errors
/// If the file cannot be written.
pub fn write_iou_curves(path: &Path, epochs: &[EpochPoint], classes: &[ReportClass]) -> Result<(), ReportError> {
    write_whole(path, curves::iou_curves(epochs, classes).document().as_bytes())
}

/// Writes the confusion matrix as SVG.
///
/// # Errors
/// If it has other classes, or the file cannot be written.
pub fn write_confusion(path: &Path, classes: &[ReportClass], counts: &OwnedConfusion) -> Result<(), ReportError> {
    write_whole(path, confusion::confusion_matrix(classes, counts)?.document().as_bytes())
}

/// Writes the reliability diagram as SVG.
///
/// # Errors
/// If the file cannot be written.
pub fn write_reliability(path: &Path, calibration: &Calibration) -> Result<(), ReportError> {
    write_whole(path, reliability::reliability(calibration).document().as_bytes())
}

/// Writes an image as PNG.
///
/// # Errors
/// If the file cannot be written.
pub fn save_png(path: &Path, image: &RgbImage) -> Result<(), ReportError> {
    write_whole(path, &png_bytes(image)?)
}

fn png_bytes(image: &RgbImage) -> Result<Vec<u8>, ReportError> {
    let mut bytes = Cursor::new(Vec::new());
    let encoded = image.write_to(&mut bytes, ImageFormat::Png);
    encoded.map_err(|error| ReportError::Fault(format!("failed to encode a PNG: {error}")))?;
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
    fn an_image_replaces_the_previous_one_and_leaves_no_partial_file() {
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
        assert_eq!(error.to_string(), format!("failed to write {}", path.display()));
        let error = save_png(folder.path(), &RgbImage::new(1, 1)).unwrap_err();
        assert!(matches!(error, ReportError::Write { .. }));
    }
}
