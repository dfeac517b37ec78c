//! Soft Dice loss.

use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};

use super::target::Target;

/// `1 - sum w D / sum w` over the classes that occur in the batch, with class weights `w` and
/// `D = 2 sum p g / (sum p + sum g)`: `p` are probabilities and `g` is 1 at pixels of the class, both summed over all images and
/// the pixels that count. Milletari et al. 2016 (V-Net) with the sums of Drozdzal et al. 2016 in place of sums of squares, over
/// the whole batch, as nnU-Net has it. A class that does not occur has no Dice coefficient, as it has no IoU.
pub(super) fn soft_dice(logits: Tensor<4>, target: &Target) -> Tensor<1> {
    let [images, classes, height, width] = logits.dims();
    let (device, dtype, area) = (logits.device(), logits.dtype(), height * width);
    let present: f64 =
        target.weights.iter().zip(&target.pixels).filter(|(_, n)| **n > 0).map(|(w, _)| f64::from(*w)).sum();
    if present == 0.0 {
        return logits.sum().mul_scalar(0.0);
    }
    // 1 at each pixel's class, and 1 at each pixel that counts.
    let (mut truth, mut counted) = (vec![0f32; images * classes * area], vec![0f32; images * area]);
    for (pixel, &class) in target.classes.iter().enumerate().filter(|(_, class)| usize::from(**class) < classes) {
        let (image, place) = (pixel / area, pixel % area);
        truth[(image * classes + usize::from(class)) * area + place] = 1.0;
        counted[pixel] = 1.0;
    }
    let tensor =
        |values, shape: [usize; 4]| Tensor::<4>::from_data(TensorData::new(values, shape), &device).cast(dtype);
    let per_class = |values: Vec<f32>| tensor(values, [1, classes, 1, 1]);
    // Rows first: partial sums keep their precision, and no backend adds in an order that depends on the number of threads.
    let sum = |tensor: Tensor<4>| tensor.sum_dim(3).sum_dim(2).sum_dim(0);
    let probabilities = softmax(logits, 1);
    let both = sum(probabilities.clone() * tensor(truth, [images, classes, height, width]));
    let predicted = sum(probabilities * tensor(counted, [images, 1, height, width]));
    let pixels = target.pixels.iter().map(|&n| (n as f32).max(1.0)).collect();
    let shares = target.weights.iter().zip(&target.pixels);
    let shares = shares.map(|(w, &n)| if n > 0 { (2.0 * f64::from(*w) / present) as f32 } else { 0.0 }).collect();
    let dice = both / (predicted + per_class(pixels)) * per_class(shares);
    dice.sum_dim(1).reshape([1]).neg().add_scalar(1.0)
}
