//! The optimizers that a run can choose. Each is an [`Optimizer`](burn::optim::Optimizer) of burn, which saves and loads its state.

use burn::optim::ModuleOptimizer;
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::adamw::AdamW;

/// Weight decay of [`OptimizerKind::Adamw`] if none is given, as in PyTorch.
const WEIGHT_DECAY: f64 = 1e-2;

/// The optimizer of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct OptimizerConfig {
    /// Optimizer
    #[arg(long = "optimizer", value_enum, default_value_t)]
    #[serde(rename = "optimizer", default, skip_serializing_if = "OptimizerKind::is_default")]
    pub kind: OptimizerKind,
    /// Weight decay of adamw, multiplied by the learning rate in each step (default: 0.01)
    #[arg(long, allow_negative_numbers = true)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

/// An optimizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Adam
    #[default]
    Adam,
    /// Adam with decoupled weight decay
    Adamw,
}

impl OptimizerKind {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl OptimizerConfig {
    /// Fills in what was not given, so that a saved configuration does not depend on default values.
    pub fn resolve(&mut self) {
        if self.kind == OptimizerKind::Adamw {
            self.weight_decay.get_or_insert(WEIGHT_DECAY);
        }
    }

    /// Checks the weight decay.
    ///
    /// # Errors
    /// If it is out of range, or given for an optimizer that has none.
    pub fn validate(&self) -> Result<(), String> {
        match (self.kind, self.weight_decay) {
            (OptimizerKind::Adam, Some(_)) => {
                Err("weight decay: expected --optimizer adamw, found adam, which has none".to_owned())
            }
            (OptimizerKind::Adamw, Some(decay)) if !(0.0..1.0).contains(&decay) => {
                Err(format!("weight decay: expected at least 0 and less than 1, found {decay}"))
            }
            _ => Ok(()),
        }
    }

    /// An optimizer for a whole network, before its first step.
    pub fn build(&self) -> ModuleOptimizer {
        match self.kind {
            OptimizerKind::Adam => Adam::default().into(),
            OptimizerKind::Adamw => AdamW::new(self.weight_decay.unwrap_or(WEIGHT_DECAY)).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_decay_belongs_to_adamw_and_is_saved_with_it() {
        let config = |kind, weight_decay| OptimizerConfig { kind, weight_decay };
        assert!(config(OptimizerKind::Adam, Some(0.1)).validate().unwrap_err().contains("--optimizer adamw"));
        for invalid in [-0.1, 1.0, f64::NAN] {
            assert!(config(OptimizerKind::Adamw, Some(invalid)).validate().unwrap_err().contains("less than 1"));
        }
        let mut resolved = config(OptimizerKind::Adamw, None);
        resolved.resolve();
        assert_eq!(resolved.validate(), Ok(()));
        assert_eq!(toml::to_string(&resolved).unwrap(), "optimizer = \"adamw\"\nweight_decay = 0.01\n");
        let mut adam = OptimizerConfig::default();
        adam.resolve();
        assert_eq!(toml::to_string(&adam).unwrap(), "");
    }
}
