//! What runs on the board: packages, the inference engine that runs them, and the scoring of a packaged model.
//!
//! The crate owns the package format and everything between a decoded image and its mask on the device. It deliberately
//! does not know how models are trained, exported or quantized; the workstation links it to run the very same code.
//!
//! Places left for what comes later: our own integer engine beside tract as another backend of [`inference`]; frame
//! sources, pipeline, pins and outputs beside the program's verbs.

pub mod atomic_file;
pub mod board;
pub mod config;
pub mod error;
#[cfg(feature = "inference")]
pub mod evaluate;
pub mod frame_source;
#[cfg(feature = "inference")]
pub mod inference;
pub mod machine;
pub mod outputs;
pub mod package;
pub mod peripherals;
pub mod picture;
pub mod postprocess;
pub mod rules;
#[cfg(feature = "inference")]
pub mod segmenter;
mod shape;
pub mod telemetry;

#[cfg(all(test, feature = "inference"))]
#[path = "../tests/support/quantized_onnx.rs"]
mod quantized_onnx;
#[cfg(all(test, feature = "inference"))]
#[path = "../tests/support/tiny_package.rs"]
mod tiny_package;
