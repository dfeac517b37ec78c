//! `unet-host export RUN`.

use std::path::PathBuf;

use unet_engine::exit::Exit;
use unet_host::error::HostError;
use unet_host::steps::export::ExportOptions;
use unet_host::steps::{OpenRun, Weights, export};

/// What to export.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// Folder of the run
    run: PathBuf,
    /// Weights to export
    #[arg(long, value_enum, default_value_t = Weights::Best)]
    weights: Weights,
    /// Write each nearest upsampling and the 3x3 convolution after it as four 2x2 convolutions on the small image: the same
    /// results with 2.25 times fewer multiply-accumulates in these layers. Later steps use the file as exported; export again
    /// without the flag to undo it
    #[arg(long)]
    fold_upsample: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Export {
    pub fn run(self) -> Result<Exit, HostError> {
        let options = ExportOptions { weights: self.weights, fold_upsample: self.fold_upsample };
        let report = export::export(&OpenRun::open(&self.run)?, &options)?;
        super::print(self.json, &report, || text(&report))?;
        Ok(if report.verified { Exit::Success } else { Exit::Fault })
    }
}

/// The report as text.
pub fn text(report: &export::ExportReport) -> String {
    let verdict = if report.verified { "verified" } else { "NOT VERIFIED" };
    let folded = if report.macs == report.macs_unfolded {
        String::new()
    } else {
        format!(
            "upsampling folded: {} multiply-accumulates per frame before, {} after ({:.1} % fewer)\n",
            report.macs_unfolded,
            report.macs,
            100.0 - 100.0 * report.macs as f64 / report.macs_unfolded as f64,
        )
    };
    format!(
        "f32 onnx: {} ({} bytes, {} multiply-accumulates per frame)\n\
         {folded}{verdict}: logits of burn and tract differ by at most {:.1e} on {} frames (allowed {:.0e})\n",
        report.path.display(),
        report.bytes,
        report.macs,
        report.largest_difference,
        report.frames,
        export::TOLERANCE,
    )
}
