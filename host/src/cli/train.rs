//! `unet-host train DATA` and `unet-host train --resume RUN`.

use std::path::PathBuf;

use serde::Serialize;
use unet_host::backend::Backend;
use unet_host::dataset::augment::Flips;
use unet_host::error::{HostError, exit};
use unet_host::model::{Stem, Upsampling};
use unet_host::progress::Progress;
use unet_host::steps::train::{ClassWeights, TrainOptions, finish, resume, start};
use unet_host::training::checkpoint::EpochRow;
use unet_host::training::memory::{Checkpointing, MemoryOptions};
use unet_host::training::schedule::ScheduleKind;
use unet_host::training::trainer::Observer;
use unet_shared::label::LabelValue;
use unet_shared::preprocess::{Channels, Filter, Fit, Normalize, Preprocess};

/// What to train on, and how.
#[derive(Debug, clap::Args)]
pub struct Train {
    /// The data set's folder: {train,val}/{images,masks}, images/{train,val} + masks/{train,val}, images + masks, or one
    /// folder of pairs
    #[arg(required_unless_present = "resume")]
    data: Option<PathBuf>,
    /// Go on with the run in this folder, to the numbers that it would have come to without the break
    #[arg(long, value_name = "RUN", conflicts_with_all = ["data", "name", "runs", "ignore", "epochs", "size", "channels", "classic", "fit", "filter", "mean", "std", "base", "depth", "upsampling", "stem", "batch", "learning_rate", "schedule", "patience", "class_weights", "flips", "seed", "val_ratio", "split_seed", "backend", "workers", "cache_mib"])]
    resume: Option<PathBuf>,
    /// Name of the run (default: the data set's)
    #[arg(long)]
    name: Option<String>,
    /// Folder that run folders are made in
    #[arg(long, default_value = "runs/train")]
    runs: PathBuf,
    /// Label values that take no part, gray values or "#rrggbb", with commas; dataset.toml can say so too
    #[arg(long, value_delimiter = ',')]
    ignore: Vec<LabelValue>,
    /// Passes over the training images
    #[arg(long, default_value_t = 40)]
    epochs: usize,
    /// Input size as WIDTHxHEIGHT, multiples of 2^depth times the stem (default: the images', at most 512 a side)
    #[arg(long, value_parser = parse_size)]
    size: Option<(u32, u32)>,
    /// Colour channels of the input, 1 or 3 (default: as the images have)
    #[arg(long, value_parser = parse_channels)]
    channels: Option<Channels>,
    /// The fixed preset of one gray channel, stretched to 1024x1024, divided by 255
    #[arg(long, conflicts_with_all = ["size", "channels", "fit", "filter", "mean", "std"])]
    classic: bool,
    /// How an image gets into the input: stretched, scaled with its proportions kept, or unscaled with a margin
    #[arg(long, value_enum, default_value_t = FitChoice::Stretch)]
    fit: FitChoice,
    /// How an image is scaled
    #[arg(long, value_enum, default_value_t = FilterChoice::Area)]
    filter: FilterChoice,
    /// Mean a channel to subtract after the division by 255, as one or three numbers with commas
    #[arg(long, value_delimiter = ',', requires = "std", allow_negative_numbers = true)]
    mean: Vec<f32>,
    /// Standard deviation a channel to divide by, as one or three numbers with commas
    #[arg(long, value_delimiter = ',', requires = "mean")]
    std: Vec<f32>,
    /// Channels of the network's first level
    #[arg(long, default_value_t = 16)]
    base: usize,
    /// Number of times that the network halves the image
    #[arg(long, default_value_t = 4)]
    depth: usize,
    /// How the decoder doubles the image
    #[arg(long, value_enum, default_value_t = Upsampling::Nearest)]
    upsampling: Upsampling,
    /// Shrink the image by this factor before the first level, and enlarge the logits again
    #[arg(long, value_enum, default_value_t = Stem::Full)]
    stem: Stem,
    /// Images a step (default: 8, fewer for large inputs)
    #[arg(long)]
    batch: Option<usize>,
    /// The largest learning rate of Adam
    #[arg(long, default_value_t = 2e-3, allow_negative_numbers = true)]
    learning_rate: f64,
    /// How the learning rate changes
    #[arg(long, value_enum, default_value_t = ScheduleKind::Cosine)]
    schedule: ScheduleKind,
    /// Stop after so many epochs without a better mean IoU
    #[arg(long)]
    patience: Option<usize>,
    /// Weights of the classes in the loss: equal, balanced, or one number a class with commas
    #[arg(long, default_value = "equal", value_parser = parse_weights)]
    class_weights: ClassWeights,
    /// Random flips: none, horizontal, vertical or both
    #[arg(long, value_enum, default_value_t = FlipChoice::Horizontal)]
    flips: FlipChoice,
    /// Seed of initial weights, shuffles and flips
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Share of the pairs that validates, where the folders do not say
    #[arg(long, default_value_t = 0.2)]
    val_ratio: f64,
    /// Seed of that split
    #[arg(long, default_value_t = 0)]
    split_seed: u64,
    /// What computes
    #[arg(long, value_enum, default_value_t = TrainOptions::default_backend())]
    backend: Backend,
    /// Threads that decode images ahead of the training step
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Memory for decoded images, in MiB
    #[arg(long, default_value_t = 512)]
    cache_mib: u64,
    /// Compute cheap tensors again in the backward pass instead of keeping them: less memory, the same numbers (auto: where
    /// a step would not fit into memory without it)
    #[arg(long, value_enum, default_value_t = Checkpointing::Auto)]
    checkpointing: Checkpointing,
    /// Memory that training may take, in MiB (default: what the machine has available)
    #[arg(long)]
    memory_mib: Option<u64>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FitChoice {
    Stretch,
    Letterbox,
    Pad,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FilterChoice {
    Nearest,
    Bilinear,
    Area,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FlipChoice {
    None,
    Horizontal,
    Vertical,
    Both,
}

pub(super) fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sides.ok_or_else(|| "expected WIDTHxHEIGHT, such as 240x176".to_owned())
}

pub(super) fn parse_channels(text: &str) -> Result<Channels, String> {
    match text {
        "1" => Ok(Channels::Gray),
        "3" => Ok(Channels::Rgb),
        _ => Err("expected 1 or 3".to_owned()),
    }
}

fn parse_weights(text: &str) -> Result<ClassWeights, String> {
    match text {
        "equal" => Ok(ClassWeights::Equal),
        "balanced" => Ok(ClassWeights::Balanced),
        numbers => numbers
            .split(',')
            .map(|n| n.trim().parse().map_err(|_| format!("expected equal, balanced or numbers, found {n:?}")))
            .collect::<Result<_, _>>()
            .map(ClassWeights::Given),
    }
}

fn three(name: &str, values: &[f32]) -> Result<[f32; 3], HostError> {
    match *values {
        [one] => Ok([one; 3]),
        [a, b, c] => Ok([a, b, c]),
        _ => Err(HostError::Usage(format!("--{name}: expected one or three numbers, found {}", values.len()))),
    }
}

#[derive(Debug, Serialize)]
struct Report {
    run: PathBuf,
    epochs: usize,
    stopped_early: bool,
    best_epoch: Option<usize>,
    mean_iou: Option<f64>,
    class_iou: Vec<Option<f64>>,
    seconds: f64,
    report: PathBuf,
}

impl Train {
    fn options(&self, data: PathBuf) -> Result<TrainOptions, HostError> {
        let normalize = if self.mean.is_empty() {
            Normalize::Unit
        } else {
            Normalize::MeanStd { mean: three("mean", &self.mean)?, std: three("std", &self.std)? }
        };
        let mut options = TrainOptions {
            runs: self.runs.clone(),
            name: self.name.clone(),
            ignore: self.ignore.clone(),
            val_ratio: self.val_ratio,
            split_seed: self.split_seed,
            seed: self.seed,
            backend: self.backend,
            size: self.size,
            channels: self.channels,
            fit: match self.fit {
                FitChoice::Stretch => Fit::Stretch,
                FitChoice::Letterbox => Fit::Letterbox,
                FitChoice::Pad => Fit::Pad,
            },
            filter: match self.filter {
                FilterChoice::Nearest => Filter::Nearest,
                FilterChoice::Bilinear => Filter::Bilinear,
                FilterChoice::Area => Filter::Area,
            },
            normalize,
            base: self.base,
            depth: self.depth,
            upsampling: self.upsampling,
            stem: self.stem,
            epochs: self.epochs,
            batch: self.batch,
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            patience: self.patience,
            class_weights: self.class_weights.clone(),
            flips: Flips {
                horizontal: matches!(self.flips, FlipChoice::Horizontal | FlipChoice::Both),
                vertical: matches!(self.flips, FlipChoice::Vertical | FlipChoice::Both),
            },
            workers: self.workers,
            cache_bytes: self.cache_mib.saturating_mul(1 << 20),
            memory: self.memory(),
            ..TrainOptions::new(data)
        };
        if self.classic {
            let classic = Preprocess::CLASSIC;
            options.size = Some((classic.width, classic.height));
            options.channels = Some(classic.channels);
            (options.fit, options.filter, options.normalize) = (classic.fit, classic.filter, classic.normalize);
        }
        Ok(options)
    }

    fn memory(&self) -> MemoryOptions {
        let limit_bytes = self.memory_mib.map(|mebibytes| mebibytes.saturating_mul(1 << 20));
        MemoryOptions { checkpointing: self.checkpointing, limit_bytes }
    }

    pub fn run(self) -> Result<u8, HostError> {
        let run = match (&self.resume, &self.data) {
            (Some(root), _) => resume(root)?,
            (None, Some(data)) => start(&self.options(data.clone())?)?,
            (None, None) => return Err(HostError::Usage("expected a data set or --resume RUN".to_owned())),
        };
        let (preprocess, training) = (&run.config.preprocess, &run.config.training);
        unet_engine::error::say(format_args!(
            "run {}: {} training and {} validation images, {} classes, input {}x{}x{}, {}, batch {}, {}",
            run.dir.root().display(),
            run.snapshot.train.len(),
            run.snapshot.val.len(),
            run.config.model.classes,
            preprocess.width,
            preprocess.height,
            preprocess.channels.count(),
            run.config.model,
            training.batch,
            run.config.backend.name(),
        ));
        let (outcome, record) = finish(&run, self.memory(), &mut Watcher::new(training.epochs))?;
        let report = Report {
            run: run.dir.root().to_owned(),
            epochs: outcome.rows.len(),
            stopped_early: outcome.stopped_early,
            best_epoch: outcome.best.map(|best| best.epoch),
            mean_iou: record.confusion.mean_iou(),
            class_iou: unet_host::training::trainer::class_iou(&record.confusion),
            seconds: outcome.rows.iter().map(|row| row.seconds).sum(),
            report: run.dir.report(),
        };
        super::print(self.json, &report, || {
            let stopped = if report.stopped_early { ", stopped early" } else { "" };
            format!(
                "{}run: {}\nepochs: {}{stopped}, best {}\nreport: {}\n",
                super::val::text(&record),
                report.run.display(),
                report.epochs,
                report.best_epoch.unwrap_or(0),
                report.report.display(),
            )
        })?;
        Ok(exit::SUCCESS)
    }
}

/// Shows the epochs as they go: a bar for the running one, and a line for each that ended.
pub struct Watcher {
    epochs: usize,
    progress: Option<Progress>,
    trained: usize,
    losses: f64,
}

impl Watcher {
    pub fn new(epochs: usize) -> Self {
        Self { epochs, progress: None, trained: 0, losses: 0.0 }
    }
}

impl Observer for Watcher {
    fn epoch_begins(&mut self, epoch: usize, images: usize, validation: usize) {
        let label = format!("epoch {epoch}/{}", self.epochs);
        self.progress = Some(Progress::new(&label, (images + validation) as u64, "images"));
        (self.trained, self.losses) = (0, 0.0);
    }

    fn trained(&mut self, images: usize, loss: f64) {
        self.trained += images;
        self.losses += loss * images as f64;
        if let Some(progress) = &self.progress {
            progress.message(format!("loss {:.4}", self.losses / self.trained.max(1) as f64));
            progress.inc(images as u64);
        }
    }

    fn validated(&mut self, images: usize) {
        if let Some(progress) = &self.progress {
            progress.inc(images as u64);
        }
    }

    fn epoch_ended(&mut self, row: &EpochRow, best: bool) {
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
        unet_engine::error::say(format_args!(
            "epoch {}/{}: loss {:.4}, validation loss {:.4}, mean IoU {}{}, {:.1} s, {:.1} images/s, waited {:.1} %",
            row.epoch,
            self.epochs,
            row.train_loss,
            row.val_loss,
            super::ratio(row.mean_iou),
            if best { " (best)" } else { "" },
            row.seconds,
            row.images_per_second,
            row.waiting_share * 100.0,
        ));
    }
}
