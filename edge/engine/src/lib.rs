//! The engine that runs a packaged model: the package format, exact int8 inference, from an image to its mask, and the
//! scoring of a data set.
//!
//! Workstation and board link this one crate, so that both compute the same bytes. It deliberately knows neither how models
//! are trained, exported or quantized, nor cameras, pins and outputs.

pub mod atomic_file;
pub mod error;
pub mod evaluate;
pub mod exit;
pub mod inference;
pub mod machine;
pub mod package;
pub mod picture;
pub mod predictor;
pub mod segmenter;
mod shape;
