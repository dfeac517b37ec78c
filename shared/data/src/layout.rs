//! What lies in a folder, and what its folders' names say: which split, images or masks.
//!
//! Reads names only, never a file's content, and pairs nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::prelude::rust_2024::*;

use super::dataset::Split;
use super::decode::FileError;

/// How deep below the root folders are looked at.
const DEPTH_MAX: usize = 3;

/// The layouts that are accepted, for the reader of an error.
pub const ACCEPTED_LAYOUTS: &str = "accepted layouts:
  DATA/{train,val[,test]}/{images,masks}/*
  DATA/images/{train,val[,test]}/* with DATA/masks/{train,val[,test]}/*
  DATA/images/* with DATA/masks/* (split by a seeded ratio)
  DATA/{train,val[,test]}/* or DATA/* with image and mask in one folder, as NAME.jpg with NAME_mask.png or NAME.jpg with NAME.png
folders may also be called img, imgs, photos, frames; labels, annotations, ground_truth, gt, segmentation; training, validation, testing;
image and mask share their stem, apart from endings such as _image, _mask, _label, _annotation, _gt; files are PNG, JPEG, TIFF or BMP";

/// What a folder's name says that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Images.
    Images,
    /// Masks.
    Masks,
}

/// One folder and the files that lie directly in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its path.
    pub path: PathBuf,
    /// The split that its name, or that of a folder around it, states.
    pub split: Option<Split>,
    /// What its name, or that of a folder around it, says that it holds.
    pub kind: Option<Kind>,
    /// Whether each name between the root and this folder states a split or a kind; others take no part in a layout.
    pub known: bool,
    /// How many folders lie between the root and this one, itself counted; 0 for the root.
    pub depth: usize,
    /// Files with the extension of a format that is read, sorted.
    pub images: Vec<PathBuf>,
    /// All other files, sorted.
    pub others: Vec<PathBuf>,
}

/// The folders of a data set, the root first, then by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The data set's root.
    pub root: PathBuf,
    /// The root and the folders below it.
    pub folders: Vec<Folder>,
}

impl Listing {
    /// Lists the files of `root` and of the folders below it, three deep. Hidden files and folders, and the `__MACOSX`
    /// folders of archives, are left out.
    pub fn of(root: &Path) -> Result<Self, FileError> {
        let mut listing = Self { root: root.into(), folders: Vec::new() };
        listing.walk(root, FolderName { split: None, kind: None, known: true }, 0)?;
        Ok(listing)
    }

    fn walk(&mut self, path: &Path, name: FolderName, depth: usize) -> Result<(), FileError> {
        let failed = |source| FileError::Read { path: path.into(), source };
        let FolderName { split, kind, known } = name;
        let (mut images, mut others, mut below) = (Vec::new(), Vec::new(), Vec::new());
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let file_name = entry.file_name();
            let file_name = file_name.to_string_lossy();
            if file_name.starts_with('.') || file_name == "__MACOSX" || file_name == "Thumbs.db" {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                below.push((path, FolderName::of(&file_name)));
            } else if has_image_extension(&path) {
                images.push(path);
            } else {
                others.push(path);
            }
        }
        images.sort();
        others.sort();
        below.sort_by(|a, b| a.0.cmp(&b.0));
        self.folders.push(Folder { path: path.into(), split, kind, known, depth, images, others });
        if depth < DEPTH_MAX {
            for (path, name) in below {
                // `colour_masks/images` says one thing and then another: it is the name of a data set, and no part of a layout.
                let agree = name.split.is_none_or(|inner| split.is_none_or(|outer| inner == outer))
                    && name.kind.is_none_or(|inner| kind.is_none_or(|outer| inner == outer));
                let known = known && name.known && agree;
                let name = FolderName { split: name.split.or(split), kind: name.kind.or(kind), known };
                self.walk(&path, name, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A path as it is shown: relative to the root, with forward slashes.
    pub fn show(&self, path: &Path) -> String {
        show_below(&self.root, path)
    }
}

/// A path relative to `root`, with forward slashes; `.` for the root itself.
pub fn show_below(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
    if below.is_empty() { ".".into() } else { below }
}

/// Whether the extension is one of a format that is read.
pub fn has_image_extension(path: &Path) -> bool {
    extension(path).is_some_and(|e| matches!(e.as_str(), "png" | "jpg" | "jpeg" | "jpe" | "tif" | "tiff" | "bmp"))
}

/// Whether the extension is that of JPEG.
pub fn has_jpeg_extension(path: &Path) -> bool {
    extension(path).is_some_and(|e| matches!(e.as_str(), "jpg" | "jpeg" | "jpe"))
}

fn extension(path: &Path) -> Option<String> {
    path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase())
}

/// What one folder's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FolderName {
    split: Option<Split>,
    kind: Option<Kind>,
    known: bool,
}

impl FolderName {
    fn of(name: &str) -> Self {
        let words = words(name);
        let mut found = Self { split: None, kind: None, known: false };
        // A folder of images and masks side by side says nothing about its files' kinds.
        let both = words.iter().any(|word| word == "and");
        for word in &words {
            if is_result_word(word) {
                return Self { split: None, kind: None, known: false };
            }
            // SegNet calls its folders `trainannot`, `valannot`.
            let (split, rest) = match split_of(word) {
                Some(split) => (Some(split), ""),
                None => SPLIT_WORDS
                    .iter()
                    .find_map(|(split, prefix)| Some((Some(*split), word.strip_prefix(prefix)?)))
                    .filter(|(_, rest)| kind_of(rest).is_some())
                    .unwrap_or((None, word)),
            };
            found.split = found.split.or(split);
            // `mask_images` holds masks.
            found.kind = found.kind.max(kind_of(rest));
        }
        found.known = found.split.is_some() || found.kind.is_some();
        if both {
            found.kind = None;
        }
        found
    }
}

const SPLIT_WORDS: [(Split, &str); 11] = [
    (Split::Train, "training"),
    (Split::Train, "train"),
    (Split::Train, "trn"),
    (Split::Val, "validation"),
    (Split::Val, "valid"),
    (Split::Val, "val"),
    (Split::Val, "dev"),
    (Split::Val, "eval"),
    (Split::Test, "testing"),
    (Split::Test, "test"),
    (Split::Test, "tst"),
];

/// The split that a word of a folder's or file's name states.
pub fn split_of(word: &str) -> Option<Split> {
    SPLIT_WORDS.iter().find(|(_, name)| *name == word).map(|(split, _)| *split)
}

/// What a word of a folder's name says about its files.
fn kind_of(word: &str) -> Option<Kind> {
    match word {
        "image" | "images" | "img" | "imgs" | "photo" | "photos" | "picture" | "pictures" | "frame" | "frames"
        | "input" | "inputs" | "original" | "originals" | "rgb" => Some(Kind::Images),
        "mask" | "masks" | "label" | "labels" | "lbl" | "annotation" | "annotations" | "annot" | "annots" | "gt"
        | "groundtruth" | "truth" | "seg" | "segs" | "segmentation" | "segmentations" | "target" | "targets" => {
            Some(Kind::Masks)
        }
        _ => None,
    }
}

/// Words of folders that programs write their results to.
fn is_result_word(word: &str) -> bool {
    matches!(
        word,
        "predict"
            | "prediction"
            | "predictions"
            | "output"
            | "outputs"
            | "overlay"
            | "overlays"
            | "result"
            | "results"
            | "runs"
    )
}

/// The words of a name, lower case: split where letters, digits and other characters meet and where a capital begins a word.
pub fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let characters: Vec<char> = name.chars().collect();
    let mut open = false;
    for (at, &character) in characters.iter().enumerate() {
        if !character.is_alphanumeric() {
            open = false;
            continue;
        }
        let before = at.checked_sub(1).map(|before| characters[before]);
        let after = characters.get(at + 1);
        let begins = before.is_none_or(|before| {
            let ends_capitals = before.is_uppercase() && after.is_some_and(|after| after.is_lowercase());
            before.is_numeric() != character.is_numeric()
                || character.is_uppercase() && (before.is_lowercase() || ends_capitals)
        });
        if !open || begins {
            words.push(String::new());
            open = true;
        }
        if let Some(word) = words.last_mut() {
            word.extend(character.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_names() {
        assert_eq!(words("Weed_Plant_Masks"), ["weed", "plant", "masks"]);
        assert_eq!(words("groundTruth"), ["ground", "truth"]);
        assert_eq!(words("JPEGImages"), ["jpeg", "images"]);
        assert_eq!(words("leftImg8bit"), ["left", "img", "8", "bit"]);
        assert_eq!(words("__"), [""; 0]);
    }

    #[test]
    fn names_common_in_the_wild() {
        use Kind::{Images, Masks};
        for (name, split, kind) in [
            ("images", None, Some(Images)),
            ("Training_Images", Some(Split::Train), Some(Images)),
            ("Ground_Truth", None, Some(Masks)),
            ("Weed_Plant_Masks", None, Some(Masks)),
            ("trainannot", Some(Split::Train), Some(Masks)),
            ("valid", Some(Split::Val), None),
            ("mask_images", None, Some(Masks)),
            ("JPEGImages", None, Some(Images)),
            ("SegmentationClass", None, Some(Masks)),
            ("train_images_and_masks", Some(Split::Train), None),
        ] {
            assert_eq!(FolderName::of(name), FolderName { split, kind, known: true }, "{name}");
        }
        for name in ["58c593bcb98386e7fd42a1d3", "predictions", "test_predictions", "notes"] {
            assert!(!FolderName::of(name).known, "{name}");
        }
    }

    #[test]
    fn folders_take_split_and_kind_from_above() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("masks/val");
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join("a.PNG"), []).unwrap();
        fs::write(below.join("a.mat"), []).unwrap();
        fs::write(below.join(".hidden.png"), []).unwrap();
        let listing = Listing::of(root.path()).unwrap();
        let folder = listing.folders.last().unwrap();
        assert_eq!((folder.split, folder.kind, folder.known), (Some(Split::Val), Some(Kind::Masks), true));
        assert_eq!((folder.images.len(), folder.others.len()), (1, 1));
        assert_eq!(listing.show(&folder.images[0]), "masks/val/a.PNG");
        fs::create_dir_all(root.path().join("rgb_colour_masks/images")).unwrap();
        let listing = Listing::of(root.path()).unwrap();
        assert_eq!(listing.folders.iter().filter(|folder| !folder.known).count(), 1);
    }
}
