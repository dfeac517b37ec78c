//! Why no classes can be made of labels.

use std::path::PathBuf;

use super::ranges;
use crate::counted::{counted, one_or_many};
use crate::decode::FileError;
use unet_shared::label::{CLASSES_MAX, LabelError, LabelValue};

/// Why no classes can be made of labels.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    /// A label cannot be decoded.
    #[error(transparent)]
    File(#[from] FileError),
    /// No sample has a label, or all values are ignored.
    #[error("expected at least one class, found no mask, or only label values that are ignored")]
    NoClass,
    /// There are more distinct values than the number of classes allowed.
    #[error(
        "expected at most {CLASSES_MAX} distinct label values, found {}: the masks look like photographs or compressed \
         masks; --snap gives each value the class of the nearest one, labels = \"instances\" in dataset.toml reads instance ids as one \
         class", if *at_least { format!("at least {found}") } else { found.to_string() }
    )]
    TooManyValues {
        /// Distinct values found.
        found: usize,
        /// Whether there are more that were not counted.
        at_least: bool,
    },
    /// Two labels are not in one encoding.
    #[error("{} has {one_has}, but {} has {other_has}: they cannot be read in one way; {remedy}", one.display(), other.display())]
    Disagree {
        /// A label.
        one: PathBuf,
        /// What it contains.
        one_has: String,
        /// Another one.
        other: PathBuf,
        /// What that contains.
        other_has: String,
        /// What the user can do.
        remedy: String,
    },
    /// Labels look smoothed, scaled or compressed.
    #[error(
        "{labels} of {all} masks look smoothed, scaled or compressed: {percent:.3} % of all pixels have values that occur \
         only in transitions between others or as compression noise, most in {}: {worst_values} {} on {worst_percent:.3} % of its pixels; save the masks without smoothing, or give \
         each value the class of the nearest one with --snap or snap = true in dataset.toml; labels = \"classes\" there makes each value a \
         class", worst.display(), if *worst_values == 1 { "value" } else { "values" }
    )]
    Odd {
        /// Labels with odd values.
        labels: usize,
        /// All labels.
        all: usize,
        /// The share of all pixels.
        percent: f64,
        /// The label with the largest share.
        worst: PathBuf,
        /// Odd values in it.
        worst_values: usize,
        /// Their share of its pixels.
        worst_percent: f64,
    },
    /// The values look like instance ids.
    #[error(
        "the values look like instance ids, not classes: {} has {objects}, each one region; labels = \"instances\" in \
         dataset.toml makes one class of them{}", path.display(),
        if *objects < CLASSES_MAX { ", labels = \"classes\" a class of each" } else { "" }
    )]
    Objects {
        /// The label with most.
        path: PathBuf,
        /// Its values besides the background.
        objects: usize,
    },
    /// 255 may be void or a class.
    #[error(
        "label value 255 occurs beside {others}, first in {}: it may be void or a class; ignore = 255 in dataset.toml, or \
         --ignore 255, ignores it, ignore = [] in dataset.toml makes it a class", path.display()
    )]
    Void {
        /// The other values.
        others: String,
        /// The first label that contains 255.
        path: PathBuf,
    },
    /// `dataset.toml` lists classes with values for labels that are instance ids.
    #[error(
        "dataset.toml: with labels = \"instances\", remove the [[class]] tables, or give exactly two with only a name: \
         background, then object"
    )]
    ObjectClasses,
    /// Labels contain values that `dataset.toml` does not list.
    #[error(
        "the {} {} {} in {}, first in {}, but {by} lists {them} neither as a class nor as ignored{absent}{mixed}; --ignore \"{}\" ignores \
         {them}, and a class in dataset.toml can have {them} among its values",
        one_or_many(values.len(), "value", "values"), ranges(values), one_or_many(values.len(), "occurs", "occur"),
        counted(*pixels as usize, "pixel"), path.display(),
        values.iter().map(LabelValue::to_string).collect::<Vec<_>>().join(","),
        them = one_or_many(values.len(), "it", "them")
    )]
    Unlisted {
        /// The values.
        values: Vec<LabelValue>,
        /// How many pixels have one of them.
        pixels: u64,
        /// The first label that contains the first of them.
        path: PathBuf,
        /// What lists the classes.
        by: String,
        /// The listed values that no label contains, in words; empty if there are none.
        absent: String,
        /// That gray values are shown as colours because some are listed so; empty if they are not.
        mixed: &'static str,
    },
    /// `dataset.toml` has values for some classes and not for others.
    #[error("dataset.toml: expected values for all classes or for none, found none for class {class:?}")]
    SomeValues {
        /// The first class without a value.
        class: String,
    },
    /// `dataset.toml` has only names, and not as many as there are values.
    #[error(
        "dataset.toml has {} without values, but the masks have {}: {values}; give each class its values, or name as many \
         classes", counted(*named, "class name"), counted(*found, "distinct value")
    )]
    NameCount {
        /// Names in the file.
        named: usize,
        /// Values in the labels.
        found: usize,
        /// The values.
        values: String,
    },
    /// Two classes have the same value, or one has it twice.
    #[error("{by}: {}", if first == second {
        format!("class {first:?} has label value {value} twice")
    } else {
        format!("label value {value} is in class {first:?} and in class {second:?}; expected one class for each value")
    })]
    Repeated {
        /// What lists the classes.
        by: String,
        /// The value.
        value: LabelValue,
        /// The first class that has it.
        first: String,
        /// The class that has it again.
        second: String,
    },
    /// A value of a class is to be ignored.
    #[error("label value {value} is in class {class:?} of {by}, but {ignored_by} ignores it; expected one of the two")]
    ClassIgnored {
        /// What lists the classes.
        by: String,
        /// The value.
        value: LabelValue,
        /// The class that has it.
        class: String,
        /// What ignores it.
        ignored_by: String,
    },
    /// The classes or their values cannot be used.
    #[error("{by}: {place}")]
    Table {
        /// What lists the classes.
        by: String,
        /// The class, or the ignored values.
        place: String,
        /// Why its values cannot be used.
        source: LabelError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_of_instances_and_smoothed_ones_are_told_in_words() {
        let path = PathBuf::from("a.png");
        let odd = LabelsError::Odd {
            labels: 1,
            all: 2,
            percent: 3.0,
            worst: path.clone(),
            worst_values: 9,
            worst_percent: 6.0,
        };
        for (error, expected) in [
            (LabelsError::TooManyValues { found: 300, at_least: false }, "reads instance ids as one class"),
            (
                LabelsError::Objects { path, objects: 20 },
                "the values look like instance ids, not classes: a.png has 20",
            ),
            (
                LabelsError::ObjectClasses,
                "dataset.toml: with labels = \"instances\", remove the [[class]] tables, or give exactly two with only a \
                 name: background, then object",
            ),
            (
                odd,
                "3.000 % of all pixels have values that occur only in transitions between others or as compression noise, \
                 most in a.png: 9 values on 6.000 % of its pixels",
            ),
        ] {
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
