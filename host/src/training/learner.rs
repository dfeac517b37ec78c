//! The network in training, and the one step that training and its benchmark share.

use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Device;

use super::adam::Adam;
use super::batch::Batch;
use super::loss::{Target, cross_entropy};
use crate::model::Network;

/// A part of a step, in the order in which they are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepPart {
    /// From masks to the weight of each class at each pixel.
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
    /// The name that profiles show.
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

/// The device to train on. With gradient checkpointing the cheap tensors of the forward pass are computed again in the
/// backward pass, to the same bits, instead of being kept.
pub fn differentiating(device: Device, checkpointing: bool) -> Device {
    let device = device.autodiff();
    if checkpointing { device.gradient_checkpointing() } else { device }
}

/// The network in training, with what a step changes.
#[derive(Clone)]
pub struct Learner {
    /// On a device that differentiates.
    pub model: Network,
    /// Adam with its moments.
    pub optimizer: ModuleOptimizer,
    /// Steps done.
    pub step: usize,
}

impl Learner {
    /// Before the first step.
    pub fn new(model: Network) -> Self {
        Self { model, optimizer: Adam::for_module(), step: 0 }
    }

    /// One step of the optimizer on one batch; returns the loss, or none where every pixel is ignored. `ended` is called
    /// after each part; a device that computes behind the program's back may not have finished it then.
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
        let loss = cross_entropy(logits, &target);
        ended(StepPart::Loss);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
        ended(StepPart::Backward);
        self.model = self.optimizer.step(learning_rate, self.model.clone(), gradients);
        ended(StepPart::Optimizer);
        self.step += 1;
        Some(f64::from(loss.into_scalar::<f32>()))
    }
}
