//! What a run is made from, resolved to the last value and saved beside everything that it produced.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use unet_shared::preprocess::Preprocess;

use crate::backend::Backend;
use crate::dataset::augment::Flips;
use crate::model::UNetConfig;
use crate::training::schedule::ScheduleKind;

/// More epochs than anyone waits for.
const EPOCHS_MAX: usize = 1_000_000;
/// More decoding threads than help.
const WORKERS_MAX: usize = 256;
/// Parameters of the largest network: 4 GiB of weights, and as much again for gradients and for each of Adam's moments.
const PARAMETERS_MAX: u64 = 1 << 30;
/// Numbers in the largest tensor of a step: 8 GiB.
const ELEMENTS_MAX: usize = 1 << 31;

/// Everything that a training run depends on, beside the data and the code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// Name of the run.
    pub name: String,
    /// Version of the program that made it.
    pub code_version: String,
    /// The data set's folder.
    pub data: PathBuf,
    /// Share of the samples that validate, where the folder has no split of its own.
    pub val_ratio: f64,
    /// Seed of that split; its own, so that another training seed is scored on the same images.
    pub split_seed: u64,
    /// Seed of initial weights, shuffles and flips.
    pub seed: u64,
    /// What computed it.
    pub backend: Backend,
    /// From pixels to the network's input.
    pub preprocess: Preprocess,
    /// The network.
    pub model: UNetConfig,
    /// How it is trained.
    pub training: TrainingConfig,
}

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingConfig {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images a step.
    pub batch: usize,
    /// The largest learning rate of Adam.
    pub learning_rate: f64,
    /// How it changes.
    pub schedule: ScheduleKind,
    /// Epochs without a better mean IoU after which training stops; none means never.
    pub patience: Option<usize>,
    /// One weight a class in the loss.
    pub class_weights: Vec<f32>,
    /// Random flips of training images.
    pub flips: Flips,
    /// Decoding threads.
    pub workers: usize,
    /// Bytes of decoded samples to keep in memory.
    pub cache_bytes: u64,
}

impl RunConfig {
    /// Says what is wrong with it, if anything is.
    pub fn validate(&self) -> Result<(), String> {
        self.model.validate()?;
        self.preprocess.validate().map_err(|error| error.to_string())?;
        let (width, height) = (self.preprocess.width as usize, self.preprocess.height as usize);
        let multiple = self.model.size_multiple();
        if width % multiple != 0 || height % multiple != 0 {
            let rule = if self.model.stem.is_full() { "2^depth" } else { "2^depth times the stem" };
            return Err(format!(
                "width and height must be multiples of {multiple} ({rule}), found {width}x{height}; the nearest are {}x{}",
                nearest_multiple(width, multiple),
                nearest_multiple(height, multiple)
            ));
        }
        let training = &self.training;
        if !(1..=EPOCHS_MAX).contains(&training.epochs) || training.batch == 0 {
            let (epochs, batch) = (training.epochs, training.batch);
            return Err(format!(
                "epochs must lie in 1..={EPOCHS_MAX} and batch be at least 1, found {epochs} and {batch}"
            ));
        }
        if !(1..=WORKERS_MAX).contains(&training.workers) {
            return Err(format!("workers must lie in 1..={WORKERS_MAX}, found {}", training.workers));
        }
        if self.model.channels != self.preprocess.channels.count() {
            let (model, input) = (self.model.channels, self.preprocess.channels.count());
            return Err(format!("the network takes {model} channels, the preprocessing gives {input}"));
        }
        let parameters = self.model.layers().weights();
        if parameters > PARAMETERS_MAX {
            return Err(format!(
                "base {} and depth {} make {parameters} parameters, at most {PARAMETERS_MAX} can be trained",
                self.model.base, self.model.depth
            ));
        }
        let base = self.model.base.div_ceil(1 << (2 * self.model.stem.halvings()));
        let finest = [training.batch, base.max(self.model.classes), width, height]
            .iter()
            .try_fold(1usize, |product, &side| product.checked_mul(side))
            .filter(|&elements| elements <= ELEMENTS_MAX);
        if finest.is_none() {
            return Err(format!(
                "a batch of {} at {width}x{height} with base {} makes tensors of more than {ELEMENTS_MAX} numbers; \
                 lower --batch, --size or --base",
                training.batch, self.model.base
            ));
        }
        if !(training.learning_rate > 0.0 && training.learning_rate.is_finite()) {
            return Err(format!("the learning rate must be positive, found {}", training.learning_rate));
        }
        if training.class_weights.len() != self.model.classes {
            let found = training.class_weights.len();
            return Err(format!("expected {} class weights, one a class, found {found}", self.model.classes));
        }
        if !training.class_weights.iter().all(|w| w.is_finite() && *w >= 0.0)
            || training.class_weights.iter().all(|w| *w == 0.0)
        {
            return Err("class weights must be numbers of at least 0, and not all 0".to_owned());
        }
        Ok(())
    }
}

/// The multiple of `multiple` nearest to `value`, at least one.
pub fn nearest_multiple(value: usize, multiple: usize) -> usize {
    ((value + multiple / 2) / multiple).max(1) * multiple
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Stem, Upsampling};

    fn config() -> RunConfig {
        RunConfig {
            name: "a".to_owned(),
            code_version: "0".to_owned(),
            data: "data".into(),
            val_ratio: 0.2,
            split_seed: 0,
            seed: 1,
            backend: Backend::Flex,
            preprocess: Preprocess { width: 32, height: 16, ..Preprocess::CLASSIC },
            model: UNetConfig {
                base: 4,
                depth: 3,
                channels: 1,
                classes: 2,
                upsampling: Upsampling::Nearest,
                stem: Stem::Full,
            },
            training: TrainingConfig {
                epochs: 1,
                batch: 2,
                learning_rate: 1e-3,
                schedule: ScheduleKind::Cosine,
                patience: None,
                class_weights: vec![1.0, 0.1],
                flips: Flips { horizontal: true, vertical: false },
                workers: 1,
                cache_bytes: 1 << 20,
            },
        }
    }

    #[test]
    fn a_configuration_survives_its_file() {
        let text = toml::to_string(&config()).unwrap();
        assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config());
    }

    #[test]
    fn what_cannot_be_trained_is_said() {
        assert_eq!(config().validate(), Ok(()));
        let mut bad = config();
        bad.preprocess.width = 30;
        assert!(bad.validate().unwrap_err().contains("the nearest are 32x16"));
        for change in [
            |c: &mut RunConfig| c.training.epochs = 0,
            |c: &mut RunConfig| c.training.learning_rate = f64::NAN,
            |c: &mut RunConfig| c.training.class_weights = vec![1.0],
            |c: &mut RunConfig| c.training.class_weights = vec![0.0, 0.0],
        ] {
            let mut bad = config();
            change(&mut bad);
            assert!(bad.validate().is_err());
        }
    }

    #[test]
    fn the_nearest_multiple_is_never_zero() {
        assert_eq!(nearest_multiple(3, 16), 16);
        assert_eq!(nearest_multiple(200, 16), 208);
        assert_eq!(nearest_multiple(360, 16), 368);
    }
}
