//! Ultralytics: a YAML file that names `train`, `val`, `test` and the classes, with polygons in `labels/NAME.txt` or masks
//! in `masks_dir`.
//!
//! A line of a label is `CLASS x y x y ...`, in shares of the image's sides; an image without a label file, or with an empty
//! one, is all background. The classes follow the background. Masks hold class ids, and 255 is ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use unet_shared::label::LabelValue;

use super::{Contents, Format, ImageIndex, classes, read_text};
use crate::annotation::Annotation;
use crate::counted::{counted, one_or_many};
use crate::dataset_file::DatasetFile;
use crate::drawing::{Drawing, DrawingSize, IGNORED, Outline, Shape};
use crate::listing::Listing;
use crate::pairing::{Pairing, PairingProblem, stem};
use crate::sample::{Sample, Split};

pub(super) static FORMAT: Format = Format {
    name: "ultralytics",
    description: "Ultralytics",
    patterns: &["DATA/data.yaml with images/* and polygons in labels/*.txt, or masks in masks_dir (Ultralytics)"],
    read,
};

/// The keys of a YAML file that are read.
#[derive(Debug, Default, PartialEq, Eq)]
struct DataYaml {
    path: Option<String>,
    splits: Vec<(Split, Vec<String>)>,
    masks_dir: Option<String>,
    names: Vec<String>,
}

fn read(listing: &Listing) -> Result<Option<Contents>, String> {
    let mut found: Vec<(&PathBuf, DataYaml)> = Vec::new();
    for path in listing.folders.iter().filter(|folder| folder.depth <= 1).flat_map(|folder| &folder.others) {
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            let yaml = DataYaml::parse(&read_text(listing, path)?);
            let yaml = yaml.map_err(|problem| format!("Ultralytics {}: {problem}", listing.show(path)))?;
            if !yaml.names.is_empty() && !yaml.splits.is_empty() {
                found.push((path, yaml));
            }
        }
    }
    let (file, yaml) = match found.as_slice() {
        [] => return Ok(None),
        [(file, yaml)] => (*file, yaml),
        [(first, _), (second, _), ..] => {
            let (first, second) = (listing.show(first), listing.show(second));
            return Err(format!("{first} and {second} both describe an Ultralytics dataset: expected one"));
        }
    };
    let refused = |problem: String| format!("Ultralytics {}: {problem}", listing.show(file));
    // Labels, and lists and caches beside them.
    let read = listing.folders.iter().flat_map(|folder| &folder.others).cloned().collect();
    let mut contents = Contents { read, ..Contents::default() };
    contents.classes = Some(match &yaml.masks_dir {
        Some(_) => {
            let class = |(name, id): (&String, u16)| classes::class(name, LabelValue::Gray(id));
            let ignore = Some(vec![LabelValue::Gray(IGNORED.into())]);
            DatasetFile { ignore, classes: yaml.names.iter().zip(0..).map(class).collect(), ..DatasetFile::default() }
        }
        None => classes::drawn(&yaml.names).map_err(refused)?,
    });
    let root = file.parent().unwrap_or(&listing.root);
    let (mut without, index) = (0, ImageIndex::of(listing));
    for (split, folders) in &yaml.splits {
        let mut part = Pairing::default();
        for stated in folders {
            let images = match images_of(listing, &index, root, yaml.path.as_deref(), stated)? {
                Stated::Images(images) => images,
                Stated::List { images, missing } => {
                    if let Some((count, first)) = missing {
                        let (images, are) = (counted(count, "image"), one_or_many(count, "is", "are"));
                        contents.notes.push(format!("{images} of {stated} {are} missing (first: {first})"));
                    }
                    images
                }
                Stated::Missing => {
                    contents.notes.push(format!("the folder {stated} of {split} is missing"));
                    continue;
                }
            };
            for image in images {
                let name = stem(image);
                let label = match &yaml.masks_dir {
                    Some(masks) => {
                        let beside = beside(image, masks);
                        let masks = index.with_stem_of(image);
                        match masks.iter().find(|mask| mask.with_extension("") == beside) {
                            Some(mask) => Annotation::File((*mask).clone()),
                            None => {
                                part.problems.push(PairingProblem::UnpairedImage(image.clone()));
                                continue;
                            }
                        }
                    }
                    None => {
                        let text = beside(image, "labels").with_extension("txt");
                        without += usize::from(!text.is_file());
                        Annotation::Drawing(Arc::new(drawing(listing, image, text, yaml.names.len())?))
                    }
                };
                part.samples.push(Sample { name, image: image.clone(), page: None, label: Some(label) });
            }
        }
        part.samples.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.image.cmp(&b.image)));
        let mut used = BTreeSet::new();
        for sample in &mut part.samples {
            if !used.insert(sample.name.clone()) {
                sample.name = listing.show(&sample.image.with_extension(""));
            }
        }
        contents.parts.push((Some(*split), part));
    }
    let samples: usize = contents.parts.iter().map(|(_, part)| part.samples.len()).sum();
    if without > 0 && without == samples {
        return Err(refused("expected polygons in labels/NAME.txt, found no label of any image".into()));
    }
    if without > 0 {
        let have = one_or_many(without, "has no label file and is", "have no label file and are");
        contents.notes.push(format!("{} {have} all background", counted(without, "image")));
    }
    Ok(Some(contents))
}

/// What a split names.
enum Stated<'a> {
    /// A folder.
    Images(Vec<&'a PathBuf>),
    /// A list of images; of missing ones, the count and the first.
    List { images: Vec<&'a PathBuf>, missing: Option<(usize, String)> },
    /// Nothing found.
    Missing,
}

/// The images of a folder, or of a text file with a path in each line.
fn images_of<'a>(
    listing: &'a Listing,
    index: &ImageIndex<'a>,
    root: &Path,
    path: Option<&str>,
    stated: &str,
) -> Result<Stated<'a>, String> {
    if !Path::new(stated).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("txt")) {
        return Ok(match resolve(listing, root, path, stated) {
            Some(folder) => {
                let inside = listing.folders.iter().filter(|found| found.path.starts_with(&folder));
                Stated::Images(inside.flat_map(|folder| &folder.images).collect())
            }
            None => Stated::Missing,
        });
    }
    let ending = normal(stated);
    let mut lists = listing.folders.iter().flat_map(|folder| &folder.others).filter(|file| file.ends_with(&ending));
    let (Some(list), None) = (lists.next(), lists.next()) else { return Ok(Stated::Missing) };
    let (mut images, mut missing) = (Vec::new(), None);
    let path = path.unwrap_or_default().replace('\\', "/");
    let name = Path::new(&path).file_name().map_or(Path::new(""), Path::new);
    let below =
        [list.parent().unwrap_or(root).into(), joined(root, &path), root.join(name), root.into(), listing.root.clone()];
    for line in read_text(listing, list)?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match listed(index, &below, line) {
            Some(image) => images.push(image),
            None => missing.get_or_insert((0, line.to_owned())).0 += 1,
        }
    }
    Ok(Stated::List { images, missing })
}

/// The image of a line in a list: the one at this path below one of the folders; else the only one whose path ends like this;
/// else, of a dataset that was moved, the one at the end of the path below one of the folders. Only as much as names the old
/// place is left out: the folder of a split is not.
fn listed<'a>(index: &ImageIndex<'a>, below: &[PathBuf], stated: &str) -> Option<&'a PathBuf> {
    let whole = normal(stated);
    let found = below.iter().find_map(|folder| index.at(&joined(folder, stated)));
    found.or_else(|| index.only_one_at_end(&whole)).or_else(|| {
        let names: Vec<Component<'_>> = whole.components().collect();
        let ends = (0..names.len()).map(|skipped| names[skipped..].iter().collect::<PathBuf>());
        let found = ends.map(|end| below.iter().filter_map(|folder| index.at(&folder.join(&end))).collect::<Vec<_>>());
        let found = found.into_iter().find(|found| !found.is_empty())?;
        found.iter().all(|image| *image == found[0]).then_some(found[0])
    })
}

/// A path below a folder, or elsewhere, without `.` and `..`.
fn joined(folder: &Path, stated: &str) -> PathBuf {
    let stated = stated.replace('\\', "/");
    Path::new(&stated).components().fold(folder.to_owned(), |mut path, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => path.push(part),
        }
        path
    })
}

/// The names in a path, with the separators of this machine.
fn normal(stated: &str) -> PathBuf {
    let stated = stated.replace('\\', "/");
    Path::new(&stated).components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

/// The folder of a split: below the file or below its `path`. Roboflow writes `../train/images` for a folder beside the file.
fn resolve(listing: &Listing, root: &Path, path: Option<&str>, stated: &str) -> Option<PathBuf> {
    let stated = stated.replace('\\', "/");
    let stated = stated.as_str();
    let inner: PathBuf = Path::new(stated).components().filter(|part| *part != Component::ParentDir).collect();
    let path = path.unwrap_or_default().replace('\\', "/");
    let path = Path::new(&path);
    let name = path.file_name().map_or(Path::new(""), Path::new);
    let candidates = [root.join(path).join(stated), root.join(name).join(stated), root.join(stated), root.join(&inner)];
    let plain = |path: &Path| path.components().filter(|part| *part != Component::CurDir).collect::<PathBuf>();
    let folders = |path: &PathBuf| listing.folders.iter().any(|folder| plain(&folder.path) == *path);
    candidates.iter().map(|path| plain(path)).find(folders)
}

/// The path without extension of an image's partner: its folder `images` is called `name` instead.
fn beside(image: &Path, name: &str) -> PathBuf {
    let parts: Vec<Component<'_>> = image.components().collect();
    let at = parts.iter().rposition(|part| part.as_os_str() == "images");
    let swapped: PathBuf = parts
        .iter()
        .enumerate()
        .map(|(index, part)| if Some(index) == at { Path::new(name) } else { Path::new(part) })
        .collect();
    swapped.with_extension("")
}

fn drawing(listing: &Listing, image: &Path, file: PathBuf, names: usize) -> Result<Drawing, String> {
    let text = if file.is_file() { read_text(listing, &file)? } else { String::new() };
    let mut shapes = Vec::new();
    for (line, text) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let refused = |found: String| format!("Ultralytics {}, line {}: {found}", listing.show(&file), line + 1);
        let mut fields = text.split_whitespace();
        let class = fields.next().and_then(|class| class.parse::<usize>().ok()).filter(|&class| class < names);
        let class =
            class.ok_or_else(|| refused(format!("expected a class from 0 to {}, found {text:?}", names - 1)))?;
        let numbers: Result<Vec<f64>, _> = fields.map(str::parse).collect();
        let numbers = numbers.ok().filter(|numbers| numbers.iter().all(|number| number.is_finite()));
        let numbers = numbers.ok_or_else(|| refused(format!("expected numbers, found {text:?}")))?;
        let (corners, rest) = numbers.as_chunks::<2>();
        if numbers.len() == 4 {
            return Err(refused("expected a polygon, found a box".into()));
        }
        if !rest.is_empty() || corners.len() < 3 {
            return Err(refused(format!("expected x and y of at least 3 corners, found {} numbers", numbers.len())));
        }
        let outline = Outline::Polygons(vec![corners.to_vec()]);
        shapes.push(Shape { value: classes::drawn_value(class), outline });
    }
    Ok(Drawing { file, size: DrawingSize::SharesOf(image.into()), shapes })
}

/// What a YAML file lacks that has some keys of a dataset, but not all.
pub(super) fn incomplete(text: &str) -> Option<String> {
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    if !has("train:") && !has("names:") {
        return None;
    }
    let yaml = match DataYaml::parse(text) {
        Ok(yaml) => yaml,
        Err(problem) => return Some(format!("cannot be used: {problem}")),
    };
    let missing = [("names", yaml.names.is_empty()), ("train or val", yaml.splits.is_empty())];
    let missing: Vec<&str> = missing.into_iter().filter(|(_, is_missing)| *is_missing).map(|(key, _)| key).collect();
    (!missing.is_empty()).then(|| format!("has no value for {}", missing.join(", nor for ")))
}

impl DataYaml {
    /// Reads the top-level keys; names as a list or as a map, in either style of YAML. Other keys are passed over.
    fn parse(text: &str) -> Result<Self, String> {
        let mut yaml = Self::default();
        let mut names: BTreeMap<usize, String> = BTreeMap::new();
        let mut key = String::new();
        for line in text.lines() {
            let line = line.split_once(" #").map_or(line, |(line, _)| line);
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let nested = line.starts_with([' ', '\t']) || content.starts_with("- ");
            let value = if nested {
                content
            } else {
                let Some((name, value)) = content.split_once(':') else { continue };
                name.clone_into(&mut key);
                value.trim()
            };
            let split = match key.as_str() {
                "train" => Some(Split::Train),
                "val" => Some(Split::Val),
                "test" => Some(Split::Test),
                _ => None,
            };
            let inner = value.trim_start_matches(['[', '{']).trim_end_matches([']', '}']);
            if key == "names" {
                let items: Vec<&str> = if nested && !content.contains(['[', '{']) && !content.ends_with(',') {
                    vec![value]
                } else {
                    inner.split(',').collect()
                };
                for item in items.into_iter().map(str::trim).filter(|item| !item.is_empty()) {
                    let item = item.strip_prefix("- ").unwrap_or(item);
                    let stated = item.split_once(':').and_then(|(id, name)| Some((id.trim().parse().ok()?, name)));
                    let (id, name) = stated.unwrap_or((names.len(), item));
                    names.insert(id, unquoted(name));
                }
            } else if let Some(split) = split {
                let item = inner.strip_prefix("- ").unwrap_or(inner);
                let items: Vec<String> =
                    item.split(',').map(unquoted).filter(|item| !item.is_empty() && item != "null").collect();
                match yaml.splits.last_mut() {
                    Some((last, folders)) if *last == split => folders.extend(items),
                    _ if items.is_empty() && !value.is_empty() => {}
                    _ => yaml.splits.push((split, items)),
                }
            } else if !nested && key == "path" {
                yaml.path = Some(unquoted(value)).filter(|path| !path.is_empty());
            } else if !nested && key == "masks_dir" {
                yaml.masks_dir = Some(unquoted(value)).filter(|path| !path.is_empty());
            }
        }
        yaml.splits.retain(|(_, folders)| !folders.is_empty());
        if names.keys().copied().ne(0..names.len()) {
            return Err(format!("names: expected the ids 0 to {}, found {:?}", names.len() - 1, names.keys()));
        }
        yaml.names = names.into_values().collect();
        Ok(yaml)
    }
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches(['\'', '"']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::testing::{Folder, assert_equal_to_plain, gray, labels_of};
    use image::{GrayImage, Luma};

    #[test]
    fn names_in_each_style() {
        let expected = ["bar", "disc of metal"].map(str::to_owned).to_vec();
        for names in [
            "names: ['bar', 'disc of metal']",
            "names: [bar, disc of metal]",
            "names:\n  0: bar\n  1: disc of metal  # round\n",
            "names:\n- bar\n- 'disc of metal'\n",
            "names:\n  - bar\n  - disc of metal\nnc: 2",
            "names: {0: bar, 1: \"disc of metal\"}",
            "names:\n  1: disc of metal\n  0: bar",
        ] {
            let yaml = DataYaml::parse(&format!("train: images/train\n{names}\nkpt_shape: [3, 2]\n")).unwrap();
            assert_eq!(yaml.names, expected, "{names}");
            assert_eq!(yaml.splits, [(Split::Train, vec!["images/train".to_owned()])]);
        }
        let yaml =
            DataYaml::parse("path: ../x\ntrain:\n  - a\n  - b\nval: [c]\ntest:\nmasks_dir: masks\nnames: [a]").unwrap();
        let of = |folders: &[&str]| folders.iter().map(|folder| (*folder).to_owned()).collect::<Vec<_>>();
        assert_eq!(yaml.splits, [(Split::Train, of(&["a", "b"])), (Split::Val, of(&["c"]))]);
        assert_eq!((yaml.path.as_deref(), yaml.masks_dir.as_deref()), (Some("../x"), Some("masks")));
        assert!(DataYaml::parse("names:\n  0: a\n  2: b").unwrap_err().contains("expected the ids 0 to 1"));
    }

    #[test]
    fn polygons_and_images_without_labels() {
        for (yaml, images) in [
            ("path: ../datasets/parts\ntrain: images/train\nval: images/val\n", "images/SPLIT"),
            ("train: ../train/images\nval: ../valid/images\n", "SPLIT/images"),
        ] {
            let (folder, plain) = (Folder::new(), Folder::new());
            folder.text("data.yaml", &format!("{yaml}names:\n  0: bar\n  1: disc\n"));
            for (split, name) in [("train", "a"), ("train", "empty"), ("val", "b")] {
                let below = images
                    .replace("SPLIT", if images.starts_with("SPLIT") && split == "val" { "valid" } else { split });
                folder.image(&format!("{below}/{name}.jpg"));
                if name != "empty" {
                    let text = "1 0 0 1 0 1 1 0 1\n0 0.5 0 1 0 1 0.5 0.5 0.5\n";
                    folder.text(&format!("{}/{name}.txt", below.replace("images", "labels")), text);
                }
                plain.image(&format!("{split}/images/{name}.jpg"));
                let mask = GrayImage::from_fn(4, 4, |x, y| match (x, y) {
                    _ if name == "empty" => Luma([0]),
                    (2.., 0..2) => Luma([1]),
                    _ => Luma([2]),
                });
                mask.save(plain.path(&format!("{split}/masks/{name}.png"))).unwrap();
            }
            let dataset = folder.open();
            assert_eq!(dataset.layout.name(), "ultralytics", "{yaml}");
            assert_equal_to_plain(&dataset, &plain.open());
            assert_eq!(labels_of(&dataset).names(), ["background", "bar", "disc"]);
            assert_eq!(dataset.notes, ["1 image has no label file and is all background"]);
        }
    }

    #[test]
    fn lists_of_images_and_windows_paths() {
        let (lists, folders) = (Folder::new(), Folder::new());
        lists.text("data.yaml", "path: C:\\data\\parts\ntrain: train.txt\nval: val.txt\nnames: [bar]\n");
        lists.text("train.txt", "./images/all/a.jpg\nC:\\data\\parts\\images\\all\\b.jpg\n./images/all/gone.jpg\n");
        lists.text("val.txt", "/home/me/parts/images/all/c.jpg\n");
        folders.text("data.yaml", "path: C:\\data\ntrain: images\\train\nval: images\\val\nnames: [bar]\n");
        for (split, name) in [("train", "a"), ("train", "b"), ("val", "c")] {
            for (folder, below) in [(&lists, "all"), (&folders, split)] {
                folder.image(&format!("images/{below}/{name}.jpg"));
                folder.text(&format!("labels/{below}/{name}.txt"), "0 0 0 1 0 1 0.5 0 0.5\n");
            }
        }
        let dataset = lists.open();
        assert_equal_to_plain(&dataset, &folders.open());
        assert_eq!((dataset.train.len(), dataset.val.len()), (2, 1));
        assert_eq!(dataset.notes, ["1 image of train.txt is missing (first: ./images/all/gone.jpg)"]);
    }

    #[test]
    fn lists_do_not_name_the_images_of_other_folders() {
        let folder = Folder::new();
        folder.text("data.yaml", "path: .\ntrain: lists/train.txt\nval: lists/val.txt\nnames: [bar]\n");
        let name = |split: &str, name: &str| format!("images/{split}/{name}.jpg");
        for (split, stem) in
            [("train", "a"), ("train", "b"), ("train", "c"), ("val", "a"), ("val", "d"), ("lists", "d")]
        {
            folder.image(&name(split, stem));
            folder.text(&format!("labels/{split}/{stem}.txt"), "0 0 0 1 0 1 0.5 0 0.5\n");
        }
        folder.image("lists/images/val/d.jpg");
        folder
            .text("lists/train.txt", "../images/train/a.jpg\nimages/train/b.jpg\n/home/me/parts/images/train/c.jpg\n");
        for (lines, listed, missing) in [
            (vec!["../images/val/a.jpg"], vec!["images/val/a.jpg"], None),
            (vec!["/home/me/parts/images/val/a.jpg"], vec!["images/val/a.jpg"], None),
            (vec!["C:\\parts\\images\\val\\a.jpg"], vec!["images/val/a.jpg"], None),
            // Only in the other folder, and in both.
            (vec!["../images/val/a.jpg", "../images/val/b.jpg"], vec!["images/val/a.jpg"], Some("../images/val/b.jpg")),
            (vec!["images/val/a.jpg", "/me/images/val/b.jpg"], vec!["images/val/a.jpg"], Some("/me/images/val/b.jpg")),
            (vec!["images/val/a.jpg", "a.jpg"], vec!["images/val/a.jpg"], Some("a.jpg")),
            // As it is written, of two.
            (vec!["../images/val/d.jpg"], vec!["images/val/d.jpg"], None),
            (vec!["./images/val/d.jpg"], vec!["lists/images/val/d.jpg"], None),
        ] {
            folder.text("lists/val.txt", &lines.join("\n"));
            let dataset = folder.open();
            let images = |samples: &[Sample]| -> Vec<String> {
                samples.iter().map(|sample| crate::listing::show_below(folder.root(), &sample.image)).collect()
            };
            assert_eq!(images(&dataset.train), ["a", "b", "c"].map(|stem| name("train", stem)), "{lines:?}");
            assert_eq!(images(&dataset.val), listed, "{lines:?}");
            let told =
                dataset.notes.iter().find_map(|note| note.split_once("1 image of lists/val.txt is missing (first: "));
            assert_eq!(told.map(|(_, first)| first.trim_end_matches(')')), missing, "{:?}", dataset.notes);
        }
    }

    #[test]
    fn masks_hold_class_ids() {
        let folder = Folder::new();
        folder.text(
            "data.yaml",
            "path: .\ntrain: images/train\nval: images/val\nmasks_dir: masks\nnames: [floor, bar]\n",
        );
        for (split, name) in [("train", "a"), ("val", "b")] {
            folder.image(&format!("images/{split}/{name}.jpg"));
            gray(1, &[(0, 0, 0), (1, 1, 255)]).save(folder.path(&format!("masks/{split}/{name}.png"))).unwrap();
        }
        let dataset = folder.open();
        let map = labels_of(&dataset);
        assert_eq!((dataset.train.len(), map.names()), (1, vec!["floor".to_owned(), "bar".to_owned()]));
        assert_eq!(map.ignore, [LabelValue::Gray(255)]);
    }

    #[test]
    fn what_is_no_polygon_is_named() {
        let refused = |label: &str, expected: &str| {
            let folder = Folder::new();
            folder.text("data.yaml", "train: images\nnames: [bar]\n");
            folder.image("images/a.jpg");
            folder.text("labels/a.txt", label);
            let message = folder.try_open().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        refused("0 0.1 0.2 0.3 0.4", "labels/a.txt, line 1: expected a polygon, found a box");
        refused("\n1 0 0 1 0 1 1", "labels/a.txt, line 2: expected a class from 0 to 0");
        refused("0 0 0 1 0 1", "found 5 numbers");
        refused("0 0 0 1 0 NaN 1", "expected numbers");
    }
}
