//! The initial weights of a run, taken from another one.

use std::path::Path;

use burn::tensor::Bytes;
use unet_data::counted;

use super::open_run::{OpenRun, Weights};
use crate::config::RunConfig;
use crate::error::HostError;
use crate::training::checkpoint::weights_bytes;

/// Tensors without initial weights that are named.
const RANDOM_SHOWN: usize = 4;

/// The file of weights that a run starts from: the best ones of the run in `from` where names and shapes fit, else random ones.
/// Says which are random, of many the first.
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
    let (there, here) = (source.config.model.to_string(), config.model.to_string());
    let models = if there == here { String::new() } else { format!(" ({there} there, {here} here)") };
    let taken = transfer.taken;
    unet_engine::error::say(format_args!("initial weights: {taken} of {all} tensors are those of {from}{models}"));
    for left in transfer.left.iter().take(RANDOM_SHOWN) {
        unet_engine::error::say(format_args!("initial weights: random {left}"));
    }
    if let more @ 1.. = transfer.left.len().saturating_sub(RANDOM_SHOWN) {
        unet_engine::error::say(format_args!("initial weights: random {}", counted(more, "more tensor")));
    }
    Ok(weights_bytes(&network)?)
}
