//! Exports a run's network as f32 ONNX and verifies the file.

use serde::Serialize;
use unet_shared::digest::Digest;

use super::open_run::{OpenRun, Weights};
use super::provenance::ExportNote;
use super::verify::{Verification, verify};
use crate::error::HostError;
use crate::export::{float_onnx, fold, fold_upsample};

/// What to export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// The epoch to export.
    pub weights: Weights,
    /// Whether to fold each nearest upsampling into the 3x3 convolution after it, see [`fold_upsample`].
    pub fold_upsample: bool,
    /// License of the weights, for the file's metadata.
    pub license: Option<String>,
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
    /// What verifying it found.
    #[serde(flatten)]
    pub verification: Verification,
}

/// Writes `export/model_f32.onnx` and verifies it. A file that does not agree with the network is not an error: the report has it.
///
/// # Errors
/// If the weights or the frames cannot be used, there is no upsampling to fold, or the file cannot be written.
pub fn export(run: &OpenRun, options: &ExportOptions) -> Result<ExportReport, HostError> {
    let &ExportOptions { weights, fold_upsample, .. } = options;
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
    let bytes = unet_onnx::with_metadata(&float_onnx::write(&graph)?, &metadata(run, options.license.as_deref()))?;
    let verification = verify(run, &model, &bytes)?;
    let path = run.dir.float_onnx();
    let note = ExportNote { weights: run.weights_digest(weights)?, fold_upsample, onnx: Digest::of(&bytes) };
    unet_engine::atomic_file::write(&path, &bytes).map_err(|source| HostError::Write { path: path.clone(), source })?;
    run.dir.write_json(run.dir.export_note(), &note)?;
    Ok(ExportReport { path, bytes: bytes.len(), macs: graph.multiplications()?, macs_unfolded, verification })
}

/// What the file says about itself: class names by id and preprocessing, both JSON as in a package's manifest, and the license.
fn metadata(run: &OpenRun, license: Option<&str>) -> Vec<(String, String)> {
    let mut pairs = vec![
        ("classes", serde_json::json!(run.class_names()).to_string()),
        ("preprocess", serde_json::json!(run.config.preprocess).to_string()),
    ];
    pairs.extend(license.map(|license| ("license", license.to_owned())));
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
