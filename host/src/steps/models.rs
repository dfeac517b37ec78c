//! What each named network costs on images of a size: counted, and measured with random weights on this machine.

use std::time::Instant;

use serde::Serialize;
use unet_engine::inference::{Engine, EngineOptions};
use unet_shared::manifest::TensorEntry;
use unet_shared::preprocess::{Channels, Preprocess};
use unet_shared::record::Timing;

use crate::backend::Backend;
use crate::error::HostError;
use crate::export::fold::graph_of;
use crate::export::graph::{INPUT_NAME, OUTPUT_NAME};
use crate::model::preset::Preset;
use crate::model::{Network, UNetConfig};
use crate::quantize::{Format, calibrate, rewrite};
use crate::rng::Rng;

/// The images that the networks are for.
#[derive(Clone, Debug)]
pub struct ModelsOptions {
    /// A network beside the presets.
    pub other: Option<UNetConfig>,
    /// Width and height of the input.
    pub size: (u32, u32),
    /// Its channels.
    pub channels: Channels,
    /// Classes of the masks.
    pub classes: usize,
    /// Threads of the engine.
    pub threads: usize,
    /// Frames that are timed.
    pub frames: usize,
}

/// What one network costs.
#[derive(Clone, Debug, Serialize)]
pub struct ModelCost {
    /// Its name; none for a network beside the presets.
    pub model: Option<Preset>,
    /// What it is built from.
    pub network: String,
    /// The same, as the configuration of a run has it.
    pub config: UNetConfig,
    /// Trained numbers.
    pub parameters: u64,
    /// Multiply-accumulates of a frame.
    pub multiply_accumulates: u64,
    /// The same for each pixel of the input.
    pub multiply_accumulates_per_pixel: f64,
    /// Bytes of weights and buffers of the int8 network.
    pub memory_bytes: Option<usize>,
    /// Times of a frame of the int8 network.
    pub frame: Timing,
}

/// All presets on images of one size.
#[derive(Clone, Debug, Serialize)]
pub struct ModelCosts {
    /// Width of the input.
    pub width: u32,
    /// Height of the input.
    pub height: u32,
    /// The int8 kernels that were timed.
    pub kernel: &'static str,
    /// Threads that they ran on.
    pub threads: usize,
    /// One entry a preset, then the other network.
    pub models: Vec<ModelCost>,
}

/// Counts and times each preset.
///
/// # Errors
/// If a network cannot take images of the size, or the engine cannot run it.
pub fn models(options: &ModelsOptions, progress: &mut dyn FnMut()) -> Result<ModelCosts, HostError> {
    let (width, height) = options.size;
    let mut costs = ModelCosts { width, height, kernel: "", threads: options.threads, models: vec![] };
    let presets = Preset::ALL.map(|preset| (Some(preset), preset.network())).into_iter();
    for (model, network) in presets.chain(options.other.clone().map(|other| (None, other))) {
        let config = UNetConfig { channels: options.channels.count(), classes: options.classes, ..network };
        config.validate().map_err(HostError::Usage)?;
        let preprocess = Preprocess { width, height, channels: options.channels, ..Preprocess::CLASSIC };
        crate::config::check_size(&preprocess, &config).map_err(HostError::Usage)?;
        let network = config.init(0, &Backend::Flex.device()?);
        let mut engine = quantized(&network, &preprocess, options.threads)?;
        let description = engine.describe();
        let memory_bytes =
            description.arena_bytes.zip(description.weight_bytes).map(|(buffers, weights)| buffers + weights);
        costs.kernel = description.kernel;
        let layers = network.layers();
        let multiply_accumulates = layers.multiply_accumulates(height as usize, width as usize);
        costs.models.push(ModelCost {
            model,
            network: config.to_string(),
            config,
            parameters: layers.parameters(),
            multiply_accumulates,
            multiply_accumulates_per_pixel: multiply_accumulates as f64 / (f64::from(width) * f64::from(height)),
            memory_bytes,
            frame: timed(&mut engine, options.frames)?,
        });
        progress();
    }
    Ok(costs)
}

/// The int8 network, its ranges found on one image of noise: time depends on shapes alone.
fn quantized(network: &Network, preprocess: &Preprocess, threads: usize) -> Result<Engine, HostError> {
    let (height, width) = (preprocess.height as usize, preprocess.width as usize);
    let graph = graph_of(network, height, width);
    let rng = &mut Rng::new(0);
    let noise = (0..preprocess.channels.count() * width * height).map(|_| rng.range_f32(0.0, 1.0)).collect();
    let calibration = calibrate(&graph, preprocess, std::iter::once(noise), || ())?;
    let int8 = rewrite(&graph, &calibration, Format::Qlinear)?;
    let entry = |name: &str, channels, quantization| TensorEntry {
        name: name.to_owned(),
        shape: [1, channels, height, width],
        quantization,
    };
    let input = entry(INPUT_NAME, preprocess.channels.count(), int8.input);
    let output = entry(OUTPUT_NAME, network.layers().classes(), int8.output);
    let options = EngineOptions { threads, ..EngineOptions::default() };
    Ok(Engine::from_onnx_with(&int8.bytes, &input, &output, &options)?)
}

/// Times of that many frames, after one that warms up.
fn timed(engine: &mut Engine, frames: usize) -> Result<Timing, HostError> {
    let [_, channels, height, width] = engine.input().shape;
    let (input, mut mask) = (vec![128; channels * height * width], vec![0; height * width]);
    engine.segment(&input, &mut mask)?;
    let mut milliseconds = Vec::with_capacity(frames);
    for _ in 0..frames {
        let start = Instant::now();
        engine.segment(&input, &mut mask)?;
        milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Timing::of(milliseconds))
}
