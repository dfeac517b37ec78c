//! Quantizes a run's exported network on its training images and scores both forms on its validation split.

use serde::{Deserialize, Serialize};
use unet_data::Split;
use unet_shared::digest::Digest;
use unet_shared::manifest::{ModelEntry, TensorEntry};
use unet_shared::record::EvaluationRecord;

use super::export::ExportNote;
use super::open_run::{OpenRun, Weights, spread};
use super::score::{EngineChoice, score_run};
use crate::error::HostError;
use crate::export::float_onnx;
use crate::export::graph::{INPUT_NAME, OUTPUT_NAME};
use crate::progress::Progress;
use crate::quantize::{Format, calibrate, rewrite};
use crate::training::batch::Batcher;

/// Name of the model within a package.
pub const MODEL_MEMBER: &str = "model.onnx";

/// What quantization wrote, beside the ONNX file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QuantizationFile {
    /// Ends of the int8 model.
    pub model: ModelEntry,
    /// Training images that were observed.
    pub calibration_images: usize,
    /// Digest of the weights that the f32 file was exported from.
    pub weights: Digest,
    /// Digest of the int8 file.
    pub onnx: Digest,
}

/// What a quantization came to.
#[derive(Clone, Debug, Serialize)]
pub struct QuantizeReport {
    /// The file.
    pub path: std::path::PathBuf,
    /// Its size in bytes.
    pub bytes: usize,
    /// Training images that were observed.
    pub calibration_images: usize,
    /// Mean IoU of the f32 file on the validation split, by tract.
    pub mean_iou_f32: Option<f64>,
    /// Mean IoU of the int8 file, by the edge's engine; none for a form that the edge does not run.
    pub mean_iou_int8: Option<f64>,
    /// The first minus the second.
    pub drop: Option<f64>,
}

/// The ends of a run's int8 model, as its quantization wrote them down.
///
/// # Errors
/// When the run was not quantized yet.
pub fn load_entry(run: &OpenRun) -> Result<ModelEntry, HostError> {
    Ok(load_file(run)?.model)
}

/// What the run's quantization wrote down.
///
/// # Errors
/// When the run was not quantized yet.
pub fn load_file(run: &OpenRun) -> Result<QuantizationFile, HostError> {
    if !run.dir.quantization().is_file() || !run.dir.int8_onnx().is_file() {
        return Err(HostError::Usage(format!(
            "{}: expected a quantized run; run `unet-host quantize {}` first",
            run.dir.quantization().display(),
            run.dir.root().display()
        )));
    }
    Ok(run.dir.read_json(run.dir.quantization())?)
}

/// Observes `images` training images, writes the int8 file in `format`, and scores f32 and int8.
///
/// # Errors
/// When the run was not exported, its images cannot be read, or something cannot be written.
pub fn quantize(run: &OpenRun, format: Format, images: usize) -> Result<QuantizeReport, HostError> {
    let path = run.dir.float_onnx();
    let bytes = std::fs::read(&path).map_err(|_| {
        let run = run.dir.root().display();
        HostError::Usage(format!(
            "{}: expected the file that `unet-host export {run}` writes, found none",
            path.display()
        ))
    })?;
    let note: ExportNote = run.dir.read_json(run.dir.export_note())?;
    if note.onnx != Digest::of(&bytes) {
        return Err(HostError::Usage(format!(
            "{}: expected the file that was exported, sha256 {}, found another; export the run again",
            path.display(),
            note.onnx
        )));
    }
    let graph = float_onnx::read(&bytes)?;
    let preprocess = run.config.preprocess;
    let dataset = run.data(None)?;
    let samples = spread(dataset.split(Split::Train), images);
    let batcher = Batcher::new(preprocess);
    let mut broken = None;
    let normalized = samples.iter().map_while(|sample| match run.planes(sample) {
        Ok((_, planes)) => {
            let mut values = Vec::with_capacity(planes.len());
            batcher.normalize(&planes, &mut values);
            Some(values)
        }
        Err(error) => {
            broken = Some(error);
            None
        }
    });
    let progress = Progress::new("calibrate", samples.len() as u64, "images");
    let calibration = calibrate(&graph, &preprocess, normalized, || progress.inc(1));
    progress.finish();
    if let Some(error) = broken {
        return Err(error);
    }
    let calibration = calibration?;
    let quantized = rewrite(&graph, &calibration, format)?;
    let shapes = graph.shapes()?;
    let end = |name: &str, [c, h, w]: [usize; 3], quantization| TensorEntry {
        name: name.to_owned(),
        shape: [1, c, h, w],
        quantization,
    };
    let file = QuantizationFile {
        model: ModelEntry {
            file: MODEL_MEMBER.to_owned(),
            input: end(INPUT_NAME, shapes[0], quantized.input),
            output: end(OUTPUT_NAME, shapes[graph.nodes.len()], quantized.output),
        },
        calibration_images: calibration.images,
        weights: note.weights,
        onnx: Digest::of(&quantized.bytes),
    };
    let path = match format {
        Format::Qlinear => run.dir.int8_onnx(),
        Format::Qdq => run.dir.qdq_onnx(),
    };
    unet_engine::atomic_file::write(&path, &quantized.bytes)
        .map_err(|source| HostError::Write { path: path.clone(), source })?;
    // Packages are made of the integer form, so the other must not speak for it.
    if format == Format::Qlinear {
        run.dir.write_json(run.dir.quantization(), &file)?;
    }
    let float = score_run(run, EngineChoice::TractF32, Weights::Best, Split::Val, None)?;
    let int8: Option<EvaluationRecord> = match format {
        Format::Qlinear => {
            let record = score_run(run, EngineChoice::Int8, Weights::Best, Split::Val, None)?;
            run.dir.write_json(run.dir.int8_record(), &record)?;
            Some(record)
        }
        Format::Qdq => None,
    };
    let mean_iou_f32 = float.confusion.mean_iou();
    let mean_iou_int8 = int8.and_then(|record| record.confusion.mean_iou());
    Ok(QuantizeReport {
        path,
        bytes: quantized.bytes.len(),
        calibration_images: calibration.images,
        mean_iou_f32,
        mean_iou_int8,
        drop: mean_iou_f32.zip(mean_iou_int8).map(|(a, b)| a - b),
    })
}
