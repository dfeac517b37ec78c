//! The operations with the project's compute kernels against burn's own operators on the same backend: outputs, gradients,
//! statistics.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};

use super::*;
use crate::rng::Rng;

/// Both compute in f32, but add in different orders.
const TOLERANCE: f32 = 2e-5;

fn random<const D: usize>(rng: &mut Rng, shape: [usize; D], device: &Device) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.normal_f32()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn conv2d(rng: &mut Rng, inputs: usize, outputs: usize, kernel: usize, bias: bool, device: &Device) -> Conv2d {
    let border = kernel / 2;
    let mut conv = Conv2dConfig::new([inputs, outputs], [kernel, kernel])
        .with_padding(PaddingConfig2d::Explicit(border, border, border, border))
        .with_bias(bias)
        .init(device);
    conv.weight = burn::module::Param::from_tensor(random(rng, [outputs, inputs, kernel, kernel], device));
    conv.bias = bias.then(|| burn::module::Param::from_tensor(random(rng, [outputs], device)));
    conv
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().unwrap()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1f32, |a, b| a.max(b.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= TOLERANCE * largest, "value {i} of {}: {a} and {b}", found.len());
    }
}

/// Output and gradients of `operation` for a loss with a different weight for every output value.
fn run(inputs: &[Tensor<4>], conv: &Conv2d, operation: impl Fn(&Conv2d, Vec<Tensor<4>>) -> Tensor<4>) -> Vec<Vec<f32>> {
    let inputs: Vec<Tensor<4>> = inputs.iter().map(|input| input.clone().detach().require_grad()).collect();
    let output = operation(conv, inputs.clone());
    let device = output.device();
    let weights = random(&mut Rng::from_parts(&[9]), output.dims(), &device);
    let gradients: Gradients = (output.clone() * weights).sum().backward();
    let mut found = vec![values(output.inner()), values(conv.weight.val().grad(&gradients).unwrap())];
    found.extend(conv.bias.as_ref().map(|bias| values(bias.val().grad(&gradients).unwrap())));
    found.extend(inputs.iter().map(|input| values(input.grad(&gradients).unwrap())));
    found
}

#[test]
fn convolutions_equal_burns_own() {
    let device = Device::flex().autodiff();
    let rng = &mut Rng::from_parts(&[1]);
    for (inputs, outputs, kernel, bias) in [
        (vec![3], 8, 3, true),
        (vec![16], 16, 3, false),
        (vec![16], 5, 1, true),
        (vec![8, 8], 8, 3, false),
        (vec![5, 20], 24, 3, true),
    ] {
        let tensors: Vec<Tensor<4>> = inputs.iter().map(|&c| random(rng, [2, c, 7, 10], &device)).collect();
        let conv = conv2d(rng, inputs.iter().sum(), outputs, kernel, bias, &device);
        let ours = run(&tensors, &conv, |conv, mut tensors| {
            assert!(has_kernels(&tensors[0]) && covered(conv));
            let second = (tensors.len() == 2).then(|| tensors.pop().unwrap());
            convolve(conv, tensors.pop().unwrap(), second)
        });
        let burns = run(&tensors, &conv, |conv, tensors| conv.forward(Tensor::cat(tensors, 1)));
        for (ours, burns) in ours.iter().zip(&burns) {
            assert_close(ours, burns);
        }
    }
}

#[test]
fn strided_convolutions_equal_burns_own() {
    let device = Device::flex().autodiff();
    let rng = &mut Rng::from_parts(&[12]);
    for (inputs, outputs, bias, is_covered, size) in
        [(3, 8, true, true, [6, 10]), (16, 12, false, true, [4, 2]), (5, 20, true, false, [7, 10])]
    {
        let tensors = [random(rng, [2, inputs, size[0], size[1]], &device)];
        let mut conv = conv2d(rng, inputs, outputs, 3, bias, &device);
        conv.stride = [2, 2];
        let ours = run(&tensors, &conv, |conv, mut tensors| {
            assert_eq!(covered_strided(conv, &tensors[0]), is_covered);
            convolve(conv, tensors.remove(0), None)
        });
        let burns = run(&tensors, &conv, |conv, mut tensors| conv.forward(tensors.remove(0)));
        for (ours, burns) in ours.iter().zip(&burns) {
            assert_close(ours, burns);
        }
    }
}

#[test]
fn depthwise_convolutions_equal_burns_own() {
    let device = Device::flex().autodiff();
    let rng = &mut Rng::from_parts(&[13]);
    for (channels, stride, bias, covered, size) in [
        (8, 1, false, Some(1), [7, 10]),
        (24, 1, true, Some(1), [1, 5]),
        (5, 2, true, Some(2), [6, 10]),
        (16, 2, false, Some(2), [4, 2]),
        (6, 2, false, None, [7, 10]),
    ] {
        let tensors = [random(rng, [2, channels, size[0], size[1]], &device)];
        let mut conv = conv2d(rng, channels, channels, 3, bias, &device);
        conv.weight = burn::module::Param::from_tensor(random(rng, [channels, 1, 3, 3], &device));
        (conv.groups, conv.stride) = (channels, [stride, stride]);
        let ours = run(&tensors, &conv, |conv, mut tensors| {
            assert_eq!(covered_depthwise(conv, &tensors[0]), covered);
            convolve_depthwise(conv, tensors.remove(0))
        });
        let burns = run(&tensors, &conv, |conv, mut tensors| conv.forward(tensors.remove(0)));
        assert_eq!(ours.len(), 3 + usize::from(bias));
        for (ours, burns) in ours.iter().zip(&burns) {
            assert_close(ours, burns);
        }
    }
}

#[test]
fn upsampling_with_convolution_equals_burns_own() {
    let device = Device::flex().autodiff();
    let rng = &mut Rng::from_parts(&[2]);
    for (inputs, outputs, bias) in [(16, 8, false), (5, 12, true)] {
        let tensors = [random(rng, [2, inputs, 6, 5], &device)];
        let conv = conv2d(rng, inputs, outputs, 3, bias, &device);
        let ours = run(&tensors, &conv, |conv, mut tensors| upsample_and_convolve(conv, tensors.remove(0)));
        let burns = run(&tensors, &conv, |conv, mut tensors| {
            let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([12, 10]);
            conv.forward(interpolate(tensors.remove(0), options))
        });
        for (ours, burns) in ours.iter().zip(&burns) {
            assert_close(ours, burns);
        }
    }
}

#[test]
fn up_convolution_equals_burns_own() {
    let device = Device::flex().autodiff();
    let rng = &mut Rng::from_parts(&[6]);
    for (inputs, outputs, bias) in [(16, 8, false), (5, 12, true)] {
        let tensors = [random(rng, [2, inputs, 6, 5], &device)];
        let conv = conv2d(rng, inputs, 4 * outputs, 1, bias, &device);
        let ours = run(&tensors, &conv, |conv, mut tensors| up_convolve(conv, tensors.remove(0)));
        let burns = run(&tensors, &conv, |conv, mut tensors| depth_to_space(conv.forward(tensors.remove(0))));
        for (ours, burns) in ours.iter().zip(&burns) {
            assert_close(ours, burns);
        }
    }
}

#[test]
fn depth_to_space_spreads_four_channels_over_the_grid() {
    let device = Device::flex();
    let input = Tensor::<4>::from_data(TensorData::new(vec![1f32, 2., 3., 4.], [1, 4, 1, 1]), &device);
    let output = values(depth_to_space(input));
    assert_eq!(output, [1., 2., 3., 4.]);
    let input =
        Tensor::<4>::from_data(TensorData::new((0..8).map(|v| v as f32).collect::<Vec<_>>(), [1, 8, 1, 1]), &device);
    // Channel 0 holds the even values (c = 0), channel 1 the odd ones.
    let output = values(depth_to_space(input));
    assert_eq!(output, [0., 2., 4., 6., 1., 3., 5., 7.]);
}

/// Two blocks with a pool between them, by the given operations: loss gradients of all parameters and running statistics.
fn chain(
    device: &Device,
    norm_relu: impl Fn(&BatchNorm, Tensor<4>) -> Tensor<4>,
    max_pool: impl Fn(Tensor<4>) -> Tensor<4>,
) -> Vec<Vec<f32>> {
    let rng = &mut Rng::from_parts(&[3]);
    let convs = [conv2d(rng, 3, 12, 3, false, device), conv2d(rng, 12, 16, 3, false, device)];
    let mut norms = [BatchNormConfig::new(12).init(device), BatchNormConfig::new(16).init(device)];
    for norm in &mut norms {
        let channels = norm.gamma.dims();
        norm.gamma = burn::module::Param::from_tensor(random(rng, channels, device));
        norm.beta = burn::module::Param::from_tensor(random(rng, channels, device));
    }
    let input = random(rng, [3, 3, 8, 12], device).require_grad();
    let mut x = input.clone();
    for (conv, norm) in convs.iter().zip(&norms) {
        x = max_pool(norm_relu(norm, convolve(conv, x, None)));
    }
    let weights = random(rng, x.dims(), device);
    let gradients = (x.clone() * weights).sum().backward();
    let mut found = vec![values(x.inner()), values(input.grad(&gradients).unwrap())];
    for (conv, norm) in convs.iter().zip(&norms) {
        found.push(values(conv.weight.val().grad(&gradients).unwrap()));
        found.push(values(norm.gamma.val().grad(&gradients).unwrap()));
        found.push(values(norm.beta.val().grad(&gradients).unwrap()));
        found.push(values(norm.running_mean.value_sync().inner()));
        found.push(values(norm.running_var.value_sync().inner()));
    }
    found
}

#[test]
fn norm_and_pool_equal_burns_own_and_so_do_running_statistics() {
    let device = Device::flex().autodiff();
    let ours = chain(&device, norm_relu, max_pool);
    let pool = |x| MaxPool2dConfig::new([2, 2]).init().forward(x);
    let burns = chain(&device, |norm, x| relu(norm.forward(x)), pool);
    for (ours, burns) in ours.iter().zip(&burns) {
        assert_close(ours, burns);
    }
}

#[test]
fn the_gradients_of_a_skip_add_up() {
    let device = Device::flex().autodiff();
    let rng = &mut Rng::from_parts(&[8]);
    let (input, other) = (random(rng, [2, 6, 8, 4], &device), random(rng, [2, 6, 8, 4], &device));
    let gradient = |pool: fn(Tensor<4>) -> Tensor<4>| {
        let input = input.clone().detach().require_grad();
        // As in the network: pooled on the way down, read again on the way up.
        let skip = input.clone().mul_scalar(2.0);
        let small = pool(skip.clone()).mul_scalar(3.0);
        let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([8, 4]);
        let output = interpolate(small, options) * skip * other.clone();
        values(input.grad(&output.sum().backward()).unwrap())
    };
    assert_close(&gradient(max_pool_of_skip), &gradient(|x| MaxPool2dConfig::new([2, 2]).init().forward(x)));
    assert_close(&gradient(max_pool_of_skip), &gradient(max_pool));
}

#[test]
fn an_addition_equals_burns_own_and_changes_no_input() {
    let device = Device::flex().autodiff();
    let rng = &mut Rng::from_parts(&[12]);
    let inputs = [0; 2].map(|_| random(rng, [2, 5, 6, 4], &device));
    let weights = random(rng, [2, 5, 6, 4], &device);
    let found = |add: fn(Tensor<4>, Tensor<4>) -> Tensor<4>| {
        let inputs = inputs.clone().map(|input| input.detach().require_grad());
        // Both are read again, as a skip is, so that neither may change.
        let [first, second] = inputs.clone().map(|input| input.mul_scalar(1.5));
        let sum = add(first.clone(), second.clone()) * weights.clone();
        let gradients = (sum.clone() + first * second).sum().backward();
        [values(sum.inner()), values(inputs[0].grad(&gradients).unwrap()), values(inputs[1].grad(&gradients).unwrap())]
    };
    let (ours, burns) = (found(add), found(|first, second| first.add(second)));
    for (ours, burns) in ours.iter().zip(&burns) {
        assert_close(ours, burns);
    }
}

#[test]
fn the_gradients_of_a_skip_that_is_a_leaf_are_counted_once() {
    let device = Device::flex().autodiff();
    let input = random(&mut Rng::from_parts(&[10]), [2, 6, 8, 4], &device);
    let gradient = |pool: fn(Tensor<4>) -> Tensor<4>| {
        let input = input.clone().detach().require_grad();
        let sum = pool(input.clone()).mul_scalar(3.0).sum() + input.clone().mul_scalar(2.0).sum();
        values(input.grad(&sum.backward()).unwrap())
    };
    assert_close(&gradient(max_pool_of_skip), &gradient(|x| MaxPool2dConfig::new([2, 2]).init().forward(x)));
}

#[test]
fn cross_entropy_equals_burns_own_and_scales_its_gradient() {
    let device = Device::flex().autodiff();
    let rng = &mut Rng::from_parts(&[7]);
    let logits = random(rng, [2, 3, 5, 7], &device);
    let classes: Arc<[u8]> = (0..70).map(|i| [0, 1, 2, 255][i % 4]).collect();
    let weights: Arc<[f32]> = [1.0, 0.0, 2.5].into();
    let by = |logits: Tensor<4>, factor: f32| {
        let logits = logits.detach().require_grad();
        let loss = cross_entropy(logits.clone(), &classes, &weights, 0.01).mul_scalar(factor);
        let gradients = loss.backward();
        (values(loss.inner()), values(logits.grad(&gradients).unwrap()))
    };
    for factor in [1.0, 3.0] {
        let (loss, gradient) = by(logits.clone(), factor);
        let (expected_loss, expected) = by(logits.clone().cast(DType::F64), factor);
        assert_close(&loss, &expected_loss);
        assert_close(&gradient, &expected);
    }
}

#[test]
fn gradient_checkpointing_changes_no_bit() {
    let device = Device::flex().autodiff();
    let kept = chain(&device, norm_relu, max_pool);
    let again = chain(&device.gradient_checkpointing(), norm_relu, max_pool);
    assert_eq!(kept, again);
}

#[test]
fn a_norm_in_inference_uses_its_running_statistics() {
    let rng = &mut Rng::from_parts(&[4]);
    let device = Device::flex();
    let norm = BatchNormConfig::new(5).init(&device);
    norm.running_mean.update(random(rng, [5], &device));
    norm.running_var.update(random(rng, [5], &device).square());
    let input = random(rng, [2, 5, 4, 6], &device);
    assert_close(&values(norm_relu(&norm, input.clone())), &values(relu(norm.forward(input))));
}

#[test]
fn the_statistics_of_a_frozen_norm_are_constants() {
    let device = Device::flex().autodiff();
    let rng = &mut Rng::from_parts(&[11]);
    let mut norm = BatchNormConfig::new(5).init(&device);
    norm.training = norm.training.with_value(false);
    norm.gamma = burn::module::Param::from_tensor(random(rng, [5], &device));
    norm.beta = burn::module::Param::from_tensor(random(rng, [5], &device));
    norm.running_mean.update(random(rng, [5], &device));
    norm.running_var.update(random(rng, [5], &device).square());
    let before = [norm.running_mean.value_sync(), norm.running_var.value_sync()].map(values);
    let (input, weights) = (random(rng, [2, 5, 4, 6], &device), random(rng, [2, 5, 4, 6], &device));
    let by = |operation: fn(&BatchNorm, Tensor<4>) -> Tensor<4>| {
        let input = input.clone().require_grad();
        let gradients = (operation(&norm, input.clone()) * weights.clone()).sum().backward();
        let parameters = [&norm.gamma, &norm.beta].map(|parameter| values(parameter.val().grad(&gradients).unwrap()));
        [vec![values(input.grad(&gradients).unwrap())], parameters.to_vec()].concat()
    };
    for (found, expected) in by(norm_relu).iter().zip(&by(|norm, x| relu(norm.forward(x)))) {
        assert_close(found, expected);
    }
    assert_eq!([norm.running_mean.value_sync(), norm.running_var.value_sync()].map(values), before);
}

#[test]
fn a_measured_norm_returns_the_statistics_of_its_input_and_changes_nothing() {
    let device = Device::flex();
    let rng = &mut Rng::from_parts(&[12]);
    let norm = BatchNormConfig::new(2).init(&device);
    // Channel 0: values 1, 2, 3, 6, mean 3, variance 14/4. Channel 1: all 5.
    let data = TensorData::new(vec![1f32, 2., 3., 6., 5., 5., 5., 5.], [1, 2, 2, 2]);
    let (output, [mean, variance]) = measured_norm_relu(&norm, Tensor::from_data(data, &device));
    assert_eq!((values(mean), values(variance)), (vec![3., 5.], vec![3.5, 0.]));
    let deviation = (3.5f32 + 1e-5).sqrt();
    assert_close(&values(output), &[0., 0., 0., 3. / deviation, 0., 0., 0., 0.]);
    assert_eq!(
        (values(norm.running_mean.value_sync()), values(norm.running_var.value_sync())),
        (vec![0.; 2], vec![1.; 2])
    );
    let input = random(rng, [2, 2, 4, 6], &device);
    let (ours, [mean, variance]) = measured_norm_relu(&norm, input.clone());
    let burns = batch_norm_train(input, norm.gamma.val(), norm.beta.val(), norm.epsilon);
    assert_close(&values(ours), &values(relu(burns.output)));
    assert_close(&values(mean), &values(burns.mean));
    assert_close(&values(variance), &values(burns.variance));
}

#[test]
fn other_types_and_kernels_are_left_to_burn() {
    let device = Device::flex();
    let rng = &mut Rng::from_parts(&[5]);
    let input = random(rng, [1, 2, 6, 6], &device);
    assert!(has_kernels(&input));
    assert!(!has_kernels(&input.clone().cast(DType::F64)));
    for config in [
        Conv2dConfig::new([2, 2], [3, 3]),
        Conv2dConfig::new([2, 2], [5, 5]),
        Conv2dConfig::new([2, 2], [3, 3]).with_padding(PaddingConfig2d::Same).with_stride([2, 2]),
        Conv2dConfig::new([2, 4], [3, 3]).with_padding(PaddingConfig2d::Same).with_groups(2),
    ] {
        let conv = config.init(&device);
        assert!(!covered(&conv), "{config:?}");
        assert_eq!(covered_depthwise(&conv, &input), None, "{config:?}");
        let expected = values(conv.forward(input.clone()));
        assert_eq!(values(convolve(&conv, input.clone(), None)), expected);
        assert_eq!(values(convolve_depthwise(&conv, input.clone())), expected);
    }
}
