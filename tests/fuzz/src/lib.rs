//! What the fuzz targets feed: numbers, quantized graphs, and damaged models and packages, all made from the bytes that
//! the fuzzer mutates.

pub mod damage;
pub mod graph;
pub mod numbers;
pub mod onnx;

/// Builders of the edge's own tests.
#[path = "../../../edge/tests/support"]
pub mod support {
    pub mod quantized_onnx;
    pub mod tiny_package;
}
