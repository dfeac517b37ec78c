//! `dataset.toml`: names, values and colours of the classes, and the values to ignore, written by a person.
//!
//! ```toml
//! masks = "1st_manual"            # the folder of the masks; images = FOLDER and suffix = "_mask" likewise
//! ignore = 11                     # or a list; values are numbers or "#rrggbb"
//! labels = "instances"            # 0 is the background, every other value an object; "classes": each value is a class
//! palette = "colors"              # the values of palette files are their colours; "indices": their indices
//! snap = true                     # values that are not listed have the class of the nearest
//! transparent = 0                 # the value of transparent pixels
//!
//! [[class]]
//! name = "road"
//! value = 3                       # or values = [3, 4]
//! color = "#804080"               # for display; without a value, also the value in the label
//! ```
//!
//! Knows nothing of what the labels contain; [`super::labels`] brings the two together.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use unet_shared::label::{LabelValue, Reading};

use super::choice::FolderChoice;

/// The file's name in the directory of a dataset.
pub const DATASET_FILE: &str = "dataset.toml";

/// The content of a `dataset.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetFile {
    /// Values to ignore; if absent, 255 is ignored beside ids that count up from 0.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Option::is_none")]
    pub ignore: Option<Vec<LabelValue>>,
    /// What the values mean; if absent, classes, unless they look like something else, which is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Meaning>,
    /// The values of files with a palette; if absent, indices, unless the classes are listed as colours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub palette: Option<PaletteValues>,
    /// Whether values that are not listed have the class of the nearest value, as at the edges of anti-aliased masks; if absent,
    /// such masks are an error.
    #[serde(default, alias = "join_between", skip_serializing_if = "Option::is_none")]
    pub snap: Option<bool>,
    /// The value of transparent pixels; if absent, such masks are an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transparent: Option<LabelValue>,
    /// The folder of the images, as [`FolderChoice::images`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// The folder of the masks, as [`FolderChoice::masks`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masks: Option<PathBuf>,
    /// The ending of the masks' names, as [`FolderChoice::suffix`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// Further values to ignore, from the command line.
    #[serde(skip)]
    pub also_ignore: Vec<LabelValue>,
    /// `snap`, from the command line.
    #[serde(skip)]
    pub also_snap: bool,
    /// Whether the labels are drawn from annotations of these classes, whose values are in no file.
    #[serde(skip)]
    pub drawn: bool,
    /// Who states this, if not a file of this name: a layout.
    #[serde(skip)]
    pub stated_by: Option<String>,
    /// The classes, by id.
    #[serde(default, rename = "class", skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassSpec>,
}

/// What label values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// Each value is a class.
    Classes,
    /// 0 or black is the background, each other value an object; all objects are one class.
    Instances,
}

/// The values of files with a palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaletteValues {
    /// The indices.
    Indices,
    /// The palette's colours.
    Colors,
}

/// One `[[class]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassSpec {
    /// Display name.
    pub name: String,
    /// The label value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<LabelValue>,
    /// Several label values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<LabelValue>,
    /// Display colour; also the label value, if neither `value` nor `values` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<LabelValue>,
}

impl ClassSpec {
    /// The label values of the class; empty if only a name is given.
    pub fn label_values(&self) -> Vec<LabelValue> {
        let mut values: Vec<LabelValue> = self.value.into_iter().chain(self.values.iter().copied()).collect();
        if values.is_empty() {
            values.extend(self.color);
        }
        values
    }
}

/// Why a `dataset.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetFileError {
    /// It exists but cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// It is not a valid `dataset.toml`.
    #[error("cannot parse {}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The parser's words, with the line.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The colour of a class is a number.
    #[error("{}: color of class {class:?}: expected \"#rrggbb\", found {found}", path.display())]
    Color {
        /// The file.
        path: PathBuf,
        /// The class.
        class: String,
        /// The value found.
        found: LabelValue,
    },
    /// A class has no name, or that of another one.
    #[error("{}: classes: expected names that differ and are not empty, found {name:?}{}", path.display(), if name.is_empty() { "" } else { " twice" })]
    Name {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
}

impl DatasetFile {
    /// The folders and endings that it states.
    pub(crate) fn choice(&self) -> FolderChoice {
        FolderChoice { images: self.images.clone(), masks: self.masks.clone(), suffix: self.suffix.clone() }
    }

    /// This file, with a format's own classes and ignored values if it states nothing about values.
    pub(crate) fn or_classes(self, classes: Option<&Self>) -> Self {
        let says_nothing = Self { images: None, masks: None, suffix: None, ..self.clone() } == Self::default();
        match classes {
            Some(classes) if says_nothing => {
                Self { images: self.images, masks: self.masks, suffix: self.suffix, ..classes.clone() }
            }
            _ => self,
        }
    }

    /// Reads `dataset.toml` in the directory `root`; none if there is no such file.
    pub fn read(root: &Path) -> Result<Option<Self>, DatasetFileError> {
        let path = root.join(DATASET_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path).map(Some),
            Err(source) if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(source) => Err(DatasetFileError::Read { path, source }),
        }
    }

    /// The first class name that is empty or that of an earlier class.
    pub(crate) fn bad_name(&self) -> Option<&str> {
        let names: Vec<&str> = self.classes.iter().map(|class| class.name.as_str()).collect();
        let is_bad = |index: &usize| names[*index].trim().is_empty() || names[..*index].contains(&names[*index]);
        (0..names.len()).find(is_bad).map(|index| names[index])
    }

    /// Whether the values of the classes are listed.
    pub fn lists_values(&self) -> bool {
        self.classes.iter().any(|class| !class.label_values().is_empty())
    }

    /// How label files are read before their values are known.
    pub fn reading(&self) -> Reading {
        let is_colour = |value: &LabelValue| matches!(value, LabelValue::Rgb(_));
        let palette_indices = match self.palette {
            Some(values) => values == PaletteValues::Indices,
            None => !self.classes.iter().flat_map(ClassSpec::label_values).any(|value| is_colour(&value)),
        };
        Reading { palette_indices, transparent: self.transparent, ..Reading::STORED }
    }

    /// Whether values that are not listed have the class of the nearest.
    pub fn snaps(&self) -> bool {
        self.also_snap || self.snap == Some(true)
    }

    /// Who states the classes and the ignored values.
    pub fn said_by(&self) -> &str {
        self.stated_by.as_deref().unwrap_or(DATASET_FILE)
    }

    /// Parses the text of a `dataset.toml`; `path` is for error messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, DatasetFileError> {
        let file: Self = toml::from_str(text).map_err(|error| {
            // The old name of `snap` is accepted, but not proposed.
            let source = error.to_string().replace("`join_between`, ", "").into();
            DatasetFileError::Format { path: path.into(), source }
        })?;
        if let Some(name) = file.bad_name() {
            return Err(DatasetFileError::Name { path: path.into(), name: name.to_owned() });
        }
        for class in &file.classes {
            if let Some(found @ LabelValue::Gray(_)) = class.color {
                return Err(DatasetFileError::Color { path: path.into(), class: class.name.clone(), found });
            }
        }
        Ok(file)
    }
}

/// The `[[class]]` tables for these values: a class for each pair of `same` and for each other value. With many classes,
/// the background, those of `same`, and of the others the first ones.
pub(crate) fn class_list(values: &BTreeSet<LabelValue>, same: &[(LabelValue, LabelValue)]) -> String {
    const SHOWN: usize = 12;
    let toml = |value: LabelValue| match value {
        LabelValue::Gray(_) => value.to_string(),
        LabelValue::Rgb(_) => format!("\"{value}\""),
    };
    let is_background = |value: LabelValue| matches!(value, LabelValue::Gray(0) | LabelValue::Rgb([0, 0, 0]));
    let partner = |value: LabelValue| same.iter().find(|(first, _)| *first == value).map(|(_, second)| *second);
    let mut classes: Vec<LabelValue> =
        values.iter().copied().filter(|value| !same.iter().any(|(_, second)| second == value)).collect();
    let is_optional = |value: LabelValue| partner(value).is_none() && !is_background(value);
    let shown = classes.iter().filter(|value| !is_optional(**value)).count().max(SHOWN);
    // Those that must be shown come first, in their order.
    if classes.len() > shown {
        classes.sort_by_key(|&value| is_optional(value));
    }
    let objects = classes.iter().filter(|value| !is_background(**value)).count();
    let mut text = String::new();
    let mut number = 0;
    for &value in classes.iter().take(shown) {
        let name = match (is_background(value), objects) {
            (true, _) => "background".to_owned(),
            (false, 1) => "object".to_owned(),
            (false, _) => {
                number += 1;
                format!("class {number}")
            }
        };
        let values = match partner(value) {
            Some(second) => format!("values = [{}, {}]", toml(value), toml(second)),
            None => format!("value = {}", toml(value)),
        };
        text += &format!("[[class]]\nname = \"{name}\"\n{values}\n");
    }
    if classes.len() > shown {
        text += &format!("# and {} more, for the other values\n", classes.len() - shown);
    }
    text.truncate(text.trim_end().len());
    text
}

/// A value, or a list of values.
fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<LabelValue>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a number from 0 to 65535, \"#rrggbb\" or a list of these")]
    enum OneOrMany {
        One(LabelValue),
        Many(Vec<LabelValue>),
    }
    Ok(Some(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(value) => vec![value],
        OneOrMany::Many(values) => values,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatasetFile, DatasetFileError> {
        DatasetFile::parse(text, Path::new("dataset.toml"))
    }

    #[test]
    fn every_key_is_read() {
        let file = parse(
            "ignore = 11\njoin_between = true\nlabels = 'classes'\npalette = 'colors'\ntransparent = '#000000'\n[[class]]\nname = 'road'\nvalue = 3\ncolor = '#804080'\n\
             [[class]]\nname = 'car'\nvalues = [4, 5]\n[[class]]\nname = 'sky'\ncolor = '#0000ff'\n",
        )
        .unwrap();
        assert_eq!(file.ignore, Some(vec![LabelValue::Gray(11)]));
        assert_eq!((file.snap, file.labels), (Some(true), Some(Meaning::Classes)));
        assert_eq!(
            file.reading(),
            Reading { palette_indices: false, transparent: Some(LabelValue::Rgb([0; 3])), ..Reading::STORED }
        );
        let values: Vec<_> = file.classes.iter().map(ClassSpec::label_values).collect();
        assert_eq!(values[0], [LabelValue::Gray(3)]);
        assert_eq!(values[1], [LabelValue::Gray(4), LabelValue::Gray(5)]);
        assert_eq!(values[2], [LabelValue::Rgb([0, 0, 255])]);
        let again = parse(&toml::to_string(&file).unwrap()).unwrap();
        assert_eq!(again, file);
        assert_eq!(parse("ignore = ['#000000', 7]").unwrap().ignore.unwrap().len(), 2);
        assert_eq!(parse("").unwrap(), DatasetFile::default());
    }

    #[test]
    fn a_class_list_can_be_copied() {
        let gray = LabelValue::Gray;
        let list = class_list(&[0, 1, 3, 255].map(gray).into(), &[(gray(1), gray(255))]);
        let classes = parse(&list).unwrap().classes;
        let found: Vec<_> = classes.iter().map(|class| (class.name.as_str(), class.label_values())).collect();
        let expected =
            [("background", vec![gray(0)]), ("class 1", vec![gray(1), gray(255)]), ("class 2", vec![gray(3)])];
        assert_eq!(found, expected, "{list}");
        let red = LabelValue::Rgb([255, 0, 0]);
        let list = class_list(&[LabelValue::Rgb([0; 3]), red].into(), &[]);
        assert_eq!(parse(&list).unwrap().classes[1].label_values(), [red], "{list}");
        let many = class_list(&(0..=99).map(gray).collect(), &[(gray(50), gray(60))]);
        assert!(many.contains("values = [50, 60]") && many.ends_with("# and 87 more, for the other values"), "{many}");
        let pairs: Vec<_> = (1..=20).map(|id| (gray(id), gray(id * 16 + 32))).collect();
        let values = pairs.iter().flat_map(|&(id, code)| [id, code]).chain([gray(0)]).collect();
        let list = class_list(&values, &pairs);
        let classes = parse(&list).unwrap().classes;
        let found: BTreeSet<LabelValue> = classes.iter().flat_map(|class| class.label_values()).collect();
        assert_eq!((classes.len(), found), (21, values), "{list}");
    }

    #[test]
    fn invalid_files_are_refused() {
        for text in [
            "ignore = -1",
            "labels = 'objects'",
            "palette = 'index'",
            "snap = 1",
            "ignore = 'red'",
            "classes = []",
            "[[class]]\nvalue = 3",
        ] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, DatasetFileError::Format { .. }), "{text}: {error}");
        }
        let keys = crate::chain(&parse("ignor = 3").unwrap_err());
        assert!(keys.contains("`snap`, ") && keys.contains("line 1") && !keys.contains("join_between"), "{keys}");
        let error = parse("[[class]]\nname='a'\ncolor=3").unwrap_err().to_string();
        assert_eq!(error, "dataset.toml: color of class \"a\": expected \"#rrggbb\", found 3");
    }

    #[test]
    fn missing_file_is_none() {
        let root = tempfile::tempdir().unwrap();
        assert!(DatasetFile::read(root.path()).unwrap().is_none());
        fs::write(root.path().join(DATASET_FILE), "ignore = [").unwrap();
        assert!(matches!(DatasetFile::read(root.path()), Err(DatasetFileError::Format { .. })));
    }
}
