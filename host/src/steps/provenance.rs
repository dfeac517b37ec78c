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

/// The exported f32 file of a run, with its note.
///
/// # Errors
/// If the run was not exported yet, or the file is not the one that was.
pub(crate) fn exported(run: &OpenRun) -> Result<(Vec<u8>, ExportNote), HostError> {
    let path = run.dir.float_onnx();
    if !path.is_file() {
        return Err(missing_output_of("export", run, &path));
    }
    let (bytes, note): (_, ExportNote) = (run.dir.read(&path)?, run.dir.read_json(run.dir.export_note())?);
    check_output_of("export", run, &path, &bytes, note.onnx)?;
    Ok((bytes, note))
}

/// The quantized file of a run, with its note.
///
/// # Errors
/// If the run was not quantized yet, or the file is not the one that was.
pub(crate) fn quantized(run: &OpenRun) -> Result<(Vec<u8>, QuantizationNote), HostError> {
    let (note, path) = (QuantizationNote::load(run)?, run.dir.int8_onnx());
    let bytes = run.dir.read(&path)?;
    check_output_of("quantize", run, &path, &bytes, note.onnx)?;
    Ok((bytes, note))
}

/// Checks that a file is the one that another verb wrote.
fn check_output_of(verb: &str, run: &OpenRun, path: &Path, bytes: &[u8], expected: Digest) -> Result<(), HostError> {
    let found = Digest::of(bytes);
    if found == expected {
        return Ok(());
    }
    let (path, root) = (path.display(), run.dir.root().display());
    Err(HostError::Usage(format!(
        "{path} is damaged, or not the file that `unet-host {verb}` wrote: expected sha256 {expected}, found {found}; run `unet-host \
         {verb} {root}` again"
    )))
}

/// The error for a file that another verb has not written yet.
fn missing_output_of(verb: &str, run: &OpenRun, path: &Path) -> HostError {
    let (path, root) = (path.display(), run.dir.root().display());
    HostError::Usage(format!("{path} does not exist; run `unet-host {verb} {root}` first"))
}
