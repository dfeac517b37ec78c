//! Packs a quantized run into the one file that ships to a board, and loads it back with the edge's reader.

use std::path::{Path, PathBuf};

use serde::Serialize;
use unet_data::Split;
use unet_engine::inference::Engine;
use unet_engine::package::{self, PACKAGE_EXTENSION, Package};
use unet_engine::segmenter::{Int8Segmenter, Segmenter};
use unet_shared::digest::Digest;
use unet_shared::image::{ImageView, PixelFormat};
use unet_shared::manifest::{GoldenEntry, MANIFEST_VERSION, Manifest, Provenance};
use unet_shared::preprocess::{Fit, Preprocess, Preprocessor};
use unet_shared::record::EvaluationRecord;

use super::open_run::{OpenRun, spread};
use super::provenance::{MODEL_MEMBER, quantized};
use super::score::PROGRAM;
use crate::dataset::synthetic::{SyntheticConfig, SyntheticSplit, frame};
use crate::error::HostError;

/// Number of golden vectors in a package.
const GOLDEN_VECTORS: usize = 2;

/// What a package's golden vectors are made from; the expected masks are computed by the engine on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum GoldenSource {
    /// Frames of the validation split. The package contains them.
    Frames,
    /// Synthetic frames, for data that must not be shipped.
    Pattern,
}

/// Result of packaging.
#[derive(Clone, Debug, Serialize)]
pub struct PackageReport {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its digest.
    pub digest: Digest,
    /// Number of golden vectors that passed when the file was loaded back.
    pub golden: usize,
}

/// Writes the package to `output`, or to `NAME.unet` in the run's folder, and loads it back as a board would.
///
/// # Errors
/// If the run was not quantized, or the file cannot be written or is refused when loaded back.
pub fn package(run: &OpenRun, output: Option<&Path>, source: GoldenSource) -> Result<PackageReport, HostError> {
    let (model, quantization) = quantized(run)?;
    let entry = quantization.model;
    let mut segmenter =
        Int8Segmenter::new(Engine::from_onnx(&model, &entry.input, &entry.output)?, &run.config.preprocess);
    let mut members = vec![(MODEL_MEMBER.to_owned(), model)];
    let mut golden = vec![];
    for (k, planes) in golden_planes(run, source)?.into_iter().enumerate() {
        let input = segmenter.quantize(&planes)?.to_vec();
        let mut mask = vec![0; (run.config.preprocess.width * run.config.preprocess.height) as usize];
        segmenter.segment(&planes, &mut mask)?;
        let logits = segmenter.logits_digest()?;
        let names = [format!("golden/{k}.input"), format!("golden/{k}.mask")];
        let [input_name, mask_name] = names.clone();
        golden.push(GoldenEntry { input: input_name, mask: mask_name, logits });
        members.extend(names.into_iter().zip([input, mask]));
    }
    // Only evaluations of these weights and of this file count.
    let mean_iou = |path: PathBuf, model: Digest| -> Option<f64> {
        let record = EvaluationRecord::from_json(&run.dir.read(path).ok()?).ok()?;
        (record.model == model).then(|| record.confusion.mean_iou()).flatten()
    };
    let manifest = Manifest {
        version: MANIFEST_VERSION,
        name: run.config.name.clone(),
        created_by: PROGRAM.to_owned(),
        preprocess: run.config.preprocess,
        tiles: run.config.tiles,
        classes: run.snapshot.labels.classes.clone(),
        ignore: run.snapshot.labels.ignore.clone(),
        reading: run.snapshot.labels.reading,
        model: entry,
        golden,
        members: vec![],
        provenance: Provenance {
            run: run.config.name.clone(),
            seed: run.config.seed,
            dataset: run.snapshot.digest,
            weights: quantization.weights,
            code_version: run.config.code_version.clone(),
            val_ratio: run.config.val_ratio,
            split_seed: run.config.split_seed,
            stacks: run.config.stacks,
            fold: run.config.fold,
            mean_iou_f32: mean_iou(run.dir.float_record(), quantization.weights),
            mean_iou_int8: mean_iou(run.dir.int8_record(), quantization.onnx),
        },
    };
    let path =
        output.map_or_else(|| run.dir.root().join(format!("{}.{PACKAGE_EXTENSION}", run.config.name)), Path::to_owned);
    let digest = package::write(&path, manifest, members)?;
    let written = Package::read(&path)?;
    Int8Segmenter::load(&written)?;
    let golden = written.golden().count();
    Ok(PackageReport { bytes: written.size() as u64, path, digest, golden })
}

/// The preprocessed planes of the golden vectors.
fn golden_planes(run: &OpenRun, source: GoldenSource) -> Result<Vec<Vec<u8>>, HostError> {
    let preprocess = run.config.preprocess;
    match source {
        GoldenSource::Frames => {
            let dataset = run.data(None)?;
            let samples = spread(dataset.split(Split::Val), GOLDEN_VECTORS);
            samples.into_iter().map(|sample| Ok(run.planes(sample)?.1)).collect()
        }
        GoldenSource::Pattern => {
            // Of the input's size, so that any fit accepts them; the generator's minimum side is 32.
            let (width, height) = (preprocess.width.max(32), preprocess.height.max(32));
            let config = SyntheticConfig { width, height, ..SyntheticConfig::default() };
            let spec = Preprocess { fit: Fit::Stretch, ..preprocess };
            let mut preprocessor = Preprocessor::new(spec)?;
            (0..GOLDEN_VECTORS)
                .map(|index| {
                    let (image, _) = frame(&config, SyntheticSplit::Val, index)?;
                    let (width, height) = (width as usize, height as usize);
                    let view = ImageView::packed(image.as_raw(), width, height, PixelFormat::Gray8)
                        .map_err(|error| HostError::Usage(format!("golden pattern: {error}")))?;
                    let mut planes = vec![0; spec.input_len()];
                    preprocessor.run(&view, &mut planes)?;
                    Ok(planes)
                })
                .collect()
        }
    }
}
