//! What a run's folder says about the run: its setup, how far it is, and its scores by epoch. Needs no dataset and no weights.

use std::path::{Path, PathBuf};

use serde::Serialize;
use unet_shared::fold::Fold;

use super::OpenRun;
use crate::error::HostError;
use crate::training::checkpoint::{EpochRow, load_state};
use crate::training::summary::Summary;
use crate::training::trainer::is_trained;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It is in training, or was interrupted.
    Unfinished,
    /// All epochs have ended.
    Finished,
    /// Patience ended it before the last epoch.
    StoppedEarly,
}

impl RunState {
    /// As a word or two.
    pub fn text(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished",
            Self::Finished => "finished",
            Self::StoppedEarly => "stopped early",
        }
    }
}

/// A run in a table of runs.
#[derive(Clone, Debug, Serialize)]
pub struct RunEntry {
    /// The name of its folder.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// The name of its dataset.
    pub data: String,
    /// Its network in words.
    pub network: String,
    /// Width, height and channels of the network's input.
    pub input: String,
    /// The seed of weights, shuffles and augmentation.
    pub seed: u64,
    /// The fold that it validates, if it is one of a cross-validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
    /// Validation images.
    pub validation_images: usize,
    /// Epochs that have ended.
    pub epochs: usize,
    /// Epochs in all.
    pub epochs_planned: usize,
    /// How far it is.
    pub state: RunState,
    /// Validation mean IoU of the last epoch.
    pub last_mean_iou: Option<f64>,
    /// The best validation mean IoU of comparable epochs.
    pub best_mean_iou: Option<f64>,
    /// Its epoch; the earliest of equals.
    pub best_epoch: Option<usize>,
    /// Highest minus lowest mean IoU over the last `spread_epochs` epochs, a tenth of all.
    pub spread: Option<f64>,
    /// See `spread`.
    pub spread_epochs: usize,
    /// Mean wall time of an epoch with its validation.
    pub seconds_per_epoch: Option<f64>,
    /// Names of the classes, by id.
    pub classes: Vec<String>,
    /// IoU of each class in the best epoch; none if it does not occur.
    pub class_iou: Vec<Option<f64>>,
    /// The run itself.
    #[serde(skip)]
    pub run: OpenRun,
    /// One row per epoch.
    #[serde(skip)]
    pub rows: Vec<EpochRow>,
}

impl RunEntry {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// If the folder is not a run, or its files are damaged.
    pub fn read(root: &Path) -> Result<Self, HostError> {
        let run = OpenRun::open(root)?;
        let saved = load_state(&run.dir)?;
        let config = &run.config;
        let trained = saved.as_ref().is_some_and(|state| is_trained(state, &config.training));
        let rows = saved.map(|state| state.rows).unwrap_or_default();
        let (epochs, epochs_planned) = (rows.len(), config.training.epochs);
        let state = match trained {
            false => RunState::Unfinished,
            true if epochs < epochs_planned => RunState::StoppedEarly,
            true => RunState::Finished,
        };
        let summary = Summary::of(&rows, config.training.first_frozen_epoch());
        let best_row = summary.and_then(|summary| rows.iter().find(|row| row.epoch == summary.best.epoch));
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let preprocess = &config.preprocess;
        Ok(Self {
            name: name(&root.canonicalize().unwrap_or_else(|_| root.to_owned())),
            folder: root.to_owned(),
            data: name(&config.data),
            network: config.model.to_string(),
            input: format!("{}x{}x{}", preprocess.width, preprocess.height, preprocess.channels.count()),
            seed: config.seed,
            fold: config.fold,
            validation_images: run.snapshot.val.len(),
            epochs,
            epochs_planned,
            state,
            last_mean_iou: summary.map(|summary| summary.last.mean_iou),
            best_mean_iou: summary.map(|summary| summary.best.mean_iou),
            best_epoch: summary.map(|summary| summary.best.epoch),
            spread: summary.map(|summary| summary.tail.spread()),
            spread_epochs: summary.map_or(0, |summary| summary.tail.epochs),
            seconds_per_epoch: (epochs > 0).then(|| rows.iter().map(|row| row.seconds).sum::<f64>() / epochs as f64),
            classes: run.class_names(),
            class_iou: best_row.map(|row| row.class_iou.clone()).unwrap_or_default(),
            run,
            rows,
        })
    }

    /// Whether training of the run has ended.
    pub fn is_trained(&self) -> bool {
        self.state != RunState::Unfinished
    }
}
