//! LabelMe: `NAME.json` for each image, with polygons, rectangles, circles and masks (a PNG in base64, in a box).
//!
//! The labels become classes in sorted order, or in that of a `labels.txt`, with the background before them. Shapes with the
//! label `__ignore__` are ignored, those with `_background_` are background.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::{Contents, Format, ImageIndex, classes, encoded_mask, name_apart, read_text};
use crate::annotation::Annotation;
use crate::counted::counted;
use crate::drawing::{BACKGROUND, Drawing, DrawingSize, IGNORED, Outline, Shape};
use crate::listing::{Folder, Listing};
use crate::pairing::{Pairing, stem};
use crate::sample::{Sample, Split};

pub(super) static FORMAT: Format = Format {
    name: "labelme",
    description: "LabelMe's JSON files",
    patterns: &["DATA[/{train,val[,test]}]/NAME.json with the images that they name (LabelMe)"],
    read,
};

#[derive(Deserialize)]
struct File {
    shapes: Vec<Entry>,
    #[serde(rename = "imagePath")]
    image_path: String,
    #[serde(rename = "imageWidth")]
    width: Option<usize>,
    #[serde(rename = "imageHeight")]
    height: Option<usize>,
}

#[derive(Deserialize)]
struct Entry {
    label: String,
    points: Vec<[f64; 2]>,
    /// Polygons, in old files.
    shape_type: Option<String>,
    mask: Option<String>,
}

fn read(listing: &Listing) -> Result<Option<Contents>, String> {
    let mut files: Vec<(&Folder, &PathBuf, File)> = Vec::new();
    for folder in &listing.folders {
        for path in folder.others.iter().filter(|path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")))
        {
            let text = read_text(listing, path)?;
            // Cheaper than parsing every JSON file.
            if !text.contains("\"shapes\"") || !text.contains("\"imagePath\"") {
                continue;
            }
            let file =
                serde_json::from_str(&text).map_err(|error| format!("LabelMe {}: {error}", listing.show(path)))?;
            files.push((folder, path, file));
        }
    }
    if files.is_empty() {
        return Ok(None);
    }
    let mut contents = Contents::default();
    let names = names(listing, &files, &mut contents.read)?;
    contents.classes = Some(classes::drawn(&names).map_err(|error| format!("LabelMe: {error}"))?);
    let mut parts: BTreeMap<Option<Split>, Pairing> = BTreeMap::new();
    let (mut open, mut lost, mut first_lost) = (0, 0, None);
    let index = ImageIndex::of(listing);
    for (folder, path, file) in files {
        let part = parts.entry(folder.split).or_default();
        contents.read.push(path.clone());
        let Some(image) = image_of(&index, path, &file.image_path) else {
            lost += 1;
            first_lost.get_or_insert_with(|| listing.show(path));
            continue;
        };
        let size = match file.width.zip(file.height) {
            Some((width, height)) => DrawingSize::Stated(width, height),
            None => DrawingSize::Image(image.clone()),
        };
        let mut shapes = Vec::new();
        for (index, entry) in file.shapes.into_iter().enumerate() {
            let refused = |problem: String| format!("LabelMe {}, shape {index}: {problem}", listing.show(path));
            let value = match entry.label.as_str() {
                IGNORE => IGNORED,
                BACK => BACKGROUND,
                label => {
                    let class = names.iter().position(|name| name == label);
                    let class =
                        class.ok_or_else(|| refused(format!("expected a label of labels.txt, found {label:?}")))?;
                    classes::drawn_value(class)
                }
            };
            match outline(&entry).map_err(refused)? {
                Some(outline) => shapes.push(Shape { value, outline }),
                None => open += 1,
            }
        }
        let drawing = Drawing { file: path.clone(), size, shapes };
        let label = Some(Annotation::Drawing(Arc::new(drawing)));
        part.samples.push(Sample { name: stem(image), image: image.clone(), page: None, label });
    }
    if let Some(first) = first_lost {
        contents.notes.push(format!("the images of {} are missing (first: {first})", counted(lost, "file")));
    }
    if open > 0 {
        contents.notes.push(format!("{open} points and lines have no area and are not drawn"));
    }
    for part in parts.values_mut() {
        part.samples.sort_by(|a, b| a.image.cmp(&b.image));
        if let Some(pair) = part.samples.windows(2).find(|pair| pair[0].image == pair[1].image) {
            let files = pair.iter().filter_map(|sample| sample.label.as_ref()).map(|label| listing.show(label.path()));
            let (image, files) = (listing.show(&pair[0].image), files.collect::<Vec<_>>().join(" and "));
            return Err(format!("LabelMe: expected one file for {image}, found {files}"));
        }
        name_apart(listing, &mut part.samples);
    }
    contents.parts.extend(parts);
    Ok(Some(contents))
}

const IGNORE: &str = "__ignore__";
const BACK: &str = "_background_";

/// The labels that become classes.
fn names(
    listing: &Listing,
    files: &[(&Folder, &PathBuf, File)],
    read: &mut Vec<PathBuf>,
) -> Result<Vec<String>, String> {
    let is_class = |name: &&str| *name != IGNORE && *name != BACK;
    let list = listing.folders.iter().flat_map(|folder| &folder.others);
    let list = list.into_iter().find(|path| path.file_name().is_some_and(|name| name == "labels.txt"));
    if let Some(path) = list {
        read.push(path.clone());
        let text = read_text(listing, path)?;
        return Ok(text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .filter(is_class)
            .map(str::to_owned)
            .collect());
    }
    let shapes = files.iter().flat_map(|(_, _, file)| &file.shapes);
    let found: BTreeSet<&str> = shapes.map(|shape| shape.label.as_str()).filter(is_class).collect();
    Ok(found.into_iter().map(str::to_owned).collect())
}

/// The image that a file names, relative to itself; moved images are found beside the file or by their name.
fn image_of<'a>(index: &ImageIndex<'a>, json: &Path, stated: &str) -> Option<&'a PathBuf> {
    let stated = PathBuf::from(stated.replace('\\', "/"));
    let named = index.named_like(&stated);
    let beside = |images: &[&'a PathBuf]| images.iter().copied().find(|image| image.parent() == json.parent());
    beside(named).or_else(|| beside(index.with_stem_of(json))).or(match named {
        [image] => Some(*image),
        _ => None,
    })
}

/// The pixels of a shape; none if it has no area.
fn outline(entry: &Entry) -> Result<Option<Outline>, String> {
    let corners = |expected: usize| {
        let found = entry.points.len();
        if found == expected { Ok(()) } else { Err(format!("expected {expected} points, found {found}")) }
    };
    Ok(match entry.shape_type.as_deref().unwrap_or("polygon") {
        kind @ ("polygon" | "rotation" | "oriented_rectangle") if entry.points.len() < 3 => {
            return Err(format!("expected a {kind} of at least 3 points, found {}", entry.points.len()));
        }
        // Other tools store the four corners of rectangles.
        "rectangle" if entry.points.len() == 4 => Some(Outline::Polygons(vec![entry.points.clone()])),
        "polygon" | "rotation" | "oriented_rectangle" => Some(Outline::Polygons(vec![entry.points.clone()])),
        "rectangle" => {
            corners(2)?;
            let ([left, top], [right, bottom]) = (entry.points[0], entry.points[1]);
            Some(Outline::Polygons(vec![vec![[left, top], [right, top], [right, bottom], [left, bottom]]]))
        }
        "circle" => {
            corners(2)?;
            let ([x, y], [on_x, on_y]) = (entry.points[0], entry.points[1]);
            let (dx, dy) = (on_x - x, on_y - y);
            Some(Outline::Circle { centre: [x, y], radius: (dx * dx + dy * dy).sqrt() })
        }
        "mask" => {
            corners(2)?;
            Some(patch(entry)?)
        }
        "point" | "points" | "line" | "linestrip" => None,
        other => {
            return Err(format!(
                "expected a polygon, rectangle, circle or mask, found {other:?}; draw it as a polygon"
            ));
        }
    })
}

/// A mask in its box. LabelMe counts both corners of the box as pixels; other tools exclude the second corner.
fn patch(entry: &Entry) -> Result<Outline, String> {
    let text = entry.mask.as_deref().ok_or("expected a mask in base64, found none")?;
    let mask = encoded_mask::decode(text)?;
    let ([left, top], [right, bottom]) = (entry.points[0], entry.points[1]);
    let (width, height) = mask.size();
    let fits = |side: usize, length: f64| (-0.5..=1.5).contains(&(side as f64 - length));
    if !fits(width, right - left) || !fits(height, bottom - top) {
        return Err(format!(
            "expected a mask of its box's size, {} to {}, found one of {width}x{height} pixels",
            place([left, top]),
            place([right, bottom])
        ));
    }
    // A conversion from float saturates.
    Ok(Outline::Patch { at: [left, top].map(|at| at.round_ties_even() as i64), mask })
}

fn place([x, y]: [f64; 2]) -> String {
    format!("({x}, {y})")
}

#[cfg(test)]
mod tests {
    use crate::layout::encoded_mask::tests::encode;
    use crate::layout::testing::{Folder, assert_equal_to_plain, gray, labels_of};
    use image::{GrayImage, Luma};

    fn json(image: &str, shapes: &str) -> String {
        format!(
            r#"{{"version": "5.0.1", "shapes": [{shapes}], "imagePath": "{image}", "imageData": null, "imageHeight": 4, "imageWidth": 4}}"#
        )
    }

    fn shape(label: &str, kind: &str, points: &str) -> String {
        format!(
            r#"{{"label": "{label}", "points": {points}, "group_id": null, "shape_type": "{kind}", "flags": {{}}}}"#
        )
    }

    #[test]
    fn shapes_are_drawn_in_their_order() {
        let (folder, plain) = (Folder::new(), Folder::new());
        let shapes = [
            shape("disc", "polygon", "[[0, 0], [4, 0], [4, 4], [0, 4]]"),
            shape("bar", "rectangle", "[[4, 1], [2, 0]]"),
            shape("_background_", "circle", "[[0.5, 3.5], [0.5, 3.0]]"),
            shape("__ignore__", "rectangle", "[[3, 3], [4, 4]]"),
            shape("bar", "point", "[[0, 0]]"),
        ];
        for name in ["a", "b"] {
            folder.image(&format!("{name}.jpg"));
            folder.text(&format!("{name}.json"), &json(&format!("..\\\\photos\\\\{name}.jpg"), &shapes.join(",")));
            plain.image(&format!("images/{name}.jpg"));
            let mask = GrayImage::from_fn(4, 4, |x, y| match (x, y) {
                (2.., 0) => Luma([1]),
                (0, 3) => Luma([0]),
                (3, 3) => Luma([255]),
                _ => Luma([2]),
            });
            mask.save(plain.path(&format!("masks/{name}.png"))).unwrap();
        }
        plain.text("dataset.toml", "ignore = 255");
        let dataset = folder.open();
        assert_eq!(dataset.layout.name(), "labelme");
        assert_equal_to_plain(&dataset, &plain.open());
        assert_eq!(labels_of(&dataset).names(), ["background", "bar", "disc"]);
        let how =
            "classes background, bar, disc, from the annotations of each image; regions that they ignore are left out";
        let samples: Vec<_> = dataset.samples().cloned().collect();
        assert_eq!(crate::labels::collect_labels(&samples, dataset.file.as_ref()).unwrap().assumption, how);
        assert_eq!(dataset.notes, ["2 points and lines have no area and are not drawn"]);
        folder.image("c.jpg");
        folder.text("labels.txt", "__ignore__\n_background_\ndisc\nbar\n");
        let dataset = folder.open();
        assert_eq!(labels_of(&dataset).names(), ["background", "disc", "bar"]);
        assert_eq!(dataset.unused[0].to_string(), ". (1 image file: not named by the annotations)");
    }

    fn mask(label: &str, points: &str, mask: &str) -> String {
        let shape = shape(label, "mask", points);
        format!("{}, \"mask\": \"{mask}\"}}", shape.strip_suffix('}').unwrap())
    }

    #[test]
    fn masks_are_placed_in_their_boxes() {
        let (folder, plain) = (Folder::new(), Folder::new());
        // An L of three pixels.
        let corner = encode(&GrayImage::from_fn(2, 2, |x, y| Luma([if (x, y) == (1, 0) { 0 } else { 255 }])));
        let whole = encode(&gray(1, &[(0, 0, 0)]));
        for (name, shapes, drawn) in [
            // Both corners count.
            ("a", mask("x", "[[1, 2], [2, 3]]", &corner), vec![(1, 2), (1, 3), (2, 3)]),
            // The second does not; places between pixels are rounded.
            ("b", mask("x", "[[1.4, 1.6], [3.4, 3.6]]", &corner), vec![(1, 2), (1, 3), (2, 3)]),
            // Beyond the border.
            ("c", mask("x", "[[-1, 0], [0, 1]]", &corner), vec![(0, 1)]),
            ("d", mask("x", "[[0, 0], [3, 3]]", &whole), (1..16).map(|at| (at % 4, at / 4)).collect()),
        ] {
            folder.image(&format!("{name}.jpg"));
            folder.text(&format!("{name}.json"), &json(&format!("{name}.jpg"), &shapes));
            plain.image(&format!("images/{name}.jpg"));
            let drawn: Vec<(u32, u32, u8)> = drawn.into_iter().map(|(x, y)| (x, y, 1)).collect();
            gray(0, &drawn).save(plain.path(&format!("masks/{name}.png"))).unwrap();
        }
        assert_equal_to_plain(&folder.open(), &plain.open());
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        let refused = |shape: String, expected: &str| {
            let folder = Folder::new();
            folder.image("a.jpg");
            folder.text("a.json", &json("a.jpg", &shape));
            let message = folder.try_open().unwrap_err().to_string();
            assert!(message.contains("a.json, shape 0: ") && message.contains(expected), "{message}");
        };
        refused(shape("x", "polygon", "[[0, 0], [1, 1]]"), "expected a polygon of at least 3 points, found 2");
        refused(shape("x", "rectangle", "[[0, 0]]"), "expected 2 points, found 1");
        refused(shape("x", "ellipse", "[[0, 0], [1, 1]]"), "found \"ellipse\"; draw it as a polygon");
        refused(shape("x", "mask", "[[0, 0], [1, 1]]"), "expected a mask in base64, found none");
        refused(mask("x", "[[0, 0], [1, 1]]", "????"), "expected a PNG in base64");
        let four = encode(&gray(1, &[]));
        refused(mask("x", "[[0, 0], [1, 1]]", &four), "its box's size, (0, 0) to (1, 1), found one of 4x4 pixels");
    }
}
