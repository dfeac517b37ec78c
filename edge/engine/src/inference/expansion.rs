//! Writes operators that tract lacks, or would compute wrongly, as others that it has. The numbers stay the same.

use std::collections::HashMap;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};

/// The operators of onnxruntime's quantizer that are an f32 operator between `DequantizeLinear` and `QuantizeLinear`.
const QUANTIZED: [(&str, &str); 5] = [
    ("QLinearConcat", "Concat"),
    ("QLinearAdd", "Add"),
    ("QLinearMul", "Mul"),
    ("QLinearSigmoid", "Sigmoid"),
    ("QLinearLeakyRelu", "LeakyRelu"),
];

/// Replaces each operator of [`QUANTIZED`] by the three that it stands for.
pub(super) fn expand_quantized(graph: &mut GraphProto) {
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node) {
        let known = QUANTIZED.iter().find(|(name, _)| *name == node.op_type && node.domain == "com.microsoft");
        match known.and_then(|(_, operator)| expanded(&node, operator)) {
            Some(expanded) => nodes.extend(expanded),
            None => nodes.push(node),
        }
    }
    graph.node = nodes;
}

/// `None` if the node does not have the operands that it should have.
fn expanded(node: &NodeProto, operator: &str) -> Option<Vec<NodeProto>> {
    let [output] = node.output.as_slice() else { return None };
    // `QLinearConcat` begins with its output's quantization, the others end with it.
    let (inputs, to) = match operator {
        "Concat" => node.input.split_at_checked(2).map(|(to, inputs)| (inputs, to))?,
        _ => node.input.split_at_checked(node.input.len().checked_sub(2)?)?,
    };
    let expected = if matches!(operator, "Add" | "Mul") { 6 } else { 3 };
    let (operands, rest) = inputs.as_chunks::<3>();
    if operands.is_empty() || !rest.is_empty() || (operator != "Concat" && inputs.len() != expected) {
        return None;
    }
    let made = |operator: &str, name: String, input: Vec<String>, output: String| NodeProto {
        op_type: operator.to_owned(),
        name,
        input,
        output: vec![output],
        ..NodeProto::default()
    };
    let mut nodes = Vec::with_capacity(operands.len() + 2);
    let mut reals = Vec::with_capacity(operands.len());
    for (index, operand) in operands.iter().enumerate() {
        let real = format!("{output}/operand_{index}");
        nodes.push(made("DequantizeLinear", format!("{real}/DequantizeLinear"), operand.to_vec(), real.clone()));
        reals.push(real);
    }
    let result = format!("{output}/real");
    let own = made(operator, node.name.clone(), reals, result.clone());
    nodes.push(NodeProto { attribute: node.attribute.clone(), ..own });
    let input = std::iter::once(result).chain(to.iter().cloned()).collect();
    nodes.push(made("QuantizeLinear", format!("{output}/QuantizeLinear"), input, output.clone()));
    Some(nodes)
}

/// Functions of one value: what tract may compute once for each of 256 bytes. Max-pooling is one that it knows to keep.
const POINTWISE: [&str; 14] = [
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Clip",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Tanh",
    "Elu",
    "Abs",
    "Neg",
    "Sqrt",
    "Identity",
    "MaxPool",
];

/// The graph's nodes with some `DequantizeLinear` as `(x - zero point) * scale`, by the operators of that arithmetic. These are the
/// ones whose f32 reach a `QuantizeLinear` through other than functions of one value: tract takes everything between for such a
/// function and computes it on 256 bytes alone, without their places (seen with `Pad`, `Expand` and `Reshape`).
pub(super) fn without_false_tables(graph: &GraphProto) -> Vec<NodeProto> {
    let mut readers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
    for node in &graph.node {
        for name in &node.input {
            readers.entry(name.as_str()).or_default().push(node);
        }
    }
    let made = graph.node.iter().filter(|node| node.op_type == "Constant").filter_map(|node| {
        let tensor = node.attribute.iter().find_map(|attribute| attribute.t.as_ref())?;
        Some((node.output.first()?.as_str(), tensor))
    });
    let initializers = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor));
    let constants: HashMap<_, _> = initializers.chain(made).collect();
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in &graph.node {
        let is_activation = node.op_type == "DequantizeLinear"
            && node.input.first().is_some_and(|x| !constants.contains_key(x.as_str()));
        let is_scalar =
            node.input.iter().skip(1).all(|name| {
                constants.get(name.as_str()).is_some_and(|tensor| tensor.dims.iter().product::<i64>() == 1)
            });
        if is_activation && is_scalar && node.input.len() == 3 && is_misread(node, &readers) {
            nodes.extend(arithmetic(node));
        } else {
            nodes.push(node.clone());
        }
    }
    nodes
}

/// Whether something between the node and a `QuantizeLinear` is no function of one value.
fn is_misread(node: &NodeProto, readers: &HashMap<&str, Vec<&NodeProto>>) -> bool {
    let mut at = node;
    let mut misread = false;
    // Each step goes to a reader, of which a sound graph has fewer than nodes; an unsound one ends here.
    for _ in 0..readers.len() {
        let [output] = at.output.as_slice() else { return false };
        let Some([reader]) = readers.get(output.as_str()).map(Vec::as_slice) else { return false };
        match reader.op_type.as_str() {
            "QuantizeLinear" => return misread,
            "Conv" | "ConvTranspose" | "Concat" | "Add" | "Mul" | "MatMul" | "Gemm" => return false,
            operator => misread |= !POINTWISE.contains(&operator),
        }
        at = reader;
    }
    false
}

fn arithmetic(node: &NodeProto) -> Vec<NodeProto> {
    let output = &node.output[0];
    let [x, scale, zero_point] = [&node.input[0], &node.input[1], &node.input[2]];
    let part = |operator: &str, name: &str, input: [&str; 2], output: &str| NodeProto {
        op_type: operator.to_owned(),
        name: format!("{output}/{name}"),
        input: input.iter().filter(|name| !name.is_empty()).map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    };
    let cast = |input: &str, name: &str, output: &str| {
        let to = AttributeProto {
            name: "to".to_owned(),
            r#type: AttributeType::Int as i32,
            i: DataType::Float as i64,
            ..AttributeProto::default()
        };
        NodeProto { attribute: vec![to], ..part("Cast", name, [input, ""], output) }
    };
    let [real, zero, difference] = ["real", "zero_point", "difference"].map(|name| format!("{output}/{name}"));
    vec![
        cast(x, "cast", &real),
        cast(zero_point, "cast_zero_point", &zero),
        part("Sub", "subtract", [&real, &zero], &difference),
        part("Mul", "scale", [&difference, scale], output),
    ]
}
