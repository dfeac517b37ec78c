//! `unet-host train DATA` and `unet-host train --resume RUN`.

use std::path::PathBuf;

use serde::Serialize;
use unet_data::counted;
use unet_engine::exit::Exit;
use unet_host::assessment::Assessment;
use unet_host::error::HostError;
use unet_host::progress::Progress;
use unet_host::steps::OpenRun;
use unet_host::steps::resume::{ResumeOptions, resume};
use unet_host::steps::series::{SeriesOptions, train_series};
use unet_host::steps::train::{TrainOptions, finish, start};
use unet_host::training::checkpoint::EpochRow;
use unet_host::training::memory::{Checkpointing, MemoryOptions};
use unet_host::training::trainer::Observer;

/// Dataset and hyperparameters of a new run, or the run to resume.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("run").args(["data", "resume"]).required(true))]
pub struct Train {
    /// Folder of the dataset: {train,val}/{images,masks}, images/{train,val} + masks/{train,val}, images + masks, or one folder
    /// of pairs
    data: Option<PathBuf>,
    /// Continue the run in this folder, to the same numbers as without the interruption
    #[arg(long, value_name = "RUN", conflicts_with = "data", conflicts_with_all = new_run())]
    resume: Option<PathBuf>,
    /// Passes over the training images (default: 40). With --resume: epochs in all, for a longer run, whose learning rate then
    /// follows the schedule of that many epochs
    #[arg(long)]
    epochs: Option<usize>,
    /// With --resume: the folder that the dataset was moved to
    #[arg(long = "data", value_name = "DATA", conflicts_with = "data")]
    moved_data: Option<PathBuf>,
    #[command(flatten)]
    options: TrainOptions,
    #[command(flatten)]
    series: SeriesOptions,
    /// Recompute cheap tensors in the backward pass instead of keeping them: less memory, the same numbers (auto: if a step
    /// would not fit into memory otherwise)
    #[arg(long, value_enum, default_value_t = Checkpointing::Auto)]
    checkpointing: Checkpointing,
    /// Memory that training may use, in MiB (default: what the machine has available)
    #[arg(long)]
    memory_mib: Option<u64>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The ids of all arguments that only a new run takes.
fn new_run() -> Vec<clap::Id> {
    [super::ids::<TrainOptions>(), super::ids::<SeriesOptions>()].concat()
}

#[derive(Debug, Serialize)]
struct Report {
    run: PathBuf,
    epochs: usize,
    stopped_early: bool,
    /// The best epoch; the earliest of equals.
    best_epoch: Option<usize>,
    /// Validation mean IoU of the last epoch.
    last_mean_iou: Option<f64>,
    /// Highest minus lowest validation mean IoU over the last `spread_epochs` epochs, a tenth of all.
    spread: Option<f64>,
    spread_epochs: usize,
    mean_iou: Option<f64>,
    class_iou: Vec<Option<f64>>,
    assessment: Assessment,
    seconds: f64,
    report: PathBuf,
}

impl Train {
    fn memory(&self) -> MemoryOptions {
        let limit_bytes = self.memory_mib.map(|mebibytes| mebibytes.saturating_mul(1 << 20));
        MemoryOptions { checkpointing: self.checkpointing, limit_bytes }
    }

    pub fn run(self) -> Result<Exit, HostError> {
        let run = match (&self.resume, &self.data) {
            (Some(root), _) => {
                let options = ResumeOptions { epochs: self.epochs, data: self.moved_data.clone() };
                resume(root, &options)?
            }
            (None, Some(data)) => {
                let mut options = self.options.clone();
                if let Some(epochs) = self.epochs {
                    options.config.training.epochs = epochs;
                }
                if let Some(series) = self.series.series() {
                    let report = train_series(data, &options, series, self.memory(), &mut begin)?;
                    super::print(self.json, &report, || super::series::text(series, &report))?;
                    return Ok(Exit::Success);
                }
                start(data, &options, self.memory())?
            }
            (None, None) => {
                return Err(HostError::Usage("expected the folder of a dataset, or --resume RUN".to_owned()));
            }
        };
        let (outcome, evaluation) = finish(&run, self.memory(), &mut begin(&run))?;
        let report = Report {
            run: run.dir.root().to_owned(),
            epochs: outcome.rows.len(),
            stopped_early: outcome.stopped_early,
            best_epoch: outcome.summary.map(|summary| summary.best.epoch),
            last_mean_iou: outcome.summary.map(|summary| summary.last.mean_iou),
            spread: outcome.summary.map(|summary| summary.tail.spread()),
            spread_epochs: outcome.summary.map_or(0, |summary| summary.tail.epochs),
            mean_iou: evaluation.record.confusion.mean_iou(),
            class_iou: unet_host::training::trainer::class_iou(&evaluation.record.confusion),
            assessment: evaluation.assessment.clone(),
            seconds: outcome.rows.iter().map(|row| row.seconds).sum(),
            report: run.dir.report(),
        };
        super::print(self.json, &report, || {
            let scores = match outcome.summary {
                Some(summary) => format!(", mean IoU: {summary}"),
                None => ", mean IoU: none, as no validation pixel counts".to_owned(),
            };
            let stopped = if report.stopped_early { ", stopped early" } else { "" };
            format!(
                "{}run: {}\nepochs: {}{stopped}{scores}\nreport: {}\n",
                super::val::text(&evaluation, 0),
                report.run.display(),
                report.epochs,
                report.report.display(),
            )
        })?;
        Ok(Exit::Success)
    }
}

/// Says what is about to be trained, and returns what shows its progress.
fn begin(run: &OpenRun) -> Watcher {
    let (preprocess, training) = (&run.config.preprocess, &run.config.training);
    unet_engine::error::say(format_args!(
        "run {}: {}, {}, {}, input {}x{}x{}, {}, batch {}, {}",
        run.dir.root().display(),
        counted(run.snapshot.train.len(), "training image"),
        counted(run.snapshot.val.len(), "validation image"),
        counted(run.config.model.classes, "class"),
        preprocess.width,
        preprocess.height,
        preprocess.channels.count(),
        run.config.model,
        training.batch,
        run.config.backend.name(),
    ));
    unet_engine::error::say(format_args!("loss: {}", training.loss.function));
    unet_engine::error::say(format_args!("augmentation: {}", training.augmentation));
    Watcher::new(training.epochs)
}

/// Shows a progress bar for the current epoch and a line for each epoch that ended.
pub struct Watcher {
    epochs: usize,
    progress: Option<Progress>,
    trained: usize,
    losses: f64,
    first_loss: Option<f64>,
    /// Whether a diverging loss was told of; it is only once.
    warned: bool,
}

impl Watcher {
    pub fn new(epochs: usize) -> Self {
        Self { epochs, progress: None, trained: 0, losses: 0.0, first_loss: None, warned: false }
    }
}

impl Observer for Watcher {
    fn norms_begin(&mut self, images: usize) {
        self.progress = Some(Progress::new("measuring batch-norm statistics", images as u64, "images"));
    }

    fn measured(&mut self, images: usize) {
        if let Some(progress) = &self.progress {
            progress.inc(images as u64);
        }
    }

    fn epoch_begins(&mut self, epoch: usize, images: usize, validation: usize) {
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
        let label = format!("epoch {epoch}/{}", self.epochs);
        let unit = format!("images ({images} training, {validation} validation)");
        self.progress = Some(Progress::new(&label, (images + validation) as u64, &unit));
        (self.trained, self.losses) = (0, 0.0);
    }

    fn trained(&mut self, images: usize, loss: f64) {
        self.trained += images;
        self.losses += loss * images as f64;
        if let Some(progress) = &self.progress {
            progress.message(format!("training loss {}", loss_text(self.losses / self.trained.max(1) as f64)));
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
            "epoch {}/{}: loss {}, validation loss {}, mean IoU {}{}, {:.1} s, {:.1} images/s, waited {:.1} % for data",
            row.epoch,
            self.epochs,
            loss_text(row.train_loss),
            row.val_loss.map_or_else(|| "none".to_owned(), loss_text),
            super::ratio(row.mean_iou),
            if best && row.mean_iou.is_some() { " (best)" } else { "" },
            row.seconds,
            row.images_per_second,
            row.waiting_share * 100.0,
        ));
        let first = *self.first_loss.get_or_insert(row.train_loss);
        let highest = row.train_loss.max(row.val_loss.unwrap_or(0.0));
        if diverges(first, highest) && !std::mem::replace(&mut self.warned, true) {
            unet_engine::error::say("warning: the loss diverges; train a new run with a lower --learning-rate");
        }
    }
}

/// A loss; one that only a diverging network has is short all the same.
fn loss_text(loss: f64) -> String {
    if loss < 1e6 { format!("{loss:.4}") } else { format!("{loss:.4e}") }
}

/// Whether a loss is far above that of the first epoch, or above what any loss function gives for a network that learns.
fn diverges(first: f64, loss: f64) -> bool {
    loss > 10.0 * first.max(1.0) || loss > 1e4
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;
    use clap::{Args as _, Command};

    use super::*;

    fn parse(words: &[&str]) -> Result<clap::ArgMatches, clap::Error> {
        Train::augment_args(Command::new("train").no_binary_name(true)).try_get_matches_from(words)
    }

    /// A word for each argument of a new run that it takes as its value; none for a switch.
    fn values() -> Vec<(String, Option<&'static str>)> {
        let command = Train::augment_args(Command::new("train"));
        let free = ["data", "resume", "epochs", "moved_data", "checkpointing", "memory_mib", "json"];
        let hyperparameters = command.get_arguments().filter(|argument| !free.contains(&argument.get_id().as_str()));
        hyperparameters
            .map(|argument| {
                let flag = format!("--{}", argument.get_long().expect("hyperparameters are flags"));
                if !argument.get_action().takes_values() {
                    return (flag, None);
                }
                let candidates =
                    ["1", "2", "auto", "0.5", "32x32", "equal", "none", "adam", "cosine", "cross-entropy", "zoom"]
                        .into_iter()
                        .chain(["stretch", "area", "nearest", "concat", "plain", "small", "flex", "runs"]);
                // One that needs another flag parses all the same.
                let parses = |word: &&str| match parse(&["data", &flag, word]) {
                    Ok(_) => true,
                    Err(error) => error.kind() == ErrorKind::MissingRequiredArgument,
                };
                let value = candidates.into_iter().find(parses);
                (flag.clone(), Some(value.unwrap_or_else(|| panic!("add a value of {flag} to the candidates"))))
            })
            .collect()
    }

    #[test]
    fn a_resumed_run_takes_no_hyperparameter() {
        assert!(parse(&["--resume", "run", "--json", "--memory-mib", "1", "--checkpointing", "on"]).is_ok());
        let values = values();
        // Fewer than all of them would mean that the list above is not complete.
        assert!(values.len() >= 29, "{values:?}");
        for (flag, value) in values {
            let words: Vec<&str> = ["--resume", "run", &flag].into_iter().chain(value).collect();
            let error = parse(&words).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{words:?}: {error}");
        }
        assert_eq!(parse(&["--resume", "run", "data"]).unwrap_err().kind(), ErrorKind::ArgumentConflict);
        assert_eq!(parse(&[]).unwrap_err().kind(), ErrorKind::MissingRequiredArgument);
    }

    #[test]
    fn a_loss_far_above_the_first_diverges() {
        for (first, loss, expected) in
            [(2.0, 2.5, false), (0.01, 5.0, false), (2.0, 21.0, true), (6e17, 6e17, true), (2.0, f64::INFINITY, true)]
        {
            assert_eq!(diverges(first, loss), expected, "{first} {loss}");
        }
        assert_eq!([loss_text(1.75), loss_text(5.7494e17)], ["1.7500", "5.7494e17"]);
    }

    #[test]
    fn the_classic_preset_takes_no_other_input() {
        for words in [["--size", "32x32"], ["--channels", "1"], ["--fit", "pad"], ["--filter", "area"]] {
            let error = parse(&["data", "--classic", words[0], words[1]]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{words:?}: {error}");
        }
        assert!(parse(&["data", "--classic", "--base", "8"]).is_ok());
    }
}
