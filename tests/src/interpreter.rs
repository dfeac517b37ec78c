//! A plain scalar interpreter of ONNX graphs, written from the text of the operator specification.
//!
//! It is the independent reference of the tests: it uses neither tract's kernels nor the project's, and no shortcut for speed.
//! An operator, mode or type that it does not support is an error that names it.
//! Where the ONNX prose leaves the rounding of `QLinearConv` open, the contract of the project's design decides; see
//! [`convolution`].

pub mod convolution;
mod integers;
mod layout;
mod node;
mod pointwise;
mod pooling;
pub mod quantization;
mod resize;
mod transposed;
mod window;

use crate::tensor::Tensor;
use node::Node;
use prost::Message;
use std::collections::BTreeMap;
use std::fmt;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

/// Why a graph could not be read or run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

impl Fault {
    /// A fault that says `what`.
    pub fn new(what: impl fmt::Display) -> Fault {
        Fault(what.to_string())
    }
}

/// A graph that can be run.
#[derive(Clone, Debug)]
pub struct Graph {
    proto: GraphProto,
    initializers: BTreeMap<String, Tensor>,
}

impl Graph {
    /// Reads an encoded ONNX model.
    ///
    /// # Errors
    /// When the bytes are not an ONNX model, or an initializer is malformed or of a type that is not supported.
    pub fn from_bytes(bytes: &[u8]) -> Result<Graph, Fault> {
        let model = ModelProto::decode(bytes).map_err(|e| Fault::new(format!("not an ONNX model: {e}")))?;
        Graph::from_model(&model)
    }

    /// Reads a decoded ONNX model.
    ///
    /// # Errors
    /// When it has no graph, or an initializer is malformed or of a type that is not supported.
    pub fn from_model(model: &ModelProto) -> Result<Graph, Fault> {
        let proto = model.graph.clone().ok_or_else(|| Fault::new("the ONNX model has no graph"))?;
        let read = |t: &TensorProto| Ok((t.name.clone(), Tensor::from_proto(t)?));
        let initializers = proto.initializer.iter().map(read).collect::<Result<_, Fault>>()?;
        Ok(Graph { proto, initializers })
    }

    /// The names of the inputs that a caller has to give, in the graph's order.
    pub fn inputs(&self) -> Vec<&str> {
        let names = self.proto.input.iter().map(|i| i.name.as_str());
        names.filter(|name| !self.initializers.contains_key(*name)).collect()
    }

    /// The names of the graph's outputs.
    pub fn outputs(&self) -> Vec<&str> {
        self.proto.output.iter().map(|o| o.name.as_str()).collect()
    }

    /// The nodes, in the graph's order, which ONNX demands to be topological.
    pub fn nodes(&self) -> &[NodeProto] {
        &self.proto.node
    }

    /// The constants by name.
    pub fn initializers(&self) -> &BTreeMap<String, Tensor> {
        &self.initializers
    }

    /// Runs every node. The answer holds the inputs and every node's output by the name of its tensor, not the initializers.
    ///
    /// # Errors
    /// When an input is missing, or a node has an operator, attribute or operand that is not supported; the message
    /// names the node.
    pub fn run(&self, inputs: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, Fault> {
        if let Some(missing) = self.inputs().into_iter().find(|name| !inputs.contains_key(*name)) {
            return Err(Fault::new(format!("input {missing} is not given")));
        }
        let mut values = inputs.clone();
        for proto in &self.proto.node {
            let outputs = self.run_node(proto, &values)?;
            values.extend(outputs);
        }
        Ok(values)
    }

    /// Runs one node of the graph on `values` and its initializers, and returns its outputs by name.
    ///
    /// # Errors
    /// As [`Graph::run`].
    pub fn run_node(
        &self,
        proto: &NodeProto,
        values: &BTreeMap<String, Tensor>,
    ) -> Result<Vec<(String, Tensor)>, Fault> {
        let label = format!("node {} ({})", proto.name, proto.op_type);
        let operands = proto.input.iter().map(|name| match name.as_str() {
            "" => Ok(None),
            name => match values.get(name).or_else(|| self.initializers.get(name)) {
                Some(tensor) => Ok(Some(tensor)),
                None => Err(Fault::new(format!("{label}: operand {name} is neither computed nor constant"))),
            },
        });
        let node = Node::new(proto, operands.collect::<Result<_, _>>()?);
        let output = evaluate(&node).map_err(|e| Fault::new(format!("{label}: {e}")))?;
        match proto.output.as_slice() {
            [name] => Ok(vec![(name.clone(), output)]),
            names => Err(Fault::new(format!("{label}: expected one output, found {}", names.len()))),
        }
    }
}

fn evaluate(node: &Node) -> Result<Tensor, Fault> {
    match (node.domain(), node.op_type()) {
        ("" | "ai.onnx", op) => match op {
            "QLinearConv" => convolution::qlinear_conv(node),
            "Conv" => convolution::conv(node),
            // Made by `Graph::in_integers`.
            "QLinearConvTranspose" => transposed::qlinear_conv_transpose(node),
            "QuantizeLinear" => quantization::quantize_linear(node),
            "DequantizeLinear" => quantization::dequantize_linear(node),
            "MaxPool" => pooling::max_pool(node),
            "Resize" => resize::resize(node),
            "Concat" => layout::concat(node),
            "DepthToSpace" => layout::depth_to_space(node),
            "Relu" => pointwise::relu(node),
            "LeakyRelu" => pointwise::leaky_relu(node),
            "Clip" => pointwise::clip(node),
            "Add" => pointwise::add(node),
            "ArgMax" => pointwise::arg_max(node),
            "Identity" => node.operand(0).cloned(),
            "Constant" => node.constant(),
            _ => Err(Fault::new("operator is not supported")),
        },
        (domain, _) => Err(Fault::new(format!("operator domain {domain} is not supported"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx_graph::GraphBuilder;
    use crate::tensor::Data;

    #[test]
    fn every_output_is_kept_and_a_node_reads_the_one_before() {
        let mut builder = GraphBuilder::new();
        let one = builder.constant("one", Tensor::new(&[], Data::F32(vec![1.0])).unwrap());
        let x = builder.input("x", &Tensor::new(&[2], Data::F32(vec![0.0; 2])).unwrap());
        let sum = builder.node("sum", "Add", &[&x, &one], vec![]);
        let cut = builder.node("cut", "Relu", &[&sum], vec![]);
        builder.output(&cut);
        let graph = Graph::from_bytes(&builder.finish(13)).unwrap();
        assert_eq!((graph.inputs(), graph.outputs()), (vec!["x"], vec!["cut"]));
        let x = Tensor::new(&[2], Data::F32(vec![-3.0, 2.0])).unwrap();
        let values = graph.run(&BTreeMap::from([("x".to_owned(), x)])).unwrap();
        assert_eq!(values["sum"].as_f32().unwrap(), [-2.0, 3.0]);
        assert_eq!(values["cut"].as_f32().unwrap(), [0.0, 3.0]);
        assert_eq!(values.len(), 3);
    }

    #[test]
    fn what_is_unknown_is_refused_by_name() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &Tensor::new(&[1], Data::F32(vec![0.0])).unwrap());
        builder.node("s", "Softmax", &[&x], vec![]);
        let graph = Graph::from_bytes(&builder.finish(13)).unwrap();
        let x = Tensor::new(&[1], Data::F32(vec![0.0])).unwrap();
        let said = graph.run(&BTreeMap::from([("x".to_owned(), x)])).unwrap_err().to_string();
        assert_eq!(said, "node s (Softmax): operator is not supported");
        assert_eq!(graph.run(&BTreeMap::new()).unwrap_err().to_string(), "input x is not given");
        assert!(Graph::from_bytes(&[0xff; 9]).unwrap_err().to_string().starts_with("not an ONNX model"));
    }
}
