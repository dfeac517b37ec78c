//! Builds small quantized ONNX models for tests, with the operators that the host's quantizer emits: u8 tensors
//! throughout, QLinearConv with symmetric s8 weights, MaxPool, Resize, Concat and DepthToSpace on u8; or the f32
//! operators between DequantizeLinear and QuantizeLinear.

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

/// One quantized convolution over NCHW.
#[derive(Debug, Clone)]
pub struct Conv {
    /// `O,I,KH,KW`.
    pub shape: [usize; 4],
    /// In the order of `shape`.
    pub weights: Vec<i8>,
    /// One a channel.
    pub weight_scales: Vec<f32>,
    /// One a channel.
    pub bias: Vec<i32>,
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Scale and zero point of the input.
    pub x: (f32, u8),
    /// Scale and zero point of the output.
    pub y: (f32, u8),
}

/// A graph under construction.
pub struct Graph {
    graph: GraphProto,
}

impl Graph {
    /// A graph with one u8 input.
    pub fn new(input: &str, shape: [usize; 4]) -> Self {
        Graph::new_as(input, shape, DataType::Uint8)
    }

    /// A graph with one input.
    pub fn new_as(input: &str, shape: [usize; 4], kind: DataType) -> Self {
        Graph {
            graph: GraphProto {
                name: "test".to_owned(),
                input: vec![value(input, kind, &shape)],
                ..GraphProto::default()
            },
        }
    }

    /// Adds QLinearConv with per-channel weight scales and scalar zero points.
    pub fn conv(mut self, x: &str, y: &str, conv: &Conv) -> Self {
        let name = |suffix: &str| format!("{y}.{suffix}");
        let channels = [conv.shape[0]];
        let weights: Vec<u8> = conv.weights.iter().map(|&weight| weight as u8).collect();
        let scales: Vec<u8> = conv.weight_scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
        let bias: Vec<u8> = conv.bias.iter().flat_map(|bias| bias.to_le_bytes()).collect();
        self.constant(&name("x_scale"), DataType::Float, &[], conv.x.0.to_le_bytes().to_vec());
        self.constant(&name("x_zero_point"), DataType::Uint8, &[], vec![conv.x.1]);
        self.constant(&name("weight"), DataType::Int8, &conv.shape, weights);
        self.constant(&name("weight_scale"), DataType::Float, &channels, scales);
        self.constant(&name("weight_zero_point"), DataType::Int8, &[], vec![0]);
        self.constant(&name("y_scale"), DataType::Float, &[], conv.y.0.to_le_bytes().to_vec());
        self.constant(&name("y_zero_point"), DataType::Uint8, &[], vec![conv.y.1]);
        self.constant(&name("bias"), DataType::Int32, &channels, bias);
        let inputs = [
            x.to_owned(),
            name("x_scale"),
            name("x_zero_point"),
            name("weight"),
            name("weight_scale"),
            name("weight_zero_point"),
            name("y_scale"),
            name("y_zero_point"),
            name("bias"),
        ];
        let attributes = vec![
            ints("kernel_shape", &[conv.shape[2], conv.shape[3]]),
            ints("pads", &conv.pads),
            ints("strides", &[1, 1]),
            ints("dilations", &[1, 1]),
            int("group", 1),
        ];
        self.node("QLinearConv", &inputs, y, attributes)
    }

    /// Adds the same convolution as Conv between DequantizeLinear and QuantizeLinear, with a Relu where `relu` says so.
    pub fn conv_pairs(mut self, x: &str, y: &str, conv: &Conv, relu: bool) -> Self {
        let name = |suffix: &str| format!("{y}.{suffix}");
        let weights: Vec<u8> = conv.weights.iter().map(|&weight| weight as u8).collect();
        let floats = |values: Vec<f32>| values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let bias: Vec<u8> = conv.bias.iter().flat_map(|bias| bias.to_le_bytes()).collect();
        let bias_scales = conv.weight_scales.iter().map(|scale| conv.x.0 * scale).collect();
        let channels = [conv.shape[0]];
        self.constant(&name("weight"), DataType::Int8, &conv.shape, weights);
        self.constant(&name("weight_scale"), DataType::Float, &channels, floats(conv.weight_scales.clone()));
        self.constant(&name("bias"), DataType::Int32, &channels, bias);
        self.constant(&name("bias_scale"), DataType::Float, &channels, floats(bias_scales));
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
        let names = [x.to_owned(), format!("{y}.scale"), format!("{y}.zero_point")];
        self.constant(&names[1], DataType::Float, &[], scale.to_le_bytes().to_vec());
        self.constant(&names[2], DataType::Uint8, &[], vec![zero_point]);
        self.node(operator, &names, y, Vec::new())
    }

    /// Adds a 2x2 MaxPool with stride 2.
    pub fn max_pool(self, x: &str, y: &str) -> Self {
        self.node("MaxPool", &[x.to_owned()], y, vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
    }

    /// Adds a nearest Resize by 2 with the given attributes.
    pub fn resize(mut self, x: &str, y: &str, coordinates: &str, nearest: &str) -> Self {
        let scales: Vec<u8> = [1.0f32, 1.0, 2.0, 2.0].iter().flat_map(|scale| scale.to_le_bytes()).collect();
        let name = format!("{y}.scales");
        self.constant(&name, DataType::Float, &[4], scales);
        let attributes = vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", coordinates),
            text("nearest_mode", nearest),
        ];
        self.node("Resize", &[x.to_owned(), String::new(), name], y, attributes)
    }

    /// Adds Concat over channels.
    pub fn concat(self, x: [&str; 2], y: &str) -> Self {
        self.node("Concat", &x.map(str::to_owned), y, vec![int("axis", 1)])
    }

    /// Adds DepthToSpace with blocks of 2.
    pub fn depth_to_space(self, x: &str, y: &str, mode: &str) -> Self {
        self.node("DepthToSpace", &[x.to_owned()], y, vec![int("blocksize", 2), text("mode", mode)])
    }

    /// Adds any operator.
    pub fn node(mut self, operator: &str, inputs: &[String], output: &str, attribute: Vec<AttributeProto>) -> Self {
        self.graph.node.push(NodeProto {
            name: format!("{output}.node"),
            op_type: operator.to_owned(),
            input: inputs.to_vec(),
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        });
        self
    }

    /// Declares the u8 output and gives the model's bytes, in opset 13.
    pub fn finish(self, output: &str, shape: [usize; 4]) -> Vec<u8> {
        self.finish_as(output, shape, DataType::Uint8, 13)
    }

    /// Declares the output and gives the model's bytes.
    pub fn finish_as(mut self, output: &str, shape: [usize; 4], kind: DataType, opset: i64) -> Vec<u8> {
        self.graph.output = vec![value(output, kind, &shape)];
        let model = ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: opset }],
            producer_name: "unet-edge tests".to_owned(),
            graph: Some(self.graph),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    /// Adds a constant of these raw bytes.
    pub fn constant(&mut self, name: &str, kind: DataType, shape: &[usize], raw_data: Vec<u8>) {
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            data_type: kind as i32,
            dims: shape.iter().map(|&size| size as i64).collect(),
            raw_data,
            ..TensorProto::default()
        });
    }
}

fn value(name: &str, kind: DataType, shape: &[usize]) -> ValueInfoProto {
    let dim =
        |&size: &usize| Dimension { value: Some(dimension::Value::DimValue(size as i64)), denotation: String::new() };
    let tensor = type_proto::Tensor {
        elem_type: kind as i32,
        shape: Some(TensorShapeProto { dim: shape.iter().map(dim).collect() }),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), denotation: String::new() }),
        doc_string: String::new(),
    }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: kind as i32, ..AttributeProto::default() }
}

/// An attribute of several integers.
pub fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { ints, ..attribute(name, AttributeType::Ints) }
}

/// An integer attribute.
pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { i, ..attribute(name, AttributeType::Int) }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: value.as_bytes().to_vec(), ..attribute(name, AttributeType::String) }
}
