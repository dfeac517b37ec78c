//! The depthwise convolution, channel by channel against the convolution of one channel.

use super::*;
use crate::depthwise::DepthwiseConvolution;

/// One pixel, one row, one column; rows shorter and longer than what is in flight, and one of two runs of sums; a single channel,
/// fewer than in a register, whole registers, and blocks that overlap.
const CASES: [(usize, usize, usize, usize); 10] = [
    (1, 1, 1, 8),
    (2, 1, 19, 16),
    (1, 7, 1, 5),
    (3, 2, 2, 33),
    (2, 5, 11, 1),
    (2, 4, 18, 3),
    (1, 6, 23, 24),
    (9, 3, 10, 32),
    (1, 3, 300, 17),
    (3, 13, 9, 9),
];

fn one_channel(images: &Images, channel: usize) -> Images {
    let values = images.values.iter().skip(channel).step_by(images.channels).copied().collect();
    Images { size: images.size, channels: 1, values }
}

/// Values of each channel, interleaved.
fn joined(channels: &[Vec<f64>]) -> Vec<f64> {
    (0..channels[0].len()).flat_map(|i| channels.iter().map(move |values| values[i])).collect()
}

fn shapes() -> impl Iterator<Item = (Size, Size, usize, usize)> {
    CASES.into_iter().flat_map(|(images, height, width, channels)| {
        [1, 2].map(|stride| {
            let size = Size { images, height, width };
            (size, Size { images, height: stride * height, width: stride * width }, channels, stride)
        })
    })
}

#[test]
fn depthwise_convolutions_and_their_gradients_are_those_of_each_channel() {
    let mut numbers = Numbers(15);
    for (size, large, channels, stride) in shapes() {
        let (x, images) = numbers.images(large, channels);
        let (gradient, gradient_images) = numbers.images(size, channels);
        let (weights, bias) = (numbers.vector(9 * channels), numbers.vector(channels));
        let (mut y, mut dx, mut dw, mut db) = (vec![], vec![], vec![], vec![]);
        for channel in 0..channels {
            let weights = double(&weights[9 * channel..][..9]);
            let (input, mut gradient) = (one_channel(&images, channel), one_channel(&gradient_images, channel));
            let mut output = reference::convolution(&input, &weights, &[f64::from(bias[channel])], 3);
            if stride == 2 {
                output = reference::every_second(&output);
                gradient = reference::every_second_gradient(&gradient);
            }
            let found = reference::convolution_gradients(&input, &weights, &gradient, 3);
            y.push(output.values);
            dx.push(found.0.values);
            dw.extend(found.1);
            db.extend(found.2);
        }
        for set in InstructionSet::available() {
            let what = format!("{} {size:?}, {channels} channels, stride {stride}", set.name());
            let operation = DepthwiseConvolution { size, channels, stride, set };
            assert_close(&what, &operation.forward(&x, &weights, Some(&bias)), &joined(&y));
            let unbiased = operation.forward(&x, &weights, None);
            let biased = unbiased.iter().enumerate().map(|(i, y)| y + bias[i % channels]).collect::<Vec<f32>>();
            assert_close(&what, &biased, &joined(&y));
            assert_close(&what, &operation.input_gradient(&weights, &gradient), &joined(&dx));
            assert_close(&what, &operation.weight_gradient(&x, &gradient), &dw);
            assert_close(&what, &operation.bias_gradient(&gradient), &db);
        }
    }
}

#[test]
fn a_value_that_is_no_number_reaches_the_windows_that_read_it_and_nothing_else() {
    for (size, large, channels, stride) in shapes() {
        let (n, y, x, c) = (size.images - 1, large.height / 2, large.width / 2, channels - 1);
        let mut input = vec![1f32; large.pixels() * channels];
        input[((n * large.height + y) * large.width + x) * channels + c] = f32::NAN;
        let weights = vec![1f32; 9 * channels];
        for set in InstructionSet::available() {
            let operation = DepthwiseConvolution { size, channels, stride, set };
            for (i, value) in operation.forward(&input, &weights, None).into_iter().enumerate() {
                let (pixel, channel) = (i / channels, i % channels);
                let (image, row, column) =
                    (pixel / size.width / size.height, pixel / size.width % size.height, pixel % size.width);
                let is_near = (stride * row).abs_diff(y) <= 1 && (stride * column).abs_diff(x) <= 1;
                assert_eq!(value.is_nan(), image == n && channel == c && is_near, "{} {size:?} {i}", set.name());
            }
            let sums = operation.weight_gradient(&input, &vec![1f32; size.pixels() * channels]);
            assert!(sums.iter().enumerate().all(|(i, sum)| i / 9 == c || sum.is_finite()), "{} {size:?}", set.name());
            assert!(sums[9 * c..].iter().any(|sum| sum.is_nan()), "{} {size:?}", set.name());
        }
    }
}

#[test]
fn one_thread_and_many_give_equal_bits() {
    let mut numbers = Numbers(16);
    for (channels, stride) in [(8, 1), (24, 2), (5, 1)] {
        let size = Size { images: 3, height: 21, width: 40 };
        let large = Size { images: 3, height: stride * 21, width: stride * 40 };
        let (x, gradient) = (numbers.images(large, channels).0, numbers.images(size, channels).0);
        let weights = numbers.vector(9 * channels);
        for set in InstructionSet::available() {
            let operation = DepthwiseConvolution { size, channels, stride, set };
            let by = |threads: usize| {
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                    [
                        operation.forward(&x, &weights, None),
                        operation.input_gradient(&weights, &gradient),
                        operation.weight_gradient(&x, &gradient),
                    ]
                    .map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
                })
            };
            let one = by(1);
            assert!([2, 3].into_iter().all(|threads| by(threads) == one), "{}, {channels} channels", set.name());
        }
    }
}
