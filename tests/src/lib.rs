//! References for tests: a plain scalar interpreter of ONNX graphs, and tools to give the same inputs to it, to stock
//! tract and (through files) to onnxruntime.
//!
//! Nothing here knows the project's own crates but the encoding of ONNX, `unet-onnx`: what is checked must not check
//! itself.

pub mod interpreter;
pub mod node_models;
pub mod npy;
pub mod onnx_graph;
pub mod random;
pub mod stock_tract;
pub mod tensor;
pub mod tiny_unet;

pub use interpreter::{Fault, Graph};
pub use node_models::{NodeModel, node_models};
pub use tensor::{Data, Tensor};
