//! Reads nodes and constants of an ONNX graph. Knows how they are encoded, not which of them the engine covers.

use std::borrow::Cow;
use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Why the engine does not cover something; becomes the reason that is shown with the node.
pub(in crate::inference) type Reason = String;

/// A node that the engine does not cover.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node {node} ({operator}): {reason}")]
pub(in crate::inference) struct NotCovered {
    /// Name of the node.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// What was expected and found.
    pub reason: Reason,
    /// False if it is only kept from being covered by the nodes that read it.
    pub is_cause: bool,
}

impl NotCovered {
    pub(in crate::inference) fn new(node: Node<'_>, reason: Reason) -> Self {
        NotCovered { node: node.name().to_owned(), operator: node.0.op_type.clone(), reason, is_cause: true }
    }

    /// The node to name first: the first one that is a cause.
    pub(in crate::inference) fn first_of(nodes: &[NotCovered]) -> Option<&NotCovered> {
        nodes.iter().find(|node| node.is_cause).or(nodes.first())
    }
}

/// The constants of a graph by name.
pub(in crate::inference) struct Constants<'a>(HashMap<&'a str, Cow<'a, TensorProto>>);

/// An 8-bit constant, widened, with the signedness of its type.
pub(in crate::inference) struct Bytes {
    /// The values.
    pub values: Vec<i32>,
    /// Whether the type is i8.
    pub signed: bool,
}

impl<'a> Constants<'a> {
    pub(in crate::inference) fn of(graph: &'a GraphProto) -> Self {
        Constants(graph.initializer.iter().map(|tensor| (tensor.name.as_str(), Cow::Borrowed(tensor))).collect())
    }

    /// Adds the value of a `Constant` node; false if its kind of value is not known here.
    pub(in crate::inference) fn add(&mut self, node: Node<'a>) -> bool {
        let [attribute] = node.0.attribute.as_slice() else { return false };
        let floats = |dims, float_data| TensorProto {
            data_type: DataType::Float as i32,
            dims,
            float_data,
            ..TensorProto::default()
        };
        let value = match (attribute.name.as_str(), &attribute.t) {
            ("value", Some(tensor)) => Cow::Borrowed(tensor),
            ("value_float", _) => Cow::Owned(floats(Vec::new(), vec![attribute.f])),
            ("value_floats", _) => Cow::Owned(floats(vec![attribute.floats.len() as i64], attribute.floats.clone())),
            _ => return false,
        };
        self.0.insert(node.output(), value);
        true
    }

    pub(in crate::inference) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn tensor(&self, name: &str) -> Result<&TensorProto, Reason> {
        self.0.get(name).map(|tensor| &**tensor).ok_or_else(|| format!("{name}: expected a constant, found none"))
    }

    pub(in crate::inference) fn shape(&self, name: &str) -> Result<Vec<usize>, Reason> {
        let dims = &self.tensor(name)?.dims;
        let sizes: Result<_, _> = dims.iter().map(|&size| usize::try_from(size)).collect();
        sizes.map_err(|_| format!("{name}: expected sizes, found {dims:?}"))
    }

    pub(in crate::inference) fn floats(&self, name: &str) -> Result<Vec<f32>, Reason> {
        let tensor = self.tensor(name)?;
        let values = match (kind(tensor), tensor.raw_data.is_empty()) {
            (Ok(DataType::Float), true) => tensor.float_data.clone(),
            (Ok(DataType::Float), false) => words(name, tensor)?.map(f32::from_le_bytes).collect(),
            _ => return Err(format!("{name}: expected f32 values, found type {}", tensor.data_type)),
        };
        whole(name, tensor, values)
    }

    /// Exactly one f32.
    pub(in crate::inference) fn float(&self, name: &str) -> Result<f32, Reason> {
        one(name, &self.floats(name)?)
    }

    pub(in crate::inference) fn ints(&self, name: &str) -> Result<Vec<i32>, Reason> {
        let tensor = self.tensor(name)?;
        let values = match (kind(tensor), tensor.raw_data.is_empty()) {
            (Ok(DataType::Int32), true) => tensor.int32_data.clone(),
            (Ok(DataType::Int32), false) => words(name, tensor)?.map(i32::from_le_bytes).collect(),
            _ => return Err(format!("{name}: expected i32 values, found type {}", tensor.data_type)),
        };
        whole(name, tensor, values)
    }

    pub(in crate::inference) fn bytes(&self, name: &str) -> Result<Bytes, Reason> {
        let tensor = self.tensor(name)?;
        let raw = &tensor.raw_data;
        let (values, signed) = match (kind(tensor), raw.is_empty()) {
            (Ok(DataType::Uint8), true) => (tensor.int32_data.iter().map(|&v| i32::from(v as u8)).collect(), false),
            (Ok(DataType::Uint8), false) => (raw.iter().map(|&v| i32::from(v)).collect(), false),
            (Ok(DataType::Int8), true) => (tensor.int32_data.iter().map(|&v| i32::from(v as i8)).collect(), true),
            (Ok(DataType::Int8), false) => (raw.iter().map(|&v| i32::from(v as i8)).collect(), true),
            _ => return Err(format!("{name}: expected 8-bit values, found type {}", tensor.data_type)),
        };
        Ok(Bytes { values: whole(name, tensor, values)?, signed })
    }

    /// Exactly one 8-bit value, as the unsigned tensor of the program has it, and its signedness.
    pub(in crate::inference) fn zero_point(&self, name: &str) -> Result<(u8, bool), Reason> {
        let bytes = self.bytes(name)?;
        let value = one(name, &bytes.values)? + if bytes.signed { 128 } else { 0 };
        Ok((value as u8, bytes.signed))
    }
}

fn kind(tensor: &TensorProto) -> Result<DataType, ()> {
    DataType::try_from(tensor.data_type).map_err(|_| ())
}

fn words<'t>(name: &str, tensor: &'t TensorProto) -> Result<impl Iterator<Item = [u8; 4]> + use<'t>, Reason> {
    let (words, rest) = tensor.raw_data.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("{name}: expected a multiple of 4 bytes, found {}", tensor.raw_data.len()));
    }
    Ok(words.iter().copied())
}

/// The values, if they fill the shape.
fn whole<T>(name: &str, tensor: &TensorProto, values: Vec<T>) -> Result<Vec<T>, Reason> {
    let expected = tensor
        .dims
        .iter()
        .try_fold(1usize, |product, &size| usize::try_from(size).ok().and_then(|size| product.checked_mul(size)));
    if expected != Some(values.len()) {
        return Err(format!("{name}: expected shape {:?}, found {} values", tensor.dims, values.len()));
    }
    Ok(values)
}

fn one<T: Copy>(name: &str, values: &[T]) -> Result<T, Reason> {
    match values {
        [value] => Ok(*value),
        _ => Err(format!("{name}: expected 1 value, found {}", values.len())),
    }
}

/// One node, its attributes read by name with ONNX's defaults.
#[derive(Clone, Copy)]
pub(in crate::inference) struct Node<'a>(pub(super) &'a NodeProto);

impl<'a> Node<'a> {
    /// Whether it is this operator of ONNX.
    pub(in crate::inference) fn is(&self, operator: &str) -> bool {
        matches!(self.0.domain.as_str(), "" | "ai.onnx") && self.0.op_type == operator
    }

    /// Its name in messages: that of its output if it has none.
    pub(in crate::inference) fn name(&self) -> &'a str {
        if self.0.name.is_empty() { self.output() } else { &self.0.name }
    }

    /// Name of the first output.
    pub(in crate::inference) fn output(&self) -> &'a str {
        self.0.output.first().map_or("", String::as_str)
    }

    /// Name of operand `index`, which must exist.
    pub(in crate::inference) fn operand(&self, index: usize) -> Result<&'a str, Reason> {
        self.optional(index).ok_or_else(|| format!("operand {index}: expected one, found none"))
    }

    /// Name of operand `index`, if it exists.
    pub(in crate::inference) fn optional(&self, index: usize) -> Option<&'a str> {
        self.0.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.0.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(in crate::inference) fn integer(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub(in crate::inference) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    /// A list of sizes; the default if the attribute is absent.
    pub(in crate::inference) fn sizes<const N: usize>(
        &self,
        name: &str,
        default: [usize; N],
    ) -> Result<[usize; N], Reason> {
        let Some(attribute) = self.attribute(name) else { return Ok(default) };
        let sizes: Option<Vec<usize>> = attribute.ints.iter().map(|&value| usize::try_from(value).ok()).collect();
        sizes
            .and_then(|sizes| sizes.try_into().ok())
            .ok_or_else(|| format!("{name}: expected {N} sizes, found {:?}", attribute.ints))
    }

    /// A text; the default if the attribute is absent.
    pub(in crate::inference) fn text(&self, name: &str, default: &'static str) -> &'a str {
        self.attribute(name).map_or(default, |attribute| std::str::from_utf8(&attribute.s).unwrap_or("no text"))
    }

    /// Refuses every value of an integer attribute except one.
    pub(in crate::inference) fn require_integer(&self, name: &str, default: i64, known: i64) -> Result<(), Reason> {
        match self.integer(name, default) {
            found if found == known => Ok(()),
            found => Err(format!("{name}: expected {known}, found {found}")),
        }
    }

    /// Refuses every value of a text attribute except one.
    pub(in crate::inference) fn require_text(
        &self,
        name: &str,
        default: &'static str,
        known: &str,
    ) -> Result<(), Reason> {
        match self.text(name, default) {
            found if found == known => Ok(()),
            found => Err(format!("{name}: expected {known}, found {found}")),
        }
    }
}
