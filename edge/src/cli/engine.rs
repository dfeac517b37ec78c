//! The flags of all verbs that run a model: compute kernel and threads.

use clap::Args;
use unet_engine::inference::{EngineOptions, KernelChoice};

use super::Failure;

/// Environment variable in place of the flag.
const VARIABLE: &str = "UNET_EDGE_KERNEL";

/// How to compute; every kernel of the integer engine gives the same bytes.
#[derive(Debug, Args)]
pub struct EngineArguments {
    /// Compute kernel: auto, tract, scalar, avx2, avx-vnni, avx512-vnni, neon, neon-dot or neon-i8mm [default: the environment
    /// variable UNET_EDGE_KERNEL, or auto]
    #[arg(long, value_name = "NAME")]
    kernel: Option<KernelChoice>,
    /// Threads per frame
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=EngineOptions::THREADS_MAX as i64))]
    threads: u16,
}

impl EngineArguments {
    /// From the flags and the environment.
    pub fn options(&self) -> Result<EngineOptions, Failure> {
        let kernel = match (self.kernel, std::env::var_os(VARIABLE)) {
            (Some(kernel), _) => kernel,
            (None, None) => KernelChoice::Auto,
            (None, Some(name)) => name
                .to_string_lossy()
                .parse()
                .map_err(|error| Failure::input(format!("environment variable {VARIABLE}: {error}")))?,
        };
        // Before loading, so that the model is not blamed.
        kernel.check().map_err(Failure::input)?;
        Ok(EngineOptions { kernel, threads: usize::from(self.threads) })
    }
}
