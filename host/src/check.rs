//! Checks a dataset: what its folder holds, and everything that is wrong with it at once.
//!
//! Reads with the same code as training (layout, pairing, decoding, label maps), but continues where training stops with an
//! error. The result is data; `text` formats it. Knows no network and no training.

mod duplicates;
mod examine;
mod finding;
mod fingerprint;
mod inventory;
mod label_options;
mod list_file;
mod mask_findings;
mod pairs;
mod pixel_findings;
mod report;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use unet_data::histogram::{LabelHistogram, as_colour, as_gray};
use unet_data::label_facts::LabelFacts;
use unet_data::levels::{Levels, Look, RangeRequest, choose_range};
use unet_data::listing::{Listing, show_below};
use unet_data::workers::in_parallel;
use unet_data::{Dataset, DatasetFile, FileError, LabelMap, LabelsError, OpenOptions, Split, any_of};
use unet_shared::label::{LabelTable, LabelValue, Reading};
use unet_shared::mask::IGNORE_INDEX;
use unet_shared::preprocess::Channels;
use unet_shared::samples::{Bands, SampleReading};

use examine::{Examined, ImageFacts, Unit, all_lack_bands, examine};
pub use finding::{Finding, Kind, Severity};
use inventory::Inventory;
pub use label_options::LabelOptions;
use list_file::ListFile;
pub use pairs::{PairFacts, Pairs};
pub use report::{CheckReport, ClassSummary, SizeSummary, SplitSummary, ValueSummary};
use unet_engine::error::chain;
use unet_shared::image::PixelFormat;

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

/// The same as for training.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// How a dataset without split folders is split.
    pub open: OpenOptions,
    /// Whether pairs with a file that cannot be read are left out.
    pub skip_unreadable: bool,
    /// How labels are read, in addition to what `dataset.toml` says.
    pub labels: LabelOptions,
    /// The bands of images to use.
    pub bands: Option<Bands>,
    /// The range of their samples that is mapped to 0 to 255.
    pub range: RangeRequest,
}

/// A report, and what was read for it.
#[derive(Debug)]
pub struct Checked {
    /// The report.
    pub report: CheckReport,
    /// The dataset; none if its layout is not accepted.
    pub dataset: Option<Dataset>,
    /// Its classes; none if the labels allow none.
    pub labels: Option<LabelMap>,
    /// What all its images contain.
    pub content: Content,
    /// The facts about its pairs.
    pub pairs: Pairs,
    /// The range that the samples of the training images are mapped from; `None` if the one asked for does not fit them.
    pub levels: Option<Levels>,
    /// The bands of images that were checked.
    pub bands: Option<Bands>,
    /// Number of errors that `--skip-unreadable` would remove.
    pub unreadable: usize,
}

/// A checked dataset that has classes and a range for the samples of its training images.
#[derive(Debug)]
pub struct Usable {
    /// The dataset.
    pub dataset: Dataset,
    /// Its classes.
    pub labels: LabelMap,
    /// What is known of its pairs.
    pub pairs: Pairs,
    /// What its images contain.
    pub content: Content,
    /// The range that the samples of the training images are mapped from.
    pub levels: Levels,
    /// How samples become bytes: by that range, of the bands that were checked.
    pub samples: SampleReading,
}

impl Checked {
    /// The dataset with what is known of it; `None` if no network can be trained on it.
    pub fn usable(self) -> Option<Usable> {
        let (dataset, labels, levels) = (self.dataset?, self.labels?, self.levels?);
        let samples = SampleReading { range: levels.range, bands: self.bands };
        Some(Usable { dataset, labels, pairs: self.pairs, content: self.content, levels, samples })
    }
}

/// What the images of a dataset contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// All are gray, in one channel.
    Gray,
    /// All are gray, some in three equal channels.
    GrayAsRgb,
    /// Some have colours.
    Colour,
}

impl Content {
    /// The channels that a network needs for them.
    pub fn channels(self) -> Channels {
        if self == Self::Colour { Channels::Rgb } else { Channels::Gray }
    }
}

/// Checks the dataset in the folder `root`. `progress` is called with the number of files or pairs that are done, and of all.
///
/// # Errors
/// If the path does not exist or cannot be listed; everything else that is wrong is a finding.
pub fn check(
    root: &Path,
    options: &CheckOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Checked, CheckError> {
    if !root.exists() {
        return Err(CheckError::Missing { path: root.into() });
    }
    if !root.is_dir() {
        return Ok(Checked {
            report: single_file(root),
            dataset: None,
            labels: None,
            content: Content::Colour,
            pairs: Pairs::default(),
            levels: None,
            bands: options.bands,
            unreadable: 0,
        });
    }
    let listing = Listing::of(root)?;
    let mut inventory = Inventory::of(&listing, options);
    let reading = inventory.file.as_ref().map_or(Reading::STORED, DatasetFile::reading);
    // Label counts of each split's pairs; all other masks are under `None`.
    let mut counts: BTreeMap<Option<Split>, LabelHistogram> = BTreeMap::new();
    let mut examined: Vec<Option<Examined>> = inventory.units.iter().map(|_| None).collect();
    let mut done = 0;
    // The range is chosen from the training images, or from all images if none has a mask.
    let paired = inventory.units.iter().any(Unit::is_pair);
    let is_ranged = |unit: &Unit| {
        matches!(unit.split, None | Some(Split::Train)) && (unit.is_pair() || !paired && unit.image.is_some())
    };
    let ranged = inventory.units.iter().filter(|unit| is_ranged(unit)).count();
    let work = |index: usize| {
        let unit = &inventory.units[index];
        examine(unit, &reading, options.bands, index, |raster| {
            is_ranged(unit).then(|| Look::at(raster, options.bands.as_ref(), ranged))
        })
    };
    in_parallel(inventory.units.len(), work, |index, mut result| {
        let unit = &inventory.units[index];
        let left_out = options.skip_unreadable && unit.is_pair() && result.unreadable().next().is_some();
        if let (Some(Ok((_, histogram))), false) = (&mut result.mask, left_out) {
            let part = unit.split.filter(|_| unit.is_pair());
            counts.entry(part).or_default().merge(&std::mem::take(histogram));
        }
        examined[index] = Some(result);
        done += 1;
        progress(done, inventory.units.len());
        ControlFlow::Continue(())
    });
    let mut examined: Vec<Examined> = examined.into_iter().flatten().collect();
    if options.skip_unreadable && !all_lack_bands(&examined) {
        inventory.leave_out_unreadable(&mut examined);
    }
    Ok(summarize(&listing, inventory, counts, &examined, options))
}

fn summarize(
    listing: &Listing,
    mut inventory: Inventory,
    mut counts: BTreeMap<Option<Split>, LabelHistogram>,
    examined: &[Examined],
    options: &CheckOptions,
) -> Checked {
    let splits = inventory.splits(options.open.val_ratio);
    let Inventory { dataset, units, file, unused, notes, mut findings, .. } = inventory;
    let show = |path: &Path| listing.show(path);
    let mut total = LabelHistogram::default();
    counts.values().for_each(|part| total.merge(part));
    let mask_path = |index: usize| units[index].mask.as_ref().map(|mask| show(mask.path())).unwrap_or_default().into();
    let masks = examined.iter().filter_map(|unit| unit.mask.as_ref()?.as_ref().ok());
    let facts: Vec<LabelFacts> = masks.map(|(mask, _)| mask.label.clone()).collect();
    let images_as_masks = mask_findings::images_as_masks(&units, examined, &show);
    let map = if total.values.is_empty() {
        None
    } else {
        match LabelMap::of(&facts, total.clone(), file.as_ref(), &mask_path) {
            Ok(map) => Some(map),
            // The values of a photograph explain any disagreement.
            Err(_) if !images_as_masks.is_empty() => None,
            Err(error) => {
                findings.push(Finding::new(Severity::Error, kind_of(&error), Vec::new(), chain(&error)));
                None
            }
        }
    };
    findings.extend(pixel_findings::findings(&units, examined, &show));
    let (levels, range) = sample_range(&units, examined, options.range, &show);
    findings.extend(range);
    findings.extend(absent_values(&options.labels.ignore, &total));
    findings.extend(map.as_ref().and_then(|map| one_class(map, &options.labels.ignore)));
    findings.extend(mask_findings::findings(&units, examined, &total, map.as_ref(), file.as_ref(), &show));
    findings.extend(images_as_masks);
    findings.extend(duplicates::findings(&units, examined, &show));
    if let Some((map, table)) = map.as_ref().and_then(|map| Some((map, map.table().ok()?))) {
        findings.extend(missing_classes(map, &table, &counts));
    }
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.kind.cmp(&b.kind)).then(a.files.cmp(&b.files)));
    let (mut values, classes) = shares(&total, map.as_ref());
    let values_omitted = values.len().saturating_sub(VALUES_LISTED_MAX);
    values.truncate(VALUES_LISTED_MAX);
    let images: Vec<_> = examined.iter().filter_map(|unit| unit.image.as_ref()?.as_ref().ok()).collect();
    let has_colours = |image: &&&ImageFacts| image.format != PixelFormat::Gray8 && !image.gray_as_rgb;
    let content = if images.is_empty() || images.iter().any(|image| has_colours(&image)) {
        Content::Colour
    } else if images.iter().any(|image| image.gray_as_rgb) {
        Content::GrayAsRgb
    } else {
        Content::Gray
    };
    let mut sizes: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut formats: BTreeMap<String, usize> = BTreeMap::new();
    for image in &images {
        *sizes.entry(image.size).or_default() += 1;
        let format = match image.deep {
            Some(samples) => format!("{} of {samples} samples", image.format),
            None => image.format.to_string(),
        };
        *formats.entry(format).or_default() += 1;
    }
    let mut sizes: Vec<SizeSummary> =
        sizes.into_iter().map(|((width, height), images)| SizeSummary { width, height, images }).collect();
    sizes.sort_by_key(|size| std::cmp::Reverse(size.images));
    let count = |is: &dyn Fn(&Examined) -> bool| examined.iter().filter(|unit| is(unit)).count();
    // A mask with transparent pixels can be read, though dataset.toml has to say what they are.
    let is_unreadable = |error: &FileError| error.is_unreadable();
    let report = CheckReport {
        root: listing.root.display().to_string(),
        layout: dataset.as_ref().map(|dataset| dataset.layout),
        splits,
        images: count(&|unit| matches!(&unit.image, Some(image) if !image.as_ref().is_err_and(is_unreadable))),
        images_unreadable: count(&|unit| matches!(&unit.image, Some(Err(error)) if is_unreadable(error))),
        masks: count(&|unit| matches!(&unit.mask, Some(mask) if !mask.as_ref().is_err_and(is_unreadable))),
        masks_unreadable: count(&|unit| matches!(&unit.mask, Some(Err(error)) if is_unreadable(error))),
        sizes,
        formats,
        labels: map.as_ref().map(|map| map.assumption.clone()),
        values,
        values_omitted,
        classes,
        notes,
        unused,
        findings,
    };
    let in_pairs = units.iter().zip(examined).filter(|(unit, _)| unit.is_pair());
    let errors = in_pairs.flat_map(|(_, examined)| examined.unreadable());
    let (bands, others): (Vec<&FileError>, Vec<&FileError>) =
        errors.partition(|error| matches!(error, FileError::Bands { .. }));
    // Images without the bands that are asked for share an error, which the flag does not remove if there are no others.
    let unreadable = others.len() + usize::from(!bands.is_empty() && !all_lack_bands(examined));
    let training_labels = counts.remove(&Some(Split::Train)).unwrap_or_default();
    let pairs = Pairs::of(&units, examined, training_labels);
    Checked { report, dataset, labels: map, content, pairs, levels, bands: options.bands, unreadable }
}

/// A single class, with which no network can be trained; `ignore` are values that the command line ignores.
fn one_class(map: &LabelMap, ignore: &[LabelValue]) -> Option<Finding> {
    let [class] = map.classes.as_slice() else { return None };
    let values: Vec<String> = class.values.iter().map(LabelValue::to_string).collect();
    let (values, texts) = (any_of(values), ignore.iter().map(LabelValue::to_string).collect::<Vec<_>>());
    let message = if texts.is_empty() {
        format!(
            "the masks have only the value {values}: expected at least two classes besides ignored values; is this the folder of the \
             masks?"
        )
    } else {
        format!("--ignore {} leaves only the value {values}: expected at least two classes", texts.join(","))
    };
    Some(Finding::new(Severity::Error, Kind::Classes, Vec::new(), message))
}

/// Values that the command line ignores and that no mask has.
fn absent_values(ignore: &[LabelValue], total: &LabelHistogram) -> Option<Finding> {
    let occurs = |value: LabelValue| total.values.keys().any(|found| as_colour(*found) == as_colour(value));
    let absent: Vec<String> =
        ignore.iter().filter(|value| !occurs(**value)).map(|value| format!("--ignore {value}")).collect();
    let message = format!("{}: no mask has this value", absent.join(", "));
    (!absent.is_empty() && !total.values.is_empty())
        .then(|| Finding::new(Severity::Warning, Kind::Classes, Vec::new(), message))
}

/// The kind of finding that an error on labels is.
fn kind_of(error: &LabelsError) -> Kind {
    match error {
        LabelsError::Disagree { .. } => Kind::MixedEncodings,
        LabelsError::Odd { .. } => Kind::AntiAliasedMask,
        LabelsError::Objects { .. } => Kind::InstanceMasks,
        _ => Kind::Classes,
    }
}

/// The sample range that is mapped to 0 to 255, chosen over the images that were examined for it, and a finding about it if any
/// image has more than 8 bits.
fn sample_range<'a>(
    units: &'a [Unit],
    examined: &'a [Examined],
    request: RangeRequest,
    show: &dyn Fn(&Path) -> String,
) -> (Option<Levels>, Option<Finding>) {
    let look = |(unit, facts): (&'a Unit, &'a Examined)| {
        let (path, image) = (unit.image.as_deref()?, facts.image.as_ref()?.as_ref().ok()?);
        Some((path, image, image.look.as_ref()?))
    };
    let images: Vec<(&Path, &ImageFacts, &Look)> = units.iter().zip(examined).filter_map(look).collect();
    let mut deep: Vec<&Path> =
        images.iter().filter(|(_, image, _)| image.deep.is_some()).map(|image| image.0).collect();
    // The pages of a stack are one file.
    deep.dedup();
    let looks = images.iter().map(|(path, _, look)| (*path, *look));
    let (levels, severity, message) = match choose_range(looks, request) {
        Ok(levels) => {
            (Some(levels.clone()), Severity::Info, levels.to_string().trim_start_matches("samples: ").to_owned())
        }
        Err(error) => (None, Severity::Error, chain(&error)),
    };
    let files = deep.iter().map(|path| show(path)).collect();
    let finding = (!deep.is_empty()).then(|| Finding::new(severity, Kind::SixteenBit, files, message));
    (levels, finding)
}

/// The report on a path that is not a folder: a list, or any other file.
fn single_file(path: &Path) -> CheckReport {
    let name = show_below(path.parent().unwrap_or(path), path);
    let list = list_file::has_list_extension(path).then(|| ListFile::read(path, name.clone())).flatten();
    let (what, kind) = if list.is_some() { ("a list file", Kind::Layout) } else { ("a file", Kind::NotAFolder) };
    let message = format!("{name} is {what}, expected the folder of a dataset's images and masks");
    let mut findings = vec![Finding::new(Severity::Error, kind, vec![name], message)];
    findings.extend(list_file::findings(list.as_slice()));
    CheckReport {
        root: path.display().to_string(),
        layout: None,
        splits: Vec::new(),
        images: 0,
        images_unreadable: 0,
        masks: 0,
        masks_unreadable: 0,
        sizes: Vec::new(),
        formats: BTreeMap::new(),
        labels: None,
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
    let class_pixels = table.as_ref().map_or_else(Vec::new, |table| pairs::class_pixels(&total, table));
    let mut values = Vec::new();
    for (&value, count) in &total.values {
        let id = table.as_ref().and_then(|table| id_of(table, value));
        let class = id.filter(|&id| id != IGNORE_INDEX);
        let (share, masks) = (share(count.pixels, total.pixels), count.labels);
        values.push(ValueSummary { value, share, masks, class, ignored: id == Some(IGNORE_INDEX) });
    }
    let counted: u64 = class_pixels.iter().sum();
    let classes = map.into_iter().flat_map(|map| map.classes.iter().zip(0u8..)).map(|(class, id)| ClassSummary {
        id,
        name: class.name.clone(),
        share: share(class_pixels.get(usize::from(id)).copied().unwrap_or(0), counted),
        values: values.iter().filter(|value| value.class == Some(id)).count(),
    });
    let classes = classes.collect();
    (values, classes)
}

/// The id of a value as it is in a file: where the classes are colours, a gray is a colour too.
fn id_of(table: &LabelTable, value: LabelValue) -> Option<u8> {
    let colours = matches!(table.value_of(0), Some(LabelValue::Rgb(_)));
    table.id_of_any(if colours { as_colour(value) } else { as_gray(value) })
}

/// Classes that are missing from a split, and splits in which no pixel counts.
fn missing_classes(
    map: &LabelMap,
    table: &LabelTable,
    counts: &BTreeMap<Option<Split>, LabelHistogram>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (split, part) in counts {
        let Some(split) = split else {
            continue;
        };
        let found: BTreeSet<u8> = part.values.keys().filter_map(|&value| id_of(table, value)).collect();
        if found.iter().all(|id| *id == IGNORE_INDEX) {
            let (severity, consequence) = match split {
                Split::Train => (Severity::Error, "there is nothing to learn"),
                _ => (Severity::Warning, "it has neither a loss nor a score"),
            };
            let message = format!("every labelled pixel of {split} is ignored: {consequence}");
            findings.push(Finding::new(severity, Kind::AllIgnored, Vec::new(), message));
            continue;
        }
        let missing = (0u8..).zip(&map.classes).filter(|(id, _)| !found.contains(id));
        let missing: Vec<&str> = missing.map(|(_, class)| class.name.as_str()).collect();
        if missing.is_empty() {
            continue;
        }
        let severity = if *split == Split::Train { Severity::Warning } else { Severity::Info };
        let (noun, pronoun) = if missing.len() == 1 { ("class", "it") } else { ("classes", "they") };
        let consequence = match (*split, missing.len()) {
            (Split::Train, _) => "cannot be learned",
            (_, 1) => "is not scored there",
            _ => "are not scored there",
        };
        let message = format!("no mask in {split} contains {noun} {}: {pronoun} {consequence}", missing.join(", "));
        findings.push(Finding::new(severity, Kind::MissingClass, Vec::new(), message));
    }
    findings
}

#[cfg(test)]
mod tests;
