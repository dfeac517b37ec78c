//! Where the label of a sample comes from, and the one way to read it.
//!
//! A reader of a layout says where; training, checks, scores and digests read through [`Annotation::decode`] and need not
//! know. Knows no classes: what is decoded are label values.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::decode::{DecodedLabel, FileError, OwnedSamples, decode_label, decode_label_page, read_bytes};
use super::drawing::{BACKGROUND, Drawing};
use unet_shared::label::{LabelValue, Reading};

/// The source of a label.
#[derive(Debug, Clone, PartialEq)]
pub enum Annotation {
    /// An image file that holds the label's values.
    File(PathBuf),
    /// One page of a TIFF file.
    Page {
        /// The file.
        path: PathBuf,
        /// The page's index.
        page: usize,
    },
    /// A mask for each class or object.
    Masks(Vec<PartMask>),
    /// Shapes of an annotation file.
    Drawing(Arc<Drawing>),
}

/// The mask of one class or object: a file with 0 outside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartMask {
    /// The file.
    pub path: PathBuf,
    /// The label value inside.
    pub value: u8,
    /// Whether every nonzero value is inside (strokes with soft edges); otherwise only one nonzero value is allowed.
    pub soft: bool,
}

impl Annotation {
    /// The file that stands for the label in messages.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Page { path, .. } => path,
            Self::Masks(parts) => parts.first().map_or(Path::new(""), |part| &part.path),
            Self::Drawing(drawing) => &drawing.file,
        }
    }

    /// The image files that the label is read from.
    pub fn image_files(&self) -> Vec<&Path> {
        match self {
            Self::File(path) | Self::Page { path, .. } => vec![path],
            Self::Masks(parts) => parts.iter().map(|part| part.path.as_path()).collect(),
            Self::Drawing(_) => Vec::new(),
        }
    }

    /// Reads the label.
    pub fn decode(&self) -> Result<DecodedLabel, FileError> {
        match self {
            Self::File(path) => decode_label(path),
            Self::Page { path, page } => decode_label_page(path, Some(*page)),
            Self::Masks(parts) => join(parts),
            Self::Drawing(drawing) => drawing.draw(),
        }
    }

    /// Calls `part` with everything that the label is made from, for a digest; equal for equal labels wherever their files
    /// are.
    pub(crate) fn for_each_part(&self, part: &mut dyn FnMut(&[u8])) -> Result<(), FileError> {
        match self {
            Self::File(path) => part(&read_bytes(path)?),
            // Of its pixels: the file of a long stack would be read once for each page.
            Self::Page { path, page } => match decode_label_page(path, Some(*page))?.samples {
                OwnedSamples::Gray8(samples) | OwnedSamples::Rgb8(samples) => part(&samples),
                OwnedSamples::Gray16(samples) => {
                    part(&samples.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
                }
            },
            Self::Masks(parts) => {
                for PartMask { path, value, soft: _ } in parts {
                    part(&[*value]);
                    part(&read_bytes(path)?);
                }
            }
            Self::Drawing(drawing) => drawing.for_each_part(part),
        }
        Ok(())
    }
}

impl From<PathBuf> for Annotation {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

/// Joins masks of equal size, later over earlier.
fn join(parts: &[PartMask]) -> Result<DecodedLabel, FileError> {
    let mut joined: Option<(usize, usize, Vec<u8>)> = None;
    for PartMask { path, value, soft } in parts {
        let refused = |found| FileError::PartMask { path: path.clone(), found };
        // What is transparent is outside.
        let reading = Reading { transparent: Some(LabelValue::Gray(0)), ..Reading::STORED };
        let label = decode_label(path)?.into_values(&reading, path)?;
        let (width, height) = (label.width, label.height);
        let (w, h, samples) = joined.get_or_insert_with(|| (width, height, vec![BACKGROUND; width * height]));
        if (*w, *h) != (width, height) {
            return Err(refused(format!("{width}x{height} pixels where {} has {w}x{h}", parts[0].path.display())));
        }
        let inside: Vec<Option<u32>> = match &label.samples {
            OwnedSamples::Gray8(samples) => samples.iter().map(|&v| (v != 0).then_some(v.into())).collect(),
            OwnedSamples::Gray16(samples) => samples.iter().map(|&v| (v != 0).then_some(v.into())).collect(),
            OwnedSamples::Rgb8(samples) => {
                let (pixels, _) = samples.as_chunks::<3>();
                pixels.iter().map(|&[r, g, b]| Some(u32::from_be_bytes([0, r, g, b])).filter(|&v| v != 0)).collect()
            }
        };
        let mut first = None;
        for (sample, found) in samples.iter_mut().zip(inside) {
            if let Some(found) = found {
                let first = *first.get_or_insert(found);
                if !soft && first != found {
                    let [first, second] = [first, found].map(|value| match &label.samples {
                        OwnedSamples::Rgb8(_) => format!("#{value:06x}"),
                        _ => value.to_string(),
                    });
                    return Err(refused(format!("the values {first} and {second} beside 0")));
                }
                *sample = *value;
            }
        }
    }
    let (width, height, samples) = joined.unwrap_or_default();
    Ok(DecodedLabel::drawn(width, height, OwnedSamples::Gray8(samples)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Rgb, RgbImage};

    fn parts(folder: &Path, masks: &[&[u8]], width: u32) -> Annotation {
        let part = |(mask, value): (&&[u8], u8)| {
            let path = folder.join(format!("{value}.png"));
            let height = mask.len() as u32 / width;
            GrayImage::from_raw(width, height, mask.to_vec()).unwrap().save(&path).unwrap();
            PartMask { path, value, soft: false }
        };
        Annotation::Masks(masks.iter().zip(1..).map(part).collect())
    }

    #[test]
    fn masks_of_parts_are_joined_later_over_earlier() {
        let folder = tempfile::tempdir().unwrap();
        let annotation = parts(folder.path(), &[&[255, 255, 0, 0], &[0, 1, 1, 0]], 2);
        let label = annotation.decode().unwrap();
        assert_eq!((label.width, label.samples), (2, OwnedSamples::Gray8(vec![1, 2, 2, 0])));
        RgbImage::from_pixel(2, 2, Rgb([9, 0, 3])).save(folder.path().join("2.png")).unwrap();
        assert_eq!(annotation.decode().unwrap().samples, OwnedSamples::Gray8(vec![2; 4]));
    }

    #[test]
    fn soft_edges_are_inside_if_the_format_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let Annotation::Masks(mut parts) = parts(folder.path(), &[&[0, 255, 3, 130]], 2) else { panic!() };
        parts[0].soft = true;
        assert_eq!(Annotation::Masks(parts).decode().unwrap().samples, OwnedSamples::Gray8(vec![0, 1, 1, 1]));
    }

    #[test]
    fn masks_that_are_no_parts_of_one_image_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let message = |masks: &[&[u8]]| parts(folder.path(), masks, 2).decode().unwrap_err().to_string();
        let several = message(&[&[0, 1], &[7, 8]]);
        assert!(
            several.contains("2.png") && several.contains("found the values 7 and 8 beside 0; --masks FOLDER"),
            "{several}"
        );
        let size = message(&[&[0, 1], &[0, 1, 1, 1]]);
        assert!(size.contains("2.png") && size.contains("found 2x2 pixels where"), "{size}");
    }
}
