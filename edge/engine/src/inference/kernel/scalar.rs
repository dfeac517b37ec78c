//! The formula, written down: the reference that every other kernel is held to.

use unet_shared::quantization::requantize;

use super::{ConvParameters, ConvSpec, InputView, OutputView};

/// A convolution as its model has it.
pub(super) struct Scalar {
    /// Less their zero points; output channel, input channel, row, column.
    weights: Vec<i16>,
    bias: Vec<i32>,
    multipliers: Vec<f32>,
    x_zero_point: u8,
    y_zero_point: u8,
    clamp: [u8; 2],
}

impl Scalar {
    pub(super) fn new(spec: &ConvSpec, parameters: &ConvParameters<'_>) -> Scalar {
        let per_channel = parameters.weights.len() / spec.channels_out;
        let weights = parameters.weights.iter().enumerate();
        Scalar {
            weights: weights
                .map(|(index, &weight)| {
                    let zero_points = parameters.weight_zero_points;
                    // Both are checked to be eight bits wide.
                    i16::from(weight) - zero_points[(index / per_channel) % zero_points.len()] as i16
                })
                .collect(),
            bias: parameters.bias.to_vec(),
            multipliers: parameters.multipliers.to_vec(),
            x_zero_point: parameters.x_zero_point,
            y_zero_point: parameters.y_zero_point,
            clamp: parameters.clamp,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        2 * self.weights.len() + 4 * (self.bias.len() + self.multipliers.len())
    }

    pub(super) fn run(&self, spec: &ConvSpec, input: &InputView<'_>, output: &mut OutputView<'_>) {
        for row in output.rows() {
            for column in 0..output.grid.width {
                let start = output.index(row, column);
                for channel in 0..spec.channels_out {
                    output.bytes[start + channel] = self.pixel(spec, input, [row, column], channel);
                }
            }
        }
    }

    fn pixel(&self, spec: &ConvSpec, input: &InputView<'_>, [row, column]: [usize; 2], channel: usize) -> u8 {
        let [rows, columns] = spec.kernel;
        let weights = &self.weights[channel * spec.channels_in * rows * columns..];
        let mut sum = i64::from(self.bias[channel]);
        for tap_row in 0..rows {
            for tap_column in 0..columns {
                let mut y = (row * spec.strides[0] + tap_row) as isize - spec.pads[0] as isize;
                let mut x = (column * spec.strides[1] + tap_column) as isize - spec.pads[1] as isize;
                if spec.upsample {
                    // Rounds down: -1 and -2 are in the border pixel -1.
                    (y, x) = (y >> 1, x >> 1);
                }
                let start = input.grid.index(y, x) + input.first_channel;
                let pixel = &input.bytes[start..start + spec.channels_in];
                for (depth, &value) in pixel.iter().enumerate() {
                    let weight = weights[(depth * rows + tap_row) * columns + tap_column];
                    sum += (i64::from(value) - i64::from(self.x_zero_point)) * i64::from(weight);
                }
            }
        }
        let sum = sum.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        let value = requantize(sum, self.multipliers[channel], i32::from(self.y_zero_point));
        value.clamp(self.clamp[0], self.clamp[1])
    }
}
