//! Encodes quantized ONNX graphs. Knows the operators' operands and attributes, not which graphs make sense.

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

/// An 8-bit constant, signed or not.
pub struct Bytes {
    /// As they lie in memory.
    pub raw: Vec<u8>,
    /// Whether they are i8.
    pub signed: bool,
}

/// One `QLinearConv` beside its input's name.
pub struct Conv {
    /// Output channels, input channels, rows, columns.
    pub shape: [usize; 4],
    /// Scale and zero point of the input.
    pub x: (f32, Bytes),
    /// In the order of `shape`.
    pub weights: Bytes,
    /// One, or one a channel.
    pub weight_scales: Vec<f32>,
    /// One, or one a channel.
    pub weight_zero_points: Bytes,
    /// Scale and zero point of the output.
    pub y: (f32, Bytes),
    /// One a channel, if there are any.
    pub bias: Option<Vec<i32>>,
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Down, right.
    pub strides: [usize; 2],
}

/// A graph in the making.
#[derive(Default)]
pub struct Graph {
    graph: GraphProto,
}

impl Graph {
    /// With one u8 input.
    pub fn new(input: &str, shape: [usize; 4]) -> Graph {
        let input = vec![value(input, &shape)];
        Graph { graph: GraphProto { name: "fuzz".to_owned(), input, ..GraphProto::default() } }
    }

    /// Adds a convolution from tensor `x` to tensor `y`.
    pub fn conv(&mut self, x: &str, y: &str, conv: &Conv) {
        let [channels, _, rows, columns] = conv.shape;
        // One value is for the whole tensor, and a scalar.
        let spread = |count: usize| if count == 1 { Vec::new() } else { vec![count] };
        let mut inputs = vec![
            x.to_owned(),
            self.floats(&format!("{y}.x_scale"), &[], &[conv.x.0]),
            self.bytes(&format!("{y}.x_zero_point"), &[], &conv.x.1),
            self.bytes(&format!("{y}.weight"), &conv.shape, &conv.weights),
            self.floats(&format!("{y}.weight_scale"), &spread(conv.weight_scales.len()), &conv.weight_scales),
            self.bytes(
                &format!("{y}.weight_zero_point"),
                &spread(conv.weight_zero_points.raw.len()),
                &conv.weight_zero_points,
            ),
            self.floats(&format!("{y}.y_scale"), &[], &[conv.y.0]),
            self.bytes(&format!("{y}.y_zero_point"), &[], &conv.y.1),
        ];
        if let Some(bias) = &conv.bias {
            let raw = bias.iter().flat_map(|bias| bias.to_le_bytes()).collect();
            inputs.push(self.constant(&format!("{y}.bias"), DataType::Int32, &[channels], raw));
        }
        let attributes = vec![
            ints("kernel_shape", &[rows, columns]),
            ints("pads", &conv.pads),
            ints("strides", &conv.strides),
            ints("dilations", &[1, 1]),
            int("group", 1),
        ];
        self.node("QLinearConv", inputs, y, attributes);
    }

    /// Adds a 2x2 `MaxPool` with stride 2.
    pub fn max_pool(&mut self, x: &str, y: &str) {
        let attributes = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
        self.node("MaxPool", vec![x.to_owned()], y, attributes);
    }

    /// Adds a nearest `Resize` by 2 in one of its spellings.
    pub fn resize(&mut self, x: &str, y: &str, [coordinates, nearest]: [&str; 2]) {
        let scales = self.floats(&format!("{y}.scales"), &[4], &[1.0, 1.0, 2.0, 2.0]);
        let attributes = vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", coordinates),
            text("nearest_mode", nearest),
        ];
        self.node("Resize", vec![x.to_owned(), String::new(), scales], y, attributes);
    }

    /// Adds a `Concat` over channels.
    pub fn concat(&mut self, x: &[&str], y: &str) {
        self.node("Concat", x.iter().map(|&x| x.to_owned()).collect(), y, vec![int("axis", 1)]);
    }

    /// Adds a `DepthToSpace` with blocks of 2.
    pub fn depth_to_space(&mut self, x: &str, y: &str) {
        self.node("DepthToSpace", vec![x.to_owned()], y, vec![int("blocksize", 2), text("mode", "DCR")]);
    }

    /// The model, with its one u8 output.
    pub fn finish(mut self, output: &str, shape: [usize; 4], operator_set: i64) -> ModelProto {
        self.graph.output = vec![value(output, &shape)];
        ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: operator_set }],
            producer_name: "unet-edge fuzz".to_owned(),
            graph: Some(self.graph),
            ..ModelProto::default()
        }
    }

    fn node(&mut self, operator: &str, input: Vec<String>, output: &str, attribute: Vec<AttributeProto>) {
        self.graph.node.push(NodeProto {
            name: format!("{output}.node"),
            op_type: operator.to_owned(),
            input,
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        });
    }

    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, DataType::Float, shape, raw)
    }

    fn bytes(&mut self, name: &str, shape: &[usize], values: &Bytes) -> String {
        let kind = if values.signed { DataType::Int8 } else { DataType::Uint8 };
        self.constant(name, kind, shape, values.raw.clone())
    }

    fn constant(&mut self, name: &str, kind: DataType, shape: &[usize], raw_data: Vec<u8>) -> String {
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            data_type: kind as i32,
            dims: shape.iter().map(|&size| size as i64).collect(),
            raw_data,
            ..TensorProto::default()
        });
        name.to_owned()
    }
}

/// The bytes of a file.
pub fn encode(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

fn value(name: &str, shape: &[usize]) -> ValueInfoProto {
    let dim =
        |&size: &usize| Dimension { value: Some(dimension::Value::DimValue(size as i64)), denotation: String::new() };
    let tensor = type_proto::Tensor {
        elem_type: DataType::Uint8 as i32,
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

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { ints, ..attribute(name, AttributeType::Ints) }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { i, ..attribute(name, AttributeType::Int) }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: value.as_bytes().to_vec(), ..attribute(name, AttributeType::String) }
}
