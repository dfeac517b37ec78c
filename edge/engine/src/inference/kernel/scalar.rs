//! The formula in plain Rust: the reference that every other kernel is tested against.

use unet_shared::quantization::requantize;

use super::convolution::{ConvShape, Convolution};
use super::view::{InputView, OutputView};

/// A convolution in the order of its model.
pub(super) struct Scalar {
    /// Zero points subtracted; output channel, input channel of its group, row, column.
    weights: Vec<i16>,
    bias: Vec<i32>,
    multipliers: Vec<f32>,
    x_zero_point: u8,
    y_zero_point: u8,
    clamp: [u8; 2],
}

impl Scalar {
    pub(super) fn new(convolution: &Convolution) -> Scalar {
        let channels = 0..convolution.shape.channels_out;
        Scalar {
            // `Convolution::check` has found weights and zero points to have eight bits.
            weights: channels
                .flat_map(|channel| convolution.channel_weights(channel).map(|weight| weight as i16))
                .collect(),
            bias: convolution.bias.clone(),
            multipliers: convolution.multipliers.clone(),
            x_zero_point: convolution.x_zero_point,
            y_zero_point: convolution.y_zero_point,
            clamp: convolution.clamp,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        2 * self.weights.len() + 4 * (self.bias.len() + self.multipliers.len())
    }

    pub(super) fn run(&self, shape: &ConvShape, input: &InputView<'_>, output: &mut OutputView<'_>) {
        for row in output.rows() {
            for column in 0..output.grid.width {
                let start = output.index(row, column);
                for channel in 0..shape.channels_out {
                    output.bytes[start + channel] = self.pixel(shape, input, [row, column], channel);
                }
            }
        }
    }

    fn pixel(&self, shape: &ConvShape, input: &InputView<'_>, [row, column]: [usize; 2], channel: usize) -> u8 {
        let [rows, columns] = shape.kernel_size;
        let depth = shape.depth();
        let weights = &self.weights[channel * depth * rows * columns..];
        let first_channel = input.first_channel + shape.first_channel_in(channel);
        let mut sum = i64::from(self.bias[channel]);
        for tap_row in 0..rows {
            for tap_column in 0..columns {
                let mut y = (row * shape.strides[0] + tap_row * shape.dilations[0]) as isize - shape.pads[0] as isize;
                let mut x =
                    (column * shape.strides[1] + tap_column * shape.dilations[1]) as isize - shape.pads[1] as isize;
                if shape.upsample {
                    // Rounds down: -1 and -2 become the border pixel -1.
                    (y, x) = (y >> 1, x >> 1);
                }
                let start = input.grid.index(y, x) + first_channel;
                let pixel = &input.bytes[start..start + depth];
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
