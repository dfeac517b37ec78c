//! The training loop and its parts: loss, learning rate, checkpoints, and the epochs that hold them together.

pub mod adam;
pub mod batch;
pub mod checkpoint;
pub mod epoch;
pub mod learner;
pub mod loss;
pub mod memory;
pub mod schedule;
pub mod trainer;
