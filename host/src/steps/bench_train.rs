//! Times training steps on random images: no dataset, no run, no file.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;
use unet_shared::preprocess::{Channels, Preprocess};

use crate::backend::Backend;
use crate::config::{RunConfig, parse_channels, parse_size};
use crate::error::HostError;
use crate::memory;
use crate::model::UNetConfig;
use crate::model::preset::PresetOption;
use crate::operation;
use crate::rng::Rng;
use crate::training::batch::Batch;
use crate::training::learner::{Learner, differentiating};
use crate::training::loss::{Loss, LossConfig, loss_help};
use crate::training::memory::{Checkpointing, MemoryOptions, MemoryPlan, StepShape};
use crate::training::optimizer::OptimizerConfig;

/// Weights and images are the same in each call.
const SEED: u64 = 1;
/// Separates the draws of images from those of weights.
const BATCH_STREAM: u64 = 0xbe9c_4ba7;
/// A common rate; the time of a step does not depend on it.
const LEARNING_RATE: f64 = 1e-3;

/// The form of the timed network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum BenchNetwork {
    /// The textbook's form, for comparison with other frameworks: biases, and no batch norm after an enlargement
    Plain,
    /// The form that `train` trains
    Ours,
}

/// The step to time.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchTrainOptions {
    /// The network.
    #[command(flatten)]
    pub model: UNetConfig,
    /// The network, if by its name.
    #[command(flatten)]
    pub preset: PresetOption,
    /// Input size as one side or as WIDTHxHEIGHT, multiples of 2^depth times the stem
    #[arg(long, default_value = "256", value_parser = parse_side_or_size)]
    pub size: (u32, u32),
    /// Images per step
    #[arg(long, default_value_t = 4)]
    pub batch: usize,
    /// Colour channels of the input, 1 or 3
    #[arg(long, default_value = "1", value_parser = parse_channels)]
    pub channels: Channels,
    /// Classes of the masks
    #[arg(long, default_value_t = 4)]
    pub classes: usize,
    /// Number of steps; the first one is reported separately, since it takes longer
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub steps: u32,
    /// Form of the network
    #[arg(long, value_enum, default_value_t = BenchNetwork::Plain)]
    pub network: BenchNetwork,
    /// The loss function; its help lists them.
    #[arg(
        long = "loss",
        value_name = "FUNCTION",
        default_value_t,
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    #[arg(help = loss_help("cross-entropy"))]
    pub function: Loss,
    /// The loss's other settings.
    #[command(flatten)]
    pub loss: LossConfig,
    /// The optimizer.
    #[command(flatten)]
    pub optimizer: OptimizerConfig,
    /// Freeze the norms, as in the last epochs of training
    #[arg(long)]
    pub frozen_norms: bool,
    /// Recompute cheap tensors in the backward pass instead of keeping them
    #[arg(long)]
    pub checkpointing: bool,
    /// Backend to compute with
    #[arg(long, value_enum, default_value_t)]
    pub backend: Backend,
    /// Report the time of each part of a step
    #[arg(long)]
    pub profile: bool,
}

fn parse_side_or_size(text: &str) -> Result<(u32, u32), String> {
    match text.parse() {
        Ok(side) => Ok((side, side)),
        Err(_) => {
            parse_size(text).map_err(|_| "expected one side, such as 256, or WIDTHxHEIGHT, such as 480x352".to_owned())
        }
    }
}

impl BenchTrainOptions {
    /// The configuration of a run with this step, so that what a run refuses is refused here too.
    fn config(&self) -> Result<RunConfig, String> {
        let mut config =
            RunConfig { seed: SEED, backend: self.backend, model: self.model.clone(), ..RunConfig::default() };
        config.model = self.preset.network(config.model);
        (config.model.channels, config.model.classes) = (self.channels.count(), self.classes);
        // Before a weight is made for each of its classes.
        // Their number is a flag of this command only.
        config.model.validate().map_err(|problem| match problem.strip_prefix("classes:") {
            Some(rest) => format!("--classes:{rest}"),
            None => problem,
        })?;
        let (width, height) = self.size;
        config.preprocess = Preprocess { width, height, channels: self.channels, ..Preprocess::CLASSIC };
        config.training.batch = self.batch;
        config.training.class_weights = vec![1.0; self.classes];
        config.training.loss = LossConfig { function: self.function.clone(), ..self.loss.clone() };
        config.training.optimizer = self.optimizer.clone();
        config.validate()?;
        Ok(config)
    }
}

/// Times and losses of the steps.
#[derive(Clone, Debug, Serialize)]
pub struct BenchTrainReport {
    /// Wall seconds of each step: forward, loss, backward and optimizer. The first one takes longer.
    pub step_s: Vec<f64>,
    /// Loss of each step.
    pub losses: Vec<f64>,
    /// The peak resident size of the process, if the operating system reports it.
    pub peak_rss_kib: Option<u64>,
    /// The prediction of `train`; none for burn's own operators and for the plain form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_peak_kib: Option<u64>,
    /// The backend.
    pub backend: Backend,
    /// Compute threads of a CPU backend.
    pub threads: usize,
    /// The network's form.
    pub network: BenchNetwork,
    /// Seconds of each part of each step; empty without `profile`.
    #[serde(skip_serializing_if = "Profile::is_empty")]
    pub parts: Profile,
    /// Seconds of the project's own operations, which are part of forward, backward and optimizer.
    #[serde(skip_serializing_if = "Profile::is_empty")]
    pub operations: Profile,
}

/// Wall time by part of a step. The times of a part that occurs several times in a step are added.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Profile {
    parts: Vec<PartTime>,
    #[serde(skip)]
    steps: usize,
}

/// A part of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartTime {
    /// Its name.
    pub name: String,
    /// Wall seconds in each step.
    pub step_s: Vec<f64>,
}

impl Profile {
    /// Begins the next step.
    fn begin_step(&mut self) {
        self.steps += 1;
        self.parts.iter_mut().for_each(|part| part.step_s.push(0.0));
    }

    /// Adds to the time of a part in this step.
    fn add(&mut self, name: &str, time: Duration) {
        let index = self.parts.iter().position(|part| part.name == name).unwrap_or_else(|| {
            self.parts.push(PartTime { name: name.to_owned(), step_s: vec![0.0; self.steps] });
            self.parts.len() - 1
        });
        if let Some(seconds) = self.parts[index].step_s.last_mut() {
            *seconds += time.as_secs_f64();
        }
    }

    /// The parts, in order of first occurrence.
    pub fn parts(&self) -> &[PartTime] {
        &self.parts
    }

    /// Whether no part was timed.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// A random batch, the same for the same step.
fn noise(config: &RunConfig, step: usize, device: &Device) -> Batch {
    let rng = &mut Rng::from_parts(&[SEED, BATCH_STREAM, step as u64]);
    let (batch, channels) = (config.training.batch, config.model.channels);
    let (width, height) = (config.preprocess.width as usize, config.preprocess.height as usize);
    let pixels = batch * height * width;
    let values: Vec<f32> = (0..pixels * channels).map(|_| rng.unit_f32()).collect();
    let masks = (0..pixels).map(|_| rng.below(config.model.classes as u64) as u8).collect();
    let images = Tensor::from_data(TensorData::new(values, [batch, channels, height, width]), device);
    Batch { images, masks }
}

/// Refuses a step that does not fit into memory. The plain form needs about as much as the form that `train` trains.
fn fits(shape: Option<&StepShape>, checkpointing: bool, available: Option<u64>) -> Result<(), HostError> {
    let checkpointing = if checkpointing { Checkpointing::On } else { Checkpointing::Off };
    let options = MemoryOptions { checkpointing, limit_bytes: None };
    MemoryPlan::new(shape, 0, options, available).map(drop).map_err(|refused| {
        HostError::Usage(format!(
            "training step needs about {} MiB and a tenth in reserve, only {} MiB available; lower --batch, --size or --base",
            refused.step_bytes >> 20,
            refused.available_bytes >> 20
        ))
    })
}

/// Times steps; `progress` is called with the seconds and the loss of each.
///
/// # Errors
/// If the options do not fit each other, the step does not fit into memory, the backend is missing, its device fails, or a loss
/// is not finite.
pub fn bench_train(
    options: &BenchTrainOptions,
    progress: &mut dyn FnMut(f64, f64),
) -> Result<BenchTrainReport, HostError> {
    let config = options.config().map_err(HostError::Usage)?;
    let shape = StepShape::of(&config, options.batch);
    fits(shape.as_ref(), options.checkpointing, memory::available_bytes())?;
    let device = differentiating(options.backend.device()?, options.checkpointing);
    let model = match options.network {
        BenchNetwork::Plain => config.model.init_plain(SEED, &device),
        BenchNetwork::Ours => config.model.init(SEED, &device),
    };
    let model = if options.frozen_norms { model.with_frozen_norms(None) } else { model };
    let mut learner = Learner::new(model, &config.training.optimizer, config.training.loss.clone());
    let finished = |step: usize| device.sync().map_err(|source| HostError::Device { step, source });
    let (mut step_s, mut losses, mut profile, mut operations) =
        (vec![], vec![], Profile::default(), Profile::default());
    if options.profile {
        operation::profile::ask();
    }
    for step in 1..=options.steps as usize {
        let batch = noise(&config, step, &device);
        finished(step)?;
        profile.begin_step();
        operations.begin_step();
        let start = Instant::now();
        let mut since = start;
        let mut lap = |name: &str| {
            let now = Instant::now();
            profile.add(name, now - since);
            since = now;
            now
        };
        let loss = learner.learn(batch, &config.training.class_weights, LEARNING_RATE, &mut |part| {
            if options.profile {
                // A failure is reported at the end of the step.
                let _ = device.sync();
                lap(part.name());
            }
        });
        finished(step)?;
        let end = if options.profile { lap("rest") } else { Instant::now() };
        let seconds = (end - start).as_secs_f64();
        for (name, time) in operation::profile::take() {
            operations.add(name, time);
        }
        // Random masks have no ignored pixels.
        let loss = loss.unwrap_or(f64::NAN);
        if !loss.is_finite() {
            return Err(HostError::BenchLoss { step, loss });
        }
        progress(seconds, loss);
        step_s.push(seconds);
        losses.push(loss);
    }
    let predicted = shape.filter(|_| options.network == BenchNetwork::Ours);
    Ok(BenchTrainReport {
        step_s,
        losses,
        peak_rss_kib: unet_engine::machine::peak_rss_kib(),
        predicted_peak_kib: predicted.map(|shape| shape.peak_bytes(options.checkpointing) >> 10),
        backend: options.backend,
        threads: rayon::current_num_threads(),
        network: options.network,
        parts: profile,
        operations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Stem, Upsampling};

    #[test]
    fn a_step_that_does_not_fit_into_memory_is_refused() {
        let model = UNetConfig {
            base: 16,
            depth: 4,
            channels: 1,
            classes: 4,
            upsampling: Upsampling::Nearest,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let shape = StepShape { threads: 2, ..StepShape::by_defaults(model, 2, [8192, 8192]) };
        let refused = fits(Some(&shape), true, Some(16 << 30)).unwrap_err().to_string();
        assert!(refused.contains("16384 MiB") && refused.contains("lower --batch"), "{refused}");
        fits(Some(&shape), true, Some(1 << 40)).unwrap();
        fits(None, false, Some(1)).unwrap();
    }

    #[test]
    fn times_of_a_repeated_part_are_added_and_a_new_part_starts_at_zero() {
        let mut profile = Profile::default();
        let time = Duration::from_millis;
        profile.begin_step();
        profile.add("forward", time(250));
        profile.add("forward", time(500));
        profile.begin_step();
        profile.add("loss", time(125));
        let part = |name: &str, step_s: [f64; 2]| PartTime { name: name.to_owned(), step_s: step_s.to_vec() };
        assert_eq!(profile.parts(), [part("forward", [0.75, 0.0]), part("loss", [0.0, 0.125])]);
    }
}
