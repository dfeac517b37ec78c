//! Compares the runs of a folder: one table, the mean and spread of runs that differ only in their seed or fold, and a page with
//! the curves of all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use unet_data::counted;
use unet_data::counted::one_or_many;
use unet_engine::error::chain;

use super::report::points;
use super::run_entry::RunEntry;
use super::score::PROGRAM;
use super::series::Merged;
use super::statistics::Statistics;
use crate::config::RunConfig;
use crate::config::settings::settings;
use crate::error::HostError;
use crate::report::comparison::{Comparison, write_comparison};
use crate::report::html::dash;
use crate::report::{ReportTable, RunCurves};
use crate::run_dir::RunDir;

/// Keys of the configuration that have a column of their own, or say nothing about the recipe. Those that end with a dot stand
/// for all keys below.
const SHOWN_OTHERWISE: [&str; 16] = [
    "name",
    "code_version",
    "data",
    "seed",
    "fold",
    "model.",
    "preprocess.width",
    "preprocess.height",
    "preprocess.channels",
    "training.epochs",
    "training.frozen_from",
    "training.class_pixels",
    "training.augment",
    "training.flips.",
    "training.workers",
    "training.cache_bytes",
];

/// Most numbers of a list that a table shows; of a longer one, it shows the range.
const NUMBERS_SHOWN: usize = 3;

/// All runs of a folder.
#[derive(Clone, Debug, Serialize)]
pub struct RunTable {
    /// The folder.
    pub folder: PathBuf,
    /// Its runs, by name.
    pub runs: Vec<RunEntry>,
    /// Settings in which the runs differ, besides those that have a field of their own.
    pub settings: Vec<Setting>,
    /// Runs that differ only in their seed or their fold.
    pub series: Vec<SeriesEntry>,
    /// Folders that are not runs, or that cannot be read.
    pub unreadable: Vec<Unreadable>,
}

/// A setting in which runs differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value in each run.
    pub values: Vec<String>,
}

/// Runs that differ only in their seed or their fold.
#[derive(Clone, Debug, Serialize)]
pub struct SeriesEntry {
    /// What the names of the runs have in common, or all names.
    pub name: String,
    /// `seeds` or `folds`.
    pub by: &'static str,
    /// Names of the runs, one of each seed or fold.
    pub runs: Vec<String>,
    /// Names of runs that repeat the seed or the fold of one of these, and are not counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repeated: Vec<String>,
    /// How many of the counted ones are trained to their end; the scores are those of these.
    pub trained: usize,
    /// Mean IoU of the last epochs.
    pub last_mean_iou: Option<Statistics>,
    /// Mean IoU of the best epochs.
    pub best_mean_iou: Option<Statistics>,
    /// Mean IoU of the counts of all folds together, once all are trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged_mean_iou: Option<f64>,
    /// Places of the runs in the table.
    #[serde(skip)]
    members: Vec<usize>,
}

/// A folder that is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The folder.
    pub folder: PathBuf,
    /// Why.
    pub reason: String,
}

/// Reads all runs in `folder`, or the one that it is itself.
///
/// # Errors
/// If the folder cannot be listed, or has nothing that could be a run.
pub fn read(folder: &Path) -> Result<RunTable, HostError> {
    let mut roots = vec![];
    if RunDir::is_run(folder) {
        roots.push(folder.to_owned());
    } else {
        let failed = |source| HostError::Read { path: folder.to_owned(), source };
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !is_hidden {
                roots.push(path);
            }
        }
    }
    if roots.is_empty() {
        return Err(HostError::Usage(format!("{}: expected folders of runs, found none", folder.display())));
    }
    roots.sort_by_key(|root| name_key(&root.file_name().unwrap_or_default().to_string_lossy()));
    let (mut runs, mut unreadable) = (vec![], vec![]);
    for root in roots {
        match RunEntry::read(&root) {
            Ok(entry) => runs.push(entry),
            Err(error) => unreadable.push(Unreadable { folder: root, reason: chain(&error) }),
        }
    }
    let settings = differing(&runs.iter().map(|entry| &entry.run.config).collect::<Vec<_>>());
    let series = series(&runs);
    Ok(RunTable { folder: folder.to_owned(), runs, settings, series, unreadable })
}

/// Orders names by their text, and equal ones by the number at their end.
fn name_key(name: &str) -> (String, u64, String) {
    let text = name.trim_end_matches(|character: char| character.is_ascii_digit());
    (text.to_owned(), name[text.len()..].parse().unwrap_or(0), name.to_owned())
}

/// The settings in which configurations differ, by the order of their keys; augmentation first.
fn differing(configs: &[&RunConfig]) -> Vec<Setting> {
    let is_shown_otherwise =
        |key: &str| SHOWN_OTHERWISE.iter().any(|shown| key == *shown || shown.ends_with('.') && key.starts_with(shown));
    let all: Vec<BTreeMap<String, String>> = configs.iter().map(|config| settings(config)).collect();
    let keys: BTreeSet<&String> = all.iter().flat_map(BTreeMap::keys).filter(|key| !is_shown_otherwise(key)).collect();
    let augmentation = Setting {
        name: "augmentation".to_owned(),
        values: configs.iter().map(|config| config.training.augmentation.to_string()).collect(),
    };
    let value =
        |settings: &BTreeMap<String, String>, key| settings.get(key).map_or_else(dash, |value| shortened(value));
    let others = keys.into_iter().map(|key| Setting {
        name: key.trim_start_matches("training.").replace(['_', '.'], " "),
        values: all.iter().map(|settings| value(settings, key)).collect(),
    });
    let differs = |setting: &Setting| setting.values.iter().any(|value| *value != setting.values[0]);
    std::iter::once(augmentation).chain(others).filter(differs).collect()
}

/// A value as a table shows it: of a long list of numbers, the range.
fn shortened(value: &str) -> String {
    let numbers: Option<Vec<f64>> = value.split(',').map(|number| number.parse().ok()).collect();
    match numbers {
        Some(numbers) if numbers.len() > 1 && numbers.iter().all(|number| *number == numbers[0]) => {
            format!("all {}", numbers[0])
        }
        Some(numbers) if numbers.len() > NUMBERS_SHOWN => {
            let lowest = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            format!("{lowest:.2} to {highest:.2}")
        }
        _ => value.to_owned(),
    }
}

/// The recipe of a run without what distinguishes the runs of a series by seeds, or by folds.
fn recipe(entry: &RunEntry, by_folds: bool) -> String {
    let mut config = entry.run.config.clone();
    config.name.clear();
    config.code_version.clear();
    let mut data = String::new();
    // Their random part depends on the seed.
    let from = config.initial.take().map(|initial| initial.from);
    if by_folds {
        // What depends on the training images of the fold.
        config.fold = None;
        config.training.class_weights.clear();
        config.training.augmentation.class_pixels.clear();
        config.preprocess.samples.range = None;
    } else {
        config.seed = 0;
        data = entry.run.snapshot.digest.to_string();
    }
    let folds = entry.fold.map(|fold| fold.count());
    format!("{:?} {from:?} {folds:?} {data}", settings(&config))
}

/// Runs that differ only in their seed, or only in their fold: at least two seeds or folds.
fn series(runs: &[RunEntry]) -> Vec<SeriesEntry> {
    let mut found = vec![];
    for by_folds in [false, true] {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, entry) in runs.iter().enumerate() {
            if !by_folds || entry.fold.is_some() {
                groups.entry(recipe(entry, by_folds)).or_default().push(place);
            }
        }
        let entries = groups.into_values().map(|members| entry(runs, members, by_folds));
        found.extend(entries.filter(|series| series.runs.len() > 1));
    }
    found.sort_by_key(|series| series.members.first().copied());
    found
}

fn entry(runs: &[RunEntry], members: Vec<usize>, by_folds: bool) -> SeriesEntry {
    let (mut entries, mut repeated): (Vec<&RunEntry>, Vec<&RunEntry>) = (vec![], vec![]);
    for entry in members.iter().map(|&place| &runs[place]) {
        let is_same = |other: &&RunEntry| if by_folds { other.fold == entry.fold } else { other.seed == entry.seed };
        match entries.iter().position(is_same) {
            // One that is trained to its end counts rather than one that is not.
            Some(place) if entry.is_trained() && !entries[place].is_trained() => {
                repeated.push(std::mem::replace(&mut entries[place], entry));
            }
            Some(_) => repeated.push(entry),
            None => entries.push(entry),
        }
    }
    let trained: Vec<&RunEntry> = entries.iter().copied().filter(|entry| entry.is_trained()).collect();
    let folds: BTreeSet<u32> = trained.iter().filter_map(|entry| Some(entry.fold?.index())).collect();
    let count = entries[0].fold.map_or(0, |fold| fold.count() as usize);
    // A record that cannot be read costs this number only.
    let is_complete = by_folds && folds.len() == count && trained.len() == count;
    let merged = if is_complete { Merged::of(trained.iter().copied()).ok().flatten() } else { None };
    SeriesEntry {
        name: common_name(&entries, by_folds),
        by: if by_folds { "folds" } else { "seeds" },
        runs: entries.iter().map(|entry| entry.name.clone()).collect(),
        repeated: repeated.iter().map(|entry| entry.name.clone()).collect(),
        trained: trained.len(),
        last_mean_iou: Statistics::of(trained.iter().map(|entry| entry.last_mean_iou)),
        best_mean_iou: Statistics::of(trained.iter().map(|entry| entry.best_mean_iou)),
        merged_mean_iou: merged.and_then(|merged| merged.mean_iou),
        members,
    }
}

/// The name before the ending that `train` gives the runs of a series, or all names.
fn common_name(entries: &[&RunEntry], by_folds: bool) -> String {
    let base = |entry: &RunEntry| {
        let ending = match entry.fold.filter(|_| by_folds) {
            Some(fold) => format!("-fold{}", fold.index()),
            None => format!("-seed{}", entry.seed),
        };
        entry.name.strip_suffix(&ending).map(str::to_owned)
    };
    let bases: BTreeSet<Option<String>> = entries.iter().map(|entry| base(entry)).collect();
    match (bases.len(), bases.into_iter().next().flatten()) {
        (1, Some(base)) => base,
        _ => entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}

/// How many seeds or folds a series has, and how many runs repeat one.
fn counted_runs(series: &SeriesEntry) -> String {
    let mut text = format!("{} {}", series.runs.len(), series.by);
    if !series.repeated.is_empty() {
        let repeated = series.repeated.len();
        text += &format!(" ({} {} one)", counted(repeated, "run"), one_or_many(repeated, "repeats", "repeat"));
    }
    text
}

/// An IoU, or a dash.
fn iou(value: Option<f64>) -> String {
    value.map_or_else(dash, |value| format!("{value:.4}"))
}

impl RunTable {
    /// The runs as a table with a heading row. Settings in which no run differs have no column.
    pub fn rows(&self) -> ReportTable {
        let has_folds = self.runs.iter().any(|entry| entry.fold.is_some());
        let mut columns = vec!["run", "last", "best", "best epoch", "spread", "epochs", "state", "seed"];
        columns.extend(has_folds.then_some("fold"));
        columns.extend(["data", "network", "input", "s/epoch"]);
        let mut columns: Vec<String> = columns.into_iter().map(str::to_owned).collect();
        columns.extend(self.settings.iter().map(|setting| setting.name.clone()));
        let row = |(place, entry): (usize, &RunEntry)| {
            let mut row = vec![
                entry.name.clone(),
                iou(entry.last_mean_iou),
                iou(entry.best_mean_iou),
                entry.best_epoch.map_or_else(dash, |epoch| epoch.to_string()),
                iou(entry.spread.filter(|_| entry.spread_epochs > 1)),
                format!("{}/{}", entry.epochs, entry.epochs_planned),
                entry.state.text().to_owned(),
                entry.seed.to_string(),
            ];
            row.extend(has_folds.then(|| entry.fold.map_or_else(dash, |fold| fold.to_string())));
            row.extend([entry.data.clone(), entry.network.clone(), entry.input.clone()]);
            row.push(entry.seconds_per_epoch.map_or_else(dash, |seconds| format!("{seconds:.1}")));
            row.extend(self.settings.iter().map(|setting| setting.values[place].clone()));
            row
        };
        ReportTable {
            title: "Runs".to_owned(),
            note: "Mean IoU on validation images. Last: the last epoch. Best: among comparable epochs. Spread: highest minus lowest of \
                   the last tenth of the epochs."
                .to_owned(),
            columns,
            rows: self.runs.iter().enumerate().map(row).collect(),
        }
    }

    /// Mean and spread of the series as a table with a heading row.
    pub fn series_rows(&self) -> ReportTable {
        let has_merged = self.series.iter().any(|series| series.merged_mean_iou.is_some());
        let mut columns =
            vec!["series", "of", "trained", "last, mean", "deviation", "best, mean", "deviation", "lowest", "highest"];
        columns.extend(has_merged.then_some("all folds"));
        let row = |series: &SeriesEntry| {
            let last = |value: fn(&Statistics) -> Option<f64>| iou(series.last_mean_iou.as_ref().and_then(value));
            let best = |value: fn(&Statistics) -> Option<f64>| iou(series.best_mean_iou.as_ref().and_then(value));
            let mut row = vec![
                series.name.clone(),
                counted_runs(series),
                format!("{} of {}", series.trained, series.runs.len()),
                last(|found| Some(found.mean)),
                last(|found| found.standard_deviation),
                best(|found| Some(found.mean)),
                best(|found| found.standard_deviation),
                best(|found| Some(found.lowest)),
                best(|found| Some(found.highest)),
            ];
            row.extend(has_merged.then(|| iou(series.merged_mean_iou)));
            row
        };
        ReportTable {
            title: "Series".to_owned(),
            note: "Runs that differ only in their seed or their fold, each of which counts once; mean IoU over those that are trained to their end. Deviation: standard \
                   deviation of a sample. All folds: their counts together."
                .to_owned(),
            columns: columns.into_iter().map(str::to_owned).collect(),
            rows: self.series.iter().map(row).collect(),
        }
    }

    /// Writes the page that compares the runs.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_report(&self, path: &Path) -> Result<(), HostError> {
        // Scores on different data are not compared.
        let is_comparable = self.runs.iter().all(|entry| entry.run.snapshot.digest == self.runs[0].run.snapshot.digest);
        let best = self.runs.iter().filter(|entry| is_comparable && entry.best_mean_iou.is_some());
        let best = best.max_by(|a, b| a.best_mean_iou.unwrap_or(0.0).total_cmp(&b.best_mean_iou.unwrap_or(0.0)));
        let trained = self.runs.iter().filter(|entry| entry.is_trained()).count();
        let mut key_figures = vec![
            ("runs".to_owned(), self.runs.len().to_string()),
            ("trained to their end".to_owned(), trained.to_string()),
        ];
        key_figures
            .extend(best.map(|entry| ("best".to_owned(), format!("{} {}", iou(entry.best_mean_iou), entry.name))));
        let mut tables = vec![self.rows()];
        if !self.series.is_empty() {
            tables.push(self.series_rows());
        }
        if !self.unreadable.is_empty() {
            let row = |left: &Unreadable| vec![left.folder.display().to_string(), left.reason.clone()];
            tables.push(ReportTable {
                title: "Folders that were left out".to_owned(),
                columns: vec!["folder".to_owned(), "reason".to_owned()],
                rows: self.unreadable.iter().map(row).collect(),
                ..ReportTable::default()
            });
        }
        let comparison = Comparison {
            title: format!("Runs in {}", self.folder.display()),
            subtitle: PROGRAM.to_owned(),
            key_figures,
            tables,
            runs: self.curves(),
        };
        Ok(write_comparison(path, &comparison)?)
    }

    /// The curves of the runs; those of a series of seeds or folds belong together.
    fn curves(&self) -> Vec<RunCurves> {
        let mut next = 0;
        let mut series_of: BTreeMap<usize, usize> = BTreeMap::new();
        let curves = self.runs.iter().enumerate().map(|(place, entry)| {
            let found = self.series.iter().find_map(|series| {
                let member = series.members.iter().position(|&other| other == place)?;
                Some((series.members[0], member))
            });
            let (first, member) = found.unwrap_or((place, 0));
            let series = *series_of.entry(first).or_insert_with(|| {
                next += 1;
                next - 1
            });
            RunCurves { name: entry.name.clone(), series, member, epochs: points(&entry.rows) }
        });
        curves.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_by_the_number_at_their_end() {
        let mut names = ["a-fold10", "b", "a-fold2", "a", "a-fold1"];
        names.sort_by_key(|name| name_key(name));
        assert_eq!(names, ["a", "a-fold1", "a-fold2", "a-fold10", "b"]);
    }

    #[test]
    fn only_what_differs_is_shown_and_long_lists_are_shortened() {
        let one = RunConfig::default();
        let mut other = RunConfig { seed: 5, name: "other".to_owned(), ..one.clone() };
        assert_eq!(differing(&[&one, &other]), []);
        assert_eq!(differing(&[]), []);
        other.training.optimizer.accumulate = 4;
        other.training.learning_rate = 0.1;
        other.training.augmentation.flips.vertical = true;
        other.training.augmentation.class_pixels = vec![1];
        let setting =
            |name: &str, values: [&str; 2]| Setting { name: name.to_owned(), values: values.map(str::to_owned).into() };
        let flips = [&one, &other].map(|config| config.training.augmentation.to_string());
        let expected = [
            setting("augmentation", [&flips[0], &flips[1]]),
            setting("accumulate", ["\u{2013}", "4"]),
            setting("learning rate", ["0.002", "0.1"]),
        ];
        assert_eq!(differing(&[&one, &other]), expected);
        assert_eq!(shortened("1.0,1.0"), "all 1");
        assert_eq!(shortened("0.125,2,1,3.5"), "0.12 to 3.50");
        assert_eq!(shortened("0.5,1.5"), "0.5,1.5");
        assert_eq!(shortened("a,b,c,d"), "a,b,c,d");
    }
}
