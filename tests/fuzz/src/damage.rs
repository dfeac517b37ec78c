//! Damages valid models and packages by changing a few fields.

use arbitrary::{Result, Unstructured};
use serde_json::Value;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, ValueInfoProto, type_proto};
use unet_shared::digest::Digest;
use unet_shared::manifest::{Manifest, MemberEntry};

/// Operators of tract that a quantized U-Net has, might have, or should not have.
const OPERATORS: [&str; 48] = [
    "QLinearConv",
    "MaxPool",
    "Resize",
    "Concat",
    "DepthToSpace",
    "QuantizeLinear",
    "DequantizeLinear",
    "Conv",
    "ConvTranspose",
    "ConvInteger",
    "Relu",
    "Clip",
    "Add",
    "Mul",
    "Sub",
    "Div",
    "Cast",
    "Transpose",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Pad",
    "Slice",
    "Split",
    "Gather",
    "Shape",
    "Size",
    "Constant",
    "ConstantOfShape",
    "Range",
    "Expand",
    "Tile",
    "Where",
    "ReduceMax",
    "ReduceMean",
    "AveragePool",
    "GlobalAveragePool",
    "BatchNormalization",
    "SpaceToDepth",
    "Upsample",
    "MatMul",
    "QLinearMatMul",
    "Gemm",
    "Softmax",
    "Identity",
    "If",
    "Loop",
];

/// A number that is likely to break things.
fn wild(bytes: &mut Unstructured<'_>) -> Result<i64> {
    let known = [0, -1, 1, 2, 3, 4, 5, 8, 16, 255, 256, 65_535, 1 << 16, 1 << 24, i64::MAX, i64::MIN, 1 << 31, 1 << 40];
    if bytes.ratio(3, 4)? { bytes.choose(&known).copied() } else { bytes.arbitrary() }
}

fn index(bytes: &mut Unstructured<'_>, length: usize) -> Result<Option<usize>> {
    if length == 0 { Ok(None) } else { bytes.int_in_range(0..=length - 1).map(Some) }
}

/// One to six changes of a model's fields.
pub fn model(model: &mut ModelProto, bytes: &mut Unstructured<'_>) -> Result<()> {
    for _ in 0..bytes.int_in_range(1..=6)? {
        if bytes.ratio(1, 32)? {
            let version = wild(bytes)?;
            model.opset_import.iter_mut().for_each(|set| set.version = version);
        }
        if let Some(graph) = &mut model.graph {
            change_graph(graph, bytes)?;
        }
    }
    Ok(())
}

fn change_graph(graph: &mut GraphProto, bytes: &mut Unstructured<'_>) -> Result<()> {
    match bytes.int_in_range(0..=11)? {
        0..=3 => change_attribute(graph, bytes),
        4..=5 => change_constant(graph, bytes),
        6..=7 => change_operands(graph, bytes),
        8 => {
            if let Some(at) = index(bytes, graph.node.len())? {
                graph.node[at].op_type = (*bytes.choose(&OPERATORS)?).to_owned();
            }
            Ok(())
        }
        9 => {
            let values: Vec<&mut ValueInfoProto> = graph.input.iter_mut().chain(&mut graph.output).collect();
            change_value(values, bytes)
        }
        10 => {
            // A nested graph, as in control flow.
            let body = graph.clone();
            if let Some(at) = index(bytes, graph.node.len())? {
                let name = (*bytes.choose(&["body", "then_branch", "else_branch"])?).to_owned();
                let kind = AttributeType::Graph as i32;
                let attribute = AttributeProto { name, r#type: kind, g: Some(body), ..AttributeProto::default() };
                graph.node[at].attribute.push(attribute);
            }
            Ok(())
        }
        _ => {
            let (Some(one), Some(two)) = (index(bytes, graph.node.len())?, index(bytes, graph.node.len())?) else {
                return Ok(());
            };
            match bytes.int_in_range(0..=2)? {
                0 => graph.node.swap(one, two),
                1 => drop(graph.node.remove(one)),
                _ => graph.node.insert(two, graph.node[one].clone()),
            }
            Ok(())
        }
    }
}

fn change_attribute(graph: &mut GraphProto, bytes: &mut Unstructured<'_>) -> Result<()> {
    let Some(at) = index(bytes, graph.node.len())? else { return Ok(()) };
    let attributes = &mut graph.node[at].attribute;
    let Some(at) = index(bytes, attributes.len())? else { return Ok(()) };
    let attribute = &mut attributes[at];
    match bytes.int_in_range(0..=6)? {
        0 => attribute.i = wild(bytes)?,
        1..=2 => {
            if let Some(at) = index(bytes, attribute.ints.len())? {
                attribute.ints[at] = wild(bytes)?;
            }
        }
        3 => {
            let length = bytes.int_in_range(0..=6)?;
            attribute.ints.resize(length, wild(bytes)?);
        }
        4 => attribute.r#type = bytes.int_in_range(0..=14)?,
        5 => attribute.s = bytes.arbitrary()?,
        _ => drop(attributes.remove(at)),
    }
    Ok(())
}

fn change_constant(graph: &mut GraphProto, bytes: &mut Unstructured<'_>) -> Result<()> {
    let Some(at) = index(bytes, graph.initializer.len())? else { return Ok(()) };
    let constant = &mut graph.initializer[at];
    match bytes.int_in_range(0..=7)? {
        0 => {
            if let Some(at) = index(bytes, constant.dims.len())? {
                constant.dims[at] = wild(bytes)?;
            }
        }
        1 => constant.dims.push(wild(bytes)?),
        2 => drop(constant.dims.pop()),
        3 => constant.data_type = bytes.int_in_range(0..=24)?,
        4 => {
            let length = bytes.int_in_range(0..=2 * constant.raw_data.len())?;
            constant.raw_data.resize(length, 0);
        }
        5 => {
            if let Some(at) = index(bytes, constant.raw_data.len())? {
                constant.raw_data[at] = bytes.arbitrary()?;
            }
        }
        6 => constant.data_location = Some(bytes.int_in_range(0..=2)?),
        _ => {
            // Its values in another field, or twice.
            constant.int32_data = constant.raw_data.iter().map(|&byte| i32::from(byte)).collect();
            if bytes.arbitrary()? {
                constant.raw_data.clear();
            }
        }
    }
    Ok(())
}

fn change_operands(graph: &mut GraphProto, bytes: &mut Unstructured<'_>) -> Result<()> {
    let constants = graph.initializer.iter().map(|constant| constant.name.clone());
    let outputs = graph.node.iter().flat_map(|node| node.output.clone());
    let names: Vec<String> = constants.chain(outputs).chain(["image".to_owned(), String::new()]).collect();
    let Some(at) = index(bytes, graph.node.len())? else { return Ok(()) };
    let node = &mut graph.node[at];
    let operands = if bytes.ratio(1, 4)? { &mut node.output } else { &mut node.input };
    let at = index(bytes, operands.len())?;
    match (bytes.int_in_range(0..=3)?, at) {
        (0, _) => operands.push(bytes.choose(&names)?.clone()),
        (1, Some(at)) => drop(operands.remove(at)),
        (_, Some(at)) => operands[at] = bytes.choose(&names)?.clone(),
        _ => {}
    }
    Ok(())
}

fn change_value(mut values: Vec<&mut ValueInfoProto>, bytes: &mut Unstructured<'_>) -> Result<()> {
    let Some(at) = index(bytes, values.len())? else { return Ok(()) };
    let value = &mut values[at];
    if bytes.ratio(1, 8)? {
        value.r#type = None;
    }
    let kind = value.r#type.as_mut().and_then(|kind| kind.value.as_mut());
    let Some(type_proto::Value::TensorType(tensor)) = kind else { return Ok(()) };
    if bytes.ratio(1, 4)? {
        tensor.elem_type = bytes.int_in_range(0..=20)?;
    }
    let Some(shape) = &mut tensor.shape else { return Ok(()) };
    match (bytes.int_in_range(0..=4)?, index(bytes, shape.dim.len())?) {
        (0, _) => tensor.shape = None,
        (1, _) => drop(shape.dim.pop()),
        (2, Some(at)) => shape.dim[at].value = Some(dimension::Value::DimParam("n".to_owned())),
        (3, Some(at)) => shape.dim[at].value = None,
        (_, Some(at)) => shape.dim[at].value = Some(dimension::Value::DimValue(wild(bytes)?)),
        _ => {}
    }
    Ok(())
}

/// One to eight changes of bytes.
pub fn bytes(data: &mut Vec<u8>, bytes: &mut Unstructured<'_>) -> Result<()> {
    for _ in 0..bytes.int_in_range(1..=8)? {
        let at = bytes.int_in_range(0..=data.len())?;
        let length = bytes.int_in_range(0..=16.min(data.len() - at))?;
        match bytes.int_in_range(0..=3)? {
            0 => data[at..at + length].fill(bytes.arbitrary()?),
            1 => drop(data.drain(at..at + length)),
            2 => drop(data.splice(at..at, [bytes.arbitrary::<u8>()?])),
            _ => {
                let copy = data[at..at + length].to_vec();
                let to = bytes.int_in_range(0..=data.len())?;
                drop(data.splice(to..to, copy));
            }
        }
    }
    Ok(())
}

/// One change of a document: a value is replaced or removed.
pub fn document(document: &mut Value, bytes: &mut Unstructured<'_>) -> Result<()> {
    let children = match document {
        Value::Object(map) => map.len(),
        Value::Array(list) => list.len(),
        _ => 0,
    };
    if children > 0 && bytes.ratio(15, 16)? {
        let at = bytes.int_in_range(0..=children - 1)?;
        let goes = bytes.ratio(1, 16)?;
        let child = match document {
            Value::Object(map) => {
                let key = map.keys().nth(at).cloned().unwrap_or_default();
                if goes {
                    map.remove(&key);
                    None
                } else {
                    map.get_mut(&key)
                }
            }
            Value::Array(list) if goes => {
                list.push(list[at].clone());
                None
            }
            Value::Array(list) => list.get_mut(at),
            _ => None,
        };
        return child.map_or(Ok(()), |child| self::document(child, bytes));
    }
    let names = ["", "model.onnx", "golden/0.input", "golden/0.mask", "manifest.json", "../model.onnx", "image"];
    *document = match bytes.int_in_range(0..=6)? {
        0 => Value::Null,
        1..=3 => wild(bytes)?.into(),
        4 => f64::from_bits(bytes.arbitrary()?).into(),
        5 => Value::Array(vec![document.clone(); bytes.int_in_range(0..=3)?]),
        _ => (*bytes.choose(&names)?).into(),
    };
    Ok(())
}

/// The manifest as a document, with its list of members.
pub fn manifest(mut manifest: Manifest, members: &[(String, Vec<u8>)]) -> Value {
    let entry = |(name, data): &(String, Vec<u8>)| MemberEntry {
        name: name.clone(),
        size: data.len() as u64,
        sha256: Digest::of(data),
    };
    manifest.members = members.iter().map(entry).collect();
    serde_json::to_value(&manifest).expect("a manifest is a document")
}

/// The archive of a package, without its digest. A second writer, so that it can contain what the first never writes.
pub fn archive(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, data) in members {
        let mut header = tar::Header::new_ustar();
        // A name that does not fit a header stays empty.
        let _ = header.set_path(name);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Appends the digest at the end of a package.
pub fn seal(bytes: &mut Vec<u8>) {
    let digest = Digest::of(bytes);
    bytes.extend_from_slice(&digest.0);
}
