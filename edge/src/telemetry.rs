//! What people and other programs learn about the pipeline: latencies, JSON lines, systemd notifications, the log. Knows no
//! cameras, models or pins.

pub mod histogram;
pub mod json_lines;
pub mod log;
pub mod notify;

use std::ops::{Index, IndexMut};

/// A stage of the processing of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// From the first captured byte until processing starts.
    Wait,
    /// From bytes to the model's input: decoding, colour conversion, resizing.
    Preprocess,
    /// The model, up to the mask.
    Inference,
    /// Shares, regions, rules and pins.
    Decide,
    /// From the first captured byte until the pins are set, without the outputs.
    Total,
}

/// Number of stages.
pub const STAGES: usize = 5;

impl Stage {
    /// All stages in order.
    pub const ALL: [Stage; STAGES] = [Stage::Wait, Stage::Preprocess, Stage::Inference, Stage::Decide, Stage::Total];

    /// As in the JSON lines.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Wait => "wait",
            Stage::Preprocess => "preprocess",
            Stage::Inference => "inference",
            Stage::Decide => "decide",
            Stage::Total => "total",
        }
    }
}

/// A value for each stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stages<T>([T; STAGES]);

impl<T> Stages<T> {
    /// With a value for each stage, in the order of [`Stage::ALL`].
    pub fn new(values: [T; STAGES]) -> Self {
        Stages(values)
    }

    /// The values with their stages.
    pub fn iter(&self) -> impl Iterator<Item = (Stage, &T)> {
        Stage::ALL.into_iter().zip(&self.0)
    }
}

impl<T> Index<Stage> for Stages<T> {
    type Output = T;

    fn index(&self, stage: Stage) -> &T {
        &self.0[stage as usize]
    }
}

impl<T> IndexMut<Stage> for Stages<T> {
    fn index_mut(&mut self, stage: Stage) -> &mut T {
        &mut self.0[stage as usize]
    }
}
