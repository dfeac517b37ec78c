//! `unet-host val RUN` and `unet-host val PACKAGE --data DATA`.

use std::path::PathBuf;

use unet_data::Split;
use unet_engine::evaluate::tiles_line;
use unet_engine::exit::Exit;
use unet_host::config::FolderOptions;
use unet_host::error::HostError;
use unet_host::run_dir::{RunDir, json};
use unet_host::steps::score::{EngineChoice, score_package, score_run};
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
    /// Engine: burn or tract for a run's f32 network, or int8; a package is always int8
    #[arg(long, value_enum, default_value_t = EngineChoice::Burn)]
    engine: EngineChoice,
    /// Weights of the run
    #[arg(long, value_enum, default_value_t = Weights::Best)]
    weights: Weights,
    /// Cut images larger than SIZE into tiles: 512, 512,128 or 640x480,64, in pixels of the image; or none. OVERLAP is a quarter
    /// of SIZE by default. Tiles of the model's input size are not scaled (default: as in training)
    #[arg(long, value_name = "SIZE[,OVERLAP]", allow_hyphen_values = true)]
    tiles: Option<TilesChoice>,
    /// Write the evaluation record here
    #[arg(long)]
    output: Option<PathBuf>,
    /// Print the evaluation record as one JSON document
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
        let record = if RunDir::is_run(&self.subject) {
            let mut run = OpenRun::open(&self.subject)?;
            run.config.skip_unreadable |= self.skip_unreadable;
            // With the flag, files that became unreadable after the run was made are left out too.
            let data = self
                .data
                .or_else(|| self.skip_unreadable.then(|| run.config.data.clone()).filter(|data| data.exists()));
            run.config.tiles = TilesChoice::or_trained(self.tiles, run.config.tiles);
            run.config.folders = self.folders.or(run.config.folders);
            score_run(&run, self.engine, self.weights, self.split, data.as_deref())?
        } else if self.subject.is_file() {
            let Some(data) = &self.data else {
                return Err(HostError::Usage("expected --data DATA for a package".to_owned()));
            };
            let (split, skip) = (self.split, self.skip_unreadable);
            score_package(&self.subject, data, &self.folders, split, self.tiles, skip)?
        } else {
            let path = self.subject.display();
            return Err(HostError::Usage(if self.subject.exists() {
                format!("{path}: expected the folder of a run, or a package, found neither")
            } else {
                format!("{path} does not exist; expected the folder of a run, or a package")
            }));
        };
        if let Some(path) = &self.output {
            unet_engine::atomic_file::write(path, json(&record).as_bytes())
                .map_err(|source| HostError::Write { path: path.clone(), source })?;
        }
        super::print(self.json, &record, || text(&record))?;
        Ok(Exit::Success)
    }
}

/// A record as text.
pub fn text(record: &EvaluationRecord) -> String {
    let confusion = &record.confusion;
    let mut text = format!(
        "{}: {} frames of {} {}, mean IoU {}, pixel accuracy {}\n",
        record.engine,
        record.frames.len(),
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
    if let Some(line) = tiles_line(record) {
        text += &format!("  {line}\n");
    }
    text += &format!("  {:.1} ms per frame (median)\n", record.timing.median_ms);
    text
}
