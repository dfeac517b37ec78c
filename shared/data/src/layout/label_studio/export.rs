//! The JSON that Label Studio exports: "JSON", "JSON-MIN", and the files of its target storage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::super::read_text;
use crate::listing::{Listing, has_image_extension, split_of, words};
use crate::pairing::stem;
use crate::sample::Split;

/// One task: an image and its annotations.
pub(super) struct Task {
    /// Its number in the project.
    pub id: u64,
    /// The file that it is from.
    pub file: PathBuf,
    /// The split that the file's name or folder states.
    pub split: Option<Split>,
    /// The distinct decoded paths or URLs of the image.
    pub images: Vec<String>,
    /// What annotators drew.
    pub annotations: Vec<TaskAnnotation>,
}

/// What one annotator drew on the image of a task.
#[derive(Deserialize)]
pub(super) struct TaskAnnotation {
    pub id: Option<u64>,
    /// Whether the annotator skipped the task.
    #[serde(default)]
    pub was_cancelled: bool,
    #[serde(default)]
    pub ground_truth: bool,
    #[serde(rename = "result", default)]
    pub regions: Vec<Region>,
}

/// One region, or another result of an annotation.
#[derive(Deserialize)]
pub(super) struct Region {
    #[serde(default)]
    pub id: Option<String>,
    /// The name of the tool.
    #[serde(default)]
    pub from_name: String,
    #[serde(default)]
    pub original_width: Option<usize>,
    #[serde(default)]
    pub original_height: Option<usize>,
    #[serde(default)]
    pub image_rotation: Option<f64>,
    #[serde(default)]
    pub value: Geometry,
}

/// The place of a region, in percent of the image's sides, and its labels.
#[derive(Default, Deserialize)]
pub(super) struct Geometry {
    pub rle: Option<Vec<u8>>,
    #[serde(rename = "imageDataURL")]
    pub bitmask: Option<String>,
    pub points: Option<Vec<[f64; 2]>>,
    pub x: Option<f64>,
    pub y: Option<f64>,
    pub width: Option<f64>,
    pub height: Option<f64>,
    pub rotation: Option<f64>,
    #[serde(rename = "radiusX")]
    pub radius_x: Option<f64>,
    #[serde(rename = "radiusY")]
    pub radius_y: Option<f64>,
    brushlabels: Option<Vec<String>>,
    bitmasklabels: Option<Vec<String>>,
    polygonlabels: Option<Vec<String>>,
    rectanglelabels: Option<Vec<String>>,
    ellipselabels: Option<Vec<String>>,
    keypointlabels: Option<Vec<String>>,
    vectorlabels: Option<Vec<String>>,
    labels: Option<Vec<String>>,
}

impl Geometry {
    /// The labels that the annotator chose.
    pub(super) fn labels(&self) -> &[String] {
        let lists = [
            &self.brushlabels,
            &self.bitmasklabels,
            &self.polygonlabels,
            &self.rectanglelabels,
            &self.ellipselabels,
            &self.keypointlabels,
            &self.vectorlabels,
            &self.labels,
        ];
        lists.into_iter().find_map(Option::as_deref).unwrap_or_default()
    }

    /// Whether it has pixels, and not only a class or a text.
    pub(super) fn is_drawn(&self) -> bool {
        self.rle.is_some() || self.bitmask.is_some() || self.points.is_some() || self.x.is_some()
    }
}

/// The keys by which a file is recognised.
#[derive(Deserialize)]
struct Keys {
    id: Option<IgnoredAny>,
    annotations: Option<IgnoredAny>,
    completions: Option<IgnoredAny>,
    data: Option<Object>,
    annotation_id: Option<IgnoredAny>,
    task: Option<Object>,
    result: Option<Vec<IgnoredAny>>,
}

/// Any JSON object.
type Object = BTreeMap<String, IgnoredAny>;

#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// Tasks with their annotations.
    Tasks,
    /// "JSON-MIN": an annotation of a task, its regions by the name of the tool.
    Flat,
    /// Target storage: an annotation, with its task.
    Annotations,
}

impl Keys {
    fn form(&self) -> Option<Form> {
        if (self.annotations.is_some() || self.completions.is_some()) && self.data.is_some() {
            Some(Form::Tasks)
        } else if self.result.is_some() && self.task.is_some() {
            Some(Form::Annotations)
        } else {
            (self.id.is_some() && self.annotation_id.is_some()).then_some(Form::Flat)
        }
    }
}

#[derive(Deserialize)]
struct TaskEntry {
    id: u64,
    data: BTreeMap<String, Value>,
    file_upload: Option<String>,
    #[serde(alias = "completions", default)]
    annotations: Vec<TaskAnnotation>,
}

#[derive(Deserialize)]
struct StoredAnnotation {
    task: TaskEntry,
    #[serde(flatten)]
    annotation: TaskAnnotation,
}

#[derive(Deserialize)]
struct FlatEntry {
    id: u64,
    annotation_id: Option<u64>,
    #[serde(flatten)]
    rest: BTreeMap<String, FlatValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FlatValue {
    Text(String),
    Regions(Vec<FlatRegion>),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct FlatRegion {
    original_width: Option<usize>,
    original_height: Option<usize>,
    image_rotation: Option<f64>,
    #[serde(flatten)]
    value: Geometry,
}

/// One entry or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::Many(entries) => entries,
            Self::One(entry) => vec![entry],
        }
    }
}

/// The tasks of all exports in a folder.
pub(super) fn read(listing: &Listing) -> Result<Vec<Task>, String> {
    let mut tasks: Vec<Task> = Vec::new();
    let mut known: BTreeMap<u64, usize> = BTreeMap::new();
    for folder in &listing.folders {
        let is_json = |path: &&PathBuf| path.extension().is_some_and(|found| found.eq_ignore_ascii_case("json"));
        for path in folder.others.iter().filter(is_json) {
            let text = read_text(listing, path)?;
            let Some(form) = form(&text) else { continue };
            let split = words(&stem(path)).iter().find_map(|word| split_of(word)).or(folder.split);
            let found = parse(&text, form, path, split)
                .map_err(|error| format!("Label Studio {}: {error}", listing.show(path)))?;
            for task in found {
                // Target storage has a file for each annotation.
                match known.get(&task.id).and_then(|&index| tasks.get_mut(index)) {
                    Some(known) if form != Form::Tasks => known.annotations.extend(task.annotations),
                    Some(known) => {
                        let (first, second) = (listing.show(&known.file), listing.show(path));
                        return Err(format!(
                            "Label Studio: task {} is in both {first} and {second}: expected one export of each project",
                            task.id
                        ));
                    }
                    None => {
                        known.insert(task.id, tasks.len());
                        tasks.push(task);
                    }
                }
            }
        }
    }
    Ok(tasks)
}

/// The form of a file; none if it is not from Label Studio.
fn form(text: &str) -> Option<Form> {
    // Cheaper than parsing every JSON file.
    if !["\"annotations\"", "\"completions\"", "\"annotation_id\"", "\"result\""].iter().any(|key| text.contains(key)) {
        return None;
    }
    let keys = if text.trim_start().starts_with('[') {
        serde_json::from_str::<Vec<Keys>>(text).ok()?
    } else {
        vec![serde_json::from_str::<Keys>(text).ok()?]
    };
    let form = keys.first()?.form()?;
    keys.iter().all(|keys| keys.form() == Some(form)).then_some(form)
}

fn parse(text: &str, form: Form, file: &Path, split: Option<Split>) -> Result<Vec<Task>, serde_json::Error> {
    let task = |id, images, annotations| Task { id, file: file.to_owned(), split, images, annotations };
    let many = |text: &str| text.trim_start().starts_with('[');
    Ok(match form {
        Form::Tasks => {
            let entries: Vec<TaskEntry> =
                if many(text) { serde_json::from_str(text)? } else { vec![serde_json::from_str(text)?] };
            let of = |entry: TaskEntry| {
                let images = images(entry.data.values().filter_map(Value::as_str), entry.file_upload.as_deref());
                task(entry.id, images, entry.annotations)
            };
            entries.into_iter().map(of).collect()
        }
        Form::Annotations => {
            let entries = serde_json::from_str::<OneOrMany<StoredAnnotation>>(text)?.into_vec();
            let of = |StoredAnnotation { task: entry, annotation }: StoredAnnotation| {
                let images = images(entry.data.values().filter_map(Value::as_str), entry.file_upload.as_deref());
                task(entry.id, images, vec![annotation])
            };
            entries.into_iter().map(of).collect()
        }
        Form::Flat => {
            let entries = serde_json::from_str::<OneOrMany<FlatEntry>>(text)?.into_vec();
            let of = |FlatEntry { id, annotation_id, rest }: FlatEntry| {
                let texts = rest.values().filter_map(|value| match value {
                    FlatValue::Text(text) => Some(text.as_str()),
                    FlatValue::Regions(_) | FlatValue::Other(IgnoredAny) => None,
                });
                let images = images(texts, None);
                let mut regions = Vec::new();
                for (from_name, value) in rest {
                    if let FlatValue::Regions(found) = value {
                        regions.extend(found.into_iter().map(|region| Region {
                            id: None,
                            from_name: from_name.clone(),
                            original_width: region.original_width,
                            original_height: region.original_height,
                            image_rotation: region.image_rotation,
                            value: region.value,
                        }));
                    }
                }
                let annotation =
                    TaskAnnotation { id: annotation_id, was_cancelled: false, ground_truth: false, regions };
                task(id, images, vec![annotation])
            };
            entries.into_iter().map(of).collect()
        }
    })
}

/// The images among the texts of a task, else the name of the upload.
fn images<'a>(texts: impl Iterator<Item = &'a str>, upload: Option<&str>) -> Vec<String> {
    let mut images: Vec<String> = texts.map(plain).filter(|path| has_image_extension(Path::new(path))).collect();
    images.sort();
    images.dedup();
    if images.is_empty() { upload.map(plain).into_iter().collect() } else { images }
}

/// The path in a URL, such as `/data/local-files/?d=photos%5Ca.jpg` or `s3://bucket/a.jpg?token=...`, with forward slashes.
fn plain(url: &str) -> String {
    let path = match url.split_once("?d=") {
        Some((_, path)) => path.split('&').next().unwrap_or(path),
        None if url.contains("://") => url.split(['?', '#']).next().unwrap_or(url),
        None => url,
    };
    let bytes = path.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let digits = path.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        // `from_str_radix` alone would accept a sign.
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| path.to_owned()).replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_within_urls() {
        for (url, expected) in [
            ("/data/upload/2/4425adf9-PC-10x-wide.jpg", "/data/upload/2/4425adf9-PC-10x-wide.jpg"),
            ("/data/local-files/?d=photos%5Cnight%20sky.jpg", "photos/night sky.jpg"),
            ("s3://bucket/deep/a.png?token=x.jpg", "s3://bucket/deep/a.png"),
            ("C:\\photos\\Stra%C3%9Fe.png", "C:/photos/Straße.png"),
            ("100%.png", "100%.png"),
            ("%ff.png", "%ff.png"),
            ("a%é.png", "a%é.png"),
            ("a%+f.png", "a%+f.png"),
        ] {
            assert_eq!(plain(url), expected);
        }
        assert_eq!(images(["cat", "b.png", "a.png", "b.png"].into_iter(), Some("c.png")), ["a.png", "b.png"]);
        assert_eq!(images(["cat"].into_iter(), Some("c%20d.webp")), ["c d.webp"]);
    }

    #[test]
    fn files_of_other_tools_have_no_form() {
        for text in [
            r#"{"images": [], "annotations": [], "categories": []}"#,
            r#"{"annotations": 3, "result": []}"#,
            r#"["annotations"]"#,
            r#"[]"#,
            r#"[{"annotation_id": 3, "label": "car"}]"#,
            r#"[{"id": 1, "annotations": [], "data": "a.png"}]"#,
            r#"[{"id": 1, "annotations": []}, {"id": 1, "annotations": [], "data": {}}]"#,
            r#"{"id": 1, "result": "done", "task": {}}"#,
            r#"{"id": 1, "result": [], "task": "segment"}"#,
            "\"annotations\"",
        ] {
            assert!(form(text).is_none(), "{text}");
        }
        assert!(form(r#"[{"id": 1, "annotations": [], "data": {}}]"#) == Some(Form::Tasks));
        assert!(form(r#"{"id": 1, "result": [], "task": {}}"#) == Some(Form::Annotations));
        assert!(form(r#" [{"id": 1, "annotation_id": 2, "image": "a.png"}]"#) == Some(Form::Flat));
    }
}
