//! Which files a check looks at, and what their names alone already tell.
//!
//! Where the layout is accepted, these are the data set's pairs and what is left over; where it is not, every image file of the folder, with
//! the names of files and folders saying what is an image and what a mask.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use unet_data::layout::Layout;
use unet_data::listing::{Folder, Kind as FolderKind, Listing, split_of, words};
use unet_data::pairing::{PairingProblem, part};
use unet_data::{Dataset, DatasetError, DatasetFile, FileError, OpenOptions, Split, decode_label};

use super::examine::Unit;
use super::finding::{Finding, Kind, Severity};
use super::list_file::{self, ListFile, has_list_extension};
use super::{SplitSummary, stem};
use unet_engine::error::chain;

/// The files to decode, and the findings so far.
#[derive(Debug)]
pub struct Inventory {
    /// The layout; none where it is not accepted.
    pub layout: Option<Layout>,
    /// Pairs of each split.
    pub splits: Vec<SplitSummary>,
    /// What is to be decoded.
    pub units: Vec<Unit>,
    /// What `dataset.toml` says.
    pub file: Option<DatasetFile>,
    /// What the names tell.
    pub findings: Vec<Finding>,
}

impl Inventory {
    /// Takes stock of a folder.
    pub fn of(listing: &Listing, options: &OpenOptions) -> Self {
        let mut inventory =
            Self { layout: None, splits: Vec::new(), units: Vec::new(), file: None, findings: Vec::new() };
        match Dataset::from_listing(listing, options) {
            Ok(dataset) => inventory.take_dataset(listing, dataset),
            Err(error) => inventory.take_refused(listing, &error),
        }
        let (lists, strange) = inventory.other_files(listing);
        inventory.findings.extend(list_file::findings(&lists));
        inventory.findings.extend(strange);
        inventory
    }

    fn take_dataset(&mut self, listing: &Listing, dataset: Dataset) {
        self.layout = Some(dataset.layout);
        for split in Split::ALL {
            // Pairs that are scored for want of others are those of the training, and are looked at once.
            let again = split == Split::Val && dataset.validates_on_training();
            let samples = if again { &[] } else { dataset.split(split) };
            self.splits.push(SplitSummary { split, pairs: samples.len() });
            self.units.extend(samples.iter().map(|sample| Unit {
                image: Some(sample.image.clone()),
                mask: sample.label.clone(),
                split: Some(split),
            }));
        }
        if dataset.train.is_empty() {
            let message = "there is nothing to train on: no pair lies in the training split";
            self.findings.push(Finding::new(Severity::Error, Kind::Layout, Vec::new(), message));
        }
        if dataset.validates_on_training() {
            let message = "nothing is left to score while training, so the training pairs are scored: there is one pair in all, or the validation ratio is 0";
            self.findings.push(Finding::new(Severity::Warning, Kind::NoValidation, Vec::new(), message));
        }
        self.take_problems(listing, &dataset.problems);
        self.file = dataset.file;
    }

    /// Looks at every file all the same, so that the reader learns all that is wrong and not only the layout.
    fn take_refused(&mut self, listing: &Listing, error: &DatasetError) {
        let kind = if matches!(error, DatasetError::DatasetFile(_)) { Kind::DatasetFile } else { Kind::Layout };
        self.findings.push(Finding::new(Severity::Error, kind, Vec::new(), chain(error)));
        let (mut images, mut masks) = (Vec::new(), Vec::new());
        for folder in &listing.folders {
            let (some_images, some_masks) = match folder.kind {
                Some(FolderKind::Images) => (folder.images.clone(), Vec::new()),
                Some(FolderKind::Masks) => (Vec::new(), folder.images.clone()),
                None => part(&folder.images),
            };
            let split = |path: &Path| folder.split.or_else(|| split_of(words(&stem(path)).first()?));
            for path in &some_images {
                self.units.push(Unit { image: Some(path.clone()), mask: None, split: split(path) });
            }
            for path in &some_masks {
                self.units.push(Unit { image: None, mask: Some(path.clone()), split: split(path) });
            }
            images.extend(some_images);
            masks.extend(some_masks);
        }
        self.take_instance_folders(listing);
        let grouped = self.findings.iter().any(|finding| finding.kind == Kind::InstanceMasks);
        if !grouped {
            let pairing = unet_data::pairing::pair(&images, &masks);
            self.take_problem_findings(listing, &pairing.problems);
        }
    }

    /// Files that are left over are decoded too: they may be unreadable, or the copy of another.
    fn take_problems(&mut self, listing: &Listing, problems: &[PairingProblem]) {
        let mut add = |image: Option<&PathBuf>, mask: Option<&PathBuf>| {
            let path = image.or(mask);
            let folder = path
                .and_then(|path| listing.folders.iter().find(|folder| Some(folder.path.as_path()) == path.parent()));
            self.units.push(Unit { image: image.cloned(), mask: mask.cloned(), split: folder.and_then(|f| f.split) });
        };
        for problem in problems {
            match problem {
                PairingProblem::UnpairedImage(path) => add(Some(path), None),
                PairingProblem::UnpairedMask(path) => add(None, Some(path)),
                PairingProblem::Ambiguous { images, masks, .. } => {
                    images.iter().for_each(|path| add(Some(path), None));
                    masks.iter().for_each(|path| add(None, Some(path)));
                }
            }
        }
        self.take_instance_folders(listing);
        self.take_problem_findings(listing, problems);
    }

    fn take_problem_findings(&mut self, listing: &Listing, problems: &[PairingProblem]) {
        let show = |path: &PathBuf| listing.show(path);
        let (mut images, mut masks) = (Vec::new(), Vec::new());
        for problem in problems {
            match problem {
                PairingProblem::UnpairedImage(path) => images.push(path),
                PairingProblem::UnpairedMask(path) => masks.push(path),
                PairingProblem::Ambiguous { name, images, masks } => {
                    let instances = images.len() == 1 && masks.len() > 1;
                    let kind = if instances { Kind::InstanceMasks } else { Kind::AmbiguousPair };
                    let message = format!(
                        "{} images and {} masks are called {name:?}; none of them takes part: keep one of each",
                        images.len(),
                        masks.len()
                    );
                    let files = images.iter().chain(masks).map(show).collect();
                    self.findings.push(Finding::new(Severity::Error, kind, files, message));
                }
            }
        }
        // `x_0.png`, `x_1.png` for an image `x.jpg`: one file an object.
        let mut left = Vec::new();
        let mut parts: BTreeMap<&PathBuf, Vec<&PathBuf>> = BTreeMap::new();
        for mask in masks {
            let name = stem(mask);
            let is_part = |image: &&&PathBuf| {
                let rest = name.strip_prefix(&stem(image));
                rest.is_some_and(|rest| {
                    rest.starts_with(['_', '-', '.', ' ']) && rest.chars().any(|c| c.is_ascii_digit())
                })
            };
            match images.iter().find(is_part) {
                Some(image) => parts.entry(image).or_default().push(mask),
                None => left.push(mask),
            }
        }
        for (image, masks) in parts {
            if masks.len() > 1 {
                images.retain(|other| *other != image);
                let files: Vec<String> = std::iter::once(image).chain(masks).map(show).collect();
                self.findings.push(instance_masks(files));
            } else {
                left.extend(masks);
            }
        }
        left.sort();
        let (predictions, images): (Vec<&PathBuf>, Vec<&PathBuf>) =
            images.into_iter().partition(|path| is_prediction(path));
        if !predictions.is_empty() {
            let message = "by its name the output of a program, neither an image nor a label; it takes no part";
            let files = predictions.into_iter().map(show).collect();
            self.findings.push(Finding::new(Severity::Warning, Kind::PredictionFile, files, message));
        }
        if !images.is_empty() {
            let message = "no mask has its name; it takes no part";
            let files = images.into_iter().map(show).collect();
            self.findings.push(Finding::new(Severity::Error, Kind::UnpairedImage, files, message));
        }
        if !left.is_empty() {
            let message = "no image has its name; it takes no part";
            let files = left.into_iter().map(show).collect();
            self.findings.push(Finding::new(Severity::Error, Kind::UnpairedMask, files, message));
        }
    }

    /// Folders with one image and several masks: one mask an object, as in the Data Science Bowl 2018.
    fn take_instance_folders(&mut self, listing: &Listing) {
        let mut by_parent: BTreeMap<&Path, Vec<&Folder>> = BTreeMap::new();
        for folder in &listing.folders {
            if let Some(parent) = folder.path.parent().filter(|_| folder.depth > 0) {
                by_parent.entry(parent).or_default().push(folder);
            }
        }
        for folders in by_parent.values() {
            let of = |kind| folders.iter().filter(move |f| f.kind == Some(kind) && !f.images.is_empty());
            let (mut images, mut masks) = (of(FolderKind::Images), of(FolderKind::Masks));
            if let (Some(images), None, Some(masks), None) = (images.next(), images.next(), masks.next(), masks.next())
                && let [image] = images.images.as_slice()
                && masks.images.len() > 1
                && !masks.images.iter().any(|mask| stem(mask) == stem(image))
            {
                let files = std::iter::once(image).chain(&masks.images).map(|path| listing.show(path)).collect();
                self.findings.push(instance_masks(files));
            }
        }
    }

    /// Lists, and files where images or masks are expected that are of no format that is read.
    fn other_files(&self, listing: &Listing) -> (Vec<ListFile>, Vec<Finding>) {
        let (mut lists, mut findings) = (Vec::new(), Vec::new());
        for folder in &listing.folders {
            for path in &folder.others {
                if has_list_extension(path) && folder.kind.is_none() {
                    lists.extend(ListFile::read(path, listing.show(path)));
                } else if folder.kind.is_some() || has_data_extension(path) {
                    let reason = match decode_label(path) {
                        // Not even the extension is known, but the content is that of an image.
                        Ok(_) => {
                            "is an image by its content, but its extension is not one that is looked for; rename it"
                                .into()
                        }
                        Err(error) => unreadable(&error),
                    };
                    let severity = if folder.kind.is_some() { Severity::Error } else { Severity::Warning };
                    findings.push(Finding::new(severity, Kind::Unreadable, vec![listing.show(path)], reason));
                }
            }
        }
        (lists, findings)
    }
}

fn instance_masks(files: Vec<String>) -> Finding {
    let message = format!(
        "{} masks belong to one image, one for each object; merge them into one mask that holds a class id a pixel",
        files.len() - 1
    );
    Finding::new(Severity::Error, Kind::InstanceMasks, files, message)
}

/// An error without the path, which the finding states already.
fn unreadable(error: &FileError) -> String {
    match error {
        FileError::Format { found, .. } => {
            format!(
                "looks like {found}, and is not read; convert it to PNG, with a class id a pixel where it is a label"
            )
        }
        other => chain(other),
    }
}

/// Extensions of images and labels that are not read.
fn has_data_extension(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    matches!(
        extension.as_deref(),
        Some(
            "mat"
                | "seg"
                | "npy"
                | "npz"
                | "h5"
                | "hdf5"
                | "gif"
                | "webp"
                | "avif"
                | "heic"
                | "pgm"
                | "ppm"
                | "pnm"
                | "nii"
                | "dcm"
                | "exr"
                | "raw"
                | "dng"
                | "czi"
                | "jp2"
        )
    )
}

/// Whether a file's name says that a program wrote it.
fn is_prediction(path: &Path) -> bool {
    let words = words(&stem(path));
    words.iter().any(|word| matches!(word.as_str(), "predict" | "pred" | "prediction" | "predicted" | "output"))
}
