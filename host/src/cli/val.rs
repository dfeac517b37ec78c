//! `unet-host val RUN` and `unet-host val PACKAGE --data DATA`.

use std::path::PathBuf;

use serde::Serialize;
use unet_data::{Split, counted};
use unet_engine::evaluate::tiles_line;
use unet_engine::exit::Exit;
use unet_engine::package::Package;
use unet_host::assessment::Assessment;
use unet_host::assessment::calibration::Calibration;
use unet_host::assessment::interval::Interval;
use unet_host::config::FolderOptions;
use unet_host::error::HostError;
use unet_host::run_dir::{RunDir, json};
use unet_host::steps::score::{EngineChoice, Evaluation, evaluate_package, evaluate_run};
use unet_host::steps::{OpenRun, Weights};
use unet_shared::record::EvaluationRecord;
use unet_shared::tiles::TilesChoice;

/// What to evaluate, on what, and how.
#[derive(Debug, clap::Args)]
pub struct Val {
    /// Folder of a run, or a package
    subject: PathBuf,
    /// A dataset in the place where `unet-edge evaluate` has it.
    #[arg(hide = true)]
    misplaced: Option<PathBuf>,
    /// Folder of the dataset (default: the one that the run was trained on)
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    folders: FolderOptions,
    /// Split: train, val or test
    #[arg(long, default_value_t = Split::Val)]
    split: Split,
    /// Leave out pairs with a file that cannot be read, and say which
    #[arg(long)]
    skip_unreadable: bool,
    /// Engine: burn or tract for a run's f32 network, or int8; a package is always int8 (default for a run: burn)
    #[arg(long, value_enum)]
    engine: Option<EngineChoice>,
    /// Weights of the run (default: best)
    #[arg(long, value_enum)]
    weights: Option<Weights>,
    /// Cut images larger than SIZE into tiles: 512, 512,128 or 640x480,64, in pixels of the image; or none. By default OVERLAP is
    /// a quarter of the smaller side, rounded up to a multiple of 16, and at most half of the side. Tiles of the model's input
    /// size are not scaled (default: as in training)
    #[arg(long, value_name = "SIZE[,OVERLAP]", allow_hyphen_values = true)]
    tiles: Option<TilesChoice>,
    /// List the N images with the lowest mean IoU, the worst first
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    worst: usize,
    /// Write the evaluation record here
    #[arg(long)]
    output: Option<PathBuf>,
    /// Print one JSON document: the evaluation record, and under `assessment` what else was measured
    #[arg(long)]
    json: bool,
}

impl Val {
    pub fn run(self) -> Result<Exit, HostError> {
        if let Some(path) = &self.misplaced {
            let (subject, path) = (self.subject.display(), path.display());
            return Err(HostError::Usage(format!(
                "unexpected argument {path}; a dataset is given by its flag: unet-host val {subject} --data {path}"
            )));
        }
        if let Some(path) = &self.output {
            unet_engine::atomic_file::check(path).map_err(|source| HostError::Write { path: path.clone(), source })?;
        }
        let evaluation = if RunDir::is_run(&self.subject) {
            let mut run = OpenRun::open(&self.subject)?;
            run.config.skip_unreadable |= self.skip_unreadable;
            // With the flag, files that became unreadable after the run was made are left out too.
            let data = self
                .data
                .or_else(|| self.skip_unreadable.then(|| run.config.data.clone()).filter(|data| data.exists()));
            run.config.tiles = TilesChoice::or_trained(self.tiles, run.config.tiles);
            run.config.folders = self.folders.or(run.config.folders);
            let (engine, weights) = (self.engine.unwrap_or(EngineChoice::Burn), self.weights.unwrap_or_default());
            evaluate_run(&run, engine, weights, self.split, data.as_deref())?
        } else {
            super::refuse_neither(&self.subject)?;
            let Some(data) = &self.data else {
                // Only a package needs it; what cannot be read as one is reported first.
                Package::read(&self.subject)?;
                return Err(HostError::Usage("expected --data DATA for a package".to_owned()));
            };
            super::refuse_of_package(self.engine, self.weights)?;
            let (split, skip) = (self.split, self.skip_unreadable);
            evaluate_package(&self.subject, data, &self.folders, split, self.tiles, skip)?
        };
        if let Some(path) = &self.output {
            unet_engine::atomic_file::write(path, json(&evaluation.record).as_bytes())
                .map_err(|source| HostError::Write { path: path.clone(), source })?;
        }
        let Evaluation { record, assessment } = &evaluation;
        super::print(self.json, &Report { record, assessment }, || text(&evaluation, self.worst))?;
        Ok(Exit::Success)
    }
}

/// A record with the assessment beside it, which readers of records ignore.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    record: &'a EvaluationRecord,
    assessment: &'a Assessment,
}

/// An evaluation as text, with its `worst` images.
pub fn text(evaluation: &Evaluation, worst: usize) -> String {
    let Evaluation { record, assessment } = evaluation;
    let confusion = &record.confusion;
    let mut text = format!(
        "{}: {} of {} {}, mean IoU {}, pixel accuracy {}\n",
        record.engine,
        counted(record.frames.len(), "image"),
        record.dataset,
        record.split,
        super::ratio(confusion.mean_iou()),
        super::ratio(confusion.pixel_accuracy()),
    );
    let width = record.classes.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    for (class, name) in record.classes.iter().enumerate() {
        let (iou, dice) = (super::ratio(confusion.iou(class)), super::ratio(confusion.dice(class)));
        text += &format!("  {name:width$}  IoU {iou}  Dice {dice}  pixels {}\n", confusion.truth_pixels(class));
    }
    text += &assessed(assessment, record.frames.len());
    if let Some(line) = tiles_line(record) {
        text += &format!("  {line}\n");
    }
    text += &format!("  {:.1} ms per image (median)\n", record.timing.median_ms);
    if worst > 0 {
        text += "  worst images:\n";
        for (name, iou) in assessment.worst(worst) {
            text += &format!("    IoU {iou:.4}  {name}\n");
        }
    }
    text
}

/// The two lines of an assessment of so many images.
fn assessed(assessment: &Assessment, images: usize) -> String {
    let interval = match &assessment.interval {
        Some(Interval { low, high, images }) => format!("{low:.4} to {high:.4}, bootstrap over {images} images"),
        None if images < 2 => "none, fewer than 2 images".to_owned(),
        None => "none, fewer than 2 images have pixels that count".to_owned(),
    };
    let worst = assessment.worst(1).next().map(|(name, iou)| format!("; lowest image {iou:.4} ({name})"));
    let widths = assessment.boundary.iter().map(|boundary| {
        let (iou, width) = (super::ratio(boundary.mean_iou()), boundary.width);
        format!("{iou} (width {width})")
    });
    let calibration = assessment.calibration.as_ref().and_then(Calibration::error);
    let calibration = calibration.map(|error| format!("; calibration error {error:.4}"));
    format!(
        "  95 % interval of the mean IoU: {interval}{}\n  mean boundary IoU {}{}\n",
        worst.unwrap_or_default(),
        widths.collect::<Vec<_>>().join(", "),
        calibration.unwrap_or_default(),
    )
}
