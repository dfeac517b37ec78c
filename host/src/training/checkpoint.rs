//! The state of a run between two epochs, saved so that a killed run can be resumed to the same numbers.
//!
//! Weights and optimizer state are in files with the epoch in their names; `checkpoint.json`, renamed into place last, says
//! which of them are valid. A kill at any time leaves the state of this epoch or of the previous one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};
use unet_shared::digest::Digest;
use unet_shared::preprocess::Preprocess;

use super::learner::Learner;
use super::summary::Tail;
use super::weight_shapes::WeightShapes;
use crate::model::Network;
use crate::run_dir::{RunDir, RunDirError};
use crate::tensorboard;
use crate::training::schedule::Schedule;

/// Version of the checkpoint's format.
pub const CHECKPOINT_VERSION: u32 = 1;

/// Result of an epoch: a row of results.csv.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean over the training batches.
    pub train_loss: f64,
    /// Loss of the validation images; none if all their pixels are ignored.
    pub val_loss: Option<f64>,
    /// Mean IoU of the classes that occur.
    pub mean_iou: Option<f64>,
    /// Share of the pixels whose predicted class is right.
    pub pixel_accuracy: Option<f64>,
    /// IoU of each class.
    pub class_iou: Vec<Option<f64>>,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Wall time of the epoch including validation.
    pub seconds: f64,
    /// Training images per second.
    pub images_per_second: f64,
    /// Share of the training time between steps: waiting for the loader, and assembling batches.
    pub waiting_share: f64,
}

impl EpochRow {
    /// The mean IoU, or 0 without one.
    pub fn score(&self) -> f64 {
        self.mean_iou.unwrap_or(0.0)
    }
}

#[cfg(test)]
impl EpochRow {
    /// A row without scores.
    pub fn empty(epoch: usize) -> Self {
        Self {
            epoch,
            train_loss: 0.0,
            val_loss: None,
            mean_iou: None,
            pixel_accuracy: None,
            class_iou: vec![],
            learning_rate: 0.0,
            seconds: 0.0,
            images_per_second: 0.0,
            waiting_share: 0.0,
        }
    }
}

/// An epoch with its score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Counted from 1.
    pub epoch: usize,
    /// Its validation mean IoU.
    pub mean_iou: f64,
}

/// The state of an average of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AverageState {
    /// Steps in it.
    pub steps: usize,
    /// Digest of its file.
    pub weights: Digest,
}

/// The state of a run between two epochs, without its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// [`CHECKPOINT_VERSION`].
    pub version: u32,
    /// Optimizer steps done.
    pub step: usize,
    /// The schedule with its state.
    pub schedule: Schedule,
    /// The best epoch so far; once the norms are frozen, of those since.
    pub best: Option<Best>,
    /// One row per finished epoch.
    pub rows: Vec<EpochRow>,
    /// Digest of the weights' file.
    pub weights: Option<Digest>,
    /// Digest of the optimizer's file.
    pub optimizer: Option<Digest>,
    /// The average of the weights; none if none is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<AverageState>,
    /// Digest of the best weights' file; none in checkpoints made before it was kept.
    #[serde(default)]
    pub best_weights: Option<Digest>,
    /// The preprocessing that the weights are trained with; none in checkpoints made before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocess: Option<Preprocess>,
}

/// The field of a checkpoint that every version has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// A checkpoint that cannot be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file of the run folder cannot be read or written.
    #[error(transparent)]
    Files(#[from] RunDirError),
    /// A file was changed after it was saved.
    #[error(
        "{} is damaged, or not the file that this run wrote: expected sha256 {expected}, found {found}; copy it again, or train a \
         new run",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The saved digest.
        expected: Digest,
        /// The digest of the file.
        found: Digest,
    },
    /// The weights are of another network than the run's configuration describes.
    #[error("{} does not fit config.toml: {misfit}", path.display())]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// What does not fit, and what to change.
        misfit: String,
    },
    /// burn rejects the file.
    #[error("{file} is damaged, or does not belong to the config.toml of its run")]
    Record {
        /// The file.
        file: String,
        /// The error of burn.
        #[source]
        source: RecordError,
    },
    /// The file was written by another version.
    #[error("checkpoint.json: expected version {CHECKPOINT_VERSION}, found {found}")]
    Version {
        /// The version found.
        found: u32,
    },
}

fn weights_name(epoch: usize) -> String {
    format!("weights/epoch-{epoch}.bpk")
}

fn optimizer_name(epoch: usize) -> String {
    format!("weights/epoch-{epoch}.optimizer.bpk")
}

fn average_name(epoch: usize) -> String {
    format!("weights/epoch-{epoch}.average.bpk")
}

fn record_error(file: impl Into<String>) -> impl FnOnce(RecordError) -> CheckpointError {
    let file = file.into();
    move |source| CheckpointError::Record { file, source }
}

/// The weights in burn's own format.
///
/// # Errors
/// If burn cannot serialize them.
pub fn weights_bytes(model: &Network) -> Result<Bytes, CheckpointError> {
    model.clone().into_record().into_bytes().map_err(record_error("weights"))
}

/// Loads saved weights into a network of the same shape.
///
/// # Errors
/// If the file cannot be read, or is of another network.
pub fn load_weights(model: Network, path: &Path) -> Result<Network, CheckpointError> {
    let bytes = std::fs::read(path).map_err(|source| RunDirError::Read { path: path.to_owned(), source })?;
    apply_weights(model, bytes, path)
}

/// Loads the weights that a run starts from into its network.
///
/// # Errors
/// If the file cannot be read, was changed after it was saved, or is of another network.
pub fn load_initial_weights(run: &RunDir, model: Network, expected: Digest) -> Result<Network, CheckpointError> {
    let path = run.initial_weights();
    let bytes = run.read(&path)?;
    check_digest(path.clone(), &bytes, expected)?;
    apply_weights(model, bytes, &path)
}

/// Loads the weights that are the content of the file at `path`.
fn apply_weights(model: Network, bytes: Vec<u8>, path: &Path) -> Result<Network, CheckpointError> {
    let needed = WeightShapes::of_network(&model);
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes));
    record.and_then(|record| model.try_load_record(record)).map_err(|error| {
        match WeightShapes::of_file(path).and_then(|stored| stored.misfit(&needed)) {
            Some(misfit) => CheckpointError::OtherNetwork { path: path.to_owned(), misfit },
            None => record_error(path.display().to_string())(error),
        }
    })
}

/// Saves the state after an epoch, with weights, optimizer state and results.csv, and the best weights if this epoch is the best.
///
/// # Errors
/// If something cannot be written; the previous checkpoint stays valid.
pub fn save(run: &RunDir, state: &mut State, learner: &Learner, table: &ResultsTable) -> Result<(), CheckpointError> {
    let epoch = state.rows.len();
    state.step = learner.step;
    let weights = weights_bytes(&learner.model)?;
    let moments = learner.optimizer.into_bytes().map_err(record_error("optimizer"))?;
    state.weights = Some(Digest::of(&weights));
    state.optimizer = Some(Digest::of(&moments));
    run.write(weights_name(epoch), &weights)?;
    run.write(optimizer_name(epoch), &moments)?;
    let (mut result, mut digest) = (weights, state.weights);
    if let Some(average) = &learner.average {
        result = weights_bytes(average.network())?;
        let weights = Digest::of(&result);
        digest = Some(weights);
        state.average = Some(AverageState { steps: average.steps(), weights });
        run.write(average_name(epoch), &result)?;
    }
    if state.best.is_some_and(|best| best.epoch == epoch) {
        run.write(run.best_weights(), &result)?;
        state.best_weights = digest;
    }
    run.write_json(run.checkpoint(), state)?;
    write_derived(run, state, &result, table)
}

/// Writes the files that a checkpoint determines, and removes those of the previous epoch. [`restore`] repeats it, in case the
/// run was killed before or during it.
///
/// # Errors
/// If something cannot be written.
fn write_derived(run: &RunDir, state: &State, result: &[u8], table: &ResultsTable) -> Result<(), CheckpointError> {
    run.write(run.last_weights(), result)?;
    run.write(run.results(), results_csv(&state.rows, table).as_bytes())?;
    tensorboard::write(run, &state.rows, table.class_names, &[])?;
    if let Some(before) = state.rows.len().checked_sub(1) {
        for name in [weights_name(before), optimizer_name(before), average_name(before)] {
            // A file that stays costs space only; the next epoch's checkpoint does not name it.
            let _ = std::fs::remove_file(run.root().join(name));
        }
    }
    Ok(())
}

/// Reads the state of a run; none if no epoch has ended yet.
///
/// # Errors
/// If the file exists but cannot be used.
pub fn load_state(run: &RunDir) -> Result<Option<State>, CheckpointError> {
    if !run.checkpoint().is_file() {
        return Ok(None);
    }
    // The version first: another version may have other fields.
    let Version { version: found } = run.read_json(run.checkpoint())?;
    if found != CHECKPOINT_VERSION {
        return Err(CheckpointError::Version { found });
    }
    Ok(Some(run.read_json(run.checkpoint())?))
}

/// Checks the best weights of a run, unless its checkpoint was made before their digest was kept.
///
/// # Errors
/// If the file cannot be read, or was changed after it was saved.
pub fn check_best_weights(run: &RunDir) -> Result<(), CheckpointError> {
    match load_state(run)?.and_then(|state| state.best_weights) {
        Some(expected) => check_digest(run.best_weights(), &run.read(run.best_weights())?, expected),
        None => Ok(()),
    }
}

fn check_digest(path: PathBuf, bytes: &[u8], expected: Digest) -> Result<(), CheckpointError> {
    let found = Digest::of(bytes);
    if expected == found { Ok(()) } else { Err(CheckpointError::Damaged { path, expected, found }) }
}

/// Continues `learner`, which has not made a step, from a checkpoint, and writes the files that it determines again.
///
/// # Errors
/// If a file is missing, changed, or of another network.
pub fn restore(
    run: &RunDir,
    state: &State,
    learner: &mut Learner,
    table: &ResultsTable,
) -> Result<(), CheckpointError> {
    let epoch = state.rows.len();
    let read = |name: &str, expected: Option<Digest>| {
        let bytes = run.read(name)?;
        expected.map_or(Ok(()), |expected| check_digest(run.root().join(name), &bytes, expected))?;
        Ok::<_, CheckpointError>(bytes)
    };
    let (weights, optimizer, average) = (weights_name(epoch), optimizer_name(epoch), average_name(epoch));
    let model_bytes = read(&weights, state.weights)?;
    let moments = read(&optimizer, state.optimizer)?;
    let average_bytes = state.average.map(|kept| read(&average, Some(kept.weights))).transpose()?;
    write_derived(run, state, average_bytes.as_ref().unwrap_or(&model_bytes), table)?;
    if let (Some(kept), Some(bytes), Some(AverageState { steps, .. })) =
        (&mut learner.average, average_bytes, state.average)
    {
        let network = apply_weights(kept.network().clone(), bytes, &run.root().join(average))?;
        kept.restore(network, steps);
    }
    learner.step = state.step;
    learner.model = apply_weights(learner.model.clone(), model_bytes, &run.root().join(weights))?;
    learner.optimizer =
        learner.optimizer.clone().from_bytes(Bytes::from_bytes_vec(moments)).map_err(record_error(optimizer))?;
    Ok(())
}

/// The columns of results.csv with times, which differ between otherwise equal runs.
pub const TIMING_COLUMNS: [&str; 3] = ["seconds", "images_per_second", "waiting_share"];

/// What results.csv shows besides the rows themselves.
#[derive(Clone, Copy, Debug)]
pub struct ResultsTable<'a> {
    /// Names of the classes, by id.
    pub class_names: &'a [String],
    /// See [`TrainingConfig::first_frozen_epoch`](crate::config::TrainingConfig::first_frozen_epoch).
    pub first_frozen: Option<usize>,
}

/// results.csv: a header, then one row per epoch. The IoU of a class that does not occur, and the loss of pixels that are all
/// ignored, are empty fields. `best_mean_iou` and `spread` are those of [`Summary`](super::summary::Summary) after that epoch;
/// `norms` says by which statistics it was validated.
pub fn results_csv(rows: &[EpochRow], table: &ResultsTable) -> String {
    let mut text = String::from("epoch,train_loss,val_loss,mean_iou,best_mean_iou,spread,norms,pixel_accuracy");
    for name in table.class_names {
        let plain: String = name.chars().map(|c| if matches!(c, ',' | '"' | '\n' | '\r') { '_' } else { c }).collect();
        let _ = write!(text, ",iou_{plain}");
    }
    let _ = writeln!(text, ",learning_rate,{}", TIMING_COLUMNS.join(","));
    let optional = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
    // The first row that is comparable with the current one, and the best score since.
    let (mut first, mut best) = (0, 0.0f64);
    for (index, row) in rows.iter().enumerate() {
        if table.first_frozen == Some(row.epoch) {
            (first, best) = (index, 0.0);
        }
        best = best.max(row.score());
        let norms = if table.first_frozen.is_some_and(|first| row.epoch >= first) { "frozen" } else { "running" };
        let Tail { lowest, highest, .. } = Tail::of(&rows[first..=index]);
        let _ = write!(text, "{},{},{}", row.epoch, row.train_loss, optional(row.val_loss));
        let _ = write!(text, ",{},{best},{}", optional(row.mean_iou), highest - lowest);
        let _ = write!(text, ",{norms},{}", optional(row.pixel_accuracy));
        for &iou in &row.class_iou {
            let _ = write!(text, ",{}", optional(iou));
        }
        let (rate, waiting) = (row.images_per_second, row.waiting_share);
        let _ = writeln!(text, ",{},{:.3},{rate:.2},{waiting:.3}", row.learning_rate, row.seconds);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_class_leaves_its_field_empty() {
        let row = EpochRow {
            epoch: 1,
            train_loss: 0.5,
            val_loss: Some(0.25),
            mean_iou: Some(0.75),
            pixel_accuracy: None,
            class_iou: vec![Some(0.75), None],
            learning_rate: 0.001,
            seconds: 1.5,
            images_per_second: 10.0,
            waiting_share: 0.0,
        };
        let names = ["a".to_owned(), "b,c".to_owned()];
        let expected = "epoch,train_loss,val_loss,mean_iou,best_mean_iou,spread,norms,pixel_accuracy,iou_a,iou_b_c,\
                        learning_rate,seconds,images_per_second,waiting_share\n\
                        1,0.5,0.25,0.75,0.75,0,running,,0.75,,0.001,1.500,10.00,0.000\n";
        let table = ResultsTable { class_names: &names, first_frozen: None };
        assert_eq!(results_csv(&[row], &table), expected);
    }

    #[test]
    fn the_best_of_the_frozen_epochs_starts_anew() {
        let rows = [0.9, 0.5, 0.6].iter().enumerate();
        let rows: Vec<EpochRow> =
            rows.map(|(index, &score)| EpochRow { mean_iou: Some(score), ..EpochRow::empty(index + 1) }).collect();
        let csv = results_csv(&rows, &ResultsTable { class_names: &[], first_frozen: Some(2) });
        let columns: Vec<Vec<&str>> =
            csv.lines().skip(1).map(|line| line.split(',').skip(3).take(4).collect()).collect();
        assert_eq!(
            columns,
            [["0.9", "0.9", "0", "running"], ["0.5", "0.5", "0", "frozen"], ["0.6", "0.6", "0", "frozen"]]
        );
    }
}
