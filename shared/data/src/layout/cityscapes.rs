//! Cityscapes: `leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png` with `gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png`.
//!
//! Of the 35 ids, the 19 that the benchmark scores become classes and the others are ignored
//! (cityscapesScripts, `helpers/labels.py`). `labelTrainIds` are read if there are no `labelIds`.

use std::path::{Path, PathBuf};

use unet_shared::label::LabelValue;

use super::{Contents, Format, only_root, subfolder};
use crate::dataset_file::{ClassSpec, DatasetFile};
use crate::listing::{Folder, Listing};
use crate::pairing::{pair_by_keys, stem};
use crate::sample::Split;

pub(super) static FORMAT: Format = Format {
    name: "cityscapes",
    description: "Cityscapes, its 19 training classes",
    patterns: &[
        "DATA/leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png with DATA/gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png (Cityscapes)",
    ],
    read,
};

/// Id, name and colour of the classes, by train id.
const CLASSES: [(u16, &str, [u8; 3]); 19] = [
    (7, "road", [128, 64, 128]),
    (8, "sidewalk", [244, 35, 232]),
    (11, "building", [70, 70, 70]),
    (12, "wall", [102, 102, 156]),
    (13, "fence", [190, 153, 153]),
    (17, "pole", [153, 153, 153]),
    (19, "traffic light", [250, 170, 30]),
    (20, "traffic sign", [220, 220, 0]),
    (21, "vegetation", [107, 142, 35]),
    (22, "terrain", [152, 251, 152]),
    (23, "sky", [70, 130, 180]),
    (24, "person", [220, 20, 60]),
    (25, "rider", [255, 0, 0]),
    (26, "car", [0, 0, 142]),
    (27, "truck", [0, 0, 70]),
    (28, "bus", [0, 60, 100]),
    (31, "train", [0, 80, 100]),
    (32, "motorcycle", [0, 0, 230]),
    (33, "bicycle", [119, 11, 32]),
];

/// Ids without a train id; 255 is the license plate's -1.
const IGNORED_IDS: [u16; 16] = [0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 255];

fn read(listing: &Listing) -> Result<Option<Contents>, String> {
    let truth = |root: &Folder| ["gtFine", "gtCoarse"].iter().find_map(|name| subfolder(listing, root, name));
    let roots = listing
        .folders
        .iter()
        .filter(|root| subfolder(listing, root, "leftImg8bit").is_some() && truth(root).is_some());
    let Some(root) = only_root(listing, roots, "Cityscapes")? else { return Ok(None) };
    let (Some(images), Some(truth)) = (subfolder(listing, root, "leftImg8bit"), truth(root)) else { return Ok(None) };
    let all = listing.images_below(truth);
    let of_kind = |kind: &str| all.iter().filter(|path| stem(path).ends_with(kind)).cloned().collect::<Vec<_>>();
    let mut masks = of_kind("_labelIds");
    let train_ids = masks.is_empty();
    if train_ids {
        masks = of_kind("_labelTrainIds");
    }
    let mut contents = Contents { classes: Some(classes(train_ids)), ..Contents::default() };
    // Polygons in JSON.
    let below = listing.folders.iter().filter(|folder| folder.path.starts_with(&truth.path));
    contents.read = below.flat_map(|folder| &folder.others).cloned().collect();
    contents.companions = all.into_iter().filter(|path| !masks.contains(path)).collect();
    for split in Split::ALL {
        let below = |folder: &Folder, paths: Vec<PathBuf>| -> Vec<PathBuf> {
            let folder = folder.path.join(split.name());
            paths.into_iter().filter(|path| path.starts_with(&folder)).collect()
        };
        let (images, masks) = (below(images, listing.images_below(images)), below(truth, masks.clone()));
        if !masks.is_empty() {
            contents.parts.push((Some(split), pair_by_keys(&images, &masks, place, place)));
        }
    }
    Ok(Some(contents))
}

/// City, and the name up to the ending that says what a file holds.
fn place(path: &Path) -> String {
    let city = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let name = stem(path);
    let endings =
        ["_leftImg8bit", "_gtFine_labelIds", "_gtFine_labelTrainIds", "_gtCoarse_labelIds", "_gtCoarse_labelTrainIds"];
    let name = endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    format!("{city}/{name}")
}

fn classes(train_ids: bool) -> DatasetFile {
    let class = |(train_id, (id, name, color)): (u16, (u16, &str, [u8; 3]))| ClassSpec {
        color: Some(LabelValue::Rgb(color)),
        ..super::classes::class(name, LabelValue::Gray(if train_ids { train_id } else { id }))
    };
    let ignored = if train_ids { vec![255] } else { IGNORED_IDS.to_vec() };
    DatasetFile {
        ignore: Some(ignored.into_iter().map(LabelValue::Gray).collect()),
        classes: (0..).zip(CLASSES).map(class).collect(),
        ..DatasetFile::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::layout::testing::{Folder, assert_equal_to_plain, gray, labels_of};

    #[test]
    fn cities_are_read_and_ids_become_train_ids() {
        let (folder, plain) = (Folder::new(), Folder::new());
        for (split, city, frame, id, train_id) in
            [("train", "aachen", "a_0", 7u8, 0u8), ("train", "bochum", "b_0", 33, 18), ("val", "lindau", "c_0", 4, 255)]
        {
            folder.image(&format!("leftImg8bit/{split}/{city}/{frame}_leftImg8bit.png"));
            let mask = |kind: &str| folder.path(&format!("gtFine/{split}/{city}/{frame}_gtFine_{kind}.png"));
            gray(id, &[(1, 1, 11)]).save(mask("labelIds")).unwrap();
            gray(0, &[]).save(mask("color")).unwrap();
            gray(0, &[]).save(mask("instanceIds")).unwrap();
            plain.image(&format!("{split}/images/{frame}_leftImg8bit.png"));
            gray(train_id, &[(1, 1, 2)]).save(plain.path(&format!("{split}/masks/{frame}_leftImg8bit.png"))).unwrap();
        }
        folder.image("leftImg8bit/test/berlin/d_0_leftImg8bit.png");
        let listed = (0..19).map(|id| format!("[[class]]\nname = 'c{id}'\nvalue = {id}\n")).collect::<String>();
        plain.text("dataset.toml", &format!("ignore = 255\n{listed}"));
        let dataset = folder.open();
        assert_eq!((dataset.layout.name(), dataset.problems.len()), ("cityscapes", 0));
        assert_equal_to_plain(&dataset, &plain.open());
        assert_eq!(labels_of(&dataset).names()[18], "bicycle");
        let unused: Vec<String> = dataset.unused.iter().map(|unused| unused.to_string()).collect();
        assert_eq!(unused, ["leftImg8bit/test/berlin (1 image file: images without masks)"]);
    }
}
