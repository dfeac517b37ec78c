//! Makes a model of each quantized node of a graph, so that several runtimes can run one node on the same inputs: a
//! difference then shows at the node that causes it.

use crate::interpreter::{Fault, Graph};
use crate::tensor::Tensor;
use prost::Message;
use std::collections::BTreeMap;
use unet_onnx::pb::tensor_proto::DataType;
use unet_onnx::pb::{GraphProto, ModelProto};
use unet_onnx::value_info;

/// One node as a model.
#[derive(Clone, Debug)]
pub struct NodeModel {
    /// The node's name; that of its output if it has none.
    pub name: String,
    /// The operator.
    pub op_type: String,
    /// The computed tensors that the node reads: the model's inputs.
    pub inputs: Vec<String>,
    /// The model's output.
    pub output: String,
    /// The encoded model.
    pub bytes: Vec<u8>,
}

/// Every node of the encoded model that reads or writes computed 8-bit tensors, in the graph's order.
///
/// `values` are the computed tensors by name, from [`Graph::run`]; they define the types and shapes of the models'
/// inputs.
///
/// # Errors
/// If the bytes are not a model, or a tensor is missing in `values`.
pub fn node_models(bytes: &[u8], values: &BTreeMap<String, Tensor>) -> Result<Vec<NodeModel>, Fault> {
    let model = decode(bytes)?;
    let graph = Graph::from_model(&model)?;
    let cut = (0..graph.nodes().len()).map(|index| cut_node(&model, &graph, index, values));
    cut.filter_map(Result::transpose).collect()
}

/// Decodes a model.
///
/// # Errors
/// If the bytes are not a model.
pub fn decode(bytes: &[u8]) -> Result<ModelProto, Fault> {
    ModelProto::decode(bytes).map_err(|e| Fault::new(format!("not an ONNX model: {e}")))
}

/// The model with this u8 tensor as its only output; nodes that do not contribute to it stay in the file.
///
/// # Errors
/// If the bytes are not a model.
pub fn with_output(bytes: &[u8], output: &str) -> Result<Vec<u8>, Fault> {
    cut_at(bytes, output, DataType::Uint8)
}

/// As [`with_output`], for a tensor of the type of `like`.
///
/// # Errors
/// When the bytes are no model.
pub fn with_output_of(bytes: &[u8], output: &str, like: &Tensor) -> Result<Vec<u8>, Fault> {
    cut_at(bytes, output, like.data().data_type())
}

fn cut_at(bytes: &[u8], output: &str, data_type: DataType) -> Result<Vec<u8>, Fault> {
    let mut model = decode(bytes)?;
    let graph = model.graph.get_or_insert_default();
    graph.output = vec![value_info(output, data_type, None)];
    Ok(model.encode_to_vec())
}

/// Node `index` of the graph as a model; `None` if no 8-bit tensor is computed or read, or all operands are constant.
///
/// # Errors
/// If a tensor is missing in `values`.
pub fn cut_node(
    model: &ModelProto,
    graph: &Graph,
    index: usize,
    values: &BTreeMap<String, Tensor>,
) -> Result<Option<NodeModel>, Fault> {
    let node = graph.nodes().get(index).ok_or_else(|| Fault::new(format!("the graph has no node {index}")))?;
    let find = |name: &String| {
        values.get(name).ok_or_else(|| Fault::new(format!("node {}: tensor {name} is missing", node.name)))
    };
    let constants = graph.initializers();
    let mut inputs: Vec<String> = Vec::new();
    for name in node.input.iter().filter(|name| !name.is_empty() && !constants.contains_key(*name)) {
        if !inputs.contains(name) {
            inputs.push(name.clone());
        }
    }
    let [output] = node.output.as_slice() else {
        return Err(Fault::new(format!("node {}: expected one output, found {}", node.name, node.output.len())));
    };
    let computed = inputs.iter().chain([output]).map(find).collect::<Result<Vec<_>, _>>()?;
    if inputs.is_empty() || !computed.iter().any(|t| t.is_quantized()) {
        return Ok(None);
    }
    let declare = |name: &String| Ok(value_info(name, find(name)?.data().data_type(), Some(find(name)?.shape())));
    let original = model.graph.as_ref().map(|g| g.initializer.as_slice()).unwrap_or_default();
    let cut = GraphProto {
        name: node.name.clone(),
        node: vec![node.clone()],
        initializer: original.iter().filter(|t| node.input.contains(&t.name)).cloned().collect(),
        input: inputs.iter().map(declare).collect::<Result<_, Fault>>()?,
        output: vec![declare(output)?],
        ..Default::default()
    };
    let bytes = ModelProto { graph: Some(cut), ..model.clone() }.encode_to_vec();
    let name = if node.name.is_empty() { output.clone() } else { node.name.clone() };
    Ok(Some(NodeModel { name, op_type: node.op_type.clone(), inputs, output: output.clone(), bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny_unet::TinyUnet;

    #[test]
    fn a_node_alone_computes_the_same_as_in_the_graph() {
        let tiny = TinyUnet::new(1, 16);
        let values = Graph::from_bytes(&tiny.model).unwrap().run(&tiny.frame(2)).unwrap();
        let nodes = node_models(&tiny.model, &values).unwrap();
        assert_eq!(nodes.len(), tiny.node_count);
        for node in nodes {
            let inputs = node.inputs.iter().map(|name| (name.clone(), values[name].clone())).collect();
            let graph = Graph::from_bytes(&node.bytes).unwrap();
            assert_eq!(graph.outputs(), [node.output.as_str()]);
            assert_eq!(graph.run(&inputs).unwrap()[&node.output], values[&node.output], "{}", node.name);
        }
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let tiny = TinyUnet::new(1, 16);
        let said = node_models(&tiny.model, &BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(said, "node down0a: tensor frame is missing");
    }
}
