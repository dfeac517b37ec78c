//! The files of a directory tree, and what the names of its folders mean: a split, images or masks.
//!
//! Reads names only, and pairs nothing.

use std::fs;
use std::path::{Path, PathBuf};

use super::decode::FileError;
use super::sample::Split;

/// Levels of folders below the root that are listed.
const DEPTH_MAX: usize = 6;

/// What a folder contains, according to its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Images.
    Images,
    /// Masks.
    Masks,
}

/// One folder and the files directly in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its path.
    pub path: PathBuf,
    /// The split that its name, or the name of a folder above it, states.
    pub split: Option<Split>,
    /// What it contains, according to its name or the name of a folder above it.
    pub kind: Option<Kind>,
    /// Whether each name between the root and this folder states a split or a kind; other folders belong to no layout.
    pub known: bool,
    /// Levels below the root, which has 0.
    pub depth: usize,
    /// Files with the extension of a supported image format, sorted.
    pub images: Vec<PathBuf>,
    /// All other files, sorted.
    pub others: Vec<PathBuf>,
}

/// The folders of a dataset, the root first, then by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The dataset's root.
    pub root: PathBuf,
    /// The root and the folders below it.
    pub folders: Vec<Folder>,
}

impl Listing {
    /// Lists the files of `root` and of six levels of folders below it, without hidden ones and what operating systems and
    /// archives leave behind.
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
            if is_litter(&file_name) {
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
                // `colour_masks/images` contradicts itself: `colour_masks` is the name of a dataset.
                let agree = name.split.is_none_or(|inner| split.is_none_or(|outer| inner == outer))
                    && name.kind.is_none_or(|inner| kind.is_none_or(|outer| inner == outer));
                let known = known && name.known && agree;
                let name = FolderName { split: name.split.or(split), kind: name.kind.or(kind), known };
                self.walk(&path, name, depth + 1)?;
            }
        }
        Ok(())
    }

    /// The image files of a folder and of all folders below it.
    pub(crate) fn images_below(&self, folder: &Folder) -> Vec<PathBuf> {
        let below = self.folders.iter().filter(|below| below.path.starts_with(&folder.path));
        below.flat_map(|below| &below.images).cloned().collect()
    }

    /// A path for display: relative to the root, with forward slashes.
    pub fn show(&self, path: &Path) -> String {
        show_below(&self.root, path)
    }
}

/// Whether a file or folder is hidden, or was left behind by an operating system, an archive or a file server; in any case of
/// letters.
fn is_litter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with('.')
        || name.starts_with("thumbs.db")
        || name.starts_with("ehthumbs")
        || matches!(
            name.as_str(),
            "desktop.ini"
                | "icon\r"
                | "__macosx"
                | "@eadir"
                | "$recycle.bin"
                | "system volume information"
                | "lost+found"
        )
}

/// A path relative to `root`, with forward slashes; `.` for the root itself.
pub fn show_below(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
    if below.is_empty() { ".".into() } else { below }
}

/// Whether a folder is named like the output of a program.
pub(crate) fn is_result_folder(path: &Path) -> bool {
    path.file_name().is_some_and(|name| words(&name.to_string_lossy()).iter().any(|word| is_result_word(word)))
}

/// Whether the extension is that of a supported image format.
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

/// The meaning of one folder's name.
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
        // `images_and_masks` does not state the kind of its files.
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
            // `mask_images` contains masks.
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

/// The split that a word in the name of a folder or file states.
pub fn split_of(word: &str) -> Option<Split> {
    SPLIT_WORDS.iter().find(|(_, name)| *name == word).map(|(split, _)| *split)
}

/// What a folder contains, according to a word of its name.
fn kind_of(word: &str) -> Option<Kind> {
    match word {
        "image" | "images" | "img" | "imgs" | "photo" | "photos" | "picture" | "pictures" | "frame" | "frames"
        | "input" | "inputs" | "original" | "originals" | "rgb" => Some(Kind::Images),
        "mask" | "masks" | "label" | "labels" | "lbl" | "annotation" | "annotations" | "annot" | "annots" | "ann"
        | "anns" | "gt" | "groundtruth" | "truth" | "seg" | "segs" | "segmentation" | "segmentations" | "target"
        | "targets" => Some(Kind::Masks),
        _ => None,
    }
}

/// Whether a word names a folder of results.
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

/// The words of a name in lower case. A word ends where letters, digits and other characters meet, and where a capital
/// begins the next one.
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
        for litter in [".hidden.png", "._a.png", "THUMBS.DB", "ehthumbs_vista.db", "Desktop.INI", ".DS_Store"] {
            fs::write(below.join(litter), []).unwrap();
        }
        fs::create_dir_all(below.join("@EADIR")).unwrap();
        fs::create_dir_all(root.path().join("__MacOSX/masks")).unwrap();
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
