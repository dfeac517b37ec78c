//! What a person or another program learns of the work: latencies, a line a frame, and the word to the service manager. Knows
//! no cameras, models or pins; it is told what happened.

pub mod histogram;
pub mod json_lines;
pub mod log;
pub mod notify;
mod stage;

pub use stage::{STAGES, Stage, Stages};
