//! ONNX protobuf: small constructors on top of the message types that tract reads with.

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

/// Operator set that the files are written in: the first whose `DequantizeLinear` takes a scale a channel.
const OPSET: i64 = 13;
/// IR version that belongs to it.
const IR_VERSION: i64 = 7;

/// A model that does not parse or holds what this program does not write.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// Not protobuf, or not ONNX.
    #[error("not an onnx model")]
    Parse(#[source] prost::DecodeError),
    /// Something is missing or of another kind than expected.
    #[error("onnx: {0}")]
    Unexpected(String),
}

/// Builds a model node by node.
#[derive(Default)]
pub struct OnnxBuilder {
    graph: GraphProto,
}

impl OnnxBuilder {
    /// An empty graph of that name.
    pub fn new(name: &str) -> Self {
        Self { graph: GraphProto { name: name.to_owned(), ..Default::default() } }
    }

    /// Adds a graph input.
    pub fn input(&mut self, name: &str, kind: DataType, shape: [usize; 4]) {
        self.graph.input.push(value_info(name, kind, shape));
    }

    /// Adds a graph output.
    pub fn output(&mut self, name: &str, kind: DataType, shape: [usize; 4]) {
        self.graph.output.push(value_info(name, kind, shape));
    }

    /// Adds f32 constants and returns their name.
    pub fn floats(&mut self, name: impl Into<String>, shape: &[usize], values: &[f32]) -> String {
        self.constant(name.into(), DataType::Float, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Adds i32 constants and returns their name.
    pub fn ints(&mut self, name: impl Into<String>, shape: &[usize], values: &[i32]) -> String {
        self.constant(name.into(), DataType::Int32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Adds i8 constants and returns their name.
    pub fn signed_bytes(&mut self, name: impl Into<String>, shape: &[usize], values: &[i8]) -> String {
        self.constant(name.into(), DataType::Int8, shape, values.iter().map(|&v| v as u8).collect())
    }

    /// Adds u8 constants and returns their name.
    pub fn bytes(&mut self, name: impl Into<String>, shape: &[usize], values: &[u8]) -> String {
        self.constant(name.into(), DataType::Uint8, shape, values.to_vec())
    }

    fn constant(&mut self, name: String, kind: DataType, shape: &[usize], raw_data: Vec<u8>) -> String {
        if !self.graph.initializer.iter().any(|t| t.name == name) {
            self.graph.initializer.push(TensorProto {
                dims: shape.iter().map(|&d| d as i64).collect(),
                data_type: kind as i32,
                name: name.clone(),
                raw_data,
                ..Default::default()
            });
        }
        name
    }

    /// Adds a node with one output; an empty input name leaves that input out.
    pub fn node(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: format!("{output}/{operator}"),
            op_type: operator.to_owned(),
            attribute: attributes,
            ..Default::default()
        });
    }

    /// The file's bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            producer_name: "unet-host".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(self.graph),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

/// The graph of a model file.
///
/// # Errors
/// When the bytes are not an ONNX model with a graph.
pub fn parse(bytes: &[u8]) -> Result<GraphProto, OnnxError> {
    ModelProto::decode(bytes)
        .map_err(OnnxError::Parse)?
        .graph
        .ok_or_else(|| OnnxError::Unexpected("expected a model with a graph, found none".to_owned()))
}

/// A list of integers as an attribute.
pub fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&v| v as i64).collect();
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Ints as i32, ints, ..Default::default() }
}

/// An integer as an attribute.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Int as i32, i: value, ..Default::default() }
}

/// A text as an attribute.
pub fn text(name: &str, value: &str) -> AttributeProto {
    let s = value.as_bytes().to_vec();
    AttributeProto { name: name.to_owned(), r#type: AttributeType::String as i32, s, ..Default::default() }
}

fn value_info(name: &str, kind: DataType, shape: [usize; 4]) -> ValueInfoProto {
    let dim = shape
        .iter()
        .map(|&d| Dimension { value: Some(dimension::Value::DimValue(d as i64)), ..Default::default() })
        .collect();
    let tensor = type_proto::Tensor { elem_type: kind as i32, shape: Some(TensorShapeProto { dim }) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..Default::default() }
}
