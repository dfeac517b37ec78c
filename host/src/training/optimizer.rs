//! The optimizers that a run can choose. Each is an [`Optimizer`](burn::optim::Optimizer) of burn, which saves and loads its state.

use burn::optim::ModuleOptimizer;
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::adamw::AdamW;
use super::sgd::Sgd;
use crate::config::is_zero;

/// Weight decay of [`OptimizerKind::Adamw`] if none is given, as in PyTorch.
const ADAMW_DECAY: f64 = 1e-2;
/// Weight decay of [`OptimizerKind::Sgd`] if none is given, as ResNet has it (He et al. 2016).
const SGD_DECAY: f64 = 1e-4;

/// The optimizer of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct OptimizerConfig {
    /// Optimizer
    #[arg(long = "optimizer", value_enum, default_value_t)]
    #[serde(rename = "optimizer", default, skip_serializing_if = "OptimizerKind::is_default")]
    pub kind: OptimizerKind,
    /// Weight decay of adamw (default 0.01) and sgd (default 0.0001), applied only to convolution weights
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Whether norms and biases decay too, as in runs of earlier versions, whose files do not name it.
    #[arg(skip = Decayed::Weights)]
    #[serde(default, skip_serializing_if = "Decayed::is_default")]
    pub decayed: Decayed,
    /// Scale the gradient down to this norm if it is larger
    #[arg(long, value_name = "NORM")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_gradient: Option<f64>,
    /// Batches whose gradients make one step, so that a batch may be N times as large as memory allows; batch norms still use each single batch
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Validate and export an exponential moving average of the weights with this decay for each step, such as 0.99; 0 disables
    /// this
    #[arg(long, value_name = "DECAY", default_value_t = 0.0)]
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ema: f64,
}

fn one() -> usize {
    1
}

fn is_one(value: &usize) -> bool {
    *value == 1
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        crate::config::defaults()
    }
}

/// What weight decay applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decayed {
    /// Every parameter.
    #[default]
    All,
    /// The weights of convolutions.
    Weights,
}

impl Decayed {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decay {
    /// Its rate.
    pub rate: f64,
    /// What it applies to.
    pub decayed: Decayed,
}

impl Decay {
    /// The rate for a parameter with `D` dimensions; weights have more than one.
    pub fn of<const D: usize>(self) -> f64 {
        if self.decayed == Decayed::Weights && D == 1 { 0.0 } else { self.rate }
    }
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
    /// Stochastic gradient descent with momentum 0.9; needs a higher learning rate, such as 0.05
    Sgd,
}

/// Upper bound of the batches of a step, to reject typing errors.
const ACCUMULATE_MAX: usize = 1024;

impl OptimizerKind {
    /// Its default weight decay; `None` if it has no weight decay.
    fn decay(self) -> Option<f64> {
        match self {
            Self::Adam => None,
            Self::Adamw => Some(ADAMW_DECAY),
            Self::Sgd => Some(SGD_DECAY),
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl OptimizerConfig {
    /// Fills in what was not given, so that a saved configuration does not depend on default values.
    pub fn resolve(&mut self) {
        match self.kind.decay() {
            Some(decay) => {
                self.weight_decay.get_or_insert(decay);
            }
            None => self.decayed = Decayed::default(),
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// If one is out of range, or a weight decay is given for an optimizer that has none.
    pub fn validate(&self) -> Result<(), String> {
        if let Some(decay) = self.weight_decay {
            if self.kind.decay().is_none() {
                return Err("--weight-decay: expected --optimizer adamw or sgd, found adam, which has none".to_owned());
            }
            if !(0.0..1.0).contains(&decay) {
                return Err(format!("--weight-decay: expected at least 0 and less than 1, found {decay}"));
            }
        }
        if let Some(clip) = self.clip_gradient.filter(|clip| !(*clip > 0.0 && clip.is_finite())) {
            return Err(format!("--clip-gradient: expected a positive number, found {clip}"));
        }
        if !(1..=ACCUMULATE_MAX).contains(&self.accumulate) {
            return Err(format!("--accumulate: expected 1 to {ACCUMULATE_MAX} batches, found {}", self.accumulate));
        }
        if !(0.0..1.0).contains(&self.ema) {
            return Err(format!("--ema: expected at least 0 and less than 1, found {}", self.ema));
        }
        Ok(())
    }

    /// An optimizer for a whole network, before its first step.
    pub fn build(&self) -> ModuleOptimizer {
        let rate = self.weight_decay.or(self.kind.decay()).unwrap_or(0.0);
        let decay = Decay { rate, decayed: self.decayed };
        match self.kind {
            OptimizerKind::Adam => Adam::default().into(),
            OptimizerKind::Adamw => AdamW::new(decay).into(),
            OptimizerKind::Sgd => Sgd::new(decay).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_decay_belongs_to_adamw_and_is_saved_with_it() {
        let config = |kind, weight_decay| OptimizerConfig { kind, weight_decay, ..OptimizerConfig::default() };
        assert!(config(OptimizerKind::Adam, Some(0.1)).validate().unwrap_err().contains("--optimizer adamw or sgd"));
        for invalid in [-0.1, 1.0, f64::NAN] {
            assert!(config(OptimizerKind::Adamw, Some(invalid)).validate().unwrap_err().contains("less than 1"));
        }
        let mut resolved = config(OptimizerKind::Adamw, None);
        resolved.resolve();
        assert_eq!(resolved.validate(), Ok(()));
        let expected = "optimizer = \"adamw\"\nweight_decay = 0.01\ndecayed = \"weights\"\n";
        assert_eq!(toml::to_string(&resolved).unwrap(), expected);
        // Earlier versions wrote no `decayed`, and decayed every parameter.
        let old: OptimizerConfig = toml::from_str("optimizer = \"adamw\"\nweight_decay = 0.01\n").unwrap();
        assert_eq!(old.decayed, Decayed::All);
        assert_eq!(Decay { rate: 0.1, decayed: Decayed::All }.of::<1>(), 0.1);
        let mut sgd = config(OptimizerKind::Sgd, None);
        sgd.resolve();
        assert_eq!(sgd.weight_decay, Some(1e-4));
        let mut adam = OptimizerConfig::default();
        adam.resolve();
        assert_eq!(toml::to_string(&adam).unwrap(), "");
    }

    #[test]
    fn clipping_accumulation_and_average_are_checked() {
        for ema in [-0.1, 1.0, f64::NAN] {
            let config = OptimizerConfig { ema, ..OptimizerConfig::default() };
            assert!(config.validate().unwrap_err().contains("at least 0 and less than 1"));
        }
        for clip in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let config = OptimizerConfig { clip_gradient: Some(clip), ..OptimizerConfig::default() };
            assert!(config.validate().unwrap_err().contains("a positive number"));
        }
        let config = OptimizerConfig { accumulate: 0, ..OptimizerConfig::default() };
        assert!(config.validate().unwrap_err().contains("1 to 1024 batches"));
    }
}
