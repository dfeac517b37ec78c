//! Exports a run's network as f32 ONNX and verifies the file against burn on real frames.

use serde::Serialize;
use unet_data::Split;
use unet_shared::digest::Digest;

use super::open_run::{OpenRun, Weights, spread};
use super::provenance::ExportNote;
use crate::error::HostError;
use crate::export::{float_onnx, fold, fold_upsample};
use crate::float_engine::FloatEngine;
use crate::segmenter::{BurnSegmenter, FloatOnnxSegmenter};

/// Maximum difference of a logit between burn and the exported file. Both sum the same f32 products in different orders: about
/// sqrt(terms) roundings of 6e-8 on values of the order of 10, with a margin for the folded batch norm.
pub const TOLERANCE: f32 = 1e-4;

/// Number of frames to verify on.
pub const VERIFIED_FRAMES: usize = 16;

/// What to export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// The epoch to export.
    pub weights: Weights,
    /// Whether to fold each nearest upsampling into the 3x3 convolution after it, see [`fold_upsample`].
    pub fold_upsample: bool,
}

/// Result of an export.
#[derive(Clone, Debug, Serialize)]
pub struct ExportReport {
    /// The file.
    pub path: std::path::PathBuf,
    /// Its size in bytes.
    pub bytes: usize,
    /// Multiply-accumulates per frame.
    #[serde(rename = "multiplications")]
    pub macs: u64,
    /// The same before upsampling was folded; equal if it was not.
    #[serde(rename = "multiplications_unfolded")]
    pub macs_unfolded: u64,
    /// Number of frames computed by both burn and tract.
    pub frames: usize,
    /// Largest difference of a logit between the two.
    pub largest_difference: f32,
    /// Whether it is at most [`TOLERANCE`].
    pub verified: bool,
}

/// Writes `export/model_f32.onnx` and compares it with burn on frames of the validation split. A difference above the tolerance
/// is not an error: the report has it.
///
/// # Errors
/// If the weights or the frames cannot be used, there is no upsampling to fold, or the file cannot be written.
pub fn export(run: &OpenRun, options: &ExportOptions) -> Result<ExportReport, HostError> {
    let &ExportOptions { weights, fold_upsample } = options;
    let device = run.config.backend.device()?;
    let model = run.model(weights, &device)?;
    let preprocess = run.config.preprocess;
    let (height, width) = (preprocess.height as usize, preprocess.width as usize);
    let mut graph = fold::graph_of(&model, height, width);
    let macs_unfolded = model.layers().multiply_accumulates(height, width);
    if fold_upsample {
        let folded = fold_upsample::fold_upsampling(&graph)?;
        if folded == graph {
            return Err(HostError::Usage(format!(
                "{}: expected nearest upsampling to fold, found up-convolutions; omit --fold-upsample",
                run.dir.root().display()
            )));
        }
        graph = folded;
    }
    let bytes = float_onnx::write(&graph)?;
    let mut exported =
        FloatOnnxSegmenter::new(FloatEngine::new(&bytes, graph.input, &[])?, run.config.model.classes, preprocess);
    let trained = BurnSegmenter::new(&model, run.config.backend, &device, preprocess);
    let dataset = run.data(None)?;
    let samples = spread(dataset.split(Split::Val), VERIFIED_FRAMES);
    let mut largest_difference = 0f32;
    for sample in &samples {
        let (_, planes) = run.planes(sample)?;
        let (by_burn, by_tract) = (trained.logits(&planes), exported.logits(&planes)?);
        if by_burn.len() != by_tract.len() {
            largest_difference = f32::INFINITY;
        }
        for (a, b) in by_burn.iter().zip(by_tract) {
            // A NaN on either side must not count as equal.
            let difference = (a - b).abs();
            largest_difference = if difference.is_nan() { f32::INFINITY } else { largest_difference.max(difference) };
        }
    }
    let path = run.dir.float_onnx();
    let note = ExportNote { weights: run.weights_digest(weights)?, fold_upsample, onnx: Digest::of(&bytes) };
    unet_engine::atomic_file::write(&path, &bytes).map_err(|source| HostError::Write { path: path.clone(), source })?;
    run.dir.write_json(run.dir.export_note(), &note)?;
    Ok(ExportReport {
        path,
        bytes: bytes.len(),
        macs: graph.multiplications()?,
        macs_unfolded,
        frames: samples.len(),
        largest_difference,
        verified: largest_difference <= TOLERANCE && !samples.is_empty(),
    })
}
