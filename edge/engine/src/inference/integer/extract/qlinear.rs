//! The form with integer operators: `QLinearConv`.

use super::super::node::{Node, Reason};
use super::super::program::Operator;
use super::convolution::{Attributes, Sums, Weights};
use super::{Operand, Reader, Value};

impl<'a> Reader<'a> {
    /// `x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point`, and perhaps a bias.
    pub(super) fn qlinear_conv(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        let x = self.integers(node, 0)?;
        let constants = self.constants;
        let name = |index| node.operand(index);
        let (x_scale, y_scale) = (constants.float(name(1)?)?, constants.float(name(6)?)?);
        let (x_zero_point, x_signed) = constants.zero_point(name(2)?)?;
        if x_signed != self.tensors[x].signed {
            return Err("x_zero_point: expected the type of x".to_owned());
        }
        let (y_zero_point, y_signed) = constants.zero_point(name(7)?)?;
        let weights = Weights::of(constants, name(3)?, name(4)?, Some(name(5)?), 0)?;
        let bias = node.optional(8).map(|name| constants.ints(name)).transpose()?;
        let attributes = Attributes::of(node, weights.kernel_size())?;
        let sums = Sums::new(node, x, &self.tensors[x], (x_scale, x_zero_point), weights, bias, attributes)?;
        let shape = sums.shape;
        let conv = sums.quantized(y_scale, y_zero_point)?;
        let tensor = self.push(node, Operator::Conv(Box::new(conv)), vec![x], shape, y_signed);
        Ok(Value::Activation(Operand { tensor, real: None }))
    }
}
