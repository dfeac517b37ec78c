//! Checks a dataset: what its folder holds, and everything that is wrong with it at once.
//!
//! Reads with the same code as training (layout, pairing, decoding, label maps), but continues where training stops with an
//! error. The result is data; `text` formats it. Knows no network and no training.

mod duplicates;
mod examine;
mod finding;
mod fingerprint;
mod inventory;
mod list_file;
mod mask_findings;
mod pixel_findings;
mod report;
mod text;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use unet_data::histogram::{LabelHistogram, as_colour};
use unet_data::listing::{Listing, show_below};
use unet_data::workers::in_parallel;
use unet_data::{FileError, LabelMap, OpenOptions, Split};
use unet_shared::label::LabelValue;
use unet_shared::mask::IGNORE_INDEX;

use examine::{Examined, examine};
pub use finding::{Finding, Kind, Severity};
use inventory::Inventory;
use list_file::ListFile;
pub use report::{CheckReport, ClassSummary, SizeSummary, SplitSummary, ValueSummary};
use unet_engine::error::chain;

/// Maximum number of values in a report; more are only counted.
const VALUES_LISTED_MAX: usize = 256;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The path does not exist.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A folder cannot be listed.
    #[error(transparent)]
    File(#[from] FileError),
}

/// How a dataset without split folders is split; the same as for training.
pub type CheckOptions = OpenOptions;

/// Checks the dataset in the folder `root`. `progress` is called with the number of files or pairs that are done, and of all.
///
/// # Errors
/// If the path does not exist or cannot be listed; everything else that is wrong is a finding.
pub fn check(
    root: &Path,
    options: &CheckOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<CheckReport, CheckError> {
    if !root.exists() {
        return Err(CheckError::Missing { path: root.into() });
    }
    if !root.is_dir() {
        return Ok(single_file(root));
    }
    let listing = Listing::of(root)?;
    let inventory = Inventory::of(&listing, options);
    let mut counts: BTreeMap<Option<Split>, LabelHistogram> = BTreeMap::new();
    let mut examined: Vec<Option<Examined>> = inventory.units.iter().map(|_| None).collect();
    let mut done = 0;
    let work = |index: usize| examine(&inventory.units[index], index);
    in_parallel(inventory.units.len(), work, |index, mut result| {
        if let Some(Ok((_, histogram))) = &mut result.mask {
            counts.entry(inventory.units[index].split).or_default().merge(&std::mem::take(histogram));
        }
        examined[index] = Some(result);
        done += 1;
        progress(done, inventory.units.len());
        ControlFlow::Continue(())
    });
    let examined: Vec<Examined> = examined.into_iter().flatten().collect();
    Ok(summarize(&listing, inventory, counts, &examined))
}

fn summarize(
    listing: &Listing,
    inventory: Inventory,
    counts: BTreeMap<Option<Split>, LabelHistogram>,
    examined: &[Examined],
) -> CheckReport {
    let Inventory { layout, splits, units, file, unused, notes, mut findings, .. } = inventory;
    let show = |path: &Path| listing.show(path);
    let mut total = LabelHistogram::default();
    counts.values().for_each(|part| total.merge(part));
    let mask_path = |index: usize| units[index].mask.as_ref().map(|mask| mask.path().to_owned()).unwrap_or_default();
    let map = if total.values.is_empty() {
        None
    } else {
        match LabelMap::from_histogram(total.clone(), file.as_ref(), mask_path) {
            Ok(map) => Some(map),
            Err(error) => {
                findings.push(Finding::new(Severity::Error, Kind::Classes, Vec::new(), chain(&error)));
                None
            }
        }
    };
    findings.extend(pixel_findings::findings(&units, examined, &show));
    findings.extend(mask_findings::findings(&units, examined, &total, map.as_ref(), &show));
    findings.extend(duplicates::findings(&units, examined, &show));
    if let Some(map) = &map {
        findings.extend(missing_classes(map, &counts));
    }
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.kind.cmp(&b.kind)).then(a.files.cmp(&b.files)));
    let (mut values, classes) = shares(&total, map.as_ref());
    let values_omitted = values.len().saturating_sub(VALUES_LISTED_MAX);
    values.truncate(VALUES_LISTED_MAX);
    let images: Vec<_> = examined.iter().filter_map(|unit| unit.image.as_ref()?.as_ref().ok()).collect();
    let mut sizes: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut formats: BTreeMap<String, usize> = BTreeMap::new();
    for image in &images {
        *sizes.entry(image.size).or_default() += 1;
        *formats.entry(image.format.to_string()).or_default() += 1;
    }
    let mut sizes: Vec<SizeSummary> =
        sizes.into_iter().map(|((width, height), images)| SizeSummary { width, height, images }).collect();
    sizes.sort_by_key(|size| std::cmp::Reverse(size.images));
    CheckReport {
        root: listing.root.display().to_string(),
        layout,
        splits,
        images: images.len(),
        masks: examined.iter().filter(|unit| matches!(unit.mask, Some(Ok(_)))).count(),
        sizes,
        formats,
        values,
        values_omitted,
        classes,
        notes,
        unused,
        findings,
    }
}

/// The report on a path that is not a folder: a list, or any other file.
fn single_file(path: &Path) -> CheckReport {
    let name = show_below(path.parent().unwrap_or(path), path);
    let list = list_file::has_list_extension(path).then(|| ListFile::read(path, name.clone())).flatten();
    let what = if list.is_some() { "a list file" } else { "a file" };
    let message = format!(
        "is {what}, not a dataset; pass the folder of images and masks; {}",
        unet_data::layout::ACCEPTED_LAYOUTS
    );
    let mut findings = vec![Finding::new(Severity::Error, Kind::Layout, vec![name], message)];
    findings.extend(list_file::findings(list.as_slice()));
    CheckReport {
        root: path.display().to_string(),
        layout: None,
        splits: Vec::new(),
        images: 0,
        masks: 0,
        sizes: Vec::new(),
        formats: BTreeMap::new(),
        values: Vec::new(),
        values_omitted: 0,
        classes: Vec::new(),
        notes: Vec::new(),
        unused: Vec::new(),
        findings,
    }
}

/// The values and classes with their shares.
fn shares(total: &LabelHistogram, map: Option<&LabelMap>) -> (Vec<ValueSummary>, Vec<ClassSummary>) {
    let total = if total.has_colours() { total.clone().into_colours() } else { total.clone() };
    let table = map.and_then(|map| map.table().ok());
    let share = |pixels: u64, of: u64| if of == 0 { 0.0 } else { pixels as f64 / of as f64 };
    let mut class_pixels: BTreeMap<u8, u64> = BTreeMap::new();
    let mut values = Vec::new();
    for (&value, count) in &total.values {
        let ids = table.as_ref();
        let id = ids.and_then(|table| table.id_of(value).or_else(|| table.id_of(as_colour(value))));
        let class = id.filter(|&id| id != IGNORE_INDEX);
        if let Some(id) = class {
            *class_pixels.entry(id).or_default() += count.pixels;
        }
        let (share, masks) = (share(count.pixels, total.pixels), count.labels);
        values.push(ValueSummary { value, share, masks, class, ignored: id == Some(IGNORE_INDEX) });
    }
    let counted: u64 = class_pixels.values().sum();
    let classes = map.into_iter().flat_map(|map| map.classes.iter().zip(0u8..)).map(|(class, id)| ClassSummary {
        id,
        name: class.name.clone(),
        share: share(class_pixels.get(&id).copied().unwrap_or(0), counted),
        values: class.values.len(),
    });
    (values, classes.collect())
}

/// Classes that are missing from a split.
fn missing_classes(map: &LabelMap, counts: &BTreeMap<Option<Split>, LabelHistogram>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (split, part) in counts {
        let Some(split) = split else {
            continue;
        };
        let holds = |value: &LabelValue| part.values.keys().any(|&v| v == *value || as_colour(v) == *value);
        let missing = map.classes.iter().filter(|class| !class.values.iter().any(holds));
        let missing: Vec<&str> = missing.map(|class| class.name.as_str()).collect();
        if missing.is_empty() {
            continue;
        }
        let severity = if *split == Split::Train { Severity::Warning } else { Severity::Info };
        let consequence = if *split == Split::Train { "it cannot be learned" } else { "it is not scored there" };
        let message = format!("no mask in {split} contains class {}: {consequence}", missing.join(", "));
        findings.push(Finding::new(severity, Kind::MissingClass, Vec::new(), message));
    }
    findings
}

#[cfg(test)]
mod tests;
