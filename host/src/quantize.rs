//! From an f32 graph to int8 ONNX: value ranges are observed on training images, one quantization is chosen for each group of
//! tensors that share values, and the file is written with `QLinearConv` or with `QuantizeLinear`/`DequantizeLinear` pairs.

pub mod calibrate;
pub mod observe;
pub mod rewrite;

pub use calibrate::{Calibration, CalibrationError, calibrate};
pub use rewrite::{Format, QuantizedModel, rewrite};
