//! The files that a check decodes, and the findings from their names alone.
//!
//! If the layout is accepted, these are the dataset's pairs and what is left over; if not, every image file in the folder, told apart as
//! image or mask by the names of files and folders.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use unet_data::listing::{Folder, Kind as FolderKind, Listing, split_of, words};
use unet_data::pairing::{PairingProblem, part, stem};
use unet_data::{Annotation, Dataset, DatasetError, DatasetFile, FileError, Split, Unused, counted, decode_label};

use super::CheckOptions;
use super::examine::{Examined, Unit};
use super::finding::{Finding, Kind, Severity};
use super::list_file::{self, ListFile, has_list_extension};
use super::report::SplitSummary;
use unet_engine::error::chain;

/// The files to decode, and the findings so far.
#[derive(Debug)]
pub struct Inventory {
    /// The dataset; none if its layout is not accepted.
    pub dataset: Option<Dataset>,
    /// What to decode.
    pub units: Vec<Unit>,
    /// The content of `dataset.toml`.
    pub file: Option<DatasetFile>,
    /// Image files that are not used.
    pub unused: Vec<Unused>,
    /// What the layout's reader assumed or left out.
    pub notes: Vec<String>,
    /// Lists and annotations that were read.
    read: HashSet<PathBuf>,
    /// Findings from the names.
    pub findings: Vec<Finding>,
}

impl Inventory {
    /// Lists a folder.
    pub fn of(listing: &Listing, options: &CheckOptions) -> Self {
        let mut inventory = Self {
            dataset: None,
            units: Vec::new(),
            file: None,
            unused: Vec::new(),
            notes: Vec::new(),
            read: HashSet::new(),
            findings: Vec::new(),
        };
        match Dataset::from_listing(listing, &options.open) {
            Ok(mut dataset) => {
                options.labels.add_to(&mut dataset.file);
                inventory.add_dataset(listing, dataset);
            }
            Err(error) => {
                let kind = if matches!(error, DatasetError::DatasetFile(_)) { Kind::DatasetFile } else { Kind::Layout };
                inventory.findings.push(Finding::new(Severity::Error, kind, Vec::new(), chain(&error)));
                // Otherwise it is not known which files are images and which are masks.
                if !matches!(error, DatasetError::Layout { .. } | DatasetError::Unpaired { .. }) {
                    return inventory;
                }
                inventory.add_all_files(listing);
            }
        }
        let (lists, unsupported) = inventory.other_files(listing);
        inventory.findings.extend(list_file::findings(&lists));
        inventory.findings.extend(unsupported);
        inventory
    }

    fn add_dataset(&mut self, listing: &Listing, dataset: Dataset) {
        for split in Split::ALL {
            // Training pairs that are also scored, because there are no others, are decoded once.
            let again = split == Split::Val && dataset.validates_on_training();
            let samples = if again { &[] } else { dataset.split(split) };
            self.units.extend(samples.iter().map(|sample| Unit {
                image: Some(sample.image.clone()),
                page: sample.page,
                mask: sample.label.clone(),
                split: Some(split),
            }));
        }
        self.add_problems(listing, &dataset);
        self.file.clone_from(&dataset.file);
        (self.unused, self.notes) = (dataset.unused.clone(), dataset.notes.clone());
        self.read = dataset.read.iter().cloned().collect();
        self.dataset = Some(dataset);
    }

    /// Leaves out the pairs with a file that could not be read. Their units stay, without files: counts refer to units by their
    /// index.
    pub fn leave_out_unreadable(&mut self, examined: &mut [Examined]) {
        let Some(dataset) = &mut self.dataset else { return };
        let mut left_out = HashSet::new();
        for (unit, examined) in self.units.iter_mut().zip(examined) {
            let reason = examined.unreadable().next().map(FileError::with_causes);
            if let Some(reason) = reason.filter(|_| unit.is_pair()) {
                dataset.unreadable.push(reason);
                left_out.insert((unit.split, unit.image.take(), unit.page));
                unit.mask = None;
                (examined.image, examined.mask) = (None, None);
            }
        }
        dataset.retain(|split, sample| !left_out.contains(&(Some(split), Some(sample.image.clone()), sample.page)));
    }

    /// Pairs of each split, of which `val_ratio` were asked for to validate on; adds a finding for an empty split.
    pub fn splits(&mut self, val_ratio: f64) -> Vec<SplitSummary> {
        let Some(dataset) = &self.dataset else { return Vec::new() };
        if dataset.train.is_empty() {
            let message = "there is nothing to train on; put images into train/images and their masks into train/masks";
            self.findings.push(Finding::new(Severity::Error, Kind::NoTraining, Vec::new(), message));
        }
        if let Some(message) = &dataset.val_without_pairs {
            self.findings.push(Finding::new(Severity::Warning, Kind::NoValidation, Vec::new(), message));
        }
        let again = dataset.validates_on_training();
        if again {
            let cause = match dataset.train.len() {
                _ if val_ratio == 0.0 => "--val-ratio 0 leaves no pair for validation",
                _ if !dataset.unreadable.is_empty() => "no other pair that can be read is left for validation",
                1 => "there is only one pair, so none is left for validation",
                _ => "no pair is left for validation",
            };
            let message =
                format!("{cause}; scores are computed on the training pairs and say nothing about new images");
            self.findings.push(Finding::new(Severity::Warning, Kind::NoValidation, Vec::new(), message));
        }
        let pairs = |split| if again && split == Split::Val { 0 } else { dataset.split(split).len() };
        Split::ALL.into_iter().map(|split| SplitSummary { split, pairs: pairs(split) }).collect()
    }

    /// Adds every file of a folder without a pair, so that the report shows all that is wrong and not only the layout.
    fn add_all_files(&mut self, listing: &Listing) {
        let (mut images, mut masks) = (Vec::new(), Vec::new());
        for folder in &listing.folders {
            let (some_images, some_masks) = match folder.kind {
                Some(FolderKind::Images) => (folder.images.clone(), Vec::new()),
                Some(FolderKind::Masks) => (Vec::new(), folder.images.clone()),
                None => part(&folder.images),
            };
            let split = |path: &Path| folder.split.or_else(|| split_of(words(&stem(path)).first()?));
            for path in &some_images {
                self.units.push(Unit { image: Some(path.clone()), page: None, mask: None, split: split(path) });
            }
            for path in &some_masks {
                self.units.push(Unit { image: None, page: None, mask: Some(path.clone().into()), split: split(path) });
            }
            images.extend(some_images);
            masks.extend(some_masks);
        }
        self.find_instance_folders(listing);
        let grouped = self.findings.iter().any(|finding| finding.kind == Kind::InstanceMasks);
        if !grouped {
            let pairing = unet_data::pairing::pair(&images, &masks);
            self.find_pairing_problems(listing, &pairing.problems, None);
        }
    }

    /// Files without a partner are decoded too: they may be unreadable, or duplicates.
    fn add_problems(&mut self, listing: &Listing, dataset: &Dataset) {
        let mut add = |image: Option<&PathBuf>, mask: Option<&PathBuf>| {
            let path = image.or(mask);
            let folder = path
                .and_then(|path| listing.folders.iter().find(|folder| Some(folder.path.as_path()) == path.parent()));
            self.units.push(Unit {
                image: image.cloned(),
                page: None,
                mask: mask.cloned().map(Annotation::File),
                split: folder.and_then(|f| f.split),
            });
        };
        for problem in &dataset.problems {
            match problem {
                PairingProblem::UnpairedImage(path) => add(Some(path), None),
                PairingProblem::UnpairedMask(path) => add(None, Some(path)),
                PairingProblem::Ambiguous { images, masks, .. } => {
                    images.iter().for_each(|path| add(Some(path), None));
                    masks.iter().for_each(|path| add(None, Some(path)));
                }
            }
        }
        self.find_instance_folders(listing);
        self.find_pairing_problems(listing, &dataset.problems, Some(dataset));
    }

    /// `dataset` has the pairs, if there are any.
    fn find_pairing_problems(&mut self, listing: &Listing, problems: &[PairingProblem], dataset: Option<&Dataset>) {
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
                        "{} and {} are named {name:?}; none of them is used; keep one of each",
                        counted(images.len(), "image"),
                        counted(masks.len(), "mask")
                    );
                    let files = images.iter().chain(masks).map(show).collect();
                    self.findings.push(Finding::new(Severity::Error, kind, files, message));
                }
            }
        }
        // `x_0.png`, `x_1.png` for an image `x.jpg`: one file per object.
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
            let message = "named like a prediction, not like an image or a mask; it is not used";
            let files = predictions.into_iter().map(show).collect();
            self.findings.push(Finding::new(Severity::Warning, Kind::PredictionFile, files, message));
        }
        if !images.is_empty() {
            let message = match dataset.and_then(|dataset| expected_mask(images[0], dataset)) {
                Some(expected) if images.len() == 1 => {
                    format!("expected {}, found no such file", show(&expected))
                }
                Some(expected) => {
                    format!("expected masks of the same names, such as {}", show(&expected))
                }
                None => "no mask of the same name".to_owned(),
            };
            let files = images.into_iter().map(show).collect();
            self.findings.push(Finding::new(Severity::Error, Kind::UnpairedImage, files, message));
        }
        if !left.is_empty() {
            let message = "no image of the same name";
            let files = left.into_iter().map(show).collect();
            self.findings.push(Finding::new(Severity::Error, Kind::UnpairedMask, files, message));
        }
    }

    /// Folders with one image and several masks: one mask per object, as in the Data Science Bowl 2018.
    fn find_instance_folders(&mut self, listing: &Listing) {
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
                && !self.reads(&masks.images[0])
            {
                let files = std::iter::once(image).chain(&masks.images).map(|path| listing.show(path)).collect();
                self.findings.push(instance_masks(files));
            }
        }
    }

    /// Whether the label of a pair is read from this file.
    fn reads(&self, mask: &Path) -> bool {
        let pairs = self.units.iter().filter(|unit| unit.image.is_some());
        pairs.filter_map(|unit| unit.mask.as_ref()).any(|label| label.image_files().contains(&mask))
    }

    /// List files, and files of unsupported formats among images and masks.
    fn other_files(&self, listing: &Listing) -> (Vec<ListFile>, Vec<Finding>) {
        let (mut lists, mut findings, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for folder in &listing.folders {
            for path in folder.others.iter().filter(|path| !self.read.contains(path.as_path())) {
                if has_list_extension(path) && folder.kind.is_none() {
                    lists.extend(ListFile::read(path, listing.show(path)));
                } else if folder.kind.is_some() || has_data_extension(path) {
                    let (severity, reason) = match decode_label(path) {
                        Ok(_) => (
                            Severity::Error,
                            "its content is an image, but its extension is not known as one; rename it".into(),
                        ),
                        Err(_) if !has_data_extension(path) => {
                            notes.push(listing.show(path));
                            continue;
                        }
                        Err(error) => (Severity::Error, unreadable(&error)),
                    };
                    let severity = if folder.kind.is_some() { severity } else { Severity::Warning };
                    findings.push(Finding::new(severity, Kind::Unreadable, vec![listing.show(path)], reason));
                }
            }
        }
        if !notes.is_empty() {
            let message = "not an image by extension or content; it is passed over";
            findings.push(Finding::new(Severity::Info, Kind::OtherFile, notes, message));
        }
        (lists, findings)
    }
}

fn instance_masks(files: Vec<String>) -> Finding {
    let message = format!(
        "{} masks belong to one image, one per object; merge them into one mask with a class id per pixel",
        files.len() - 1
    );
    Finding::new(Severity::Error, Kind::InstanceMasks, files, message)
}

/// Why a file without an image's extension is not read, without its path.
fn unreadable(error: &FileError) -> String {
    match error {
        FileError::Format { found, .. } => {
            format!("looks like {found}, which is not supported; convert it to PNG (a mask: with a class id per pixel)")
        }
        other => other.without_path(),
    }
}

/// Extensions of unsupported image and label formats.
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

/// Whether a file is named like the output of a program.
fn is_prediction(path: &Path) -> bool {
    let words = words(&stem(path));
    words.iter().any(|word| matches!(word.as_str(), "predict" | "pred" | "prediction" | "predicted" | "output"))
}

/// The path of the mask that an image would have if it were named like those of the other images of its folder.
fn expected_mask(image: &Path, dataset: &Dataset) -> Option<PathBuf> {
    let name = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    dataset.samples().filter(|sample| sample.image.parent() == image.parent()).find_map(|sample| {
        let Some(Annotation::File(mask)) = &sample.label else { return None };
        let (of_mask, of_image) = (name(mask)?, name(&sample.image)?);
        // A short name, such as `a`, may also occur in the ending, such as `_mask`.
        let (before, after) = match (of_mask.strip_prefix(&*of_image), of_mask.strip_suffix(&*of_image)) {
            (Some(after), _) => ("", after),
            (None, Some(before)) => (before, ""),
            (None, None) => of_mask.split_once(&*of_image)?,
        };
        let expected = format!("{before}{}{after}", name(image)?);
        let extension =
            mask.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
        Some(mask.with_file_name(expected + &extension))
    })
}
