//! From the labels of a dataset to its classes.
//!
//! Distinct values are collected over all labels, and each gets an id in sorted order, unless `dataset.toml` lists the
//! classes.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::annotation::Annotation;
use super::dataset_file::DatasetFile;
use super::decode::FileError;
use super::histogram::{LabelHistogram, as_colour, as_gray};
use super::sample::Sample;
use super::workers::in_parallel;
use unet_shared::label::{CLASSES_MAX, LabelError, LabelTable, LabelValue};
use unet_shared::manifest::{ClassEntry, ClassListError, label_table};
use unet_shared::palette::class_color;

/// The classes of a dataset, by id, and the label values to ignore.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LabelMap {
    /// The classes, by id.
    pub classes: Vec<ClassEntry>,
    /// Values to ignore.
    pub ignore: Vec<LabelValue>,
    /// Values that occur only between areas, as at the edges of anti-aliased masks, and were added to the class with
    /// the nearest value. They are among the values of the classes too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<LabelValue>,
}

/// Why no classes can be made of labels.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    /// A label cannot be decoded.
    #[error(transparent)]
    File(#[from] FileError),
    /// No sample has a label, or all values are ignored.
    #[error("expected at least one class, found no label value that is not ignored")]
    NoClass,
    /// There are more distinct values than the number of classes allowed.
    #[error(
        "expected at most {CLASSES_MAX} distinct label values, found {}: the labels look like photographs or compressed \
         masks; list the classes in dataset.toml with join_between = true, or save the masks as PNG without anti-aliasing",
        if *at_least { format!("at least {found}") } else { found.to_string() }
    )]
    TooManyValues {
        /// Distinct values found.
        found: usize,
        /// Whether there are more that were not counted.
        at_least: bool,
    },
    /// A label contains a value that `dataset.toml` does not list.
    #[error(
        "label value {value} occurs in {labels} labels ({pixels} pixels), first in {}, but dataset.toml lists it neither \
         as a class nor as ignored", path.display()
    )]
    Unlisted {
        /// The value.
        value: LabelValue,
        /// How many labels contain it.
        labels: u64,
        /// How many pixels have it.
        pixels: u64,
        /// The first label that contains it.
        path: PathBuf,
    },
    /// `dataset.toml` has values for some classes and not for others.
    #[error("dataset.toml: expected values for all classes or for none, found none for class {class:?}")]
    SomeValues {
        /// The first class without a value.
        class: String,
    },
    /// `dataset.toml` has only names, and not as many as there are values.
    #[error("dataset.toml names {named} classes without values, but the labels have {found} distinct values: {values}")]
    NameCount {
        /// Names in the file.
        named: usize,
        /// Values in the labels.
        found: usize,
        /// The values.
        values: String,
    },
    /// The values of the classes are not distinct.
    #[error("invalid classes")]
    Table(#[from] ClassListError),
}

/// Collects the distinct values of the samples' labels and makes classes of them. `file` is the content of
/// `dataset.toml`.
pub fn collect_labels(samples: &[Sample], file: Option<&DatasetFile>) -> Result<LabelMap, LabelsError> {
    let labels: Vec<&Annotation> = samples.iter().filter_map(|sample| sample.label.as_ref()).collect();
    let mut sum = LabelHistogram::default();
    let mut error: Option<(usize, FileError)> = None;
    let work = |index: usize| labels[index].decode().map(|label| LabelHistogram::of(&label, index));
    in_parallel(labels.len(), work, |index, result| {
        match result {
            Ok(histogram) => sum.merge(&histogram),
            // Of several errors the first in order, whichever thread reported first.
            Err(new) if error.as_ref().is_none_or(|(first, _)| index < *first) => error = Some((index, new)),
            Err(_) => {}
        }
        if error.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match error {
        Some((_, error)) => Err(error.into()),
        None => LabelMap::from_histogram(sum, file, |index| labels[index].path().to_owned()),
    }
}

impl LabelMap {
    /// Makes classes of counted values; `path_of` returns the label file of an index in the counts.
    pub fn from_histogram(
        histogram: LabelHistogram,
        file: Option<&DatasetFile>,
        path_of: impl Fn(usize) -> PathBuf,
    ) -> Result<Self, LabelsError> {
        let empty = DatasetFile::default();
        let file = file.unwrap_or(&empty);
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

/// 255 if all other values look like ids: 0 to at most 100 without a gap, and at least two of them. A mask of 0 and 255
/// has two classes.
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

/// Adds each value to the class whose first value is nearest; of equally near ones, to the lower id.
fn join(classes: &mut [ClassEntry], values: &[LabelValue]) {
    for &value in values {
        let nearest = classes.iter_mut().min_by_key(|class| distance(class.values[0], value));
        if let Some(class) = nearest {
            class.values.push(value);
        }
    }
}

/// The squared distance of two values; a gray and a colour are farther apart than any two grays or colours.
fn distance(a: LabelValue, b: LabelValue) -> u64 {
    match (a, b) {
        (LabelValue::Gray(a), LabelValue::Gray(b)) => u64::from(a.abs_diff(b)).pow(2),
        (LabelValue::Rgb(a), LabelValue::Rgb(b)) => a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(b)).pow(2)).sum(),
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests;
