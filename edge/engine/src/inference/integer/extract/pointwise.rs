//! Functions of one value, and the sum of two. Of a convolution, a ReLU becomes the clamping of its output; of an activation that is dequantized
//! before and quantized after, any function becomes a table of 256 bytes.

use super::super::node::{Node, Reason};
use super::{Added, Mapped, Operand, Reader, Value};

impl<'a> Reader<'a> {
    pub(super) fn relu(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        if let Some(Value::Sums(_)) = self.values.get(node.operand(0)?)
            && let Some(Value::Sums(mut sums)) = self.take(node.operand(0)?)
        {
            sums.relu = true;
            return Ok(Value::Sums(sums));
        }
        if let Some(Value::Added(_)) = self.values.get(node.operand(0)?)
            && let Some(Value::Added(added)) = self.take(node.operand(0)?)
        {
            return Ok(Value::Added(Added { relu: true, ..added }));
        }
        self.mapping(node, "a Conv or an Add with no other reader, or of an activation", |value| value.max(0.0))
    }

    /// The sum of two activations of one shape.
    pub(super) fn add_activations(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        let operands = [self.reals(node, 0)?, self.reals(node, 1)?];
        let [first, second] = operands.map(|(tensor, _)| self.tensors[tensor].shape);
        if first != second {
            return Err(format!("expected operands of one shape, found {first:?} and {second:?}"));
        }
        Ok(Value::Added(Added { node, operands, relu: false }))
    }

    pub(super) fn leaky_relu(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        let alpha = node.float("alpha", 0.01);
        self.mapping(node, "an activation", |value| if value < 0.0 { alpha * value } else { value })
    }

    /// `x`, and perhaps a constant minimum and maximum.
    pub(super) fn clip(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        let bound = |index, absent| node.optional(index).map_or(Ok(absent), |name| self.constants.float(name));
        let (min, max) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
        self.mapping(node, "an activation", |value| value.max(min).min(max))
    }

    /// `function` of an activation's f32; `expected` says of what else they may be.
    fn mapping(&mut self, node: Node<'a>, expected: &str, function: impl Fn(f32) -> f32) -> Result<Value<'a>, Reason> {
        let name = node.operand(0)?;
        let mapped = match self.values.get(name) {
            Some(&Value::Activation(Operand { tensor, real: Some(real) })) => {
                Mapped { tensor, reals: Box::new(std::array::from_fn(|byte| function(real.dequantize(byte as u8)))) }
            }
            Some(Value::Mapped(mapped)) => {
                Mapped { tensor: mapped.tensor, reals: Box::new(mapped.reals.map(function)) }
            }
            _ => return Err(format!("operand {name}: expected f32 of {expected}")),
        };
        Ok(Value::Mapped(mapped))
    }
}
