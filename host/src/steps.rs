//! What can be done with a run: score it, export it, quantize it, package it, show it; and what needs none: timing a step of
//! training. The verbs and the demo call these.

pub mod bench_train;
pub mod check_kernels;
pub mod export;
pub mod open_run;
pub mod package;
pub mod predict;
pub mod quantize;
pub mod report;
pub mod score;
pub mod train;

pub use open_run::{OpenRun, Weights};
