//! Every instruction set of this CPU against the plain f64 reference, on odd sizes, channels and batches.

mod depthwise;
mod norms;

use super::convolution::Convolution;
use super::norm::{Norm, channel_sums, statistics};
use super::planes::Size;
use super::reference::{self, Images};
use super::strided::StridedConvolution;
use super::up_convolution::UpConvolution;
use super::upsample::UpsampleConvolution;
use super::{InstructionSet, adam, confidence, convolve, cross_entropy, norm, pool, tile, weight_gradient};

/// Tolerance of f32 sums of some thousand terms, relative to the largest value: 16 times the rounding error of one.
const TOLERANCE: f64 = 16.0 * f32::EPSILON as f64;

/// Numbers between -1 and 1, the same in every run (Knuth's MMIX generator).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn vector(&mut self, length: usize) -> Vec<f32> {
        (0..length).map(|_| self.next()).collect()
    }

    fn images(&mut self, size: Size, channels: usize) -> (Vec<f32>, Images) {
        let values = self.vector(size.pixels() * channels);
        let images = Images { size, channels, values: double(&values) };
        (values, images)
    }
}

fn double(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

#[track_caller]
fn assert_close(what: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0f64, |a, b| a.max(b.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(*found) - expected).abs();
        assert!(difference <= TOLERANCE * largest, "{what}: value {i} is {found}, expected {expected}");
    }
}

/// Batch 1 to 9, sizes that are no multiple of a register, narrower and wider than a run of pixels, and channels around the
/// widths of all registers.
const SIZES: [(usize, usize, usize); 9] =
    [(1, 1, 1), (2, 3, 5), (3, 8, 16), (4, 16, 8), (5, 7, 30), (6, 2, 13), (7, 5, 3), (8, 1, 40), (9, 6, 17)];
const CHANNELS: [(usize, usize); 9] = [(1, 8), (3, 16), (8, 8), (16, 16), (5, 4), (24, 17), (16, 32), (33, 9), (4, 48)];

/// Sizes that are split into several tiles and parts for every width of registers; the second has a thin input, and rows of two
/// runs.
const LARGE: [(Size, usize, usize); 2] =
    [(Size { images: 1, height: 111, width: 40 }, 16, 17), (Size { images: 1, height: 20, width: 300 }, 3, 16)];

fn cases() -> impl Iterator<Item = (Size, usize, usize)> {
    let small = SIZES.into_iter().enumerate().flat_map(|(k, (images, height, width))| {
        // Three pairs of channels a size, all pairs over all sizes.
        (0..3).map(move |j| {
            let (inputs, outputs) = CHANNELS[(k + 3 * j) % CHANNELS.len()];
            (Size { images, height, width }, inputs, outputs)
        })
    });
    small.chain(LARGE)
}

#[test]
fn large_cases_are_cut_into_several_tiles_parts_and_runs() {
    for (size, inputs, outputs) in LARGE {
        assert!(size.pixels() > norm::PART_PIXELS);
        for lanes in [4, 8, 16] {
            let channels = [inputs, outputs].map(|channels| channels.next_multiple_of(lanes));
            let rows = tile::rows(weight_gradient::TILE_BYTES, channels[0] + channels[1], size, 1);
            assert!(rows < size.height, "{size:?}, {lanes} lanes: {rows} rows");
            let runs: Vec<_> = weight_gradient::runs(tile::Shape { lanes, rows, columns: size.width }).collect();
            let (below, beside) =
                (runs.iter().any(|(row, ..)| *row > 0), runs.iter().any(|(_, _, column, _)| *column > 0));
            assert!(below && beside == (size.width > 256), "{size:?}, {lanes} lanes: {runs:?}");
            if inputs > weight_gradient::THIN {
                for channels in channels {
                    let rows = tile::rows(convolve::TILE_BYTES, channels, size, 1);
                    assert!(rows < size.height, "{size:?}, {lanes} lanes: {rows} rows");
                }
            }
        }
    }
}

#[test]
fn convolutions_and_their_gradients_are_those_of_the_reference() {
    let mut numbers = Numbers(1);
    for (size, inputs, outputs) in cases() {
        for kernel in [1, 3] {
            let (x, images) = numbers.images(size, inputs);
            let (gradient, gradient_images) = numbers.images(size, outputs);
            let weights = numbers.vector(outputs * inputs * kernel * kernel);
            let bias = numbers.vector(outputs);
            let expected = reference::convolution(&images, &double(&weights), &double(&bias), kernel);
            let (dx, dw, db) = reference::convolution_gradients(&images, &double(&weights), &gradient_images, kernel);
            for set in InstructionSet::available() {
                let what = format!("{} {size:?} {inputs} to {outputs}, kernel {kernel}", set.name());
                let convolution = Convolution { size, outputs, kernel, set };
                let input = [(&x[..], inputs)];
                assert_close(&what, &convolution.forward(&input, &weights, Some(&bias)), &expected.values);
                assert_close(&what, &convolution.input_gradient(&weights, &gradient, &[inputs])[0], &dx.values);
                assert_close(&what, &convolution.weight_gradient(&input, &gradient), &dw);
                assert_close(&what, &convolution.bias_gradient(&gradient), &db);
            }
        }
    }
}

#[test]
fn a_convolution_of_two_tensors_is_that_of_their_concatenation() {
    let mut numbers = Numbers(2);
    let size = Size { images: 2, height: 5, width: 19 };
    for (first, second, outputs) in [(8, 8, 8), (16, 16, 16), (3, 5, 7), (12, 12, 12), (20, 4, 33)] {
        let inputs = first + second;
        let (a, a_images) = numbers.images(size, first);
        let (b, b_images) = numbers.images(size, second);
        let (gradient, gradient_images) = numbers.images(size, outputs);
        let weights = numbers.vector(outputs * inputs * 9);
        let mut both = Images::zeros(size, inputs);
        for (p, pixel) in both.values.chunks_exact_mut(inputs).enumerate() {
            pixel[..first].copy_from_slice(&a_images.values[p * first..(p + 1) * first]);
            pixel[first..].copy_from_slice(&b_images.values[p * second..(p + 1) * second]);
        }
        let expected = reference::convolution(&both, &double(&weights), &vec![0.0; outputs], 3);
        let (dx, dw, _) = reference::convolution_gradients(&both, &double(&weights), &gradient_images, 3);
        let part = |from: usize, count: usize| -> Vec<f64> {
            dx.values.chunks_exact(inputs).flat_map(|pixel| pixel[from..from + count].to_vec()).collect()
        };
        for set in InstructionSet::available() {
            let what = format!("{} {first} and {second} to {outputs}", set.name());
            let convolution = Convolution { size, outputs, kernel: 3, set };
            let input = [(&a[..], first), (&b[..], second)];
            assert_close(&what, &convolution.forward(&input, &weights, None), &expected.values);
            let found = convolution.input_gradient(&weights, &gradient, &[first, second]);
            assert_close(&what, &found[0], &part(0, first));
            assert_close(&what, &found[1], &part(first, second));
            assert_close(&what, &convolution.weight_gradient(&input, &gradient), &dw);
        }
    }
}

#[test]
fn upsampling_with_convolution_is_that_of_the_two_operations() {
    let mut numbers = Numbers(3);
    for (size, inputs, outputs) in cases() {
        let (x, images) = numbers.images(size, inputs);
        let large = Size { images: size.images, height: 2 * size.height, width: 2 * size.width };
        let (gradient, gradient_images) = numbers.images(large, outputs);
        let weights = numbers.vector(outputs * inputs * 9);
        let bias = numbers.vector(outputs);
        let enlarged = reference::upsample(&images);
        let expected = reference::convolution(&enlarged, &double(&weights), &double(&bias), 3);
        let (dx, dw, _) = reference::convolution_gradients(&enlarged, &double(&weights), &gradient_images, 3);
        let dx = reference::upsample_gradient(&dx);
        for set in InstructionSet::available() {
            let what = format!("{} {size:?} {inputs} to {outputs}", set.name());
            let operation = UpsampleConvolution { size, inputs, outputs, set };
            assert_close(&what, &operation.forward(&x, &weights, Some(&bias)), &expected.values);
            assert_close(&what, &operation.input_gradient(&weights, &gradient), &dx.values);
            assert_close(&what, &operation.weight_gradient(&x, &gradient), &dw);
        }
    }
}

#[test]
fn strided_convolution_is_every_second_pixel_of_the_convolution() {
    let mut numbers = Numbers(14);
    for (size, inputs, outputs) in cases() {
        let large = Size { images: size.images, height: 2 * size.height, width: 2 * size.width };
        let (x, images) = numbers.images(large, inputs);
        let (gradient, gradient_images) = numbers.images(size, outputs);
        let (weights, bias) = (numbers.vector(outputs * inputs * 9), numbers.vector(outputs));
        let whole = reference::convolution(&images, &double(&weights), &double(&bias), 3);
        let expected = reference::every_second(&whole);
        let spread = reference::every_second_gradient(&gradient_images);
        let (dx, dw, _) = reference::convolution_gradients(&images, &double(&weights), &spread, 3);
        for set in InstructionSet::available() {
            let what = format!("{} {size:?} {inputs} to {outputs}", set.name());
            let operation = StridedConvolution { size, inputs, outputs, set };
            assert_close(&what, &operation.forward(&x, &weights, Some(&bias)), &expected.values);
            assert_close(&what, &operation.input_gradient(&weights, &gradient), &dx.values);
            assert_close(&what, &operation.weight_gradient(&x, &gradient), &dw);
        }
    }
}

/// `[N, H, W, 4 C]` to `[N, 2 H, 2 W, C]` or back, value by value.
fn depth_to_space(small: &Images, outputs: usize, mut visit: impl FnMut(usize, usize)) {
    let Size { images, height, width } = small.size;
    for n in 0..images {
        for y in 0..2 * height {
            for x in 0..2 * width {
                for c in 0..outputs {
                    let channel = (2 * (y % 2) + x % 2) * outputs + c;
                    let from = ((n * height + y / 2) * width + x / 2) * small.channels + channel;
                    visit(from, ((n * 2 * height + y) * 2 * width + x) * outputs + c);
                }
            }
        }
    }
}

#[test]
fn up_convolution_is_that_of_its_two_operations() {
    let mut numbers = Numbers(9);
    for (size, inputs, outputs) in cases() {
        let (x, images) = numbers.images(size, inputs);
        let gradient = numbers.vector(4 * size.pixels() * outputs);
        let (weights, bias) = (numbers.vector(4 * outputs * inputs), numbers.vector(4 * outputs));
        let small = reference::convolution(&images, &double(&weights), &double(&bias), 1);
        let mut expected = vec![0.0; 4 * size.pixels() * outputs];
        depth_to_space(&small, outputs, |from, to| expected[to] = small.values[from]);
        let mut small_gradient = Images::zeros(size, 4 * outputs);
        let shape = small_gradient.clone();
        depth_to_space(&shape, outputs, |from, to| small_gradient.values[from] = f64::from(gradient[to]));
        let (dx, dw, db) = reference::convolution_gradients(&images, &double(&weights), &small_gradient, 1);
        for set in InstructionSet::available() {
            let what = format!("{} {size:?} {inputs} to {outputs}", set.name());
            let operation = UpConvolution { size, inputs, outputs, set };
            assert_close(&what, &operation.forward(&x, &weights, Some(&bias)), &expected);
            assert_close(&what, &operation.input_gradient(&weights, &gradient), &dx.values);
            assert_close(&what, &operation.weight_gradient(&x, &gradient), &dw);
            assert_close(&what, &operation.bias_gradient(&gradient), &db);
        }
    }
}

#[test]
fn pooling_takes_the_largest_and_gives_the_gradient_to_the_first_of_them() {
    let mut numbers = Numbers(6);
    for (images, height, width, channels) in [(1, 2, 2, 1), (3, 4, 6, 5), (2, 8, 10, 16), (9, 2, 14, 24)] {
        let size = Size { images, height, width };
        let (mut x, _) = numbers.images(size, channels);
        // Ties, as ReLU leaves them.
        x.iter_mut().for_each(|v| *v = v.max(0.0));
        let (y, places) = reference::pool(&Images { size, channels, values: double(&x) });
        let gradient = numbers.vector(y.values.len());
        let mut expected = vec![0f32; x.len()];
        let before = numbers.vector(x.len());
        places.iter().zip(&gradient).for_each(|(&place, &g)| expected[place] = g);
        expected.iter_mut().zip(&before).for_each(|(sum, before)| *sum += before);
        for set in InstructionSet::available() {
            assert_eq!(double(&pool::forward(set, &x, size, channels)), y.values, "{}", set.name());
            let mut sum = before.clone();
            pool::add_gradient(set, &x, &gradient, size, channels, &mut sum);
            assert_eq!(sum, expected, "{}", set.name());
        }
    }
}

#[test]
fn adam_moves_against_the_gradient_by_the_formula() {
    let mut numbers = Numbers(7);
    let length = 40_000;
    let (weights, gradient) = (numbers.vector(length), numbers.vector(length));
    let moments: (Vec<f32>, Vec<f32>) =
        (numbers.vector(length), numbers.vector(length).iter().map(|v| v * v).collect());
    let factors = adam::Factors { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, correction: 0.5, rate: 1e-2 };
    for set in InstructionSet::available() {
        let (mut w, mut m, mut v) = (weights.clone(), moments.0.clone(), moments.1.clone());
        adam::step(set, &factors, &mut w, &gradient, &mut m, &mut v);
        for i in (0..length).step_by(97) {
            let g = f64::from(gradient[i]);
            let (beta_1, beta_2) = (f64::from(factors.beta_1), f64::from(factors.beta_2));
            let first = beta_1 * f64::from(moments.0[i]) + (1.0 - beta_1) * g;
            let second = beta_2 * f64::from(moments.1[i]) + (1.0 - beta_2) * g * g;
            let weight = f64::from(weights[i]) - 1e-2 * 0.5 * first / (second.sqrt() + 1e-8);
            for (found, expected) in [(m[i], first), (v[i], second), (w[i], weight)] {
                let difference = (f64::from(found) - expected).abs();
                assert!(difference <= 1e-6 * expected.abs().max(1e-2), "{} {i}: {found} {expected}", set.name());
            }
        }
    }
}

#[test]
fn confidences_are_the_largest_probabilities() {
    let mut numbers = Numbers(11);
    for (pixels, classes) in [(1, 1), (1, 2), (63, 3), (64, 4), (4097, 11), (9001, 2)] {
        let mut logits: Vec<f32> = numbers.vector(pixels * classes).iter().map(|v| 12.0 * v).collect();
        let expected: Vec<f64> = (0..pixels)
            .map(|pixel| {
                let powers = (0..classes).map(|class| f64::from(logits[class * pixels + pixel]).exp());
                powers.clone().fold(0.0, f64::max) / powers.sum::<f64>()
            })
            .collect();
        for set in InstructionSet::available() {
            let mut found = vec![f32::NAN; pixels];
            confidence::confidences(set, &logits, &mut found);
            // At most 1; each of up to 11 powers is within 2 units in the last place, which is 2^-24, and so is each sum within 1.
            for (found, expected) in found.iter().zip(&expected) {
                assert!((f64::from(*found) - expected).abs() <= 1e-6, "{} {found} {expected}", set.name());
            }
        }
        logits[pixels * classes - 1] = f32::NAN;
        let mut found = vec![0.0; pixels];
        confidence::confidences(InstructionSet::available()[0], &logits, &mut found);
        assert_eq!(found.iter().filter(|confidence| confidence.is_nan()).count(), 1);
        assert!(found[pixels - 1].is_nan());
    }
}

#[test]
fn cross_entropy_and_its_gradient_are_those_of_the_formula() {
    let mut numbers = Numbers(10);
    for (pixels, classes) in [(1, 2), (63, 3), (64, 4), (5000, 11), (9001, 2)] {
        let logits: Vec<f32> = numbers.vector(pixels * classes).iter().map(|v| 12.0 * v).collect();
        let ids: Vec<u8> = (0..pixels).map(|i| if i % 7 == 0 { 255 } else { (i * 5 % classes) as u8 }).collect();
        // A class of weight 0 does not count.
        let weights: Vec<f32> = (0..classes).map(|c| if c == 1 { 0.0 } else { 0.5 + c as f32 }).collect();
        let scale = 1.0 / pixels as f64;
        let (mut loss, mut gradient) = (0.0, vec![0.0; logits.len()]);
        for (p, &id) in ids.iter().enumerate().filter(|(_, id)| **id != 255) {
            let (row, id) = (double(&logits[p * classes..(p + 1) * classes]), usize::from(id));
            let (factor, sum) = (f64::from(weights[id]) * scale, row.iter().map(|v| v.exp()).sum::<f64>());
            loss += factor * (sum.ln() - row[id]);
            for c in 0..classes {
                gradient[p * classes + c] = factor * (row[c].exp() / sum - f64::from(u8::from(c == id)));
            }
        }
        let target = cross_entropy::Target { classes: &ids, weights: &weights, scale };
        for set in InstructionSet::available() {
            let mut found = vec![f32::NAN; logits.len()];
            let with = cross_entropy::cross_entropy(set, &logits, &target, Some(&mut found));
            let without = cross_entropy::cross_entropy(set, &logits, &target, None);
            assert_eq!(with, without);
            assert!((f64::from(with) - loss).abs() <= 1e-6 * loss.abs().max(1e-3), "{} {with} {loss}", set.name());
            let largest = gradient.iter().fold(0.0f64, |a, b| a.max(b.abs()));
            for (found, expected) in found.iter().zip(&gradient) {
                assert!((f64::from(*found) - expected).abs() <= 1e-6 * largest, "{} {found} {expected}", set.name());
            }
            // NaN in any logit makes the loss NaN.
            let mut broken = logits.clone();
            broken[pixels * classes - 1] = f32::NAN;
            let last = [ids[pixels - 1]];
            if weights.get(usize::from(last[0])).is_some_and(|w| *w > 0.0) {
                assert!(cross_entropy::cross_entropy(set, &broken, &target, None).is_nan(), "{}", set.name());
            }
        }
    }
}

#[test]
fn one_thread_and_many_give_equal_bits() {
    let mut numbers = Numbers(8);
    let size = Size { images: 3, height: 24, width: 40 };
    for (inputs, outputs) in [(1, 8), (8, 16), (64, 96)] {
        let (x, _) = numbers.images(size, inputs);
        let (gradient, _) = numbers.images(size, outputs);
        let (large, _) = numbers.images(Size { images: 3, height: 48, width: 80 }, outputs);
        let weights = numbers.vector(outputs * inputs * 9);
        for set in InstructionSet::available() {
            let all = || {
                let convolution = Convolution { size, outputs, kernel: 3, set };
                let up = UpsampleConvolution { size, inputs, outputs, set };
                let input = [(&x[..], inputs)];
                // Large enough for several parts.
                let found = statistics(set, &large, outputs);
                let ones = vec![1.0; outputs];
                let norm =
                    Norm { gamma: &ones, beta: &ones, mean: &found.mean, variance: &found.variance, epsilon: 1e-5 };
                let mut dx = large.clone();
                let (dgamma, dbeta) = norm.backward(set, &large, &mut dx);
                vec![
                    convolution.forward(&input, &weights, None),
                    convolution.input_gradient(&weights, &gradient, &[inputs]).remove(0),
                    convolution.weight_gradient(&input, &gradient),
                    up.forward(&x, &weights, None),
                    up.input_gradient(&weights, &large),
                    up.weight_gradient(&x, &large),
                    channel_sums(set, &large, outputs),
                    found.mean.clone(),
                    found.variance.clone(),
                    norm.forward(set, &large),
                    dx,
                    dgamma,
                    dbeta,
                ]
            };
            let by =
                |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(all);
            let one = by(1);
            for threads in [2, 3, 8] {
                for (a, b) in one.iter().zip(by(threads)) {
                    assert!(a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits()), "{} {threads}", set.name());
                }
            }
        }
    }
}
