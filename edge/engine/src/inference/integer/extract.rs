//! From an ONNX graph that tract has read and checked to a [`Program`]; or the node that the engine does not cover, and why.
//!
//! tract's typed form of these operators spreads one `QLinearConv` over casts, shifted zero points and a dozen small
//! nodes, differently for each release; the file's own nodes are the stable description of the same numbers.
//!
//! A file may hold them in two forms, even both at once: as integer operators (`qlinear`), or as f32 operators between
//! `DequantizeLinear` and `QuantizeLinear` (`qdq`). Here are the walk and the bookkeeping of what each tensor is.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, NodeProto, tensor_proto::DataType, type_proto};
use unet_shared::quantization::Quantization;

use super::node::{Constants, Node, Reason};
use super::program::{Activation, End, Operator, Program, Step, TensorId};
use convolution::Sums;

mod convolution;
mod moving;
mod qdq;
mod qlinear;
#[cfg(test)]
mod tests;

/// A graph stays with tract because of this node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node {node} ({operator}): {reason}")]
pub(super) struct NotCovered {
    /// Name of the node.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// What was expected and found.
    pub reason: Reason,
}

/// Reads the chain from the graph's input to `output`. `shape` is the input's, N, C, H, W.
pub(super) fn program(graph: &GraphProto, shape: [usize; 4], output: &str) -> Result<Program, NotCovered> {
    let constants = Constants::of(graph);
    let whole =
        |reason: &str| NotCovered { node: graph.name.clone(), operator: "graph".to_owned(), reason: reason.to_owned() };
    let input = graph
        .input
        .iter()
        .find(|value| !constants.contains(&value.name))
        .ok_or_else(|| whole("expected an input, found none"))?;
    let element = match input.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => DataType::try_from(tensor.elem_type).ok(),
        _ => None,
    };
    let [1, channels, height, width] = shape else { return Err(whole("expected a batch of 1")) };
    let mut reader =
        Reader { constants, tensors: Vec::new(), steps: Vec::new(), values: HashMap::new(), enter: End::Bytes };
    let shape = [channels, height, width];
    let frame = match element {
        Some(DataType::Uint8 | DataType::Int8) => {
            let tensor = reader.add(&input.name, shape, element == Some(DataType::Int8));
            Value::Activation(Operand { tensor, real: None })
        }
        Some(DataType::Float) => Value::Frame(shape),
        _ => return Err(whole("expected an input of 8 bits or f32")),
    };
    reader.values.insert(&input.name, frame);
    for proto in needed(graph, output).ok_or_else(|| whole("expected one node for each tensor, found two"))? {
        let node = Node(proto);
        reader.read(node).map_err(|reason| NotCovered {
            node: node.name().to_owned(),
            operator: proto.op_type.clone(),
            reason,
        })?;
    }
    let output = match reader.values.get(output) {
        Some(Value::Activation(Operand { tensor, .. }) | Value::Classes(tensor)) => *tensor,
        Some(_) => return Err(whole("expected an output that is quantized, found f32 that never was")),
        None => return Err(whole("no node makes the output")),
    };
    if reader.steps.is_empty() {
        return Err(whole("expected quantized operators, found none"));
    }
    // The frame's tensor is the first: every other one is made of it.
    Ok(Program { tensors: reader.tensors, steps: reader.steps, input: 0, output, enter: reader.enter })
}

/// The nodes that `output` depends on, in the file's order; `None` if two nodes make one tensor.
fn needed<'a>(graph: &'a GraphProto, output: &'a str) -> Option<Vec<&'a NodeProto>> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if makers.insert(name, index).is_some() {
                return None;
            }
        }
    }
    let mut wanted = vec![false; graph.node.len()];
    let mut open = vec![output];
    while let Some(name) = open.pop() {
        if let Some(&index) = makers.get(name)
            && !std::mem::replace(&mut wanted[index], true)
        {
            open.extend(graph.node[index].input.iter().map(String::as_str));
        }
    }
    Some(graph.node.iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(node, _)| node).collect())
}

/// An activation as the file has it.
#[derive(Clone, Copy)]
struct Operand {
    /// The bytes.
    tensor: TensorId,
    /// What the file's f32 are made of the bytes by; `None` where the file has the bytes themselves.
    real: Option<Quantization>,
}

/// What a tensor of the file is here.
enum Value<'a> {
    /// 8 bits, or f32 that are nothing but 8 bits dequantized.
    Activation(Operand),
    /// The graph's f32 input, before the one `QuantizeLinear` that reads it.
    Frame([usize; 3]),
    /// f32 of a `Conv`, and perhaps a `Relu`, before the one `QuantizeLinear` that reads them.
    Sums(Box<Sums<'a>>),
    /// f32 of a `Concat`, whose parts may have other scales, before the one `QuantizeLinear` that reads them.
    Joined(Joined<'a>),
    /// The largest channel of each pixel of these logits.
    Classes(TensorId),
    /// f32 that this `DequantizeLinear` makes of a constant.
    Constant(Node<'a>),
    /// One of those with one reader, which has read it.
    Taken,
}

/// Dequantized activations one after the other.
struct Joined<'a> {
    node: Node<'a>,
    parts: Vec<(TensorId, Quantization)>,
    shape: [usize; 3],
}

struct Reader<'a> {
    constants: Constants<'a>,
    tensors: Vec<Activation>,
    steps: Vec<Step>,
    values: HashMap<&'a str, Value<'a>>,
    enter: End,
}

impl<'a> Reader<'a> {
    fn add(&mut self, name: &str, shape: [usize; 3], signed: bool) -> TensorId {
        self.tensors.push(Activation { name: name.to_owned(), shape, signed });
        self.tensors.len() - 1
    }

    /// Adds a step, and the tensor that it makes.
    fn push(
        &mut self,
        node: Node<'a>,
        operator: Operator,
        inputs: Vec<TensorId>,
        shape: [usize; 3],
        signed: bool,
    ) -> TensorId {
        let output = self.add(node.output(), shape, signed);
        self.steps.push(Step { node: node.name().to_owned(), operator, inputs, output });
        output
    }

    /// Operand `index`, an activation of either form.
    fn activation(&self, node: Node<'a>, index: usize) -> Result<Operand, Reason> {
        let name = node.operand(index)?;
        match self.values.get(name) {
            Some(Value::Activation(operand)) => Ok(*operand),
            _ => Err(format!("operand {name}: expected an 8-bit activation, or one dequantized")),
        }
    }

    /// Operand `index`, which the file has as 8 bits.
    fn integers(&self, node: Node<'a>, index: usize) -> Result<TensorId, Reason> {
        match self.activation(node, index)? {
            Operand { tensor, real: None } => Ok(tensor),
            _ => Err(format!("operand {}: expected 8 bits, found f32", node.operand(index)?)),
        }
    }

    /// Operand `index`, f32 that `DequantizeLinear` has made.
    fn reals(&self, node: Node<'a>, index: usize) -> Result<(TensorId, Quantization), Reason> {
        match self.activation(node, index)? {
            Operand { tensor, real: Some(real) } => Ok((tensor, real)),
            _ => Err(format!("operand {}: expected f32, found 8 bits", node.operand(index)?)),
        }
    }

    /// What a tensor is, and no more afterwards unless it is an activation: a second reader of sums would have all of them
    /// computed again.
    fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let value = self.values.get_mut(name)?;
        match value {
            Value::Activation(operand) => Some(Value::Activation(*operand)),
            value => Some(std::mem::replace(value, Value::Taken)),
        }
    }

    fn read(&mut self, node: Node<'a>) -> Result<(), Reason> {
        if !matches!(node.0.domain.as_str(), "" | "ai.onnx") {
            return Err(format!("expected an operator of ONNX, found domain {}", node.0.domain));
        }
        if node.0.output.len() != 1 {
            return Err(format!("expected one output, found {}", node.0.output.len()));
        }
        if self.constants.contains(node.output()) || self.values.contains_key(node.output()) {
            return Err(format!("output {}: expected a name of its own", node.output()));
        }
        let value = match node.0.op_type.as_str() {
            "QLinearConv" => self.qlinear_conv(node)?,
            "MaxPool" => self.max_pool(node)?,
            "Resize" => self.resize(node)?,
            "Concat" => self.concat(node)?,
            "DepthToSpace" => self.depth_to_space(node)?,
            "Conv" => self.conv(node)?,
            "Relu" => self.relu(node)?,
            "QuantizeLinear" => self.quantize(node)?,
            "DequantizeLinear" => self.dequantize(node)?,
            "ArgMax" => self.arg_max(node)?,
            _ => return Err("expected an operator that the integer engine has".to_owned()),
        };
        self.values.insert(node.output(), value);
        Ok(())
    }
}

/// The chain's entrance where the file has f32.
fn floats(Quantization { scale, zero_point }: Quantization) -> End {
    // Zero points come from bytes.
    End::Floats { scale, zero_point: zero_point as u8 }
}

/// One value for each of `count`, from as many or from one.
fn spread<T: Copy>(name: &str, values: Vec<T>, count: usize) -> Result<Vec<T>, Reason> {
    match values.as_slice() {
        [value] => Ok(vec![*value; count]),
        values if values.len() == count => Ok(values.to_vec()),
        values => Err(format!("{name}: expected 1 or {count} values, found {}", values.len())),
    }
}
