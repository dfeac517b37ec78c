//! The tests that every kernel inherits: bytes equal to the scalar kernel's, which is tested against the formula itself.

use std::ops::Range;

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::*;

mod depthwise;

/// Random numbers, the same in each run.
struct Dice(TestRng);

impl Dice {
    fn new(seed: u8) -> Dice {
        Dice(TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
    }

    fn below(&mut self, end: usize) -> usize {
        self.0.next_u32() as usize % end
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as usize) as i64
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Which values weights and activations have.
#[derive(Clone, Copy, Debug)]
enum Values {
    /// As in a trained network: mostly small weights.
    Usual,
    /// Any byte.
    Any,
    /// Activations of 0 and 255, weights of -128, -127 and 127.
    Extreme,
    /// Every product is the largest positive one, or every one the largest negative one.
    AllOneSign,
}

/// A convolution, the size of its input, and the seed of its numbers and layouts.
#[derive(Debug)]
struct Case {
    shape: ConvShape,
    size: [usize; 2],
    values: Values,
    seed: u8,
}

struct Numbers {
    convolution: Convolution,
    input: Grid,
    input_channels: Range<usize>,
    input_bytes: Vec<u8>,
    output: Grid,
    output_channels: Range<usize>,
    output_bytes: Vec<u8>,
}

impl Numbers {
    fn new(case: &Case) -> Numbers {
        let mut dice = Dice::new(case.seed);
        let shape = &case.shape;
        let fan_in = shape.depth() * shape.kernel_size[0] * shape.kernel_size[1];
        let sign = dice.pick(&[-1, 1]);
        let weight = |dice: &mut Dice| match case.values {
            Values::Usual => (dice.between(-50, 50) * dice.between(-50, 50) / 20) as i8,
            Values::Any => dice.between(-128, 127) as i8,
            Values::Extreme => dice.pick(&[-128, -127, 127]),
            Values::AllOneSign if sign < 0 => -128,
            Values::AllOneSign => 127,
        };
        let weights = (0..fan_in * shape.channels_out).map(|_| weight(&mut dice)).collect();
        let zero_points = dice.pick(&[1, shape.channels_out]);
        let weight_zero_points = match case.values {
            Values::Usual => vec![0],
            _ => (0..zero_points).map(|_| dice.pick(&[0, 0, -128, 127, 5])).collect(),
        };
        let x_zero_point = match case.values {
            Values::Usual => dice.pick(&[0, 128, 3]),
            _ => dice.pick(&[0, 255, 77]),
        };
        let bias = (0..shape.channels_out).map(|_| dice.between(-20_000, 20_000) as i32).collect();
        // Outputs spread over the byte and beyond; the last multiplier makes many ties.
        let spread = 1.0 / (fan_in as f32).sqrt();
        let multipliers =
            (0..shape.channels_out).map(|_| dice.pick(&[0.02, 0.1, 0.003]) * spread).map(|m| m.max(1e-6)).collect();
        let multipliers = if dice.below(4) == 0 { vec![0.015625; shape.channels_out] } else { multipliers };
        let y_zero_point: u8 = dice.pick(&[0, 0, 128, 255, 9]);
        let clamp = dice.pick(&[[0, 255], [y_zero_point, 255], [0, 254.min(y_zero_point.saturating_add(100))]]);

        let input_first = dice.pick(&[0, 0, 1, 16, 3]);
        let input_stride = input_first + shape.channels_in + dice.pick(&[0, 0, 1, 4, 7]);
        let border = shape.border() + dice.pick(&[0, 0, 1]);
        let input = Grid::new(case.size[0], case.size[1], border, input_stride).unwrap();
        let value = |dice: &mut Dice| match case.values {
            Values::Usual | Values::Any => dice.below(256) as u8,
            Values::Extreme => dice.pick(&[0, 255]),
            Values::AllOneSign => 255,
        };
        let mut input_bytes: Vec<u8> = (0..input.bytes()).map(|_| value(&mut dice)).collect();
        let input_channels = input_first..input_first + shape.channels_in;
        for row in 0..case.size[0] + 2 * border {
            for column in 0..case.size[1] + 2 * border {
                let inside = |at: usize, size: usize| (border..border + size).contains(&at);
                if !(inside(row, case.size[0]) && inside(column, case.size[1])) {
                    let start = row * input.row_stride() + column * input_stride + input_first;
                    input_bytes[start..start + shape.channels_in].fill(x_zero_point);
                }
            }
        }
        let [height, width] = shape.output_size(case.size[0], case.size[1]).unwrap();
        let output_first = dice.pick(&[0, 0, 5, 16]);
        let output_stride = output_first + shape.channels_out + dice.pick(&[0, 0, 3, 16]);
        let output = Grid::new(height, width, dice.below(3), output_stride).unwrap();
        let output_bytes = (0..output.bytes()).map(|_| dice.below(256) as u8).collect();
        let convolution = Convolution {
            shape: *shape,
            weights,
            weight_zero_points,
            bias,
            multipliers,
            x_zero_point,
            y_zero_point,
            clamp,
        };
        Numbers {
            convolution,
            input,
            input_channels,
            input_bytes,
            output,
            output_channels: output_first..output_first + shape.channels_out,
            output_bytes,
        }
    }

    fn pack(&self, kernel: Kernel) -> PackedConv {
        PackedConv::new(kernel, &self.convolution, self.input).unwrap()
    }

    /// The whole output buffer, with its old contents where nothing is written. Buffers are as long as the contract says and
    /// not a byte longer.
    fn run(&self, conv: &PackedConv, split: usize) -> Vec<u8> {
        let mut bytes = self.output_bytes.clone();
        let input = InputView::new(self.input, self.input_channels.clone(), &self.input_bytes).unwrap();
        let output = OutputView::new(self.output, self.output_channels.clone(), &mut bytes).unwrap();
        let (mut above, mut below) = output.split_at_row(split);
        // The contents must not matter.
        let mut scratch = vec![i32::MIN; conv.scratch()];
        conv.run(&input, &mut below, &mut scratch);
        scratch.fill(77);
        conv.run(&input, &mut above, &mut scratch);
        bytes
    }
}

/// Runs a case on every kernel, with its rows split in two.
fn check(case: &Case) {
    let numbers = Numbers::new(case);
    let rows = numbers.output.height();
    let split = usize::from(case.seed) % (rows + 1);
    let expected = numbers.run(&numbers.pack(Kernel::Scalar), rows);
    for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()) {
        let conv = numbers.pack(kernel);
        assert_eq!(conv.kernel(), kernel, "{case:?}");
        let found = numbers.run(&conv, split);
        if let Some(index) = (0..found.len()).find(|&index| found[index] != expected[index]) {
            let (found, expected) = (found[index], expected[index]);
            panic!("{kernel}: expected {expected} at byte {index}, found {found}, in {case:?} of {:?}", numbers.output);
        }
    }
}

const ALL_VALUES: [Values; 4] = [Values::Usual, Values::Any, Values::Extreme, Values::AllOneSign];

fn same_size(side: usize, channels_in: usize, channels_out: usize) -> ConvShape {
    let pad = side / 2;
    ConvShape {
        kernel_size: [side, side],
        pads: [pad, pad, side - 1 - pad, side - 1 - pad],
        strides: [1, 1],
        dilations: [1, 1],
        channels_in,
        channels_out,
        groups: 1,
        upsample: false,
    }
}

#[test]
fn every_width() {
    for width in 1..=40 {
        for (channels_in, channels_out) in [(4, 16), (16, 32), (3, 48)] {
            let shape = same_size(3, channels_in, channels_out);
            check(&Case { shape, size: [3, width], values: Values::Any, seed: width as u8 });
            let shape = ConvShape { upsample: true, ..shape };
            check(&Case { shape, size: [2, width], values: Values::Any, seed: width as u8 });
        }
    }
}

#[test]
fn every_number_of_channels() {
    for channels in 1..=36 {
        check(&Case { shape: same_size(3, channels, 8), size: [4, 9], values: Values::Any, seed: channels as u8 });
        check(&Case { shape: same_size(3, 4, channels), size: [4, 9], values: Values::Any, seed: channels as u8 });
        check(&Case {
            shape: same_size(1, channels, channels),
            size: [3, 7],
            values: Values::Any,
            seed: channels as u8,
        });
    }
    for channels in [63, 64, 65, 100, 128] {
        check(&Case { shape: same_size(3, 16, channels), size: [4, 9], values: Values::Any, seed: channels as u8 });
    }
}

#[test]
fn every_pad_and_stride() {
    let mut seed = 0;
    for kernel_size in [[1, 1], [2, 2], [3, 3], [1, 3], [4, 2], [5, 5]] {
        for strides in [[1, 1], [2, 2], [1, 3]] {
            for pads in [[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 2], [0, 1, 1, 0], [2, 2, 2, 2], [0, 0, 4, 3]] {
                for upsample in [false, true] {
                    if upsample && strides != [1, 1] {
                        continue;
                    }
                    seed += 1;
                    let shape = ConvShape { kernel_size, pads, strides, upsample, ..same_size(3, 5, 30) };
                    check(&Case { shape, size: [6, 11], values: Values::Any, seed });
                }
            }
        }
    }
}

/// Rows of more tiles than Winograd's algorithm computes at a time, and more rows than it transforms at a time.
#[test]
fn wide_and_high_inputs() {
    for (seed, (channels, size)) in [(16, [3, 61]), (64, [9, 61]), (64, [8, 50])].into_iter().enumerate() {
        for round in 0..4 {
            let case =
                Case { shape: same_size(3, channels, 16), size, values: Values::Usual, seed: (4 * seed + round) as u8 };
            check(&case);
        }
    }
}

#[test]
fn an_upsampled_pixel_seen_by_one_output() {
    for (seed, kernel_size) in [[2, 2], [2, 1], [1, 2]].into_iter().enumerate() {
        let shape = ConvShape { kernel_size, pads: [0; 4], upsample: true, ..same_size(3, 5, 18) };
        check(&Case { shape, size: [1, 1], values: Values::Any, seed: seed as u8 });
    }
}

#[test]
fn extreme_values() {
    for (seed, values) in ALL_VALUES.into_iter().enumerate() {
        for round in 0..8 {
            for shape in [same_size(3, 64, 32), same_size(1, 33, 16), same_size(2, 8, 4)] {
                let seed = (round * 4 + seed) as u8;
                check(&Case { shape, size: [3, 10], values, seed });
                let shape = ConvShape { upsample: true, ..shape };
                check(&Case { shape, size: [3, 10], values, seed });
            }
        }
    }
}

#[test]
fn random_shapes() {
    let mut dice = Dice::new(1);
    for round in 0..600 {
        let upsample = dice.below(3) == 0;
        let kernel_size = [dice.between(1, 4) as usize, dice.between(1, 4) as usize];
        let stride = |dice: &mut Dice| if upsample { 1 } else { dice.pick(&[1, 1, 2, 3]) };
        let groups = dice.pick(&[1, 1, 1, 2, 3, 7, 16]);
        let most = |channels: i64| channels / groups as i64;
        let shape = ConvShape {
            kernel_size,
            pads: std::array::from_fn(|_| dice.below(3)),
            strides: [stride(&mut dice), stride(&mut dice)],
            dilations: [dice.pick(&[1, 1, 1, 2, 3]), dice.pick(&[1, 1, 1, 2, 5])],
            channels_in: groups * dice.between(1, most(40)) as usize,
            channels_out: groups * dice.between(1, most(70)) as usize,
            groups,
            upsample,
        };
        let size = [dice.between(1, 9) as usize, dice.between(1, 40) as usize];
        if shape.output_size(size[0], size[1]).is_some() {
            check(&Case { shape, size, values: dice.pick(&ALL_VALUES), seed: round as u8 });
        }
    }
}

/// The reference against the formula in i128 and f64, on logical pixels: no borders, no views.
#[test]
fn scalar_is_the_formula() {
    let mut dice = Dice::new(2);
    for seed in 0..60 {
        let (upsample, groups) = (dice.below(2) == 0, dice.between(1, 3) as usize);
        let shape = ConvShape {
            kernel_size: [dice.between(1, 3) as usize, dice.between(1, 3) as usize],
            pads: std::array::from_fn(|_| dice.below(3)),
            strides: if upsample { [1, 1] } else { [dice.between(1, 2) as usize, dice.between(1, 2) as usize] },
            dilations: [dice.between(1, 3) as usize, dice.between(1, 2) as usize],
            channels_in: groups * dice.between(1, 5) as usize,
            channels_out: groups * dice.between(1, 5) as usize,
            groups,
            upsample,
        };
        let size = [dice.between(1, 6) as usize, dice.between(1, 6) as usize];
        let Some([height, width]) = shape.output_size(size[0], size[1]) else { continue };
        let case = Case { shape, size, values: dice.pick(&ALL_VALUES), seed };
        let numbers = Numbers::new(&case);
        let found = numbers.run(&numbers.pack(Kernel::Scalar), 0);
        let factor = if upsample { 2 } else { 1 };
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            for channel in 0..shape.channels_out {
                let zero_points = &numbers.convolution.weight_zero_points;
                let mut sum = i128::from(numbers.convolution.bias[channel]);
                for y in 0..shape.kernel_size[0] {
                    for x in 0..shape.kernel_size[1] {
                        let at = |at: usize, tap: usize, stride: usize, pad: usize, size: usize| {
                            (at * stride + tap).checked_sub(pad).filter(|&at| at < size * factor).map(|at| at / factor)
                        };
                        let from_row = at(row, y * shape.dilations[0], shape.strides[0], shape.pads[0], size[0]);
                        let from_column = at(column, x * shape.dilations[1], shape.strides[1], shape.pads[1], size[1]);
                        let (Some(from_row), Some(from_column)) = (from_row, from_column) else { continue };
                        let per_group = shape.channels_in / groups;
                        let first = channel / (shape.channels_out / groups) * per_group;
                        for depth in 0..per_group {
                            let border = numbers.input.border();
                            let index = (from_row + border) * numbers.input.row_stride()
                                + (from_column + border) * numbers.input.pixel_stride();
                            let value = numbers.input_bytes[index + numbers.input_channels.start + first + depth];
                            let index =
                                ((channel * per_group + depth) * shape.kernel_size[0] + y) * shape.kernel_size[1] + x;
                            let weight = i128::from(numbers.convolution.weights[index]);
                            sum += (i128::from(value) - i128::from(numbers.convolution.x_zero_point))
                                * (weight - i128::from(zero_points[channel % zero_points.len()]));
                        }
                    }
                }
                // f64 holds the product of two f32 exactly, so the cast back is the one rounding.
                let scaled = (f64::from(sum as f32) * f64::from(numbers.convolution.multipliers[channel])) as f32;
                let expected = f64::from(scaled).round_ties_even() as i64 + i64::from(numbers.convolution.y_zero_point);
                let expected = expected
                    .clamp(i64::from(numbers.convolution.clamp[0]), i64::from(numbers.convolution.clamp[1]))
                    as u8;
                let index = (row + numbers.output.border()) * numbers.output.row_stride()
                    + (column + numbers.output.border()) * numbers.output.pixel_stride();
                assert_eq!(found[index + numbers.output_channels.start + channel], expected, "{case:?}");
            }
        }
    }
}

#[test]
fn what_could_leave_i32_is_computed_by_the_scalar_kernel() {
    let input = Grid::new(1, 1, 0, 1).unwrap();
    for (bias, multiplier, expected) in [(i32::MAX, 1e-3, 255), (i32::MIN, 1e-3, 0), (1_000_000, 1e5, 255)] {
        let convolution = Convolution {
            shape: same_size(1, 1, 1),
            weights: vec![127],
            weight_zero_points: vec![0],
            bias: vec![bias],
            multipliers: vec![multiplier],
            x_zero_point: 0,
            y_zero_point: 7,
            clamp: [0, 255],
        };
        let conv = PackedConv::new(Kernel::best(), &convolution, input).unwrap();
        assert_eq!(conv.kernel(), Kernel::Scalar);
        let mut bytes = vec![0; input.bytes()];
        let x = vec![255; input.bytes()];
        let mut output = OutputView::new(input, 0..1, &mut bytes).unwrap();
        conv.run(&InputView::new(input, 0..1, &x).unwrap(), &mut output, &mut []);
        assert_eq!(bytes[0], expected);
    }
}

#[test]
fn wrong_numbers_are_refused() {
    let valid = Convolution {
        shape: same_size(3, 2, 1),
        weights: vec![0; 18],
        weight_zero_points: vec![0],
        bias: vec![0],
        multipliers: vec![1.0],
        x_zero_point: 0,
        y_zero_point: 0,
        clamp: [0, 255],
    };
    let grid = |size: usize, border: usize| Grid::new(size, size, border, 2).unwrap();
    let new = |convolution: &Convolution, grid: Grid| {
        PackedConv::new(Kernel::Scalar, convolution, grid).map(|conv| conv.output_size())
    };
    assert_eq!(new(&valid, grid(5, 1)), Ok([5, 5]));
    let bounds = |what: &'static str, bounds: [usize; 2], found: usize| Err(ConvError::Bounds { what, bounds, found });
    assert_eq!(new(&valid, grid(5, 0)), bounds("border of the input", [1, usize::MAX], 0));
    let check = |shape: ConvShape, size: usize, expected: Result<[usize; 2], ConvError>| {
        assert_eq!(new(&Convolution { shape, ..valid.clone() }, grid(size, 1)), expected);
    };
    let shape = valid.shape;
    check(ConvShape { pads: [0; 4], ..shape }, 2, bounds("kernel columns for this input", [1, 2], 3));
    check(ConvShape { strides: [0, 1], ..shape }, 5, bounds("strides", [1, 255], 0));
    check(ConvShape { strides: [2, 2], upsample: true, ..shape }, 5, bounds("strides", [1, 1], 2));
    let check = |change: fn(&mut Convolution), expected: ConvError| {
        let mut convolution = valid.clone();
        change(&mut convolution);
        assert_eq!(new(&convolution, grid(5, 1)), Err(expected));
    };
    check(
        |convolution| convolution.weight_zero_points = vec![-129],
        ConvError::Bounds { what: "weight zero point + 128", bounds: [0, 255], found: usize::MAX },
    );
    check(
        |convolution| convolution.clamp = [9, 8],
        ConvError::Bounds { what: "maximum output", bounds: [9, 255], found: 8 },
    );
    check(
        |convolution| convolution.weights = vec![0; 17],
        ConvError::Mismatch { what: "number of weights", expected: 18, found: 17 },
    );
    check(
        |convolution| convolution.bias = vec![0; 2],
        ConvError::Mismatch { what: "number of biases", expected: 1, found: 2 },
    );
    check(
        |convolution| convolution.multipliers = vec![f32::INFINITY],
        ConvError::Multiplier { channel: 0, found: f32::INFINITY },
    );
}

#[test]
fn views_lie_within_their_buffers() {
    for (height, width) in [(0, 1), (usize::MAX, 1)] {
        assert_eq!(Grid::new(height, width, 1, 1), Err(ConvError::Grid { height, width, pixel_stride: 1 }));
    }
    let grid = Grid::new(5, 5, 1, 2).unwrap();
    let error = |channels: Range<usize>, bytes: usize| InputView::new(grid, channels, &vec![0; bytes]).err();
    assert_eq!(error(0..2, grid.bytes()), None);
    let expected = ConvError::Buffer { expected: grid.bytes(), found: grid.bytes() - 1 };
    assert_eq!(error(0..2, grid.bytes() - 1), Some(expected));
    let expected = ConvError::Bounds { what: "end of the channels", bounds: [2, 2], found: 3 };
    assert_eq!(error(1..3, grid.bytes()), Some(expected));
}
