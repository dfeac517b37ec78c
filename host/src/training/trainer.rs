//! A training run from its first epoch, or from its last checkpoint, to its end.

use std::time::Instant;

use unet_shared::metrics::OwnedConfusion;

use super::checkpoint::{self, Best, CHECKPOINT_VERSION, CheckpointError, EpochRow, ResultsTable, State};
use super::epoch;
use super::error::TrainError;
use super::learner::{Learner, differentiating};
use super::population;
use super::schedule::Schedule;
use super::summary::Summary;
use crate::config::{RunConfig, TrainingConfig};
use crate::dataset::loader::Loader;
use crate::run_dir::RunDir;

/// Watches a run's progress.
pub trait Observer {
    /// The statistics of the norms over `images` training images are measured, to be frozen.
    fn norms_begin(&mut self, images: usize);
    /// `images` images were measured.
    fn measured(&mut self, images: usize);
    /// An epoch of `images` training and `validation` images begins.
    fn epoch_begins(&mut self, epoch: usize, images: usize, validation: usize);
    /// A step on `images` images had this loss.
    fn trained(&mut self, images: usize, loss: f64);
    /// `images` images were validated.
    fn validated(&mut self, images: usize);
    /// The epoch ended with this row; `best` is true if no earlier one among comparable epochs was better.
    fn epoch_ended(&mut self, row: &EpochRow, best: bool);
}

/// Result of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// One row per epoch.
    pub rows: Vec<EpochRow>,
    /// Summary of the scores; `None` without epochs.
    pub summary: Option<Summary>,
    /// Whether `patience` ended it before the last epoch.
    pub stopped_early: bool,
}

/// Trains until the last epoch, or until `patience` epochs in a row had no better mean IoU. If the run's folder has a
/// checkpoint, training continues from there to the same numbers as without the interruption. `checkpointing` switches
/// gradient checkpointing on, which changes no number. `config` replaces that of the folder.
///
/// # Errors
/// See [`TrainError`]; the last checkpoint stays valid.
pub fn train(
    run: &RunDir,
    config: &RunConfig,
    class_names: &[String],
    checkpointing: bool,
    training: &Loader,
    validation: &Loader,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError> {
    let device = differentiating(config.backend.device()?, checkpointing);
    let settings = &config.training;
    let first_frozen = settings.first_frozen_epoch();
    let table = ResultsTable { class_names, first_frozen };
    let steps_an_epoch = training.len().div_ceil(settings.batch).div_ceil(settings.optimizer.accumulate);
    let steps = settings.epochs.saturating_mul(steps_an_epoch);
    let mut model = config.model.init(config.seed, &device);
    if let Some(initial) = &config.initial {
        model = checkpoint::load_initial_weights(run, model, initial.weights)?;
    }
    let mut learner = Learner::new(model, &settings.optimizer, settings.loss.clone());
    let mut state = match checkpoint::load_state(run)? {
        Some(mut state) => {
            state.schedule.set_steps(steps);
            checkpoint::restore(run, &state, &mut learner, &table)?;
            if first_frozen.is_some_and(|first| state.rows.len() >= first) {
                learner.model = learner.model.with_frozen_norms(None);
            }
            state
        }
        None => State {
            version: CHECKPOINT_VERSION,
            step: 0,
            schedule: Schedule::new(settings.schedule, settings.learning_rate, steps),
            best: None,
            rows: vec![],
            weights: None,
            optimizer: None,
            average: None,
            best_weights: None,
            preprocess: None,
        },
    };
    state.preprocess = Some(config.preprocess);
    // Not before: if the checkpoint cannot be used, the run stays as it was.
    run.update_config(config).map_err(CheckpointError::from)?;
    while !is_trained(&state, settings) {
        let start = Instant::now();
        let epoch = state.rows.len() + 1;
        if first_frozen == Some(epoch) {
            observer.norms_begin(training.len());
            let population = population::measure(&learner.model, config, training, &device, &mut |images| {
                observer.measured(images);
            })?;
            learner.freeze_norms(&population);
            // Scores by frozen statistics and by running ones are not comparable, nor are losses.
            state.best = None;
            state.schedule.forget_losses();
        }
        observer.epoch_begins(epoch, training.len(), validation.len());
        let trained =
            epoch::train(&mut learner, config, &state.schedule, training, epoch, &device, &mut |images, loss| {
                observer.trained(images, loss);
            })?;
        let validated =
            epoch::validate(learner.result(), config, validation, &device, &mut |images| observer.validated(images))?;
        if validated.loss.is_some_and(|loss| !loss.is_finite()) {
            let learning_rate = trained.learning_rate;
            return Err(TrainError::Diverged { epoch, step: learner.step, learning_rate });
        }
        if let Some(loss) = validated.loss {
            state.schedule.epoch_ended(loss);
        }
        let row = EpochRow {
            epoch,
            train_loss: trained.loss,
            val_loss: validated.loss,
            mean_iou: validated.confusion.mean_iou(),
            pixel_accuracy: validated.confusion.pixel_accuracy(),
            class_iou: class_iou(&validated.confusion),
            learning_rate: trained.learning_rate,
            seconds: start.elapsed().as_secs_f64(),
            images_per_second: training.len() as f64 / trained.elapsed.as_secs_f64().max(1e-9),
            waiting_share: trained.waited.as_secs_f64() / trained.elapsed.as_secs_f64().max(1e-9),
        };
        let mean_iou = row.score();
        let is_best = state.best.is_none_or(|best| mean_iou > best.mean_iou);
        if is_best {
            state.best = Some(Best { epoch, mean_iou });
        }
        state.rows.push(row);
        checkpoint::save(run, &mut state, &learner, &table)?;
        observer.epoch_ended(&state.rows[epoch - 1], is_best);
    }
    let stopped_early = state.rows.len() < settings.epochs;
    Ok(Outcome { summary: Summary::of(&state.rows, first_frozen), rows: state.rows, stopped_early })
}

/// IoU of each class; none if it occurs neither in the truth nor in the prediction.
pub fn class_iou(confusion: &OwnedConfusion) -> Vec<Option<f64>> {
    (0..confusion.classes()).map(|class| confusion.iou(class)).collect()
}

/// Whether the last epoch has ended, or the last that patience allows.
pub fn is_trained(state: &State, settings: &TrainingConfig) -> bool {
    state.rows.len() >= settings.epochs || is_exhausted(state, settings.patience)
}

/// Whether `patience` epochs have passed since the best one.
fn is_exhausted(state: &State, patience: Option<usize>) -> bool {
    let since = state.rows.len() - state.best.map_or(0, |best| best.epoch);
    patience.is_some_and(|patience| since >= patience && !state.rows.is_empty())
}
