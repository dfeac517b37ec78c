//! From a trained network to an ONNX file: the graph in between, batch norm folded, and the proof that the file computes
//! what burn computes.

pub mod float_onnx;
pub mod fold;
pub mod fold_upsample;
pub mod graph;
