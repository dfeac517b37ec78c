//! Classes that a format names itself.

use unet_shared::label::LabelValue;

use crate::annotation::Annotation;
use crate::dataset_file::{ClassSpec, DatasetFile};
use crate::decode::OwnedSamples;
use crate::drawing::{BACKGROUND, IGNORED};

/// Most classes of drawn labels: their values are 1 byte, without those of background and ignored pixels.
const DRAWN_MAX: usize = 254;

/// Labels that are looked at to tell colours from ids.
const INSPECTED: usize = 8;

/// A class with a value of its own.
pub(super) fn class(name: &str, value: LabelValue) -> ClassSpec {
    ClassSpec { name: name.to_owned(), value: Some(value), values: Vec::new(), color: None }
}

/// The classes of drawn labels: the background is 0, and the class at `index` of `names` has the value [`drawn_value`].
pub(super) fn drawn(names: &[String]) -> Result<DatasetFile, String> {
    if names.is_empty() {
        return Err("expected at least one class, found none".into());
    }
    if names.len() > DRAWN_MAX {
        return Err(format!("expected at most {DRAWN_MAX} classes, found {}", names.len()));
    }
    let gray = |value: u8| LabelValue::Gray(value.into());
    let mut classes = vec![class("background", gray(BACKGROUND))];
    classes.extend(names.iter().enumerate().map(|(index, name)| class(name, gray(drawn_value(index)))));
    Ok(DatasetFile { ignore: Some(vec![gray(IGNORED)]), drawn: true, classes, ..DatasetFile::default() })
}

/// The value of a class's pixels in drawn labels.
pub(super) fn drawn_value(index: usize) -> u8 {
    u8::try_from(index + 1).unwrap_or(IGNORED)
}

/// Whether the first labels that are readable hold colours.
pub(super) fn are_colours<'a>(labels: impl Iterator<Item = &'a Annotation>) -> bool {
    let mut decoded = labels.take(INSPECTED).filter_map(|label| label.decode().ok());
    decoded.any(|label| matches!(label.samples, OwnedSamples::Rgb8(_)))
}
