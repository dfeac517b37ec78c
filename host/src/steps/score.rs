//! Evaluates a run or a package on a labelled split, with any of the engines.

use std::path::Path;

use unet_data::{Dataset, OpenOptions, Split};
use unet_engine::evaluate::{FrameObserver, RecordMeta, evaluate_observed};
use unet_engine::inference::EngineOptions;
use unet_engine::machine;
use unet_engine::package::Package;
use unet_engine::predictor::Predictor;
use unet_engine::segmenter::{Int8Segmenter, Segmenter};
use unet_shared::digest::Digest;
use unet_shared::record::EvaluationRecord;
use unet_shared::tiles::TilesChoice;

use super::open_run::{OpenRun, Weights};
use super::provenance::{QuantizationNote, exported, quantized};
use crate::assessment::{Assessment, Assessor};
use crate::config::FolderOptions;
use crate::error::HostError;
use crate::export::float_onnx;
use crate::float_engine::FloatEngine;
use crate::progress::Progress;
use crate::segmenter::{BurnSegmenter, FloatOnnxSegmenter};

/// The program's name and version in records.
pub const PROGRAM: &str = concat!("unet-host ", env!("CARGO_PKG_VERSION"));

/// Engine that computes a run's predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineChoice {
    /// burn, f32, from the run's weights.
    Burn,
    /// tract, f32, from the exported ONNX file.
    TractF32,
    /// The edge's engine, int8, from the quantized ONNX file.
    Int8,
}

/// What an evaluation found.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Counts and digests, as a board writes them too.
    pub record: EvaluationRecord,
    /// What else was measured.
    pub assessment: Assessment,
}

/// The network of a run in one of the engines, and the digest of its file.
///
/// # Errors
/// If that file does not exist yet or is damaged.
pub fn segmenter(
    run: &OpenRun,
    engine: EngineChoice,
    weights: Weights,
) -> Result<(Box<dyn Segmenter>, Digest), HostError> {
    let preprocess = run.config.preprocess;
    Ok(match engine {
        EngineChoice::Burn => {
            let device = run.config.backend.device()?;
            let model = run.model(weights, &device)?;
            let segmenter = BurnSegmenter::new(&model, run.config.backend, &device, preprocess);
            (Box::new(segmenter), run.weights_digest(weights)?)
        }
        EngineChoice::TractF32 => {
            let (bytes, _) = exported(run)?;
            let graph = float_onnx::read(&bytes)?;
            let engine = FloatEngine::new(&bytes, graph.input, &[])?;
            let segmenter = FloatOnnxSegmenter::new(engine, run.config.model.classes, preprocess)
                .with_field_of_view(run.config.model.layers().field_of_view());
            (Box::new(segmenter), Digest::of(&bytes))
        }
        EngineChoice::Int8 => {
            let (bytes, QuantizationNote { model: entry, .. }) = quantized(run)?;
            let engine = unet_engine::inference::Engine::from_onnx(&bytes, &entry.input, &entry.output)?;
            (Box::new(Int8Segmenter::new(engine, &preprocess)), Digest::of(&bytes))
        }
    })
}

/// Evaluates a run's network on one split of its dataset, or of the one at `data`.
///
/// # Errors
/// If the dataset or the network cannot be used.
pub fn evaluate_run(
    run: &OpenRun,
    engine: EngineChoice,
    weights: Weights,
    split: Split,
    data: Option<&Path>,
) -> Result<Evaluation, HostError> {
    let dataset = run.data(data)?;
    let (segmenter, model) = segmenter(run, engine, weights)?;
    let meta = RecordMeta {
        program: PROGRAM.to_owned(),
        machine: machine::name(),
        model,
        package: None,
        dataset: dataset.name(),
        split: split.name().to_owned(),
        classes: run.class_names(),
    };
    let mut predictor = Predictor::new(segmenter, run.config.preprocess)?.with_tiles(run.config.tiles);
    evaluate(&dataset, split, &run.table, &mut predictor, meta)
}

/// Evaluates a package as the edge does, on one split of the dataset at `data`, split as in training. Without `tiles`, images are
/// cut as in training.
///
/// # Errors
/// If the package is refused or the dataset cannot be used.
pub fn evaluate_package(
    path: &Path,
    data: &Path,
    folders: &FolderOptions,
    split: Split,
    tiles: Option<TilesChoice>,
    skip_unreadable: bool,
) -> Result<Evaluation, HostError> {
    let package = Package::read(path)?;
    let manifest = &package.manifest;
    let mut predictor = Predictor::from_package(&package, &EngineOptions::default())?
        .with_tiles(TilesChoice::or_trained(tiles, manifest.tiles));
    let provenance = &manifest.provenance;
    let options = OpenOptions {
        val_ratio: provenance.val_ratio,
        seed: provenance.split_seed,
        stacks: provenance.stacks,
        fold: provenance.fold,
        choice: folders.choice(),
    };
    let mut dataset = Dataset::open(data, &options)?;
    let table = manifest.label_table()?;
    if skip_unreadable {
        dataset.leave_out_unreadable(&manifest.preprocess.samples, table.reading());
    }
    let meta = RecordMeta {
        program: PROGRAM.to_owned(),
        machine: machine::name(),
        model: Digest::of(package.model()),
        package: Some(package.digest),
        dataset: dataset.name(),
        split: split.name().to_owned(),
        classes: manifest.classes.iter().map(|class| class.name.clone()).collect(),
    };
    evaluate(&dataset, split, &table, &mut predictor, meta)
}

fn evaluate<S: Segmenter>(
    dataset: &Dataset,
    split: Split,
    table: &unet_shared::label::LabelTable,
    predictor: &mut Predictor<S>,
    meta: RecordMeta,
) -> Result<Evaluation, HostError> {
    dataset.skipped().iter().for_each(unet_engine::error::say);
    if let Some(note) = predictor.tiles_note() {
        unet_engine::error::say(note);
    }
    let samples = dataset.samples_of(split)?;
    let progress =
        Progress::new(&format!("evaluating {}", predictor.segmenter().engine()), samples.len() as u64, "images");
    let mut assessor = Assessor::new(predictor.segmenter().classes(), *predictor.spec());
    let observer = Some(&mut assessor as &mut dyn FrameObserver);
    let record = evaluate_observed(samples, table, predictor, meta, observer, &mut |_, _| progress.inc(1))
        .map_err(|error| HostError::Usage(error.with_remedy()))?;
    progress.finish();
    Ok(Evaluation { record, assessment: assessor.finish() })
}
