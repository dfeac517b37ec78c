//! From an ONNX graph that tract has read, checked and typed to a [`Program`] of what the engine covers of it, and the nodes that
//! it does not cover, with the reason.
//!
//! tract's typed form of these operators spreads one `QLinearConv` over casts, shifted zero points and a dozen small
//! nodes, differently for each release; the file's own nodes are the stable description of the same numbers.
//!
//! A file may hold them in two forms, even both at once: as integer operators (`qlinear`), or as f32 operators between
//! `DequantizeLinear` and `QuantizeLinear` (`qdq`). Here is the walk over the nodes and the bookkeeping of what each tensor is;
//! `partition` sorts what the walk has found into parts.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::NodeProto;
use unet_shared::quantization::Quantization;

use super::facts::{Fact, Facts};
use super::node::{Constants, Node, NotCovered, Reason};
use super::program::{Activation, Boundary, Form, Operator, Program, Step, TensorId};
use super::simplify::Simplified;
use crate::inference::backend::Element;
use convolution::Sums;

mod convolution;
mod movement;
mod partition;
mod pointwise;
mod qdq;
mod qlinear;
#[cfg(test)]
mod tests;

/// What the engine covers of a graph.
#[derive(Debug, PartialEq)]
pub(super) struct Extraction {
    /// What the engine runs.
    pub program: Program,
    /// The nodes that it does not run, in the file's order; empty if it covers the graph.
    pub outside: Vec<NotCovered>,
}

/// Reads the chain from the graph's input to `output`, which are among `facts`.
///
/// # Errors
///
/// If nothing is covered: the first node that is not.
pub(super) fn extract(simplified: &Simplified<'_>, facts: &Facts, output: &str) -> Result<Extraction, NotCovered> {
    let mut left = HashSet::new();
    loop {
        let mut reader = Reader::new(simplified, facts);
        for (index, proto) in simplified.nodes.iter().enumerate() {
            reader.at = index;
            let read = if left.contains(&index) { Err(TOO_SMALL.to_owned()) } else { reader.read(Node(proto)) };
            if let Err(reason) = read {
                reader.refused.insert(index, reason);
            }
        }
        let partition = partition::partition(reader, simplified.resolve(output))?;
        if partition.too_small.is_empty() {
            return Ok(partition.extraction);
        }
        left.extend(partition.too_small);
    }
}

/// Why a part without a convolution is left to tract. A part with one pays at any size: eight 1x1 convolutions of 1 channel over 4x4
/// pixels, each between two nodes of tract, took 0.01 ms either way, and over 16x16 pixels 0.01 instead of 0.03 ms.
const TOO_SMALL: &str =
    "expected a convolution between the nodes around it, found none, so that the engine gains nothing";

/// An activation as the file has it.
#[derive(Clone, Copy)]
struct Operand {
    /// The bytes.
    tensor: TensorId,
    /// The quantization of the file's f32; `None` if the file has the bytes themselves.
    real: Option<Quantization>,
}

/// A tensor of the file; one without a value is made outside.
enum Value<'a> {
    /// 8 bits, or f32 that are 8 bits dequantized.
    Activation(Operand),
    /// f32 that a function of one value makes of 8 bits dequantized, before a `QuantizeLinear` that reads them.
    Mapped(Mapped),
    /// f32 of a `Conv` or `ConvTranspose`, and perhaps a `Relu`, before the one `QuantizeLinear` that reads them.
    Sums(Box<Sums<'a>>),
    /// f32 of an `Add`, and perhaps a `Relu`, before the one `QuantizeLinear` that reads them.
    Added(Added<'a>),
    /// f32 of a `Concat`, whose parts may have other scales, before the one `QuantizeLinear` that reads them.
    Joined(Joined<'a>),
    /// f32 of a linear `Resize`, before the one `QuantizeLinear` that reads them.
    Interpolated(Interpolated<'a>),
    /// The largest channel of each pixel of these logits.
    Classes(TensorId),
    /// f32 that this `DequantizeLinear` makes of a constant.
    Constant(Node<'a>),
    /// What its one reader has read.
    Taken,
}

/// The f32 of each byte of a tensor.
#[derive(Clone)]
struct Mapped {
    tensor: TensorId,
    reals: Box<[f32; 256]>,
}

/// The sum of two dequantized activations.
#[derive(Clone, Copy)]
struct Added<'a> {
    node: Node<'a>,
    operands: [(TensorId, Quantization); 2],
    relu: bool,
}

/// Dequantized activations one after the other.
struct Joined<'a> {
    node: Node<'a>,
    parts: Vec<(TensorId, Quantization)>,
    shape: [usize; 3],
}

/// A dequantized activation at twice its height and width.
#[derive(Clone, Copy)]
struct Interpolated<'a> {
    node: Node<'a>,
    tensor: TensorId,
    real: Quantization,
}

/// The walk over the nodes and what it has found so far.
struct Reader<'a> {
    nodes: &'a [NodeProto],
    constants: &'a Constants<'a>,
    facts: &'a Facts,
    /// Index of the node that is being read.
    at: usize,
    tensors: Vec<Activation>,
    steps: Vec<MadeAt<Step>>,
    entries: Vec<MadeAt<Boundary>>,
    values: HashMap<&'a str, Value<'a>>,
    /// Why a node is not covered, by its index.
    refused: HashMap<usize, Reason>,
}

/// Something that reading a node has added.
struct MadeAt<T> {
    /// Index of the node.
    node: usize,
    made: T,
}

impl<'a> Reader<'a> {
    fn new(simplified: &'a Simplified<'a>, facts: &'a Facts) -> Self {
        Reader {
            nodes: &simplified.nodes,
            constants: &simplified.constants,
            facts,
            at: 0,
            tensors: Vec::new(),
            steps: Vec::new(),
            entries: Vec::new(),
            values: HashMap::new(),
            refused: HashMap::new(),
        }
    }

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
        let made = Step { node: node.name().to_owned(), operator, inputs, output, part: 0 };
        self.steps.push(MadeAt { node: self.at, made });
        output
    }

    /// Adds a tensor that comes from outside.
    fn enter(&mut self, name: &str, shape: [usize; 3], signed: bool, source: &str, form: Form) -> TensorId {
        let tensor = self.add(name, shape, signed);
        let made = Boundary { name: source.to_owned(), tensor, form };
        self.entries.push(MadeAt { node: self.at, made });
        tensor
    }

    /// The fact of a tensor that is made outside, and its channels, height and width.
    fn outside(&self, name: &str) -> Result<(&'a Fact, [usize; 3]), Reason> {
        let unknown = || format!("operand {name}: expected 8 bits or f32 of a fixed size");
        let fact = self.facts.get(name).ok_or_else(unknown)?;
        match fact.shape.as_slice() {
            &[1, channels, height, width] => Ok((fact, [channels, height, width])),
            shape => Err(format!("operand {name}: expected 1xCxHxW, found {shape:?}")),
        }
    }

    /// Operand `index`, an activation of either form.
    fn activation(&mut self, node: Node<'a>, index: usize) -> Result<Operand, Reason> {
        let name = node.operand(index)?;
        let other = || format!("operand {name}: expected an 8-bit activation, or one dequantized");
        match self.values.get(name) {
            Some(Value::Activation(operand)) => return Ok(*operand),
            Some(_) => return Err(other()),
            None if self.constants.contains(name) => return Err(other()),
            None => {}
        }
        let (fact, shape) = self.outside(name)?;
        if !matches!(fact.element, Element::U8 | Element::I8) {
            return Err(other());
        }
        let tensor = self.enter(name, shape, fact.element == Element::I8, name, Form::Bytes);
        let operand = Operand { tensor, real: None };
        self.values.insert(name, Value::Activation(operand));
        Ok(operand)
    }

    /// Operand `index`, which the file has as 8 bits.
    fn integers(&mut self, node: Node<'a>, index: usize) -> Result<TensorId, Reason> {
        match self.activation(node, index)? {
            Operand { tensor, real: None } => Ok(tensor),
            _ => Err(format!("operand {}: expected 8 bits, found f32", node.operand(index)?)),
        }
    }

    /// Operand `index`, f32 that `DequantizeLinear` makes.
    fn reals(&mut self, node: Node<'a>, index: usize) -> Result<(TensorId, Quantization), Reason> {
        match self.activation(node, index)? {
            Operand { tensor, real: Some(real) } => Ok((tensor, real)),
            _ => Err(format!("operand {}: expected f32, found 8 bits", node.operand(index)?)),
        }
    }

    /// The value of a tensor. f32 that are not those of bytes can be taken once: a second reader would compute all of them again.
    fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let value = self.values.get_mut(name)?;
        match value {
            Value::Activation(operand) => Some(Value::Activation(*operand)),
            Value::Mapped(mapped) => Some(Value::Mapped(mapped.clone())),
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
        let value = match node.0.op_type.as_str() {
            "QLinearConv" => self.qlinear_conv(node)?,
            "MaxPool" => self.max_pool(node)?,
            "Resize" => self.resize(node)?,
            "Concat" => self.concat(node)?,
            "Add" => self.add_activations(node)?,
            "DepthToSpace" => self.depth_to_space(node)?,
            "Conv" => self.conv(node)?,
            "ConvTranspose" => self.conv_transpose(node)?,
            "Relu" => self.relu(node)?,
            "LeakyRelu" => self.leaky_relu(node)?,
            "Clip" => self.clip(node)?,
            "QuantizeLinear" => self.quantize(node)?,
            "DequantizeLinear" => self.dequantize(node)?,
            "ArgMax" => self.arg_max(node)?,
            _ => return Err("expected an operator that the integer engine has".to_owned()),
        };
        self.values.insert(node.output(), value);
        Ok(())
    }
}

/// `count` values, from as many or from one.
fn spread<T: Copy>(name: &str, values: Vec<T>, count: usize) -> Result<Vec<T>, Reason> {
    match values.as_slice() {
        [value] => Ok(vec![*value; count]),
        values if values.len() == count => Ok(values.to_vec()),
        values => Err(format!("{name}: expected 1 or {count} values, found {}", values.len())),
    }
}
