//! Builds small ONNX models in memory: for the tests of the interpreter, and for graphs of which no file exists.
//!
//! It knows the encoding, not which graphs make sense.

use crate::interpreter::{Fault, Graph};
use crate::tensor::Tensor;
use prost::Message;
use std::collections::BTreeMap;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension, type_proto,
};

/// An integer attribute.
pub fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i: value, ..Default::default() }
}

/// An attribute of several integers.
pub fn integers(name: &str, values: &[i64]) -> AttributeProto {
    let ints = values.to_vec();
    AttributeProto { name: name.into(), r#type: AttributeType::Ints as i32, ints, ..Default::default() }
}

/// A text attribute.
pub fn text(name: &str, value: &str) -> AttributeProto {
    let s = value.as_bytes().to_vec();
    AttributeProto { name: name.into(), r#type: AttributeType::String as i32, s, ..Default::default() }
}

/// The declaration of a tensor with a fixed shape; without one where `shape` is `None`.
pub fn value_info(name: &str, data_type: DataType, shape: Option<&[usize]>) -> ValueInfoProto {
    let dimension = |&d: &usize| Dimension { value: Some(dimension::Value::DimValue(d as i64)), ..Default::default() };
    let shape = shape.map(|s| TensorShapeProto { dim: s.iter().map(dimension).collect() });
    let tensor = type_proto::Tensor { elem_type: data_type as i32, shape };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..Default::default() }
}

/// `graph` as a model of operator set `opset`.
pub fn model(graph: GraphProto, opset: i64) -> ModelProto {
    ModelProto {
        // The last version before functions; every reader of the last years takes it.
        ir_version: 7,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: opset }],
        producer_name: "unet-tests".into(),
        graph: Some(graph),
        ..Default::default()
    }
}

/// A graph in the making.
#[derive(Clone, Debug, Default)]
pub struct GraphBuilder {
    graph: GraphProto,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new() -> GraphBuilder {
        GraphBuilder { graph: GraphProto { name: "graph".into(), ..Default::default() } }
    }

    /// Declares an input of the type and shape of `like`, and gives its name.
    pub fn input(&mut self, name: &str, like: &Tensor) -> String {
        self.graph.input.push(value_info(name, like.data().data_type(), Some(like.shape())));
        name.into()
    }

    /// Adds an initializer, and gives its name.
    pub fn constant(&mut self, name: &str, value: Tensor) -> String {
        self.graph.initializer.push(value.to_proto(name));
        name.into()
    }

    /// Adds a node whose one output has the node's own name, and gives that. An empty operand is one left out.
    pub fn node(&mut self, name: &str, op_type: &str, operands: &[&str], attribute: Vec<AttributeProto>) -> String {
        self.graph.node.push(NodeProto {
            name: name.into(),
            op_type: op_type.into(),
            input: operands.iter().map(|&o| o.to_owned()).collect(),
            output: vec![name.into()],
            attribute,
            ..Default::default()
        });
        name.into()
    }

    /// Declares a u8 output of any shape; other element types are declared with [`GraphBuilder::output_of`].
    pub fn output(&mut self, name: &str) {
        self.output_of(name, DataType::Uint8);
    }

    /// Declares an output of any shape.
    pub fn output_of(&mut self, name: &str, data_type: DataType) {
        self.graph.output.push(value_info(name, data_type, None));
    }

    /// The encoded model.
    pub fn finish(self, opset: i64) -> Vec<u8> {
        model(self.graph, opset).encode_to_vec()
    }
}

/// Interprets a single node `n` on `operands`.
///
/// # Errors
/// What the interpreter says.
pub fn run_one(op_type: &str, operands: &[&Tensor], attributes: Vec<AttributeProto>) -> Result<Tensor, Fault> {
    let mut builder = GraphBuilder::new();
    let named: Vec<(String, &Tensor)> = operands.iter().enumerate().map(|(i, &t)| (format!("o{i}"), t)).collect();
    for (name, tensor) in &named {
        builder.input(name, tensor);
    }
    let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    builder.node("n", op_type, &names, attributes);
    let inputs: BTreeMap<String, Tensor> = named.iter().map(|(name, t)| (name.clone(), (*t).clone())).collect();
    let mut values = Graph::from_bytes(&builder.finish(13))?.run(&inputs)?;
    values.remove("n").ok_or_else(|| Fault::new("node n gave no output"))
}
