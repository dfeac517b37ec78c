//! Batch norms: their statistics, values and gradients.

use super::*;

#[test]
fn batch_norm_with_relu_is_that_of_the_reference() {
    const EPSILON: f32 = 1e-5;
    let mut numbers = Numbers(4);
    for (size, channels, _) in cases().filter(|(size, ..)| size.pixels() > 1) {
        let (mut x, _) = numbers.images(size, channels);
        // Far from 0, where sums of squares lose accuracy.
        x.iter_mut().for_each(|v| *v += 30.0);
        let images = Images { size, channels, values: double(&x) };
        let (gamma, beta) = (numbers.vector(channels), numbers.vector(channels));
        let (mean, variance) = reference::statistics(&images);
        let expected = reference::norm_relu(&images, &double(&gamma), &double(&beta), f64::from(EPSILON));
        for set in InstructionSet::available() {
            let what = format!("{} {size:?} {channels}", set.name());
            let found = statistics(set, &x, channels);
            assert_close(&what, &found.mean, &mean);
            assert_close(&what, &found.variance, &variance);
            let norm =
                Norm { gamma: &gamma, beta: &beta, mean: &found.mean, variance: &found.variance, epsilon: EPSILON };
            let y = norm.forward(set, &x);
            // The subtraction of a mean of 30 costs 5 bits.
            let largest = y.iter().zip(&expected.values).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            let steepest =
                (0..channels).map(|c| f64::from(gamma[c]).abs() / variance[c].sqrt().max(1e-3)).fold(1.0, f64::max);
            assert!(largest <= 64.0 * TOLERANCE * steepest, "{what}: {largest:e}");
        }
    }
}

#[test]
fn gradients_of_batch_norm_are_those_of_the_reference() {
    const EPSILON: f32 = 1e-3;
    // Closer to the kink of the ReLU, rounding decides.
    const KINK: f64 = 1e-4;
    let mut numbers = Numbers(12);
    for (size, channels, _) in cases().filter(|(size, ..)| size.pixels() > 1) {
        let (mut x, _) = numbers.images(size, channels);
        let gradient = numbers.vector(x.len());
        let gamma: Vec<f32> = numbers.vector(channels).iter().map(|v| v + 2.0).collect();
        let beta = numbers.vector(channels);
        let epsilon = f64::from(EPSILON);
        let (gamma_64, beta_64) = (double(&gamma), double(&beta));
        let images = loop {
            let images = Images { size, channels, values: double(&x) };
            let (mean, variance) = reference::statistics(&images);
            let near = |i: usize| {
                let c = i % channels;
                let h = (images.values[i] - mean[c]) / (variance[c] + epsilon).sqrt();
                (gamma_64[c] * h + beta_64[c]).abs() < KINK
            };
            let Some(near) = (0..x.len()).find(|&i| near(i)) else { break images };
            x[near] += 0.01;
        };
        let (dx, dgamma, dbeta) =
            reference::norm_relu_gradients(&images, &gamma_64, &beta_64, epsilon, &double(&gradient));
        for set in InstructionSet::available() {
            let what = format!("{} {size:?} {channels}", set.name());
            let found = statistics(set, &x, channels);
            let norm =
                Norm { gamma: &gamma, beta: &beta, mean: &found.mean, variance: &found.variance, epsilon: EPSILON };
            let mut to_x = gradient.clone();
            let (to_gamma, to_beta) = norm.backward(set, &x, &mut to_x);
            assert_close(&what, &to_x, &dx.values);
            assert_close(&what, &to_gamma, &dgamma);
            assert_close(&what, &to_beta, &dbeta);

            let constants = (double(&found.mean), double(&found.variance));
            let (dx, dgamma, dbeta) = reference::norm_relu_frozen_gradients(
                &images,
                &constants,
                &gamma_64,
                &beta_64,
                epsilon,
                &double(&gradient),
            );
            let mut to_x = gradient.clone();
            let (to_gamma, to_beta) = norm.backward_frozen(set, &x, &mut to_x);
            assert_close(&what, &to_x, &dx.values);
            assert_close(&what, &to_gamma, &dgamma);
            assert_close(&what, &to_beta, &dbeta);
        }
    }
}

#[test]
fn statistics_are_exact_where_the_first_pixel_is_unlike_the_others() {
    // Like a corner, where a convolution read the border. Differences from it would be squared and cancel.
    let mut numbers = Numbers(9);
    let channels = 8;
    let size = Size { images: 2, height: 32, width: 32 };
    let (mut x, _) = numbers.images(size, channels);
    x[..channels].fill(300.0);
    let (mean, variance) = reference::statistics(&Images { size, channels, values: double(&x) });
    for set in InstructionSet::available() {
        let found = statistics(set, &x, channels);
        assert_close(set.name(), &found.mean, &mean);
        assert_close(set.name(), &found.variance, &variance);
    }
}

#[test]
fn statistics_of_flat_images_are_exact() {
    // Equal pixels are rounded the same way: in f32 their sum drifts, and the gradients of the first norms with it.
    let mut numbers = Numbers(13);
    let (size, channels) = (Size { images: 4, height: 32, width: 32 }, 8);
    let levels = [numbers.vector(channels), numbers.vector(channels)];
    let x: Vec<f32> =
        (0..size.pixels() * channels).map(|i| levels[usize::from(i / channels % 11 == 0)][i % channels]).collect();
    let (mean, variance) = reference::statistics(&Images { size, channels, values: double(&x) });
    for set in InstructionSet::available() {
        let found = statistics(set, &x, channels);
        for (found, expected) in found.mean.iter().zip(&mean).chain(found.variance.iter().zip(&variance)) {
            let difference = (f64::from(*found) - expected).abs();
            assert!(difference <= f64::from(f32::EPSILON) * expected.abs(), "{}: {found} {expected}", set.name());
        }
    }
}

#[test]
fn nan_stays_nan_through_norm_and_pool() {
    let mut numbers = Numbers(11);
    let (size, channels) = (Size { images: 1, height: 4, width: 6 }, 5);
    let (mut x, _) = numbers.images(size, channels);
    x[2 * channels + 3] = f32::NAN;
    let (zeros, ones) = (vec![0.0; channels], vec![1.0; channels]);
    for set in InstructionSet::available() {
        assert!(statistics(set, &x, channels).mean[3].is_nan(), "{}", set.name());
        let norm = Norm { gamma: &ones, beta: &zeros, mean: &zeros, variance: &ones, epsilon: 1e-5 };
        let y = norm.forward(set, &x);
        for (x, y) in x.iter().zip(&y) {
            assert_eq!(x.is_nan(), y.is_nan(), "{}", set.name());
        }
        let pooled = pool::forward(set, &y, size, channels);
        // The third pixel of the first row lies in the second window.
        let of_nan = |i: usize| i == channels + 3;
        assert!(pooled.iter().enumerate().all(|(i, y)| y.is_nan() == of_nan(i)), "{}", set.name());
    }
}

#[test]
fn the_gradient_of_batch_norm_is_the_slope_of_the_loss() {
    slopes_of_batch_norm(false);
}

#[test]
fn the_gradient_of_a_frozen_batch_norm_is_the_slope_of_the_loss() {
    slopes_of_batch_norm(true);
}

/// d(sum of gradient * y) by central differences in f64, away from the kink of the ReLU.
fn slopes_of_batch_norm(frozen: bool) {
    const EPSILON: f32 = 1e-3;
    let mut numbers = Numbers(5);
    for channels in [1, 8, 17] {
        let size = Size { images: 2, height: 5, width: 7 };
        let (x, images) = numbers.images(size, channels);
        let (gradient, gradient_images) = numbers.images(size, channels);
        let gamma: Vec<f32> = numbers.vector(channels).iter().map(|v| v + 2.0).collect();
        let beta = numbers.vector(channels);
        let constants = (double(&numbers.vector(channels)), vec![0.5; channels]);
        let loss = |images: &Images, gamma: &[f64], beta: &[f64]| -> f64 {
            let y = if frozen {
                reference::norm_relu_by(images, &constants, gamma, beta, f64::from(EPSILON))
            } else {
                reference::norm_relu(images, gamma, beta, f64::from(EPSILON))
            };
            y.values.iter().zip(&gradient_images.values).map(|(y, g)| y * g).sum()
        };
        let (gamma_64, beta_64) = (double(&gamma), double(&beta));
        let slope = |change: &dyn Fn(f64) -> f64| (change(1e-6) - change(-1e-6)) / 2e-6;
        for set in InstructionSet::available() {
            let found = statistics(set, &x, channels);
            let single = |values: &[f64]| -> Vec<f32> { values.iter().map(|&v| v as f32).collect() };
            let (mean, variance) = (single(&constants.0), single(&constants.1));
            let (mean, variance) = if frozen { (mean, variance) } else { (found.mean, found.variance) };
            let norm = Norm { gamma: &gamma, beta: &beta, mean: &mean, variance: &variance, epsilon: EPSILON };
            let mut dx = gradient.clone();
            let (dgamma, dbeta) =
                if frozen { norm.backward_frozen(set, &x, &mut dx) } else { norm.backward(set, &x, &mut dx) };
            let y = norm.forward(set, &x);
            for i in (0..x.len()).step_by(11) {
                let moved = slope(&|by| {
                    let mut images = images.clone();
                    images.values[i] += by;
                    loss(&images, &gamma_64, &beta_64)
                });
                assert!((moved - f64::from(dx[i])).abs() < 1e-4, "{} dx[{i}] {} {moved}", set.name(), dx[i]);
            }
            for c in 0..channels {
                let of = |values: &[f64], by: f64| {
                    let mut values = values.to_vec();
                    values[c] += by;
                    values
                };
                let moved = slope(&|by| loss(&images, &of(&gamma_64, by), &beta_64));
                assert!((moved - f64::from(dgamma[c])).abs() < 1e-4, "{} dgamma[{c}]", set.name());
                let moved = slope(&|by| loss(&images, &gamma_64, &of(&beta_64, by)));
                assert!((moved - f64::from(dbeta[c])).abs() < 1e-4, "{} dbeta[{c}]", set.name());
            }
            assert!(y.iter().any(|&v| v > 0.0) && y.contains(&0.0), "both sides of the kink are seen");
        }
    }
}
