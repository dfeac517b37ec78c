//! What the ONNX files of a run were made from, written beside them.

use std::path::Path;

use serde::{Deserialize, Serialize};
use unet_shared::digest::Digest;
use unet_shared::manifest::ModelEntry;

use super::open_run::OpenRun;
use crate::error::HostError;

/// Name of the model within a package.
pub(crate) const MODEL_MEMBER: &str = "model.onnx";

/// What `export/model_f32.onnx` was made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportNote {
    /// Digest of the weights file.
    pub weights: Digest,
    /// Whether upsampling was folded. The file itself says so to the later steps; this is for the reader.
    #[serde(default)]
    pub fold_upsample: bool,
    /// Digest of the ONNX file.
    pub onnx: Digest,
}

/// What `export/model_int8.onnx` was made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QuantizationNote {
    /// Input and output of the int8 model.
    pub model: ModelEntry,
    /// Number of training images in the calibration.
    pub calibration_images: usize,
    /// Digest of the weights that the f32 file was exported from.
    pub weights: Digest,
    /// Digest of the int8 file.
    pub onnx: Digest,
}

impl QuantizationNote {
    /// Reads the note of a run.
    ///
    /// # Errors
    /// If the run was not quantized yet, or the note is damaged.
    pub fn load(run: &OpenRun) -> Result<Self, HostError> {
        let path = run.dir.quantization();
        if let Some(missing) = [&path, &run.dir.int8_onnx()].into_iter().find(|path| !path.is_file()) {
            return Err(missing_output_of("quantize", run, missing));
        }
        Ok(run.dir.read_json(path)?)
    }
}

/// Reads a file that another verb writes.
///
/// # Errors
/// If it cannot be read; the message names the verb.
pub(crate) fn read_output_of(verb: &str, run: &OpenRun, path: &Path) -> Result<Vec<u8>, HostError> {
    if !path.is_file() {
        return Err(missing_output_of(verb, run, path));
    }
    std::fs::read(path).map_err(|source| HostError::Read { path: path.to_owned(), source })
}

/// The error for a file that another verb has not written yet.
fn missing_output_of(verb: &str, run: &OpenRun, path: &Path) -> HostError {
    let (path, root) = (path.display(), run.dir.root().display());
    HostError::Usage(format!("{path} does not exist; run `unet-host {verb} {root}` first"))
}
