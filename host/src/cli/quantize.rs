//! `unet-host quantize RUN`.

use std::path::PathBuf;

use unet_engine::exit::Exit;
use unet_host::error::HostError;
use unet_host::quantize::Format;
use unet_host::steps::{OpenRun, quantize};

/// What to quantize, and how.
#[derive(Debug, clap::Args)]
pub struct Quantize {
    /// Folder of the run
    run: PathBuf,
    /// `qlinear` for the edge and onnxruntime, `qdq` for TensorRT and OpenVINO: the same numbers
    #[arg(long, value_enum, default_value_t = Format::Qlinear)]
    format: Format,
    /// Number of training images to calibrate on
    #[arg(long, default_value_t = CALIBRATION_IMAGES)]
    images: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Default number of calibration images.
pub const CALIBRATION_IMAGES: usize = 64;

impl Quantize {
    pub fn run(self) -> Result<Exit, HostError> {
        let report = quantize::quantize(&OpenRun::open(&self.run)?, self.format, self.images)?;
        super::print(self.json, &report, || text(&report))?;
        Ok(Exit::Success)
    }
}

/// The report as text.
pub fn text(report: &quantize::QuantizeReport) -> String {
    let mut text = format!(
        "int8 onnx: {} ({} bytes, calibrated on {} training images)\nmean IoU f32 {}",
        report.path.display(),
        report.bytes,
        report.calibration_images,
        super::ratio(report.mean_iou_f32),
    );
    match report.drop {
        Some(drop) => {
            text += &format!(", int8 {}, drop {drop:+.4}\n", super::ratio(report.mean_iou_int8));
        }
        None => text += "; int8 is evaluated in the form qlinear, which packages contain\n",
    }
    text
}
