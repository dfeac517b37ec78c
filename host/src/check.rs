//! What a data set's folder holds, and everything that is wrong with it, at once.
//!
//! Uses the very code that training reads with (layout, pairing, decoding, label maps), and goes on where training stops.
//! Findings are data; [`text`] shows them to people. Knows no network and no training.

pub mod examine;
pub mod finding;
pub mod fingerprint;
pub mod inventory;
pub mod likeness;
pub mod list_file;
pub mod mask_findings;
pub mod pixel_findings;
pub mod text;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Serialize;
use unet_data::histogram::{LabelHistogram, as_colour};
use unet_data::layout::Layout;
use unet_data::listing::{Listing, show_below};
use unet_data::workers::in_parallel;
use unet_data::{FileError, LabelMap, OpenOptions, Split};
use unet_shared::label::LabelValue;
use unet_shared::mask::IGNORE_INDEX;

use examine::{Examined, examine};
pub use finding::{Finding, Kind, Severity};
use inventory::Inventory;
use list_file::ListFile;
use unet_engine::error::chain;

/// Values that a report lists at most; the others are counted.
const VALUES_LISTED_MAX: usize = 256;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is nothing at the path.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A folder cannot be listed.
    #[error(transparent)]
    File(#[from] FileError),
}

/// How a data set is opened where its folders do not state splits; the same as for training.
pub type CheckOptions = OpenOptions;

/// What a data set holds and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// The folder or file that was looked at.
    pub root: String,
    /// The layout; none where training refuses the folder.
    pub layout: Option<Layout>,
    /// Pairs of each split.
    pub splits: Vec<SplitSummary>,
    /// Image files that were read.
    pub images: usize,
    /// Mask files that were read.
    pub masks: usize,
    /// Sizes of the images, the most frequent first.
    pub sizes: Vec<SizeSummary>,
    /// Formats of the images' samples, such as `gray8`, and how many images have each.
    pub formats: BTreeMap<String, usize>,
    /// The masks' values in order, with the class that each becomes.
    pub values: Vec<ValueSummary>,
    /// Values that are not listed, because there are too many.
    pub values_omitted: usize,
    /// The classes.
    pub classes: Vec<ClassSummary>,
    /// What was found, the gravest first.
    pub findings: Vec<Finding>,
}

/// How many pairs a split has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SplitSummary {
    /// The split.
    pub split: Split,
    /// Its pairs.
    pub pairs: usize,
}

/// How many images have a size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizeSummary {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Images of this size.
    pub images: usize,
}

/// How often a value of the masks occurs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValueSummary {
    /// The gray value or colour.
    pub value: LabelValue,
    /// Its share of all pixels of masks.
    pub share: f64,
    /// Masks that hold it.
    pub masks: u64,
    /// The id that it becomes; none where it is ignored or there are no classes.
    pub class: Option<u8>,
    /// Whether it takes no part.
    pub ignored: bool,
}

/// How often a class occurs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassSummary {
    /// Its id.
    pub id: u8,
    /// Its name.
    pub name: String,
    /// Its share of all pixels that are not ignored.
    pub share: f64,
    /// How many label values mean it.
    pub values: usize,
}

impl CheckReport {
    /// Whether anything is wrong that stops training or makes its scores meaningless.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The report for people, with a line feed at its end.
    pub fn text(&self) -> String {
        text::render(self)
    }
}

/// Looks at the data set in the folder `root`. `progress` is called with how many of how many files, or pairs, are done.
///
/// # Errors
/// When there is nothing to look at; whatever is wrong with what is there is a finding.
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
    Ok(report(&listing, inventory, counts, &examined))
}

fn report(
    listing: &Listing,
    inventory: Inventory,
    counts: BTreeMap<Option<Split>, LabelHistogram>,
    examined: &[Examined],
) -> CheckReport {
    let Inventory { layout, splits, units, file, mut findings } = inventory;
    let show = |path: &Path| listing.show(path);
    let mut total = LabelHistogram::default();
    counts.values().for_each(|part| total.merge(part));
    let mask_path = |index: usize| units[index].mask.clone().unwrap_or_default();
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
    findings.extend(likeness::findings(&units, examined, &show));
    if let Some(map) = &map {
        findings.extend(missing_classes(map, &counts));
    }
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.kind.cmp(&b.kind)).then(a.files.cmp(&b.files)));
    let (mut values, classes) = summarise(&total, map.as_ref());
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
        findings,
    }
}

/// The report on a path that is no folder: a list, or anything else.
fn single_file(path: &Path) -> CheckReport {
    let name = show_below(path.parent().unwrap_or(path), path);
    let list = list_file::has_list_extension(path).then(|| ListFile::read(path, name.clone())).flatten();
    let what = if list.is_some() { "a list file" } else { "a file" };
    let message = format!(
        "is {what}, not a data set; give the folder of images and masks; {}",
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
        findings,
    }
}

/// The values and classes with their shares.
fn summarise(total: &LabelHistogram, map: Option<&LabelMap>) -> (Vec<ValueSummary>, Vec<ClassSummary>) {
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

/// Classes that a split never shows, where another does.
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
        let consequence = if *split == Split::Train { "it cannot be learnt" } else { "it has no score there" };
        let message = format!("no mask of {split} holds class {}: {consequence}", missing.join(", "));
        findings.push(Finding::new(severity, Kind::MissingClass, Vec::new(), message));
    }
    findings
}

/// A file's name without its extension.
fn stem(path: &Path) -> String {
    unet_data::pairing::stem(path)
}

#[cfg(test)]
mod tests;
