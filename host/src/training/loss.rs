//! The losses that a run can choose. burn differentiates them; none of them counts ignored pixels.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::dice::soft_dice;
use super::target::Target;
use crate::operation;

/// The loss of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub struct LossConfig {
    /// Loss function
    #[arg(long = "loss", value_enum, default_value_t)]
    #[serde(rename = "loss", default, skip_serializing_if = "Loss::is_default")]
    pub function: Loss,
}

/// A loss function of logits `[N, K, H, W]` and a [`Target`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Cross-entropy
    #[default]
    CrossEntropy,
    /// Cross-entropy plus soft Dice loss, for classes of few pixels
    DiceCrossEntropy,
}

impl Loss {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Peak number of tensors as large as the logits that it needs beside the logits and their gradient, with this project's
    /// compute kernels; measured. Dice goes through burn's operators, of which gradient checkpointing keeps fewer tensors.
    pub(super) fn working_tensors(self, checkpointing: bool) -> usize {
        match self {
            Self::CrossEntropy => 0,
            Self::DiceCrossEntropy if checkpointing => 3,
            Self::DiceCrossEntropy => 5,
        }
    }

    /// The loss of a batch; 0 with a gradient of 0 if every pixel is ignored.
    pub fn of(self, logits: Tensor<4>, target: &Target) -> Tensor<1> {
        match self {
            Self::CrossEntropy => cross_entropy(logits, target),
            Self::DiceCrossEntropy => cross_entropy(logits.clone(), target) + soft_dice(logits, target),
        }
    }
}

/// Mean of `-log softmax(logits)[class]` over the pixels that count, weighted: `sum w[class] (-log p) / sum w[class]`.
fn cross_entropy(logits: Tensor<4>, target: &Target) -> Tensor<1> {
    let scale = if target.counts() { 1.0 / target.total() } else { 0.0 };
    operation::cross_entropy(logits, &target.classes, &target.weights, scale)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use clap::ValueEnum as _;
    use unet_shared::mask::IGNORE_INDEX;

    use super::*;
    use crate::backend::test_device;
    use crate::rng::Rng;

    /// Logits `[N, K, H, W]` with their target.
    struct Case {
        logits: Vec<f32>,
        shape: [usize; 4],
        mask: Vec<u8>,
        weights: Vec<f32>,
    }

    impl Case {
        /// Two images of three classes, one of them absent and one pixel in six ignored.
        fn drawn() -> Self {
            let rng = &mut Rng::new(11);
            let logits = (0..2 * 4 * 12).map(|_| rng.range_f32(-2.0, 2.0)).collect();
            let mask = (0..2 * 12).map(|i| if i % 6 == 5 { IGNORE_INDEX } else { [0, 1, 3][rng.below(3) as usize] });
            Self { logits, shape: [2, 4, 3, 4], mask: mask.collect(), weights: vec![1.0, 0.5, 2.0, 3.0] }
        }

        fn row(logits: &[f32], mask: &[u8], weights: &[f32]) -> Self {
            let shape = [1, weights.len(), 1, mask.len()];
            Self { logits: logits.to_vec(), shape, mask: mask.to_vec(), weights: weights.to_vec() }
        }

        /// Loss and gradient as training computes them.
        fn computed(&self, loss: Loss) -> (f32, Vec<f32>) {
            let device = test_device().autodiff();
            let data = TensorData::new(self.logits.clone(), self.shape);
            let logits = Tensor::<4>::from_data(data, &device).require_grad();
            let value = loss.of(logits.clone(), &Target::new(&self.mask, &self.weights));
            let gradient = logits.grad(&value.backward()).unwrap().into_data().try_into_vec().unwrap();
            (value.into_scalar::<f32>(), gradient)
        }

        /// The loss as its formula says, in f64.
        fn formula(&self, loss: Loss, logits: &[f64]) -> f64 {
            let [images, classes, height, width] = self.shape;
            let area = height * width;
            let (mut entropy, mut total) = (0.0, 0.0);
            // Of each class: both, probabilities and pixels.
            let mut sums = vec![[0.0; 3]; classes];
            for (pixel, &class) in self.mask.iter().enumerate().filter(|(_, class)| **class != IGNORE_INDEX) {
                let (image, place) = (pixel / area, pixel % area);
                let exponent = |k: usize| logits[(image * classes + k) * area + place].exp();
                let sum: f64 = (0..classes).map(exponent).sum();
                let weight = f64::from(self.weights[usize::from(class)]);
                entropy -= weight * (exponent(usize::from(class)) / sum).ln();
                total += weight;
                for (k, sums) in sums.iter_mut().enumerate() {
                    let (probability, truth) = (exponent(k) / sum, f64::from(u8::from(k == usize::from(class))));
                    *sums = [sums[0] + probability * truth, sums[1] + probability, sums[2] + truth];
                }
            }
            assert_eq!(self.mask.len(), images * area);
            let present = || sums.iter().zip(&self.weights).filter(|(sums, _)| sums[2] > 0.0);
            let dice: f64 = present().map(|(s, w)| f64::from(*w) * 2.0 * s[0] / (s[1] + s[2])).sum();
            let weights: f64 = present().map(|(_, w)| f64::from(*w)).sum();
            match loss {
                Loss::CrossEntropy => entropy / total,
                Loss::DiceCrossEntropy => entropy / total + 1.0 - dice / weights,
            }
        }
    }

    #[test]
    fn losses_and_gradients_are_those_of_the_formulas() {
        let case = Case::drawn();
        let logits: Vec<f64> = case.logits.iter().map(|&v| f64::from(v)).collect();
        for &loss in Loss::value_variants() {
            let (value, gradient) = case.computed(loss);
            let expected = case.formula(loss, &logits);
            assert!((f64::from(value) - expected).abs() < 1e-5, "{loss:?}: {value}, by the formula {expected}");
            for (index, found) in gradient.into_iter().enumerate() {
                let at = |step: f64| {
                    let mut moved = logits.clone();
                    moved[index] += step;
                    case.formula(loss, &moved)
                };
                // Central differences are exact to the square of the step, 1e-10.
                let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((f64::from(found) - expected).abs() < 1e-6, "{loss:?}, {index}: {found} and {expected}");
            }
        }
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_classes() {
        let case = Case::row(&[0.0; 4], &[0, 1], &[1.0, 1.0]);
        assert!((case.computed(Loss::CrossEntropy).0 - 2f32.ln()).abs() < 1e-6);
        // Every probability is a half: each class has 2 * 0.5 over 1 + 1.
        assert!((case.computed(Loss::DiceCrossEntropy).0 - (2f32.ln() + 0.5)).abs() < 1e-6);
    }

    #[test]
    fn cross_entropy_is_a_weighted_mean_without_ignored_pixels() {
        // Pixel 0: logits (ln 3, 0), p(0) = 3/4. Pixel 1: the same, class 1, p = 1/4. Pixel 2 is ignored.
        let logits = [3f32.ln(), 3f32.ln(), 9.0, 0.0, 0.0, -9.0];
        let (a, b) = (-(0.75f32.ln()), -(0.25f32.ln()));
        let case = Case::row(&logits, &[0, 1, IGNORE_INDEX], &[1.0, 3.0]);
        let found = case.computed(Loss::CrossEntropy).0;
        assert!((found - (a + 3.0 * b) / 4.0).abs() < 1e-6, "{found}");
        // Class 0: 2 * 3/4 over 6/4 + 1; class 1: 2 * 1/4 over 2/4 + 1, three times.
        let dice = (1.5 / 2.5 + 3.0 * (0.5 / 1.5)) / 4.0;
        let both = case.computed(Loss::DiceCrossEntropy).0;
        assert!((both - found - (1.0 - dice)).abs() < 1e-6, "{both}");
    }

    #[test]
    fn a_mask_that_is_all_ignored_has_no_loss_and_no_gradient() {
        let case = Case::row(&[1.0, 2.0], &[IGNORE_INDEX], &[1.0, 1.0]);
        assert!(!Target::new(&case.mask, &case.weights).counts());
        for &loss in Loss::value_variants() {
            assert_eq!(case.computed(loss), (0.0, vec![0.0, 0.0]), "{loss:?}");
        }
    }
}
