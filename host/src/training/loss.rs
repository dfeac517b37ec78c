//! Categorical cross-entropy over pixels, with class weights and an ignore index.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use unet_shared::mask::IGNORE_INDEX;

/// What a batch of masks asks of the logits: for each pixel its class's weight at its class, nothing elsewhere.
#[derive(Debug)]
pub struct Target {
    /// `[N, K, H, W]`: the weight of the pixel's class at that class, 0 elsewhere and at ignored pixels.
    weights: Tensor<4>,
    /// Sum of all weights; 0 when every pixel is ignored.
    total: f64,
}

impl Target {
    /// Encodes `masks`, `[N, H, W]` class ids, for `class_weights.len()` classes. A pixel with `ignore_index` has no say.
    pub fn new(masks: &[u8], shape: [usize; 3], class_weights: &[f32], device: &Device) -> Self {
        let [batch, height, width] = shape;
        let (classes, pixels) = (class_weights.len(), height * width);
        let mut values = vec![0f32; batch * classes * pixels];
        let mut total = 0f64;
        for (image, mask) in masks.chunks_exact(pixels).enumerate() {
            for (pixel, &class) in mask.iter().enumerate().filter(|(_, class)| **class != IGNORE_INDEX) {
                let weight = class_weights[usize::from(class)];
                values[(image * classes + usize::from(class)) * pixels + pixel] = weight;
                total += f64::from(weight);
            }
        }
        let weights = Tensor::from_data(TensorData::new(values, [batch, classes, height, width]), device);
        Self { weights, total }
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

/// Mean over the counted pixels of `-log softmax(logits)[class]`, weighted: `sum w[class] (-log p) / sum w[class]`.
///
/// Where every pixel is ignored the loss is 0 and so are its gradients.
pub fn cross_entropy(logits: Tensor<4>, target: &Target) -> Tensor<1> {
    let log_probabilities = log_softmax(logits, 1);
    let scale = if target.counts() { -1.0 / target.total } else { 0.0 };
    (log_probabilities * target.weights.clone()).sum().mul_scalar(scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;

    fn loss(logits: Vec<f32>, classes: usize, mask: &[u8], weights: &[f32]) -> f32 {
        let device = test_device();
        let logits = Tensor::from_data(TensorData::new(logits, [1, classes, 1, mask.len()]), &device);
        let target = Target::new(mask, [1, 1, mask.len()], weights, &device);
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
        let target = Target::new(&[IGNORE_INDEX], [1, 1, 1], &[1.0, 1.0], &device);
        assert!(!target.counts());
        let gradients = cross_entropy(logits.clone(), &target).backward();
        let gradient: Vec<f32> = logits.grad(&gradients).unwrap().into_data().try_into_vec().unwrap();
        assert_eq!(gradient, [0.0, 0.0]);
    }
}
