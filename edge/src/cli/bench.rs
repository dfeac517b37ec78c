//! `unet-edge bench`: how long a frame takes and how much memory the process needs.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use unet_edge::inference::Engine;
use unet_edge::machine;
use unet_edge::package::Package;
use unet_shared::record::Timing;

use super::{EngineArguments, Failure, chain, print, print_json};

/// Measure the model of a package on its golden inputs
#[derive(Debug, Args)]
pub struct Bench {
    /// The package
    package: PathBuf,
    #[command(flatten)]
    engine: EngineArguments,
    /// How many frames to measure
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    frames: u32,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub fn main(self) -> Result<(), Failure> {
        let options = self.engine.options()?;
        let package = Package::read(&self.package)?;
        let refused = |error: &dyn std::error::Error| {
            Failure::input(format!("package {} is refused: {}", self.package.display(), chain(error)))
        };
        // Loading runs the golden vectors, so that the first frame measured is not the first one run.
        let mut engine = Engine::load_with(&package, &options).map_err(|error| refused(&error))?;
        let inputs: Vec<_> = package.golden().map(|golden| golden.input).collect();
        let mut frame_ms = Vec::with_capacity(self.frames as usize);
        for input in inputs.iter().cycle().take(self.frames as usize) {
            let start = Instant::now();
            engine.run(input).map_err(|error| refused(&error))?;
            frame_ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let (peak_rss_kib, kernel) = (machine::peak_rss_kib(), engine.kernel());
        let threads = engine.threads();
        if self.json {
            return print_json(&json!({
                "frame_ms": frame_ms,
                "peak_rss_kib": peak_rss_kib,
                "kernel": kernel,
                "threads": threads,
            }));
        }
        let timing = Timing::of(frame_ms);
        let memory = peak_rss_kib.map_or_else(|| "unknown".to_owned(), |kib| format!("{kib} KiB"));
        print(&format!(
            "{} frames by {kernel}, threads {threads}: median {:.2} ms, {:.2} to {:.2}; peak memory {memory}\n",
            timing.frames, timing.median_ms, timing.min_ms, timing.max_ms
        ))
    }
}
