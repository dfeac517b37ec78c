//! Images of more than 8 bits train to what the same images in 8 bits train to, and their packages read them as training did.

use std::fs;
use std::path::{Path, PathBuf};

use image::{GrayImage, ImageBuffer, Luma};
use unet_data::Split;
use unet_host::parity::compare;
use unet_host::quantize::Format;
use unet_host::steps::export::{self, ExportOptions};
use unet_host::steps::score::{EngineChoice, evaluate_run};
use unet_host::steps::train::{TrainOptions, finish, start};
use unet_host::steps::{OpenRun, Weights, quantize};
use unet_host::training::memory::MemoryOptions;
use unet_shared::preprocess::Channels;
use unet_shared::samples::Range;

use crate::tiny_run::{Silent, evaluate_package};

const SIDE: u32 = 32;
const SCENES: u32 = 8;

/// The level of a pixel of a scene, and its class.
fn pixel(scene: u32, x: u32, y: u32) -> (u8, u8) {
    let inside = (3 + scene..15 + scene).contains(&x) && (5 + scene..20 + scene).contains(&y);
    // Values use the whole range; object and background differ by less than the high byte shows.
    let level = (x * 37 + y * 101 + scene * 53) % 24 + if inside { 20 } else { 0 };
    (if (x, y) == (0, scene) { 255 } else { level as u8 }, inside.into())
}

/// Pairs whose images `save` writes.
fn dataset(folder: &Path, name: &str, save: &dyn Fn(u32, &Path)) -> PathBuf {
    let data = folder.join(name);
    for part in ["images", "masks"] {
        fs::create_dir_all(data.join(part)).unwrap();
    }
    for scene in 0..SCENES {
        save(scene, &data.join(format!("images/{scene}")));
        let mask = GrayImage::from_fn(SIDE, SIDE, |x, y| Luma([pixel(scene, x, y).1]));
        mask.save(data.join(format!("masks/{scene}.png"))).unwrap();
    }
    data
}

/// Trains two epochs; the run, and the file of its weights.
fn train(data: &Path, runs: &Path, range: &str) -> (OpenRun, Vec<u8>) {
    let mut options = TrainOptions { runs: runs.to_owned(), ..TrainOptions::default() };
    (options.config.model.base, options.config.model.depth, options.config.training.epochs) = (2, 2, 2);
    options.samples.range = range.parse().unwrap();
    let memory = MemoryOptions::default();
    let run = start(data, &options, memory).unwrap_or_else(|error| panic!("{error}"));
    finish(&run, memory, &mut Silent).unwrap();
    let weights = fs::read(run.dir.last_weights()).unwrap();
    (run.clone(), weights)
}

#[test]
fn deep_images_train_to_the_weights_of_8_bits_and_the_board_reads_them_as_training_did() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let deep = |scene, path: &Path, deepen: &dyn Fn(u8) -> u16| {
        let image = ImageBuffer::from_fn(SIDE, SIDE, |x, y| Luma([deepen(pixel(scene, x, y).0)]));
        image.save(path).unwrap();
    };
    let bytes = dataset(folder.path(), "bytes", &|scene, path| {
        let image = GrayImage::from_fn(SIDE, SIDE, |x, y| Luma([pixel(scene, x, y).0]));
        image.save(path.with_extension("png")).unwrap();
    });
    let (_, expected) = train(&bytes, &runs, "auto");
    // In 12 bits of 16, in all 16, and as floats from 0 to 1.
    let twelve = dataset(folder.path(), "twelve", &|scene, path| {
        deep(scene, &path.with_extension("tif"), &|level| (u32::from(level) * 4095 / 255) as u16);
    });
    let (run, weights) = train(&twelve, &runs, "0,4095");
    assert!(weights == expected, "12 bits: other weights than in 8 bits");
    assert_eq!(run.config.preprocess.channels, Channels::Gray);
    let sixteen = dataset(folder.path(), "sixteen", &|scene, path| {
        deep(scene, &path.with_extension("png"), &|level| u16::from(level) * 257);
    });
    let (whole, weights) = train(&sixteen, &runs, "depth");
    assert!(weights == expected, "16 bits: other weights than in 8 bits");
    assert_eq!(whole.config.preprocess.samples.range, Range::new(0.0, 65535.0).ok());
    let floats = dataset(folder.path(), "floats", &|scene, path| {
        let image =
            image::Rgb32FImage::from_fn(SIDE, SIDE, |x, y| image::Rgb([f32::from(pixel(scene, x, y).0) / 255.0; 3]));
        image.save(path.with_extension("tif")).unwrap();
    });
    assert!(train(&floats, &runs, "0,1").1 == expected, "floats: other weights than in 8 bits");
    // By default the range follows from the values, most of which are dark.
    let (auto, _) = train(&twelve, &folder.path().join("auto"), "auto");
    let range = auto.config.preprocess.samples.range.unwrap();
    assert!(range.low() < 40.0 && range.high() < 1024.0, "{range}");
    for run in [run, auto] {
        export::export(&run, &ExportOptions::default()).unwrap();
        quantize::quantize(&run, Format::Qlinear, 8).unwrap();
        let host = evaluate_run(&run, EngineChoice::Int8, Weights::Best, Split::Val, None).unwrap().record;
        let board = evaluate_package(&run);
        let parity = compare(&host, &board);
        assert!(parity.equal && parity.frames == 2, "{:?}", parity.differences);
    }
}
