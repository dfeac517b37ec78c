//! From a data set's labels to classes, and from a sample to pixels and mask.
//!
//! Distinct values are collected over all labels, and each gets an id in sorted order, unless `dataset.toml` lists the classes. Knows no
//! preprocessing: the mask of a sample is at its label's own size, save where image and label are one picture at two sizes.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::prelude::rust_2024::*;
use std::{format, vec};

use super::dataset::{Dataset, Sample, Split};
use super::dataset_file::DatasetFile;
use super::decode::{DecodedImage, DecodedLabel, FileError, decode_image, decode_label, read_bytes};
use super::histogram::{LabelHistogram, as_colour, as_gray};
use super::workers::in_parallel;
use unet_shared::digest::{Digest, Hasher};
use unet_shared::label::{CLASSES_MAX, LabelError, LabelTable, LabelValue};
use unet_shared::manifest::{ClassEntry, ClassListError, label_table};
use unet_shared::palette::class_color;

/// The classes of a data set, by id, and the label values that take no part.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LabelMap {
    /// The classes, by id.
    pub classes: Vec<ClassEntry>,
    /// Values that take no part.
    pub ignore: Vec<LabelValue>,
    /// Values that occur only between areas, as at the edges of anti-aliased masks, and were given to the class with the nearest
    /// value; they stand among the classes' values too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<LabelValue>,
}

/// Why labels give no classes.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    /// A label cannot be decoded.
    #[error(transparent)]
    File(#[from] FileError),
    /// No sample has a label, or all values are ignored.
    #[error("the labels hold no value that is a class")]
    NoClass,
    /// There are more distinct values than classes can be.
    #[error(
        "the labels hold {} distinct values, expected at most {CLASSES_MAX}: they look like photographs or compressed masks, not \
         like classes; list the classes in dataset.toml with join_between = true, or save the masks as PNG without anti-aliasing",
        if *at_least { format!("at least {found}") } else { found.to_string() }
    )]
    TooManyValues {
        /// Distinct values found.
        found: usize,
        /// Whether there are more, which were not counted.
        at_least: bool,
    },
    /// A label holds a value that `dataset.toml` does not list.
    #[error(
        "label value {value} is in {labels} labels ({pixels} pixels), first in {}, but dataset.toml lists it neither as a class nor to be \
         ignored", path.display()
    )]
    Unlisted {
        /// The value.
        value: LabelValue,
        /// How many labels hold it.
        labels: u64,
        /// How many pixels have it.
        pixels: u64,
        /// The first label that holds it.
        path: PathBuf,
    },
    /// `dataset.toml` gives values to some classes and not to others.
    #[error(
        "dataset.toml gives class {class:?} no value, but others have one: expected values for all classes or for none"
    )]
    SomeValues {
        /// The first class without a value.
        class: String,
    },
    /// `dataset.toml` gives names alone, and not as many as there are values.
    #[error("dataset.toml names {named} classes without values, but the labels hold {found} distinct values: {values}")]
    NameCount {
        /// Names in the file.
        named: usize,
        /// Values in the labels.
        found: usize,
        /// The values.
        values: String,
    },
    /// The classes are no table of values.
    #[error("classes cannot be told apart")]
    Table(#[from] ClassListError),
}

/// Collects the distinct values of the samples' labels and makes classes of them. `file` is what `dataset.toml` says.
pub fn collect_labels(samples: &[Sample], file: Option<&DatasetFile>) -> Result<LabelMap, LabelsError> {
    let labels: Vec<PathBuf> = samples.iter().filter_map(|sample| sample.label.clone()).collect();
    let mut sum = LabelHistogram::default();
    let mut error: Option<(usize, FileError)> = None;
    let work = |index: usize| decode_label(&labels[index]).map(|label| LabelHistogram::of(&label, index));
    in_parallel(labels.len(), work, |index, result| {
        match result {
            Ok(histogram) => sum.merge(&histogram),
            // Of several, the first in order, whichever thread came to it first.
            Err(new) if error.as_ref().is_none_or(|(first, _)| index < *first) => error = Some((index, new)),
            Err(_) => {}
        }
        if error.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match error {
        Some((_, error)) => Err(error.into()),
        None => LabelMap::from_histogram(sum, file, |index| labels[index].clone()),
    }
}

impl LabelMap {
    /// Makes classes of counted values; `path_of` gives the label file of an index in the counts.
    pub fn from_histogram(
        histogram: LabelHistogram,
        file: Option<&DatasetFile>,
        path_of: impl Fn(usize) -> PathBuf,
    ) -> Result<Self, LabelsError> {
        let nothing = DatasetFile::default();
        let file = file.unwrap_or(&nothing);
        let listed = file.ignore.iter().flatten().copied().chain(file.classes.iter().flat_map(|c| c.label_values()));
        let colours = histogram.has_colours() || listed.map(as_gray).any(|value| matches!(value, LabelValue::Rgb(_)));
        let histogram = if colours { histogram.into_colours() } else { histogram };
        let canonical = |value: LabelValue| if colours { as_colour(value) } else { as_gray(value) };
        let mut ignore: Vec<LabelValue> = match &file.ignore {
            Some(values) => values.iter().copied().map(canonical).collect(),
            None if file.classes.iter().all(|class| class.label_values().is_empty()) => ignored_by_default(&histogram),
            None => Vec::new(),
        };
        for value in file.also_ignore.iter().copied().map(canonical) {
            if !ignore.contains(&value) {
                ignore.push(value);
            }
        }
        let mut found: Vec<LabelValue> =
            histogram.values.keys().copied().filter(|value| !ignore.contains(value)).collect();
        let mut classes: Vec<ClassEntry> = Vec::new();
        for class in &file.classes {
            let values: Vec<LabelValue> = class.label_values().into_iter().map(canonical).collect();
            let color = class.color.or(values.first().copied()).and_then(rgb_of);
            let color = color.unwrap_or_else(|| class_color(classes.len().min(CLASSES_MAX) as u8));
            classes.push(ClassEntry { name: class.name.clone(), values, color });
        }
        let mut joined = Vec::new();
        let with_values = classes.iter().filter(|class| !class.values.is_empty()).count();
        if with_values > 0 {
            if let Some(class) = classes.iter().find(|class| class.values.is_empty()) {
                return Err(LabelsError::SomeValues { class: class.name.clone() });
            }
            found.retain(|value| !classes.iter().any(|class| class.values.contains(value)));
            if file.join_between == Some(true) {
                joined = found;
            } else if let Some(value) = found.first() {
                let count = &histogram.values[value];
                let path = path_of(count.first);
                return Err(LabelsError::Unlisted { value: *value, labels: count.labels, pixels: count.pixels, path });
            }
        } else {
            if file.join_between != Some(false)
                && let Some(between) = histogram.between()
            {
                joined = between.between.into_iter().filter(|value| found.contains(value)).collect();
                found.retain(|value| !joined.contains(value));
            }
            if found.is_empty() {
                return Err(LabelsError::NoClass);
            }
            if found.len() > CLASSES_MAX {
                let found = histogram.values.len();
                return Err(LabelsError::TooManyValues { found, at_least: histogram.overflow });
            }
            if classes.is_empty() {
                classes = found.iter().zip(0..).map(|(&value, id)| class_of(value, id)).collect();
            } else if classes.len() == found.len() {
                classes.iter_mut().zip(&found).for_each(|(class, &value)| class.values = vec![value]);
            } else {
                let values = found.iter().take(32).map(LabelValue::to_string).collect::<Vec<_>>().join(", ");
                return Err(LabelsError::NameCount { named: classes.len(), found: found.len(), values });
            }
        }
        join(&mut classes, &joined);
        let map = Self { classes, ignore, joined };
        match map.table() {
            Ok(_) => Ok(map),
            Err(ClassListError::Class { source: LabelError::TooManyValues, .. }) => {
                let found = histogram.values.len();
                Err(LabelsError::TooManyValues { found, at_least: histogram.overflow })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The table from values to ids.
    pub fn table(&self) -> Result<LabelTable, ClassListError> {
        label_table(&self.classes, &self.ignore)
    }

    /// The classes' names, by id.
    pub fn names(&self) -> Vec<String> {
        self.classes.iter().map(|class| class.name.clone()).collect()
    }
}

/// 255 where all other values look like ids: 0 to at most 100 without a gap, and at least two of them. A mask of 0 and 255 has two classes.
fn ignored_by_default(histogram: &LabelHistogram) -> Vec<LabelValue> {
    let void = LabelValue::Gray(255);
    let mut ids = histogram.values.keys().filter(|value| **value != void).zip(0u16..);
    let count = histogram.values.len().saturating_sub(1);
    let are_ids = (2..=101).contains(&count) && ids.all(|(value, id)| *value == LabelValue::Gray(id));
    if histogram.values.contains_key(&void) && are_ids { vec![void] } else { Vec::new() }
}

fn class_of(value: LabelValue, id: u8) -> ClassEntry {
    ClassEntry { name: value.to_string(), values: vec![value], color: rgb_of(value).unwrap_or_else(|| class_color(id)) }
}

fn rgb_of(value: LabelValue) -> Option<[u8; 3]> {
    match value {
        LabelValue::Rgb(rgb) => Some(rgb),
        LabelValue::Gray(_) => None,
    }
}

/// Gives each value to the class whose first value is nearest; of two as near, to the lower id.
fn join(classes: &mut [ClassEntry], values: &[LabelValue]) {
    for &value in values {
        let nearest = classes.iter_mut().min_by_key(|class| distance(class.values[0], value));
        if let Some(class) = nearest {
            class.values.push(value);
        }
    }
}

/// The squared distance of two values; a gray and a colour are farther apart than any two of a kind.
fn distance(a: LabelValue, b: LabelValue) -> u64 {
    match (a, b) {
        (LabelValue::Gray(a), LabelValue::Gray(b)) => u64::from(a.abs_diff(b)).pow(2),
        (LabelValue::Rgb(a), LabelValue::Rgb(b)) => a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(b)).pow(2)).sum(),
        _ => u64::MAX,
    }
}

/// A digest over the names and files of all samples, split by split: the same data set, whatever folder it lies in.
pub fn dataset_digest(dataset: &Dataset) -> Result<Digest, FileError> {
    let samples: Vec<(Split, &Sample)> = Split::ALL
        .into_iter()
        .flat_map(|split| dataset.split(split).iter().map(move |sample| (split, sample)))
        .collect();
    let mut digests: Vec<Option<Result<Digest, FileError>>> = samples.iter().map(|_| None).collect();
    let work = |index: usize| {
        let (split, sample) = samples[index];
        let mut hasher = Hasher::new();
        // Lengths first, so that no two different data sets give the same bytes.
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(split.name().as_bytes());
        part(sample.name.as_bytes());
        part(&read_bytes(&sample.image)?);
        if let Some(label) = &sample.label {
            part(&read_bytes(label)?);
        }
        Ok(hasher.finish())
    };
    in_parallel(samples.len(), work, |index, digest| {
        let failed = digest.is_err();
        digests[index] = Some(digest);
        if failed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let mut hasher = Hasher::new();
    for digest in digests.into_iter().flatten() {
        hasher.update(&digest?.0);
    }
    Ok(hasher.finish())
}

/// Why a sample gives no pixels and mask.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// Image or label cannot be decoded.
    #[error(transparent)]
    File(#[from] FileError),
    /// The sample has no label.
    #[error("{} has no label", image.display())]
    NoLabel {
        /// The image.
        image: PathBuf,
    },
    /// Image and label differ in size.
    #[error(
        "image {} has {}x{} pixels{}, but label {} has {}x{}",
        image.display(), image_size.0, image_size.1, if *turned { " after its EXIF orientation is applied" } else { "" },
        label.display(), label_size.0, label_size.1
    )]
    Size {
        /// The image.
        image: PathBuf,
        /// Its width and height.
        image_size: (usize, usize),
        /// Whether the image was turned as its EXIF orientation asks.
        turned: bool,
        /// The label.
        label: PathBuf,
        /// Its width and height.
        label_size: (usize, usize),
    },
    /// The label holds a value that is no class.
    #[error("label {}", path.display())]
    Encode {
        /// The label.
        path: PathBuf,
        /// The value and its position.
        #[source]
        source: LabelError,
    },
}

/// A sample in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedPair {
    /// The image's pixels.
    pub image: DecodedImage,
    /// Class ids, `height` rows of `width` bytes, at the label's own size: where scores are counted.
    pub mask: Vec<u8>,
    /// Width of the label in pixels.
    pub width: usize,
    /// Height of the label in pixels.
    pub height: usize,
}

impl LoadedPair {
    /// The mask at the image's size. Where the label had another size of the same shape, it is brought there by nearest
    /// neighbour.
    pub fn mask_at_image(&self) -> Cow<'_, [u8]> {
        let (label, image) = ((self.width, self.height), (self.image.width, self.image.height));
        if label == image { Cow::Borrowed(&self.mask) } else { Cow::Owned(scale_nearest(&self.mask, label, image)) }
    }
}

/// Reads a sample's image and label, and encodes the label. A label of the image's shape at another size, such as 612x408 for an
/// image of 660x440, keeps its size; any other difference of sizes is an error.
pub fn load_pair(sample: &Sample, labels: &LabelTable) -> Result<LoadedPair, PairError> {
    let label_path = sample.label.as_ref().ok_or_else(|| PairError::NoLabel { image: sample.image.clone() })?;
    let image = decode_image(&sample.image)?;
    let label = decode_label(label_path)?;
    let (image_size, label_size) = ((image.width, image.height), (label.width, label.height));
    if !same_shape(image_size, label_size) {
        let turned = image.orientation_applied();
        let (image, label) = (sample.image.clone(), label_path.clone());
        return Err(PairError::Size { image, image_size, turned, label, label_size });
    }
    let mask = encode_label(label, labels).map_err(|source| PairError::Encode { path: label_path.clone(), source })?;
    let (width, height) = label_size;
    Ok(LoadedPair { image, mask, width, height })
}

/// Whether two sizes, each width and height, are of one shape: scaled to the width of the first, the height of the second is the
/// first's to within a pixel of either, and to within a fiftieth.
pub fn same_shape(a: (usize, usize), b: (usize, usize)) -> bool {
    let difference = (a.0 * b.1).abs_diff(a.1 * b.0);
    difference < a.0.max(b.0) && difference * 50 <= a.0 * b.1
}

/// Samples at the middles of the target's pixels.
fn scale_nearest(mask: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    let columns: Vec<usize> = (0..to.0).map(|x| (2 * x + 1) * from.0 / (2 * to.0)).collect();
    let rows = (0..to.1).map(|y| &mask[(2 * y + 1) * from.1 / (2 * to.1) * from.0..][..from.0]);
    rows.flat_map(|row| columns.iter().map(|&x| row[x])).collect()
}

/// The class ids of a decoded label, `width * height` bytes. Where the classes are colours, a gray label is read as colours.
pub fn encode_label(label: DecodedLabel, labels: &LabelTable) -> Result<Vec<u8>, LabelError> {
    let mut values = (0..labels.class_count()).filter_map(|id| labels.value_of(id as u8));
    let colours = values.any(|value| matches!(value, LabelValue::Rgb(_)));
    let label = if colours { label.into_colours() } else { label };
    let mut mask = vec![0; label.width * label.height];
    labels.encode(&label.view(), &mut mask)?;
    Ok(mask)
}

#[cfg(test)]
mod tests;
