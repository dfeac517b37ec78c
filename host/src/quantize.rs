//! From an f32 graph to an int8 one: ranges are observed on training images, one quantization is chosen for all tensors
//! that share values, and the file is written as `QLinearConv` or as `QuantizeLinear`/`DequantizeLinear` pairs.

pub mod calibrate;
pub mod observe;
pub mod rewrite;

pub use calibrate::{Calibration, CalibrationError, calibrate};
pub use rewrite::{Format, QuantizedModel, rewrite};
