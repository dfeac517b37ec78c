//! From an ONNX graph that tract has read and checked to a [`Program`]; or the node that the engine does not cover, and why.
//!
//! tract's typed form of these operators spreads one `QLinearConv` over casts, shifted zero points and a dozen small
//! nodes, differently for each release; the file's own nodes are the stable description of the same numbers.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, NodeProto, tensor_proto::DataType, type_proto};
use unet_shared::label::CLASSES_MAX;

use super::node::{Constants, Node, Reason};
use super::program::{Activation, Convolution, End, Operator, Program, Step, TensorId};

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
    let mut reader = Reader {
        constants,
        tensors: Vec::new(),
        steps: Vec::new(),
        by_name: HashMap::new(),
        enter: End::Bytes,
        float_input: None,
        left: None,
    };
    let shape = [channels, height, width];
    match element {
        Some(DataType::Uint8 | DataType::Int8) => {
            let signed = element == Some(DataType::Int8);
            reader.add(&input.name, Activation { name: input.name.clone(), shape, signed });
        }
        Some(DataType::Float) => reader.float_input = Some((&input.name, shape)),
        _ => return Err(whole("expected an input of 8 bits or f32")),
    }
    for proto in needed(graph, output).ok_or_else(|| whole("expected one node for each tensor, found two"))? {
        let node = Node(proto);
        reader.read(node).map_err(|reason| NotCovered {
            node: node.name().to_owned(),
            operator: proto.op_type.clone(),
            reason,
        })?;
    }
    let answer = reader.left.filter(|(name, _)| *name == output).map(|(_, tensor)| tensor);
    let last =
        answer.or_else(|| reader.by_name.get(output).copied()).ok_or_else(|| whole("no node makes the output"))?;
    if reader.steps.is_empty() {
        return Err(whole("expected quantized operators, found none"));
    }
    Ok(Program { tensors: reader.tensors, steps: reader.steps, input: 0, output: last, enter: reader.enter })
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

struct Reader<'a> {
    constants: Constants<'a>,
    tensors: Vec<Activation>,
    steps: Vec<Step>,
    by_name: HashMap<&'a str, TensorId>,
    enter: End,
    /// An f32 input that no `QuantizeLinear` has read yet.
    float_input: Option<(&'a str, [usize; 3])>,
    /// What a `DequantizeLinear` or an `ArgMax` behind the logits makes, and the logits.
    left: Option<(&'a str, TensorId)>,
}

impl<'a> Reader<'a> {
    fn add(&mut self, name: &'a str, activation: Activation) -> TensorId {
        self.tensors.push(activation);
        self.by_name.insert(name, self.tensors.len() - 1);
        self.tensors.len() - 1
    }

    fn push(&mut self, node: Node<'a>, operator: Operator, inputs: Vec<TensorId>, shape: [usize; 3], signed: bool) {
        // The caller has found exactly one output.
        let name = node.0.output[0].as_str();
        let output = self.add(name, Activation { name: name.to_owned(), shape, signed });
        self.steps.push(Step { node: node.name().to_owned(), operator, inputs, output });
    }

    fn tensor(&self, node: Node<'a>, index: usize) -> Result<TensorId, Reason> {
        let name = node.operand(index)?;
        self.by_name.get(name).copied().ok_or_else(|| format!("operand {name}: expected an 8-bit activation"))
    }

    fn read(&mut self, node: Node<'a>) -> Result<(), Reason> {
        if !matches!(node.0.domain.as_str(), "" | "ai.onnx") {
            return Err(format!("expected an operator of ONNX, found domain {}", node.0.domain));
        }
        if node.0.output.len() != 1 {
            return Err(format!("expected one output, found {}", node.0.output.len()));
        }
        match node.0.op_type.as_str() {
            "QLinearConv" => self.convolution(node),
            "MaxPool" => self.max_pool(node),
            "Resize" => self.resize(node),
            "Concat" => self.concat(node),
            "DepthToSpace" => self.depth_to_space(node),
            "QuantizeLinear" => self.quantize(node),
            "DequantizeLinear" => self.dequantize(node),
            "ArgMax" => self.arg_max(node),
            _ => Err("expected an operator that the integer engine has".to_owned()),
        }
    }

    fn convolution(&mut self, node: Node<'a>) -> Result<(), Reason> {
        node.require_integer("group", 1, 1)?;
        node.require_text("auto_pad", "NOTSET", "NOTSET")?;
        if node.sizes("dilations", [1, 1])? != [1, 1] {
            return Err("dilations: expected 1".to_owned());
        }
        let x = self.tensor(node, 0)?;
        let Activation { shape: [channels, height, width], signed: x_signed, .. } = self.tensors[x];
        let constants = &self.constants;
        let name = |index| node.operand(index);
        let shape = constants.shape(name(3)?)?;
        let &[out, inner, kernel_height, kernel_width] = shape.as_slice() else {
            return Err(format!("weights: expected 4 dimensions, found {}", shape.len()));
        };
        if inner != channels || shape.contains(&0) {
            return Err(format!("weights: expected {channels} channels and no size of 0, found {shape:?}"));
        }
        let kernel = [kernel_height, kernel_width];
        if node.sizes("kernel_shape", kernel)? != kernel {
            return Err(format!("kernel_shape: expected {kernel:?} as the weights have"));
        }
        let pads: [usize; 4] = node.sizes("pads", [0; 4])?;
        let strides: [usize; 2] = node.sizes("strides", [1, 1])?;
        let windows = |size: usize, low: usize, high: usize, kernel: usize, stride: usize| {
            // Padding by a whole kernel would make windows of padding alone; no exporter writes that.
            if low >= kernel || high >= kernel || stride == 0 {
                return Err(format!("pads {pads:?} and strides {strides:?}: expected pads less than the kernel"));
            }
            (size + low + high)
                .checked_sub(kernel)
                .map(|room| room / stride + 1)
                .ok_or_else(|| format!("expected a kernel of at most {size}, found {kernel}"))
        };
        let out_height = windows(height, pads[0], pads[2], kernel_height, strides[0])?;
        let out_width = windows(width, pads[1], pads[3], kernel_width, strides[1])?;

        let (x_scale, y_scale) = (constants.float(name(1)?)?, constants.float(name(6)?)?);
        let (x_zero_point, signed) = constants.zero_point(name(2)?)?;
        if signed != x_signed {
            return Err("x_zero_point: expected the type of x".to_owned());
        }
        let (y_zero_point, y_signed) = constants.zero_point(name(7)?)?;
        let scales = spread("w_scale", constants.floats(name(4)?)?, out)?;
        let zero_points = constants.bytes(name(5)?)?;
        let weights = constants.bytes(name(3)?)?;
        if zero_points.signed != weights.signed {
            return Err("w_zero_point: expected the type of the weights".to_owned());
        }
        let zero_points = spread("w_zero_point", zero_points.values, out)?;
        let bias = match node.optional(8) {
            None => vec![0; out],
            Some(name) => constants.ints(name)?,
        };
        if bias.len() != out {
            return Err(format!("bias: expected {out} values, found {}", bias.len()));
        }
        let multipliers: Vec<f32> = scales.iter().map(|scale| (x_scale * scale) / y_scale).collect();
        if let Some(odd) = multipliers.iter().find(|value| !value.is_finite() || **value <= 0.0) {
            return Err(format!("scales: expected a finite quotient above zero, found {odd}"));
        }
        let shift = if weights.signed { 0 } else { 128 };
        let conv = Convolution {
            weights: weights.values.iter().map(|weight| (weight - shift) as i8).collect(),
            weight_zero_points: zero_points.iter().map(|zero_point| zero_point - shift).collect(),
            shape: [out, inner, kernel_height, kernel_width],
            bias,
            multipliers,
            x_zero_point,
            y_zero_point,
            pads,
            strides,
            upsample: false,
        };
        self.push(node, Operator::Conv(Box::new(conv)), vec![x], [out, out_height, out_width], y_signed);
        Ok(())
    }

    fn max_pool(&mut self, node: Node<'a>) -> Result<(), Reason> {
        node.require_text("auto_pad", "NOTSET", "NOTSET")?;
        node.require_integer("ceil_mode", 0, 0)?;
        let found =
            [node.sizes("kernel_shape", [0; 2])?, node.sizes("strides", [1; 2])?, node.sizes("dilations", [1; 2])?];
        if found != [[2; 2], [2; 2], [1; 2]] || node.sizes("pads", [0; 4])? != [0; 4] {
            return Err(format!("expected 2x2 with stride 2 and no pads, found {found:?}"));
        }
        let x = self.tensor(node, 0)?;
        let Activation { shape: [channels, height, width], signed, .. } = self.tensors[x];
        if height < 2 || width < 2 {
            return Err(format!("expected at least 2x2, found {height}x{width}"));
        }
        self.push(node, Operator::MaxPool, vec![x], [channels, height / 2, width / 2], signed);
        Ok(())
    }

    fn resize(&mut self, node: Node<'a>) -> Result<(), Reason> {
        node.require_text("mode", "nearest", "nearest")?;
        // The pairs that read pixel d / 2 for pixel d.
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
        let x = self.tensor(node, 0)?;
        let Activation { shape: [channels, height, width], signed, .. } = self.tensors[x];
        if node.optional(3).is_some() {
            return Err("expected scales, found sizes".to_owned());
        }
        let scales = self.constants.floats(node.operand(2)?)?;
        if scales != [1.0, 1.0, 2.0, 2.0] {
            return Err(format!("scales: expected [1, 1, 2, 2], found {scales:?}"));
        }
        self.push(node, Operator::Upsample, vec![x], [channels, 2 * height, 2 * width], signed);
        Ok(())
    }

    fn concat(&mut self, node: Node<'a>) -> Result<(), Reason> {
        if !matches!(node.integer("axis", 0), 1 | -3) {
            return Err(format!("axis: expected 1, found {}", node.integer("axis", 0)));
        }
        let inputs: Vec<TensorId> = (0..node.0.input.len()).map(|i| self.tensor(node, i)).collect::<Result<_, _>>()?;
        let Some(first) = inputs.first().map(|&id| &self.tensors[id]) else {
            return Err("expected operands, found none".to_owned());
        };
        let ([_, height, width], signed) = (first.shape, first.signed);
        let mut channels = 0;
        for part in inputs.iter().map(|&id| &self.tensors[id]) {
            if part.shape[1..] != [height, width] || part.signed != signed {
                return Err(format!("operand {}: expected {height}x{width} and one type", part.name));
            }
            channels += part.shape[0];
        }
        self.push(node, Operator::Concat, inputs, [channels, height, width], signed);
        Ok(())
    }

    fn depth_to_space(&mut self, node: Node<'a>) -> Result<(), Reason> {
        node.require_integer("blocksize", 0, 2)?;
        node.require_text("mode", "DCR", "DCR")?;
        let x = self.tensor(node, 0)?;
        let Activation { shape: [channels, height, width], signed, .. } = self.tensors[x];
        if channels % 4 != 0 {
            return Err(format!("expected a multiple of 4 channels, found {channels}"));
        }
        self.push(node, Operator::DepthToSpace, vec![x], [channels / 4, 2 * height, 2 * width], signed);
        Ok(())
    }

    fn quantize(&mut self, node: Node<'a>) -> Result<(), Reason> {
        let operand = node.operand(0)?;
        let Some((_, shape)) = self.float_input.take_if(|(name, _)| *name == operand) else {
            return Err("expected the graph's input as the only operand of the only one".to_owned());
        };
        let (scale, zero_point, signed) = self.quantization(node)?;
        self.enter = End::Floats { scale, zero_point };
        let name = node.0.output[0].as_str();
        self.add(name, Activation { name: name.to_owned(), shape, signed });
        Ok(())
    }

    fn dequantize(&mut self, node: Node<'a>) -> Result<(), Reason> {
        let x = self.tensor(node, 0)?;
        let (_, _, signed) = self.quantization(node)?;
        if signed != self.tensors[x].signed {
            return Err("zero point: expected the type of x".to_owned());
        }
        // Whatever reads this f32 tensor is refused for it, but for an `ArgMax`, which finds the same classes before it.
        self.left = Some((&node.0.output[0], x));
        Ok(())
    }

    fn arg_max(&mut self, node: Node<'a>) -> Result<(), Reason> {
        if !matches!(node.integer("axis", 0), 1 | -3) {
            return Err(format!("axis: expected 1, found {}", node.integer("axis", 0)));
        }
        node.require_integer("select_last_index", 0, 0)?;
        let operand = node.operand(0)?;
        let dequantized = self.left.filter(|(name, _)| *name == operand).map(|(_, tensor)| tensor);
        let logits = dequantized.map_or_else(|| self.tensor(node, 0), Ok)?;
        let classes = self.tensors[logits].shape[0];
        if classes > CLASSES_MAX {
            return Err(format!("expected at most {CLASSES_MAX} classes, found {classes}"));
        }
        self.left = Some((&node.0.output[0], logits));
        Ok(())
    }

    fn quantization(&self, node: Node<'a>) -> Result<(f32, u8, bool), Reason> {
        let scale = self.constants.float(node.operand(1)?)?;
        let (zero_point, signed) = match node.optional(2) {
            Some(name) => self.constants.zero_point(name)?,
            None => (0, false),
        };
        if !scale.is_normal() || scale < 0.0 {
            return Err(format!("scale: expected a finite one above zero, found {scale}"));
        }
        Ok((scale, zero_point, signed))
    }
}

/// One value for each of `count`, from as many or from one.
fn spread<T: Copy>(name: &str, values: Vec<T>, count: usize) -> Result<Vec<T>, Reason> {
    match values.as_slice() {
        [value] => Ok(vec![*value; count]),
        values if values.len() == count => Ok(values.to_vec()),
        values => Err(format!("{name}: expected 1 or {count} values, found {}", values.len())),
    }
}
