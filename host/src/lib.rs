//! The workstation's side: trains a U-Net with burn, exports and quantizes it, and packs it for the board.
//!
//! The library holds what the verbs do; the verbs themselves are in the program. It links the board's engine, so that
//! a package can be run where it was made, and it is linked by nothing.

pub mod assessment;
pub mod backend;
pub mod check;
pub mod config;
pub mod dataset;
pub mod error;
pub mod export;
pub mod float_engine;
pub mod mask_format;
pub mod memory;
pub mod model;
pub mod operation;
pub mod parity;
pub mod progress;
pub mod quantize;
pub mod report;
pub mod rng;
pub mod run_dir;
pub mod segmenter;
pub mod steps;
pub mod tensorboard;
pub mod training;
