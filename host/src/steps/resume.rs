//! Continues an interrupted run, trains a finished one longer, and follows a dataset that moved.

use std::path::{Path, PathBuf};

use unet_data::{counted, dataset_digest};

use super::dataset_change::difference;
use super::open_run::LockedRun;
use super::train::path_to_keep;
use crate::config::RunConfig;
use crate::error::HostError;
use crate::training::checkpoint::load_state;
use crate::training::trainer::is_trained;

/// What may change when a run is resumed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResumeOptions {
    /// Epochs in all, for a run that is to be longer.
    pub epochs: Option<usize>,
    /// The folder that the dataset was moved to.
    pub data: Option<PathBuf>,
}

/// Opens a run to continue it with the configuration that it was made with, but for `options`, which
/// [`finish`](super::train::finish) saves in it once its checkpoint is restored.
///
/// # Errors
/// If the folder is not a run, another process trains it, its dataset has changed, or it has more epochs already.
pub fn resume(root: &Path, options: &ResumeOptions) -> Result<LockedRun, HostError> {
    let mut locked = LockedRun::open(root)?;
    let run = &mut locked.run;
    let state = load_state(&run.dir)?;
    if state.is_none() && run.dir.results().is_file() {
        // Training would begin anew and replace them.
        let root = root.display();
        return Err(HostError::Usage(format!(
            "{root}: expected checkpoint.json beside results.csv, found none; restore it, or start a new run with --from {root}"
        )));
    }
    let finished = state.as_ref().map_or(0, |state| state.rows.len());
    if let Some(data) = &options.data {
        if !data.exists() {
            let data = data.display();
            return Err(HostError::Usage(format!(
                "{data} does not exist; --data expects the folder that the dataset was moved to"
            )));
        }
        run.config.data = path_to_keep(data)?;
    }
    let dataset = run.data(None)?;
    let found = dataset_digest(&dataset, &run.snapshot.labels, &run.config.preprocess.samples)?;
    if found != run.snapshot.digest {
        let (data, difference) = (run.config.data.display(), difference(&run.snapshot, &dataset, run.dir.made()));
        let remedy = if options.data.is_some() {
            "--data expects the dataset of the run, unchanged, in its new place; to train on another one: \
             unet-host train DATA --from RUN"
        } else {
            "restore it, or train a new run"
        };
        return Err(HostError::Usage(format!(
            "{data}: dataset has changed since the run was made: {difference}; {remedy}"
        )));
    }
    if let Some(epochs) = options.epochs {
        lengthen(&mut run.config, finished, epochs)?;
    }
    let training = &run.config.training;
    if state.is_some_and(|state| is_trained(&state, training)) {
        let (root, epochs) = (root.display(), training.epochs);
        let text = if finished < epochs {
            format!(
                "stopped early by patience, {finished} of {epochs} epochs; --from {root} starts a new run from its weights"
            )
        } else {
            format!("finished, {finished} of {epochs} epochs; --epochs trains it longer")
        };
        unet_engine::error::say(format_args!("{root}: {text}"));
    }
    Ok(locked)
}

/// Sets the number of epochs. Norms that are frozen already stay so.
fn lengthen(config: &mut RunConfig, finished: usize, epochs: usize) -> Result<(), HostError> {
    if epochs < finished {
        let has = counted(finished, "epoch");
        return Err(HostError::Usage(format!(
            "--epochs {epochs}: the run already has {has}; expected {finished} or more, the epochs in all"
        )));
    }
    let training = &mut config.training;
    training.frozen_from = training.first_frozen_epoch().filter(|first| *first <= finished);
    training.epochs = epochs;
    config.validate().map_err(HostError::Usage)
}
