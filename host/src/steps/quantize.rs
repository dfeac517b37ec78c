//! Quantizes a run's exported network, calibrated on its training images, and evaluates f32 and int8 on its validation split.

use serde::Serialize;
use unet_data::Split;
use unet_shared::digest::Digest;
use unet_shared::manifest::{ModelEntry, TensorEntry};
use unet_shared::record::EvaluationRecord;

use super::open_run::{OpenRun, Weights, spread};
use super::provenance::{MODEL_MEMBER, QuantizationNote, exported};
use super::score::{EngineChoice, evaluate_run};
use crate::error::HostError;
use crate::export::float_onnx;
use crate::export::graph::{INPUT_NAME, OUTPUT_NAME};
use crate::progress::Progress;
use crate::quantize::{Format, calibrate, rewrite};
use crate::training::batch::Batcher;

/// Result of a quantization.
#[derive(Clone, Debug, Serialize)]
pub struct QuantizeReport {
    /// The file.
    pub path: std::path::PathBuf,
    /// Its size in bytes.
    pub bytes: usize,
    /// Number of training images in the calibration.
    pub calibration_images: usize,
    /// Mean IoU of the f32 file on the validation split, computed by tract.
    pub mean_iou_f32: Option<f64>,
    /// Mean IoU of the int8 file, computed by the edge's engine; none for the form QDQ, which packages do not contain.
    pub mean_iou_int8: Option<f64>,
    /// The first minus the second.
    pub drop: Option<f64>,
}

/// Calibrates on `images` training images, writes the int8 file in `format`, and evaluates f32 and int8.
///
/// # Errors
/// If the run was not exported, its images cannot be read, or a file cannot be written.
pub fn quantize(run: &OpenRun, format: Format, images: usize) -> Result<QuantizeReport, HostError> {
    if images == 0 {
        return Err(HostError::Usage("--images: expected at least 1 calibration image, found 0".to_owned()));
    }
    let (bytes, exported) = exported(run)?;
    let graph = float_onnx::read(&bytes)?;
    let preprocess = run.config.preprocess;
    let dataset = run.data(None)?;
    let samples = spread(dataset.split(Split::Train), images);
    let batcher = Batcher::new(preprocess);
    let mut failed = None;
    // Of images that are cut into tiles, as many tiles as are needed.
    let inputs_each = images.div_ceil(samples.len().max(1));
    let inputs = samples.iter().map_while(|sample| match run.inputs(sample, inputs_each) {
        Ok(inputs) => Some(inputs),
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    let normalized = inputs.flatten().take(images).map(|planes| {
        let mut values = Vec::with_capacity(planes.len());
        batcher.normalize(&planes, &mut values);
        values
    });
    let expected = if run.config.tiles.is_some() { images } else { samples.len() };
    let progress = Progress::new("calibrating", expected as u64, "images");
    let calibration = calibrate(&graph, &preprocess, normalized, || progress.inc(1));
    progress.finish();
    if let Some(error) = failed {
        return Err(error);
    }
    let calibration = calibration?;
    let mut quantized = rewrite(&graph, &calibration, format)?;
    quantized.bytes = unet_onnx::with_metadata(&quantized.bytes, &unet_onnx::metadata(&bytes)?)?;
    let shapes = graph.shapes()?;
    let end = |name: &str, [c, h, w]: [usize; 3], quantization| TensorEntry {
        name: name.to_owned(),
        shape: [1, c, h, w],
        quantization,
    };
    let note = QuantizationNote {
        model: ModelEntry {
            file: MODEL_MEMBER.to_owned(),
            input: end(INPUT_NAME, shapes[0], quantized.input),
            output: end(OUTPUT_NAME, shapes[graph.nodes.len()], quantized.output),
        },
        calibration_images: calibration.images,
        weights: exported.weights,
        onnx: Digest::of(&quantized.bytes),
    };
    let path = match format {
        Format::Qlinear => run.dir.int8_onnx(),
        Format::Qdq => run.dir.qdq_onnx(),
    };
    unet_engine::atomic_file::write(&path, &quantized.bytes)
        .map_err(|source| HostError::Write { path: path.clone(), source })?;
    // Packages are made from the integer form, which the note is about.
    if format == Format::Qlinear {
        run.dir.write_json(run.dir.quantization(), &note)?;
    }
    let float = evaluate_run(run, EngineChoice::TractF32, Weights::Best, Split::Val, None)?.record;
    let int8: Option<EvaluationRecord> = match format {
        Format::Qlinear => {
            let record = evaluate_run(run, EngineChoice::Int8, Weights::Best, Split::Val, None)?.record;
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
