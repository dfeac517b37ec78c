//! Verifies an exported file against the trained network: its parameters one by one, and its logits on real frames.

use serde::Serialize;
use unet_data::Split;
use unet_shared::mask::argmax_f32;

use super::open_run::{OpenRun, spread};
use crate::error::HostError;
use crate::export::agreement::{Difference, nudged};
use crate::export::{exact, float_onnx, parameters};
use crate::float_engine::FloatEngine;
use crate::model::Network;
use crate::segmenter::{BurnSegmenter, FloatOnnxSegmenter};
use crate::training::batch::Batcher;

/// Number of frames to verify on.
pub const VERIFIED_FRAMES: usize = 16;

/// Multiply-accumulates to spend on f64, some seconds; at least one frame is computed, whatever it takes.
const EXACT_MACS: u64 = 20_000_000_000;

/// Seed of the neighbours in f32 that show how much rounding matters.
const NUDGE_SEED: u64 = 1;

/// What verifying found.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// Number of weights and biases that equal the trained ones, batch norm folded in and rounded once.
    pub parameters: usize,
    /// The first one that does not, or the layer that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_parameter: Option<String>,
    /// Number of frames computed by both burn and tract.
    pub frames: usize,
    /// Largest difference of a logit between the two.
    pub largest_difference: f64,
    /// The whole difference between the two.
    pub burn_and_tract: Difference,
    /// What is allowed, from what rounding each parameter changes on these frames.
    pub allowed: Difference,
    /// Number of frames that the file's graph was computed on in f64.
    pub frames_in_f64: usize,
    /// Difference between burn and f64 on these.
    pub burn_and_f64: Difference,
    /// Difference between tract and f64 on these.
    pub tract_and_f64: Difference,
    /// The largest logit minus the smallest.
    pub logit_range: f64,
    /// Pixels of all frames.
    pub pixels: u64,
    /// Those whose class differs between burn and tract.
    pub pixels_of_another_class: u64,
    /// Whether the parameters are the trained ones and all differences are allowed.
    pub verified: bool,
}

/// Verifies the bytes of an exported file against the network on frames of the validation split. What does not agree is not an
/// error: the result has it.
///
/// # Errors
/// If the file or the frames cannot be read, or tract fails.
pub fn verify(run: &OpenRun, model: &Network, bytes: &[u8]) -> Result<Verification, HostError> {
    let graph = float_onnx::read(bytes)?;
    let compared = parameters::compare(model, &graph);
    let (classes, preprocess) = (run.config.model.classes, run.config.preprocess);
    let by_tract = |bytes: &[u8]| -> Result<FloatOnnxSegmenter, HostError> {
        Ok(FloatOnnxSegmenter::new(FloatEngine::new(bytes, graph.input, &[])?, classes, preprocess))
    };
    let mut exported = by_tract(bytes)?;
    let mut nearby = by_tract(&float_onnx::write(&nudged(&graph, NUDGE_SEED))?)?;
    let trained = BurnSegmenter::new(model, run.config.backend, &run.config.backend.device()?, preprocess);
    let batcher = Batcher::new(preprocess);
    let dataset = run.data(None)?;
    let samples = spread(dataset.split(Split::Val), VERIFIED_FRAMES);
    let in_f64 = usize::try_from(EXACT_MACS / graph.multiplications()?.max(1)).unwrap_or(usize::MAX);
    let in_f64 = in_f64.clamp(1, samples.len().max(1)).min(samples.len());
    let mut rounding = Difference::default();
    let [mut burn_and_tract, mut burn_and_f64, mut tract_and_f64] = [Difference::default(); 3];
    let (mut smallest, mut largest) = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut pixels, mut pixels_of_another_class) = (0, 0);
    for (index, sample) in samples.iter().enumerate() {
        let (_, planes) = run.planes(sample)?;
        let (burn, tract) = (trained.logits(&planes), exported.logits(&planes)?);
        burn_and_tract.add(&burn, &tract);
        rounding.add(&nearby.logits(&planes)?, &tract);
        // Spread over the samples, as these are over the split.
        if index * in_f64 % samples.len() < in_f64 {
            let mut image = Vec::with_capacity(planes.len());
            batcher.normalize(&planes, &mut image);
            let exact = exact::logits(&graph, &image)?;
            burn_and_f64.add(&burn, &exact);
            tract_and_f64.add(&tract, &exact);
        }
        for &logit in &tract {
            smallest = smallest.min(f64::from(logit));
            largest = largest.max(f64::from(logit));
        }
        let masks = [&burn, &tract].map(|logits| {
            let mut mask = vec![0; logits.len() / classes];
            argmax_f32(logits, classes, &mut mask).map(|()| mask)
        });
        let [burn, tract] = masks;
        let (burn, tract) = (burn?, tract?);
        pixels += tract.len() as u64;
        pixels_of_another_class += burn.iter().zip(&tract).filter(|(a, b)| a != b).count() as u64;
    }
    let logit_range = if samples.is_empty() { 0.0 } else { largest - smallest };
    let allowed = rounding.allowed(logit_range);
    let agrees = [burn_and_tract, burn_and_f64, tract_and_f64].iter().all(|found| found.is_within(allowed));
    Ok(Verification {
        verified: compared.is_ok() && agrees && !samples.is_empty(),
        parameters: *compared.as_ref().unwrap_or(&0),
        other_parameter: compared.err().map(|other| other.to_string()),
        frames: samples.len(),
        largest_difference: burn_and_tract.largest,
        burn_and_tract,
        allowed,
        frames_in_f64: in_f64,
        burn_and_f64,
        tract_and_f64,
        logit_range,
        pixels,
        pixels_of_another_class,
    })
}
