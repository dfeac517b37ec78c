//! What both forms of a quantized convolution share: from its constants and attributes to a [`Convolution`]. Does not know
//! how either form names its operands.

use super::super::super::kernel::{ConvShape, Convolution};
use super::super::node::{Bytes, Constants, Node, Reason};
use super::super::program::{Activation, TensorId};
use super::spread;

/// Weights of output channel, input channel, row, column (of a `ConvTranspose`: input channel first), with one scale and one zero point for each output channel.
pub(super) struct Weights {
    shape: [usize; 4],
    bytes: Bytes,
    pub scales: Vec<f32>,
    zero_points: Vec<i32>,
}

impl Weights {
    /// Reads constants by their names, with the output channels along `axis`. Without a zero point it is 0.
    pub(super) fn of(
        constants: &Constants<'_>,
        weights: &str,
        scale: &str,
        zero_point: Option<&str>,
        axis: usize,
    ) -> Result<Self, Reason> {
        let shape = constants.shape(weights)?;
        let shape: [usize; 4] = shape
            .try_into()
            .map_err(|shape: Vec<_>| format!("weights: expected 4 dimensions, found {}", shape.len()))?;
        if shape.contains(&0) {
            return Err(format!("weights: expected no size of 0, found {shape:?}"));
        }
        let bytes = constants.bytes(weights)?;
        let zero_points = match zero_point {
            Some(name) => constants.bytes(name)?,
            None => Bytes { values: vec![0], signed: bytes.signed },
        };
        if zero_points.signed != bytes.signed {
            return Err("w_zero_point: expected the type of the weights".to_owned());
        }
        Ok(Weights {
            shape,
            bytes,
            scales: spread("w_scale", constants.floats(scale)?, shape[axis])?,
            zero_points: spread("w_zero_point", zero_points.values, shape[axis])?,
        })
    }

    /// Rows and columns of taps.
    pub(super) fn kernel_size(&self) -> [usize; 2] {
        [self.shape[2], self.shape[3]]
    }

    /// How many output channels.
    pub(super) fn channels(&self) -> usize {
        self.scales.len()
    }

    /// Those of a `ConvTranspose`, whose constant is input channel, output channel, row, column: each tap as output channels of its
    /// own, tap by tap, of a 1x1 convolution.
    pub(super) fn taps_as_channels(self) -> Self {
        let [inner, out, rows, columns] = self.shape;
        let taps = rows * columns;
        let index = |tap: usize, channel: usize, channel_in: usize| (channel_in * out + channel) * taps + tap;
        let order = (0..taps).flat_map(|tap| (0..out).flat_map(move |c| (0..inner).map(move |i| index(tap, c, i))));
        let values = order.map(|index| self.bytes.values[index]).collect();
        Weights {
            shape: [taps * out, inner, 1, 1],
            bytes: Bytes { values, signed: self.bytes.signed },
            scales: self.scales.repeat(taps),
            zero_points: self.zero_points.repeat(taps),
        }
    }
}

/// The attributes of a convolution.
pub(super) struct Attributes {
    groups: i64,
    dilations: [usize; 2],
    pads: [usize; 4],
    strides: [usize; 2],
}

impl Attributes {
    /// Of a 1x1 convolution.
    pub(super) const POINTWISE: Attributes = Attributes { groups: 1, dilations: [1, 1], pads: [0; 4], strides: [1, 1] };

    /// Those of a node with weights of this kernel size.
    pub(super) fn of(node: Node<'_>, kernel: [usize; 2]) -> Result<Self, Reason> {
        node.require_text("auto_pad", "NOTSET", "NOTSET")?;
        if node.sizes("kernel_shape", kernel)? != kernel {
            return Err(format!("kernel_shape: expected {kernel:?} as the weights have"));
        }
        Ok(Attributes {
            groups: node.integer("group", 1),
            dilations: node.sizes("dilations", [1, 1])?,
            pads: node.sizes("pads", [0; 4])?,
            strides: node.sizes("strides", [1, 1])?,
        })
    }

    /// Whether they are those of a transposed convolution whose windows of 2x2 lie side by side.
    pub(super) fn are_side_by_side(&self) -> bool {
        self.groups == 1 && self.dilations == [1, 1] && self.pads == [0; 4] && self.strides == [2, 2]
    }
}

/// A convolution before its output has a scale.
pub(super) struct Sums<'a> {
    /// `QLinearConv`, `Conv` or `ConvTranspose`.
    pub node: Node<'a>,
    /// The input.
    pub x: TensorId,
    /// Channels, height and width of the output.
    pub shape: [usize; 3],
    /// Whether negative results become zero.
    pub relu: bool,
    /// Whether depth-to-space follows.
    pub depth_to_space: bool,
    /// Of one step of the sums, in each output channel.
    scales: Vec<f32>,
    /// All but what the output's quantization decides.
    conv: Convolution,
}

impl<'a> Sums<'a> {
    /// The convolution of `node` on tensor `x`, which is the activation `activation` with this scale and zero point.
    pub(super) fn new(
        node: Node<'a>,
        x: TensorId,
        activation: &Activation,
        (x_scale, x_zero_point): (f32, u8),
        weights: Weights,
        bias: Option<Vec<i32>>,
        attributes: Attributes,
    ) -> Result<Self, Reason> {
        let Attributes { groups: group, dilations, pads, strides } = attributes;
        let [channels, height, width] = activation.shape;
        let [out, inner, kernel_height, kernel_width] = weights.shape;
        let groups = usize::try_from(group).ok().filter(|groups| *groups > 0 && out.is_multiple_of(*groups));
        let groups = groups.ok_or_else(|| format!("group: expected a divisor of {out} channels, found {group}"))?;
        if out > 1 << 16 {
            return Err(format!("weights: expected at most 65536 output channels, found {out}"));
        }
        if inner.checked_mul(groups) != Some(channels) {
            let shape = weights.shape;
            return Err(format!("weights: expected {channels} channels in {groups} groups, found {shape:?}"));
        }
        if dilations.iter().any(|dilation| !(1..=255).contains(dilation)) {
            return Err(format!("dilations: expected 1 to 255, found {dilations:?}"));
        }
        let kernel = [kernel_height, kernel_width];
        let windows = |size: usize, low: usize, high: usize, kernel: usize, stride: usize| {
            // Padding by a whole kernel size would make windows of padding alone; no exporter writes that.
            if low >= kernel || high >= kernel || low.max(high) > 255 || stride == 0 {
                return Err(format!(
                    "pads {pads:?} and strides {strides:?}: expected pads of at most 255, less than the kernel size"
                ));
            }
            (size + low + high)
                .checked_sub(kernel)
                .map(|room| room / stride + 1)
                .ok_or_else(|| format!("expected a kernel size, dilations included, of at most {size}, found {kernel}"))
        };
        let [rows, columns] = [0, 1].map(|axis| (kernel[axis] - 1) * dilations[axis] + 1);
        let out_height = windows(height, pads[0], pads[2], rows, strides[0])?;
        let out_width = windows(width, pads[1], pads[3], columns, strides[1])?;
        let bias = bias.unwrap_or_else(|| vec![0; out]);
        if bias.len() != out {
            return Err(format!("bias: expected {out} values, found {}", bias.len()));
        }
        let shift = if weights.bytes.signed { 0 } else { 128 };
        let conv = Convolution {
            weights: weights.bytes.values.iter().map(|weight| (weight - shift) as i8).collect(),
            weight_zero_points: weights.zero_points.iter().map(|zero_point| zero_point - shift).collect(),
            shape: ConvShape {
                kernel_size: kernel,
                pads,
                strides,
                dilations,
                channels_in: channels,
                channels_out: out,
                groups,
                upsample: false,
            },
            bias,
            multipliers: Vec::new(),
            x_zero_point,
            y_zero_point: 0,
            clamp: [0, 255],
        };
        let scales = weights.scales.iter().map(|scale| x_scale * scale).collect();
        let shape = [out, out_height, out_width];
        Ok(Sums { node, x, shape, relu: false, depth_to_space: false, scales, conv })
    }

    /// With the scale and the zero point of its output.
    pub(super) fn quantized(self, y_scale: f32, y_zero_point: u8) -> Result<Convolution, Reason> {
        let multipliers: Vec<f32> = self.scales.iter().map(|scale| scale / y_scale).collect();
        if let Some(odd) = multipliers.iter().find(|value| !value.is_finite() || **value <= 0.0) {
            return Err(format!("scales: expected a finite quotient above zero, found {odd}"));
        }
        // Zero is the zero point; if that is the lowest byte, saturation clamps as well.
        let clamp = [if self.relu { y_zero_point } else { 0 }, 255];
        Ok(Convolution { multipliers, y_zero_point, clamp, ..self.conv })
    }
}
