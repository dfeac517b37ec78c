//! Writes a calibrated graph as int8 ONNX: weights in s8, symmetric per output channel, activations in u8, biases in i32.

use unet_onnx::pb::tensor_proto::DataType;
use unet_onnx::{OnnxBuilder, int};
use unet_shared::quantization::Quantization;

use super::calibrate::Calibration;
use crate::export::float_onnx::{HEADER, conv_attributes, push_plain};
use crate::export::graph::{Convolution, Graph, GraphError, INPUT_NAME, Node, OUTPUT_NAME, Operator};

/// Form of an int8 ONNX file. Both hold the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// `QLinearConv`: integer operators, which the edge runs.
    Qlinear,
    /// `DequantizeLinear`, `Conv`, `QuantizeLinear`: for TensorRT and OpenVINO.
    Qdq,
}

/// An int8 ONNX file with the quantization of its input and output.
#[derive(Clone, Debug)]
pub struct QuantizedModel {
    /// The ONNX file.
    pub bytes: Vec<u8>,
    /// Quantization of the u8 input.
    pub input: Quantization,
    /// Quantization of the u8 logits.
    pub output: Quantization,
}

/// Integer weights and biases of a convolution.
#[derive(Clone, Debug, PartialEq)]
struct IntegerConvolution {
    weight: Vec<i8>,
    /// One per output channel.
    scale: Vec<f32>,
    bias: Vec<i32>,
}

/// Maximum magnitude of a bias. Its sum with the products is checked by [`accumulator_bound`].
const BIAS_MAX: f64 = (1u32 << 30) as f64;

/// Quantizes each output channel symmetrically: `scale = max |w| / 127`, or larger if the bias, whose scale is
/// `x_scale * scale`, would exceed [`BIAS_MAX`].
fn quantize_convolution(conv: &Convolution, x_scale: f32) -> IntegerConvolution {
    let weights_per_channel = conv.weight.len() / conv.channels_out;
    let mut integer = IntegerConvolution { weight: vec![], scale: vec![], bias: vec![] };
    for (weights, &bias) in conv.weight.chunks_exact(weights_per_channel).zip(&conv.bias) {
        let largest = weights.iter().fold(0f32, |max, w| max.max(w.abs()));
        let for_bias = (f64::from(bias.abs()) / (f64::from(x_scale) * BIAS_MAX)) as f32;
        let scale = (largest / 127.0).max(for_bias).max(f32::MIN_POSITIVE * 1e6);
        integer.weight.extend(weights.iter().map(|w| (w / scale).round_ties_even().clamp(-127.0, 127.0) as i8));
        integer.scale.push(scale);
        integer.bias.push((f64::from(bias) / (f64::from(x_scale) * f64::from(scale))).round_ties_even() as i32);
    }
    integer
}

/// Maximum magnitude of an output channel's accumulator: every input 255, and the bias.
fn accumulator_bound(weights: &[i8], bias: i32) -> i64 {
    255 * weights.iter().map(|&w| i64::from(w).abs()).sum::<i64>() + i64::from(bias).abs()
}

/// Writes the model: input `image` u8 `[1, C, H, W]`, output `logits` u8 `[1, K, H, W]`.
///
/// # Errors
/// If the graph is inconsistent or an accumulator could overflow.
pub fn rewrite(graph: &Graph, calibration: &Calibration, format: Format) -> Result<QuantizedModel, GraphError> {
    let shapes = graph.shapes()?;
    let mut onnx = OnnxBuilder::new("unet-int8");
    let batch = |[c, h, w]: [usize; 3]| [1, c, h, w];
    onnx.input(INPUT_NAME, DataType::Uint8, batch(shapes[0]));
    onnx.output(OUTPUT_NAME, DataType::Uint8, batch(shapes[graph.nodes.len()]));
    for (index, node) in graph.nodes.iter().enumerate() {
        let output = graph.tensor_name(index + 1);
        let inputs: Vec<&str> = node.inputs.iter().map(|&i| graph.tensor_name(i)).collect();
        let Operator::Conv(conv) = &node.operator else {
            if format == Format::Qlinear && node.operator.only_moves_values() {
                push_plain(&mut onnx, &node.operator, &inputs, output);
            } else {
                let from: Vec<Quantization> = node.inputs.iter().map(|&input| calibration.tensors[input]).collect();
                push_in_pairs(&mut onnx, node, &inputs, output, &from, calibration.tensors[index + 1]);
            }
            continue;
        };
        let (x, y) = (calibration.tensors[node.inputs[0]], calibration.tensors[index + 1]);
        let fail = |problem: String| GraphError { node: node.name.clone(), problem };
        if conv.relu && y.zero_point != 0 {
            let found = y.zero_point;
            return Err(fail(format!("expected zero point 0 for the output of a ReLU, found {found}")));
        }
        let integer = quantize_convolution(conv, x.scale);
        let weights_per_channel = integer.weight.len() / integer.bias.len().max(1);
        for (weights, &bias) in integer.weight.chunks_exact(weights_per_channel.max(1)).zip(&integer.bias) {
            let bound = accumulator_bound(weights, bias);
            if bound > i64::from(i32::MAX) {
                return Err(fail(format!(
                    "sums can reach {bound}, which overflows 32 bits; train with a smaller --base"
                )));
            }
        }
        let names = Parameters::push(&mut onnx, &node.name, &integer, conv, x, y);
        match format {
            Format::Qlinear => names.push_qlinear(&mut onnx, conv, inputs[0], output),
            Format::Qdq => names.push_qdq(&mut onnx, conv, inputs[0], output),
        }
    }
    Ok(QuantizedModel {
        bytes: onnx.into_bytes(HEADER),
        input: calibration.tensors[0],
        output: calibration.tensors[graph.nodes.len()],
    })
}

/// Writes a node without parameters between `DequantizeLinear` and `QuantizeLinear`: an addition, for which ONNX has no integer
/// operator, and in the form of such pairs each node. One that only moves values leaves the integers the same, as its inputs and
/// output share one quantization.
fn push_in_pairs(
    onnx: &mut OnnxBuilder,
    node: &Node,
    inputs: &[&str],
    output: &str,
    from: &[Quantization],
    to: Quantization,
) {
    let mut constants = |name: String, quantization: Quantization| {
        let scale = onnx.floats(format!("{name}.scale"), &[], &[quantization.scale]);
        let zero = onnx.bytes(format!("{name}.zero_point"), &[], &[quantization.zero_point as u8]);
        [scale, zero]
    };
    let of_output = constants(node.name.clone(), to);
    let of_inputs: Vec<[String; 2]> = from
        .iter()
        .enumerate()
        .map(
            |(k, &from)| {
                if from == to { of_output.clone() } else { constants(format!("{}.input_{k}", node.name), from) }
            },
        )
        .collect();
    let dequantized: Vec<String> = (0..inputs.len()).map(|k| format!("{output}.input_{k}.dequantized")).collect();
    for ((input, [scale, zero]), name) in inputs.iter().zip(&of_inputs).zip(&dequantized) {
        onnx.node("DequantizeLinear", &[input, scale, zero], name, vec![]);
    }
    let names: Vec<&str> = dequantized.iter().map(String::as_str).collect();
    let result = format!("{output}.{}", if node.operator.only_moves_values() { "moved" } else { "sum" });
    push_plain(onnx, &node.operator, &names, &result);
    let [scale, zero] = of_output;
    onnx.node("QuantizeLinear", &[&result, &scale, &zero], output, vec![]);
}

/// Names of the constants of one quantized convolution.
struct Parameters {
    x_scale: String,
    x_zero: String,
    weight: String,
    weight_scale: String,
    y_scale: String,
    y_zero: String,
    bias: String,
    /// `x_scale * weight_scale` for each output channel.
    bias_scale: Vec<f32>,
}

impl Parameters {
    fn push(
        onnx: &mut OnnxBuilder,
        name: &str,
        integer: &IntegerConvolution,
        conv: &Convolution,
        x: Quantization,
        y: Quantization,
    ) -> Self {
        let shape = conv.weight_shape();
        let channels = &shape[..1];
        Self {
            x_scale: onnx.floats(format!("{name}.x_scale"), &[], &[x.scale]),
            x_zero: onnx.bytes(format!("{name}.x_zero_point"), &[], &[x.zero_point as u8]),
            weight: onnx.signed_bytes(format!("{name}.weight"), &shape, &integer.weight),
            weight_scale: onnx.floats(format!("{name}.weight_scale"), channels, &integer.scale),
            y_scale: onnx.floats(format!("{name}.y_scale"), &[], &[y.scale]),
            y_zero: onnx.bytes(format!("{name}.y_zero_point"), &[], &[y.zero_point as u8]),
            bias: onnx.ints(format!("{name}.bias"), channels, &integer.bias),
            bias_scale: integer.scale.iter().map(|w| x.scale * w).collect(),
        }
    }

    /// A ReLU needs no node: the output's zero point is 0, so saturation does it.
    fn push_qlinear(&self, onnx: &mut OnnxBuilder, conv: &Convolution, input: &str, output: &str) {
        let weight_zero = onnx.signed_bytes(format!("{}_zero_point", self.weight), &[], &[0]);
        let inputs = [
            input,
            &self.x_scale,
            &self.x_zero,
            &self.weight,
            &self.weight_scale,
            &weight_zero,
            &self.y_scale,
            &self.y_zero,
            &self.bias,
        ];
        onnx.node("QLinearConv", &inputs, output, conv_attributes(conv));
    }

    fn push_qdq(&self, onnx: &mut OnnxBuilder, conv: &Convolution, input: &str, output: &str) {
        let [x, w, b, linear, relu] =
            ["x", "w", "b", "linear", "relu"].map(|part| format!("{output}.{part}.dequantized"));
        let bias_scale = onnx.floats(format!("{}_scale", self.bias), &[self.bias_scale.len()], &self.bias_scale);
        onnx.node("DequantizeLinear", &[input, &self.x_scale, &self.x_zero], &x, vec![]);
        onnx.node("DequantizeLinear", &[&self.weight, &self.weight_scale], &w, vec![int("axis", 0)]);
        onnx.node("DequantizeLinear", &[&self.bias, &bias_scale], &b, vec![int("axis", 0)]);
        onnx.node("Conv", &[&x, &w, &b], &linear, conv_attributes(conv));
        let result = if conv.relu {
            onnx.node("Relu", &[&linear], &relu, vec![]);
            &relu
        } else {
            &linear
        };
        onnx.node("QuantizeLinear", &[result, &self.y_scale, &self.y_zero], output, vec![]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_by_hand() {
        let conv = Convolution {
            weight: vec![1.27, -0.5, 0.0, 0.0],
            bias: vec![0.1, 5.0],
            channels_out: 2,
            channels_in: 2,
            groups: 1,
            kernel: [1, 1],
            stride: 1,
            pads: [0; 4],
            relu: false,
        };
        let integer = quantize_convolution(&conv, 0.5);
        assert_eq!(integer.weight, [127, -50, 0, 0]);
        assert!((integer.scale[0] - 0.01).abs() < 1e-7);
        // 0.1 / (0.5 * 0.01) = 20
        assert_eq!(integer.bias[0], 20);
        assert_eq!(accumulator_bound(&integer.weight[..2], integer.bias[0]), 255 * 177 + 20);
        // A channel without weights keeps its bias: bias * x_scale * scale = 5.
        let kept = f64::from(integer.bias[1]) * 0.5 * f64::from(integer.scale[1]);
        assert!((kept - 5.0).abs() < 1e-6, "{kept}");
    }
}
