//! `unet-host export RUN`.

use std::path::PathBuf;

use unet_host::error::{HostError, exit};
use unet_host::steps::{OpenRun, Weights, export};

/// What to export.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// The run's folder
    run: PathBuf,
    /// Which weights
    #[arg(long, value_enum, default_value_t = Weights::Best)]
    weights: Weights,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Export {
    pub fn run(self) -> Result<u8, HostError> {
        let report = export::export(&OpenRun::open(&self.run)?, self.weights)?;
        super::print(self.json, &report, || text(&report))?;
        Ok(if report.verified { exit::SUCCESS } else { exit::FOUND })
    }
}

/// The report for people.
pub fn text(report: &export::ExportReport) -> String {
    let verdict = if report.verified { "verified" } else { "NOT VERIFIED" };
    format!(
        "f32 onnx: {} ({} bytes, {} multiply-accumulates a frame)\n\
         {verdict}: logits of burn and tract differ by at most {:.1e} on {} frames (allowed {:.0e})\n",
        report.path.display(),
        report.bytes,
        report.multiplications,
        report.largest_difference,
        report.frames,
        export::TOLERANCE,
    )
}
