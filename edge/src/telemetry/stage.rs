//! The stages of a frame's way, and a value for each.

use std::ops::{Index, IndexMut};

/// Part of a frame's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// From the first captured byte until the frame is taken up.
    Wait,
    /// From its bytes to the model's input: decoding, colour, size.
    Preprocess,
    /// The model, up to the mask.
    Inference,
    /// Shares, regions and rules, and the pins that follow from them.
    Decide,
    /// From the first captured byte until the pins are set; what is written afterwards is not in it.
    Total,
}

/// How many there are.
pub const STAGES: usize = 5;

impl Stage {
    /// All of them, in the order of the way.
    pub const ALL: [Stage; STAGES] = [Stage::Wait, Stage::Preprocess, Stage::Inference, Stage::Decide, Stage::Total];

    /// As outputs write it.
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
    /// From a value for each, in the order of [`Stage::ALL`].
    pub fn new(values: [T; STAGES]) -> Self {
        Stages(values)
    }

    /// Each with its stage.
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
