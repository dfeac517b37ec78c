//! One node with its operands looked up and its attributes read by name, with the defaults of the operator specification.
//!
//! Knows how attributes are encoded, not what an operator does with them.

use super::Fault;
use crate::tensor::{Data, Tensor};
use tract_onnx::pb::{AttributeProto, NodeProto};

/// A node ready to be computed.
pub struct Node<'a> {
    proto: &'a NodeProto,
    operands: Vec<Option<&'a Tensor>>,
}

impl<'a> Node<'a> {
    /// A node of the given operands; `None` is one that was left out.
    pub fn new(proto: &'a NodeProto, operands: Vec<Option<&'a Tensor>>) -> Node<'a> {
        Node { proto, operands }
    }

    pub fn domain(&self) -> &str {
        &self.proto.domain
    }

    pub fn op_type(&self) -> &str {
        &self.proto.op_type
    }

    /// Operand `index`, which must exist.
    pub fn operand(&self, index: usize) -> Result<&'a Tensor, Fault> {
        self.optional(index).ok_or_else(|| Fault::new(format!("operand {index} is missing")))
    }

    /// Operand `index`, if it exists.
    pub fn optional(&self, index: usize) -> Option<&'a Tensor> {
        self.operands.get(index).copied().flatten()
    }

    /// All operands, each of which must exist.
    pub fn all_operands(&self) -> Result<Vec<&'a Tensor>, Fault> {
        (0..self.operands.len()).map(|i| self.operand(i)).collect()
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.proto.attribute.iter().find(|a| a.name == name)
    }

    pub fn integer(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i)
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |a| a.f)
    }

    /// A list of sizes; the default if the attribute is absent.
    pub fn sizes<const N: usize>(&self, name: &str, default: [usize; N]) -> Result<[usize; N], Fault> {
        let Some(attribute) = self.attribute(name) else { return Ok(default) };
        let sizes: Option<Vec<usize>> = attribute.ints.iter().map(|&v| usize::try_from(v).ok()).collect();
        let sizes = sizes.and_then(|v| v.try_into().ok());
        sizes.ok_or_else(|| Fault::new(format!("{name}: expected {N} sizes, found {:?}", attribute.ints)))
    }

    pub fn text(&self, name: &str, default: &'a str) -> Result<&'a str, Fault> {
        match self.attribute(name) {
            None => Ok(default),
            Some(a) => std::str::from_utf8(&a.s).map_err(|_| Fault::new(format!("{name} is not text"))),
        }
    }

    /// Refuses an attribute with any value but the one supported.
    pub fn require_text(&self, name: &str, default: &'a str, known: &str) -> Result<(), Fault> {
        match self.text(name, default)? {
            found if found == known => Ok(()),
            found => Err(Fault::new(format!("{name}: expected {known}, found {found}"))),
        }
    }

    /// Refuses an attribute with any value but the one supported.
    pub fn require_integer(&self, name: &str, default: i64, known: i64) -> Result<(), Fault> {
        match self.integer(name, default) {
            found if found == known => Ok(()),
            found => Err(Fault::new(format!("{name}: expected {known}, found {found}"))),
        }
    }

    /// The value of a `Constant`.
    pub fn constant(&self) -> Result<Tensor, Fault> {
        let Some(attribute) = self.proto.attribute.first() else { return Err(Fault::new("no value")) };
        match attribute.name.as_str() {
            "value" => Tensor::from_proto(attribute.t.as_ref().ok_or_else(|| Fault::new("value: no tensor"))?),
            "value_float" => Tensor::new(&[], Data::F32(vec![attribute.f])),
            "value_int" => Tensor::new(&[], Data::I64(vec![attribute.i])),
            "value_floats" => Tensor::new(&[attribute.floats.len()], Data::F32(attribute.floats.clone())),
            "value_ints" => Tensor::new(&[attribute.ints.len()], Data::I64(attribute.ints.clone())),
            other => Err(Fault::new(format!("attribute {other} is not supported"))),
        }
    }
}

/// The axis that `axis` means in a tensor of `rank` dimensions, where a negative one counts from the end.
pub fn axis_of(axis: i64, rank: usize) -> Result<usize, Fault> {
    let counted = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let found = counted.and_then(|a| usize::try_from(a).ok()).filter(|&a| a < rank);
    found.ok_or_else(|| Fault::new(format!("axis {axis} does not exist in {rank} dimensions")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_axis_counts_from_the_end() {
        assert_eq!(axis_of(-1, 4), Ok(3));
        assert_eq!(axis_of(1, 4), Ok(1));
        for axis in [4, -5, i64::MIN] {
            let error = axis_of(axis, 4).unwrap_err().to_string();
            assert_eq!(error, format!("axis {axis} does not exist in 4 dimensions"));
        }
    }
}
