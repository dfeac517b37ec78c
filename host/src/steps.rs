//! What can be done with a run: train, evaluate, export, quantize and package it, and write its report; and what needs no run:
//! timing a training step, and showing what a network will see. The verbs and the demo call these.

pub mod bench_train;
pub mod check_kernels;
pub mod contact_sheet;
mod dataset_change;
pub mod export;
pub mod models;
pub mod open_run;
pub mod package;
pub mod predict;
pub mod provenance;
pub mod quantize;
pub mod report;
pub mod resume;
pub mod run_entry;
pub mod runs;
pub mod score;
pub mod series;
pub mod statistics;
pub mod train;
mod transfer;
pub mod verify;

pub use open_run::{OpenRun, Weights};
