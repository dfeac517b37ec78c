//! Writes a [`Graph`] as f32 ONNX, and reads it back.

use std::collections::HashMap;

use unet_onnx::pb::tensor_proto::DataType;
use unet_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, tensor_shape_proto, type_proto};
use unet_onnx::{Header, OnnxBuilder, OnnxError, int, ints, parse, text};

use super::graph::{Convolution, Graph, GraphError, INPUT_NAME, Node, OUTPUT_NAME, Operator, TensorId};

/// What every file of the host says about itself. Operator set 13 is the first whose `DequantizeLinear` takes a scale per channel.
pub(crate) const HEADER: Header =
    Header { opset: 13, producer: "unet-host", producer_version: env!("CARGO_PKG_VERSION") };

/// Writes the graph for batches of one image: input `image` `[1, C, H, W]`, output `logits` `[1, K, H, W]`, both f32.
///
/// # Errors
/// If the shapes of the graph are inconsistent.
pub fn write(graph: &Graph) -> Result<Vec<u8>, GraphError> {
    let shapes = graph.shapes()?;
    let mut onnx = OnnxBuilder::new("unet");
    let batch = |[c, h, w]: [usize; 3]| [1, c, h, w];
    onnx.input(INPUT_NAME, DataType::Float, batch(shapes[0]));
    onnx.output(OUTPUT_NAME, DataType::Float, batch(shapes[graph.nodes.len()]));
    for (index, node) in graph.nodes.iter().enumerate() {
        let output = graph.tensor_name(index + 1);
        let inputs: Vec<&str> = node.inputs.iter().map(|&i| graph.tensor_name(i)).collect();
        let Operator::Conv(conv) = &node.operator else {
            push_plain(&mut onnx, &node.operator, &inputs, output);
            continue;
        };
        let shape = conv.weight_shape();
        let weight = onnx.floats(format!("{}.weight", node.name), &shape, &conv.weight);
        let bias = onnx.floats(format!("{}.bias", node.name), &shape[..1], &conv.bias);
        let linear = if conv.relu { format!("{}.linear", node.name) } else { output.to_owned() };
        onnx.node("Conv", &[inputs[0], &weight, &bias], &linear, conv_attributes(conv));
        if conv.relu {
            onnx.node("Relu", &[&linear], output, vec![]);
        }
    }
    Ok(onnx.into_bytes(HEADER))
}

/// The attributes of `Conv` and `QLinearConv`.
pub(crate) fn conv_attributes(conv: &Convolution) -> Vec<AttributeProto> {
    vec![
        ints("kernel_shape", &conv.kernel),
        ints("pads", &conv.pads),
        ints("strides", &[conv.stride; 2]),
        ints("dilations", &[1, 1]),
        int("group", conv.groups as i64),
    ]
}

/// Writes an operator without parameters. Data movement is the same for f32 and u8 tensors.
pub(crate) fn push_plain(onnx: &mut OnnxBuilder, operator: &Operator, inputs: &[&str], output: &str) {
    match operator {
        Operator::Conv(_) => unreachable!("a convolution has parameters"),
        Operator::MaxPool => {
            onnx.node("MaxPool", inputs, output, vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]);
        }
        Operator::UpsampleNearest => {
            let scales = onnx.floats("upsample.scales", &[4], &[1.0, 1.0, 2.0, 2.0]);
            let attributes = vec![
                text("mode", "nearest"),
                text("coordinate_transformation_mode", "asymmetric"),
                text("nearest_mode", "floor"),
            ];
            onnx.node("Resize", &[inputs[0], "", &scales], output, attributes);
        }
        Operator::DepthToSpace => {
            onnx.node("DepthToSpace", inputs, output, vec![int("blocksize", 2), text("mode", "DCR")]);
        }
        Operator::Add => onnx.node("Add", inputs, output, vec![]),
        Operator::Concat => onnx.node("Concat", inputs, output, vec![int("axis", 1)]),
    }
}

/// Reads a file of the operators that [`write`] uses: convolutions of stride 1 or 2, each with an optional ReLU after it, 2x2
/// max-pooling, nearest upsampling by 2, depth-to-space by 2 and concatenation.
///
/// # Errors
/// If the bytes are not an ONNX model, or a node is not supported; the error names the node.
pub fn read(bytes: &[u8]) -> Result<Graph, OnnxError> {
    let file = parse(bytes)?;
    let constants: HashMap<&str, &TensorProto> = file.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut reader = Reader {
        graph: Graph { input: input_shape(&file, &constants)?, nodes: vec![] },
        tensors: HashMap::new(),
        uses: HashMap::new(),
        constants,
    };
    for name in file.node.iter().flat_map(|n| &n.input).chain(file.output.iter().map(|o| &o.name)) {
        *reader.uses.entry(name.clone()).or_default() += 1;
    }
    let input = file.input.iter().find(|i| !reader.constants.contains_key(i.name.as_str()));
    reader.tensors.insert(input.map(|i| i.name.clone()).unwrap_or_default(), 0);
    for node in &file.node {
        reader.node(node)?;
    }
    let output = file.output.first().map(|o| o.name.clone()).unwrap_or_default();
    if reader.tensors.get(&output) != Some(&reader.graph.nodes.len()) {
        return Err(OnnxError::Unexpected(format!("expected the last node to compute the output {output}")));
    }
    reader.graph.shapes().map_err(|error| OnnxError::Unexpected(error.to_string()))?;
    Ok(reader.graph)
}

/// Longest side of any tensor, in channels or pixels.
const SIDE_MAX: usize = 1 << 16;

struct Reader<'a> {
    graph: Graph,
    tensors: HashMap<String, TensorId>,
    uses: HashMap<String, usize>,
    constants: HashMap<&'a str, &'a TensorProto>,
}

impl Reader<'_> {
    fn node(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let fail = |problem: &str| OnnxError::Unexpected(format!("node {} ({}): {problem}", node.name, node.op_type));
        let output = node.output.first().ok_or_else(|| fail("expected an output"))?;
        let tensor = |index: usize| {
            let name = node.input.get(index).map(String::as_str).unwrap_or_default();
            self.tensors
                .get(name)
                .copied()
                .ok_or_else(|| fail(&format!("expected input {name:?} to be the output of an earlier node")))
        };
        let expect_ints = |name: &str, expected: &[i64], default: &[i64]| {
            let found = attribute(node, name).map_or(default, |a| &a.ints);
            if found == expected {
                Ok(())
            } else {
                Err(fail(&format!("expected {name} {expected:?}, found {found:?}")))
            }
        };
        let expect_text = |name: &str, accepted: &[&str], default: &str| {
            let found = attribute(node, name)
                .map_or_else(|| default.to_owned(), |a| String::from_utf8_lossy(&a.s).into_owned());
            if accepted.contains(&found.as_str()) {
                Ok(())
            } else {
                Err(fail(&format!("expected {name} among {accepted:?}, found {found}")))
            }
        };
        let (operator, inputs) = match node.op_type.as_str() {
            "Conv" => {
                expect_ints("dilations", &[1, 1], &[1, 1])?;
                (Operator::Conv(self.convolution(node).map_err(|problem| fail(&problem))?), vec![tensor(0)?])
            }
            "Relu" => return self.relu(node, output, tensor(0)?).map_err(|problem| fail(&problem)),
            "MaxPool" => {
                expect_ints("kernel_shape", &[2, 2], &[])?;
                expect_ints("strides", &[2, 2], &[1, 1])?;
                expect_ints("pads", &[0; 4], &[0; 4])?;
                (Operator::MaxPool, vec![tensor(0)?])
            }
            "Resize" => {
                expect_text("mode", &["nearest"], "nearest")?;
                expect_text("coordinate_transformation_mode", &["asymmetric", "half_pixel"], "half_pixel")?;
                let scales = node.input.get(2).and_then(|name| self.constants.get(name.as_str()));
                let scales = scales.map(|t| floats(t)).transpose().map_err(|problem| fail(&problem))?;
                if scales.as_deref() != Some(&[1.0, 1.0, 2.0, 2.0]) {
                    return Err(fail("expected constant scales 1, 1, 2, 2"));
                }
                (Operator::UpsampleNearest, vec![tensor(0)?])
            }
            "DepthToSpace" => {
                if attribute(node, "blocksize").map(|a| a.i) != Some(2) {
                    return Err(fail("expected blocksize 2"));
                }
                expect_text("mode", &["DCR"], "DCR")?;
                (Operator::DepthToSpace, vec![tensor(0)?])
            }
            "Concat" => {
                if attribute(node, "axis").map(|a| a.i) != Some(1) || node.input.len() < 2 {
                    return Err(fail("expected two inputs or more, concatenated along axis 1"));
                }
                (Operator::Concat, (0..node.input.len()).map(tensor).collect::<Result<_, _>>()?)
            }
            "Add" => (Operator::Add, vec![tensor(0)?, tensor(1)?]),
            _ => return Err(fail("expected Conv, Relu, MaxPool, Resize, DepthToSpace, Concat or Add")),
        };
        let id = self.graph.push(output.clone(), operator, inputs);
        self.tensors.insert(output.clone(), id);
        Ok(())
    }

    fn convolution(&self, node: &NodeProto) -> Result<Convolution, String> {
        let constant = |index: usize| {
            let name = node.input.get(index).map(String::as_str).unwrap_or_default();
            self.constants.get(name).copied().ok_or_else(|| format!("expected input {index} {name:?} to be a constant"))
        };
        let shape = &constant(1)?.dims;
        let &[out, group_inputs, height, width] = &shape[..] else {
            return Err(format!("expected weights of 4 axes, found {}", shape.len()));
        };
        // Keeps products of sides below 2^64, and a damaged file from exhausting memory.
        let side = |v: i64| {
            usize::try_from(v)
                .ok()
                .filter(|side| *side <= SIDE_MAX)
                .ok_or_else(|| format!("expected sides of at most {SIDE_MAX}, found {v}"))
        };
        let (channels_out, kernel) = (side(out)?, [side(height)?, side(width)?]);
        let groups = side(attribute(node, "group").map_or(1, |group| group.i))?;
        let channels_in = side(group_inputs.saturating_mul(groups as i64))?;
        if channels_out == 0 || kernel.contains(&0) || channels_in == 0 {
            return Err(format!("expected weights, found shape {shape:?} in {groups} groups"));
        }
        let pads = match attribute(node, "pads") {
            None => [0; 4],
            Some(a) => {
                let pads = a.ints.iter().map(|&v| side(v)).collect::<Result<Vec<_>, _>>()?;
                <[usize; 4]>::try_from(pads).map_err(|found| format!("expected 4 pads, found {}", found.len()))?
            }
        };
        let stride = match attribute(node, "strides").map_or(&[1, 1][..], |a| &a.ints) {
            [1, 1] => 1,
            [2, 2] => 2,
            found => return Err(format!("expected strides [1, 1] or [2, 2], found {found:?}")),
        };
        let bias = if node.input.len() > 2 { floats(constant(2)?)? } else { vec![0.0; channels_out] };
        let weight = floats(constant(1)?)?;
        Ok(Convolution { weight, bias, channels_out, channels_in, groups, kernel, stride, pads, relu: false })
    }

    /// Folds a ReLU into the convolution before it, whose only reader it is.
    fn relu(&mut self, node: &NodeProto, output: &str, input: TensorId) -> Result<(), String> {
        let alone = node.input.first().and_then(|name| self.uses.get(name)) == Some(&1);
        match input.checked_sub(1).map(|i| &mut self.graph.nodes[i]) {
            Some(Node { operator: Operator::Conv(conv), name, .. }) if alone => {
                conv.relu = true;
                *name = output.to_owned();
                self.tensors.insert(output.to_owned(), input);
                Ok(())
            }
            _ => Err("expected a convolution before it without other readers".to_owned()),
        }
    }
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name == name)
}

fn floats(tensor: &TensorProto) -> Result<Vec<f32>, String> {
    if tensor.data_type != DataType::Float as i32 {
        return Err(format!("expected f32 constants {}, found type {}", tensor.name, tensor.data_type));
    }
    let elements = tensor.dims.iter().try_fold(1i64, |product, &side| product.checked_mul(side));
    let elements = elements
        .ok_or_else(|| format!("expected constants {} to fit memory, found shape {:?}", tensor.name, tensor.dims))?;
    let values: Vec<f32> = if tensor.raw_data.is_empty() {
        tensor.float_data.clone()
    } else {
        tensor.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    if values.len() as i64 != elements {
        return Err(format!("expected {elements} constants in {}, found {}", tensor.name, values.len()));
    }
    Ok(values)
}

fn input_shape(file: &GraphProto, constants: &HashMap<&str, &TensorProto>) -> Result<[usize; 3], OnnxError> {
    let fail = || OnnxError::Unexpected("expected one input of shape 1xCxHxW with fixed sizes".to_owned());
    let input = file.input.iter().find(|i| !constants.contains_key(i.name.as_str())).ok_or_else(fail)?;
    let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Err(fail());
    };
    let sides: Vec<usize> = tensor
        .shape
        .iter()
        .flat_map(|shape| &shape.dim)
        .filter_map(|d| match d.value {
            Some(tensor_shape_proto::dimension::Value::DimValue(v)) => usize::try_from(v).ok(),
            _ => None,
        })
        .collect();
    match sides[..] {
        [1, channels, height, width] if [channels, height, width].iter().all(|side| (1..=SIDE_MAX).contains(side)) => {
            Ok([channels, height, width])
        }
        _ => Err(fail()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;
    use crate::export::fold::graph_of;
    use crate::model::{Stem, UNetConfig, Upsampling};

    fn example(upsampling: Upsampling, stem: Stem) -> Graph {
        let config =
            UNetConfig { base: 3, depth: 2, channels: 1, classes: 3, upsampling, stem, ..UNetConfig::default() };
        graph_of(&config.init(5, &test_device()), 16, 32)
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (upsampling, stem) in [
            (Upsampling::Nearest, Stem::Full),
            (Upsampling::UpConvolution, Stem::Full),
            (Upsampling::Nearest, Stem::Quarter),
        ] {
            let graph = example(upsampling, stem);
            assert_eq!(read(&write(&graph).unwrap()).unwrap(), graph);
        }
    }

    #[test]
    fn other_bytes_and_other_operators_are_refused_by_name() {
        assert!(matches!(read(b"no model"), Err(OnnxError::Parse(_) | OnnxError::Unexpected(_))));
        let mut onnx = OnnxBuilder::new("other");
        onnx.input("x", DataType::Float, [1, 1, 2, 2]);
        onnx.output("y", DataType::Float, [1, 1, 2, 2]);
        onnx.node("Tanh", &["x"], "y", vec![]);
        let message = read(&onnx.into_bytes(HEADER)).unwrap_err().to_string();
        assert!(message.contains("y/Tanh (Tanh)"), "{message}");
    }
}
