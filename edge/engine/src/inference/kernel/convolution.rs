//! A quantized convolution, as the extraction from a graph, the memory plan and every compute kernel see it.

use super::error::ConvError;
use super::grid::Grid;

/// The shape of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Rows and columns of taps.
    pub kernel_size: [usize; 2],
    /// Pixels added above, left, below, right (the order of ONNX), with the value of the input's zero point.
    pub pads: [usize; 4],
    /// Rows and columns from an output to the next.
    pub strides: [usize; 2],
    /// Rows and columns from a tap to the next.
    pub dilations: [usize; 2],
    /// Channels read.
    pub channels_in: usize,
    /// Channels written.
    pub channels_out: usize,
    /// Groups of neighbouring channels: each output channel reads those of its own group. Divides both numbers of channels.
    pub groups: usize,
    /// The input is read as if each pixel were 2x2 (nearest-neighbour upsampling by 2); only with strides of 1. Pads
    /// are counted after it.
    pub upsample: bool,
}

impl ConvShape {
    /// Rows and columns of the output for an input of this size; `None` if the taps do not fit into the padded input.
    pub fn output_size(&self, height: usize, width: usize) -> Option<[usize; 2]> {
        let [top, left, bottom, right] = self.pads;
        let factor = if self.upsample { 2 } else { 1 };
        let side = |axis: usize, pixels: usize, pads: usize| {
            Some((pixels * factor + pads).checked_sub(self.extent(axis))?.checked_div(self.strides[axis])? + 1)
        };
        Some([side(0, height, top + bottom)?, side(1, width, left + right)?])
    }

    /// Rows (axis 0) or columns (axis 1) from the first tap to the last, inclusive.
    pub fn extent(&self, axis: usize) -> usize {
        self.kernel_size[axis].saturating_sub(1) * self.dilations[axis] + 1
    }

    /// Channels that an output channel reads.
    pub fn depth(&self) -> usize {
        self.channels_in / self.groups.max(1)
    }

    /// The first channel that an output channel reads.
    pub(super) fn first_channel_in(&self, channel: usize) -> usize {
        channel / (self.channels_out / self.groups) * self.depth()
    }

    /// Pixels of border that the input needs on each side so that no tap reads outside its buffer.
    pub fn border(&self) -> usize {
        let max = self.pads.into_iter().max().unwrap_or(0);
        if self.upsample { max.div_ceil(2) } else { max }
    }

    /// Weights of all output channels.
    pub fn weights(&self) -> usize {
        self.channels_out * self.depth() * self.kernel_size[0] * self.kernel_size[1]
    }

    /// Multiply-accumulates for an output of this size, as the model counts them: padding and upsampled pixels included.
    pub fn macs(&self, [height, width]: [usize; 2]) -> u64 {
        self.weights() as u64 * height as u64 * width as u64
    }
}

/// A convolution with its quantization.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// The shape.
    pub shape: ConvShape,
    /// Weights: output channel, input channel of its group, row, column. Weights that a model stores as u8 are stored less 128, and
    /// their zero points too.
    pub weights: Vec<i8>,
    /// One, or one for each output channel.
    pub weight_zero_points: Vec<i32>,
    /// One for each output channel, in steps of the accumulator.
    pub bias: Vec<i32>,
    /// `(x_scale * w_scale) / y_scale`, one for each output channel.
    pub multipliers: Vec<f32>,
    /// Zero point of the input.
    pub x_zero_point: u8,
    /// Zero point of the output.
    pub y_zero_point: u8,
    /// Minimum and maximum of the output; a ReLU is `[y_zero_point, 255]`.
    pub clamp: [u8; 2],
}

impl Convolution {
    /// Rows and columns of the output for an input of this layout.
    pub(super) fn check(&self, input: &Grid) -> Result<[usize; 2], ConvError> {
        let within = |what: &'static str, bounds: [usize; 2], found: usize| {
            let inside = bounds[0] <= found && found <= bounds[1];
            if inside { Ok(()) } else { Err(ConvError::Bounds { what, bounds, found }) }
        };
        let shape = &self.shape;
        // No network for a board comes near these; they keep every product below in range.
        for size in shape.kernel_size {
            within("kernel size", [1, 255], size)?;
        }
        for pad in shape.pads {
            within("pads", [0, 255], pad)?;
        }
        for stride in shape.strides {
            within("strides", [1, if shape.upsample { 1 } else { 255 }], stride)?;
        }
        for dilation in shape.dilations {
            within("dilations", [1, 255], dilation)?;
        }
        within("input channels", [1, 1 << 16], shape.channels_in)?;
        within("output channels", [1, 1 << 16], shape.channels_out)?;
        let both = shape.channels_in.min(shape.channels_out);
        within("groups", [1, both], shape.groups)?;
        for channels in [shape.channels_in, shape.channels_out] {
            within("channels that are left over by the groups", [0, 0], channels % shape.groups)?;
        }
        within("border of the input", [shape.border(), usize::MAX], input.border)?;

        let equal = |what: &'static str, expected: usize, found: usize| {
            if expected == found { Ok(()) } else { Err(ConvError::Mismatch { what, expected, found }) }
        };
        let channels = shape.channels_out;
        equal("number of weights", shape.weights(), self.weights.len())?;
        equal("number of biases", channels, self.bias.len())?;
        equal("number of multipliers", channels, self.multipliers.len())?;
        if self.weight_zero_points.len() != 1 {
            equal("number of weight zero points", channels, self.weight_zero_points.len())?;
        }
        for &zero_point in &self.weight_zero_points {
            within(
                "weight zero point + 128",
                [0, 255],
                usize::try_from(i64::from(zero_point) + 128).unwrap_or(usize::MAX),
            )?;
        }
        if let Some(channel) = self.multipliers.iter().position(|multiplier| !multiplier.is_finite()) {
            return Err(ConvError::Multiplier { channel, found: self.multipliers[channel] });
        }
        within("maximum output", [usize::from(self.clamp[0]), 255], usize::from(self.clamp[1]))?;

        let side = |pixels: usize, pads: usize| if shape.upsample { 2 * pixels + pads } else { pixels + pads };
        shape.output_size(input.height, input.width).ok_or(ConvError::Bounds {
            what: "kernel columns for this input",
            bounds: [1, side(input.width, shape.pads[1] + shape.pads[3])],
            found: shape.extent(1),
        })
    }

    /// The weights of one output channel less their zero point: input channel of its group, row, column.
    pub(super) fn channel_weights(&self, channel: usize) -> impl Iterator<Item = i32> {
        let count = self.weights.len() / self.shape.channels_out;
        let zero_point = self.weight_zero_point(channel);
        self.weights[channel * count..][..count].iter().map(move |&weight| i32::from(weight) - zero_point)
    }

    /// The weight of one tap less its zero point; `channel_in` counts in the channel's group.
    pub(super) fn weight(&self, channel: usize, channel_in: usize, [row, column]: [usize; 2]) -> i32 {
        let [rows, columns] = self.shape.kernel_size;
        let index = ((channel * self.shape.depth() + channel_in) * rows + row) * columns + column;
        i32::from(self.weights[index]) - self.weight_zero_point(channel)
    }

    pub(super) fn weight_zero_point(&self, channel: usize) -> i32 {
        self.weight_zero_points[channel % self.weight_zero_points.len()]
    }
}
