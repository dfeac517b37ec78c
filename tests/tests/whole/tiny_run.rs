//! Tiny training runs that the tests of whole paths share: real data, real training, seconds of it.

use std::path::Path;

use unet_host::dataset::synthetic::{SyntheticConfig, generate};
use unet_host::model::{Stem, Upsampling};
use unet_host::steps::OpenRun;
use unet_host::steps::export::{self, ExportOptions};
use unet_host::steps::train::{TrainOptions, finish, start};
use unet_host::training::checkpoint::EpochRow;
use unet_host::training::trainer::Observer;
use unet_shared::preprocess::{Channels, Normalize};

/// Watches nothing.
struct Silent;

impl Observer for Silent {
    fn epoch_begins(&mut self, _: usize, _: usize, _: usize) {}
    fn trained(&mut self, _: usize, _: f64) {}
    fn validated(&mut self, _: usize) {}
    fn epoch_ended(&mut self, _: &EpochRow, _: bool) {}
}

/// What the tests vary.
pub struct Variant {
    pub name: &'static str,
    pub upsampling: Upsampling,
    pub stem: Stem,
    pub fold_upsample: bool,
    pub channels: Channels,
    pub normalize: Normalize,
}

/// Both kinds of upsampling, one of them also folded; a stem; both numbers of channels; both normalizations.
pub const VARIANTS: [Variant; 4] = [
    Variant {
        name: "nearest",
        upsampling: Upsampling::Nearest,
        stem: Stem::Full,
        fold_upsample: false,
        channels: Channels::Gray,
        normalize: Normalize::Unit,
    },
    Variant {
        name: "up-convolution",
        upsampling: Upsampling::UpConvolution,
        stem: Stem::Full,
        fold_upsample: false,
        channels: Channels::Rgb,
        normalize: Normalize::MeanStd { mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] },
    },
    Variant {
        name: "stem",
        upsampling: Upsampling::Nearest,
        stem: Stem::Quarter,
        fold_upsample: false,
        channels: Channels::Rgb,
        normalize: Normalize::Unit,
    },
    Variant {
        name: "nearest-folded",
        upsampling: Upsampling::Nearest,
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
    let options = TrainOptions {
        runs: folder.join("runs"),
        name: Some(variant.name.to_owned()),
        base: 4,
        depth: 2,
        epochs: 2,
        channels: Some(variant.channels),
        normalize: variant.normalize,
        upsampling: variant.upsampling,
        stem: variant.stem,
        ..TrainOptions::new(data)
    };
    let run = start(&options).unwrap();
    finish(&run, options.memory, &mut Silent).unwrap();
    let report =
        export::export(&run, &ExportOptions { fold_upsample: variant.fold_upsample, ..ExportOptions::default() })
            .unwrap();
    (run, report)
}
