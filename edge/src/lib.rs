//! The program of the board: where frames come from, what is decided from a mask, and where results go.
//!
//! Owns frame sources, pins, rules, outputs and the pipeline that joins them. What a mask is and how it is computed is the
//! engine's; nothing here knows how models are made.

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
pub mod telemetry;
