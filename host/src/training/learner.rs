//! The network in training, and the one step that training and its benchmark share.

use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Device;

use super::average::Average;
use super::batch::Batch;
use super::gradients::Accumulated;
use super::loss::LossConfig;
use super::optimizer::OptimizerConfig;
use super::target::Target;
use crate::model::Network;
use crate::model::population::Population;

/// A part of a step, in execution order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepPart {
    /// Masks to the target of the loss.
    Target,
    /// Images to logits.
    Forward,
    /// Logits to the loss.
    Loss,
    /// The loss to the gradient of each parameter.
    Backward,
    /// Gradients to new parameters.
    Optimizer,
}

impl StepPart {
    /// The name in profiles.
    pub fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Forward => "forward",
            Self::Loss => "loss",
            Self::Backward => "backward",
            Self::Optimizer => "optimizer",
        }
    }
}

/// The device to train on. With gradient checkpointing the backward pass recomputes cheap tensors of the forward pass, to the
/// same bits, instead of keeping them.
pub fn differentiating(device: Device, checkpointing: bool) -> Device {
    let device = device.autodiff();
    if checkpointing { device.gradient_checkpointing() } else { device }
}

/// The network in training, with everything that a step changes.
pub struct Learner {
    /// The network, on a device with automatic differentiation.
    pub model: Network,
    /// The optimizer with its state.
    pub optimizer: ModuleOptimizer,
    /// The average of the network's weights, if one is kept.
    pub average: Option<Average>,
    /// The loss to minimise.
    pub loss: LossConfig,
    /// Steps done.
    pub step: usize,
    /// Batches of a step.
    accumulate: usize,
    /// Norm above which a gradient is scaled down.
    clip: Option<f64>,
    accumulated: Accumulated,
}

impl Learner {
    /// Before the first step.
    pub fn new(model: Network, optimizer: &OptimizerConfig, loss: LossConfig) -> Self {
        let average = (optimizer.ema > 0.0).then(|| Average::new(&model, optimizer.ema));
        Self {
            model,
            optimizer: optimizer.build(),
            average,
            loss,
            step: 0,
            accumulate: optimizer.accumulate,
            clip: optimizer.clip_gradient,
            accumulated: Accumulated::default(),
        }
    }

    /// Learns from one batch; returns the loss, or none if every pixel is ignored. With accumulation, only the last batch of several
    /// makes a step of the optimizer. `ended` is called after each part, which an asynchronous device may not have finished by
    /// then.
    pub fn learn(
        &mut self,
        batch: Batch,
        class_weights: &[f32],
        learning_rate: f64,
        ended: &mut dyn FnMut(StepPart),
    ) -> Option<f64> {
        let target = Target::new(&batch.masks, class_weights);
        ended(StepPart::Target);
        if !target.counts() {
            return None;
        }
        let logits = self.model.forward(batch.images);
        ended(StepPart::Forward);
        let loss = self.loss.of(logits, &target);
        ended(StepPart::Loss);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
        ended(StepPart::Backward);
        self.accumulated.add(&self.model, gradients);
        if self.accumulated.batches() == self.accumulate {
            self.step(learning_rate);
        }
        ended(StepPart::Optimizer);
        Some(f64::from(loss.into_scalar::<f32>()))
    }

    /// Makes a step of the optimizer from the batches since the last one, at the end of an epoch whose batches are no multiple of those
    /// of a step.
    pub fn finish_step(&mut self, learning_rate: f64) {
        if self.accumulated.batches() > 0 {
            self.step(learning_rate);
        }
    }

    fn step(&mut self, learning_rate: f64) {
        let gradients = self.accumulated.take(&self.model, self.clip);
        self.model = self.optimizer.step(learning_rate, self.model.clone(), gradients);
        self.step += 1;
        if let Some(average) = &mut self.average {
            average.add(&self.model);
        }
    }

    /// The network to validate and export: the average if one is kept.
    pub fn result(&self) -> &Network {
        self.average.as_ref().map_or(&self.model, Average::network)
    }

    /// Freezes the norms at these statistics of the network in training. An average starts anew, since they are not those of its
    /// weights.
    pub fn freeze_norms(&mut self, population: &Population) {
        self.model = self.model.clone().with_frozen_norms(Some(population));
        if let Some(average) = &mut self.average {
            average.restart(&self.model);
        }
    }
}
