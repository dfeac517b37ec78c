//! Whether a graph dequantizes its input, and quantizes its output, as the manifest says. Golden vectors are bytes and cannot show a
//! difference: images would be prepared with one scale and read with another.

use tract_onnx::pb::{GraphProto, NodeProto};
use unet_shared::manifest::TensorEntry;
use unet_shared::quantization::Quantization;

use super::Fault;
use crate::inference::integer::node::Constants;

/// Compares the quantization of input and output, where the graph states it with constants, with the manifest's.
pub(super) fn check(graph: &GraphProto, input: &TensorEntry, output: &TensorEntry) -> Result<(), Fault> {
    let constants = Constants::of(graph);
    for node in &graph.node {
        if node.input.first() == Some(&input.name) && matches!(kind(node), "DequantizeLinear" | "QLinearConv") {
            compare(&constants, node, 1, "quantization of the input", &input.quantization)?;
        }
        if node.output.first() == Some(&output.name) {
            let scale = match kind(node) {
                "QuantizeLinear" => 1,
                "QLinearConv" => 6,
                _ => continue,
            };
            compare(&constants, node, scale, "quantization of the output", &output.quantization)?;
        }
    }
    Ok(())
}

fn kind(node: &NodeProto) -> &str {
    &node.op_type
}

/// `scale` is the index of the node's input with the scale; the zero point is the next one, 0 if it is missing.
fn compare(
    constants: &Constants<'_>,
    node: &NodeProto,
    scale: usize,
    what: &'static str,
    expected: &Quantization,
) -> Result<(), Fault> {
    let named = |index: usize| node.input.get(index).map(String::as_str).filter(|name| !name.is_empty());
    // What is no constant of one 8-bit or f32 value, the backend judges.
    let Some(Ok(found)) = named(scale).map(|name| constants.float(name)) else { return Ok(()) };
    let zero_point = match named(scale + 1).map(|name| constants.bytes(name)) {
        None => 0,
        Some(Ok(bytes)) if bytes.values.len() == 1 => bytes.values[0],
        Some(_) => return Ok(()),
    };
    if found.to_bits() == expected.scale.to_bits() && zero_point == expected.zero_point {
        return Ok(());
    }
    let text = |scale: f32, zero_point: i32| format!("scale {scale}, zero point {zero_point}");
    Err(Fault::new(what, text(expected.scale, expected.zero_point), text(found, zero_point)))
}
