//! Our kernels, burn's own operators and the CPU backends against each other: one network, one loss, the same gradients, and
//! training to the same IoU.
#![cfg(feature = "flex")]

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use unet_host::backend::Backend;
use unet_host::dataset::synthetic::{CLASSES, SyntheticConfig, SyntheticSplit, frame, generate};
use unet_host::model::layers::Layer;
use unet_host::model::parameters::{Named, gradients};
use unet_host::model::{Network, Skips, Stem, UNetConfig, Upsampling};
use unet_host::operation::Operators;
use unet_host::rng::Rng;
use unet_host::steps::train::{TrainOptions, finish, start};
use unet_host::training::checkpoint::EpochRow;
use unet_host::training::loss::LossConfig;
use unet_host::training::memory::MemoryOptions;
use unet_host::training::target::Target;
use unet_host::training::trainer::Observer;

/// Largest relative difference: all add the same f32 products in another order.
const TOLERANCE: f64 = 1e-4;
const SIDE: usize = 32;
const BATCH: usize = 2;

/// Images and masks of [`BATCH`] frames.
type Batch = (Vec<f32>, Vec<u8>);
/// A loss and the gradients of every parameter.
type Found = (f64, Vec<Named>);

/// A fixed batch; further channels are the first, shifted.
fn batch(number: usize, channels: usize) -> Batch {
    let config = SyntheticConfig { seed: 21, train: 1, val: 1, width: SIDE as u32, height: SIDE as u32 };
    let (mut images, mut masks) = (vec![], vec![]);
    for k in 0..BATCH {
        let (image, label) = frame(&config, SyntheticSplit::Train, number * BATCH + k).unwrap();
        let mut plane: Vec<f32> = image.as_raw().iter().map(|&v| f32::from(v) / 255.0).collect();
        for _ in 0..channels {
            images.extend(&plane);
            plane.rotate_left(5 * SIDE + 3);
        }
        let id = |value: u8| CLASSES.iter().position(|class| class.value == value).unwrap() as u8;
        masks.extend(label.as_raw().iter().map(|&v| id(v)));
    }
    (images, masks)
}

/// Loss and gradients of a batch by a network of fixed weights.
fn loss_and_gradients(backend: Backend, model: &UNetConfig, (images, masks): &Batch) -> Found {
    let device = backend.device().unwrap().autodiff();
    let network: Network = model.init(4, &device);
    let images = TensorData::new(images.clone(), [BATCH, model.channels, SIDE, SIDE]);
    let target = Target::new(masks, &[1.0; CLASSES.len()]);
    let loss = LossConfig::default().of(network.forward(Tensor::<4>::from_data(images, &device)), &target);
    let found = gradients(&network, &loss.backward());
    (f64::from(loss.into_scalar::<f32>()), found)
}

/// The largest relative difference of losses and, by their length, of a parameter's gradients; and of what.
fn difference((loss_a, a): &Found, (loss_b, b): &Found) -> (f64, String) {
    assert_eq!(a.len(), b.len());
    let mut largest = ((loss_a - loss_b).abs() / loss_b, "loss".to_owned());
    for (a, b) in a.iter().zip(b) {
        assert_eq!((&a.name, &a.shape), (&b.name, &b.shape));
        let length = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
        let apart = length(&mut a.values.iter().zip(&b.values).map(|(&a, &b)| f64::from(a) - f64::from(b)));
        let relative = apart / length(&mut b.values.iter().map(|&b| f64::from(b)));
        if relative.is_nan() || relative > largest.0 {
            largest = (relative, a.name.clone());
        }
    }
    largest
}

#[track_caller]
fn assert_equal(what: &str, a: &Found, b: &Found) -> f64 {
    let (largest, of) = difference(a, b);
    assert!(largest <= TOLERANCE, "{what}: {of} is {largest:e} apart");
    largest
}

/// Whether rounding decides a ReLU or a pool on this batch: then burn's own gradients, of which `stock` are, move by far more
/// than their rounding where the images move by some roundings. A pixel of thousands that goes another way is a thousandth.
fn rounding_decides(model: &UNetConfig, (images, masks): &Batch, stock: &Found) -> bool {
    (0..6).any(|draw| {
        let rng = &mut Rng::from_parts(&[77, draw]);
        let moved = images.iter().map(|v| v * (1.0 + rng.range_f32(-3e-7, 3e-7))).collect();
        let moved = Operators::Stock.within(|| loss_and_gradients(Backend::Flex, model, &(moved, masks.clone())));
        difference(&moved, stock).0 > TOLERANCE
    })
}

/// Compares what `others` find, by name, with what burn's operators on flex do, on the first five batches on which no rounding
/// decides.
fn compare_five_batches(model: &UNetConfig, others: impl Fn(&Batch) -> Vec<(&'static str, Found)>) {
    let net = format!("{model}, {:?}", model.upsampling);
    let (mut largest, mut compared, mut left_out) = (0f64, 0, 0);
    for number in 0.. {
        let batch = batch(number, model.channels);
        let stock = Operators::Stock.within(|| loss_and_gradients(Backend::Flex, model, &batch));
        let layers = model.layers();
        let parameters = layers.nodes().iter().map(|node| match node.layer {
            Layer::Convolution(convolution) => {
                1 + usize::from(convolution.bias) + 2 * usize::from(convolution.norm_relu)
            }
            Layer::MaxPool | Layer::Add => 0,
        });
        assert_eq!(stock.1.len(), parameters.sum::<usize>());
        if rounding_decides(model, &batch, &stock) {
            left_out += 1;
            assert!(left_out <= 200, "{net}: rounding decides on nearly every batch");
            continue;
        }
        for (name, found) in others(&batch) {
            let what = format!("{net}, batch {number}, {name}");
            assert_ne!(found, stock, "{what}: the same sums in another order");
            largest = largest.max(assert_equal(&what, &found, &stock));
        }
        compared += 1;
        if compared == 5 {
            break;
        }
    }
    println!("{net}: at most {largest:.1e} apart; {left_out} batches were left out");
}

#[test]
fn loss_and_gradients_of_five_batches_are_those_of_burns_operators() {
    for upsampling in [Upsampling::Nearest, Upsampling::UpConvolution] {
        // Channels that fill whole registers and channels that do not; thin inputs of 1 and 3 channels; strided convolutions.
        for (base, depth, channels, stem) in [(8, 3, 1, Stem::Full), (5, 3, 3, Stem::Full), (10, 2, 3, Stem::Quarter)] {
            let model =
                UNetConfig { base, depth, channels, classes: CLASSES.len(), upsampling, stem, ..UNetConfig::default() };
            compare_five_batches(&model, |batch| {
                let ours = Operators::available().into_iter().filter(|o| *o != Operators::Stock);
                ours.map(|o| (o.name(), o.within(|| loss_and_gradients(Backend::Flex, &model, batch)))).collect()
            });
        }
    }
    // Not of separable blocks, on which rounding decides for nearly every batch: a channel that a ReLU leaves almost constant is
    // filtered alone, and its norm enlarges what rounding made of it.
    let lean =
        UNetConfig { widths: vec![6, 9, 20], skips: Skips::Add, decoder_convolutions: 1, ..UNetConfig::default() };
    let model = UNetConfig { channels: 3, classes: CLASSES.len(), ..lean.with_listed_widths() };
    compare_five_batches(&model, |batch| {
        let ours = Operators::available().into_iter().filter(|o| *o != Operators::Stock);
        ours.map(|o| (o.name(), o.within(|| loss_and_gradients(Backend::Flex, &model, batch)))).collect()
    });
}

/// Both are burn's operators; ours are held to those of flex above.
#[cfg(feature = "ndarray")]
#[test]
fn loss_and_gradients_of_five_batches_are_those_of_ndarray() {
    for upsampling in [Upsampling::Nearest, Upsampling::UpConvolution] {
        let model = UNetConfig {
            base: 4,
            depth: 2,
            channels: 1,
            classes: CLASSES.len(),
            upsampling,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        compare_five_batches(&model, |batch| vec![("ndarray", loss_and_gradients(Backend::Ndarray, &model, batch))]);
    }
}

struct Silent;

impl Observer for Silent {
    fn norms_begin(&mut self, _: usize) {}
    fn measured(&mut self, _: usize) {}
    fn epoch_begins(&mut self, _: usize, _: usize, _: usize) {}
    fn trained(&mut self, _: usize, _: f64) {}
    fn validated(&mut self, _: usize) {}
    fn epoch_ended(&mut self, _: &EpochRow, _: bool) {}
}

/// Trains on a synthetic dataset and returns the mean IoU of validation.
fn trained_iou(folder: &Path, backend: Backend, seed: u64) -> f64 {
    let data = folder.join("data");
    if !data.exists() {
        generate(&data, &SyntheticConfig { seed: 6, train: 160, val: 32, width: 32, height: 32 }).unwrap();
    }
    let mut options = TrainOptions { runs: folder.join("runs"), batch: Some(8), ..TrainOptions::default() };
    let config = &mut options.config;
    (config.backend, config.seed) = (backend, seed);
    (config.model.base, config.model.depth) = (4, 2);
    (config.training.epochs, config.training.learning_rate) = (15, 1e-2);
    let memory = MemoryOptions::default();
    let (_, evaluation) = finish(&start(&data, &options, memory).unwrap(), memory, &mut Silent).unwrap();
    evaluation.record.confusion.mean_iou().unwrap()
}

#[test]
fn training_ends_at_the_iou_of_burns_operators() {
    let folder = tempfile::tempdir().unwrap();
    let by = |operators: Operators| {
        [1, 2, 3].map(|seed| operators.within(|| trained_iou(folder.path(), Backend::Flex, seed)))
    };
    assert_same_iou(by(Operators::available()[0]), by(Operators::Stock));
}

/// Expects means of three seeds that differ by less than the seeds of `theirs` do: one step's rounding leads every run
/// elsewhere.
fn assert_same_iou(ours: [f64; 3], theirs: [f64; 3]) {
    println!("mean IoU of 3 seeds by our kernels {ours:.4?}, by others {theirs:.4?}");
    let mean = |values: [f64; 3]| values.iter().sum::<f64>() / 3.0;
    let spread = theirs.into_iter().fold(0.0, f64::max) - theirs.into_iter().fold(1.0, f64::min);
    assert!(mean(theirs) > 0.4, "too little was learned to compare: {theirs:?}");
    assert!((mean(ours) - mean(theirs)).abs() <= spread, "by our kernels {ours:?}, by others {theirs:?}");
}

#[cfg(feature = "ndarray")]
#[test]
fn training_ends_at_the_iou_of_ndarray() {
    let folder = tempfile::tempdir().unwrap();
    let [flex, ndarray] = [Backend::Flex, Backend::Ndarray]
        .map(|backend| Operators::Stock.within(|| trained_iou(folder.path(), backend, 0)));
    println!("mean IoU by flex {flex:.4}, by ndarray {ndarray:.4}");
    assert!(flex > 0.4, "too little was learned to compare: {flex}");
    assert!((flex - ndarray).abs() <= 0.02, "flex {flex}, ndarray {ndarray}");
}
