//! Starts a run on a data set, or takes one up again, and trains it to its end and its report.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use unet_data::workers::in_parallel;
use unet_data::{Dataset, OpenOptions, Sample, Split, collect_labels, dataset_digest, decode_image, load_pair};
use unet_shared::image::PixelFormat;
use unet_shared::label::{LabelTable, LabelValue};
use unet_shared::preprocess::{Channels, Filter, Fit, Normalize, Preprocess};
use unet_shared::record::EvaluationRecord;

use super::open_run::{OpenRun, Weights};
use super::report;
use super::score::{EngineChoice, score_run};
use crate::backend::Backend;
use crate::config::{RunConfig, TrainingConfig, nearest_multiple};
use crate::dataset::augment::Flips;
use crate::dataset::loader::{Loader, LoaderOptions};
use crate::error::HostError;
use crate::memory;
use crate::model::{Stem, UNetConfig, Upsampling};
use crate::progress::Progress;
use crate::run_dir::{DatasetSnapshot, RunDir};
use crate::training::memory::{MemoryOptions, MemoryPlan, StepShape};
use crate::training::schedule::ScheduleKind;
use crate::training::trainer::{Observer, Outcome, train};

/// How the classes are weighted in the loss.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeights {
    /// All alike.
    Equal,
    /// By the inverse square root of their share of the training pixels, so that rare ones are not forgotten.
    Balanced,
    /// One number a class.
    Given(Vec<f32>),
}

/// What a new run is asked to be; what is not said is found from the data.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// The data set's folder.
    pub data: PathBuf,
    /// Folder that run folders are made in.
    pub runs: PathBuf,
    /// Name of the run; found from the data set's when none is given.
    pub name: Option<String>,
    /// Label values that take no part, beside those that dataset.toml names.
    pub ignore: Vec<LabelValue>,
    /// See [`RunConfig`].
    pub val_ratio: f64,
    /// See [`RunConfig`].
    pub split_seed: u64,
    /// See [`RunConfig`].
    pub seed: u64,
    /// See [`RunConfig`].
    pub backend: Backend,
    /// Width and height of the network's input.
    pub size: Option<(u32, u32)>,
    /// Gray or RGB.
    pub channels: Option<Channels>,
    /// How images get into it.
    pub fit: Fit,
    /// How they are scaled.
    pub filter: Filter,
    /// From bytes to numbers.
    pub normalize: Normalize,
    /// Channels of the first level.
    pub base: usize,
    /// Levels.
    pub depth: usize,
    /// How the decoder enlarges.
    pub upsampling: Upsampling,
    /// By how much the image is shrunk before the first level.
    pub stem: Stem,
    /// Passes over the data.
    pub epochs: usize,
    /// Images a step; found from the input's size when not given.
    pub batch: Option<usize>,
    /// The largest learning rate.
    pub learning_rate: f64,
    /// How it changes.
    pub schedule: ScheduleKind,
    /// Epochs without a better one after which training stops.
    pub patience: Option<usize>,
    /// Weights in the loss.
    pub class_weights: ClassWeights,
    /// Random flips.
    pub flips: Flips,
    /// Decoding threads.
    pub workers: usize,
    /// Bytes of decoded samples to keep.
    pub cache_bytes: u64,
    /// What training may take; not part of the run, which may be taken up with another.
    pub memory: MemoryOptions,
}

impl TrainOptions {
    /// The first of the backends that the program was built with.
    pub fn default_backend() -> Backend {
        Backend::built_in().first().copied().unwrap_or(Backend::Flex)
    }

    /// The options of a run on `data` where nothing else is said.
    pub fn new(data: PathBuf) -> Self {
        let split = OpenOptions::default();
        Self {
            data,
            runs: PathBuf::from("runs/train"),
            name: None,
            ignore: vec![],
            val_ratio: split.val_ratio,
            split_seed: split.seed,
            seed: 0,
            backend: Self::default_backend(),
            size: None,
            channels: None,
            fit: Fit::Stretch,
            filter: Filter::Area,
            normalize: Normalize::Unit,
            base: 16,
            depth: 4,
            upsampling: Upsampling::Nearest,
            stem: Stem::Full,
            epochs: 40,
            batch: None,
            learning_rate: 2e-3,
            schedule: ScheduleKind::Cosine,
            patience: None,
            class_weights: ClassWeights::Equal,
            flips: Flips { horizontal: true, vertical: false },
            workers: 2,
            cache_bytes: 512 << 20,
            memory: MemoryOptions::default(),
        }
    }
}

/// Longest side of an input size that is found from the data.
const FOUND_SIDE_MAX: usize = 512;
/// Pixels of a batch that is found from the input's size, in the network's finest level.
const FOUND_BATCH_PIXELS: usize = 1 << 19;
/// Images of a batch that is found.
const FOUND_BATCH_MAX: usize = 8;
/// Images that are looked at to find size and channels.
const LOOKED_AT: usize = 16;

/// Size and channels as the images suggest: the largest width and height among some of them, scaled to at most
/// [`FOUND_SIDE_MAX`] and brought to the nearest multiple of `multiple` (for padding: to the next one, unscaled), and
/// gray where all of them are.
fn look_at(samples: &[Sample], multiple: usize, fit: Fit) -> Result<((u32, u32), Channels), HostError> {
    let (mut width, mut height, mut gray) = (1, 1, true);
    // A padded image must fit whole, so every one is asked.
    let count = if fit == Fit::Pad { samples.len() } else { LOOKED_AT };
    for sample in super::open_run::spread(samples, count) {
        let image = decode_image(&sample.image)?;
        (width, height) = (image.width.max(width), image.height.max(height));
        gray &= image.format == PixelFormat::Gray8;
    }
    let longest = width.max(height);
    let side = |side: usize| {
        if fit == Fit::Pad {
            return (side.div_ceil(multiple) * multiple) as u32;
        }
        let scaled = if longest > FOUND_SIDE_MAX { side * FOUND_SIDE_MAX / longest } else { side };
        nearest_multiple(scaled, multiple) as u32
    };
    Ok(((side(width), side(height)), if gray { Channels::Gray } else { Channels::Rgb }))
}

/// Pixels of each class in the training split. Every pair of both splits is decoded and encoded once, so that a broken one
/// is told before an epoch was spent.
fn count_pixels(dataset: &Dataset, table: &LabelTable, preprocess: &Preprocess) -> Result<Vec<u64>, HostError> {
    let samples: Vec<(&Sample, bool)> = dataset
        .train
        .iter()
        .map(|sample| (sample, true))
        .chain(dataset.val.iter().map(|sample| (sample, false)))
        .collect();
    let mut pixels = vec![0u64; table.class_count()];
    let mut failure: Option<(usize, HostError)> = None;
    let look = |index: usize| -> Result<Vec<u8>, HostError> {
        let pair = load_pair(samples[index].0, table)?;
        preprocess.placement(pair.image.width, pair.image.height)?;
        Ok(pair.mask)
    };
    let progress = Progress::new("look at", samples.len() as u64, "pairs");
    in_parallel(samples.len(), look, |index, mask| {
        progress.inc(1);
        match mask {
            Ok(mask) if samples[index].1 => {
                for &class in &mask {
                    if let Some(count) = pixels.get_mut(usize::from(class)) {
                        *count += 1;
                    }
                }
            }
            Ok(_) => {}
            // Of several, the first in order, whichever thread came to it first.
            Err(error) if failure.as_ref().is_none_or(|(first, _)| index < *first) => failure = Some((index, error)),
            Err(_) => {}
        }
        if failure.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    progress.finish();
    match failure {
        Some((_, error)) => Err(error),
        None => Ok(pixels),
    }
}

fn class_weights(weights: &ClassWeights, pixels: &[u64]) -> Vec<f32> {
    match weights {
        ClassWeights::Equal => vec![1.0; pixels.len()],
        ClassWeights::Given(given) => given.clone(),
        ClassWeights::Balanced => balanced(pixels),
    }
}

/// `1 / sqrt(share)` a class, scaled to a mean of 1 over the classes that occur; 0 for one that does not.
fn balanced(pixels: &[u64]) -> Vec<f32> {
    let raw: Vec<f64> = pixels.iter().map(|&n| if n == 0 { 0.0 } else { 1.0 / (n as f64).sqrt() }).collect();
    let present = raw.iter().filter(|w| **w > 0.0).count().max(1) as f64;
    let mean = (raw.iter().sum::<f64>() / present).max(f64::MIN_POSITIVE);
    raw.iter().map(|w| (w / mean) as f32).collect()
}

/// Makes the folder of a new run.
///
/// # Errors
/// When the data set cannot be used, an option does not fit it, or the folder cannot be written.
pub fn start(options: &TrainOptions) -> Result<OpenRun, HostError> {
    // Before anything is made: a backend that is missing is told at once.
    options.backend.device()?;
    // A run may be taken up from another folder.
    let data = options.data.canonicalize().unwrap_or_else(|_| options.data.clone());
    if data.to_str().is_none() || options.runs.to_str().is_none() {
        let (data, runs) = (data.display(), options.runs.display());
        return Err(HostError::Usage(format!("expected paths that are valid unicode, found {data} and {runs}")));
    }
    let split = OpenOptions { val_ratio: options.val_ratio, seed: options.split_seed };
    let mut dataset = Dataset::open(&options.data, &split)?;
    if dataset.train.is_empty() {
        let data = options.data.display();
        return Err(HostError::Usage(format!("{data}: expected pairs to train on, found none in that split")));
    }
    if !dataset.problems.is_empty() {
        let (count, data) = (dataset.problems.len(), options.data.display());
        unet_engine::error::say(format_args!(
            "warning: {count} files of {data} take no part; `unet-host check` names them"
        ));
    }
    if dataset.validates_on_training() {
        unet_engine::error::say(format_args!(
            "warning: nothing is left to validate on, so the scores are those of the training images"
        ));
    }
    if !options.ignore.is_empty() {
        dataset.file.get_or_insert_default().also_ignore.clone_from(&options.ignore);
    }
    let all: Vec<Sample> = dataset.samples().cloned().collect();
    let labels = collect_labels(&all, dataset.file.as_ref())?;
    let names = |split| dataset.split(split).iter().map(|s| s.name.clone()).collect();
    let (train_names, val_names) = (names(Split::Train), names(Split::Val));
    let snapshot = DatasetSnapshot { digest: dataset_digest(&dataset)?, labels, train: train_names, val: val_names };
    let multiple = 1usize << (options.depth + options.stem.halvings()).min(16);
    let (found_size, found_channels) = look_at(&dataset.train, multiple, options.fit)?;
    let ((width, height), channels) = (options.size.unwrap_or(found_size), options.channels.unwrap_or(found_channels));
    let batch = options
        .batch
        .unwrap_or_else(|| (FOUND_BATCH_PIXELS / (width as usize * height as usize).max(1)).clamp(1, FOUND_BATCH_MAX));
    let root =
        run_folder(&options.runs, &options.name.clone().unwrap_or_else(|| dataset.name()), options.name.is_some())?;
    let mut config = RunConfig {
        name: root.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        data,
        val_ratio: options.val_ratio,
        split_seed: options.split_seed,
        seed: options.seed,
        backend: options.backend,
        preprocess: Preprocess {
            width,
            height,
            channels,
            fit: options.fit,
            filter: options.filter,
            normalize: options.normalize,
            fill: 0,
        },
        model: UNetConfig {
            base: options.base,
            depth: options.depth,
            channels: channels.count(),
            classes: snapshot.labels.classes.len(),
            upsampling: options.upsampling,
            stem: options.stem,
        },
        training: TrainingConfig {
            epochs: options.epochs,
            batch,
            learning_rate: options.learning_rate,
            schedule: options.schedule,
            patience: options.patience,
            class_weights: class_weights(&options.class_weights, &vec![1; snapshot.labels.classes.len()]),
            flips: options.flips,
            workers: options.workers,
            cache_bytes: options.cache_bytes,
        },
    };
    config.validate().map_err(HostError::Usage)?;
    plan_memory(&config, &dataset, options.memory)?;
    let pixels = count_pixels(&dataset, &snapshot.labels.table()?, &config.preprocess)?;
    if pixels.iter().all(|&count| count == 0) {
        let data = options.data.display();
        return Err(HostError::Usage(format!("{data}: every pixel of the training labels is ignored")));
    }
    config.training.class_weights = class_weights(&options.class_weights, &pixels);
    RunDir::create(&root, &config, &snapshot)?;
    OpenRun::open(&root)
}

/// The folder of a new run. A name that was asked for must be free; one that was found gets a number where it is not.
fn run_folder(runs: &Path, name: &str, asked: bool) -> Result<PathBuf, HostError> {
    if name.is_empty() || name.contains(['/', '\\']) || name == "." || name == ".." {
        return Err(HostError::Usage(format!("--name: expected the name of a folder, found {name:?}")));
    }
    let root = runs.join(name);
    if !root.exists() {
        return Ok(root);
    }
    if asked && !RunDir::is_run(&root) {
        return Err(HostError::Usage(format!(
            "{}: is there already and is no run; remove it, or choose another --name",
            root.display()
        )));
    }
    if asked {
        return Err(HostError::Usage(format!(
            "{}: is there already; take it up again with --resume {0}, or choose another --name",
            root.display()
        )));
    }
    Ok((2u64..).map(|k| runs.join(format!("{name}-{k}"))).find(|root| !root.exists()).unwrap_or(root))
}

/// Takes up a run that was interrupted, with the options that it was made with.
///
/// # Errors
/// When the folder is no run, or its data set is no longer what the run saw.
pub fn resume(root: &Path) -> Result<OpenRun, HostError> {
    let run = OpenRun::open(root)?;
    let found = dataset_digest(&run.data(None)?)?;
    if found != run.snapshot.digest {
        return Err(HostError::Usage(format!(
            "{}: the data set has changed since the run began: expected digest {}, found {found}",
            run.config.data.display(),
            run.snapshot.digest
        )));
    }
    Ok(run)
}

/// How much of the memory for decoded samples the training split gets, and the validation split. Both are read once an
/// epoch, so each gets what it has of the samples.
fn cache_shares(config: &RunConfig, dataset: &Dataset) -> [u64; 2] {
    let samples = (dataset.train.len() + dataset.val.len()).max(1) as u128;
    [&dataset.train, &dataset.val]
        .map(|split| (u128::from(config.training.cache_bytes) * split.len() as u128 / samples) as u64)
}

/// Decides how the run is trained within the memory that there is.
fn plan_memory(config: &RunConfig, dataset: &Dataset, options: MemoryOptions) -> Result<MemoryPlan, HostError> {
    let (width, height) = (config.preprocess.width as usize, config.preprocess.height as usize);
    // Planes and mask; for validation the mask at the image's size too, taken to be the first one's.
    let sample = (config.preprocess.input_len() + width * height) as u64;
    let truth = match dataset.val.first() {
        Some(first) => decode_image(&first.image).map(|image| (image.width * image.height) as u64)?,
        None => 0,
    };
    let shares = cache_shares(config, dataset);
    let kept = (dataset.train.len() as u64 * sample).min(shares[0])
        + (dataset.val.len() as u64 * (sample + truth)).min(shares[1]);
    let shape = StepShape::of(config, dataset.train.len());
    Ok(MemoryPlan::new(shape.as_ref(), kept, options, memory::available_bytes())?)
}

/// Trains a run to its end, scores its best weights and writes its report. Gradient checkpointing changes no number, so it
/// is decided anew each time.
///
/// # Errors
/// Whatever stopped it.
pub fn finish(
    run: &OpenRun,
    memory: MemoryOptions,
    observer: &mut dyn Observer,
) -> Result<(Outcome, EvaluationRecord), HostError> {
    let dataset = run.data(None)?;
    let plan = plan_memory(&run.config, &dataset, memory)?;
    unet_engine::error::say(plan);
    let loader = |split, with_truth, cache_bytes| {
        let options = LoaderOptions { cache_bytes, workers: run.config.training.workers, with_truth };
        Loader::new(dataset.split(split).to_vec(), run.table.clone(), run.config.preprocess, options)
    };
    let [train_share, val_share] = cache_shares(&run.config, &dataset);
    let training = loader(Split::Train, false, train_share)?;
    let validation = loader(Split::Val, true, val_share)?;
    let outcome =
        train(&run.dir, &run.config, &run.class_names(), plan.checkpointing, &training, &validation, observer)?;
    let record = score_run(run, EngineChoice::Burn, Weights::Best, Split::Val, None)?;
    run.dir.write_json(run.dir.float_record(), &record)?;
    report::write(run, &record, vec![])?;
    Ok((outcome, record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_weights_average_to_one_and_favour_the_rare() {
        // Shares 16 : 1 give weights 1 : 4; their mean is 2.5.
        assert_eq!(balanced(&[1600, 100]), [0.4, 1.6]);
        assert_eq!(balanced(&[100, 0]), [1.0, 0.0]);
    }

    #[test]
    fn a_name_that_is_taken_is_numbered_unless_it_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(run_folder(folder.path(), "a", false).unwrap(), folder.path().join("a"));
        std::fs::create_dir(folder.path().join("a")).unwrap();
        assert_eq!(run_folder(folder.path(), "a", false).unwrap(), folder.path().join("a-2"));
        assert!(run_folder(folder.path(), "a", true).is_err());
        assert!(run_folder(folder.path(), "../a", true).is_err());
    }
}
