//! The form with f32 operators between `DequantizeLinear` and `QuantizeLinear`, read as the integers that it stands for.
//!
//! A `Conv` and the `QuantizeLinear` behind it are one `QLinearConv` of the same constants, as f32 sums of these products
//! are what the integer sums stand for. An activation that is dequantized and quantized again passes a table, which is left
//! out if it changes nothing. f32 that another node makes enter the program through their `QuantizeLinear`.

use unet_shared::quantization::{Addition, Quantization};

use super::super::movement::{DEPTH_TO_SPACE, UPSAMPLE_LINEAR};
use super::super::node::{Node, Reason};
use super::super::program::{Form, Operator, TensorId};
use super::convolution::{Attributes, Sums, Weights};
use super::{Added, Interpolated, Joined, Mapped, Operand, Reader, Value, spread};
use crate::inference::backend::Element;

impl<'a> Reader<'a> {
    pub(super) fn dequantize(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        if self.constants.contains(node.operand(0)?) {
            return Ok(Value::Constant(node));
        }
        let tensor = self.integers(node, 0)?;
        let is_signed = self.tensors[tensor].signed;
        let (real, signed) = self.quantization(node, is_signed)?;
        if signed != is_signed {
            return Err("zero point: expected the type of x".to_owned());
        }
        Ok(Value::Activation(Operand { tensor, real: Some(real) }))
    }

    pub(super) fn quantize(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        let operand = node.operand(0)?;
        let (to, signed) = self.quantization(node, false)?;
        let tensor = match self.take(operand) {
            Some(Value::Activation(Operand { tensor, real: Some(from) })) => {
                self.requantized(node, tensor, from, to, signed)
            }
            Some(Value::Mapped(Mapped { tensor, reals })) => {
                let table = std::array::from_fn(|byte| to.quantize_u8(reals[byte]));
                self.mapped(node, tensor, table, signed)
            }
            Some(Value::Sums(sums)) => {
                let (conv_node, x, shape, enlarges) = (sums.node, sums.x, sums.shape, sums.depth_to_space);
                let conv = sums.quantized(to.scale, to.zero_point as u8)?;
                let y = self.push(conv_node, Operator::Conv(Box::new(conv)), vec![x], shape, signed);
                let [channels, height, width] = shape;
                match enlarges {
                    true => {
                        let shape = [channels / 4, 2 * height, 2 * width];
                        self.push(conv_node, Operator::Movement(&DEPTH_TO_SPACE), vec![y], shape, signed)
                    }
                    false => y,
                }
            }
            Some(Value::Joined(Joined { node: concat, parts, shape })) => {
                let parts =
                    parts.into_iter().map(|(tensor, from)| self.requantized(node, tensor, from, to, signed)).collect();
                self.push(concat, Operator::Concat, parts, shape, signed)
            }
            Some(Value::Added(Added { node: add, operands: [(a, from_a), (b, from_b)], relu })) => {
                let low = if relu { to.zero_point as u8 } else { 0 };
                let addition = Addition { inputs: [from_a, from_b], output: to, low };
                let shape = self.tensors[a].shape;
                self.push(add, Operator::Add(addition), vec![a, b], shape, signed)
            }
            Some(Value::Interpolated(Interpolated { node: resize, tensor, real })) => {
                let x = &self.tensors[tensor];
                if (to, signed) != (real, x.signed) {
                    return Err(format!("expected the quantization of {}'s input", resize.name()));
                }
                let [channels, height, width] = x.shape;
                let movement = &UPSAMPLE_LINEAR[to.zero_point as usize % 2];
                let shape = [channels, 2 * height, 2 * width];
                self.push(resize, Operator::Movement(movement), vec![tensor], shape, signed)
            }
            Some(_) => {
                return Err(format!("operand {operand}: expected f32 of quantized operators with no other reader"));
            }
            None => match self.outside(operand)? {
                (fact, shape) if fact.element == Element::F32 => {
                    self.enter(node.output(), shape, signed, operand, Form::Floats(to))
                }
                _ => return Err(format!("operand {operand}: expected f32")),
            },
        };
        Ok(Value::Activation(Operand { tensor, real: None }))
    }

    /// `x, w`, and perhaps a bias, each dequantized.
    pub(super) fn conv(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        let (x, real) = self.reals(node, 0)?;
        let maker = self.constant(node, 1)?;
        let weights = Weights::of(self.constants, maker.operand(0)?, maker.operand(1)?, maker.optional(2), 0)?;
        self.require_axis(maker, 0, 4)?;
        let bias = match node.optional(2) {
            None => None,
            Some(_) => Some(self.bias(self.constant(node, 2)?, real.scale, &weights)?),
        };
        let quantization = (real.scale, real.zero_point as u8);
        let attributes = Attributes::of(node, weights.kernel_size())?;
        let sums = Sums::new(node, x, &self.tensors[x], quantization, weights, bias, attributes)?;
        Ok(Value::Sums(Box::new(sums)))
    }

    /// The operands of [`Reader::conv`]; only where each pixel becomes 2x2 of its own, which is a 1x1 convolution to four times the
    /// channels and depth-to-space.
    pub(super) fn conv_transpose(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        let (x, real) = self.reals(node, 0)?;
        let maker = self.constant(node, 1)?;
        let name = maker.operand(0)?;
        let is_padded = node.sizes("output_padding", [0, 0])? != [0, 0];
        let is_2x2 = self.constants.shape(name)?.get(2..) == Some(&[2, 2]);
        if !is_2x2 || is_padded || !Attributes::of(node, [2, 2])?.are_side_by_side() {
            return Err("expected a kernel of 2x2 with stride 2, no pads and one group".to_owned());
        }
        let weights = Weights::of(self.constants, name, maker.operand(1)?, maker.optional(2), 1)?;
        self.require_axis(maker, 1, 4)?;
        let bias = match node.optional(2) {
            None => None,
            Some(_) => Some(self.bias(self.constant(node, 2)?, real.scale, &weights)?.repeat(4)),
        };
        let quantization = (real.scale, real.zero_point as u8);
        let (weights, attributes) = (weights.taps_as_channels(), Attributes::POINTWISE);
        let mut sums = Sums::new(node, x, &self.tensors[x], quantization, weights, bias, attributes)?;
        sums.depth_to_space = true;
        Ok(Value::Sums(Box::new(sums)))
    }

    /// The `DequantizeLinear` that makes operand `index` of a constant.
    fn constant(&self, node: Node<'a>, index: usize) -> Result<Node<'a>, Reason> {
        let name = node.operand(index)?;
        match self.values.get(name) {
            Some(Value::Constant(maker)) => Ok(*maker),
            _ => Err(format!("operand {name}: expected a constant that DequantizeLinear makes f32")),
        }
    }

    /// The integers of a bias; they count in steps of the sums only if their scale is that of the sums.
    fn bias(&self, maker: Node<'a>, x_scale: f32, weights: &Weights) -> Result<Vec<i32>, Reason> {
        let name = maker.operand(0)?;
        let values = self.constants.ints(name)?;
        self.require_axis(maker, 0, 1)?;
        if let Some(zero_point) = maker.optional(2)
            && let Some(odd) = self.constants.ints(zero_point)?.iter().find(|value| **value != 0)
        {
            return Err(format!("{zero_point}: expected 0 for a bias, found {odd}"));
        }
        let scale = maker.operand(1)?;
        let scales = spread(scale, self.constants.floats(scale)?, weights.channels())?;
        for (channel, (found, w_scale)) in scales.into_iter().zip(&weights.scales).enumerate() {
            // An exporter rounds the product, and perhaps each scale before: three times half a step.
            let expected = f64::from(x_scale) * f64::from(*w_scale);
            let is_close = (f64::from(found) - expected).abs() <= expected * f64::from(2.0 * f32::EPSILON);
            if !is_close {
                let problem = format!("expected x_scale * w_scale {:e}, found {found:e}", expected as f32);
                return Err(format!("{scale}: {problem} for output channel {channel}"));
            }
        }
        Ok(values)
    }

    /// Refuses scales or zero points along another axis of a constant than this one of `rank`.
    fn require_axis(&self, maker: Node<'a>, expected: i64, rank: i64) -> Result<(), Reason> {
        let names = [maker.optional(1), maker.optional(2)];
        for name in names.into_iter().flatten() {
            let shape = self.constants.shape(name)?;
            let axis = maker.integer("axis", 1);
            let is_single = shape.iter().all(|&size| size == 1);
            if !is_single && (shape.len() != 1 || !(axis == expected || axis == expected - rank)) {
                return Err(format!(
                    "{name}: expected values along axis {expected}, found {shape:?} along axis {axis}"
                ));
            }
        }
        Ok(())
    }

    /// Scale and zero point of the unsigned tensor, and the type of the file's. Without a zero point it is 0, of type i8 if
    /// `signed`.
    fn quantization(&self, node: Node<'a>, signed: bool) -> Result<(Quantization, bool), Reason> {
        let scale = self.constants.float(node.operand(1)?)?;
        let (zero_point, signed) = match node.optional(2) {
            Some(name) => self.constants.zero_point(name)?,
            None => (if signed { 128 } else { 0 }, signed),
        };
        if !scale.is_normal() || scale < 0.0 {
            return Err(format!("scale: expected a finite one above zero, found {scale}"));
        }
        Ok((Quantization { scale, zero_point: i32::from(zero_point) }, signed))
    }

    /// The tensor with each byte dequantized and quantized again, as ONNX does it in f32; itself if all bytes stay.
    fn requantized(
        &mut self,
        node: Node<'a>,
        tensor: TensorId,
        from: Quantization,
        to: Quantization,
        signed: bool,
    ) -> TensorId {
        self.mapped(node, tensor, std::array::from_fn(|byte| to.quantize_u8(from.dequantize(byte as u8))), signed)
    }

    /// The tensor with each byte through `table`; itself if all bytes stay.
    fn mapped(&mut self, node: Node<'a>, tensor: TensorId, table: [u8; 256], signed: bool) -> TensorId {
        let is_same = table.iter().enumerate().all(|(byte, &mapped)| byte == usize::from(mapped));
        if is_same && self.tensors[tensor].signed == signed {
            return tensor;
        }
        let shape = self.tensors[tensor].shape;
        self.push(node, Operator::Requantize(Box::new(table)), vec![tensor], shape, signed)
    }
}
