//! Data movement and comparison. These operators are the same in both forms: what they do to dequantized f32 they do to the
//! bytes, as a scale above zero keeps their order.

use unet_shared::label::CLASSES_MAX;

use super::super::movement::{DEPTH_TO_SPACE, MAX_POOL, Movement, PoolWindows, UPSAMPLE};
use super::super::node::{Node, Reason};
use super::super::program::{Activation, Operator};
use super::{Interpolated, Joined, Operand, Reader, Value};

impl<'a> Reader<'a> {
    /// Adds a step on one operand whose output has the operand's form.
    fn push_movement(
        &mut self,
        node: Node<'a>,
        movement: &'static Movement,
        x: Operand,
        shape: [usize; 3],
    ) -> Value<'a> {
        let signed = self.tensors[x.tensor].signed;
        let tensor = self.push(node, Operator::Movement(movement), vec![x.tensor], shape, signed);
        Value::Activation(Operand { tensor, real: x.real })
    }

    pub(super) fn max_pool(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        node.require_text("auto_pad", "NOTSET", "NOTSET")?;
        node.require_integer("ceil_mode", 0, 0)?;
        if node.sizes("dilations", [1; 2])? != [1; 2] {
            return Err("dilations: expected 1".to_owned());
        }
        let (kernel, strides) = (node.sizes("kernel_shape", [0; 2])?, node.sizes("strides", [1; 2])?);
        let pads: [usize; 4] = node.sizes("pads", [0; 4])?;
        let x = self.activation(node, 0)?;
        let [channels, height, width] = self.tensors[x.tensor].shape;
        let side = |axis: usize, pixels: usize| {
            let (size, stride, [before, after]) = (kernel[axis], strides[axis], [pads[axis], pads[axis + 2]]);
            // With more padding, a window could lie in the padding alone.
            let is_window = (1..=255).contains(&size) && stride > 0 && before < size && after < size;
            let room = is_window.then(|| (pixels + before + after).checked_sub(size)).flatten();
            room.map(|room| room / stride + 1).ok_or_else(|| {
                format!("{kernel:?} with strides {strides:?} and pads {pads:?}: expected windows in {height}x{width}")
            })
        };
        let shape = [channels, side(0, height)?, side(1, width)?];
        if (kernel, strides, pads) == ([2; 2], [2; 2], [0; 4]) {
            return Ok(self.push_movement(node, &MAX_POOL, x, shape));
        }
        let signed = self.tensors[x.tensor].signed;
        let windows = PoolWindows { kernel, strides, before: [pads[0], pads[1]] };
        let tensor = self.push(node, Operator::MaxPool(windows), vec![x.tensor], shape, signed);
        Ok(Value::Activation(Operand { tensor, real: x.real }))
    }

    pub(super) fn resize(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        if node.text("mode", "nearest") == "linear" {
            return self.resize_linear(node);
        }
        node.require_text("mode", "nearest", "nearest")?;
        // The pairs of attributes that read pixel d / 2 for pixel d.
        let coordinates = node.text("coordinate_transformation_mode", "half_pixel");
        let rounding = node.text("nearest_mode", "round_prefer_floor");
        let halves = match coordinates {
            "asymmetric" => rounding == "floor",
            "half_pixel" => matches!(rounding, "round_prefer_floor" | "round_prefer_ceil"),
            _ => false,
        };
        if !halves {
            return Err(format!("expected pixel d / 2 for pixel d, found {coordinates}, {rounding}"));
        }
        let x = self.activation(node, 0)?;
        self.require_doubling(node)?;
        let [channels, height, width] = self.tensors[x.tensor].shape;
        Ok(self.push_movement(node, &UPSAMPLE, x, [channels, 2 * height, 2 * width]))
    }

    /// Its rounding is that of the `QuantizeLinear` behind it.
    fn resize_linear(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        node.require_text("coordinate_transformation_mode", "half_pixel", "half_pixel")?;
        node.require_integer("antialias", 0, 0)?;
        let (tensor, real) = self.reals(node, 0)?;
        self.require_doubling(node)?;
        Ok(Value::Interpolated(Interpolated { node, tensor, real }))
    }

    fn require_doubling(&self, node: Node<'a>) -> Result<(), Reason> {
        if node.optional(3).is_some() {
            return Err("expected scales, found sizes".to_owned());
        }
        let scales = self.constants.floats(node.operand(2)?)?;
        if scales != [1.0, 1.0, 2.0, 2.0] {
            return Err(format!("scales: expected [1, 1, 2, 2], found {scales:?}"));
        }
        Ok(())
    }

    pub(super) fn depth_to_space(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        node.require_integer("blocksize", 0, 2)?;
        node.require_text("mode", "DCR", "DCR")?;
        let x = self.activation(node, 0)?;
        let [channels, height, width] = self.tensors[x.tensor].shape;
        if channels % 4 != 0 {
            return Err(format!("expected a multiple of 4 channels, found {channels}"));
        }
        Ok(self.push_movement(node, &DEPTH_TO_SPACE, x, [channels / 4, 2 * height, 2 * width]))
    }

    pub(super) fn concat(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        if !matches!(node.integer("axis", 0), 1 | -3) {
            return Err(format!("axis: expected 1, found {}", node.integer("axis", 0)));
        }
        let inputs: Vec<Operand> =
            (0..node.0.input.len()).map(|index| self.activation(node, index)).collect::<Result<_, _>>()?;
        let Some(first) = inputs.first() else { return Err("expected operands, found none".to_owned()) };
        let Activation { shape: [_, height, width], signed, .. } = self.tensors[first.tensor];
        let mut channels = 0;
        for operand in &inputs {
            let part = &self.tensors[operand.tensor];
            let is_alike = match (operand.real, first.real) {
                (None, None) => part.signed == signed,
                (one, other) => one.is_some() && other.is_some(),
            };
            if part.shape[1..] != [height, width] || !is_alike {
                return Err(format!("operand {}: expected {height}x{width} and one type", part.name));
            }
            channels += part.shape[0];
        }
        let shape = [channels, height, width];
        let reals: Option<Vec<_>> = inputs.iter().map(|part| part.real.map(|real| (part.tensor, real))).collect();
        if let Some(parts) = reals {
            // The `QuantizeLinear` behind it decides the quantization of the whole.
            return Ok(Value::Joined(Joined { node, parts, shape }));
        }
        let tensors = inputs.iter().map(|part| part.tensor).collect();
        let tensor = self.push(node, Operator::Concat, tensors, shape, signed);
        Ok(Value::Activation(Operand { tensor, real: None }))
    }

    /// Dequantizing keeps the order of the logits.
    pub(super) fn arg_max(&mut self, node: Node<'a>) -> Result<Value<'a>, Reason> {
        if !matches!(node.integer("axis", 0), 1 | -3) {
            return Err(format!("axis: expected 1, found {}", node.integer("axis", 0)));
        }
        node.require_integer("select_last_index", 0, 0)?;
        let logits = self.activation(node, 0)?.tensor;
        let classes = self.tensors[logits].shape[0];
        if classes > CLASSES_MAX {
            return Err(format!("expected at most {CLASSES_MAX} classes, found {classes}"));
        }
        Ok(Value::Classes(logits))
    }
}
