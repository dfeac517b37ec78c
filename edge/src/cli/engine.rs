//! The flags of all verbs that run a model: which kernel, how many threads.

use clap::Args;
use unet_engine::inference::{EngineOptions, KernelChoice};

use super::Failure;

/// Names the kernel where the flag does not.
const VARIABLE: &str = "UNET_EDGE_KERNEL";

/// Who computes; every choice gives the same bytes.
#[derive(Debug, Args)]
pub struct EngineArguments {
    /// What computes: auto, tract, scalar, avx2, avx-vnni, avx512-vnni, neon, neon-dot or neon-i8mm; UNET_EDGE_KERNEL where this
    /// is not given
    #[arg(long, value_name = "NAME")]
    kernel: Option<KernelChoice>,
    /// How many threads share a frame
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=EngineOptions::THREADS_MAX as i64))]
    threads: u16,
}

impl EngineArguments {
    /// What the flags and the environment say.
    pub fn options(&self) -> Result<EngineOptions, Failure> {
        let kernel = match (self.kernel, std::env::var_os(VARIABLE)) {
            (Some(kernel), _) => kernel,
            (None, None) => KernelChoice::Auto,
            (None, Some(name)) => name
                .to_string_lossy()
                .parse()
                .map_err(|error| Failure::input(format!("environment variable {VARIABLE}: {error}")))?,
        };
        Ok(EngineOptions { kernel, threads: usize::from(self.threads) })
    }
}
