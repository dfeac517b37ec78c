//! How a model is to be run.

use std::str::FromStr;

use super::InferenceError;
use super::kernel::{Kernel, UnknownKernel};

/// More threads than this gain nothing on a board.
pub(super) const THREADS_MAX: usize = 64;

/// What computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KernelChoice {
    /// The integer engine with this core's fastest compute kernel, for every part of the graph that it covers; tract for the rest.
    #[default]
    Auto,
    /// tract alone.
    Tract,
    /// As `Auto` with this compute kernel; an error if the core lacks it or no part of the graph is covered.
    Only(Kernel),
}

impl KernelChoice {
    /// Checks that this CPU supports the choice.
    ///
    /// # Errors
    ///
    /// [`InferenceError::Instructions`] if it lacks the kernel's instructions.
    pub fn check(self) -> Result<(), InferenceError> {
        match self {
            KernelChoice::Only(kernel) if !kernel.is_available() => Err(InferenceError::Instructions { kernel }),
            _ => Ok(()),
        }
    }
}

impl FromStr for KernelChoice {
    type Err = UnknownKernel;

    fn from_str(name: &str) -> Result<Self, UnknownKernel> {
        match name {
            "auto" => Ok(KernelChoice::Auto),
            "tract" => Ok(KernelChoice::Tract),
            name => name.parse().map(KernelChoice::Only),
        }
    }
}

/// How a model is to be run. The integer engine's results are the same bytes for any choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// What computes.
    pub kernel: KernelChoice,
    /// How many threads share a frame; at least 1. tract itself uses one.
    pub threads: usize,
}

impl EngineOptions {
    /// The maximum number of threads.
    pub const THREADS_MAX: usize = THREADS_MAX;
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions { kernel: KernelChoice::Auto, threads: 1 }
    }
}
