//! Adam as burn has it, in one pass over the weights where the project's kernels compute.

use burn::optim::{AdamConfig, AdamState, AdaptiveMomentumState, LearningRate, Optimizer};
use burn::tensor::{Device, Tensor};

use crate::operation;
use unet_kernels::adam::Factors;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Adam (Kingma and Ba 2015) with the paper's constants. Its state is burn's, and so are its files.
#[derive(Clone)]
pub(super) struct Adam {
    /// For other backends, and for the first step of a parameter, which makes its moments.
    stock: burn::optim::Adam,
}

impl Default for Adam {
    fn default() -> Self {
        Self { stock: AdamConfig::new().with_beta_1(BETA_1).with_beta_2(BETA_2).with_epsilon(EPSILON).build() }
    }
}

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let Some(AdamState { momentum }) = state else {
            return self.stock.step(rate, tensor, gradient, None);
        };
        let time = momentum.time + 1;
        let root = (1.0 - BETA_2.powi(time as i32)).sqrt();
        let factors = Factors {
            beta_1: BETA_1,
            beta_2: BETA_2,
            epsilon: EPSILON * root,
            correction: root / (1.0 - BETA_1.powi(time as i32)),
            rate: rate as f32,
        };
        match operation::adam((tensor, gradient, [momentum.moment_1, momentum.moment_2]), factors) {
            Ok((tensor, [moment_1, moment_2])) => {
                (tensor, Some(AdamState::new(AdaptiveMomentumState::new(time, moment_1, moment_2))))
            }
            Err(tensors) => {
                let (tensor, gradient, [moment_1, moment_2]) = *tensors;
                let momentum = AdaptiveMomentumState::new(momentum.time, moment_1, moment_2);
                self.stock.step(rate, tensor, gradient, Some(AdamState::new(momentum)))
            }
        }
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        <burn::optim::Adam as Optimizer>::to_device(state, device)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::backend::test_device;
    use burn::tensor::TensorData;

    /// Weights and state after five steps on gradients that change from step to step.
    pub fn five_steps<O: Optimizer>(optimizer: &O) -> (Vec<f32>, O::State<2>) {
        let device = test_device();
        let tensor = |scale: f32| {
            let values: Vec<f32> = (0..1000).map(|i| scale * ((i * 37 % 101) as f32 - 50.0)).collect();
            Tensor::<2>::from_data(TensorData::new(values, [20, 50]), &device)
        };
        let (mut weights, mut state) = (tensor(0.02), None);
        for step in 1..6 {
            (weights, state) = optimizer.step(1e-2, weights, tensor(0.01 * step as f32).sin(), state);
        }
        (weights.into_data().try_into_vec().unwrap(), state.unwrap())
    }

    #[test]
    fn its_steps_are_those_of_burns_adam() {
        let ((a, a_state), (b, b_state)) = (five_steps(&Adam::default()), five_steps(&Adam::default().stock));
        let values = |t: Tensor<2>| -> Vec<f32> { t.into_data().try_into_vec().unwrap() };
        let close = |a: Vec<f32>, b: Vec<f32>| a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs().max(1.0));
        assert!(close(a, b));
        assert_eq!(a_state.momentum.time, b_state.momentum.time);
        assert!(close(values(a_state.momentum.moment_1), values(b_state.momentum.moment_1)));
        assert!(close(values(a_state.momentum.moment_2), values(b_state.momentum.moment_2)));
    }
}
