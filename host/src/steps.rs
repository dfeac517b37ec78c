//! What can be done with a run: train, evaluate, export, quantize and package it, and write its report; and timing a training
//! step, which needs no run. The verbs and the demo call these.

pub mod bench_train;
pub mod check_kernels;
pub mod export;
pub mod open_run;
pub mod package;
pub mod predict;
pub mod provenance;
pub mod quantize;
pub mod report;
pub mod score;
pub mod train;
pub mod verify;

pub use open_run::{OpenRun, Weights};
