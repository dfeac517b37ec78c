//! Cellpose: `NAME.tif` beside `NAME_masks.tif` or `NAME_cp_masks.png`, as its training expects and its GUI saves them.
//!
//! The masks hold a number for each cell, so all cells are one class; `labels = "classes"` in `dataset.toml` makes a class of each
//! value instead.
//! `NAME_seg.npy`, a pickled NumPy dictionary, is not read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Contents, Format, name_apart};
use crate::counted::counted;
use crate::dataset_file::{DatasetFile, Meaning};
use crate::listing::{Kind, Listing};
use crate::pairing::{Pairing, pair_by_keys, stem};
use crate::sample::Split;

pub(super) static FORMAT: Format = Format {
    name: "cellpose",
    description: "images and masks of Cellpose in one folder",
    patterns: &["DATA[/{train,test}]/NAME.* with NAME_cp_masks.png, or NAME_masks.* beside NAME_seg.npy (Cellpose)"],
    read,
};

const SEG: &str = "_seg.npy";

/// Endings of masks.
const MASKS: [&str; 2] = ["_cp_masks", "_masks"];

/// Endings of pictures that Cellpose writes beside them.
const RESULTS: [&str; 8] =
    ["_cp_output", "_cp_outlines", "_outlines", "_cellprob", "_flows", "_flows_0", "_flows_1", "_flows_2"];

fn read(listing: &Listing) -> Result<Option<Contents>, String> {
    let ends = |path: &Path, endings: &[&str]| endings.iter().any(|ending| lower(path).ends_with(ending));
    let is_seg = |path: &&PathBuf| file_name(path).ends_with(SEG);
    let is_cellpose = listing.folders.iter().any(|folder| {
        folder.others.iter().any(|path| is_seg(&path)) || folder.images.iter().any(|path| ends(path, &MASKS[..1]))
    });
    if !is_cellpose {
        return Ok(None);
    }
    let cells = DatasetFile { labels: Some(Meaning::Instances), ..DatasetFile::default() };
    let mut contents = Contents { classes: Some(cells), ..Contents::default() };
    let mut parts: BTreeMap<Option<Split>, Pairing> = BTreeMap::new();
    let mut only_arrays: Vec<PathBuf> = Vec::new();
    let (mut paired, mut arrays) = (0, 0);
    for folder in listing.folders.iter().filter(|folder| folder.kind != Some(Kind::Masks)) {
        let (masks, rest): (Vec<PathBuf>, Vec<PathBuf>) =
            folder.images.iter().cloned().partition(|path| ends(path, &MASKS));
        let (results, images): (Vec<PathBuf>, Vec<PathBuf>) = rest.into_iter().partition(|path| ends(path, &RESULTS));
        contents.companions.extend(results);
        let segs: Vec<&PathBuf> = folder.others.iter().filter(is_seg).collect();
        arrays += segs.len();
        contents.read.extend(segs.iter().copied().cloned());
        let mut pairing = pair_by_keys(&images, &masks, |path| key(&lower(path)), |path| key(mask_of(&lower(path))));
        paired += pairing.samples.len();
        let arrays: BTreeSet<String> =
            segs.iter().map(|path| file_name(path).strip_suffix(SEG).unwrap_or_default().to_owned()).collect();
        let unpaired = pairing.problems.iter().filter(|problem| problem.is_unpaired_image());
        only_arrays
            .extend(unpaired.flat_map(|problem| problem.files()).filter(|path| arrays.contains(&lower(path))).cloned());
        let part = parts.entry(folder.split).or_default();
        part.samples.append(&mut pairing.samples);
        part.problems.append(&mut pairing.problems);
    }
    // Folders of masks beside those of images are read without these arrays.
    let masks_elsewhere =
        listing.folders.iter().any(|folder| folder.kind == Some(Kind::Masks) && !folder.images.is_empty());
    if paired == 0 && masks_elsewhere {
        return Ok(None);
    }
    if let Some(first) = only_arrays.first() {
        return Err(format!(
            "the masks of {} (first: {}) exist only as {SEG} files: expected images of the masks; save them in Cellpose's GUI \
             (File, Save masks as PNG/tif) or by `python -m cellpose --save_png`",
            counted(only_arrays.len(), "image"),
            listing.show(first)
        ));
    }
    if arrays > 0 {
        contents.notes.push(format!("{arrays} Cellpose arrays ({SEG}) are not read; the masks beside them are"));
    }
    for part in parts.values_mut() {
        name_apart(listing, &mut part.samples);
    }
    parts.retain(|_, part| !part.samples.is_empty() || !part.problems.is_empty());
    contents.parts.extend(parts);
    Ok(Some(contents))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn lower(path: &Path) -> String {
    stem(path).to_lowercase()
}

/// The stem of a mask's image.
fn mask_of(stem: &str) -> &str {
    MASKS.iter().find_map(|ending| stem.strip_suffix(ending)).unwrap_or(stem)
}

/// The name that image and mask share: images may end in `_img` (`--img_filter`).
fn key(stem: &str) -> String {
    stem.strip_suffix("_img").unwrap_or(stem).to_owned()
}

#[cfg(test)]
mod tests {
    use crate::layout::testing::{Folder, assert_equal_to_plain, gray, labels_of};

    #[test]
    fn masks_of_training_and_of_the_window_are_read() {
        for (image, mask) in
            [("a.tif", "a_cp_masks.png"), ("A_img.PNG", "a_img_cp_masks.tif"), ("a_img.tif", "a_masks.tif")]
        {
            let (folder, plain) = (Folder::new(), Folder::new());
            for (split, file) in [("train", 'a'), ("test", 'b')] {
                let name = |pattern: &str| pattern.replacen(['a', 'A'], &file.to_string(), 1);
                folder.image(&format!("{split}/{}", name(image)));
                gray(0, &[(0, 0, 1), (1, 1, 2)]).save(folder.path(&format!("{split}/{}", name(mask)))).unwrap();
                folder.image(&format!("{split}/{file}_cp_output.png"));
                folder.text(&format!("{split}/{file}_img_seg.npy"), "");
                let stem = name(image);
                let stem = stem.rsplit_once('.').unwrap().0;
                plain.image(&format!("{split}/images/{stem}.png"));
                gray(0, &[(0, 0, 1), (1, 1, 2)]).save(plain.path(&format!("{split}/masks/{stem}.png"))).unwrap();
            }
            plain.text("dataset.toml", "labels = 'instances'");
            let dataset = folder.open();
            assert_eq!((dataset.layout.name(), dataset.problems.len(), dataset.unused.len()), ("cellpose", 0, 0));
            assert_equal_to_plain(&dataset, &plain.open());
            assert_eq!(labels_of(&dataset).classes.len(), 2);
            assert_eq!(dataset.file.as_ref().unwrap().said_by(), "the cellpose layout");
            folder.text("dataset.toml", "labels = 'classes'");
            assert_eq!(labels_of(&folder.open()).classes.len(), 3);
            assert_eq!(dataset.notes[0], "2 Cellpose arrays (_seg.npy) are not read; the masks beside them are");
        }
    }

    #[test]
    fn arrays_alone_are_refused_with_a_remedy() {
        let folder = Folder::new();
        for name in ["a", "b"] {
            folder.image(&format!("{name}.tif"));
            folder.text(&format!("{name}_seg.npy"), "");
        }
        gray(1, &[]).save(folder.path("b_cp_masks.png")).unwrap();
        let message = folder.try_open().unwrap_err().to_string();
        assert!(message.contains("the masks of 1 image (first: a.tif) exist only as _seg.npy files: "), "{message}");
        assert!(message.contains("Save masks as PNG"), "{message}");
        // Two candidates for one image.
        gray(1, &[]).save(folder.path("a_cp_masks.png")).unwrap();
        gray(1, &[]).save(folder.path("a_masks.tif")).unwrap();
        assert_eq!(folder.open().problems.len(), 1);
    }

    #[test]
    fn folders_of_masks_are_read_as_before() {
        let folder = Folder::new();
        for name in ["a", "b"] {
            folder.image(&format!("images/{name}.png"));
            folder.text(&format!("images/{name}_seg.npy"), "");
            gray(1, &[]).save(folder.path(&format!("masks/{name}.png"))).unwrap();
        }
        assert_eq!(folder.open().layout.name(), "two_folders");
    }
}
