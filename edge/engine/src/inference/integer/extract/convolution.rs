//! What both forms of a quantized convolution share: from its constants and attributes to a [`Convolution`]. Does not know
//! how either form names its operands.

use super::super::super::kernel::{ConvShape, Convolution};
use super::super::node::{Bytes, Constants, Node, Reason};
use super::super::program::{Activation, TensorId};
use super::spread;

/// The weights as the file has them, with one scale and one zero point for each output channel.
pub(super) struct Weights {
    shape: [usize; 4],
    bytes: Bytes,
    pub scales: Vec<f32>,
    zero_points: Vec<i32>,
}

impl Weights {
    /// Reads constants by their names. Without a zero point it is 0.
    pub(super) fn of(
        constants: &Constants<'_>,
        weights: &str,
        scale: &str,
        zero_point: Option<&str>,
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
            scales: spread("w_scale", constants.floats(scale)?, shape[0])?,
            zero_points: spread("w_zero_point", zero_points.values, shape[0])?,
        })
    }

    /// How many output channels.
    pub(super) fn channels(&self) -> usize {
        self.shape[0]
    }
}

/// A convolution before its output has a scale.
pub(super) struct Sums<'a> {
    /// `QLinearConv` or `Conv`.
    pub node: Node<'a>,
    /// The input.
    pub x: TensorId,
    /// Channels, height and width of the output.
    pub shape: [usize; 3],
    /// Whether negative results become zero.
    pub relu: bool,
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
    ) -> Result<Self, Reason> {
        node.require_text("auto_pad", "NOTSET", "NOTSET")?;
        let [channels, height, width] = activation.shape;
        let [out, inner, kernel_height, kernel_width] = weights.shape;
        let group = node.integer("group", 1);
        let groups = usize::try_from(group).ok().filter(|groups| *groups > 0 && out.is_multiple_of(*groups));
        let groups = groups.ok_or_else(|| format!("group: expected a divisor of {out} channels, found {group}"))?;
        if inner.checked_mul(groups) != Some(channels) {
            let shape = weights.shape;
            return Err(format!("weights: expected {channels} channels in {groups} groups, found {shape:?}"));
        }
        let dilations: [usize; 2] = node.sizes("dilations", [1, 1])?;
        if dilations.iter().any(|dilation| !(1..=255).contains(dilation)) {
            return Err(format!("dilations: expected 1 to 255, found {dilations:?}"));
        }
        let kernel = [kernel_height, kernel_width];
        if node.sizes("kernel_shape", kernel)? != kernel {
            return Err(format!("kernel_shape: expected {kernel:?} as the weights have"));
        }
        let pads: [usize; 4] = node.sizes("pads", [0; 4])?;
        let strides: [usize; 2] = node.sizes("strides", [1, 1])?;
        let windows = |size: usize, low: usize, high: usize, kernel: usize, stride: usize| {
            // Padding by a whole kernel size would make windows of padding alone; no exporter writes that.
            if low >= kernel || high >= kernel || stride == 0 {
                return Err(format!("pads {pads:?} and strides {strides:?}: expected pads less than the kernel size"));
            }
            (size + low + high)
                .checked_sub(kernel)
                .map(|room| room / stride + 1)
                .ok_or_else(|| format!("expected a kernel size of at most {size}, found {kernel}"))
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
        Ok(Sums { node, x, shape: [out, out_height, out_width], relu: false, scales, conv })
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
