//! The raw datasets of nnU-Net: `dataset.json` beside `imagesTr` and `labelsTr`, and `labelsTs` for a test split.
//!
//! The image of case `NAME` is `NAME_0000.png`, a further channel `NAME_0001.png`; its label is `NAME.png`.
//! `dataset.json` names the classes: `"labels": {"background": 0, "vessel": 1}`, or the other way round in version 1.
//! Images of `imagesTs` without labels are left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use unet_shared::label::LabelValue;

use super::{Contents, Format, only_root, subfolder};
use crate::dataset_file::{ClassSpec, DatasetFile};
use crate::listing::{Listing, has_image_extension};
use crate::pairing::{Pairing, pair_by_keys, stem};
use crate::sample::Split;

pub(super) static FORMAT: Format = Format {
    name: "nnunet",
    description: "a raw dataset of nnU-Net, random split by --val-ratio and --split-seed",
    patterns: &[
        "DATA/dataset.json with DATA/imagesTr/NAME_0000.* and DATA/labelsTr/NAME.* (nnU-Net; imagesTs and labelsTs for the test split)",
    ],
    read,
};

/// The label that nnU-Net does not train on.
const IGNORE: &str = "ignore";

/// What is read of a `dataset.json`.
#[derive(Deserialize)]
struct DatasetJson {
    labels: BTreeMap<String, Value>,
    file_ending: Option<String>,
}

fn read(listing: &Listing) -> Result<Option<Contents>, String> {
    let roots = listing.folders.iter().filter(|folder| {
        folder.others.iter().any(|path| path.ends_with("dataset.json"))
            && ["imagesTr", "labelsTr"].iter().all(|name| subfolder(listing, folder, name).is_some())
    });
    let Some(root) = only_root(listing, roots, "nnU-Net")? else { return Ok(None) };
    let path = root.path.join("dataset.json");
    let refused = |problem: String| format!("nnU-Net {}: {problem}", listing.show(&path));
    let text = std::fs::read_to_string(&path).map_err(|error| refused(error.to_string()))?;
    let json: DatasetJson = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
    if let Some(ending) = json.file_ending.filter(|ending| !has_image_extension(Path::new(&format!("x{ending}")))) {
        return Err(refused(format!("expected a file_ending of PNG, JPEG, TIFF or BMP, found {ending:?}")));
    }
    let classes = classes(&json.labels).map_err(refused)?;
    let mut parts = Vec::new();
    for (split, images, labels) in [(None, "imagesTr", "labelsTr"), (Some(Split::Test), "imagesTs", "labelsTs")] {
        if let (Some(images), Some(labels)) = (subfolder(listing, root, images), subfolder(listing, root, labels)) {
            parts.push((split, pair_cases(listing, &images.images, &labels.images)?));
        }
    }
    Ok(Some(Contents { parts, classes: Some(classes), read: vec![path], ..Contents::default() }))
}

/// Pairs the images of one channel with their labels.
fn pair_cases(listing: &Listing, images: &[PathBuf], labels: &[PathBuf]) -> Result<Pairing, String> {
    if let Some(path) = images.iter().find(|path| channel(path).is_some_and(|(_, channel)| channel != 0)) {
        let path = listing.show(path);
        return Err(format!("{path} is a further channel of a case: expected one file per case, NAME_0000"));
    }
    let case = |path: &Path| channel(path).map_or_else(|| stem(path), |(case, _)| case);
    Ok(pair_by_keys(images, labels, case, stem))
}

/// The case and the channel of an image's file name, from `NAME_0000`.
fn channel(path: &Path) -> Option<(String, u16)> {
    let stem = stem(path);
    let (case, digits) = stem.rsplit_once('_')?;
    let is_channel = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_channel { Some((case.to_owned(), digits.parse().ok()?)) } else { None }
}

/// The classes in the order of their values, and the value that is ignored.
fn classes(labels: &BTreeMap<String, Value>) -> Result<DatasetFile, String> {
    let mut named: Vec<(u16, &str)> = Vec::new();
    for (key, value) in labels {
        let number = |value: &Value| value.as_u64().and_then(|value| u16::try_from(value).ok());
        let pair = match value {
            Value::String(name) => key.parse().ok().map(|value| (value, name.as_str())),
            value => number(value).map(|value| (value, key.as_str())),
        };
        let unreadable =
            || format!("label {key:?}: expected a value from 0 to 65535, found {value} (regions are not read)");
        named.push(pair.ok_or_else(unreadable)?);
    }
    named.sort();
    let (ignored, classes): (Vec<_>, Vec<_>) = named.into_iter().partition(|(_, name)| *name == IGNORE);
    let class = |(value, name): (u16, &str)| ClassSpec {
        name: name.to_owned(),
        value: Some(LabelValue::Gray(value)),
        values: Vec::new(),
        color: None,
    };
    Ok(DatasetFile {
        ignore: Some(ignored.into_iter().map(|(value, _)| LabelValue::Gray(value)).collect()),
        classes: classes.into_iter().map(class).collect(),
        ..DatasetFile::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, DatasetError, OpenOptions, Sample};
    use std::fs;

    const JSON: &str = r#"{"channel_names": {"0": "R"}, "labels": {"background": 0, "b": 2, "a": 1, "ignore": 3},
        "numTraining": 3, "file_ending": ".png"}"#;

    fn dataset(json: &str, files: &[&str]) -> Result<Dataset, DatasetError> {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("Dataset001_Parts");
        for file in files {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, []).unwrap();
        }
        fs::write(folder.join("dataset.json"), json).unwrap();
        Dataset::open(root.path(), &OpenOptions::default())
    }

    const TRAINING: [&str; 6] = [
        "imagesTr/case_1_0000.png",
        "imagesTr/case_2_0000.png",
        "imagesTr/case_3_0000.png",
        "labelsTr/case_1.png",
        "labelsTr/case_2.png",
        "labelsTr/case_3.png",
    ];

    #[test]
    fn cases_are_paired_and_classes_named() {
        let dataset = dataset(JSON, &[&TRAINING[..], &["imagesTs/case_9_0000.png"]].concat()).unwrap();
        assert_eq!(dataset.layout.name(), "nnunet");
        assert_eq!([dataset.train.len(), dataset.val.len(), dataset.test.len()], [2, 1, 0]);
        assert_eq!(dataset.problems, []);
        let label = |sample: &Sample| stem(sample.label.as_ref().unwrap().path());
        let pairs: Vec<_> = dataset.samples().map(|sample| (sample.name.clone(), label(sample))).collect();
        assert!(pairs.iter().all(|(name, label)| *name == format!("{label}_0000")), "{pairs:?}");
        let file = dataset.file.unwrap();
        let classes: Vec<_> = file.classes.iter().map(|class| (class.name.as_str(), class.value)).collect();
        let gray = |value| Some(LabelValue::Gray(value));
        assert_eq!(classes, [("background", gray(0)), ("a", gray(1)), ("b", gray(2))]);
        assert_eq!(file.ignore, Some(vec![LabelValue::Gray(3)]));
    }

    #[test]
    fn labels_of_version_1_and_a_labelled_test_split() {
        let files = [&TRAINING[..], &["imagesTs/case_9_0000.png", "labelsTs/case_9.png"]].concat();
        let dataset = dataset(r#"{"labels": {"0": "background", "1": "vessel"}}"#, &files).unwrap();
        assert_eq!([dataset.train.len(), dataset.val.len(), dataset.test.len()], [2, 1, 1]);
        let file = dataset.file.unwrap();
        let names: Vec<_> = file.classes.iter().map(|class| class.name.as_str()).collect();
        assert_eq!((names, file.ignore), (vec!["background", "vessel"], Some(vec![])));
    }

    #[test]
    fn dataset_toml_takes_precedence() {
        let root = tempfile::tempdir().unwrap();
        for file in TRAINING {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, []).unwrap();
        }
        fs::write(root.path().join("dataset.json"), JSON).unwrap();
        fs::write(root.path().join("dataset.toml"), "ignore = 7").unwrap();
        let file = Dataset::open(root.path(), &OpenOptions::default()).unwrap().file.unwrap();
        assert_eq!((file.ignore, file.classes), (Some(vec![LabelValue::Gray(7)]), vec![]));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let check = |json: &str, extra: &[&str], expected: &str| {
            let message = dataset(json, &[&TRAINING[..], extra].concat()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check("{", &[], "nnU-Net Dataset001_Parts/dataset.json: EOF");
        check("{}", &[], "missing field `labels`");
        let regions = "label \"whole\": expected a value from 0 to 65535, found [1,2]";
        check(r#"{"labels": {"whole": [1, 2]}}"#, &[], regions);
        check(r#"{"labels": {"a": 70000}}"#, &[], "found 70000");
        check(r#"{"labels": {}, "file_ending": ".nii.gz"}"#, &[], "found \".nii.gz\"");
        check(JSON, &["imagesTr/case_1_0001.png"], "imagesTr/case_1_0001.png is a further channel");
        let second = ["../B/dataset.json", "../B/imagesTr/a_0000.png", "../B/labelsTr/a.png"];
        check(JSON, &second, "B and Dataset001_Parts are both nnU-Net datasets");
    }
}
