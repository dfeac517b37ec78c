//! Whether a step fits into memory, and whether gradient checkpointing makes it fit.

use std::fmt;

use super::StepShape;

/// The reserve beside a predicted step, as a part of it: what measured steps differ from predictions, at most.
const RESERVE: u64 = 10;

/// When gradient checkpointing is on: the cheap tensors of the forward pass are computed again in the backward pass instead
/// of being kept. It changes no bit of the results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Checkpointing {
    /// Where a step would not fit into memory without it.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// What training may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryOptions {
    /// When gradient checkpointing is on.
    pub checkpointing: Checkpointing,
    /// Bytes that training may take; what the machine has available when not given.
    pub limit_bytes: Option<u64>,
}

/// How a run is trained within the memory that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Whether gradient checkpointing is on.
    pub checkpointing: bool,
    /// Bytes of a step without it and with it; none where there is no prediction.
    pub step_bytes: Option<[u64; 2]>,
    /// Bytes of decoded images that are kept from epoch to epoch, at most.
    pub kept_bytes: u64,
    /// Bytes that training may take, where they are known.
    pub available_bytes: Option<u64>,
}

/// A step that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a step that fits into {}, found one that takes about {} {} gradient checkpointing, beside a tenth \
     in reserve and up to {} of decoded images; lower --batch, --size, --base or --cache-mib, or allow more with --memory-mib",
    mebibytes(*available_bytes),
    mebibytes(*step_bytes),
    if *checkpointing { "even with" } else { "without" },
    mebibytes(*kept_bytes)
)]
pub struct DoesNotFit {
    /// Bytes of the step.
    pub step_bytes: u64,
    /// Bytes of decoded images.
    pub kept_bytes: u64,
    /// Bytes that training may take.
    pub available_bytes: u64,
    /// Whether checkpointing is on.
    pub checkpointing: bool,
}

impl MemoryPlan {
    /// Decides for a step of that shape, none where it cannot be predicted. `available_bytes` is what the machine has.
    ///
    /// # Errors
    /// When the step does not fit, with gradient checkpointing if that may be switched on.
    pub fn new(
        shape: Option<&StepShape>,
        kept_bytes: u64,
        options: MemoryOptions,
        available_bytes: Option<u64>,
    ) -> Result<Self, DoesNotFit> {
        let step_bytes = shape.map(|shape| [false, true].map(|checkpointing| shape.peak_bytes(checkpointing)));
        let available_bytes = options.limit_bytes.or(available_bytes);
        let fits = |checkpointing: bool| match (step_bytes, available_bytes) {
            (Some(step), Some(available)) => {
                let step = step[usize::from(checkpointing)];
                step.saturating_add(step / RESERVE).saturating_add(kept_bytes) <= available
            }
            _ => true,
        };
        let checkpointing = match options.checkpointing {
            Checkpointing::Auto => !fits(false),
            Checkpointing::On => true,
            Checkpointing::Off => false,
        };
        match (step_bytes, available_bytes) {
            (Some(step), Some(available_bytes)) if !fits(checkpointing) => {
                let step_bytes = step[usize::from(checkpointing)];
                Err(DoesNotFit { step_bytes, kept_bytes, available_bytes, checkpointing })
            }
            _ => Ok(Self { checkpointing, step_bytes, kept_bytes, available_bytes }),
        }
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let state = if self.checkpointing { "on" } else { "off" };
        match self.step_bytes {
            Some(step) => write!(
                f,
                "memory: gradient checkpointing is {state}, a step takes about {} (about {} with it {}); decoded images up to {}; ",
                mebibytes(step[usize::from(self.checkpointing)]),
                mebibytes(step[usize::from(!self.checkpointing)]),
                if self.checkpointing { "off" } else { "on" },
                mebibytes(self.kept_bytes)
            )?,
            None => {
                write!(f, "memory: gradient checkpointing is {state}, a step by these operators is not predicted; ")?
            }
        }
        match self.available_bytes {
            Some(available) => write!(f, "{} available", mebibytes(available)),
            None => write!(f, "the system does not say what is available"),
        }
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{UNetConfig, Upsampling};
    use crate::training::loss::Loss;

    fn shape() -> StepShape {
        let model = UNetConfig { base: 8, depth: 3, channels: 1, classes: 4, upsampling: Upsampling::Nearest };
        StepShape { model, batch: 4, width: 128, height: 96, threads: 2, loss: Loss::CrossEntropy }
    }

    fn plan(checkpointing: Checkpointing, available: u64) -> Result<MemoryPlan, DoesNotFit> {
        let options = MemoryOptions { checkpointing, limit_bytes: None };
        MemoryPlan::new(Some(&shape()), 1000, options, Some(available))
    }

    #[test]
    fn checkpointing_is_on_where_the_step_would_not_fit_without_it() {
        // A tenth in reserve, and 1000 bytes of images.
        let [plain, again] = [false, true].map(|checkpointing| {
            let step = shape().peak_bytes(checkpointing);
            step + step / 10 + 1000
        });
        assert!(again < plain);
        assert!(!plan(Checkpointing::Auto, plain).unwrap().checkpointing);
        assert!(plan(Checkpointing::Auto, plain - 1).unwrap().checkpointing);
        assert!(plan(Checkpointing::Auto, again).unwrap().checkpointing);
        let refused = plan(Checkpointing::Auto, again - 1).unwrap_err();
        assert!(refused.checkpointing && refused.to_string().contains("even with"), "{refused}");
        assert!(plan(Checkpointing::On, plain).unwrap().checkpointing);
        assert!(!plan(Checkpointing::Off, plain).unwrap().checkpointing);
        assert!(!plan(Checkpointing::Off, plain - 1).unwrap_err().checkpointing);
    }

    #[test]
    fn what_is_not_known_refuses_nothing() {
        let auto = MemoryOptions::default();
        assert!(!MemoryPlan::new(None, 0, auto, Some(1)).unwrap().checkpointing);
        assert!(!MemoryPlan::new(Some(&shape()), 0, auto, None).unwrap().checkpointing);
        // A limit stands before what the machine has.
        let limited = MemoryOptions { limit_bytes: Some(1), ..auto };
        assert!(MemoryPlan::new(Some(&shape()), 0, limited, Some(u64::MAX)).is_err());
    }
}
