//! Categorical cross-entropy over pixels, with class weights and an ignore index.

use std::sync::Arc;

use burn::tensor::Tensor;
use unet_shared::mask::IGNORE_INDEX;

use crate::operation;

/// What a batch of masks asks of the logits.
#[derive(Debug)]
pub struct Target {
    /// `[N, H, W]` class ids.
    classes: Arc<[u8]>,
    /// A weight a class.
    weights: Arc<[f32]>,
    /// Sum of the counted pixels' weights; 0 when every pixel is ignored.
    total: f64,
}

impl Target {
    /// Takes `masks`, `[N, H, W]` class ids, for `class_weights.len()` classes. A pixel with `ignore_index` has no say.
    pub fn new(masks: &[u8], class_weights: &[f32]) -> Self {
        let mut pixels = [0u64; 256];
        masks.iter().for_each(|&class| pixels[usize::from(class)] += 1);
        pixels[usize::from(IGNORE_INDEX)] = 0;
        let total = class_weights.iter().zip(pixels).map(|(weight, pixels)| f64::from(*weight) * pixels as f64).sum();
        Self { classes: masks.into(), weights: class_weights.into(), total }
    }

    /// Whether at least one pixel counts.
    pub fn counts(&self) -> bool {
        self.total > 0.0
    }

    /// Sum of the weights of the counted pixels.
    pub fn total(&self) -> f64 {
        self.total
    }
}

/// Mean over the counted pixels of `-log softmax(logits)[class]`, weighted: `sum w[class] (-log p) / sum w[class]`, for
/// logits `[N, K, H, W]`.
///
/// Where every pixel is ignored the loss is 0 and so are its gradients.
pub fn cross_entropy(logits: Tensor<4>, target: &Target) -> Tensor<1> {
    let scale = if target.counts() { 1.0 / target.total } else { 0.0 };
    operation::cross_entropy(logits, &target.classes, &target.weights, scale)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::backend::test_device;

    fn loss(logits: Vec<f32>, classes: usize, mask: &[u8], weights: &[f32]) -> f32 {
        let device = test_device();
        let logits = Tensor::from_data(TensorData::new(logits, [1, classes, 1, mask.len()]), &device);
        let target = Target::new(mask, weights);
        cross_entropy(logits, &target).into_scalar::<f32>()
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_classes() {
        assert!((loss(vec![0.0; 4], 2, &[0, 1], &[1.0, 1.0]) - 2f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn weights_average_and_ignored_pixels_have_no_say() {
        // Pixel 0: logits (ln 3, 0), p(0) = 3/4. Pixel 1: the same, class 1, p = 1/4. Pixel 2 is ignored.
        let logits = vec![3f32.ln(), 3f32.ln(), 9.0, 0.0, 0.0, -9.0];
        let (a, b) = (-(0.75f32.ln()), -(0.25f32.ln()));
        let found = loss(logits, 2, &[0, 1, IGNORE_INDEX], &[1.0, 3.0]);
        assert!((found - (a + 3.0 * b) / 4.0).abs() < 1e-6, "{found}");
    }

    #[test]
    fn a_mask_that_is_all_ignored_costs_nothing_and_pulls_nowhere() {
        assert_eq!(loss(vec![1.0, 2.0], 2, &[IGNORE_INDEX], &[1.0, 1.0]), 0.0);
        let device = test_device().autodiff();
        let logits = Tensor::<4>::from_data(TensorData::new(vec![1f32, 2.0], [1, 2, 1, 1]), &device).require_grad();
        let target = Target::new(&[IGNORE_INDEX], &[1.0, 1.0]);
        assert!(!target.counts());
        let gradients = cross_entropy(logits.clone(), &target).backward();
        let gradient: Vec<f32> = logits.grad(&gradients).unwrap().into_data().try_into_vec().unwrap();
        assert_eq!(gradient, [0.0, 0.0]);
    }
}
