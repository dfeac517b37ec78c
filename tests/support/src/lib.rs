//! Helpers for the tests of several crates. Knows `unet-shared` and `unet-onnx`, and neither the engine nor the
//! programs, so that their own unit tests can use it.
#![allow(missing_docs, reason = "helpers of tests, whose names and types say what they are")]

pub mod counting_allocator;
pub mod folder_tree;
pub mod quantized_onnx;
pub mod real_data;
pub mod tiny_package;
