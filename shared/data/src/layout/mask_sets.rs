//! A mask for each class or object of an image: `masks/NAME_CLASS.png`, `masks/CLASS/NAME.png`, or a folder for each image
//! with `images/NAME.png` and `masks/*.png`.
//!
//! In each mask the part is every value but 0. Overlaps are decided by the order of the names, later over earlier. Masks
//! that are numbered, or that have a folder for each image, are objects of one class.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Contents, Format, classes, image_folders, only_folder};
use crate::annotation::{Annotation, PartMask};
use crate::listing::{Kind, Listing, words};
use crate::pairing::{Pairing, PairingProblem, pair, stem};
use crate::sample::{Sample, Split};

pub(super) static FORMAT: Format = Format {
    name: "mask_sets",
    description: "a mask for each class or object",
    patterns: &[
        "DATA/images/NAME.* with DATA/masks/NAME_CLASS.*, DATA/masks/CLASS/NAME.* or, for objects, NAME_NUMBER.*",
    ],
    read,
};

/// The class of objects that have no name.
const OBJECT: &str = "object";

/// The masks of each image, each with the name of its class; none for an object.
type Parts = BTreeMap<PathBuf, Vec<(PathBuf, Option<String>)>>;

fn read(listing: &Listing) -> Result<Option<Contents>, String> {
    if let Some(parts) = folder_for_each_image(listing) {
        let parts = vec![(None, parts, Vec::new())];
        return contents(listing, parts).map(Some);
    }
    let mut parts = Vec::new();
    for split in [None, Some(Split::Train), Some(Split::Val), Some(Split::Test)] {
        let of_kind =
            |kind| image_folders(listing).filter(move |folder| folder.kind == Some(kind) && folder.split == split);
        let (Some(images), Some(masks)) = (only_folder(of_kind(Kind::Images)), only_folder(of_kind(Kind::Masks)))
        else {
            continue;
        };
        let below = listing
            .folders
            .iter()
            .filter(|folder| !folder.known && folder.path.parent() == Some(&masks.path) && !folder.images.is_empty());
        let by_class: Vec<_> = below.collect();
        let found = if masks.images.is_empty() && by_class.len() > 1 {
            let mut found = Parts::new();
            let mut left = Vec::new();
            for folder in by_class {
                let pairing = pair(&images.images, &folder.images);
                // A folder of the same name among the images is one of nested pairs, not a class.
                if pairing.samples.is_empty() {
                    return Ok(None);
                }
                let class = folder.path.file_name().map(|name| name.to_string_lossy().into_owned());
                for Sample { image, label, .. } in pairing.samples {
                    let mask = label.map(|label| label.path().to_owned()).unwrap_or_default();
                    found.entry(image).or_default().push((mask, class.clone()));
                }
                left.extend(pairing.problems.into_iter().filter(|problem| !problem.is_unpaired_image()));
            }
            // Masks of different images in each folder are not their classes.
            found.values().any(|masks| masks.len() > 1).then_some((found, left))
        } else {
            masks_with_endings(&images.images, &masks.images)
        };
        if let Some((found, mut left)) = found {
            let unpaired = images.images.iter().filter(|image| !found.contains_key(*image));
            left.extend(unpaired.cloned().map(PairingProblem::UnpairedImage));
            parts.push((split, found, left));
        }
    }
    if parts.is_empty() { Ok(None) } else { contents(listing, parts).map(Some) }
}

/// Masks whose stems begin with the stem of an image; none if any mask has the name of an image, or no image has two masks.
fn masks_with_endings(images: &[PathBuf], masks: &[PathBuf]) -> Option<(Parts, Vec<PairingProblem>)> {
    if images.is_empty() || masks.len() < 2 || !pair(images, masks).samples.is_empty() {
        return None;
    }
    let stems: BTreeMap<String, &PathBuf> = images.iter().map(|image| (stem(image).to_lowercase(), image)).collect();
    let (mut found, mut left) = (Parts::new(), Vec::new());
    for mask in masks {
        let name = stem(mask);
        let lower = name.to_lowercase();
        // The longest stem: `a_1_bar` belongs to `a_1`, not to `a`.
        let ends = lower.char_indices().rev().filter(|(_, character)| "_-. ".contains(*character));
        let image = ends.filter_map(|(at, _)| Some((*stems.get(&lower[..at])?, at))).next();
        match image {
            Some((image, at)) => {
                let ending = name.get(at + 1..).unwrap_or_default();
                let is_word = !ending.is_empty()
                    && !words(ending).iter().all(|word| word.parse::<u32>().is_ok() || word == "mask");
                found.entry(image.clone()).or_default().push((mask.clone(), is_word.then(|| ending.to_owned())));
            }
            None => left.push(PairingProblem::UnpairedMask(mask.clone())),
        }
    }
    let several = found.values().any(|masks| masks.len() > 1);
    // A class occurs with several images; an ending of each mask's own is part of its name.
    let endings: BTreeSet<&Option<String>> = found.values().flatten().map(|(_, class)| class).collect();
    let masks: usize = found.values().map(Vec::len).sum();
    (several && (found.len() == 1 || endings.len() < masks)).then_some((found, left))
}

/// A folder with one image and its masks for each image, as in the Data Science Bowl 2018.
fn folder_for_each_image(listing: &Listing) -> Option<Parts> {
    let mut parts = Parts::new();
    for folder in &listing.folders {
        let below = |kind| {
            let found =
                listing.folders.iter().filter(move |below| below.kind == Some(kind) && !below.images.is_empty());
            only_folder(found.filter(|below| below.path.parent() == Some(&folder.path)))
        };
        let (Some(images), Some(masks)) = (below(Kind::Images), below(Kind::Masks)) else { continue };
        let [image] = images.images.as_slice() else { continue };
        if folder.known || masks.images.iter().any(|mask| stem(mask) == stem(image)) {
            continue;
        }
        parts.insert(image.clone(), masks.images.iter().map(|mask| (mask.clone(), None)).collect());
    }
    parts.values().any(|masks| masks.len() > 1).then_some(parts)
}

fn contents(listing: &Listing, parts: Vec<(Option<Split>, Parts, Vec<PairingProblem>)>) -> Result<Contents, String> {
    let named = parts.iter().flat_map(|(_, found, _)| found.values().flatten()).map(|(_, class)| class.as_deref());
    let names: BTreeSet<&str> = named.map(|class| class.unwrap_or(OBJECT)).collect();
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let mut contents = Contents { classes: Some(classes::drawn(&names)?), ..Contents::default() };
    let masks: usize = parts.iter().flat_map(|(_, found, _)| found.values()).map(Vec::len).sum();
    contents.notes.push(format!(
        "{masks} masks are parts of their images, of class {}; where they overlap, the later name counts",
        names.join(", ")
    ));
    for (split, found, problems) in parts {
        let mut stems: BTreeMap<String, usize> = BTreeMap::new();
        found.keys().for_each(|image| *stems.entry(stem(image)).or_default() += 1);
        let value = |class: Option<&str>| {
            let index = names.iter().position(|name| name == class.unwrap_or(OBJECT));
            classes::drawn_value(index.unwrap_or_default())
        };
        let sample = |(image, masks): (PathBuf, Vec<(PathBuf, Option<String>)>)| {
            let part = |(path, class): (PathBuf, Option<String>)| PartMask {
                path,
                value: value(class.as_deref()),
                soft: false,
            };
            let label = Some(Annotation::Masks(masks.into_iter().map(part).collect()));
            Sample { name: name_of(listing, &image, &stems), image, page: None, label }
        };
        let mut samples: Vec<Sample> = found.into_iter().map(sample).collect();
        samples.sort_by(|a, b| a.name.cmp(&b.name));
        contents.parts.push((split, Pairing { samples, problems, notes: Vec::new() }));
    }
    Ok(contents)
}

/// The stem; of images in folders of their own that share one, with the path.
fn name_of(listing: &Listing, image: &Path, stems: &BTreeMap<String, usize>) -> String {
    let name = stem(image);
    if stems.get(&name).is_some_and(|&images| images > 1) { listing.show(&image.with_extension("")) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::testing::{Folder, assert_equal_to_plain, gray, labels_of};

    fn plain(values: &[(&str, u8, u8)]) -> Folder {
        let plain = Folder::new();
        for (name, left, right) in values {
            plain.image(&format!("images/{name}.png"));
            let mut mask = gray(0, &[]);
            for y in 0..4 {
                mask.put_pixel(0, y, image::Luma([*left]));
                mask.put_pixel(3, y, image::Luma([*right]));
            }
            mask.save(plain.path(&format!("masks/{name}.png"))).unwrap();
        }
        plain
    }

    fn column(x: u32) -> image::GrayImage {
        image::GrayImage::from_fn(4, 4, |column, _| image::Luma([if column == x { 255 } else { 0 }]))
    }

    #[test]
    fn a_mask_for_each_class_by_ending_or_by_folder() {
        for mask in [
            |name: &str, class: &str| format!("masks/{name}_{class}.png"),
            |name: &str, class: &str| format!("masks/{class}/{name}.png"),
        ] {
            let folder = Folder::new();
            for name in ["p0", "p1", "p10"] {
                folder.image(&format!("images/{name}.png"));
                column(0).save(folder.path(&mask(name, "bar"))).unwrap();
                if name != "p1" {
                    column(3).save(folder.path(&mask(name, "disc"))).unwrap();
                }
            }
            let dataset = folder.open();
            assert_eq!((dataset.layout.name(), dataset.problems.len()), ("mask_sets", 0));
            assert_equal_to_plain(&dataset, &plain(&[("p0", 1, 2), ("p1", 1, 0), ("p10", 1, 2)]).open());
            assert_eq!(labels_of(&dataset).names(), ["background", "bar", "disc"]);
            assert!(dataset.notes[0].starts_with("5 masks are parts of their images, of class bar, disc"));
        }
    }

    #[test]
    fn a_mask_for_each_object_by_number_or_by_folder() {
        let numbered = Folder::new();
        let folders = Folder::new();
        for name in ["a", "b"] {
            numbered.image(&format!("images/{name}.png"));
            folders.image(&format!("{name}/images/{name}.png"));
            for (index, x) in [(1, 0), (2, 3)] {
                column(x).save(numbered.path(&format!("masks/{name}_{index}.png"))).unwrap();
                column(x).save(folders.path(&format!("{name}/masks/{index}f3.png"))).unwrap();
            }
        }
        for folder in [numbered, folders] {
            let dataset = folder.open();
            assert_equal_to_plain(&dataset, &plain(&[("a", 1, 1), ("b", 1, 1)]).open());
            assert_eq!(labels_of(&dataset).names(), ["background", "object"]);
        }
    }

    #[test]
    fn what_belongs_to_no_image_is_a_problem() {
        let folder = Folder::new();
        folder.image("images/a.png");
        folder.image("images/b.png");
        for name in ["a_bar", "a_disc", "c_bar"] {
            column(0).save(folder.path(&format!("masks/{name}.png"))).unwrap();
        }
        let problems = folder.open().problems;
        assert!(
            matches!(&problems[..], [PairingProblem::UnpairedMask(_), PairingProblem::UnpairedImage(_)]),
            "{problems:?}"
        );
    }
}
