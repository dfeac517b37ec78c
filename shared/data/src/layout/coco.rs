//! COCO's object instances: a JSON file for each split with `images`, `annotations` and `categories`.
//!
//! Categories become classes in the order of their ids, with the background before them. Polygons of one annotation are
//! joined; run lengths are read in both forms; crowds are ignored; what overlaps is decided by the order in the file. An
//! image without annotations is all background.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Contents, Format, ImageIndex, classes, read_text};
use crate::annotation::Annotation;
use crate::counted::{counted, one_or_many};
use crate::drawing::{Drawing, DrawingSize, IGNORED, Outline, Shape};
use crate::listing::{Listing, split_of, words};
use crate::pairing::{Pairing, stem};
use crate::run_lengths::RunLengths;
use crate::sample::{Sample, Split};
use unet_shared::image::SIDE_MAX;

pub(super) static FORMAT: Format = Format {
    name: "coco",
    description: "COCO annotations",
    patterns: &["DATA/*.json or DATA/annotations/instances_{train,val}*.json with images anywhere in DATA (COCO)"],
    read,
};

/// Whether a JSON file is one of COCO.
#[derive(Deserialize)]
struct Keys {
    #[serde(rename = "images")]
    _images: Vec<IgnoredAny>,
    annotations: Vec<Segmented>,
    #[serde(rename = "categories")]
    _categories: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Segmented {
    segmentation: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Instances {
    images: Vec<ImageEntry>,
    annotations: Vec<Entry>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct ImageEntry {
    id: u64,
    file_name: String,
    width: Option<usize>,
    height: Option<usize>,
}

#[derive(Deserialize)]
struct Entry {
    image_id: u64,
    category_id: u64,
    segmentation: Option<Segmentation>,
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected polygons as lists of numbers, or run lengths with size and counts")]
enum Segmentation {
    Polygons(Vec<Vec<f64>>),
    /// The numbers of one polygon, as some tools write them.
    Polygon(Vec<f64>),
    Runs {
        size: [usize; 2],
        counts: Counts,
    },
}

/// The classes of a file, and the index of each category's.
#[derive(Clone, PartialEq)]
struct Categories {
    names: Vec<String>,
    ids: BTreeMap<u64, usize>,
    /// Which categories share a name.
    joined: Vec<String>,
}

impl Categories {
    /// In the order of their ids. Categories of one name are one class: Roboflow lists the parent of all categories as one
    /// more, which may have the name of a child.
    fn of(mut categories: Vec<(u64, String)>) -> Self {
        categories.sort();
        let (mut names, mut ids, mut joined) = (Vec::<String>::new(), BTreeMap::new(), Vec::new());
        for (id, name) in categories {
            match names.iter().position(|known| *known == name) {
                Some(class) => {
                    let first = ids.iter().find(|(_, other)| **other == class).map_or(id, |(first, _)| *first);
                    joined.push(format!("categories {first} and {id} are both called {name} and are one class"));
                    ids.insert(id, class);
                }
                None => {
                    ids.insert(id, names.len());
                    names.push(name);
                }
            }
        }
        Self { names, ids, joined }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Counts {
    Plain(Vec<u32>),
    Text(String),
}

fn read(listing: &Listing) -> Result<Option<Contents>, String> {
    let mut files: BTreeMap<Option<Split>, Vec<(&PathBuf, String)>> = BTreeMap::new();
    for folder in &listing.folders {
        for path in folder.others.iter().filter(|path| is_json(path)) {
            let Ok(text) = read_text(listing, path) else { continue };
            // Cheaper than parsing every JSON file.
            let keys = text.contains("\"categories\"").then(|| serde_json::from_str::<Keys>(&text).ok()).flatten();
            // Captions have no segmentation.
            if keys.is_some_and(|keys| {
                keys.annotations.is_empty() || keys.annotations.iter().any(|a| a.segmentation.is_some())
            }) {
                let split = words(&stem(path)).iter().find_map(|word| split_of(word)).or(folder.split);
                files.entry(split).or_default().push((path, text));
            }
        }
    }
    if files.is_empty() {
        return Ok(None);
    }
    let mut contents = Contents::default();
    let others = listing.folders.iter().flat_map(|folder| &folder.others);
    contents.read = others.filter(|path| is_json(path)).cloned().collect();
    let mut known: Option<(&PathBuf, Categories)> = None;
    for (split, mut paths) in files {
        // COCO's keypoints have segmentations too.
        if paths.iter().any(|(path, _)| stem(path).starts_with("instances")) {
            paths.retain(|(path, _)| stem(path).starts_with("instances"));
        }
        let [(path, text)] = paths.as_slice() else {
            let names = paths.iter().map(|(path, _)| listing.show(path)).collect::<Vec<_>>().join(", ");
            return Err(format!("expected one COCO file for each split, found {names}; move the others away"));
        };
        let refused = |problem: String| format!("COCO {}: {problem}", listing.show(path));
        let instances: Instances = serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
        let categories: Vec<(u64, String)> =
            instances.categories.iter().map(|category| (category.id, category.name.clone())).collect();
        let categories = Categories::of(categories);
        match &known {
            Some((other, expected)) if *expected != categories => {
                return Err(refused(format!("expected the categories of {}, found others", listing.show(other))));
            }
            Some(_) => {}
            None => {
                contents.classes = Some(classes::drawn(&categories.names).map_err(refused)?);
                contents.notes.extend(categories.joined.iter().cloned());
                known = Some((path, categories.clone()));
            }
        }
        let part = samples(listing, path, instances, &categories, &mut contents.notes).map_err(refused)?;
        contents.parts.push((split, part));
    }
    Ok(Some(contents))
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

fn samples(
    listing: &Listing,
    path: &Path,
    instances: Instances,
    categories: &Categories,
    notes: &mut Vec<String>,
) -> Result<Pairing, String> {
    let sizes: BTreeMap<u64, Option<(usize, usize)>> =
        instances.images.iter().map(|image| (image.id, image.width.zip(image.height))).collect();
    let mut shapes: BTreeMap<u64, Vec<Shape>> = BTreeMap::new();
    let mut boxes = 0;
    for (index, entry) in instances.annotations.into_iter().enumerate() {
        let problem = |problem: String| format!("annotation {index}: {problem}");
        let stated = sizes
            .get(&entry.image_id)
            .ok_or_else(|| problem(format!("expected an image with id {}, found none", entry.image_id)))?;
        let class = categories.ids.get(&entry.category_id).copied();
        let class =
            class.ok_or_else(|| problem(format!("expected a category with id {}, found none", entry.category_id)))?;
        let outline = match entry.segmentation {
            None => None,
            Some(Segmentation::Polygons(polygons)) if polygons.iter().all(Vec::is_empty) => None,
            Some(segmentation @ (Segmentation::Polygons(_) | Segmentation::Polygon(_))) => {
                let polygons = match segmentation {
                    Segmentation::Polygons(polygons) => polygons,
                    Segmentation::Polygon(polygon) => vec![polygon],
                    Segmentation::Runs { .. } => Vec::new(),
                };
                let mut outlines = Vec::new();
                for polygon in polygons.into_iter().filter(|polygon| !polygon.is_empty()) {
                    let (corners, rest) = polygon.as_chunks::<2>();
                    if !rest.is_empty() || corners.len() < 3 {
                        return Err(problem(format!(
                            "expected x and y of at least 3 corners, found {} numbers",
                            polygon.len()
                        )));
                    }
                    outlines.push(corners.to_vec());
                }
                Some(Outline::Polygons(outlines))
            }
            Some(Segmentation::Runs { size, counts }) => {
                let [height, width] = stated.map_or(size, |(width, height)| [height, width]);
                if size != [height, width] {
                    return Err(problem(format!("expected run lengths of size [{height}, {width}], found {size:?}")));
                }
                if [height, width].iter().any(|&side| side > SIDE_MAX) {
                    return Err(problem(format!("expected sides of at most {SIDE_MAX} pixels, found {size:?}")));
                }
                let runs = match counts {
                    Counts::Plain(counts) => RunLengths::from_counts(counts, width, height),
                    Counts::Text(text) => RunLengths::parse(&text, width, height),
                };
                Some(Outline::Runs(runs.map_err(|error| problem(error.to_string()))?))
            }
        };
        match outline {
            Some(outline) => {
                let value = if entry.iscrowd == 0 { classes::drawn_value(class) } else { IGNORED };
                shapes.entry(entry.image_id).or_default().push(Shape { value, outline });
            }
            None => boxes += 1,
        }
    }
    if boxes > 0 && shapes.is_empty() {
        return Err(format!(
            "expected polygons or run lengths, found {} with only a box",
            counted(boxes, "annotation")
        ));
    }
    let name = listing.show(path);
    if boxes > 0 {
        let have = one_or_many(boxes, "has only a box and is", "have only a box and are");
        notes.push(format!("{} of {name} {have} not drawn", counted(boxes, "annotation")));
    }
    let index = ImageIndex::of(listing);
    let (mut part, mut missing, mut empty) = (Pairing::default(), None, 0);
    let mut absent = 0;
    let mut used: BTreeSet<String> = BTreeSet::new();
    for ImageEntry { id, file_name, width, height } in instances.images {
        let relative = PathBuf::from(file_name.replace('\\', "/"));
        let Some(image) = nearest(listing, path, &relative, index.named_like(&relative))? else {
            absent += 1;
            missing.get_or_insert(file_name);
            continue;
        };
        let drawn = shapes.remove(&id).unwrap_or_default();
        empty += usize::from(drawn.is_empty());
        let size = match width.zip(height) {
            Some((width, height)) => DrawingSize::Stated(width, height),
            None => DrawingSize::Image(image.clone()),
        };
        let drawing = Drawing { file: path.into(), size, shapes: drawn };
        let mut name = stem(image);
        if !used.insert(name.clone()) {
            name = listing.show(&image.with_extension(""));
        }
        part.samples.push(Sample {
            name,
            image: image.clone(),
            page: None,
            label: Some(Annotation::Drawing(Arc::new(drawing))),
        });
    }
    if let Some(missing) = missing {
        let are = one_or_many(absent, "is", "are");
        notes.push(format!("{} of {name} {are} missing (first: {missing})", counted(absent, "image")));
    }
    if empty > 0 {
        let have = one_or_many(empty, "has no annotation and is", "have no annotation and are");
        notes.push(format!("{} of {name} {have} all background", counted(empty, "image")));
    }
    part.samples.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(part)
}

/// Of the images with the right name the one whose path ends as stated; of several, the only one in the JSON file's folder.
fn nearest<'a>(
    listing: &Listing,
    json: &Path,
    relative: &Path,
    found: &[&'a PathBuf],
) -> Result<Option<&'a PathBuf>, String> {
    let exact: Vec<&PathBuf> = found.iter().copied().filter(|image| image.ends_with(relative)).collect();
    let mut found = if exact.is_empty() { found.to_vec() } else { exact };
    if found.len() > 1 {
        let split = words(&stem(json)).iter().find_map(|word| split_of(word));
        let near: Vec<&PathBuf> = found
            .iter()
            .copied()
            .filter(|image| {
                let folder = listing.folders.iter().find(|folder| Some(folder.path.as_path()) == image.parent());
                image.parent() == json.parent() || split.is_some() && folder.is_some_and(|folder| folder.split == split)
            })
            .collect();
        if near.len() == 1 {
            found = near;
        }
    }
    match found.as_slice() {
        [] => Ok(None),
        [image] => Ok(Some(image)),
        [first, second, ..] => Err(format!(
            "expected one image {}, found {} and {}",
            relative.display(),
            listing.show(first),
            listing.show(second)
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::layout::testing::{Folder, assert_equal_to_plain, labels_of};
    use image::{GrayImage, Luma};

    /// Class 1 left, class 2 in the right upper corner, and ignored pixels in the right lower one.
    fn json(image: &str) -> String {
        format!(
            r#"{{"images": [{{"id": 7, "file_name": "{image}", "width": 4, "height": 4}},
                 {{"id": 8, "file_name": "empty_{image}", "width": 4, "height": 4}}],
             "annotations": [
                {{"image_id": 7, "category_id": 5, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]}},
                {{"image_id": 7, "category_id": 9, "segmentation": {{"size": [4, 4], "counts": [8, 2, 2, 2, 2]}}}},
                {{"image_id": 7, "category_id": 5, "iscrowd": 1, "segmentation": {{"size": [4, 4], "counts": ":24"}}}},
                {{"image_id": 7, "category_id": 9, "segmentation": []}}],
             "categories": [{{"id": 9, "name": "disc"}}, {{"id": 5, "name": "bar"}}]}}"#
        )
    }

    #[test]
    fn polygons_runs_and_crowds_are_drawn() {
        let (folder, plain) = (Folder::new(), Folder::new());
        for (split, name) in [("train", "a"), ("val", "b")] {
            for name in [name.to_owned(), format!("empty_{name}")] {
                folder.image(&format!("{split}2017/{name}.png"));
                plain.image(&format!("{split}/images/{name}.png"));
                let mask = GrayImage::from_fn(4, 4, |x, y| match (x, y) {
                    _ if name.starts_with("empty") => Luma([0]),
                    (2.., 0..2) => Luma([2]),
                    (2, 2..) => Luma([255]),
                    _ => Luma([1]),
                });
                mask.save(plain.path(&format!("{split}/masks/{name}.png"))).unwrap();
            }
            folder.text(&format!("annotations/instances_{split}2017.json"), &json(&format!("{name}.png")));
            folder.text(&format!("annotations/person_keypoints_{split}2017.json"), &json(&format!("{name}.png")));
        }
        folder.image("train2017/extra.png");
        plain.text(
            "dataset.toml",
            "ignore = 255\n[[class]]\nname='x'\nvalue=0\n[[class]]\nname='y'\nvalue=1\n[[class]]\nname='z'\nvalue=2",
        );
        let dataset = folder.open();
        assert_eq!(dataset.layout.name(), "coco");
        assert_equal_to_plain(&dataset, &plain.open());
        assert_eq!(labels_of(&dataset).names(), ["background", "bar", "disc"]);
        let notes = dataset.notes.join("; ");
        assert!(
            notes.contains("1 annotation of annotations/instances_train2017.json has only a box and is not drawn"),
            "{notes}"
        );
        assert!(
            notes.contains("1 image of annotations/instances_val2017.json has no annotation and is all background"),
            "{notes}"
        );
        assert_eq!(dataset.unused.len(), 1, "{:?}", dataset.unused);
    }

    #[test]
    fn what_tools_write_differently_is_read() {
        let (folder, plain) = (Folder::new(), Folder::new());
        // No sizes, a polygon without a list around it, empty polygons, two categories of one name, and a Windows path.
        folder.text(
            "_annotations.coco.JSON",
            r#"{"images": [{"id": 1, "file_name": "photos\\Überfahrt 1.PNG"}, {"id": 2, "file_name": "b.png"}],
                "annotations": [
                    {"image_id": 1, "category_id": 2, "segmentation": [0, 0, 4, 0, 4, 2, 0, 2]},
                    {"image_id": 1, "category_id": 1, "segmentation": [[]]},
                    {"image_id": 1, "category_id": 3, "segmentation": [[0, 2, 4, 2, 4, 4, 0, 4], []]},
                    {"image_id": 2, "category_id": 3, "segmentation": {"size": [4, 4], "counts": [0, 4, 12]}}],
                "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "car"}, {"id": 3, "name": "Straße"}]}"#,
        );
        for (name, mask) in [
            ("Überfahrt 1", GrayImage::from_fn(4, 4, |_, y| Luma([if y < 2 { 1 } else { 2 }]))),
            ("b", GrayImage::from_fn(4, 4, |x, _| Luma([if x < 1 { 2 } else { 0 }]))),
        ] {
            folder.image(&format!("deep/photos/{name}.{}", if name == "b" { "png" } else { "PNG" }));
            plain.image(&format!("images/{name}.png"));
            mask.save(plain.path(&format!("masks/{name}.png"))).unwrap();
        }
        let classes =
            "ignore=255\n[[class]]\nname='x'\nvalue=0\n[[class]]\nname='y'\nvalue=1\n[[class]]\nname='z'\nvalue=2";
        plain.text("dataset.toml", classes);
        let dataset = folder.open();
        assert_equal_to_plain(&dataset, &plain.open());
        assert_eq!(labels_of(&dataset).names(), ["background", "car", "Straße"]);
        assert_eq!(dataset.notes[0], "categories 1 and 2 are both called car and are one class");
        assert!(dataset.notes[1].starts_with("1 annotation of _annotations.coco.JSON has only a box"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let refused = |json: &str, expected: &str| {
            let folder = Folder::new();
            folder.image("a.png");
            folder.text("x.json", json);
            let message = folder.try_open().unwrap_err().to_string();
            assert!(message.contains("x.json") && message.contains(expected), "{message}");
        };
        let file = |annotation: &str| {
            format!(
                r#"{{"images": [{{"id": 1, "file_name": "a.png", "width": 4, "height": 4}}],
                 "annotations": [{annotation}], "categories": [{{"id": 5, "name": "bar"}}]}}"#
            )
        };
        refused(
            &file(r#"{"image_id": 2, "category_id": 5, "segmentation": []}"#),
            "annotation 0: expected an image with id 2",
        );
        refused(&file(r#"{"image_id": 1, "category_id": 6, "segmentation": []}"#), "expected a category with id 6");
        refused(
            &file(r#"{"image_id": 1, "category_id": 5, "segmentation": []}"#),
            "found 1 annotation with only a box",
        );
        refused(&file(r#"{"image_id": 1, "category_id": 5, "segmentation": [[1, 2, 3, 4]]}"#), "found 4 numbers");
        let runs = |size: &str, counts: &str| {
            file(&format!(
                r#"{{"image_id": 1, "category_id": 5, "segmentation": {{"size": {size}, "counts": {counts}}}}}"#
            ))
        };
        refused(&runs("[4, 5]", "[16]"), "expected run lengths of size [4, 4], found [4, 5]");
        refused(&runs("[4, 4]", "[15]"), "expected runs of 16 pixels in total, found 15");
        refused(&runs("[4, 4]", "\"~~\""), "expected run lengths as COCO writes them");
    }
}
