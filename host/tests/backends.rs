//! The CPU backends against each other: one network, one loss, the same gradients, and training to the same IoU.
#![cfg(all(feature = "flex", feature = "ndarray"))]

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};
use unet_host::backend::Backend;
use unet_host::dataset::synthetic::{CLASSES, SyntheticConfig, SyntheticSplit, frame, generate};
use unet_host::model::{UNet, UNetConfig, Upsampling};
use unet_host::steps::train::{TrainOptions, finish, start};
use unet_host::training::checkpoint::EpochRow;
use unet_host::training::loss::{Target, cross_entropy};
use unet_host::training::trainer::Observer;

/// Largest relative difference between the backends: they add the same f32 products in another order.
const TOLERANCE: f64 = 1e-4;
const SIDE: usize = 32;
const BATCH: usize = 5;

/// Collects the gradient of each parameter by its place in the network.
struct Collector<'a> {
    gradients: &'a Gradients,
    path: Vec<String>,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Collector<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        // Running statistics are visited too and have none.
        if let Some(gradient) = tensor.is_require_grad().then(|| tensor.grad(self.gradients)).flatten() {
            self.found.insert(self.path.join("."), gradient.into_data().try_into_vec().unwrap());
        }
    }
}

/// Images and masks of one fixed batch.
fn batch(number: usize) -> (Vec<f32>, Vec<u8>) {
    let config = SyntheticConfig { seed: 21, train: 1, val: 1, width: SIDE as u32, height: SIDE as u32 };
    let (mut images, mut masks) = (vec![], vec![]);
    for k in 0..BATCH {
        let (image, label) = frame(&config, SyntheticSplit::Train, number * BATCH + k).unwrap();
        images.extend(image.as_raw().iter().map(|&v| f32::from(v) / 255.0));
        let id = |value: u8| CLASSES.iter().position(|class| class.value == value).unwrap() as u8;
        masks.extend(label.as_raw().iter().map(|&v| id(v)));
    }
    (images, masks)
}

fn loss_and_gradients(backend: Backend, model: &UNetConfig, number: usize) -> (f64, BTreeMap<String, Vec<f32>>) {
    let device = backend.device().unwrap().autodiff();
    let network: UNet = model.init(4, &device);
    let (images, masks) = batch(number);
    let images = Tensor::<4>::from_data(TensorData::new(images, [BATCH, 1, SIDE, SIDE]), &device);
    let target = Target::new(&masks, &[1.0; CLASSES.len()]);
    let loss = cross_entropy(network.forward(images), &target);
    let gradients = loss.backward();
    let mut collector = Collector { gradients: &gradients, path: vec![], found: BTreeMap::new() };
    network.visit(&mut collector);
    (f64::from(loss.into_scalar::<f32>()), collector.found)
}

#[test]
fn loss_and_gradients_of_five_batches_are_equal() {
    for upsampling in [Upsampling::Nearest, Upsampling::UpConvolution] {
        let model = UNetConfig { base: 4, depth: 2, channels: 1, classes: CLASSES.len(), upsampling };
        for number in 0..5 {
            let (flex_loss, flex) = loss_and_gradients(Backend::Flex, &model, number);
            let (loss, gradients) = loss_and_gradients(Backend::Ndarray, &model, number);
            assert!((flex_loss - loss).abs() <= TOLERANCE * flex_loss, "loss {flex_loss} and {loss}");
            assert_eq!(flex.keys().collect::<Vec<_>>(), gradients.keys().collect::<Vec<_>>());
            // 12 convolutions with a norm of two parameters each, and a head of two.
            assert_eq!(flex.len(), 12 * 3 + 2);
            for (name, a) in &flex {
                let b = &gradients[name];
                let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
                let difference = square(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
                let size = square(&mut a.iter().map(|&a| f64::from(a)));
                assert!(difference <= TOLERANCE * size, "batch {number}, {name}: {difference:e} of {size:e}");
            }
        }
    }
}

struct Silent;

impl Observer for Silent {
    fn epoch_begins(&mut self, _: usize, _: usize, _: usize) {}
    fn trained(&mut self, _: usize, _: f64) {}
    fn validated(&mut self, _: usize) {}
    fn epoch_ended(&mut self, _: &EpochRow, _: bool) {}
}

#[test]
fn both_train_to_the_same_iou() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    generate(&data, &SyntheticConfig { seed: 6, train: 160, val: 32, width: 32, height: 32 }).unwrap();
    let mean_iou = |backend: Backend| {
        let options = TrainOptions {
            runs: folder.path().join("runs"),
            name: Some(backend.name().to_owned()),
            backend,
            base: 4,
            depth: 2,
            epochs: 15,
            batch: Some(8),
            learning_rate: 1e-2,
            ..TrainOptions::new(data.clone())
        };
        let (_, record) = finish(&start(&options).unwrap(), options.memory, &mut Silent).unwrap();
        record.confusion.mean_iou().unwrap()
    };
    let (flex, ndarray) = (mean_iou(Backend::Flex), mean_iou(Backend::Ndarray));
    println!("mean IoU by flex {flex:.4}, by ndarray {ndarray:.4}");
    assert!(flex > 0.4, "too little was learned to compare: {flex}");
    assert!((flex - ndarray).abs() <= 0.02, "flex {flex}, ndarray {ndarray}");
}
