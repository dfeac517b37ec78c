//! The training loop and its parts: loss, optimizer, learning rate, checkpoints, and the epochs.

mod adam;
mod adamw;
mod average;
pub mod batch;
pub mod checkpoint;
pub mod class_weights;
pub mod epoch;
pub mod error;
mod gradients;
pub mod learner;
pub mod loss;
mod losses;
pub mod memory;
pub mod optimizer;
mod population;
pub mod schedule;
mod sgd;
pub mod summary;
pub mod target;
pub mod trainer;
mod weight_shapes;
