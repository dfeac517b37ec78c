//! The hyperparameters of a run. Each is one field here or in the concept that it belongs to: the field's name is its key in
//! `config.toml`, its attributes are its flag, and its doc comment is the flag's help text.
//!
//! Fields with `#[arg(skip)]` have no flag of their own: [`crate::steps::train::start`] resolves them from the dataset, and
//! [`RunConfig::validate`] rejects a configuration in which they are still missing.

pub mod file;
mod folders;
mod input;
pub mod settings;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use unet_data::OpenOptions;
use unet_shared::digest::Digest;
use unet_shared::fold::Fold;
use unet_shared::image::SIDE_MAX;
use unet_shared::manifest::StackSplit;
use unet_shared::preprocess::{Preprocess, PreprocessError};
use unet_shared::tiles::Tiles;

use crate::backend::Backend;
use crate::dataset::augment::Augmentation;
use crate::dataset::loader::LoaderConfig;
use crate::model::UNetConfig;
use crate::training::loss::LossConfig;
use crate::training::optimizer::OptimizerConfig;
use crate::training::schedule::ScheduleKind;

pub use folders::FolderOptions;
pub use input::{InputOptions, SampleOptions, parse_channels, parse_size};

/// Epochs of a run if not given.
const DEFAULT_EPOCHS: usize = 40;
/// Upper bound of the epochs, to reject typing errors.
const EPOCHS_MAX: usize = 1_000_000;
/// Upper bound of the loading threads.
const WORKERS_MAX: usize = 256;
/// Parameters of the largest network: 4 GiB of weights, and as much again for gradients and for each of Adam's moments.
const PARAMETERS_MAX: u64 = 1 << 30;
/// Elements of the largest tensor of a step: 8 GiB.
const ELEMENTS_MAX: usize = 1 << 31;

/// Everything that a training run depends on, besides the data and the code. Saved as `config.toml` in the run's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct RunConfig {
    /// Name of the run.
    #[arg(skip)]
    pub name: String,
    /// Version of the program that made it.
    #[arg(skip)]
    pub code_version: String,
    /// The dataset's folder.
    #[arg(skip)]
    pub data: PathBuf,
    /// Fraction of the pairs used for validation, if the dataset's folders define no split
    #[arg(long, default_value_t = OpenOptions::default().val_ratio)]
    pub val_ratio: f64,
    /// Seed of that split
    // A seed of its own, so that runs with different training seeds are scored on the same images.
    #[arg(long, default_value_t = OpenOptions::default().seed)]
    pub split_seed: u64,
    /// How that split divides TIFF stacks.
    #[arg(skip = OpenOptions::default().stacks)]
    #[serde(default = "StackSplit::unstated", skip_serializing_if = "StackSplit::is_unstated")]
    pub stacks: StackSplit,
    /// The fold that is for validation, of training and validation pairs together; none if the dataset is split otherwise.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
    /// Leave out pairs with a file that cannot be read, and say which
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_unreadable: bool,
    /// Folders of images and masks.
    #[command(flatten)]
    #[serde(flatten)]
    pub folders: FolderOptions,
    /// Seed of initial weights, shuffles and augmentation
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Backend to compute with
    #[arg(long, value_enum, default_value_t)]
    pub backend: Backend,
    /// Cut images larger than SIZE into tiles, which are then the images of training, validation and prediction: 512, 512,128 or
    /// 640x480,64, in pixels of the image. By default OVERLAP is a quarter of the smaller side, rounded up to a multiple of
    /// 16, and at most half of the side
    // Files of runs on whole images do not name it.
    #[arg(long, value_name = "SIZE[,OVERLAP]", allow_hyphen_values = true)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiles: Option<Tiles>,
    /// From pixels to the network's input; requested by [`InputOptions`].
    #[arg(skip = Preprocess::CLASSIC)]
    pub preprocess: Preprocess,
    /// The network.
    #[command(flatten)]
    pub model: UNetConfig,
    /// How the network is trained.
    #[command(flatten)]
    pub training: TrainingConfig,
    /// Where the initial weights were taken from; none if they are random.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<InitialWeights>,
}

/// Initial weights that were taken from another run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InitialWeights {
    /// The folder of that run.
    pub from: PathBuf,
    /// Digest of the file of initial weights, including the random ones.
    pub weights: Digest,
}

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct TrainingConfig {
    /// Passes over the training images.
    // The flag is one of `train`, which also makes a finished run longer.
    #[arg(skip = DEFAULT_EPOCHS)]
    pub epochs: usize,
    /// Images per step.
    #[arg(skip)]
    pub batch: usize,
    /// Maximum learning rate
    #[arg(long, default_value_t = 2e-3)]
    pub learning_rate: f64,
    /// Learning rate schedule
    #[arg(long, value_enum, default_value_t = ScheduleKind::Cosine)]
    pub schedule: ScheduleKind,
    /// The optimizer.
    #[command(flatten)]
    #[serde(flatten)]
    pub optimizer: OptimizerConfig,
    /// Share of the epochs, at the end, in which batch norms use statistics measured once over the training set instead of batch
    /// statistics; 0 disables this
    // Files of runs without it do not name it.
    #[arg(long, value_name = "SHARE", default_value_t = 0.25)]
    #[serde(default, skip_serializing_if = "is_zero")]
    pub freeze_norms: f64,
    /// The epoch since which norms are frozen, if the run was made longer after that.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_from: Option<usize>,
    /// Stop after this many epochs without a better mean IoU; this may end a run before its norms are frozen
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// The loss.
    #[command(flatten)]
    #[serde(flatten)]
    pub loss: LossConfig,
    /// Weight of each class in the loss.
    #[arg(skip)]
    pub class_weights: Vec<f32>,
    /// Random changes of training images; requested by [`crate::dataset::augment::AugmentOptions`].
    #[arg(skip)]
    #[serde(flatten)]
    pub augmentation: Augmentation,
    /// How images are loaded.
    #[command(flatten)]
    #[serde(flatten)]
    pub loader: LoaderConfig,
}

/// Whether a field has the value that files do not name.
pub(crate) fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl TrainingConfig {
    /// The first epoch with frozen norms, counted from 1; `None` if there is no such epoch. Never the first epoch of the run: the
    /// statistics of untrained weights are useless.
    pub fn first_frozen_epoch(&self) -> Option<usize> {
        if self.frozen_from.is_some() {
            return self.frozen_from;
        }
        // The nearest whole number, so that 0.1 of 30 is 3.
        let frozen = (self.epochs as f64 * self.freeze_norms).round() as usize;
        let first = (self.epochs + 1).saturating_sub(frozen).max(2);
        (first <= self.epochs).then_some(first)
    }
}

/// `T` as the command line gives it without any argument: default values are written once, in the attributes of the fields.
///
/// # Panics
/// If an argument of `T` is required.
pub(crate) fn defaults<T: clap::Args>() -> T {
    let command = T::augment_args(clap::Command::new("defaults").no_binary_name(true));
    let parsed = command.try_get_matches_from([""; 0]).and_then(|matches| T::from_arg_matches(&matches));
    parsed.expect("every argument has a default value")
}

impl Default for RunConfig {
    fn default() -> Self {
        defaults()
    }
}

impl RunConfig {
    /// How the dataset is read and split, where its folders do not say it.
    pub fn open_options(&self) -> OpenOptions {
        OpenOptions {
            val_ratio: self.val_ratio,
            seed: self.split_seed,
            stacks: self.stacks,
            fold: self.fold,
            choice: self.folders.choice(),
        }
    }

    /// Checks every field, and that the fields fit each other.
    ///
    /// # Errors
    /// Names the first field that is out of range by its flag, what was expected and what was found; [`as_key`] names it by its
    /// key instead.
    pub fn validate(&self) -> Result<(), String> {
        self.model.validate()?;
        self.preprocess.validate().map_err(|error| match error {
            PreprocessError::Target { width, height } => {
                format!("--size: expected 1 to {SIDE_MAX} pixels a side, found {width}x{height}")
            }
            PreprocessError::MeanStd { .. } => format!("--mean, --std: {error}"),
            _ => error.to_string(),
        })?;
        check_size(&self.preprocess, &self.model)?;
        let (width, height) = (self.preprocess.width as usize, self.preprocess.height as usize);
        let training = &self.training;
        if !(1..=EPOCHS_MAX).contains(&training.epochs) {
            return Err(format!("--epochs: expected 1 to {EPOCHS_MAX}, found {}", training.epochs));
        }
        if training.batch == 0 {
            return Err("--batch: expected at least 1, found 0".to_owned());
        }
        if !(1..=WORKERS_MAX).contains(&training.loader.workers) {
            return Err(format!("--workers: expected 1 to {WORKERS_MAX}, found {}", training.loader.workers));
        }
        if self.model.channels != self.preprocess.channels.count() {
            let (model, input) = (self.model.channels, self.preprocess.channels.count());
            return Err(format!("network: expected {input} channels, as the preprocessing has, found {model}"));
        }
        let parameters = self.model.layers().weights();
        if parameters > PARAMETERS_MAX {
            return Err(format!(
                "network of {}: expected at most {PARAMETERS_MAX} parameters, found {parameters}; lower --base or --depth",
                self.model
            ));
        }
        let layers = self.model.layers();
        let channels = layers.values().iter().map(|value| value.channels.div_ceil(1 << (2 * value.halvings)));
        let largest = [training.batch, channels.max().unwrap_or(0), width, height]
            .iter()
            .try_fold(1usize, |product, &side| product.checked_mul(side))
            .filter(|&elements| elements <= ELEMENTS_MAX);
        if largest.is_none() {
            return Err(format!(
                "--batch {} of {width}x{height} of {}: expected tensors of at most {ELEMENTS_MAX} elements, found larger ones; \
                 lower --batch, --size or --base",
                training.batch, self.model
            ));
        }
        if !(training.learning_rate > 0.0 && training.learning_rate.is_finite()) {
            return Err(format!("--learning-rate: expected a positive number, found {}", training.learning_rate));
        }
        training.optimizer.validate()?;
        if !(0.0..1.0).contains(&training.freeze_norms) {
            return Err(format!(
                "--freeze-norms: expected at least 0 and less than 1, found {}",
                training.freeze_norms
            ));
        }
        training.loss.validate()?;
        training.augmentation.validate(self.model.classes)?;
        if training.class_weights.len() != self.model.classes {
            let found = training.class_weights.len();
            return Err(format!(
                "--class-weights: expected {} numbers, one per class, found {found}",
                self.model.classes
            ));
        }
        if !training.class_weights.iter().all(|w| w.is_finite() && *w >= 0.0)
            || training.class_weights.iter().all(|w| *w == 0.0)
        {
            let found = &training.class_weights;
            return Err(format!("--class-weights: expected numbers of at least 0, not all 0, found {found:?}"));
        }
        Ok(())
    }
}

/// Checks that a network can run at the size of its input.
///
/// # Errors
/// Names the multiples that it needs, and the nearest size.
pub fn check_size(input: &Preprocess, model: &UNetConfig) -> Result<(), String> {
    let (width, height) = (input.width as usize, input.height as usize);
    let multiple = model.size_multiple();
    if width.is_multiple_of(multiple) && height.is_multiple_of(multiple) {
        return Ok(());
    }
    let rule = if model.stem.is_full() { "2^depth" } else { "2^depth times the stem" };
    Err(format!(
        "--size: expected width and height to be multiples of {multiple} ({rule}), found {width}x{height}; the nearest valid size is {}x{}",
        nearest_multiple(width, multiple),
        nearest_multiple(height, multiple)
    ))
}

/// An error of [`RunConfig::validate`] as readers of `config.toml` need it: with the key in place of its flag.
pub fn as_key(problem: &str) -> String {
    match problem.split_once(':') {
        Some((flags, rest)) if flags.starts_with("--") => {
            format!("{}:{rest}", flags.replace("--", "").replace('-', "_"))
        }
        _ => problem.to_owned(),
    }
}

/// The multiple of `multiple` nearest to `value`, at least one.
pub fn nearest_multiple(value: usize, multiple: usize) -> usize {
    ((value + multiple / 2) / multiple).max(1) * multiple
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::augment::{Flips, OperationKind};

    /// What the first version wrote. New versions must read it, and write the same for a run without newer hyperparameters.
    const FILE: &str = r#"name = "small"
code_version = "0.1.0"
data = "/data"
val_ratio = 0.2
split_seed = 0
seed = 3
backend = "flex"

[preprocess]
width = 32
height = 16
channels = "gray"
fit = "stretch"
filter = "area"
normalize = "unit"
fill = 0

[model]
base = 4
depth = 3
channels = 1
classes = 2
upsampling = "nearest"

[training]
epochs = 2
batch = 8
learning_rate = 0.002
schedule = "cosine"
class_weights = [1.0, 1.0]
workers = 2
cache_bytes = 536870912

[training.flips]
horizontal = true
vertical = false
"#;

    fn config() -> RunConfig {
        toml::from_str(FILE).unwrap()
    }

    #[test]
    fn a_file_of_the_first_version_is_read_and_written_byte_for_byte() {
        assert_eq!(toml::to_string(&config()).unwrap(), FILE);
        assert_eq!(file::parse(FILE).unwrap(), config());
        let mut patient = config();
        patient.training.patience = Some(5);
        let expected = FILE.replace("\"cosine\"\n", "\"cosine\"\npatience = 5\n");
        assert_eq!(toml::to_string(&patient).unwrap(), expected);
        let mut chosen = config();
        chosen.folders.masks = Some("1st_manual".to_owned());
        let expected = FILE.replace("split_seed = 0\n", "split_seed = 0\nmasks = \"1st_manual\"\n");
        assert_eq!(toml::to_string(&chosen).unwrap(), expected);
        assert_eq!(toml::from_str::<RunConfig>(&expected).unwrap(), chosen);
    }

    #[test]
    fn operations_of_the_first_versions_are_read_and_written_byte_for_byte() {
        let file = FILE.replace("workers = 2\n", "augment = [\"zoom\"]\nworkers = 2\n");
        let zoomed: RunConfig = toml::from_str(&file).unwrap();
        assert_eq!(zoomed.training.augmentation.augment, [OperationKind::Zoom]);
        assert_eq!(zoomed.training.augmentation.flips, Flips::HORIZONTAL);
        assert_eq!(toml::to_string(&zoomed).unwrap(), file);
    }

    #[test]
    fn tiles_are_one_key() {
        let tiled = RunConfig { tiles: Some("512,64".parse().unwrap()), ..config() };
        let written = toml::to_string(&tiled).unwrap();
        assert_eq!(written, FILE.replace("\"flex\"\n", "\"flex\"\ntiles = \"512x512,64\"\n"));
        assert_eq!(toml::from_str::<RunConfig>(&written).unwrap(), tiled);
    }

    #[test]
    fn every_hyperparameter_survives_its_file() {
        let mut changed = config();
        let lines = [
            "epochs = 3",
            "batch = 9",
            "learning_rate = 0.1",
            "schedule = \"poly\"",
            "optimizer = \"adamw\"",
            "weight_decay = 0.05",
            "freeze_norms = 0.5",
            "decayed = \"weights\"",
            "clip_gradient = 2.5",
            "accumulate = 3",
            "patience = 4",
            "loss = \"cross-entropy+0.5*lovasz\"",
            "label_smoothing = 0.1",
            "class_weights = [1.0, 0.5]",
            "augment = [\"zoom\", \"quarter_turns\", \"scale\"]",
            "class_pixels = [9, 4]",
            "workers = 3",
            "cache_bytes = 7",
        ];
        let flips = "[flips]\nhorizontal = false\nvertical = true\n";
        changed.training = toml::from_str(&format!("{}\n{flips}", lines.join("\n"))).unwrap();
        assert_eq!(changed.validate(), Ok(()));
        let written = toml::to_string(&changed).unwrap();
        assert_eq!(toml::from_str::<RunConfig>(&written).unwrap(), changed);
        for line in lines {
            assert!(!FILE.contains(line) && written.contains(line), "{line}: {written}");
        }
    }

    #[test]
    fn default_values_are_those_of_the_command_line() {
        let config = RunConfig::default();
        assert_eq!((config.model.base, config.model.depth), (16, 4));
        assert_eq!((config.training.epochs, config.training.learning_rate), (40, 2e-3));
        assert_eq!((config.training.loader.workers, config.training.loader.cache_bytes), (2, 512 << 20));
        // Nothing is resolved yet.
        assert!(config.validate().unwrap_err().contains("channels"));
    }

    #[test]
    fn what_cannot_be_trained_is_named() {
        assert_eq!(config().validate(), Ok(()));
        type Change = fn(&mut RunConfig);
        let cases: [(Change, &str); 11] = [
            (|c| c.preprocess.width = 30, "nearest valid size is 32x16"),
            (|c| c.training.epochs = 0, "epochs"),
            (|c| c.training.batch = 0, "batch"),
            (|c| c.training.learning_rate = f64::NAN, "--learning-rate: expected"),
            (|c| c.training.loader.workers = 0, "workers"),
            (|c| c.training.optimizer.weight_decay = Some(0.1), "--weight-decay: expected"),
            (|c| c.training.freeze_norms = 1.0, "--freeze-norms: expected"),
            (|c| c.training.augmentation.augment = vec![OperationKind::Zoom; 2], "zoom twice"),
            (|c| c.training.augmentation.class_pixels = vec![1], "expected 2 numbers, one per class, found 1"),
            (|c| c.training.class_weights = vec![1.0], "--class-weights: expected 2 numbers"),
            (|c| c.training.class_weights = vec![0.0, 0.0], "not all 0"),
        ];
        for (change, expected) in cases {
            let mut bad = config();
            change(&mut bad);
            let error = bad.validate().unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_error_in_a_file_names_its_key() {
        assert_eq!(as_key("--freeze-norms: expected --a-b: c"), "freeze_norms: expected --a-b: c");
        assert_eq!(as_key("--mean, --std: x"), "mean, std: x");
        assert_eq!(as_key("classes: expected 2-3"), "classes: expected 2-3");
    }

    #[test]
    fn norms_are_frozen_in_the_last_epochs() {
        let first = |epochs, freeze_norms| {
            TrainingConfig { epochs, freeze_norms, ..RunConfig::default().training }.first_frozen_epoch()
        };
        assert_eq!([first(40, 0.25), first(30, 0.1), first(2, 0.25)], [Some(31), Some(28), Some(2)]);
        assert_eq!([first(10, 0.0), first(1, 0.25), first(1, 0.9)], [None; 3]);
        // Never the first one.
        assert_eq!(first(3, 0.9), Some(2));
    }

    #[test]
    fn the_nearest_multiple_is_never_zero() {
        assert_eq!(nearest_multiple(3, 16), 16);
        assert_eq!(nearest_multiple(200, 16), 208);
        assert_eq!(nearest_multiple(360, 16), 368);
    }
}
