//! Several runs of one recipe, trained one after the other: by seeds, or by the folds of a cross-validation.
//!
//! Each is a run with a folder of its own. A series that was interrupted goes on when it is asked for again: finished runs are
//! kept, and an unfinished one is resumed.

use std::path::{Path, PathBuf};

use serde::Serialize;
use unet_shared::fold::{FOLDS_MAX, FOLDS_MIN, Fold};
use unet_shared::metrics::OwnedConfusion;
use unet_shared::record::EvaluationRecord;

use super::OpenRun;
use super::open_run::Weights;
use super::resume::{ResumeOptions, resume};
use super::run_entry::RunEntry;
use super::statistics::Statistics;
use super::train::{NewRun, TrainOptions, check_name, finish};
use crate::config::settings::differences;
use crate::error::HostError;
use crate::run_dir::RunDir;
use crate::training::memory::MemoryOptions;
use crate::training::trainer::{Observer, class_iou};

/// Most runs by seeds.
const SEEDS_MAX: u64 = 1000;

/// A request for several runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct SeriesOptions {
    /// Train this many runs, with the seeds --seed and those after it, named NAME-seed0 and so on, and print mean and spread of their
    /// scores. The same command continues an interrupted series
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX), conflicts_with = "folds")]
    pub seeds: Option<u64>,
    /// Cross-validate: divide the pairs of train and val together into this many folds (by --split-seed; TIFF stacks stay whole), and
    /// train a run for each, named NAME-fold1 and so on, that is validated on this fold and trained on the others; the counts of
    /// all folds together are scored. The same command continues an interrupted series
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(i64::from(FOLDS_MIN)..=i64::from(FOLDS_MAX)),
        conflicts_with = "val_ratio"
    )]
    pub folds: Option<u32>,
}

impl SeriesOptions {
    /// What is requested; none for a single run.
    pub fn series(&self) -> Option<Series> {
        self.seeds.map(Series::Seeds).or(self.folds.map(Series::Folds))
    }
}

/// What the runs of a series differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// This many seeds.
    Seeds(u64),
    /// This many folds.
    Folds(u32),
}

/// The result of a series.
#[derive(Clone, Debug, Serialize)]
pub struct SeriesReport {
    /// Its runs, in the order of training.
    pub runs: Vec<RunEntry>,
    /// The validation mean IoU of the last epochs.
    pub last_mean_iou: Option<Statistics>,
    /// The validation mean IoU of the best epochs.
    pub best_mean_iou: Option<Statistics>,
    /// Names of the classes, by id.
    pub classes: Vec<String>,
    /// The IoU of each class in the best epochs.
    pub class_iou: Vec<Option<Statistics>>,
    /// The scores of the counts of all folds together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<Merged>,
}

/// The counts of all folds together: each image is validated once, by the best weights of the run that was not trained on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Merged {
    /// Images validated.
    pub images: usize,
    /// Mean IoU.
    pub mean_iou: Option<f64>,
    /// Share of the pixels whose predicted class is right.
    pub pixel_accuracy: Option<f64>,
    /// IoU of each class.
    pub class_iou: Vec<Option<f64>>,
    /// The counts.
    pub confusion: OwnedConfusion,
}

impl SeriesReport {
    /// Mean and spread over runs, which have the same classes.
    pub fn of(runs: Vec<RunEntry>) -> Self {
        let classes = runs.first().map(|run| run.classes.clone()).unwrap_or_default();
        let class = |id: usize| Statistics::of(runs.iter().map(|run| run.class_iou.get(id).copied().flatten()));
        Self {
            last_mean_iou: Statistics::of(runs.iter().map(|run| run.last_mean_iou)),
            best_mean_iou: Statistics::of(runs.iter().map(|run| run.best_mean_iou)),
            class_iou: (0..classes.len()).map(class).collect(),
            classes,
            merged: None,
            runs,
        }
    }
}

impl Merged {
    /// The sum of the records of the folds; none without folds, or if the best weights of one are not scored.
    ///
    /// # Errors
    /// If a record or weights cannot be read, or a record has other classes.
    pub fn of<'a>(runs: impl IntoIterator<Item = &'a RunEntry>) -> Result<Option<Self>, HostError> {
        let mut merged: Option<(OwnedConfusion, Vec<String>, usize)> = None;
        for entry in runs {
            let Some(record) = best_record(entry)? else { return Ok(None) };
            match &mut merged {
                None => merged = Some((record.confusion, record.classes, record.frames.len())),
                Some((confusion, classes, images)) => {
                    if *classes != record.classes {
                        return Err(HostError::Usage(format!(
                            "{}: expected the classes {}, as the other folds have, found {}",
                            entry.folder.display(),
                            classes.join(", "),
                            record.classes.join(", ")
                        )));
                    }
                    confusion.merge(&record.confusion)?;
                    *images += record.frames.len();
                }
            }
        }
        Ok(merged.map(|(confusion, _, images)| Self {
            images,
            mean_iou: confusion.mean_iou(),
            pixel_accuracy: confusion.pixel_accuracy(),
            class_iou: class_iou(&confusion),
            confusion,
        }))
    }
}

/// Trains what is missing of a series, and reports on all of it. `begin` is called with each run before it is trained, and
/// returns what watches it.
///
/// # Errors
/// If a run fails, or a run of the series exists that is of another recipe or dataset.
pub fn train_series<O: Observer>(
    data: &Path,
    options: &TrainOptions,
    series: Series,
    memory: MemoryOptions,
    begin: &mut dyn FnMut(&OpenRun) -> O,
) -> Result<SeriesReport, HostError> {
    if let Some(name) = &options.name {
        check_name(name)?;
    }
    let root = |new: &NewRun, ending: String| {
        let name = options.name.as_ref().unwrap_or(&new.dataset);
        options.runs.join(format!("{name}-{ending}"))
    };
    let mut members: Vec<(PathBuf, NewRun)> = vec![];
    match series {
        Series::Seeds(count) => {
            // The dataset is the same for all.
            let new = NewRun::plan(data, options, memory)?;
            let first = new.config.seed;
            let Some(last) = first.checked_add(count - 1) else {
                return Err(HostError::Usage(format!(
                    "--seed: expected at most {} for {count} seeds, found {first}",
                    u64::MAX - (count - 1)
                )));
            };
            members.extend((first..=last).map(|seed| {
                let mut new = new.clone();
                new.config.seed = seed;
                (root(&new, format!("seed{seed}")), new)
            }));
        }
        Series::Folds(count) => {
            let mut options = options.clone();
            for index in 1..=count {
                let fold = Fold::new(index, count).map_err(|error| HostError::Usage(error.to_string()))?;
                options.config.fold = Some(fold);
                let new = NewRun::plan(data, &options, memory)?;
                // The training images of another fold might suggest another input.
                let input = new.config.preprocess;
                (options.input.size, options.input.channels) =
                    (Some((input.width, input.height)), Some(input.channels));
                members.push((root(&new, format!("fold{index}")), new));
            }
        }
    }
    // All, before the first is trained.
    members.iter().try_for_each(|(root, new)| check_existing(root, new))?;
    let entries = members.into_iter().map(|(root, new)| train_member(&root, new, memory, begin));
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let merged = if matches!(series, Series::Folds(_)) { Merged::of(&entries)? } else { None };
    Ok(SeriesReport { merged, ..SeriesReport::of(entries) })
}

/// Checks that a folder is free, or is the run that would be made.
fn check_existing(root: &Path, new: &NewRun) -> Result<(), HostError> {
    if !root.exists() || RunDir::is_begun(root) {
        return Ok(());
    }
    let shown = root.display();
    if !RunDir::is_run(root) {
        return Err(HostError::Usage(format!(
            "{shown}: already exists and is not a run directory; remove it, or choose another --name"
        )));
    }
    let run = OpenRun::open(root)?;
    let (mut made, mut wanted) = (run.config, new.config.clone());
    let from = made.initial.take().map(|initial| initial.from);
    (wanted.name, wanted.code_version) = (made.name.clone(), made.code_version.clone());
    if let Some((key, made, wanted)) = differences(&made, &wanted).into_iter().next() {
        return Err(HostError::Usage(format!(
            "{shown}: run already exists with other options: {key} is {made} there, {wanted} here; choose another --name"
        )));
    }
    if from != new.from {
        return Err(HostError::Usage(format!(
            "{shown}: run already exists with other initial weights (--from); choose another --name"
        )));
    }
    if run.snapshot != new.snapshot {
        return Err(HostError::Usage(format!(
            "{}: dataset has changed since {shown} was made; restore it, or choose another --name",
            new.config.data.display()
        )));
    }
    Ok(())
}

/// Makes or opens a run of a series, trains what is missing, and reads its result.
fn train_member<O: Observer>(
    root: &Path,
    new: NewRun,
    memory: MemoryOptions,
    begin: &mut dyn FnMut(&OpenRun) -> O,
) -> Result<RunEntry, HostError> {
    let shown = root.display();
    let run = if RunDir::is_run(root) {
        let entry = RunEntry::read(root)?;
        if is_complete(&entry)? {
            unet_engine::error::say(format_args!("run {shown}: finished, kept"));
            return Ok(entry);
        }
        unet_engine::error::say(format_args!(
            "run {shown}: resumed after {} of {} epochs",
            entry.epochs, entry.epochs_planned
        ));
        resume(root, &ResumeOptions::default())?
    } else {
        new.create(root)?
    };
    finish(&run, memory, &mut begin(&run))?;
    RunEntry::read(root)
}

/// Whether a run is trained, and its best weights are scored and reported.
fn is_complete(entry: &RunEntry) -> Result<bool, HostError> {
    Ok(entry.is_trained() && entry.run.dir.report().is_file() && best_record(entry)?.is_some())
}

/// The record of a run's best weights; none if they are not scored yet.
fn best_record(entry: &RunEntry) -> Result<Option<EvaluationRecord>, HostError> {
    let dir = &entry.run.dir;
    if !dir.float_record().is_file() {
        return Ok(None);
    }
    let record: EvaluationRecord = dir.read_json(dir.float_record())?;
    let weights = entry.run.weights_digest(Weights::Best)?;
    Ok((record.model == weights).then_some(record))
}
