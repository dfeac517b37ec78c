//! Small ONNX models in memory: for the tests of the interpreter, and for graphs of which no file exists.

use crate::interpreter::{Fault, Graph};
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use unet_onnx::pb::{AttributeProto, tensor_proto::DataType};
use unet_onnx::{Header, OnnxBuilder};
pub use unet_onnx::{int as integer, signed_ints as integers, text};

/// A graph under construction, whose constants are [`Tensor`]s and whose nodes are named for their outputs.
#[derive(Clone, Debug, Default)]
pub struct GraphBuilder {
    onnx: OnnxBuilder,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new() -> GraphBuilder {
        GraphBuilder { onnx: OnnxBuilder::new("graph") }
    }

    /// Declares an input of the type and shape of `like`, and returns its name.
    pub fn input(&mut self, name: &str, like: &Tensor) -> String {
        self.onnx.input(name, like.data().data_type(), like.shape());
        name.into()
    }

    /// Adds an initializer, and returns its name.
    pub fn constant(&mut self, name: &str, value: Tensor) -> String {
        self.onnx.tensor(value.to_proto(name))
    }

    /// Adds a node whose one output has the node's own name, and returns that. An empty operand is left out.
    pub fn node(&mut self, name: &str, op_type: &str, operands: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.onnx.named_node(name, op_type, operands, name, attributes);
        name.into()
    }

    /// Declares a u8 output of any shape; other element types are declared with [`GraphBuilder::output_of`].
    pub fn output(&mut self, name: &str) {
        self.output_of(name, DataType::Uint8);
    }

    /// Declares an output of any shape.
    pub fn output_of(&mut self, name: &str, data_type: DataType) {
        self.onnx.output_of_any_shape(name, data_type);
    }

    /// The encoded model.
    pub fn finish(self, opset: i64) -> Vec<u8> {
        self.onnx.into_bytes(Header { opset, producer: "unet-tests", producer_version: "" })
    }
}

/// Interprets a single node `n` on `operands`.
///
/// # Errors
/// Those of the interpreter.
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
