//! Errors of training.

use unet_shared::mask::MaskError;
use unet_shared::metrics::MetricsError;

use super::checkpoint::CheckpointError;
use crate::backend::BackendError;
use crate::dataset::loader::LoadError;

/// Why a run stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The backend is not available.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A sample cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The checkpoint cannot be saved or loaded.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The loss became infinite or not a number.
    #[error(
        "expected a finite loss, found none at epoch {epoch}, step {step}, with learning rate {learning_rate}; start a new run \
         with a lower --learning-rate"
    )]
    Diverged {
        /// Counted from 1.
        epoch: usize,
        /// Steps done.
        step: usize,
        /// Learning rate of that step.
        learning_rate: f64,
    },
    /// A validation mask cannot be computed from logits.
    #[error("failed to compute a validation mask")]
    Mask(#[from] MaskError),
    /// A validation mask cannot be counted.
    #[error("failed to count the pixels of a validation mask")]
    Metrics(#[from] MetricsError),
}
