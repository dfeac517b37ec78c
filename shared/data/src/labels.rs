//! From the labels of a dataset to its classes.
//!
//! Each label is looked at by itself, then all must agree on one encoding. The distinct values get ids in sorted order, unless
//! `dataset.toml` or the layout lists the classes. Nothing is joined, ignored or inverted by a guess: where the labels allow more
//! than one reading, they are refused with what chooses one, and [`LabelMap::assumption`] says in one line how they are read.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::annotation::Annotation;
use super::dataset_file::{DatasetFile, Meaning};
use super::decode::FileError;
use super::histogram::{LabelHistogram, as_colour, as_gray};
use super::label_facts::{Form, LabelFacts};
use super::sample::Sample;
use super::workers::in_parallel;
use unet_shared::label::{CLASSES_MAX, LabelError, LabelTable, LabelValue, Reading, Unlisted};
use unet_shared::manifest::{ClassEntry, ClassListError, label_table};
use unet_shared::palette::class_color;

pub mod agreement;
mod areas;
mod error;
mod objects;
mod values;

use agreement::Disagreement;
use areas::Areas;
pub use error::LabelsError;
pub use values::{few, ranges};

/// The classes of a dataset, by id, and the label values to ignore.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LabelMap {
    /// The classes, by id.
    pub classes: Vec<ClassEntry>,
    /// Values to ignore.
    pub ignore: Vec<LabelValue>,
    /// How label files are read. A run made before this was stored has the default.
    #[serde(default, skip_serializing_if = "Reading::is_default")]
    pub reading: Reading,
    /// How the labels are understood and why, in one line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub assumption: String,
}

/// Collects the distinct values of the samples' labels and makes classes of them. `file` is the content of
/// `dataset.toml`.
pub fn collect_labels(samples: &[Sample], file: Option<&DatasetFile>) -> Result<LabelMap, LabelsError> {
    let labels: Vec<&Annotation> = samples.iter().filter_map(|sample| sample.label.as_ref()).collect();
    let reading = file.map_or(Reading::STORED, DatasetFile::reading);
    let mut counts = LabelHistogram::default();
    let mut facts: Vec<Option<LabelFacts>> = labels.iter().map(|_| None).collect();
    let mut error: Option<(usize, FileError)> = None;
    let work = |index: usize| {
        let label = labels[index].decode()?.into_values(&reading, labels[index].path())?;
        Ok::<_, FileError>(LabelFacts::of(&label, index))
    };
    in_parallel(labels.len(), work, |index, result| {
        match result {
            Ok((found, histogram)) => {
                counts.merge(&histogram);
                facts[index] = Some(found);
            }
            // Of several errors the first in order, whichever thread reported first.
            Err(new) if error.as_ref().is_none_or(|(first, _)| index < *first) => error = Some((index, new)),
            Err(_) => {}
        }
        if error.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match error {
        Some((_, error)) => Err(error.into()),
        None => {
            let facts: Vec<LabelFacts> = facts.into_iter().flatten().collect();
            LabelMap::of(&facts, counts, file, &|index| labels[index].path().to_owned())
        }
    }
}

impl LabelMap {
    /// Makes classes of labels; `counts` are those of all of them, and `path_of` returns the file of an index.
    pub fn of(
        facts: &[LabelFacts],
        counts: LabelHistogram,
        file: Option<&DatasetFile>,
        path_of: &dyn Fn(usize) -> PathBuf,
    ) -> Result<Self, LabelsError> {
        let empty = DatasetFile::default();
        let file = file.unwrap_or(&empty);
        let listed = file.ignore.iter().flatten().copied().chain(file.classes.iter().flat_map(|c| c.label_values()));
        let colours = counts.has_colours() || listed.map(as_gray).any(|value| matches!(value, LabelValue::Rgb(_)));
        let counts = if colours { counts.into_colours() } else { counts };
        let set = Labels { facts, counts, file, colours, path_of };
        if file.labels == Some(Meaning::Instances) {
            return set.objects();
        }
        let map = if file.lists_values() { set.listed()? } else { set.unlisted()? };
        match map.table() {
            Ok(_) => Ok(map),
            Err(ClassListError::Class { source: LabelError::TooManyValues, .. }) => Err(set.too_many()),
            Err(ClassListError::Class { id, source }) => {
                let name = map.classes.get(id).map_or("", |class| class.name.as_str());
                Err(LabelsError::Table { by: file.said_by().to_owned(), place: format!("class {name:?}"), source })
            }
            Err(ClassListError::Ignore(source)) => {
                let place = "values to ignore".to_owned();
                Err(LabelsError::Table { by: file.said_by().to_owned(), place, source })
            }
        }
    }

    /// The table from values to ids.
    pub fn table(&self) -> Result<LabelTable, ClassListError> {
        Ok(label_table(&self.classes, &self.ignore)?.with_reading(self.reading))
    }

    /// The classes' names, by id.
    pub fn names(&self) -> Vec<String> {
        self.classes.iter().map(|class| class.name.clone()).collect()
    }

    /// Everything that decides which class a sample of a file is, for a digest. Empty for runs made before the reading was
    /// stored, whose digests cover files alone.
    pub fn interpretation(&self) -> Vec<u8> {
        if self.reading.is_default() {
            return Vec::new();
        }
        let values: Vec<_> = self.classes.iter().map(|class| &class.values).collect();
        serde_json::to_vec(&(values, &self.ignore, &self.reading)).expect("values and flags are plain")
    }
}

/// The labels of a dataset, before they have classes.
struct Labels<'a> {
    facts: &'a [LabelFacts],
    counts: LabelHistogram,
    file: &'a DatasetFile,
    /// Grays are colours of equal channels.
    colours: bool,
    path_of: &'a dyn Fn(usize) -> PathBuf,
}

/// Values to ignore, and for each group of them who says so.
#[derive(Default)]
struct Ignored {
    values: Vec<LabelValue>,
    reasons: Vec<String>,
}

impl Ignored {
    fn add(&mut self, values: Vec<LabelValue>, reason: impl std::fmt::Display) {
        self.because(&values, reason);
        self.push(values);
    }

    fn because(&mut self, values: &[LabelValue], reason: impl std::fmt::Display) {
        if !values.is_empty() {
            self.reasons.push(format!("{} ignored, because {reason}", ranges(values)));
        }
    }

    fn push(&mut self, values: Vec<LabelValue>) {
        for value in values {
            if !self.values.contains(&value) {
                self.values.push(value);
            }
        }
    }
}

impl Labels<'_> {
    fn canonical(&self, value: LabelValue) -> LabelValue {
        if self.colours { as_colour(value) } else { as_gray(value) }
    }

    fn values(&self, values: &[LabelValue]) -> Vec<LabelValue> {
        values.iter().map(|&value| self.canonical(value)).collect()
    }

    /// The values that dataset.toml, the layout or the command line ignore.
    fn ignored(&self) -> Ignored {
        let mut ignored = Ignored::default();
        let stated = self.values(self.file.ignore.as_deref().unwrap_or_default());
        if !self.file.drawn {
            ignored.because(&stated, format_args!("{} says so", self.file.said_by()));
        } else if stated.iter().any(|value| self.counts.values.contains_key(value)) {
            ignored.reasons.push("regions that they ignore are left out".to_owned());
        }
        ignored.push(stated);
        let also = self.values(&self.file.also_ignore);
        let occurs = |value: &LabelValue| self.counts.values.contains_key(value);
        let (found, absent): (Vec<_>, Vec<_>) = also.iter().copied().partition(occurs);
        ignored.because(&found, "--ignore says so");
        ignored.because(&absent, "--ignore says so, though no mask has it");
        ignored.push(also);
        ignored
    }

    fn too_many(&self) -> LabelsError {
        LabelsError::TooManyValues { found: self.counts.values.len(), at_least: self.counts.overflow }
    }

    fn disagree(&self, found: Disagreement) -> LabelsError {
        let Disagreement { one, other, remedy } = found;
        let ((one, one_has), (other, other_has)) = (one, other);
        LabelsError::Disagree { one: (self.path_of)(one), one_has, other: (self.path_of)(other), other_has, remedy }
    }

    fn map(&self, classes: Vec<ClassEntry>, ignored: Ignored, unlisted: Unlisted, mut what: String) -> LabelMap {
        for reason in ignored.reasons {
            what += "; ";
            what += &reason;
        }
        if let Some(value) = self.file.transparent {
            what += &format!("; transparent pixels are {value}, because dataset.toml says so");
        }
        if unlisted == Unlisted::Nearest {
            let by = if self.file.also_snap { "--snap" } else { "dataset.toml" };
            what += &format!("; other values have the class of the nearest, because {by} says so");
        }
        let reading = Reading { unlisted, ..self.file.reading() };
        LabelMap { classes, ignore: ignored.values, reading, assumption: what }
    }

    fn unlisted_values(&self) -> Unlisted {
        if self.file.snaps() { Unlisted::Nearest } else { Unlisted::Refused }
    }

    /// Instance ids: the background and one class.
    fn objects(&self) -> Result<LabelMap, LabelsError> {
        let value = |gray: u8| self.canonical(LabelValue::Gray(gray.into()));
        let values = if self.colours { [value(0), value(255)] } else { [value(0), value(1)] };
        let names = match self.file.classes.as_slice() {
            [] => ["background".to_owned(), "object".to_owned()],
            [a, b] if a.label_values().is_empty() && b.label_values().is_empty() => [a.name.clone(), b.name.clone()],
            _ => return Err(LabelsError::ObjectClasses),
        };
        let ignored = self.ignored();
        if !self.counts.values.keys().any(|value| !ignored.values.contains(value)) {
            return Err(LabelsError::NoClass);
        }
        let entry = |(name, (value, id)): (String, (LabelValue, u8))| ClassEntry {
            name,
            values: vec![value],
            color: class_color(id),
        };
        let classes = names.into_iter().zip(values.into_iter().zip(0..)).map(entry).collect();
        let by = self.file.said_by();
        let what = format!("{} is the background and every other value an object, because {by} says so", values[0]);
        Ok(self.map(classes, ignored, Unlisted::Foreground, what))
    }

    /// The classes that dataset.toml or the layout lists with their values.
    fn listed(&self) -> Result<LabelMap, LabelsError> {
        let classes: Vec<ClassEntry> = (0..).zip(&self.file.classes).map(|(id, class)| self.entry(id, class)).collect();
        if let Some(class) = classes.iter().find(|class| class.values.is_empty()) {
            return Err(LabelsError::SomeValues { class: class.name.clone() });
        }
        let ignored = self.ignored();
        self.refuse_repeated(&classes, &ignored)?;
        let unlisted = self.unlisted_values();
        let found = self.counts.values.iter().filter(|(value, _)| {
            !ignored.values.contains(value) && !classes.iter().any(|class| class.values.contains(value))
        });
        let found: Vec<_> = found.collect();
        if let Some((_, first)) = found.first().filter(|_| unlisted == Unlisted::Refused) {
            let listed = classes.iter().flat_map(|class| &class.values).copied();
            let absent: Vec<LabelValue> = listed.filter(|value| !self.counts.values.contains_key(value)).collect();
            let absent = match absent.as_slice() {
                [] => String::new(),
                absent => format!(" (it lists {}, which no mask has)", ranges(absent)),
            };
            return Err(LabelsError::Unlisted {
                values: found.iter().map(|(value, _)| **value).collect(),
                pixels: found.iter().map(|(_, count)| count.pixels).sum(),
                path: (self.path_of)(first.first),
                by: self.file.said_by().to_owned(),
                absent,
                mixed: self.mixed(),
            });
        }
        let what = match self.file.drawn {
            true => format!("classes {}, from the annotations of each image", names_of(&classes)),
            false => format!("{} as {} lists them", self.kind(), self.file.said_by()),
        };
        Ok(self.map(classes, ignored, unlisted, what))
    }

    /// The hint for gray masks if `dataset.toml` lists colours; empty otherwise.
    fn mixed(&self) -> &'static str {
        if !self.colours || self.facts.iter().any(|file| file.form != Form::Gray) {
            return "";
        }
        let ignored = self.file.ignore.iter().flatten().copied();
        let mut listed = self.file.classes.iter().flat_map(|class| class.label_values()).chain(ignored);
        if listed.any(|value| matches!(value, LabelValue::Gray(_))) {
            "; dataset.toml mixes colours and gray values, but all masks are gray: list gray values alone"
        } else {
            "; dataset.toml lists colours, but all masks are gray: list gray values"
        }
    }

    /// Refuses a value that is listed more than once.
    fn refuse_repeated(&self, classes: &[ClassEntry], ignored: &Ignored) -> Result<(), LabelsError> {
        let by = || self.file.said_by().to_owned();
        let mut owners: BTreeMap<LabelValue, &str> = BTreeMap::new();
        for class in classes {
            for &value in &class.values {
                if let Some(first) = owners.insert(value, &class.name) {
                    let (first, second) = (first.to_owned(), class.name.clone());
                    return Err(LabelsError::Repeated { by: by(), value, first, second });
                }
            }
        }
        for &value in &ignored.values {
            if let Some(class) = owners.get(&value) {
                let stated = self.values(self.file.ignore.as_deref().unwrap_or_default()).contains(&value);
                let ignored_by = if stated { by() } else { "--ignore".to_owned() };
                return Err(LabelsError::ClassIgnored { by: by(), value, class: (*class).to_owned(), ignored_by });
            }
        }
        Ok(())
    }

    fn entry(&self, id: usize, class: &super::dataset_file::ClassSpec) -> ClassEntry {
        let values = self.values(&class.label_values());
        let color = class.color.or(values.first().copied()).and_then(rgb_of);
        let color = color.or_else(|| self.palette_colour(*values.first()?));
        ClassEntry {
            name: class.name.clone(),
            values,
            color: color.unwrap_or_else(|| class_color(id.min(CLASSES_MAX) as u8)),
        }
    }

    /// A class for each value.
    fn unlisted(&self) -> Result<LabelMap, LabelsError> {
        let mut ignored = self.ignored();
        let is_checked = self.file.labels != Some(Meaning::Classes);
        let snap = self.file.snaps();
        if is_checked {
            if let Some(disagreement) = agreement::forms(self.facts).or_else(|| agreement::palettes(self.facts)) {
                return Err(self.disagree(disagreement));
            }
            if let Some((objects, index)) = objects::numbered(self.facts) {
                return Err(LabelsError::Objects { path: (self.path_of)(index), objects });
            }
        }
        let mut found: Vec<LabelValue> = self.counts.values.keys().copied().collect();
        let areas = Areas::of(self.facts);
        if snap {
            found = self.values(&areas.classes(self.facts));
            found.sort();
            found.dedup();
        } else if is_checked && self.file.snap.is_none() {
            self.refuse_odd(&areas)?;
        }
        if is_checked {
            let is_class = |value: LabelValue| {
                let value = self.canonical(value);
                found.contains(&value) && !ignored.values.contains(&value)
            };
            if let Some(disagreement) = agreement::scales(self.facts, is_class) {
                return Err(self.disagree(disagreement));
            }
            if self.file.ignore.is_none() {
                self.ignore_void(&found, &mut ignored)?;
            }
        }
        found.retain(|value| !ignored.values.contains(value));
        if found.is_empty() {
            return Err(LabelsError::NoClass);
        }
        if found.len() > CLASSES_MAX {
            return Err(self.too_many());
        }
        let named = &self.file.classes;
        if !named.is_empty() && named.len() != found.len() {
            let values = found.iter().take(32).map(LabelValue::to_string).collect::<Vec<_>>().join(", ");
            return Err(LabelsError::NameCount { named: named.len(), found: found.len(), values });
        }
        let mut classes: Vec<ClassEntry> = found.iter().zip(0..).map(|(&value, id)| self.class_of(value, id)).collect();
        for (class, spec) in classes.iter_mut().zip(named) {
            class.name.clone_from(&spec.name);
            class.color = spec.color.and_then(rgb_of).unwrap_or(class.color);
        }
        let ids = if classes.len() == 1 { "class 0".to_owned() } else { format!("classes 0-{}", classes.len() - 1) };
        let what = format!("{} {} as {ids}", self.kind(), ranges(&found));
        Ok(self.map(classes, ignored, self.unlisted_values(), what))
    }

    fn refuse_odd(&self, areas: &Areas) -> Result<(), LabelsError> {
        let Some(odd) = areas.odd(self.facts) else {
            return Ok(());
        };
        // Most pixels of a photograph are like that.
        if odd.percent > 50.0 {
            return Err(self.too_many());
        }
        Err(LabelsError::Odd {
            labels: odd.labels,
            all: self.facts.len(),
            percent: odd.percent,
            worst: (self.path_of)(odd.worst),
            worst_values: odd.worst_values,
            worst_percent: odd.worst_percent,
        })
    }

    /// Ignores 255 beside ids that count up from 0, as in most published datasets, if the labels leave no doubt.
    fn ignore_void(&self, found: &[LabelValue], ignored: &mut Ignored) -> Result<(), LabelsError> {
        let void = LabelValue::Gray(255);
        let ids: Vec<LabelValue> =
            found.iter().copied().filter(|value| *value != void && !ignored.values.contains(value)).collect();
        let (Some(&last), Some(count)) = (ids.last(), self.counts.values.get(&void)) else {
            return Ok(());
        };
        if self.colours || ignored.values.contains(&void) || ids == [LabelValue::Gray(0)] {
            return Ok(());
        }
        let counts_up = ids.iter().zip(0..).all(|(id, at)| *id == LabelValue::Gray(at)) && ids.len() <= IDS_MAX;
        if counts_up {
            // 0 and 255 in one label and 0, 1 and 255 in another: two classes and void, or two encodings.
            let one = LabelValue::Gray(1);
            let of_two = self.facts.iter().filter(|_| ids.len() == 2);
            if let Some(without) = of_two.clone().find(|file| file.contains(void) && !file.contains(one))
                && let Some(with) = of_two.clone().find(|file| file.contains(one))
            {
                let same = [(one, void)];
                let classes = found.iter().copied().filter(|value| !ignored.values.contains(value)).collect();
                return Err(self.disagree(agreement::values_of(without, with, &classes, &same)));
            }
            let reason = format!(
                "it occurs beside the ids {}, where it usually means void (ignore = [] in dataset.toml makes it a class)",
                ranges(&ids)
            );
            ignored.add(vec![void], reason);
        } else if self.palette_colour(void) == Some(VOC_VOID) {
            ignored.add(
                vec![void],
                "its colour is that of void in PASCAL VOC (ignore = [] in dataset.toml makes it a class)",
            );
        } else if matches!(last, LabelValue::Gray(0..32)) {
            return Err(LabelsError::Void { others: ranges(&ids), path: (self.path_of)(count.first) });
        }
        Ok(())
    }

    /// The colour of an index, in the first palette that has one.
    fn palette_colour(&self, value: LabelValue) -> Option<[u8; 3]> {
        let LabelValue::Gray(index) = value else { return None };
        let with_palette = self.facts.iter().filter(|file| !file.has_plain_palette());
        let mut colours = with_palette.flat_map(|file| &file.palette);
        colours.find(|(found, _)| u16::from(*found) == index).map(|(_, colour)| *colour)
    }

    fn class_of(&self, value: LabelValue, id: u8) -> ClassEntry {
        let color = rgb_of(value).or_else(|| self.palette_colour(value)).unwrap_or_else(|| class_color(id));
        ClassEntry { name: value.to_string(), values: vec![value], color }
    }

    /// What the values are, for people.
    fn kind(&self) -> &'static str {
        let has = |form| self.facts.iter().any(|file| file.form == form);
        match (self.colours, has(Form::Indices), has(Form::Gray) || has(Form::Colours)) {
            (true, ..) => "colours",
            (false, true, false) => "palette indices",
            (false, true, true) => "gray values and palette indices",
            (false, false, _) => "gray values",
        }
    }
}

/// Names of classes for people; of many, the first.
fn names_of(classes: &[ClassEntry]) -> String {
    let names = classes.iter().take(8).map(|class| class.name.as_str()).collect::<Vec<_>>().join(", ");
    if classes.len() > 8 { format!("{names} and {} more", classes.len() - 8) } else { names }
}

/// Ids that count up are at most so many if 255 is void.
const IDS_MAX: usize = 200;

/// The colour of index 255 in the palette of PASCAL VOC.
const VOC_VOID: [u8; 3] = [224, 224, 192];

fn rgb_of(value: LabelValue) -> Option<[u8; 3]> {
    match value {
        LabelValue::Rgb(rgb) => Some(rgb),
        LabelValue::Gray(_) => None,
    }
}

#[cfg(test)]
mod tests;
