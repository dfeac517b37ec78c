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

/// What a file says about itself beside its graph, as pairs of key and text.
///
/// # Errors
/// If the bytes are not an ONNX model.
pub fn metadata(bytes: &[u8]) -> Result<Vec<(String, String)>, OnnxError> {
    let model = pb::ModelProto::decode(bytes).map_err(OnnxError::Parse)?;
    Ok(model.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect())
}

/// The file with this metadata in place of its own. Of a file that [`OnnxBuilder`] wrote, every other byte stays.
///
/// # Errors
/// If the bytes are not an ONNX model.
pub fn with_metadata(bytes: &[u8], metadata: &[(String, String)]) -> Result<Vec<u8>, OnnxError> {
    let mut model = pb::ModelProto::decode(bytes).map_err(OnnxError::Parse)?;
    let entry = |(key, value): &(String, String)| pb::StringStringEntryProto { key: key.clone(), value: value.clone() };
    model.metadata_props = metadata.iter().map(entry).collect();
    Ok(model.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read_back_and_changes_no_other_byte() {
        let mut onnx = OnnxBuilder::new("kept");
        onnx.input("x", pb::tensor_proto::DataType::Float, [1, 1, 2, 2]);
        onnx.output("y", pb::tensor_proto::DataType::Float, [1, 1, 2, 2]);
        onnx.node("Relu", &["x"], "y", vec![]);
        let bytes = onnx.into_bytes(Header { opset: 13, producer: "test", producer_version: "1" });
        let pairs = [("classes", "[\"a\"]"), ("license", "MIT")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let with = with_metadata(&bytes, &pairs).unwrap();
        assert_eq!(metadata(&with).unwrap(), pairs);
        assert!(with.starts_with(&bytes));
        assert_eq!(with_metadata(&with, &[]).unwrap(), bytes);
        assert!(matches!(metadata(b"no model"), Err(OnnxError::Parse(_))));
    }
}
