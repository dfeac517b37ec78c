//! The program of the board: where frames come from, what is decided from a mask, and where results go.
//!
//! Frame sources, pins, rules, sinks and the pipeline that joins them. Masks are computed by `unet-engine`; nothing here knows
//! how models are made.

pub mod board;
pub mod clock;
pub mod config;
pub mod doctor;
pub mod frame_source;
pub mod outputs;
pub mod peripherals;
pub mod pipeline;
pub mod postprocess;
pub mod rules;
mod section;
pub mod sinks;
pub mod telemetry;
