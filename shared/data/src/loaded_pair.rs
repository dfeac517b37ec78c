//! From a sample to pixels and mask.
//!
//! Knows no preprocessing: the mask has the size of its label.

use std::borrow::Cow;
use std::path::PathBuf;

use super::decode::{DecodedImage, DecodedLabel, FileError};
use super::histogram::LabelHistogram;
use super::labels::few;
use super::sample::Sample;
use unet_shared::label::{LabelError, LabelTable, LabelValue};
use unet_shared::samples::SampleReading;

/// Why a sample cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// Image or label cannot be decoded.
    #[error(transparent)]
    File(#[from] FileError),
    /// The sample has no label.
    #[error("{} has no mask", image.display())]
    NoLabel {
        /// The image.
        image: PathBuf,
    },
    /// Image and label differ in size.
    #[error(
        "image {} has {}x{} pixels{}, but mask {} has {}x{}",
        image.display(), image_size.0, image_size.1, if *turned { " after applying its EXIF orientation" } else { "" },
        label.display(), label_size.0, label_size.1
    )]
    Size {
        /// The image.
        image: PathBuf,
        /// Its width and height.
        image_size: (usize, usize),
        /// Whether the image was rotated by its EXIF orientation.
        turned: bool,
        /// The label.
        label: PathBuf,
        /// Its width and height.
        label_size: (usize, usize),
    },
    /// The label contains a value that is not a class.
    #[error(
        "mask {}: {error}: expected {known}, found {found}{}; is this another dataset? If only the encoding differs, save the \
         masks with the expected values, which training fixed: dataset.toml does not change them", path.display(), if *palette { " (the colours of its palette)" } else { "" }
    )]
    Encode {
        /// The label.
        path: PathBuf,
        /// The value and its position.
        error: LabelError,
        /// The values of the label.
        found: Box<str>,
        /// The values that are listed.
        known: Box<str>,
        /// Whether the values are colours of a palette.
        palette: bool,
    },
}

/// A sample in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedPair {
    /// The image's pixels.
    pub image: DecodedImage,
    /// Class ids, `height` rows of `width` bytes, at the size of the label, at which scores are counted.
    pub mask: Vec<u8>,
    /// Width of the label in pixels.
    pub width: usize,
    /// Height of the label in pixels.
    pub height: usize,
}

impl LoadedPair {
    /// The mask at the size of the image. If the label has another size of the same aspect ratio, the mask is resized
    /// by nearest neighbour.
    pub fn mask_at_image(&self) -> Cow<'_, [u8]> {
        let (label, image) = ((self.width, self.height), (self.image.width, self.image.height));
        if label == image { Cow::Borrowed(&self.mask) } else { Cow::Owned(scale_nearest(&self.mask, label, image)) }
    }
}

/// Reads the image and label of a sample, and encodes the label. A label of the same aspect ratio as the image but
/// another size, such as 612x408 for an image of 660x440, keeps its size; any other difference in size is an error.
pub fn load_pair(sample: &Sample, labels: &LabelTable, reading: &SampleReading) -> Result<LoadedPair, PairError> {
    let annotation = sample.label.as_ref().ok_or_else(|| PairError::NoLabel { image: sample.image.clone() })?;
    let image = sample.decode_image(reading)?;
    let decode = || annotation.decode()?.into_values(labels.reading(), annotation.path());
    let label = decode()?;
    let palette = label.source.palette && !labels.reading().palette_indices;
    let (image_size, label_size) = ((image.width, image.height), (label.width, label.height));
    if !same_shape(image_size, label_size) {
        let turned = image.orientation_applied();
        let (image, label) = (sample.image.clone(), annotation.path().to_owned());
        return Err(PairError::Size { image, image_size, turned, label, label_size });
    }
    let mask = match encode_label(label, labels) {
        Ok(mask) => mask,
        Err(error) => {
            let found = LabelHistogram::of(&decode()?, 0).values.into_keys().collect::<Vec<_>>();
            let (found, known) = (few(&found).into(), few(&labels.values().collect::<Vec<_>>()).into());
            return Err(PairError::Encode { path: annotation.path().to_owned(), error, found, known, palette });
        }
    };
    let (width, height) = label_size;
    Ok(LoadedPair { image, mask, width, height })
}

/// Whether two sizes, each width and height, have the same aspect ratio: scaled to the width of the first, the height
/// of the second differs from that of the first by less than a pixel of either, and by at most 2 %.
pub fn same_shape(a: (usize, usize), b: (usize, usize)) -> bool {
    let difference = (a.0 * b.1).abs_diff(a.1 * b.0);
    difference < a.0.max(b.0) && difference * 50 <= a.0 * b.1
}

/// Samples at the centres of the target's pixels.
fn scale_nearest(mask: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    let columns: Vec<usize> = (0..to.0).map(|x| (2 * x + 1) * from.0 / (2 * to.0)).collect();
    let rows = (0..to.1).map(|y| &mask[(2 * y + 1) * from.1 / (2 * to.1) * from.0..][..from.0]);
    rows.flat_map(|row| columns.iter().map(|&x| row[x])).collect()
}

/// The class ids of a decoded label, `width * height` bytes. If the classes are colours, a gray label is read as
/// colours.
pub fn encode_label(label: DecodedLabel, labels: &LabelTable) -> Result<Vec<u8>, LabelError> {
    let mut values = (0..labels.class_count()).filter_map(|id| labels.value_of(id as u8));
    let colours = values.any(|value| matches!(value, LabelValue::Rgb(_)));
    let label = if colours { label.into_colours() } else { label };
    let mut mask = vec![0; label.width * label.height];
    labels.encode(&label.view(), &mut mask)?;
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::collect_labels;
    use image::{GrayImage, Luma};

    #[test]
    fn a_pair_that_does_not_fit_names_files_and_sizes() {
        let folder = tempfile::tempdir().unwrap();
        let mut sample = Sample::gray(folder.path(), "a", 2, vec![1, 2, 1, 2]);
        let table = collect_labels(std::slice::from_ref(&sample), None).unwrap().table().unwrap();
        assert_eq!(load_pair(&sample, &table, &SampleReading::PLAIN).unwrap().mask, [0, 1, 0, 1]);
        GrayImage::from_pixel(3, 2, Luma([9])).save(&sample.image).unwrap();
        let message = load_pair(&sample, &table, &SampleReading::PLAIN).unwrap_err().to_string();
        assert!(message.contains("a.jpg has 3x2 pixels") && message.contains("a.png has 2x2"), "{message}");
        GrayImage::from_raw(2, 2, vec![1, 2, 7, 2]).unwrap().save(sample.label.as_ref().unwrap().path()).unwrap();
        GrayImage::new(2, 2).save(&sample.image).unwrap();
        let error = load_pair(&sample, &table, &SampleReading::PLAIN).unwrap_err();
        assert!(matches!(
            error,
            PairError::Encode { error: LabelError::Unknown { value: LabelValue::Gray(7), x: 0, y: 1 }, .. }
        ));
        let message = error.to_string();
        let expected = "label value 7 at column 0, row 1 belongs to no class: expected 1, 2, found 1, 2, 7; is this another dataset?";
        assert!(message.contains(expected), "{message}");
        sample.label = None;
        assert!(matches!(load_pair(&sample, &table, &SampleReading::PLAIN), Err(PairError::NoLabel { .. })));
    }

    #[test]
    fn a_label_of_the_same_shape_keeps_its_size_and_can_be_scaled() {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample::gray(folder.path(), "a", 2, vec![1, 2, 2, 1]);
        let table = collect_labels(std::slice::from_ref(&sample), None).unwrap().table().unwrap();
        GrayImage::new(4, 4).save(&sample.image).unwrap();
        let pair = load_pair(&sample, &table, &SampleReading::PLAIN).unwrap();
        assert_eq!((pair.width, pair.height, &pair.mask[..]), (2, 2, &[0, 1, 1, 0][..]));
        assert_eq!(*pair.mask_at_image(), [0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0]);
        assert!(same_shape((660, 440), (612, 408)) && same_shape((1000, 667), (500, 333)));
        assert!(!same_shape((660, 440), (440, 660)) && !same_shape((3, 2), (2, 2)));
    }
}
