//! What runs on the board: packages, the inference engine that runs them, and the scoring of a packaged model.
//!
//! The crate owns the package format and everything between a decoded image and its mask on the device. It deliberately
//! does not know how models are trained, exported or quantized; the workstation links it to run the very same code.
//!
//! With the feature `inference` it runs packages; with `device` it also has frame sources, pins, outputs, and the pipeline
//! that joins them.

pub mod atomic_file;
#[cfg(feature = "device")]
pub mod board;
#[cfg(feature = "device")]
pub mod config;
#[cfg(feature = "device")]
pub mod doctor;
pub mod error;
#[cfg(feature = "inference")]
pub mod evaluate;
pub mod frame_source;
#[cfg(feature = "inference")]
pub mod inference;
pub mod machine;
#[cfg(feature = "device")]
pub mod outputs;
pub mod package;
#[cfg(feature = "device")]
pub mod peripherals;
pub mod picture;
#[cfg(feature = "device")]
pub mod pipeline;
#[cfg(feature = "device")]
pub mod postprocess;
#[cfg(feature = "device")]
pub mod rules;
#[cfg(feature = "inference")]
pub mod segmenter;
mod shape;
#[cfg(feature = "device")]
pub mod telemetry;
#[cfg(feature = "device")]
pub mod timepiece;

#[cfg(all(test, feature = "inference"))]
#[path = "../tests/support/quantized_onnx.rs"]
mod quantized_onnx;
#[cfg(all(test, feature = "inference"))]
#[path = "../tests/support/tiny_package.rs"]
mod tiny_package;
