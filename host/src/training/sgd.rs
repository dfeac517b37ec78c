//! Stochastic gradient descent with momentum, on top of burn's.

use burn::optim::momentum::MomentumConfig;
use burn::optim::{LearningRate, Optimizer, Sgd as Stock, SgdConfig, SgdState};
use burn::tensor::{Device, Tensor};

use super::optimizer::Decay;

const MOMENTUM: f64 = 0.9;

/// `v = 0.9 v + (gradient + decay * weights)`, `weights -= rate * v`, as in PyTorch.
#[derive(Clone)]
pub(super) struct Sgd {
    stock: Stock,
    decay: Decay,
}

impl Sgd {
    pub fn new(decay: Decay) -> Self {
        let momentum = MomentumConfig::new().with_momentum(MOMENTUM).with_dampening(0.0);
        Self { stock: SgdConfig::new().with_momentum(Some(momentum)).build(), decay }
    }
}

impl Optimizer for Sgd {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let gradient = match self.decay.of::<D>() {
            0.0 => gradient,
            decay => gradient + tensor.clone().mul_scalar(decay),
        };
        self.stock.step(rate, tensor, gradient, state)
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        <Stock as Optimizer>::to_device(state, device)
    }
}

#[cfg(test)]
mod tests {
    use super::super::optimizer::Decayed;
    use super::*;
    use crate::backend::test_device;

    #[test]
    fn two_steps_by_hand() {
        let device = test_device();
        let tensor = |value: f32| Tensor::<2>::from_data([[value]], &device);
        let optimizer = Sgd::new(Decay { rate: 0.5, decayed: Decayed::Weights });
        let (weights, state) = optimizer.step(0.1, tensor(1.0), tensor(2.0), None);
        // v = 2 + 0.5 = 2.5; 1 - 0.25.
        assert!((weights.clone().into_scalar::<f32>() - 0.75).abs() < 1e-6);
        let (weights, _) = optimizer.step(0.1, weights, tensor(-1.0), state);
        // v = 0.9 * 2.5 - 1 + 0.375 = 1.625; 0.75 - 0.1625.
        assert!((weights.into_scalar::<f32>() - 0.5875).abs() < 1e-6);
        // A shift or a bias does not decay.
        let (shift, _) =
            optimizer.step(0.1, Tensor::<1>::from_data([1.0f32], &device), Tensor::from_data([2.0f32], &device), None);
        assert!((shift.into_scalar::<f32>() - 0.8).abs() < 1e-6);
    }
}
