//! The initial weights of a run, taken from another one.

use std::path::Path;

use burn::tensor::Bytes;

use super::open_run::{OpenRun, Weights};
use crate::config::RunConfig;
use crate::error::HostError;
use crate::training::checkpoint::weights_bytes;

/// The file of weights that a run starts from: the best ones of the run in `from` where names and shapes fit, else random ones.
/// Says which are random.
///
/// # Errors
/// If `from` is not a trained run, or nothing in it fits.
pub(super) fn initial_weights(from: &Path, config: &RunConfig) -> Result<Bytes, HostError> {
    let device = config.backend.device()?;
    let source = OpenRun::open(from)?;
    let (network, transfer) =
        config.model.init(config.seed, &device).with_weights_of(&source.model(Weights::Best, &device)?);
    let from = from.display();
    if transfer.taken == 0 {
        let model = &source.config.model;
        return Err(HostError::Usage(format!(
            "{from}: expected a network whose weights fit {}, found {model}; use its --base, --depth and --stem",
            config.model
        )));
    }
    let all = transfer.taken + transfer.left.len();
    unet_engine::error::say(format_args!("initial weights: {} of {all} tensors are those of {from}", transfer.taken));
    transfer.left.iter().for_each(|left| unet_engine::error::say(format_args!("initial weights: random {left}")));
    Ok(weights_bytes(&network)?)
}
