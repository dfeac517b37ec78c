//! Tiny training runs for end-to-end tests: real training on synthetic images, for seconds.

use std::path::Path;

use unet_data::{Dataset, OpenOptions, Split};
use unet_engine::evaluate::{RecordMeta, evaluate};
use unet_engine::inference::EngineOptions;
use unet_engine::package::Package;
use unet_engine::predictor::Predictor;
use unet_host::dataset::augment::Flips;
use unet_host::dataset::synthetic::{SyntheticConfig, generate};
use unet_host::model::{Blocks, Skips, Stem, Upsampling};
use unet_host::steps::OpenRun;
use unet_host::steps::export::{self, ExportOptions};
use unet_host::steps::package::{self, GoldenSource};
use unet_host::steps::train::{TrainOptions, finish, start};
use unet_host::training::checkpoint::EpochRow;
use unet_host::training::class_weights::ClassWeights;
use unet_host::training::memory::MemoryOptions;
use unet_host::training::trainer::Observer;
use unet_shared::digest::Digest;
use unet_shared::preprocess::{Channels, Normalize};
use unet_shared::record::EvaluationRecord;

/// Ignores all events.
pub struct Silent;

impl Observer for Silent {
    fn norms_begin(&mut self, _: usize) {}
    fn measured(&mut self, _: usize) {}
    fn epoch_begins(&mut self, _: usize, _: usize, _: usize) {}
    fn trained(&mut self, _: usize, _: f64) {}
    fn validated(&mut self, _: usize) {}
    fn epoch_ended(&mut self, _: &EpochRow, _: bool) {}
}

/// The options that the tests vary.
pub struct Variant {
    pub name: &'static str,
    pub upsampling: Upsampling,
    pub skips: Skips,
    pub blocks: Blocks,
    pub stem: Stem,
    pub fold_upsample: bool,
    pub channels: Channels,
    pub normalize: Normalize,
}

/// Both kinds of upsampling, one of them also folded; a stem with added skips and separable blocks; both numbers of channels; both normalizations.
pub const VARIANTS: [Variant; 4] = [
    Variant {
        name: "nearest",
        upsampling: Upsampling::Nearest,
        skips: Skips::Concat,
        blocks: Blocks::Plain,
        stem: Stem::Full,
        fold_upsample: false,
        channels: Channels::Gray,
        normalize: Normalize::Unit,
    },
    Variant {
        name: "up-convolution",
        upsampling: Upsampling::UpConvolution,
        skips: Skips::Concat,
        blocks: Blocks::Plain,
        stem: Stem::Full,
        fold_upsample: false,
        channels: Channels::Rgb,
        normalize: Normalize::MeanStd { mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] },
    },
    Variant {
        name: "stem",
        upsampling: Upsampling::Nearest,
        skips: Skips::Add,
        blocks: Blocks::Separable,
        stem: Stem::Quarter,
        fold_upsample: false,
        channels: Channels::Rgb,
        normalize: Normalize::Unit,
    },
    Variant {
        name: "nearest-folded",
        upsampling: Upsampling::Nearest,
        skips: Skips::Concat,
        blocks: Blocks::Plain,
        stem: Stem::Full,
        fold_upsample: true,
        channels: Channels::Gray,
        normalize: Normalize::Unit,
    },
];

/// A run of two epochs on 24 synthetic images of 64x64, exported.
pub fn train(folder: &Path, variant: &Variant) -> (OpenRun, export::ExportReport) {
    let data = folder.join("data");
    generate(&data, &SyntheticConfig { seed: 3, train: 24, val: 8, width: 64, height: 64 }).unwrap();
    let mut options =
        TrainOptions { runs: folder.join("runs"), name: Some(variant.name.to_owned()), ..TrainOptions::default() };
    options.input.channels = Some(variant.channels);
    if let Normalize::MeanStd { mean, std } = variant.normalize {
        (options.input.mean, options.input.std) = (mean.to_vec(), std.to_vec());
    }
    let config = &mut options.config;
    let model = &mut config.model;
    (model.base, model.depth, model.upsampling) = (4, 2, variant.upsampling);
    (model.skips, model.blocks, model.stem) = (variant.skips, variant.blocks, variant.stem);
    config.training.epochs = 2;
    // The recipe by which the bounds of these tests were found, whatever the defaults are.
    options.loss = Some("cross-entropy".parse().unwrap());
    options.class_weights = Some(ClassWeights::Equal);
    options.augment.flips = Some(Flips::HORIZONTAL);
    let memory = MemoryOptions::default();
    let run = start(&data, &options, memory).unwrap();
    finish(&run, memory, &mut Silent).unwrap();
    let report =
        export::export(&run, &ExportOptions { fold_upsample: variant.fold_upsample, ..ExportOptions::default() })
            .unwrap();
    (run.clone(), report)
}

/// Packages a quantized run, and evaluates the package on the run's validation images by the code of `unet-edge evaluate`.
pub fn evaluate_package(run: &OpenRun) -> EvaluationRecord {
    let packed = package::package(run, None, GoldenSource::Frames).unwrap();
    let package = Package::read(&packed.path).unwrap();
    let dataset = Dataset::open(&run.config.data, &OpenOptions::default()).unwrap();
    let meta = RecordMeta {
        program: "test".to_owned(),
        machine: "test".to_owned(),
        model: Digest::of(package.model()),
        package: Some(package.digest),
        dataset: dataset.name(),
        split: "val".to_owned(),
        classes: package.manifest.classes.iter().map(|class| class.name.clone()).collect(),
    };
    let mut predictor = Predictor::from_package(&package, &EngineOptions::default()).unwrap();
    let table = package.manifest.label_table().unwrap();
    evaluate(dataset.split(Split::Val), &table, &mut predictor, meta, &mut |_, _| ()).unwrap()
}
