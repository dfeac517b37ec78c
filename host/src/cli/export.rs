//! `unet-host export RUN`.

use std::path::PathBuf;

use unet_data::counted;
use unet_engine::exit::Exit;
use unet_host::error::HostError;
use unet_host::steps::export::ExportOptions;
use unet_host::steps::verify::Verification;
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
    /// License of the weights, kept in the file's metadata beside class names and preprocessing, and in files made from it
    #[arg(long)]
    license: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Export {
    pub fn run(self) -> Result<Exit, HostError> {
        let options = ExportOptions { weights: self.weights, fold_upsample: self.fold_upsample, license: self.license };
        let run = OpenRun::open(&self.run)?;
        let report = export::export(&run, &options)?;
        if let Some((trained, all)) = run.unfinished()? {
            unet_engine::error::say(format_args!(
                "note: {trained} of {all} epochs are trained so far; export again when the run has finished"
            ));
        }
        super::print(self.json, &report, || text(&report))?;
        Ok(if report.verification.verified { Exit::Success } else { Exit::Fault })
    }
}

/// The report as text.
pub fn text(report: &export::ExportReport) -> String {
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
        "f32 onnx: {} ({} bytes, {} multiply-accumulates per frame)\n{folded}{}",
        report.path.display(),
        report.bytes,
        report.macs,
        verdict(&report.verification)
    )
}

fn verdict(found: &Verification) -> String {
    let verdict = if found.verified { "verified" } else { "NOT VERIFIED" };
    let parameters = match &found.other_parameter {
        None => format!("{} weights and biases are the trained ones", found.parameters),
        Some(other) => other.clone(),
    };
    format!(
        "{verdict}: {parameters}; logits of burn and tract differ by at most {:.1e} on {} (allowed {:.1e}, from the \
         rounding of f32)\n\
         logits range over {:.1}; from f64, on {} of these frames, burn differs by at most {:.1e} and tract by {:.1e}; \
         {} of {} pixels change class\n",
        found.burn_and_tract.largest,
        counted(found.frames, "frame"),
        found.allowed.largest,
        found.logit_range,
        found.frames_in_f64,
        found.burn_and_f64.largest,
        found.tract_and_f64.largest,
        found.pixels_of_another_class,
        found.pixels,
    )
}
