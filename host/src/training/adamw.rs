//! AdamW, by the step of [`Adam`].

use burn::optim::{LearningRate, Optimizer};
use burn::tensor::{Device, Tensor};

use super::adam::Adam;
use super::optimizer::Decay;

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019). burn's AdamW runs a dozen operators over each parameter; this
/// one multiplies the parameter and takes the single pass of [`Adam`], whose state, files and memory it has.
#[derive(Clone)]
pub(super) struct AdamW {
    adam: Adam,
    decay: Decay,
}

impl AdamW {
    pub fn new(decay: Decay) -> Self {
        Self { adam: Adam::default(), decay }
    }
}

impl Optimizer for AdamW {
    type State<const D: usize> = <Adam as Optimizer>::State<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let tensor = match self.decay.of::<D>() {
            0.0 => tensor,
            decay => tensor.mul_scalar(1.0 - rate * decay),
        };
        self.adam.step(rate, tensor, gradient, state)
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        <Adam as Optimizer>::to_device(state, device)
    }
}

#[cfg(test)]
mod tests {
    use super::super::adam::tests::five_steps;
    use super::super::optimizer::Decayed;
    use super::*;
    use burn::optim::AdamWConfig;

    #[test]
    fn its_steps_are_those_of_burns_adamw() {
        let stock = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.1).build();
        let ours = five_steps(&AdamW::new(Decay { rate: 0.1, decayed: Decayed::Weights })).0;
        let theirs = five_steps(&stock).0;
        // Far enough from Adam's to tell them apart: five steps of 1e-2 with decay 0.1 take half a per cent.
        let without = five_steps(&Adam::default()).0;
        let largest = |others: &[f32]| {
            ours.iter().zip(others).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0f32, f32::max)
        };
        assert!(largest(&theirs) <= 1e-6, "{}", largest(&theirs));
        assert!(largest(&without) >= 1e-3, "{}", largest(&without));
    }
}
