//! Writes loss and gradients of fixed batches, computed by our kernels and by burn's own operators, for
//! `peers/compare_gradients.py`.
//!
//! `gradients DIRECTORY [NAME=VALUE ...]` with the names (and defaults) `base` (8), `depth` (4), `size` (128), `batch`
//! (4), `channels` (1), `upsampling` (`nearest` or `up_convolution`), `stem` (1), `batches` (10), `seed` of the weights (1), and
//! `steps` of Adam by burn's own operators before the measurement (0). Writes `case.json` (the network, and for each
//! batch the loss by each set of operators), `weights/NAME.npy` by parameter name, and for each batch a directory
//! `batch_00` with `images.npy` (f32, N, C, H, W), `masks.npy` (u8, N, H, W) and, for each set of operators that this
//! CPU can run, `OPERATORS/NAME.npy`. All batches use the same weights.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use unet_host::backend::Backend;
use unet_host::dataset::loader::Item;
use unet_host::dataset::synthetic::{CLASSES, SyntheticConfig, SyntheticSplit, frame};
use unet_host::model::parameters::{Named, gradients, parameters};
use unet_host::model::{Stem, UNetConfig, Upsampling};
use unet_host::operation::Operators;
use unet_host::training::batch::Batcher;
use unet_host::training::learner::Learner;
use unet_host::training::loss::LossConfig;
use unet_host::training::optimizer::OptimizerConfig;
use unet_host::training::target::Target;
use unet_shared::preprocess::{Channels, Preprocess};
use unet_tests::random::Random;
use unet_tests::{Data, Tensor, npy};

/// Images and masks are the same each time, and weights where no other seed is asked for.
const SEED: u64 = 1;
/// Adam's usual rate.
const LEARNING_RATE: f64 = 1e-3;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gradients: {error}");
            ExitCode::from(2)
        }
    }
}

/// What is computed.
struct Case {
    model: UNetConfig,
    side: u32,
    batch: usize,
    batches: usize,
    steps: usize,
    seed: u64,
}

impl Case {
    fn parse(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let model = UNetConfig {
            base: 8,
            depth: 4,
            channels: 1,
            classes: CLASSES.len(),
            upsampling: Upsampling::Nearest,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let mut case = Self { model, side: 128, batch: 4, batches: 10, steps: 0, seed: SEED };
        for argument in arguments {
            let (name, value) = argument.split_once('=').ok_or(format!("expected NAME=VALUE, found {argument}"))?;
            match name {
                "base" => case.model.base = value.parse()?,
                "depth" => case.model.depth = value.parse()?,
                "channels" => case.model.channels = value.parse()?,
                "upsampling" => case.model.upsampling = serde_json::from_value(value.into())?,
                "skips" => case.model.skips = serde_json::from_value(value.into())?,
                "blocks" => case.model.blocks = serde_json::from_value(value.into())?,
                "decoder" => case.model.decoder_convolutions = value.parse()?,
                "stem" => case.model.stem = value.parse::<u8>()?.try_into()?,
                "size" => case.side = value.parse()?,
                "batch" => case.batch = value.parse()?,
                "batches" => case.batches = value.parse()?,
                "steps" => case.steps = value.parse()?,
                "seed" => case.seed = value.parse()?,
                _ => return Err(format!("no case has a {name}").into()),
            }
        }
        case.model.validate()?;
        if case.batch == 0 || !(case.side as usize).is_multiple_of(case.model.size_multiple()) {
            let multiple = case.model.size_multiple();
            return Err(format!("expected images, and a size that is a multiple of {multiple}").into());
        }
        Ok(case)
    }

    fn preprocess(&self) -> Preprocess {
        let channels = if self.model.channels == 1 { Channels::Gray } else { Channels::Rgb };
        Preprocess { width: self.side, height: self.side, channels, ..Preprocess::CLASSIC }
    }

    /// Frames of the synthetic dataset, with different noise in each channel.
    fn items(&self, number: usize) -> Result<Vec<Arc<Item>>, Box<dyn Error>> {
        let frames = SyntheticConfig { seed: SEED, train: 1, val: 1, width: self.side, height: self.side };
        let mut random = Random::new(SEED + number as u64);
        let mut items = vec![];
        for k in 0..self.batch {
            let (image, label) = frame(&frames, SyntheticSplit::Train, number * self.batch + k)?;
            let planes = (0..self.model.channels)
                .flat_map(|_| {
                    image.as_raw().iter().map(|&v| v.saturating_add((random.bits() % 8) as u8)).collect::<Vec<_>>()
                })
                .collect();
            let id = |value: &u8| CLASSES.iter().position(|class| class.value == *value).unwrap_or_default() as u8;
            let mask = label.as_raw().iter().map(id).collect();
            items.push(Arc::new(Item { planes, mask, truth: None }));
        }
        Ok(items)
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [directory, options @ ..] = arguments else {
        return Err("usage: gradients DIRECTORY [NAME=VALUE ...]".into());
    };
    let (directory, case) = (Path::new(directory), Case::parse(options)?);
    let device = Backend::Flex.device()?.autodiff();
    let batcher = Batcher::new(case.preprocess());
    let weights = [1.0; CLASSES.len()];
    let mut learner =
        Learner::new(case.model.init(case.seed, &device), &OptimizerConfig::default(), LossConfig::default());
    for step in 0..case.steps {
        let batch = batcher.batch(&case.items(step)?, &device);
        let loss = Operators::Stock.within(|| learner.learn(batch, &weights, LEARNING_RATE, &mut |_| {}));
        eprintln!("step {step}: loss {:.5}", loss.unwrap_or(f64::NAN));
    }
    let network = learner.model;
    write_all(&directory.join("weights"), parameters(&network))?;
    let mut losses = vec![];
    for number in 0..case.batches {
        let folder = directory.join(format!("batch_{number:02}"));
        let batch = batcher.batch(&case.items(case.steps + number)?, &device);
        let target = Target::new(&batch.masks, &weights);
        let mut found = serde_json::Map::new();
        for operators in Operators::available() {
            let (loss, gradients) = operators.within(|| {
                let loss = LossConfig::default().of(network.forward(batch.images.clone()), &target);
                let gradients = gradients(&network, &loss.backward());
                (f64::from(loss.into_scalar::<f32>()), gradients)
            });
            found.insert(operators.name().to_owned(), loss.into());
            write_all(&folder.join(operators.name()), gradients)?;
        }
        losses.push(found);
        let [images, _, height, width] = batch.images.dims();
        let shape = [images, case.model.channels, height, width];
        let values = batch.images.into_data().try_into_vec::<f32>().map_err(|error| format!("{error:?}"))?;
        npy::write(&folder.join("images.npy"), &Tensor::new(&shape, Data::F32(values))?)?;
        npy::write(&folder.join("masks.npy"), &Tensor::new(&[images, height, width], Data::U8(batch.masks))?)?;
    }
    let case = json!({ "model": case.model, "losses": losses });
    std::fs::write(directory.join("case.json"), format!("{case:#}\n"))?;
    Ok(())
}

fn write_all(folder: &Path, tensors: Vec<Named>) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    for Named { name, shape, values } in tensors {
        npy::write(&folder.join(format!("{name}.npy")), &Tensor::new(&shape, Data::F32(values))?)?;
    }
    Ok(())
}
