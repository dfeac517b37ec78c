//! Whether a step fits into memory, and whether gradient checkpointing makes it fit.

use std::fmt;

use super::StepShape;

/// The reserve is the predicted step divided by this: the largest difference of a measured step from its prediction.
const RESERVE: u64 = 10;

/// When gradient checkpointing is on: cheap activations are recomputed in the backward pass instead of being kept. Results
/// are equal to the bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Checkpointing {
    /// If a step would not fit into memory without it.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Memory options of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryOptions {
    /// When gradient checkpointing is on.
    pub checkpointing: Checkpointing,
    /// Memory limit in bytes; default is what the machine has available.
    pub limit_bytes: Option<u64>,
}

/// How a run is trained within the available memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Whether gradient checkpointing is on.
    pub checkpointing: bool,
    /// Bytes of a step without it and with it; `None` if they cannot be predicted.
    pub step_bytes: Option<[u64; 2]>,
    /// Largest size in bytes of the cache of decoded images.
    pub kept_bytes: u64,
    /// Bytes available to training, if known.
    pub available_bytes: Option<u64>,
}

/// A step that does not fit into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "training step needs about {} {} gradient checkpointing, plus a reserve of a tenth and up to {} of decoded images; \
     only {} available; lower --batch, --size, --base or --cache-mib, or raise --memory-mib",
    mebibytes(*step_bytes),
    if *checkpointing { "even with" } else { "without" },
    mebibytes(*kept_bytes),
    mebibytes(*available_bytes)
)]
pub struct DoesNotFit {
    /// Bytes of the step.
    pub step_bytes: u64,
    /// Bytes of decoded images.
    pub kept_bytes: u64,
    /// Bytes available to training.
    pub available_bytes: u64,
    /// Whether checkpointing is on.
    pub checkpointing: bool,
}

impl MemoryPlan {
    /// Plans a step of the given shape; without a shape, nothing is predicted and nothing refused. `available_bytes` is what the
    /// machine has.
    ///
    /// # Errors
    /// If the step does not fit, even with gradient checkpointing unless that is switched off.
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
            None => write!(
                f,
                "memory: gradient checkpointing is {state}, the memory of a step is not predicted for these operators; "
            )?,
        }
        match self.available_bytes {
            Some(available) => write!(f, "{} available", mebibytes(available)),
            None => write!(f, "available memory is unknown"),
        }
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Stem, UNetConfig, Upsampling};

    fn shape() -> StepShape {
        let model = UNetConfig {
            base: 8,
            depth: 3,
            channels: 1,
            classes: 4,
            upsampling: Upsampling::Nearest,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        StepShape { threads: 2, ..StepShape::by_defaults(model, 4, [128, 96]) }
    }

    fn plan(checkpointing: Checkpointing, available: u64) -> Result<MemoryPlan, DoesNotFit> {
        let options = MemoryOptions { checkpointing, limit_bytes: None };
        MemoryPlan::new(Some(&shape()), 1000, options, Some(available))
    }

    #[test]
    fn checkpointing_is_on_if_the_step_would_not_fit_without_it() {
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
    fn unknown_sizes_refuse_nothing() {
        let auto = MemoryOptions::default();
        assert!(!MemoryPlan::new(None, 0, auto, Some(1)).unwrap().checkpointing);
        assert!(!MemoryPlan::new(Some(&shape()), 0, auto, None).unwrap().checkpointing);
        // A limit overrides what the machine has.
        let limited = MemoryOptions { limit_bytes: Some(1), ..auto };
        assert_eq!(MemoryPlan::new(Some(&shape()), 0, limited, Some(u64::MAX)).unwrap_err().available_bytes, 1);
    }
}
