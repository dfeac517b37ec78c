//! A data set: which image and mask files there are, and which split each pair belongs to.
//!
//! Decides by the names of folders and files; decodes nothing. Samples are sorted by name, and a seeded split depends on seed and
//! names alone, so that every machine sees the same data set.

use std::fmt;
use std::path::{Path, PathBuf};
use std::prelude::rust_2024::*;
use std::str::FromStr;
use std::{format, vec};

use serde::{Deserialize, Serialize};

use super::dataset_file::{DatasetFile, DatasetFileError};
use super::decode::FileError;
use super::layout::{ACCEPTED_LAYOUTS, Folder, Kind, Listing};
use super::pairing::{Pairing, PairingProblem, pair, part, stem};
use unet_shared::digest::Digest;

/// An image file and, where there is one, its label file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The stem of the image's file name; no two samples of a split share it.
    pub name: String,
    /// The image file.
    pub image: PathBuf,
    /// The label file; every sample of a [`Dataset`] has one.
    pub label: Option<PathBuf>,
}

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What is learnt from.
    Train,
    /// What is scored while training.
    Val,
    /// What is kept for the end.
    Test,
}

impl Split {
    /// All splits.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// The name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a split is train, val or test, found {0:?}")]
pub struct ParseSplitError(pub String);

impl FromStr for Split {
    type Err = ParseSplitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|split| split.name() == text).ok_or_else(|| ParseSplitError(text.into()))
    }
}

/// Which of the accepted layouts a folder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// The folders state the splits.
    Splits,
    /// One folder of images, one of masks; split by ratio.
    TwoFolders,
    /// Images and masks side by side; split by ratio.
    OneFolder,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Splits => "a folder for each split",
            Self::TwoFolders => "one folder of images and one of masks, split by seeded ratio",
            Self::OneFolder => "images and masks in one folder, split by seeded ratio",
        })
    }
}

/// How a data set is split where its folders do not say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpenOptions {
    /// Share of the pairs that go to validation, 0 to below 1; at least one where there are two pairs and it is above 0.
    pub val_ratio: f64,
    /// Seed of the split.
    pub seed: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { val_ratio: 0.2, seed: 0 }
    }
}

/// Why a folder is no data set.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A folder cannot be listed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The path is no folder.
    #[error("{} is not a folder; {ACCEPTED_LAYOUTS}", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The folder has none of the accepted layouts, or it has no pair.
    #[error("{}: {found}; {ACCEPTED_LAYOUTS}", root.display())]
    Layout {
        /// The folder.
        root: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// `dataset.toml` cannot be used.
    #[error(transparent)]
    DatasetFile(#[from] DatasetFileError),
    /// The ratio is not one.
    #[error("validation ratio must be at least 0 and below 1, found {0}")]
    Ratio(f64),
}

/// A data set's pairs by split.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The folder.
    pub root: PathBuf,
    /// How it is laid out.
    pub layout: Layout,
    /// Pairs to learn from, sorted by name.
    pub train: Vec<Sample>,
    /// Pairs to score while training, sorted by name; those of `train` where there is one pair in all, or the ratio is 0.
    pub val: Vec<Sample>,
    /// Pairs kept for the end, sorted by name.
    pub test: Vec<Sample>,
    /// What `dataset.toml` says, where there is one.
    pub file: Option<DatasetFile>,
    /// Files that take no part, and why.
    pub problems: Vec<PairingProblem>,
}

impl Dataset {
    /// Finds the pairs and splits of the folder `root`. Where folders state a train split but no validation split, and where
    /// they state none at all, validation is taken by a seeded ratio.
    pub fn open(root: &Path, options: &OpenOptions) -> Result<Self, DatasetError> {
        if !(0.0..1.0).contains(&options.val_ratio) {
            return Err(DatasetError::Ratio(options.val_ratio));
        }
        if !root.is_dir() && root.exists() {
            return Err(DatasetError::NotAFolder { path: root.into() });
        }
        Self::from_listing(&Listing::of(root)?, options)
    }

    /// [`Dataset::open`] for a folder that has been listed.
    pub fn from_listing(listing: &Listing, options: &OpenOptions) -> Result<Self, DatasetError> {
        let root = listing.root.clone();
        let refused = |found| DatasetError::Layout { root: root.clone(), found };
        let file = DatasetFile::read(&root)?;
        let (layout, parts) = arrange(listing).map_err(refused)?;
        let mut dataset =
            Self { root: root.clone(), layout, train: vec![], val: vec![], test: vec![], file, problems: vec![] };
        for (split, Pairing { samples, problems }) in parts {
            match split.unwrap_or(Split::Train) {
                Split::Train => dataset.train = samples,
                Split::Val => dataset.val = samples,
                Split::Test => dataset.test = samples,
            }
            dataset.problems.extend(problems);
        }
        if dataset.samples().next().is_none() {
            return Err(refused(describe_unpaired(&dataset.problems)));
        }
        if dataset.val.is_empty() {
            (dataset.train, dataset.val) = split_by_ratio(dataset.train, options);
        }
        // A lone pair, or a ratio of 0, leaves nothing to score on: then the training pairs are scored.
        if dataset.val.is_empty() {
            dataset.val.clone_from(&dataset.train);
        }
        Ok(dataset)
    }

    /// The samples of one split.
    pub fn split(&self, split: Split) -> &[Sample] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }

    /// All samples: train, then val, then test; each once.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        let splits = Split::ALL.into_iter().filter(|&split| split != Split::Val || !self.validates_on_training());
        splits.flat_map(|split| self.split(split))
    }

    /// Whether there was nothing left to validate on, so that the training pairs are scored.
    pub fn validates_on_training(&self) -> bool {
        !self.train.is_empty() && self.train == self.val
    }

    /// The last part of the root's path, for records.
    pub fn name(&self) -> String {
        let path = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        path.file_name().map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned())
    }
}

/// The images of a folder without any labels, or the one image that `path` is, sorted by name: what a model is to be run on.
pub fn list_images(path: &Path) -> Result<Vec<Sample>, DatasetError> {
    let sample = |path: PathBuf| Sample { name: stem(&path), image: path, label: None };
    if path.is_file() {
        return Ok(vec![sample(path.into())]);
    }
    let mut listing = Listing::of(path)?;
    let images = listing.folders.swap_remove(0).images;
    if images.is_empty() {
        let found = "no PNG, JPEG, TIFF or BMP file lies in it".into();
        return Err(DatasetError::Layout { root: path.into(), found });
    }
    Ok(images.into_iter().map(sample).collect())
}

/// The pairs of each split; the split is none where the folders state none.
type Parts = Vec<(Option<Split>, Pairing)>;

/// Finds the layout; the error says what stands in the way.
fn arrange(listing: &Listing) -> Result<(Layout, Parts), String> {
    let folders: Vec<&Folder> =
        listing.folders.iter().filter(|folder| folder.known && !folder.images.is_empty()).collect();
    if folders.is_empty() {
        return Err(describe_folders(listing));
    }
    let pick = |split: Option<Split>, kind: Option<Kind>| {
        let found: Vec<&Folder> =
            folders.iter().copied().filter(|f| f.depth > 0 && f.split == split && f.kind == kind).collect();
        one_of(listing, found)
    };
    let mut parts = Parts::new();
    for split in Split::ALL {
        let masks = pick(Some(split), Some(Kind::Masks))?;
        let images = match pick(Some(split), Some(Kind::Images))? {
            Some(images) => Some(images),
            None => pick(Some(split), None)?,
        };
        match (images, masks) {
            (Some(images), Some(masks)) => parts.push((Some(split), pair(&images.images, &masks.images))),
            (Some(folder), None) if folder.kind.is_none() => {
                let (images, masks) = part(&folder.images);
                if !masks.is_empty() {
                    parts.push((Some(split), pair(&images, &masks)));
                }
            }
            _ => {}
        }
    }
    if !parts.is_empty() {
        return Ok((Layout::Splits, parts));
    }
    let of_kind = |kind| one_of(listing, folders.iter().copied().filter(|f| f.kind == Some(kind)).collect());
    let (images, masks) = (of_kind(Kind::Images)?, of_kind(Kind::Masks)?);
    let root = folders.iter().copied().find(|folder| folder.depth == 0);
    match (images.or(root), masks) {
        (Some(images), Some(masks)) => Ok((Layout::TwoFolders, vec![(None, pair(&images.images, &masks.images))])),
        (_, None) if root.is_some() => {
            let (images, masks) = part(root.map_or(&[], |root| &root.images));
            Ok((Layout::OneFolder, vec![(None, pair(&images, &masks))]))
        }
        _ => Err(describe_folders(listing)),
    }
}

/// The only folder; of several, the only one whose own name is plainly `images` or `masks`.
fn one_of<'a>(listing: &Listing, found: Vec<&'a Folder>) -> Result<Option<&'a Folder>, String> {
    if found.len() <= 1 {
        return Ok(found.first().copied());
    }
    let plain = |folder: &&&Folder| {
        let name = folder.path.file_name().map(|name| name.to_string_lossy().to_lowercase());
        matches!(name.as_deref(), Some("images" | "masks"))
    };
    let mut plainly = found.iter().filter(plain);
    match (plainly.next(), plainly.next()) {
        (Some(folder), None) => Ok(Some(folder)),
        _ => {
            let names: Vec<String> = found.iter().map(|folder| listing.show(&folder.path)).collect();
            Err(format!("folders {} could each be meant", names.join(", ")))
        }
    }
}

/// What a folder holds that has no layout.
fn describe_folders(listing: &Listing) -> String {
    let mut parts = Vec::new();
    for folder in &listing.folders {
        let (images, others) = (folder.images.len(), folder.others.len());
        if images + others > 0 {
            parts.push(format!("{} ({images} image files, {others} others)", listing.show(&folder.path)));
        }
    }
    match parts.len() {
        0 => "no file in it or up to three folders below".into(),
        1..=6 => format!("found {}, which is no layout of images and masks", parts.join(", ")),
        n => format!(
            "found {} and {} folders more, which is no layout of images and masks",
            parts[..6].join(", "),
            n - 6
        ),
    }
}

/// Why a folder with an accepted layout has no pair.
fn describe_unpaired(problems: &[PairingProblem]) -> String {
    let (mut images, mut masks, mut names) = (0, 0, 0);
    for problem in problems {
        match problem {
            PairingProblem::UnpairedImage(_) => images += 1,
            PairingProblem::UnpairedMask(_) => masks += 1,
            PairingProblem::Ambiguous { .. } => names += 1,
        }
    }
    format!(
        "no image has a mask of its name ({images} images without, {masks} masks without, {names} names with more than one of a kind)"
    )
}

/// Splits by the order of the digests of seed and name: the same for the same names on every machine, and unlike the order of names.
fn split_by_ratio(samples: Vec<Sample>, options: &OpenOptions) -> (Vec<Sample>, Vec<Sample>) {
    let count = samples.len();
    let wanted = (count as f64 * options.val_ratio).round() as usize;
    let least = usize::from(options.val_ratio > 0.0);
    let val_count = if count < 2 { 0 } else { wanted.clamp(least, count - 1) };
    let seed = options.seed.to_le_bytes();
    let mut keyed: Vec<(Digest, Sample)> = samples
        .into_iter()
        .map(|sample| (Digest::of_parts([seed.as_slice(), sample.name.as_bytes()]), sample))
        .collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.name.cmp(&b.1.name)));
    let mut val: Vec<Sample> = keyed.into_iter().map(|(_, sample)| sample).collect();
    let mut train = val.split_off(val_count);
    train.sort_by(|a, b| a.name.cmp(&b.name));
    val.sort_by(|a, b| a.name.cmp(&b.name));
    (train, val)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::fs;

    /// Files that are empty: opening a data set looks at names only.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, []).unwrap();
        }
        root
    }

    fn open(root: &tempfile::TempDir) -> Result<Dataset, DatasetError> {
        Dataset::open(root.path(), &OpenOptions::default())
    }

    fn counts(dataset: &Dataset) -> [usize; 3] {
        [dataset.train.len(), dataset.val.len(), dataset.test.len()]
    }

    #[test]
    fn layouts_that_are_accepted() {
        use Layout::{OneFolder, Splits, TwoFolders};
        let check = |layout, expected: [usize; 3], files: &[&str]| {
            let dataset = open(&folder(files)).unwrap();
            assert_eq!((dataset.layout, counts(&dataset)), (layout, expected), "{files:?}");
            assert!(dataset.samples().all(|sample| sample.label.is_some()));
        };
        check(Splits, [1, 1, 0], &["train/images/a.jpg", "train/masks/a.png", "val/images/b.jpg", "val/masks/b.png"]);
        check(Splits, [1, 1, 0], &["images/train/a.jpg", "masks/train/a.png", "images/val/b.jpg", "masks/val/b.png"]);
        check(
            Splits,
            [1, 1, 1],
            &["train/a.jpg", "trainannot/a.png", "val/b.jpg", "valannot/b.png", "test/c.jpg", "testannot/c.png"],
        );
        check(Splits, [1, 1, 0], &["train/a.jpg", "train/a_mask.png", "valid/b.jpg", "valid/b_mask.png"]);
        // No validation split: it is taken out of train.
        check(
            Splits,
            [1, 1, 0],
            &["train/images/a.jpg", "train/images/b.jpg", "train/masks/a.png", "train/masks/b.png"],
        );
        check(TwoFolders, [1, 1, 0], &["Images/a.jpg", "Images/b.jpg", "labels/a.png", "labels/b.png"]);
        check(TwoFolders, [1, 1, 0], &["Training_Images/107.jpg", "Ground_Truth/107.png"]);
        check(TwoFolders, [1, 1, 0], &["images/a.jpg", "masks/a.png", "masks_colour/a.png"]);
        check(TwoFolders, [1, 1, 0], &["a.jpg", "masks/a.png"]);
        check(OneFolder, [1, 1, 0], &["a.jpg", "a.png", "b.jpg", "b.png"]);
        check(OneFolder, [1, 1, 0], &["a.png", "a_annotation.png"]);
    }

    #[test]
    fn layouts_that_are_refused_say_what_was_found() {
        let check = |files: &[&str], expected: &str| match open(&folder(files)) {
            Err(error @ DatasetError::Layout { .. }) => {
                let message = error.to_string();
                assert!(message.contains(expected) && message.contains("accepted layouts"), "{message}");
            }
            other => std::panic!("{files:?}: {other:?}"),
        };
        check(&[], "no file");
        check(&["a.jpg", "b.jpg"], "2 images without");
        check(&["001_mask.png"], "1 masks without");
        check(&["notes.txt"], "1 others");
        check(&["58c5/images/a.png", "58c5/masks/b.png"], "58c5/images (1 image files");
        check(&["images/a.png", "labels/a.png", "annotations/a.png"], "annotations, labels could each be meant");
        check(&["image/097.jpg", "seg/097.seg", "groundTruth/097.mat"], "seg (0 image files, 1 others)");
        let file = folder(&["a.png"]);
        let refused = Dataset::open(&file.path().join("a.png"), &OpenOptions::default());
        assert!(matches!(refused, Err(DatasetError::NotAFolder { .. })));
        assert!(Dataset::open(&file.path().join("missing"), &OpenOptions::default()).is_err());
        let options = OpenOptions { val_ratio: 1.0, seed: 0 };
        assert!(matches!(Dataset::open(file.path(), &options), Err(DatasetError::Ratio(_))));
    }

    #[test]
    fn left_over_files_are_problems() {
        let dataset = open(&folder(&["images/a.png", "images/b.png", "masks/a.png", "masks/c.png"])).unwrap();
        assert_eq!(counts(&dataset), [1, 1, 0]);
        assert_eq!(dataset.problems.len(), 2);
    }

    #[test]
    fn seeded_split_is_pinned() {
        // Written down once: a change here would move images between the splits of everybody's runs.
        let samples = (0..10).map(|i| Sample { name: i.to_string(), image: "i".into(), label: None }).collect();
        let (_, val) = split_by_ratio(samples, &OpenOptions { val_ratio: 0.3, seed: 7 });
        let names: Vec<&str> = val.iter().map(|sample| sample.name.as_str()).collect();
        assert_eq!(names, PINNED);
    }

    const PINNED: [&str; 3] = ["2", "6", "9"];

    proptest! {
        #[test]
        fn split_is_stable_disjoint_and_whole(
            names in prop::collection::btree_set("[a-z0-9]{1,6}", 0..40),
            seed: u64,
            val_ratio in 0.0..0.99,
            turn in 0usize..40,
        ) {
            let options = OpenOptions { val_ratio, seed };
            let mut samples: Vec<Sample> =
                names.iter().map(|name| Sample { name: name.clone(), image: "i".into(), label: None }).collect();
            let (train, val) = split_by_ratio(samples.clone(), &options);
            let of = |samples: &[Sample]| samples.iter().map(|s| s.name.clone()).collect::<BTreeSet<_>>();
            prop_assert!(of(&train).is_disjoint(&of(&val)));
            prop_assert_eq!(&of(&train) | &of(&val), names);
            prop_assert!(train.is_sorted_by_key(|s| &s.name) && val.is_sorted_by_key(|s| &s.name));
            prop_assert!(samples.is_empty() || !train.is_empty());
            // The order in which a file system lists the names has no say.
            if !samples.is_empty() {
                let turn = turn % samples.len();
                samples.rotate_left(turn);
            }
            prop_assert_eq!(split_by_ratio(samples, &options), (train, val));
        }
    }
}
