//! Tiles: their borders are invisible where a network looks no further than half of their overlap, and training, validation and
//! scoring on tiles agree.

use unet_data::Split;
use unet_engine::field_of_view::FieldOfView;
use unet_engine::inference::{Engine, EngineOptions};
use unet_engine::package::Package;
use unet_engine::predictor::Predictor;
use unet_engine::segmenter::{Int8Segmenter, Segmenter};
use unet_host::config::FolderOptions;
use unet_host::dataset::synthetic::{SyntheticConfig, generate};
use unet_host::parity::compare;
use unet_host::quantize::Format;
use unet_host::steps::export::{self, ExportOptions};
use unet_host::steps::package::GoldenSource;
use unet_host::steps::score::{EngineChoice, evaluate_package, evaluate_run};
use unet_host::steps::train::{TrainOptions, finish, start};
use unet_host::steps::{Weights, package, quantize};
use unet_host::training::checkpoint::load_state;
use unet_host::training::memory::MemoryOptions;
use unet_shared::image::{ImageView, PixelFormat};
use unet_shared::preprocess::Preprocess;
use unet_shared::tiles::{Tiles, TilesChoice};
use unet_tests::random::Random;

use crate::tiny_run::{Silent, VARIANTS, train};

/// Noise over squares, RGB: every part of a network is busy.
fn picture(width: usize, height: usize) -> Vec<u8> {
    let mut random = Random::new(11);
    let squares: Vec<[i64; 4]> = (0..40)
        .map(|_| {
            let mut up_to = |end: usize| random.integer(0, end as i64);
            [up_to(width), up_to(height), up_to(30), up_to(120)]
        })
        .collect();
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height as i64 {
        for x in 0..width as i64 {
            let inside = |[left, top, side, _]: &&[i64; 4]| (x - left).abs() < *side && (y - top).abs() < *side;
            let base: i64 = squares.iter().filter(inside).map(|square| square[3]).sum();
            pixels.extend([0, 20, 40].map(|shift| (base + shift + random.integer(0, 60)).min(255) as u8));
        }
    }
    pixels
}

#[test]
fn a_tile_border_is_invisible_where_the_network_does_not_look_beyond_it() {
    for variant in &VARIANTS {
        let folder = tempfile::tempdir().unwrap();
        let (run, _) = train(folder.path(), variant);
        quantize::quantize(&run, Format::Qlinear, 8).unwrap();
        let packed = package::package(&run, None, GoldenSource::Frames).unwrap();
        let package = Package::read(&packed.path).unwrap();
        let spec = package.manifest.preprocess;
        let options = EngineOptions::default();

        // The same bytes of the model at two sizes, for the whole image and for tiles.
        let at = |width: usize, height: usize| {
            let engine = Engine::load_at(&package, [height, width], &options).unwrap();
            let spec = Preprocess { width: width as u32, height: height as u32, ..spec };
            Predictor::new(Int8Segmenter::new(engine, &spec), spec).unwrap()
        };
        let view = at(64, 64).segmenter().field_of_view().expect(variant.name);
        let step = 2 * view.multiple as usize;
        let side = view.overlap() as usize + step;
        let (width, height) = (2 * side, side + 3 * step);
        let mut whole = at(width, height);
        let cut = |overlap: u32| {
            let tiles = Tiles::new(side as u32, side as u32, Some(overlap)).unwrap();
            at(side, side).with_tiles(Some(tiles))
        };
        let by_layers = run.config.model.layers().field_of_view().expect(variant.name);
        // A folded upsampling reads one window for four pixels, which is more than each of them needs.
        assert!(view.radius >= by_layers.radius && view.multiple == by_layers.multiple, "{view:?} {by_layers:?}");
        assert!(variant.fold_upsample || view == by_layers, "{view:?} {by_layers:?}");

        let pixels = picture(width, height);
        let image = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8).unwrap();
        let expected = whole.predict(&image).unwrap().to_vec();
        let differing = |overlap: u64| {
            let mut cut = cut(overlap as u32);
            let found = cut.predict(&image).unwrap();
            found.iter().zip(&expected).filter(|(a, b)| a != b).count()
        };
        assert_eq!(differing(view.overlap()), 0, "{}: {view:?}", variant.name);
        // Without an overlap they are visible: the comparison can fail.
        assert!(differing(0) > 0, "{}", variant.name);

        look(&mut whole, &pixels, view, variant.name);
    }
}

/// Changes one pixel of the image: only logits within the field of view may change, and some at some distance do.
fn look(whole: &mut Predictor<Int8Segmenter>, pixels: &[u8], view: FieldOfView, name: &str) {
    let (width, height) = (whole.spec().width as usize, whole.spec().height as usize);
    let mut logits = |pixels: &[u8]| -> Vec<u8> {
        whole.predict(&ImageView::packed(pixels, width, height, PixelFormat::Rgb8).unwrap()).unwrap();
        whole.segmenter_mut().quantized_logits().unwrap().unwrap().to_vec()
    };
    let before = logits(pixels);
    let mut furthest = 0;
    for place in 0..4 {
        let (column, row) = (width / 2 + place, height / 2 + 3 * place);
        let mut changed = pixels.to_vec();
        changed[(row * width + column) * 3..][..3].iter_mut().for_each(|byte| *byte = !*byte);
        for (index, _) in logits(&changed).iter().zip(&before).enumerate().filter(|(_, (a, b))| a != b) {
            let (x, y) = (index % width, index / width % height);
            furthest = furthest.max(x.abs_diff(column)).max(y.abs_diff(row));
        }
    }
    assert!(furthest <= view.radius as usize && furthest > 0, "{name}: {furthest}, {view:?}");
}

#[test]
fn training_on_tiles_scores_what_tiled_prediction_scores() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // Larger than a tile, and no multiple of its step.
    generate(&data, &SyntheticConfig { seed: 3, train: 6, val: 3, width: 104, height: 72 }).unwrap();
    let mut options = TrainOptions { runs: folder.path().join("runs"), ..TrainOptions::default() };
    (options.config.model.base, options.config.model.depth) = (4, 2);
    options.config.training.epochs = 2;
    options.config.tiles = Some("48,16".parse().unwrap());
    let run = start(&data, &options, MemoryOptions::default()).unwrap();
    // Tiles are not scaled.
    assert_eq!((run.config.preprocess.width, run.config.preprocess.height), (48, 48));
    let (outcome, evaluation) = finish(&run, MemoryOptions::default(), &mut Silent).unwrap();
    // Each image is cut into 3 columns and 2 rows.
    let steps = 2 * (6usize * 3 * 2).div_ceil(run.config.training.batch);
    assert_eq!(load_state(&run.dir).unwrap().unwrap().step, steps);
    assert_eq!(evaluation.record.tiles, options.config.tiles);
    let pixels: u64 = evaluation.record.confusion.counts().iter().sum();
    assert!(pixels <= 3 * 104 * 72 && pixels > 3 * 104 * 72 * 9 / 10, "{pixels}");
    // Probabilities are joined as classes are: each pixel once, and as many correct ones as in the confusion matrix.
    let calibration = evaluation.assessment.calibration.unwrap();
    let correct: u64 = (0..5).map(|class| evaluation.record.confusion.correct_pixels(class)).sum();
    assert_eq!((calibration.pixels(), calibration.bins().iter().map(|bin| bin.correct).sum()), (pixels, correct));
    let best = outcome.summary.unwrap().best;
    assert_eq!(
        Some(best.mean_iou),
        evaluation.record.confusion.mean_iou(),
        "validation counts what prediction by tiles gives"
    );

    export::export(&run, &ExportOptions::default()).unwrap();
    quantize::quantize(&run, Format::Qlinear, 12).unwrap();
    let packed = package::package(&run, None, GoldenSource::Frames).unwrap();
    // A package brings its tiles.
    let desk = evaluate_run(&run, EngineChoice::Int8, Weights::Best, Split::Val, None).unwrap().record;
    let board =
        evaluate_package(&packed.path, &data, &FolderOptions::default(), Split::Val, None, false).unwrap().record;
    assert!(compare(&desk, &board).equal);
    let whole =
        evaluate_package(&packed.path, &data, &FolderOptions::default(), Split::Val, Some(TilesChoice::Whole), false)
            .unwrap()
            .record;
    let differences = compare(&desk, &whole).differences;
    assert!(differences[0].to_string().starts_with("tiles: 48x48"), "{}", differences[0]);
}
