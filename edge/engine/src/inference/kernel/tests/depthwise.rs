//! Convolutions whose channels each have taps of their own.

use super::*;

fn depthwise(side: usize, channels: usize) -> ConvShape {
    ConvShape { groups: channels, ..same_size(side, channels, channels) }
}

#[test]
fn every_number_of_depthwise_channels() {
    for channels in (1..=136).chain([191, 192, 200, 260]) {
        for strides in [[1, 1], [2, 2]] {
            let shape = ConvShape { strides, ..depthwise(3, channels) };
            check(&Case { shape, size: [4, 13], values: Values::Any, seed: channels as u8 });
            check(&Case { shape, size: [3, 8], values: Values::Usual, seed: channels as u8 });
        }
    }
}

#[test]
fn every_depthwise_width() {
    for width in 1..=40 {
        for channels in [8, 16, 32, 48, 64, 100] {
            for strides in [[1, 1], [2, 2], [1, 3], [3, 4]] {
                // Of usual values, so that no weight is split and outputs share columns.
                let shape = ConvShape { strides, ..depthwise(3, channels) };
                check(&Case { shape, size: [3, width], values: Values::Usual, seed: (width + channels) as u8 });
            }
        }
    }
}

#[test]
fn every_depthwise_kernel_size_and_pad() {
    let mut seed = 0;
    for kernel_size in [[1, 1], [2, 2], [3, 3], [1, 3], [3, 1], [4, 2], [5, 5], [7, 3], [9, 1]] {
        for strides in [[1, 1], [2, 2], [1, 3]] {
            for pads in [[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 2], [2, 2, 2, 2], [0, 0, 4, 3]] {
                for dilations in [[1, 1], [2, 2], [1, 3]] {
                    for upsample in [false, true] {
                        if upsample && strides != [1, 1] {
                            continue;
                        }
                        seed += 1;
                        let shape = ConvShape { kernel_size, pads, strides, dilations, upsample, ..depthwise(3, 35) };
                        if shape.output_size(10, 13).is_some() {
                            check(&Case { shape, size: [10, 13], values: Values::Any, seed: seed as u8 });
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn extreme_depthwise_values() {
    for (seed, values) in ALL_VALUES.into_iter().enumerate() {
        for round in 0..8 {
            for channels in [64, 40, 16, 5] {
                for strides in [[1, 1], [2, 2]] {
                    let shape = ConvShape { strides, ..depthwise(3, channels) };
                    check(&Case { shape, size: [3, 10], values, seed: (round * 4 + seed) as u8 });
                }
            }
        }
    }
}

#[test]
fn random_depthwise_shapes() {
    let mut dice = Dice::new(3);
    for round in 0..400 {
        let shape = ConvShape {
            kernel_size: std::array::from_fn(|_| dice.between(1, 5) as usize),
            pads: std::array::from_fn(|_| dice.below(3)),
            strides: std::array::from_fn(|_| dice.pick(&[1, 1, 2, 3])),
            dilations: std::array::from_fn(|_| dice.pick(&[1, 1, 1, 2, 5])),
            ..depthwise(3, dice.between(1, 150) as usize)
        };
        let size = [dice.between(1, 9) as usize, dice.between(1, 40) as usize];
        if shape.output_size(size[0], size[1]).is_some() {
            check(&Case { shape, size, values: dice.pick(&ALL_VALUES), seed: round as u8 });
        }
    }
}
