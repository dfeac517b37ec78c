//! Small quantized ONNX models for tests, in the two forms that the engine reads: QLinearConv, MaxPool, Resize, Concat and DepthToSpace on
//! 8-bit tensors, or f32 operators between DequantizeLinear and QuantizeLinear.

use unet_onnx::pb::tensor_proto::DataType;
use unet_onnx::pb::{AttributeProto, ModelProto};
use unet_onnx::{Header, OnnxBuilder, text};
pub use unet_onnx::{int, ints};

/// One quantized convolution over NCHW, as the host's quantizer writes it: u8 activations, symmetric s8 weights.
#[derive(Debug, Clone)]
pub struct Conv {
    /// `O,I,KH,KW`.
    pub shape: [usize; 4],
    /// In the order of `shape`.
    pub weights: Vec<i8>,
    /// One per output channel.
    pub weight_scales: Vec<f32>,
    /// One per output channel.
    pub bias: Vec<i32>,
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Scale and zero point of the input.
    pub x: (f32, u8),
    /// Scale and zero point of the output.
    pub y: (f32, u8),
}

/// 8-bit constants, signed or not.
#[derive(Debug, Clone)]
pub struct Bytes {
    /// The bytes in memory.
    pub raw: Vec<u8>,
    /// Whether they are i8.
    pub signed: bool,
}

/// Everything that a `QLinearConv` of one group and dilation 1 can vary.
#[derive(Debug, Clone)]
pub struct QLinearConv {
    /// `O,I,KH,KW`.
    pub shape: [usize; 4],
    /// Scale and zero point of the input.
    pub x: (f32, Bytes),
    /// In the order of `shape`.
    pub weights: Bytes,
    /// One per output channel, or one for all, which is written as a scalar.
    pub weight_scales: Vec<f32>,
    /// One per output channel, or one for all, which is written as a scalar.
    pub weight_zero_points: Bytes,
    /// Scale and zero point of the output.
    pub y: (f32, Bytes),
    /// One per output channel, if there is a bias.
    pub bias: Option<Vec<i32>>,
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Down, right.
    pub strides: [usize; 2],
}

impl From<&Conv> for QLinearConv {
    fn from(conv: &Conv) -> Self {
        let unsigned = |(scale, zero_point): (f32, u8)| (scale, Bytes { raw: vec![zero_point], signed: false });
        Self {
            shape: conv.shape,
            x: unsigned(conv.x),
            weights: Bytes { raw: conv.weights.iter().map(|&weight| weight as u8).collect(), signed: true },
            weight_scales: conv.weight_scales.clone(),
            weight_zero_points: Bytes { raw: vec![0], signed: true },
            y: unsigned(conv.y),
            bias: Some(conv.bias.clone()),
            pads: conv.pads,
            strides: [1, 1],
        }
    }
}

/// A graph under construction.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    onnx: OnnxBuilder,
}

impl Graph {
    /// A graph with one u8 input.
    pub fn new(input: &str, shape: [usize; 4]) -> Self {
        Graph::new_as(input, shape, DataType::Uint8)
    }

    /// A graph with one input.
    pub fn new_as(input: &str, shape: [usize; 4], kind: DataType) -> Self {
        let mut onnx = OnnxBuilder::new("test");
        onnx.input(input, kind, shape);
        Graph { onnx }
    }

    /// Adds QLinearConv with a scale per output channel and a scalar zero point of the weights.
    pub fn conv(self, x: &str, y: &str, conv: &Conv) -> Self {
        self.qlinear_conv(x, y, &conv.into())
    }

    /// Adds QLinearConv.
    pub fn qlinear_conv(mut self, x: &str, y: &str, conv: &QLinearConv) -> Self {
        let name = |part: &str| format!("{y}.{part}");
        let [channels, _, rows, columns] = conv.shape;
        let spread = |count: usize| if count == 1 { vec![] } else { vec![count] };
        let mut inputs = vec![
            x.to_owned(),
            self.onnx.floats(name("x_scale"), &[], &[conv.x.0]),
            self.bytes(name("x_zero_point"), &[], &conv.x.1),
            self.bytes(name("weight"), &conv.shape, &conv.weights),
            self.onnx.floats(name("weight_scale"), &spread(conv.weight_scales.len()), &conv.weight_scales),
            self.bytes(name("weight_zero_point"), &spread(conv.weight_zero_points.raw.len()), &conv.weight_zero_points),
            self.onnx.floats(name("y_scale"), &[], &[conv.y.0]),
            self.bytes(name("y_zero_point"), &[], &conv.y.1),
        ];
        inputs.extend(conv.bias.as_ref().map(|bias| self.onnx.ints(name("bias"), &[channels], bias)));
        let attributes = vec![
            ints("kernel_shape", &[rows, columns]),
            ints("pads", &conv.pads),
            ints("strides", &conv.strides),
            ints("dilations", &[1, 1]),
            int("group", 1),
        ];
        self.node("QLinearConv", &inputs, y, attributes)
    }

    /// Adds the same convolution as Conv between DequantizeLinear and QuantizeLinear, followed by Relu if `relu`.
    pub fn conv_pairs(mut self, x: &str, y: &str, conv: &Conv, relu: bool) -> Self {
        let name = |part: &str| format!("{y}.{part}");
        let bias_scales: Vec<f32> = conv.weight_scales.iter().map(|scale| conv.x.0 * scale).collect();
        let channels = [conv.shape[0]];
        self.onnx.signed_bytes(name("weight"), &conv.shape, &conv.weights);
        self.onnx.floats(name("weight_scale"), &channels, &conv.weight_scales);
        self.onnx.ints(name("bias"), &channels, &conv.bias);
        self.onnx.floats(name("bias_scale"), &channels, &bias_scales);
        let attributes = vec![ints("kernel_shape", &[conv.shape[2], conv.shape[3]]), ints("pads", &conv.pads)];
        let (linear, last) = (name("linear"), if relu { name("relu") } else { name("linear") });
        let mut graph = self.dequantize(x, &name("x"), conv.x);
        for part in ["weight", "bias"] {
            let inputs = [name(part), name(&format!("{part}_scale"))];
            graph = graph.node("DequantizeLinear", &inputs, &name(&part[..1]), vec![int("axis", 0)]);
        }
        graph = graph.node("Conv", &[name("x"), name("w"), name("b")], &linear, attributes);
        if relu {
            graph = graph.node("Relu", &[linear], &last, Vec::new());
        }
        graph.quantize(&last, y, conv.y)
    }

    /// Adds DequantizeLinear from u8 with a scale and a zero point.
    pub fn dequantize(self, x: &str, y: &str, quantization: (f32, u8)) -> Self {
        self.pair("DequantizeLinear", x, y, quantization)
    }

    /// Adds QuantizeLinear to u8 with a scale and a zero point.
    pub fn quantize(self, x: &str, y: &str, quantization: (f32, u8)) -> Self {
        self.pair("QuantizeLinear", x, y, quantization)
    }

    fn pair(mut self, operator: &str, x: &str, y: &str, (scale, zero_point): (f32, u8)) -> Self {
        let scale = self.onnx.floats(format!("{y}.scale"), &[], &[scale]);
        let zero_point = self.onnx.bytes(format!("{y}.zero_point"), &[], &[zero_point]);
        self.node(operator, &[x.to_owned(), scale, zero_point], y, Vec::new())
    }

    /// Adds a 2x2 MaxPool with stride 2.
    pub fn max_pool(self, x: &str, y: &str) -> Self {
        self.node("MaxPool", &[x.to_owned()], y, vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
    }

    /// Adds a nearest Resize by 2 with these attributes.
    pub fn resize(mut self, x: &str, y: &str, coordinates: &str, nearest: &str) -> Self {
        let scales = self.onnx.floats(format!("{y}.scales"), &[4], &[1.0, 1.0, 2.0, 2.0]);
        let attributes = vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", coordinates),
            text("nearest_mode", nearest),
        ];
        self.node("Resize", &[x.to_owned(), String::new(), scales], y, attributes)
    }

    /// Adds Concat over channels.
    pub fn concat<'a>(self, x: impl AsRef<[&'a str]>, y: &str) -> Self {
        let inputs: Vec<String> = x.as_ref().iter().map(|&x| x.to_owned()).collect();
        self.node("Concat", &inputs, y, vec![int("axis", 1)])
    }

    /// Adds DepthToSpace with blocks of 2.
    pub fn depth_to_space(self, x: &str, y: &str, mode: &str) -> Self {
        self.node("DepthToSpace", &[x.to_owned()], y, vec![int("blocksize", 2), text("mode", mode)])
    }

    /// Adds any operator.
    pub fn node(mut self, operator: &str, inputs: &[String], output: &str, attributes: Vec<AttributeProto>) -> Self {
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.onnx.named_node(&format!("{output}.node"), operator, &inputs, output, attributes);
        self
    }

    /// Adds a constant of these little-endian bytes.
    pub fn constant(&mut self, name: &str, kind: DataType, shape: &[usize], raw_data: Vec<u8>) {
        self.onnx.constant(name, kind, shape, raw_data);
    }

    fn bytes(&mut self, name: String, shape: &[usize], values: &Bytes) -> String {
        let kind = if values.signed { DataType::Int8 } else { DataType::Uint8 };
        self.onnx.constant(name, kind, shape, values.raw.clone())
    }

    /// Declares the u8 output and returns the model's bytes, in opset 13.
    pub fn finish(self, output: &str, shape: [usize; 4]) -> Vec<u8> {
        self.finish_as(output, shape, DataType::Uint8, 13)
    }

    /// Declares the output and returns the model's bytes.
    pub fn finish_as(self, output: &str, shape: [usize; 4], kind: DataType, opset: i64) -> Vec<u8> {
        self.declare_output(output, shape, kind).into_bytes(header(opset))
    }

    /// Declares the u8 output and returns the model.
    pub fn into_model(self, output: &str, shape: [usize; 4], opset: i64) -> ModelProto {
        self.declare_output(output, shape, DataType::Uint8).into_model(header(opset))
    }

    fn declare_output(mut self, output: &str, shape: [usize; 4], kind: DataType) -> OnnxBuilder {
        self.onnx.output(output, kind, shape);
        self.onnx
    }
}

fn header(opset: i64) -> Header<'static> {
    Header { opset, producer: "unet-edge tests", producer_version: "" }
}
