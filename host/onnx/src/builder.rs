//! A graph under construction, and the model around it.

use prost::Message;

use crate::pb::tensor_proto::DataType;
use crate::pb::tensor_shape_proto::{Dimension, dimension};
use crate::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

/// The IR version of operator set 13, and the last one before functions: readers of the last years accept it.
const IR_VERSION: i64 = 7;

/// What a model file says about itself.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Version of the default operator set.
    pub opset: i64,
    /// The program that wrote the file.
    pub producer: &'a str,
    /// Its version.
    pub producer_version: &'a str,
}

/// Builds a model node by node.
#[derive(Clone, Debug, Default)]
pub struct OnnxBuilder {
    graph: GraphProto,
}

impl OnnxBuilder {
    /// An empty graph called `name`.
    pub fn new(name: &str) -> Self {
        Self { graph: GraphProto { name: name.to_owned(), ..Default::default() } }
    }

    /// Declares a graph input.
    pub fn input(&mut self, name: &str, kind: DataType, shape: impl AsRef<[usize]>) {
        self.graph.input.push(value_info(name, kind, Some(shape.as_ref())));
    }

    /// Declares a graph output.
    pub fn output(&mut self, name: &str, kind: DataType, shape: impl AsRef<[usize]>) {
        self.graph.output.push(value_info(name, kind, Some(shape.as_ref())));
    }

    /// Declares a graph output of any shape.
    pub fn output_of_any_shape(&mut self, name: &str, kind: DataType) {
        self.graph.output.push(value_info(name, kind, None));
    }

    /// Adds f32 constants and returns their name.
    pub fn floats(&mut self, name: impl Into<String>, shape: &[usize], values: &[f32]) -> String {
        self.constant(name, DataType::Float, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Adds i32 constants and returns their name.
    pub fn ints(&mut self, name: impl Into<String>, shape: &[usize], values: &[i32]) -> String {
        self.constant(name, DataType::Int32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Adds i8 constants and returns their name.
    pub fn signed_bytes(&mut self, name: impl Into<String>, shape: &[usize], values: &[i8]) -> String {
        self.constant(name, DataType::Int8, shape, values.iter().map(|&v| v as u8).collect())
    }

    /// Adds u8 constants and returns their name.
    pub fn bytes(&mut self, name: impl Into<String>, shape: &[usize], values: &[u8]) -> String {
        self.constant(name, DataType::Uint8, shape, values.to_vec())
    }

    /// Adds constants of these little-endian bytes and returns their name.
    pub fn constant(&mut self, name: impl Into<String>, kind: DataType, shape: &[usize], raw_data: Vec<u8>) -> String {
        let dims = shape.iter().map(|&size| size as i64).collect();
        self.tensor(TensorProto { dims, data_type: kind as i32, name: name.into(), raw_data, ..Default::default() })
    }

    /// Adds a constant tensor and returns its name. A second one of the same name is left out: nodes may share constants.
    pub fn tensor(&mut self, tensor: TensorProto) -> String {
        let name = tensor.name.clone();
        if !self.graph.initializer.iter().any(|t| t.name == name) {
            self.graph.initializer.push(tensor);
        }
        name
    }

    /// Adds a node with one output, called `OUTPUT/OPERATOR`; an empty input name leaves that input out.
    pub fn node(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) {
        self.named_node(&format!("{output}/{operator}"), operator, inputs, output, attributes);
    }

    /// [`OnnxBuilder::node`] with a name of its own.
    pub fn named_node(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<AttributeProto>,
    ) {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: name.to_owned(),
            op_type: operator.to_owned(),
            attribute: attributes,
            ..Default::default()
        });
    }

    /// The model.
    pub fn into_model(self, header: Header<'_>) -> ModelProto {
        ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: header.opset }],
            producer_name: header.producer.to_owned(),
            producer_version: header.producer_version.to_owned(),
            graph: Some(self.graph),
            ..Default::default()
        }
    }

    /// The file's bytes.
    pub fn into_bytes(self, header: Header<'_>) -> Vec<u8> {
        self.into_model(header).encode_to_vec()
    }
}

/// The declaration of a tensor; of any shape if `shape` is `None`.
pub fn value_info(name: &str, kind: DataType, shape: Option<&[usize]>) -> ValueInfoProto {
    let dimension =
        |&size: &usize| Dimension { value: Some(dimension::Value::DimValue(size as i64)), ..Default::default() };
    let shape = shape.map(|sizes| TensorShapeProto { dim: sizes.iter().map(dimension).collect() });
    let tensor = type_proto::Tensor { elem_type: kind as i32, shape };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..Default::default() }
}
