//! How much memory a step of training takes, known before it starts.
//!
//! Steps are walked through without computing: every tensor is held and released in the order in which the network's
//! operations, burn's automatic differentiation and the loss do it, forward and backward, with gradient checkpointing or
//! without. Only the program itself is a measured number.

mod graph;
mod heap;
mod plan;
mod walk;

use crate::kernel::TILES_BYTES;
use crate::model::UNetConfig;
use graph::Graph;
use walk::Walk;

pub use plan::{Checkpointing, DoesNotFit, MemoryOptions, MemoryPlan};

/// What the process holds beside the walk's heap, measured on Linux: 17 MiB of code, tables and threads, as the peak of a
/// network whose step takes a few kilobytes, and 8 MiB by which the C library's heap grows beyond one without small pieces
/// between the tensors, as the mean over networks of 75 to 400 MiB.
const PROGRAM_BYTES: u64 = 25 << 20;
/// Steps until the heap grows no more: the first one makes Adam's moments, the second one finds its gaps.
const STEPS: usize = 3;

/// What decides the memory of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepShape {
    /// The network.
    pub model: UNetConfig,
    /// Images a step.
    pub batch: usize,
    /// Width of the input.
    pub width: usize,
    /// Height of the input.
    pub height: usize,
    /// Threads that compute.
    pub threads: usize,
}

impl StepShape {
    /// The most bytes that a process holds which trains with Adam on burn's flex backend by this project's kernels,
    /// beside what it keeps of the data set. Other backends keep and copy differently: there is no prediction for them.
    pub fn peak_bytes(&self, checkpointing: bool) -> u64 {
        let graph = Graph::new(self, checkpointing);
        PROGRAM_BYTES + self.threads as u64 * TILES_BYTES as u64 + Walk::new(&graph).peak(STEPS)
    }
}
