//! Continues an interrupted run, trains a finished one longer, and follows a dataset that moved.

use std::path::{Path, PathBuf};

use unet_data::{counted, dataset_digest};

use super::OpenRun;
use super::dataset_change::difference;
use crate::error::HostError;
use crate::training::checkpoint::load_state;

/// What may change when a run is resumed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResumeOptions {
    /// Epochs in all, for a run that is to be longer.
    pub epochs: Option<usize>,
    /// The folder that the dataset was moved to.
    pub data: Option<PathBuf>,
}

/// Opens a run to continue it with the configuration that it was made with, but for `options`, which are saved in it.
///
/// # Errors
/// If the folder is not a run, another process trains it, its dataset has changed, or it has more epochs already.
pub fn resume(root: &Path, options: &ResumeOptions) -> Result<OpenRun, HostError> {
    let mut run = OpenRun::open(root)?;
    let _lock = run.dir.lock()?;
    let finished = load_state(&run.dir)?.map(|state| state.rows.len());
    if finished.is_none() && run.dir.results().is_file() {
        // Training would begin anew and replace them.
        let root = root.display();
        return Err(HostError::Usage(format!(
            "{root}: expected checkpoint.json beside results.csv, found none; restore it, or start a new run with --from {root}"
        )));
    }
    let finished = finished.unwrap_or(0);
    let before = run.config.clone();
    if let Some(data) = &options.data {
        run.config.data = data.canonicalize().unwrap_or_else(|_| data.clone());
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
        lengthen(&mut run, finished, epochs)?;
    }
    if run.config != before {
        run.dir.write_config(&run.config)?;
    }
    let epochs = run.config.training.epochs;
    if finished >= epochs {
        let root = root.display();
        unet_engine::error::say(format_args!(
            "{root}: finished, {finished} of {epochs} epochs; --epochs trains it longer"
        ));
    }
    Ok(run)
}

/// Sets the number of epochs. Norms that are frozen already stay so.
fn lengthen(run: &mut OpenRun, finished: usize, epochs: usize) -> Result<(), HostError> {
    if epochs < finished {
        let has = counted(finished, "epoch");
        return Err(HostError::Usage(format!(
            "--epochs {epochs}: the run already has {has}; expected {finished} or more, the epochs in all"
        )));
    }
    let training = &mut run.config.training;
    training.frozen_from = training.first_frozen_epoch().filter(|first| *first <= finished);
    training.epochs = epochs;
    run.config.validate().map_err(HostError::Usage)
}
