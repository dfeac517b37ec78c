//! From a trained network to an ONNX file: the graph in between, batch norm folded, and the proof that the file holds the trained
//! parameters and computes what burn computes.

pub mod agreement;
pub mod exact;
pub mod float_onnx;
pub mod fold;
pub mod fold_upsample;
pub mod graph;
pub mod parameters;
