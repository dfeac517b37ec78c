//! A dataset: its pairs of image and label files, and the split of each.
//!
//! Opening a dataset decodes nothing; [`Dataset::leave_out_unreadable`] does. Samples are sorted by name, so every machine sees
//! the same dataset.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::annotation::Annotation;
use super::choice::FolderChoice;
use super::counted::counted;
use super::dataset_file::{DatasetFile, DatasetFileError};
use super::decode::FileError;
use super::folds;
use super::layout::{self, ACCEPTED_LAYOUTS, Contents, Layout, PAIRING_RULE};
use super::listing::Listing;
use super::pairing::{Pairing, PairingProblem};
use super::sample::{Sample, Split};
use super::split_by_ratio::split_by_ratio;
use super::stacks;
use super::unused::{self, Unused};
use super::workers::in_parallel;
use unet_shared::fold::Fold;
use unet_shared::label::Reading;
use unet_shared::manifest::StackSplit;
use unet_shared::samples::SampleReading;

/// How to read a dataset whose folders do not say it.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenOptions {
    /// Share of the pairs for validation, from 0 to below 1. If it is above 0 and there are two pairs or more, at least
    /// one pair.
    pub val_ratio: f64,
    /// Seed of the split.
    pub seed: u64,
    /// How the split divides the slices of TIFF stacks.
    pub stacks: StackSplit,
    /// The fold of training and validation pairs together that is for validation, whatever split the layout states and
    /// whatever the ratio; the test split stays apart.
    pub fold: Option<Fold>,
    /// Folders and endings of names; they take precedence over those of `dataset.toml`.
    pub choice: FolderChoice,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { val_ratio: 0.2, seed: 0, stacks: StackSplit::Whole, fold: None, choice: FolderChoice::default() }
    }
}

/// Why a directory cannot be read as a dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A directory cannot be listed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The path does not exist.
    #[error("{} does not exist; expected the folder that holds images and masks", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The path is not a directory.
    #[error("{} is a file, not a directory; expected the folder that holds images and masks", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The directory has none of the accepted layouts.
    #[error("{}: {found}; {ACCEPTED_LAYOUTS}", root.display())]
    Layout {
        /// The directory.
        root: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// The directory has an accepted layout, but cannot be read, or could be read in several ways.
    #[error("{}: {found}", root.display())]
    Refused {
        /// The directory.
        root: PathBuf,
        /// Why, and what can be done.
        found: String,
    },
    /// The directory has an accepted layout, but no pair.
    #[error("{}: {found}; {PAIRING_RULE}, or choose with --masks, --images and --suffix", root.display())]
    Unpaired {
        /// The directory.
        root: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// A directory of images without labels has no image.
    #[error("{}: {found}", path.display())]
    NoImages {
        /// The directory.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// A split has no pair.
    #[error(
        "{} has no {split} split{}", root.display(),
        if found.is_empty() { ", nor another with pairs".to_owned() } else { format!("; available: {found}") }
    )]
    NoSplit {
        /// The directory.
        root: PathBuf,
        /// The split.
        split: Split,
        /// The splits with pairs, and their numbers; empty if no split has any.
        found: String,
    },
    /// `dataset.toml` cannot be used.
    #[error(transparent)]
    DatasetFile(#[from] DatasetFileError),
    /// There are too few pairs for so many folds.
    #[error("{}: expected at most {units} folds, as there are {units} images and stacks to train on and validate, found {found}", root.display())]
    Folds {
        /// The directory.
        root: PathBuf,
        /// Images and stacks, which stay whole; of a single stack, its slices.
        units: usize,
        /// The number of folds.
        found: u32,
    },
    /// The validation ratio is out of range.
    #[error("validation ratio (--val-ratio): expected at least 0 and less than 1, found {0}")]
    Ratio(f64),
}

/// The pairs of a dataset, by split.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The directory.
    pub root: PathBuf,
    /// Its layout.
    pub layout: Layout,
    /// Pairs to train on, sorted by name.
    pub train: Vec<Sample>,
    /// Pairs to score during training, sorted by name; equal to `train` if there is only one pair, or if the ratio is
    /// 0.
    pub val: Vec<Sample>,
    /// Pairs held out until the end, sorted by name.
    pub test: Vec<Sample>,
    /// Classes and ignored values: those of `dataset.toml`, else those that the format states itself, if any.
    pub file: Option<DatasetFile>,
    /// Files that are not used, and why.
    pub problems: Vec<PairingProblem>,
    /// For each skipped pair, the file that could not be read, and why.
    pub unreadable: Vec<String>,
    /// Other image files, which are not used.
    pub unused: Vec<Unused>,
    /// What is in the folders of the validation split, if no pair is, so that training pairs are used.
    pub val_without_pairs: Option<String>,
    /// What the layout's reader assumed or left out, a sentence each.
    pub notes: Vec<String>,
    /// Lists, tables and annotations that were read.
    pub read: Vec<PathBuf>,
}

impl Dataset {
    /// Finds the pairs and splits in the directory `root`. If the layout states no validation split, it is taken from
    /// the training pairs by a seeded ratio.
    pub fn open(root: &Path, options: &OpenOptions) -> Result<Self, DatasetError> {
        if !(0.0..1.0).contains(&options.val_ratio) {
            return Err(DatasetError::Ratio(options.val_ratio));
        }
        if !root.is_dir() {
            let path = root.into();
            return Err(if root.exists() { DatasetError::NotAFolder { path } } else { DatasetError::Missing { path } });
        }
        Self::from_listing(&Listing::of(root)?, options)
    }

    /// [`Dataset::open`] for a directory that is already listed.
    pub fn from_listing(listing: &Listing, options: &OpenOptions) -> Result<Self, DatasetError> {
        let root = listing.root.clone();
        let refused = |found| DatasetError::Refused { root: root.clone(), found };
        let file = DatasetFile::read(&root)?;
        let stated = file.as_ref().map(DatasetFile::choice).unwrap_or_default();
        let Some((layout, contents)) = layout::read(listing, &options.choice, stated).map_err(refused)? else {
            return Err(DatasetError::Layout {
                root,
                found: layout::damaged_annotations(listing) + &layout::describe_folders(listing),
            });
        };
        let Contents { parts, classes, notes, companions, read } = contents;
        if let Some(name) = classes.as_ref().and_then(DatasetFile::bad_name) {
            let twice = if name.trim().is_empty() { "" } else { " twice" };
            let layout = layout.name();
            return Err(refused(format!(
                "classes of the {layout} layout: expected names that differ and are not empty, found {name:?}{twice}"
            )));
        }
        let stated_by = format!("the {} layout", layout.name());
        let classes = classes.map(|classes| DatasetFile { stated_by: Some(stated_by), ..classes });
        let file = file.map(|file| file.or_classes(classes.as_ref())).or(classes);
        let mut dataset = Self {
            root: root.clone(),
            layout,
            train: vec![],
            val: vec![],
            test: vec![],
            file,
            problems: vec![],
            unreadable: vec![],
            unused: vec![],
            notes,
            val_without_pairs: None,
            read,
        };
        let states_splits = parts.iter().any(|(split, _)| split.is_some());
        for (split, Pairing { samples, problems, notes }) in parts {
            let mut samples =
                stacks::expand(samples, &mut dataset.notes, &|path| listing.show(path)).map_err(refused)?;
            samples.sort_by(|a, b| a.name.cmp(&b.name));
            match split.unwrap_or(Split::Train) {
                Split::Train => dataset.train = samples,
                Split::Val => dataset.val = samples,
                Split::Test => dataset.test = samples,
            }
            dataset.problems.extend(problems);
            dataset.notes.extend(notes);
        }
        let used: HashSet<&Path> = dataset
            .samples()
            .flat_map(|sample| {
                let labels = sample.label.iter().flat_map(Annotation::image_files);
                std::iter::once(sample.image.as_path()).chain(labels)
            })
            .collect();
        let problems = dataset.problems.iter().flat_map(PairingProblem::files);
        let told: HashSet<&Path> = problems.chain(&companions).map(PathBuf::as_path).collect();
        dataset.unused = unused::find(listing, &used, &told);
        if dataset.samples().next().is_none() {
            let found = layout::damaged_annotations(listing) + &describe_unpaired(listing, &dataset.problems);
            return Err(if layout.is_any_folder() {
                DatasetError::Layout { root, found }
            } else {
                DatasetError::Unpaired { root, found }
            });
        }
        if options.fold.is_none() && !dataset.val.is_empty() && options.val_ratio != OpenOptions::default().val_ratio {
            let note = "--val-ratio has no effect: the dataset has validation images of its own";
            dataset.notes.push(note.to_owned());
        }
        if let Some(fold) = options.fold {
            let (train, val) = (std::mem::take(&mut dataset.train), std::mem::take(&mut dataset.val));
            let pairs = folds::together(train, val);
            let (train, val, note) = folds::split(pairs, fold, options).map_err(|units| DatasetError::Folds {
                root,
                units,
                found: fold.count(),
            })?;
            (dataset.train, dataset.val) = (train, val);
            dataset.notes.push(note);
        } else if dataset.val.is_empty() {
            let pairs = dataset.train.len();
            let (train, val, note) = split_by_ratio(dataset.train, options);
            (dataset.train, dataset.val) = (train, val);
            dataset.notes.extend(note);
            if states_splits && !dataset.val.is_empty() {
                let taken = dataset.val.len();
                let mut val = listing.folders.iter().filter(|folder| folder.split == Some(Split::Val));
                if let Some(folder) = val.find(|folder| !folder.images.is_empty()) {
                    let (files, folder) = (counted(folder.images.len(), "image file"), listing.show(&folder.path));
                    dataset.val_without_pairs = Some(format!(
                        "{folder} has {files}, but no image there has a mask: {taken} of {pairs} training pairs are used instead"
                    ));
                    return Ok(dataset);
                }
                dataset.notes.push(format!(
                    "there is no validation folder: {taken} of {pairs} training pairs are used for validation (--val-ratio, --split-seed)"
                ));
            }
        }
        dataset.validate_on_training_if_alone();
        Ok(dataset)
    }

    /// With a single pair, or a ratio of 0, the training pairs are scored.
    fn validate_on_training_if_alone(&mut self) {
        if self.val.is_empty() {
            self.val.clone_from(&self.train);
        }
    }

    /// Decodes every file, images by `samples` and labels by `labels`, and leaves out the pairs with one that is
    /// [unreadable](FileError::is_unreadable).
    pub fn leave_out_unreadable(&mut self, samples: &SampleReading, labels: &Reading) {
        let all: Vec<(Split, &Sample)> = self.with_splits().collect();
        let mut found: Vec<Option<FileError>> = all.iter().map(|_| None).collect();
        let work = |index: usize| unreadable_file(all[index].1, samples, labels);
        in_parallel(all.len(), work, |index, error| {
            found[index] = error;
            ControlFlow::Continue(())
        });
        let mut reasons = Vec::new();
        let mut left_out: HashSet<(Split, String)> = HashSet::new();
        for ((split, sample), error) in all.iter().zip(found) {
            if let Some(error) = error {
                left_out.insert((*split, sample.name.clone()));
                reasons.push(error.with_causes());
            }
        }
        self.retain(|split, sample| !left_out.contains(&(split, sample.name.clone())));
        self.unreadable.extend(reasons);
    }

    /// Drops the samples for which `keep` is false.
    pub fn retain(&mut self, keep: impl Fn(Split, &Sample) -> bool) {
        if self.validates_on_training() {
            self.val.clear();
        }
        self.train.retain(|sample| keep(Split::Train, sample));
        self.val.retain(|sample| keep(Split::Val, sample));
        self.test.retain(|sample| keep(Split::Test, sample));
        self.validate_on_training_if_alone();
    }

    /// A line for each skipped pair, one with their number, and one if no validation pair is left; empty if none was skipped.
    pub fn skipped(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.unreadable.iter().map(|reason| format!("skipped: {reason}")).collect();
        if let count @ 1.. = lines.len() {
            let all = count + self.samples().count();
            lines.push(format!("{count} of {all} pairs cannot be read and are left out"));
            if self.validates_on_training() {
                lines.push("no validation pair is left: training pairs are scored instead".to_owned());
            }
        }
        lines
    }

    /// The samples of one split.
    ///
    /// # Errors
    /// If it has none.
    pub fn samples_of(&self, split: Split) -> Result<&[Sample], DatasetError> {
        let samples = self.split(split);
        if !samples.is_empty() {
            return Ok(samples);
        }
        let others = Split::ALL.map(|other| (other, self.split(other).len()));
        let others = others.iter().filter(|(_, count)| *count > 0);
        let others = others.map(|(other, count)| format!("{other} ({})", counted(*count, "pair")));
        let found = others.collect::<Vec<_>>().join(", ");
        Err(DatasetError::NoSplit { root: self.root.clone(), split, found })
    }

    /// The samples of one split; none if there is no such split.
    pub fn split(&self, split: Split) -> &[Sample] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }

    /// All samples: train, then val, then test; each once.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.with_splits().map(|(_, sample)| sample)
    }

    fn with_splits(&self) -> impl Iterator<Item = (Split, &Sample)> {
        let splits = Split::ALL.into_iter().filter(|&split| split != Split::Val || !self.validates_on_training());
        splits.flat_map(|split| self.split(split).iter().map(move |sample| (split, sample)))
    }

    /// Whether the training pairs are scored, because no pair is left for validation.
    pub fn validates_on_training(&self) -> bool {
        !self.train.is_empty() && self.train == self.val
    }

    /// The last component of the root's path, for records.
    pub fn name(&self) -> String {
        let path = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        path.file_name().map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned())
    }
}

/// Why a directory with an accepted layout has no pair.
fn describe_unpaired(listing: &Listing, problems: &[PairingProblem]) -> String {
    let (mut images, mut masks, mut names) = (Vec::new(), Vec::new(), 0);
    for problem in problems {
        match problem {
            PairingProblem::UnpairedImage(path) => images.push(path),
            PairingProblem::UnpairedMask(path) => masks.push(path),
            PairingProblem::Ambiguous { .. } => names += 1,
        }
    }
    let mut parts = Vec::new();
    for (paths, noun) in [(&images, "unpaired image"), (&masks, "unpaired mask")] {
        if let Some(first) = paths.first() {
            parts.push(format!("{}, such as {}", counted(paths.len(), noun), listing.show(first)));
        }
    }
    if names > 0 {
        parts.push(format!("{} shared by several files", counted(names, "name")));
    }
    format!("no image has a mask of the same name ({})", parts.join("; "))
}

/// The first unreadable file of a pair, if any.
fn unreadable_file(sample: &Sample, samples: &SampleReading, labels: &Reading) -> Option<FileError> {
    let label = |label: &Annotation| label.decode()?.into_values(labels, label.path()).map(drop);
    let image = sample.decode_image(samples).err().filter(FileError::is_unreadable);
    image.or_else(|| sample.label.as_ref().and_then(|path| label(path).err()).filter(FileError::is_unreadable))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::fs;

    /// Empty files: opening a dataset reads names only.
    pub(crate) fn folder(files: &[&str]) -> tempfile::TempDir {
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
    fn folds_take_the_place_of_stated_splits_and_leave_the_test_split_alone() {
        let mut files = vec![];
        for (split, count) in [("train", 4), ("val", 2), ("test", 3)] {
            files.extend((0..count).flat_map(|k| ["images", "masks"].map(|part| format!("{split}/{part}/{k}.png"))));
        }
        let root = folder(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let open = |index, count| {
            let fold = Some(Fold::new(index, count).unwrap());
            Dataset::open(root.path(), &OpenOptions { fold, ..OpenOptions::default() })
        };
        let mut validated: Vec<PathBuf> = vec![];
        for index in 1..=3 {
            let dataset = open(index, 3).unwrap();
            assert_eq!(counts(&dataset), [4, 2, 3]);
            validated.extend(dataset.val.iter().map(|sample| sample.image.clone()));
            assert!(dataset.val.iter().all(|sample| sample.name.starts_with(['t', 'v'])), "{:?}", dataset.val);
            assert_eq!(dataset.test[0].name, "0");
            assert_eq!(dataset.notes.last().unwrap(), &format!("fold {index}/3: 2 of 6 pairs are used for validation"));
        }
        validated.sort();
        validated.dedup();
        assert_eq!(validated.len(), 6);
        let error = open(1, 7).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "expected at most 6 folds, as there are 6 images and stacks to train on and validate, found 7"
            ),
            "{error}"
        );
    }

    #[test]
    fn layouts_that_are_accepted() {
        let (splits, two_folders, one_folder) = ("splits", "two_folders", "one_folder");
        let check = |layout, expected: [usize; 3], files: &[&str]| {
            let dataset = open(&folder(files)).unwrap();
            assert_eq!((dataset.layout.name(), counts(&dataset)), (layout, expected), "{files:?}");
            assert!(dataset.samples().all(|sample| sample.label.is_some()));
        };
        check(splits, [1, 1, 0], &["train/images/a.jpg", "train/masks/a.png", "val/images/b.jpg", "val/masks/b.png"]);
        check(splits, [1, 1, 0], &["images/train/a.jpg", "masks/train/a.png", "images/val/b.jpg", "masks/val/b.png"]);
        check(
            splits,
            [1, 1, 1],
            &["train/a.jpg", "trainannot/a.png", "val/b.jpg", "valannot/b.png", "test/c.jpg", "testannot/c.png"],
        );
        check(splits, [1, 1, 0], &["train/a.jpg", "train/a_mask.png", "valid/b.jpg", "valid/b_mask.png"]);
        // No validation split: it is taken out of train.
        check(
            splits,
            [1, 1, 0],
            &["train/images/a.jpg", "train/images/b.jpg", "train/masks/a.png", "train/masks/b.png"],
        );
        check(two_folders, [1, 1, 0], &["Images/a.jpg", "Images/b.jpg", "labels/a.png", "labels/b.png"]);
        check(two_folders, [1, 1, 0], &["Training_Images/107.jpg", "Ground_Truth/107.png"]);
        check(two_folders, [1, 1, 0], &["images/a.jpg", "masks/a.png", "masks_colour/a.png"]);
        check(two_folders, [1, 1, 0], &["a.jpg", "masks/a.png"]);
        check(one_folder, [1, 1, 0], &["a.jpg", "a.png", "b.jpg", "b.png"]);
        check(one_folder, [1, 1, 0], &["a.png", "a_annotation.png"]);
    }

    #[test]
    fn layouts_that_are_refused_say_what_was_found() {
        let check = |files: &[&str], expected: &str| match open(&folder(files)) {
            Err(error) => {
                let message = error.to_string();
                // The accepted layouts are listed only if none was recognised.
                let is_unknown = matches!(error, DatasetError::Layout { .. });
                assert_eq!(message.contains("accepted layouts"), is_unknown, "{message}");
                assert!(message.contains(expected), "{message}");
                is_unknown
            }
            other => std::panic!("{files:?}: {other:?}"),
        };
        assert!(check(&[], "no file"));
        assert!(check(&["a.jpg", "b.jpg"], "2 unpaired images, such as a.jpg"));
        assert!(check(&["001_mask.png"], "1 unpaired mask, such as 001_mask.png"));
        assert!(check(&["notes.txt"], "1 other file"));
        let alone = "found 2 images in images but no masks; expected masks such as masks/a.png, or --masks FOLDER";
        assert!(check(&["images/a.jpg", "images/b.jpg"], alone));
        let split =
            "found 2 images in train/images and 1 more folder but no masks; expected masks such as train/masks/a.png";
        assert!(check(&["train/images/a.jpg", "val/images/b.jpg"], split));
        assert!(check(&["58c5/images/a.png", "58c5/masks/b.png"], "58c5/images (1 image file, 0 other files)"));
        assert!(check(&["image/097.jpg", "seg/097.seg", "groundTruth/097.mat"], "seg (0 image files, 1 other file)"));
        let ambiguous = ["images/a.png", "labels/a.png", "annotations/a.png"];
        assert!(!check(&ambiguous, "--masks annotations or --masks labels chooses"));
        let unpaired = "(1 unpaired image, such as images/a.png; 1 unpaired mask, such as masks/b.png)";
        assert!(!check(&["images/a.png", "masks/b.png"], unpaired));
        let file = folder(&["a.png"]);
        let refused = Dataset::open(&file.path().join("a.png"), &OpenOptions::default());
        assert!(matches!(refused, Err(DatasetError::NotAFolder { .. })));
        let missing = Dataset::open(&file.path().join("missing"), &OpenOptions::default());
        assert!(matches!(missing, Err(DatasetError::Missing { .. })));
        let options = OpenOptions { val_ratio: 1.0, ..OpenOptions::default() };
        assert!(matches!(Dataset::open(file.path(), &options), Err(DatasetError::Ratio(_))));
    }

    #[test]
    fn left_over_files_are_problems() {
        let dataset = open(&folder(&["images/a.png", "images/b.png", "masks/a.png", "masks/c.png"])).unwrap();
        assert_eq!(counts(&dataset), [1, 1, 0]);
        assert_eq!(dataset.problems.len(), 2);
    }

    #[test]
    fn pairs_that_cannot_be_read_are_left_out_if_asked() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "d"] {
            Sample::gray(root.path(), name, 2, vec![1, 2, 1, 2]);
        }
        let cut = root.path().join("b.jpg");
        let bytes = std::fs::read(&cut).unwrap();
        std::fs::write(&cut, &bytes[..bytes.len() - 2]).unwrap();
        std::fs::write(root.path().join("c.png"), "text").unwrap();
        let names = |dataset: &Dataset| dataset.samples().map(|sample| sample.name.clone()).collect::<Vec<_>>();
        let all = Dataset::open(root.path(), &OpenOptions::default()).unwrap();
        assert_eq!((names(&all).len(), all.skipped().len()), (4, 0));
        let mut readable = all.clone();
        readable.leave_out_unreadable(&SampleReading::PLAIN, &Reading::STORED);
        let mut left = names(&readable);
        left.sort();
        assert_eq!(left, ["a", "d"]);
        let lines = readable.skipped();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().any(|line| line.contains("b.jpg is cut off")), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("c.png")), "{lines:?}");
        assert_eq!(lines[2], "2 of 4 pairs cannot be read and are left out");
        assert_eq!(lines[3], "no validation pair is left: training pairs are scored instead");
        assert_eq!(readable.samples_of(Split::Train).unwrap().len(), 2);
        let message = |dataset: &Dataset| dataset.samples_of(Split::Test).unwrap_err().to_string();
        let test = message(&readable);
        assert!(test.ends_with("has no test split; available: train (2 pairs), val (2 pairs)"), "{test}");
        readable.retain(|_, _| false);
        let test = message(&readable);
        assert!(test.ends_with("has no test split, nor another with pairs"), "{test}");
    }
}
