//! Exports a run's network as f32 ONNX and holds the file against burn on real frames.

use serde::{Deserialize, Serialize};
use unet_data::Split;
use unet_shared::digest::Digest;

use super::open_run::{OpenRun, Weights, spread};
use crate::error::HostError;
use crate::export::{float_onnx, fold, fold_upsample};
use crate::float_engine::FloatEngine;
use crate::segmenter::{BurnSegmenter, FloatOnnxSegmenter};

/// Largest difference of a logit between burn and the exported file. Both add the same f32 products in another order:
/// about sqrt(terms) roundings of 6e-8 on values of the order of 10, with room for the folded batch norm.
pub const TOLERANCE: f32 = 1e-4;

/// Frames that an export is verified on.
pub const VERIFIED_FRAMES: usize = 16;

/// What to export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Of which epoch.
    pub weights: Weights,
    /// Whether each nearest upsampling becomes one with the 3x3 convolution behind it, see [`fold_upsample`].
    pub fold_upsample: bool,
}

/// What an exported file was made from; lies beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportNote {
    /// Digest of the weights' file.
    pub weights: Digest,
    /// Whether upsampling was folded. The file says so itself, and all that is made of it follows; this is for the reader.
    #[serde(default)]
    pub fold_upsample: bool,
    /// Digest of the ONNX file.
    pub onnx: Digest,
}

/// What an export came to.
#[derive(Clone, Debug, Serialize)]
pub struct ExportReport {
    /// The file.
    pub path: std::path::PathBuf,
    /// Its size in bytes.
    pub bytes: usize,
    /// Multiply-accumulates of one frame.
    pub multiplications: u64,
    /// What they were before upsampling was folded; the same number where it was not.
    pub multiplications_unfolded: u64,
    /// Frames that burn and tract both computed.
    pub frames: usize,
    /// Largest difference of a logit between the two.
    pub largest_difference: f32,
    /// Whether it is at most [`TOLERANCE`].
    pub verified: bool,
}

/// Writes `export/model_f32.onnx` and compares it with burn on frames of the validation split.
///
/// # Errors
/// When the weights or the frames cannot be used, there is no upsampling to fold, or the file cannot be written. A
/// difference beyond the tolerance is no error but a finding of the report.
pub fn export(run: &OpenRun, options: &ExportOptions) -> Result<ExportReport, HostError> {
    let &ExportOptions { weights, fold_upsample } = options;
    let device = run.config.backend.device()?;
    let model = run.model(weights, &device)?;
    let preprocess = run.config.preprocess;
    let (height, width) = (preprocess.height as usize, preprocess.width as usize);
    let mut graph = fold::graph_of(&model, height, width);
    let multiplications_unfolded = model.layers().multiply_accumulates(height, width);
    if fold_upsample {
        let folded = fold_upsample::fold_upsampling(&graph)?;
        if folded == graph {
            return Err(HostError::Usage(format!(
                "{}: expected nearest upsampling to fold, found up-convolutions; leave --fold-upsample out",
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
        let (ours, theirs) = (trained.logits(&planes), exported.logits(&planes)?);
        if ours.len() != theirs.len() {
            largest_difference = f32::INFINITY;
        }
        for (a, b) in ours.iter().zip(theirs) {
            // A NaN on either side must not pass for no difference.
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
        multiplications: graph.multiplications()?,
        multiplications_unfolded,
        frames: samples.len(),
        largest_difference,
        verified: largest_difference <= TOLERANCE && !samples.is_empty(),
    })
}
