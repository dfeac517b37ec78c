//! The windows of an ONNX graph's nodes, from which its field of view follows. Reads attributes and the shapes of constants, no
//! weights.

use std::collections::HashMap;

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use crate::field_of_view::{FieldOfView, Window, WindowLayer};

/// How far the network in a graph looks; none if a node is not known to look only so far.
pub(super) fn field_of_view(graph: &GraphProto, input: &str, output: &str) -> Option<FieldOfView> {
    let mut reader = Reader { values: HashMap::from([(input, 0)]), constants: HashMap::new(), layers: Vec::new() };
    for tensor in &graph.initializer {
        reader.constants.insert(&tensor.name, Constant { shape: tensor.dims.clone(), tensor: Some(tensor) });
    }
    for node in &graph.node {
        reader.read(node)?;
        if node.output.iter().any(|name| name == output) {
            // The last layer is that of the output.
            return FieldOfView::of(&reader.layers);
        }
    }
    None
}

struct Constant<'a> {
    shape: Vec<i64>,
    tensor: Option<&'a TensorProto>,
}

struct Reader<'a> {
    values: HashMap<&'a str, usize>,
    constants: HashMap<&'a str, Constant<'a>>,
    layers: Vec<WindowLayer>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, node: &'a NodeProto) -> Option<()> {
        let output = node.output.first()?.as_str();
        let inputs: Vec<usize> = node.input.iter().filter_map(|name| self.values.get(name.as_str()).copied()).collect();
        if inputs.is_empty() {
            self.constants.insert(output, self.constant(node));
            return Some(());
        }
        let windows = self.windows(node)?;
        self.layers.push(WindowLayer { inputs, windows });
        self.values.insert(output, self.layers.len());
        Some(())
    }

    /// What is made of constants alone; of most operators nothing is known.
    fn constant(&self, node: &'a NodeProto) -> Constant<'a> {
        let unknown = Constant { shape: Vec::new(), tensor: None };
        match node.op_type.as_str() {
            "Constant" => match attribute(node, "value").and_then(|attribute| attribute.t.as_ref()) {
                Some(tensor) => Constant { shape: tensor.dims.clone(), tensor: Some(tensor) },
                None => unknown,
            },
            "DequantizeLinear" | "QuantizeLinear" | "Cast" | "Identity" => {
                match node.input.first().and_then(|name| self.constants.get(name.as_str())) {
                    Some(constant) => Constant { shape: constant.shape.clone(), tensor: None },
                    None => unknown,
                }
            }
            _ => unknown,
        }
    }

    fn windows(&self, node: &NodeProto) -> Option<[Window; 2]> {
        let weights = |index: usize| node.input.get(index).and_then(|name| self.constants.get(name.as_str()));
        let factor = |name: &str| integers(node, name).first().copied();
        match node.op_type.as_str() {
            "Conv" | "ConvInteger" => gather(node, weights(1)),
            "QLinearConv" => gather(node, weights(3)),
            "MaxPool" | "AveragePool" | "QLinearAveragePool" => {
                // A last window that is not full would make the output larger than the stride says.
                let floor = attribute(node, "ceil_mode").is_none_or(|attribute| attribute.i == 0);
                if floor { gather(node, None) } else { None }
            }
            "ConvTranspose" => {
                let windows = gather(node, weights(1))?;
                let scatter = |window| match window {
                    Window::Gather { size, stride, dilation, before } => {
                        Window::Scatter { size, stride, dilation, before }
                    }
                    other => other,
                };
                (attribute(node, "output_shape").is_none()).then(|| windows.map(scatter))
            }
            "DepthToSpace" => factor("blocksize").map(|factor| [Window::Enlarge { factor }; 2]),
            "SpaceToDepth" => factor("blocksize")
                .map(|factor| [Window::Gather { size: factor, stride: factor, dilation: 1, before: 0 }; 2]),
            "Resize" => self.enlarged(node, 2),
            "Upsample" => self.enlarged(node, 1),
            "Concat" | "QLinearConcat" | "Softmax" | "LogSoftmax" | "ArgMax" => {
                let axis = attribute(node, "axis").map(|attribute| attribute.i);
                matches!(axis, Some(1 | -3)).then_some([Window::Point; 2])
            }
            "Relu" | "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "Celu" | "Clip" | "Sigmoid" | "HardSigmoid"
            | "HardSwish" | "Tanh" | "Softplus" | "Gelu" | "Mish" | "Erf" | "Exp" | "Neg" | "Abs" | "Sqrt" | "Add"
            | "Sub" | "Mul" | "Div" | "Max" | "Min" | "QuantizeLinear" | "DequantizeLinear" | "Cast" | "Identity"
            | "Dropout" | "BatchNormalization" | "QLinearAdd" | "QLinearMul" | "QLinearLeakyRelu"
            | "QLinearSigmoid" => Some([Window::Point; 2]),
            // Such as pooling over the whole image, or a change of shape.
            _ => None,
        }
    }

    /// A resize whose scales are constants: whole factors of height and width.
    fn enlarged(&self, node: &NodeProto, scales: usize) -> Option<[Window; 2]> {
        let text = |name: &str, default| attribute(node, name).map_or(default, |attribute| attribute.s.as_slice());
        if text("coordinate_transformation_mode", b"half_pixel") == b"align_corners" {
            return None;
        }
        let tensor = self.constants.get(node.input.get(scales)?.as_str())?.tensor?;
        let scales: Vec<f32> = match tensor.raw_data.as_chunks::<4>() {
            ([], _) => tensor.float_data.clone(),
            (words, _) => words.iter().map(|&word| f32::from_le_bytes(word)).collect(),
        };
        let &[batch, channels, rows, columns] = scales.as_slice() else { return None };
        let whole = |scale: f32| ((1.0..=64.0).contains(&scale) && scale.fract() == 0.0).then_some(scale as i64);
        if (batch, channels) != (1.0, 1.0) {
            return None;
        }
        let window = |factor| match text("mode", b"nearest") {
            _ if factor == 1 => Some(Window::Point),
            b"nearest" => Some(Window::Enlarge { factor }),
            b"linear" => Some(Window::Interpolate { factor }),
            _ => None,
        };
        Some([window(whole(rows)?)?, window(whole(columns)?)?])
    }
}

/// The windows of a convolution or pooling; `weights` stand in for a missing `kernel_shape`.
fn gather(node: &NodeProto, weights: Option<&Constant<'_>>) -> Option<[Window; 2]> {
    let two = |name: &str, default: [i64; 2]| match integers(node, name) {
        [] => Some(default),
        &[rows, columns] => Some([rows, columns]),
        _ => None,
    };
    let sizes = match (integers(node, "kernel_shape"), weights.map(|weights| weights.shape.as_slice())) {
        (&[rows, columns], _) | ([], Some(&[_, _, rows, columns])) => [rows, columns],
        _ => return None,
    };
    let (strides, dilations) = (two("strides", [1, 1])?, two("dilations", [1, 1])?);
    let before = match attribute(node, "auto_pad").map_or(&b"NOTSET"[..], |attribute| attribute.s.as_slice()) {
        b"NOTSET" | b"" => match integers(node, "pads") {
            [] => [0, 0],
            &[top, left, _, _] => [top, left],
            _ => return None,
        },
        b"VALID" => [0, 0],
        // How much is padded follows from the size of the image.
        _ => return None,
    };
    Some([0, 1].map(|axis| Window::Gather {
        size: sizes[axis],
        stride: strides[axis],
        dilation: dilations[axis],
        before: before[axis],
    }))
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// The numbers of an attribute that holds a list or a single number; empty if the attribute is missing.
fn integers<'a>(node: &'a NodeProto, name: &str) -> &'a [i64] {
    match attribute(node, name) {
        Some(attribute) if attribute.ints.is_empty() => std::slice::from_ref(&attribute.i),
        Some(attribute) => &attribute.ints,
        None => &[],
    }
}
