//! PASCAL VOC, and CVAT's "Segmentation mask": `JPEGImages` beside `SegmentationClass`, with lists of stems in
//! `ImageSets/Segmentation`.
//!
//! CVAT's `labelmap.txt` (`name:red,green,blue::`) names the classes, in the order of the palette; labelme2voc's
//! `class_names.txt` (a name a line) does as well. The border of VOC's objects, "void", is ignored: the palette index 255,
//! or the colour that VOC gives it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use unet_shared::label::LabelValue;

use super::{Contents, Format, classes, only_folder, only_root, read_text, subfolder};
use crate::counted::{counted, one_or_many};
use crate::dataset_file::{ClassSpec, DatasetFile};
use crate::listing::{Folder, Kind, Listing, has_image_extension, split_of};
use crate::pairing::{Pairing, PairingProblem, pair_by_keys, stem};
use crate::sample::{Sample, Split};

pub(super) static FORMAT: Format = Format {
    name: "voc",
    description: "PASCAL VOC or CVAT, split by the lists of ImageSets/Segmentation",
    patterns: &[
        "DATA/JPEGImages/NAME.* with DATA/SegmentationClass/NAME.png (PASCAL VOC, CVAT; ImageSets/Segmentation/{train,val}.txt for the split)",
    ],
    read,
};

const VOID: u16 = 255;
const VOID_COLOUR: [u8; 3] = [224, 224, 192];

fn read(listing: &Listing) -> Result<Option<Contents>, String> {
    let roots = listing
        .folders
        .iter()
        .filter(|folder| images_folder(listing, folder).is_some() && masks_folder(listing, folder).is_some());
    let Some(root) = only_root(listing, roots, "PASCAL VOC")? else { return Ok(None) };
    let (Some(images), Some(masks)) = (images_folder(listing, root), masks_folder(listing, root)) else {
        return Ok(None);
    };
    let (image_files, mask_files) = (listing.images_below(images), listing.images_below(masks));
    let key_below = |folder: &Folder| {
        let folder = folder.path.clone();
        move |path: &Path| key(path.strip_prefix(&folder).unwrap_or(path))
    };
    let pairing = pair_by_keys(&image_files, &mask_files, key_below(images), key_below(masks));
    let mut contents = Contents { companions: companions(listing, root), ..Contents::default() };
    // Boxes in XML, and arrays of labelme2voc.
    let below = listing.folders.iter().filter(|folder| folder.path != root.path && folder.path.starts_with(&root.path));
    contents.read.extend(below.flat_map(|folder| &folder.others).cloned());
    let lists = lists(listing, root)?;
    split(pairing, lists, key_below(images), &mut contents);
    let labels = contents.parts.iter().flat_map(|(_, pairing)| &pairing.samples).filter_map(|s| s.label.as_ref());
    let colours = classes::are_colours(labels);
    contents.classes = Some(class_list(listing, root, colours, &mut contents.read)?);
    Ok(Some(contents))
}

/// `JPEGImages`; beside a `labelmap.txt` the only other folder called images, since CVAT exports masks without images too.
fn images_folder<'a>(listing: &'a Listing, root: &Folder) -> Option<&'a Folder> {
    let has_map = root.others.iter().any(|path| path.ends_with("labelmap.txt"));
    subfolder(listing, root, "JPEGImages").or_else(|| {
        let beside = |folder: &&Folder| {
            let is_beside = folder.path.parent() == Some(&root.path) && folder.kind == Some(Kind::Images);
            // `ImageSets` has only lists.
            is_beside && !listing.images_below(folder).is_empty()
        };
        only_folder(listing.folders.iter().filter(|_| has_map).filter(beside))
    })
}

/// `SegmentationClass`, or `SegmentationClassPNG` of older versions of labelme2voc.
fn masks_folder<'a>(listing: &'a Listing, root: &Folder) -> Option<&'a Folder> {
    let names = ["SegmentationClass", "SegmentationClassPNG"];
    let folders = names.iter().filter_map(|name| subfolder(listing, root, name));
    folders.into_iter().find(|folder| !listing.images_below(folder).is_empty())
}

/// Files of the format that are not masks of classes.
fn companions(listing: &Listing, root: &Folder) -> Vec<PathBuf> {
    let names = ["SegmentationObject", "SegmentationObjectPNG", "SegmentationClassVisualization"];
    let folders = names.iter().filter_map(|name| subfolder(listing, root, name));
    folders.flat_map(|folder| listing.images_below(folder)).collect()
}

/// A path without its extension, with forward slashes and in lower case.
fn key(path: &Path) -> String {
    path.with_extension("").to_string_lossy().replace('\\', "/").to_lowercase()
}

/// The stems of each split. Lists with other names, such as CVAT's `default.txt`, are used if no list is named after a split.
fn lists(listing: &Listing, root: &Folder) -> Result<BTreeMap<Option<Split>, BTreeSet<String>>, String> {
    let folder = root.path.join("ImageSets").join("Segmentation");
    let files = listing.folders.iter().filter(|found| found.path == folder).flat_map(|found| &found.others);
    let mut lists: BTreeMap<Option<Split>, BTreeSet<String>> = BTreeMap::new();
    for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "txt")) {
        let split = split_of(&stem(path).to_lowercase());
        let text = read_text(listing, path)?;
        // A line may state 1 or -1 after the stem, and CVAT may write an extension.
        let names = text.lines().filter_map(|line| line.split_whitespace().next());
        let names = names.map(|name| {
            let name = Path::new(name.trim_start_matches('/'));
            if has_image_extension(name) { key(name) } else { name.to_string_lossy().to_lowercase() }
        });
        lists.entry(split).or_default().extend(names);
    }
    if lists.keys().any(Option::is_some) {
        lists.remove(&None);
    }
    let stated: Vec<(&Option<Split>, &BTreeSet<String>)> = lists.iter().collect();
    for (at, (split, names)) in stated.iter().enumerate() {
        for (other, others) in &stated[at + 1..] {
            if let (Some(split), Some(other), Some(name)) = (split, other, names.intersection(others).next()) {
                let folder = listing.show(&folder);
                return Err(format!(
                    "{folder}: expected each name in one list, found {name} in both {split} and {other}"
                ));
            }
        }
    }
    Ok(lists)
}

/// Divides the pairs by the lists. Pairs that no list names are not used.
fn split(
    pairing: Pairing,
    lists: BTreeMap<Option<Split>, BTreeSet<String>>,
    key: impl Fn(&Path) -> String,
    contents: &mut Contents,
) {
    if lists.is_empty() {
        contents.parts.push((None, pairing));
        return;
    }
    let Pairing { samples, mut problems, .. } = pairing;
    let mut samples: BTreeMap<String, Sample> =
        samples.into_iter().map(|sample| (key(&sample.image), sample)).collect();
    let (mut missing, mut first) = (0, None);
    for (split, names) in lists {
        let mut part = Pairing::default();
        for name in names {
            match samples.remove(&name) {
                Some(sample) => part.samples.push(sample),
                None => {
                    missing += 1;
                    first.get_or_insert(name);
                }
            }
        }
        part.samples.sort_by(|a, b| a.name.cmp(&b.name));
        contents.parts.push((split, part));
    }
    if let Some(first) = first {
        let have = one_or_many(missing, "has", "have");
        let names = counted(missing, "name");
        contents.notes.push(format!("{names} of the lists {have} no image with a mask (first: {first})"));
    }
    if !samples.is_empty() {
        let are = one_or_many(samples.len(), "is", "are");
        contents
            .notes
            .push(format!("{} {are} not in any list of ImageSets/Segmentation", counted(samples.len(), "pair")));
    }
    contents.companions.extend(samples.into_values().flat_map(|sample| {
        let label = sample.label.map(|label| label.path().to_owned());
        std::iter::once(sample.image).chain(label)
    }));
    // Most images of VOC have boxes only.
    let unpaired = problems.iter().filter(|problem| problem.is_unpaired_image()).count();
    if unpaired > 0 {
        let have = one_or_many(unpaired, "has", "have");
        contents.notes.push(format!("{} of JPEGImages {have} no mask", counted(unpaired, "image")));
        let (images, rest): (Vec<_>, Vec<_>) = problems.into_iter().partition(|problem| problem.is_unpaired_image());
        contents.companions.extend(images.iter().flat_map(PairingProblem::files).cloned());
        problems = rest;
    }
    if let Some((_, part)) = contents.parts.first_mut() {
        part.problems = problems;
    }
}

/// The classes of `labelmap.txt` or `class_names.txt`, and the value of void.
fn class_list(listing: &Listing, root: &Folder, colours: bool, read: &mut Vec<PathBuf>) -> Result<DatasetFile, String> {
    let mut file = DatasetFile::default();
    let void = if colours { LabelValue::Rgb(VOID_COLOUR) } else { LabelValue::Gray(VOID) };
    let other = |name: &str| root.others.iter().find(|path| path.file_name().is_some_and(|found| found == name));
    if let Some(path) = other("labelmap.txt") {
        let text = read_text(listing, path)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for (index, line) in lines.enumerate() {
            let refused =
                || format!("{}: expected NAME:RED,GREEN,BLUE:: in each line, found {line:?}", listing.show(path));
            let mut fields = line.split(':');
            let (name, colour) = fields.next().zip(fields.next()).ok_or_else(refused)?;
            let rgb: Result<Vec<u8>, _> = colour.split(',').map(|number| number.trim().parse()).collect();
            let rgb = rgb.ok().and_then(|rgb| <[u8; 3]>::try_from(rgb).ok()).ok_or_else(refused)?;
            let id = u16::try_from(index).map_err(|_| refused())?;
            let value = if colours { LabelValue::Rgb(rgb) } else { LabelValue::Gray(id) };
            file.classes.push(ClassSpec { color: Some(LabelValue::Rgb(rgb)), ..classes::class(name, value) });
        }
        read.push(path.clone());
    } else if let Some(path) = other("class_names.txt").filter(|_| !colours) {
        let text = read_text(listing, path)?;
        let names = text.lines().map(str::trim).filter(|name| !name.is_empty() && *name != "__ignore__");
        file.classes
            .extend(names.zip(0u16..).map(|(name, id)| classes::class(name.trim_matches('_'), LabelValue::Gray(id))));
        read.push(path.clone());
    }
    let is_class = file.classes.iter().any(|class| class.value == Some(void));
    file.ignore = Some(if is_class { Vec::new() } else { vec![void] });
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;
    use crate::layout::testing::{Folder, assert_equal_to_plain, gray, labels_of};
    use image::{Rgb, RgbImage};

    fn voc(folder: &Folder, root: &str) {
        for (name, value) in [("a", 1), ("b", 2), ("c", 0), ("d", 1)] {
            folder.image(&format!("{root}JPEGImages/{name}.jpg"));
            gray(value, &[(0, 0, 255)]).save(folder.path(&format!("{root}SegmentationClass/{name}.png"))).unwrap();
            gray(value, &[]).save(folder.path(&format!("{root}SegmentationObject/{name}.png"))).unwrap();
        }
    }

    #[test]
    fn lists_split_and_void_is_ignored() {
        let folder = Folder::new();
        voc(&folder, "VOCdevkit/VOC2012/");
        folder.text("VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt", "a\nb\n");
        folder.text("VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt", "c\nz\n");
        folder.text("VOCdevkit/VOC2012/ImageSets/Segmentation/trainval.txt", "a\nb\nc\n");
        folder.image("VOCdevkit/VOC2012/JPEGImages/boxes_only.jpg");
        let dataset = folder.open();
        assert_eq!(dataset.layout.name(), "voc");
        assert_eq!([dataset.train.len(), dataset.val.len()], [2, 1]);
        assert_eq!(dataset.file.clone().unwrap().ignore, Some(vec![LabelValue::Gray(255)]));
        let notes = dataset.notes.join("; ");
        for expected in [
            "1 name of the lists has no image with a mask (first: z)",
            "1 pair is not in any list of ImageSets/Segmentation",
            "1 image of JPEGImages has no mask",
        ] {
            assert!(notes.contains(expected), "{notes}");
        }
        let plain = Folder::new();
        for (split, name, value) in [("train", "a", 1), ("train", "b", 2), ("val", "c", 0)] {
            plain.image(&format!("{split}/images/{name}.jpg"));
            gray(value, &[(0, 0, 255)]).save(plain.path(&format!("{split}/masks/{name}.png"))).unwrap();
        }
        plain.text("dataset.toml", "ignore = 255");
        assert_equal_to_plain(&dataset, &plain.open());
    }

    #[test]
    fn names_of_cvat_belong_to_colours_or_indices() {
        let folder = Folder::new();
        voc(&folder, "");
        folder.text(
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndisc:250,50,83::\nbar:50,183,250::\n",
        );
        folder.text("ImageSets/Segmentation/default.txt", "a\nb\nc\nd\n");
        let dataset = folder.open();
        assert_eq!([dataset.train.len(), dataset.val.len()], [3, 1]);
        assert_eq!(labels_of(&dataset).names(), ["background", "disc", "bar"]);
        let value = |dataset: &Dataset, class: usize| dataset.file.as_ref().unwrap().classes[class].value;
        assert_eq!(value(&dataset, 2), Some(LabelValue::Gray(2)));
        std::fs::rename(folder.path("JPEGImages"), folder.root().join("imgs")).unwrap();
        for name in ["a", "b", "c", "d"] {
            let mask = RgbImage::from_fn(4, 4, |x, _| if x > 1 { Rgb([50, 183, 250]) } else { Rgb([224, 224, 192]) });
            mask.save(folder.path(&format!("SegmentationClass/{name}.png"))).unwrap();
        }
        let dataset = folder.open();
        assert_eq!(value(&dataset, 2), Some(LabelValue::Rgb([50, 183, 250])));
        assert_eq!(labels_of(&dataset).ignore, [LabelValue::Rgb([224, 224, 192])]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = Folder::new();
        voc(&folder, "");
        let refused = |folder: &Folder, expected: &str| {
            let message = folder.try_open().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        folder.text("labelmap.txt", "disc 250,50,83\n");
        refused(&folder, "labelmap.txt: expected NAME:RED,GREEN,BLUE:: in each line, found \"disc 250,50,83\"");
        folder.text("labelmap.txt", "");
        folder.text("ImageSets/Segmentation/train.txt", "a\nb\n");
        folder.text("ImageSets/Segmentation/val.txt", "b\n");
        refused(&folder, "found b in both train and val");
        voc(&folder, "second/");
        refused(&folder, "both PASCAL VOC datasets");
    }
}
