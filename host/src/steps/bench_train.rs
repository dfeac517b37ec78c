//! Times the steps of a training on random images: no data set, no run, nothing is written.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;
use unet_shared::preprocess::{Channels, Preprocess};

use crate::backend::Backend;
use crate::config::{RunConfig, TrainingConfig};
use crate::dataset::augment::Flips;
use crate::error::HostError;
use crate::memory;
use crate::model::{UNetConfig, Upsampling};
use crate::operation;
use crate::rng::Rng;
use crate::training::batch::Batch;
use crate::training::learner::{Learner, differentiating};
use crate::training::memory::{Checkpointing, MemoryOptions, MemoryPlan, StepShape};
use crate::training::schedule::ScheduleKind;

/// Weights and images are the same each time.
const SEED: u64 = 1;
/// Separates the draws of images from those of weights.
const BATCH_STREAM: u64 = 0xbe9c_4ba7;
/// Adam's usual rate; a step takes as long with any other.
const LEARNING_RATE: f64 = 1e-3;

/// Which form of the network is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum BenchNetwork {
    /// The textbook's form, as other frameworks are timed: biases, and no batch norm after an enlargement.
    Plain,
    /// The form that `train` trains.
    Ours,
}

/// What is timed.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchTrainOptions {
    /// Channels of the first level.
    pub base: usize,
    /// Levels.
    pub depth: usize,
    /// Width and height of the images.
    pub size: (u32, u32),
    /// Images a step.
    pub batch: usize,
    /// Gray or RGB.
    pub channels: Channels,
    /// Classes of the random masks.
    pub classes: usize,
    /// Steps to time.
    pub steps: usize,
    /// What computes.
    pub backend: Backend,
    /// The network's form.
    pub network: BenchNetwork,
    /// How its decoder enlarges.
    pub upsampling: Upsampling,
    /// Whether cheap tensors are computed again in the backward pass instead of being kept.
    pub checkpointing: bool,
    /// Whether the parts of a step are timed too.
    pub profile: bool,
}

impl BenchTrainOptions {
    /// The configuration of a run that would train this way, so that what it refuses is refused here.
    fn config(&self) -> Result<RunConfig, String> {
        let model = UNetConfig {
            base: self.base,
            depth: self.depth,
            channels: self.channels.count(),
            classes: self.classes,
            upsampling: self.upsampling,
        };
        // Before a weight is made for each of its classes.
        model.validate()?;
        let (width, height) = self.size;
        let config = RunConfig {
            name: String::new(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            data: PathBuf::new(),
            val_ratio: 0.0,
            split_seed: 0,
            seed: SEED,
            backend: self.backend,
            preprocess: Preprocess { width, height, channels: self.channels, ..Preprocess::CLASSIC },
            training: TrainingConfig {
                epochs: 1,
                batch: self.batch,
                learning_rate: LEARNING_RATE,
                schedule: ScheduleKind::Constant,
                patience: None,
                class_weights: vec![1.0; model.classes],
                flips: Flips { horizontal: false, vertical: false },
                workers: 1,
                cache_bytes: 0,
            },
            model,
        };
        config.validate()?;
        Ok(config)
    }
}

/// What the steps took.
#[derive(Clone, Debug, Serialize)]
pub struct BenchTrainReport {
    /// Wall seconds of each step: forward, loss, backward and optimizer. The first is not like those that follow.
    pub step_s: Vec<f64>,
    /// Loss of each step.
    pub losses: Vec<f64>,
    /// The largest resident size of the process, where the system tells it.
    pub peak_rss_kib: Option<u64>,
    /// What `train` would predict for it; none for other operators than this project's and for the plain form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_peak_kib: Option<u64>,
    /// What computed.
    pub backend: Backend,
    /// Threads that a CPU backend computes with.
    pub threads: usize,
    /// The network's form.
    pub network: BenchNetwork,
    /// Seconds of each part of each step; empty where they were not asked for.
    #[serde(skip_serializing_if = "Profile::is_empty")]
    pub parts: Profile,
    /// Seconds of the project's own operations, which are within forward, backward and optimizer.
    #[serde(skip_serializing_if = "Profile::is_empty")]
    pub operations: Profile,
}

/// Wall time by part of a step. A part may be met several times in a step; what it takes adds up.
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

    /// Adds to what a part took in this step.
    fn add(&mut self, name: &str, time: Duration) {
        let index = self.parts.iter().position(|part| part.name == name).unwrap_or_else(|| {
            self.parts.push(PartTime { name: name.to_owned(), step_s: vec![0.0; self.steps] });
            self.parts.len() - 1
        });
        if let Some(seconds) = self.parts[index].step_s.last_mut() {
            *seconds += time.as_secs_f64();
        }
    }

    /// The parts, in the order in which they were first met.
    pub fn parts(&self) -> &[PartTime] {
        &self.parts
    }

    /// Whether nothing was timed.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// A batch of noise, the same for the same step.
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

/// Refuses a step that the machine has no memory for. The plain form takes about as much as that which `train` trains.
fn fits(shape: Option<&StepShape>, checkpointing: bool, available: Option<u64>) -> Result<(), HostError> {
    let checkpointing = if checkpointing { Checkpointing::On } else { Checkpointing::Off };
    let options = MemoryOptions { checkpointing, limit_bytes: None };
    MemoryPlan::new(shape, 0, options, available).map(drop).map_err(|refused| {
        HostError::Usage(format!(
            "expected a step that fits into {} MiB with a tenth in reserve, found one that takes about {} MiB; lower --batch, \
             --size or --base",
            refused.available_bytes >> 20,
            refused.step_bytes >> 20
        ))
    })
}

/// Times steps; `progress` is told the seconds and the loss of each.
///
/// # Errors
/// When the options do not fit each other, the step does not fit into memory, the backend is missing, its device fails, or a
/// loss is not finite.
pub fn bench_train(
    options: &BenchTrainOptions,
    progress: &mut dyn FnMut(f64, f64),
) -> Result<BenchTrainReport, HostError> {
    let config = options.config().map_err(HostError::Usage)?;
    let shape = StepShape::of(&config, options.batch);
    fits(shape.as_ref(), options.checkpointing, memory::available_bytes())?;
    let device = differentiating(options.backend.device()?, options.checkpointing);
    let mut learner = Learner::new(match options.network {
        BenchNetwork::Plain => config.model.init_plain(SEED, &device),
        BenchNetwork::Ours => config.model.init(SEED, &device),
    });
    let finished = |step: usize| device.sync().map_err(|source| HostError::Device { step, source });
    let (mut step_s, mut losses, mut profile, mut operations) =
        (vec![], vec![], Profile::default(), Profile::default());
    if options.profile {
        operation::profile::ask();
    }
    for step in 1..=options.steps {
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
                // A device that failed here says so at the step's end.
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
        // Random masks ignore no pixel.
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

    #[test]
    fn a_step_that_the_machine_has_no_memory_for_is_refused() {
        let model = UNetConfig { base: 16, depth: 4, channels: 1, classes: 4, upsampling: Upsampling::Nearest };
        let shape = StepShape { model, batch: 2, width: 8192, height: 8192, threads: 2 };
        let refused = fits(Some(&shape), true, Some(16 << 30)).unwrap_err().to_string();
        assert!(refused.contains("16384 MiB") && refused.contains("lower --batch"), "{refused}");
        fits(Some(&shape), true, Some(1 << 40)).unwrap();
        fits(None, false, Some(1)).unwrap();
    }

    #[test]
    fn a_part_that_is_met_again_adds_up_and_one_that_is_new_took_nothing_before() {
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
