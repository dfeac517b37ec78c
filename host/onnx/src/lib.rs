//! Builds ONNX models node by node, on the protobuf types that tract reads with.
//!
//! Owns the encoding: names, constants, attributes, declared inputs and outputs. Knows neither networks nor quantization: which graphs make
//! sense is the caller's business.
//!
//! ```
//! use unet_onnx::pb::tensor_proto::DataType;
//! use unet_onnx::{Header, OnnxBuilder, parse};
//!
//! let mut onnx = OnnxBuilder::new("doubled");
//! onnx.input("x", DataType::Float, [1, 3, 4, 4]);
//! onnx.output("y", DataType::Float, [1, 3, 4, 4]);
//! let two = onnx.floats("two", &[], &[2.0]);
//! onnx.node("Mul", &["x", &two], "y", vec![]);
//! let bytes = onnx.into_bytes(Header { opset: 13, producer: "example", producer_version: "" });
//! assert_eq!(parse(&bytes).unwrap().node[0].op_type, "Mul");
//! ```

mod attribute;
mod builder;

pub use attribute::{int, ints, signed_ints, text};
pub use builder::{Header, OnnxBuilder, value_info};
pub use tract_onnx::pb;

use prost::Message;

/// Why bytes cannot be read as a model.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// Not protobuf, or not ONNX.
    #[error("not an onnx model")]
    Parse(#[source] prost::DecodeError),
    /// Something is missing, or of another kind than expected.
    #[error("onnx: {0}")]
    Unexpected(String),
}

/// The graph of a model file.
///
/// # Errors
/// If the bytes are not an ONNX model with a graph.
pub fn parse(bytes: &[u8]) -> Result<pb::GraphProto, OnnxError> {
    pb::ModelProto::decode(bytes)
        .map_err(OnnxError::Parse)?
        .graph
        .ok_or_else(|| OnnxError::Unexpected("expected a model with a graph, found none".to_owned()))
}
