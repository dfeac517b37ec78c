//! One pass over the training images, and one over the validation images.

use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;
use unet_shared::mask::argmax_f32;
use unet_shared::metrics::OwnedConfusion;

use super::batch::Batcher;
use super::error::TrainError;
use super::learner::Learner;
use super::schedule::Schedule;
use super::target::Target;
use crate::config::RunConfig;
use crate::dataset::loader::{Item, Loader};
use crate::model::Network;
use crate::rng::Rng;

/// Separates the draws of shuffles from the other uses of one seed.
const SHUFFLE_STREAM: u64 = 0x5bff1e;

/// The order of the samples in an epoch: the same for the same seed and epoch.
pub fn shuffled(seed: u64, epoch: usize, samples: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..samples).collect();
    Rng::from_parts(&[seed, SHUFFLE_STREAM, epoch as u64]).shuffle(&mut order);
    order
}

/// Result of training for an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// Mean over the batches with at least one pixel that counts.
    pub loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Wall time.
    pub elapsed: Duration,
    /// Time between steps: waiting for the last sample of a batch, and assembling its tensors. Preparing the target is part
    /// of the step.
    pub waited: Duration,
}

/// Trains for epoch `epoch`, counted from 1; `progress` is called with the number of images and the loss of each step.
///
/// # Errors
/// If a sample cannot be loaded, or the loss is not finite.
pub fn train(
    learner: &mut Learner,
    config: &RunConfig,
    schedule: &Schedule,
    loader: &Loader,
    epoch: usize,
    device: &Device,
    progress: &mut dyn FnMut(usize, f64),
) -> Result<Trained, TrainError> {
    let start = Instant::now();
    let batcher = Batcher::new(config.preprocess);
    let training = &config.training;
    let augmenter = training.augmentation.augmenter(config.seed, config.preprocess.width as usize);
    let order = shuffled(config.seed, epoch, loader.len());
    let (mut losses, mut counted, mut learning_rate) = (0.0, 0usize, 0.0);
    let (mut waited, mut waiting_since) = (Duration::ZERO, Instant::now());
    let augment = |sample: usize, item: &mut Arc<Item>| augmenter.apply(epoch, sample, item);
    loader.for_each_batch(&order, training.batch, augment, |items| {
        let batch = batcher.batch(items, device);
        waited += waiting_since.elapsed();
        learning_rate = schedule.rate(learner.step);
        let loss = learner.learn(batch, &training.class_weights, learning_rate, &mut |_| {});
        if let Some(loss) = loss {
            if !loss.is_finite() {
                return Err(TrainError::Diverged { epoch, step: learner.step, learning_rate });
            }
            losses += loss;
            counted += 1;
        }
        progress(items.len(), loss.unwrap_or(0.0));
        waiting_since = Instant::now();
        Ok(())
    })?;
    learner.finish_step(learning_rate);
    let loss = losses / counted.max(1) as f64;
    Ok(Trained { loss, learning_rate, elapsed: start.elapsed(), waited })
}

/// Result of validation.
#[derive(Clone, Debug, PartialEq)]
pub struct Validated {
    /// Mean of the batches' losses, weighted by their pixels that count; none if no pixel does.
    pub loss: Option<f64>,
    /// Counts at the labels' own sizes.
    pub confusion: OwnedConfusion,
}

/// Scores the network on a loader whose items have their truth; `progress` is called with the number of images of each batch.
///
/// # Errors
/// If a sample cannot be loaded or counted.
pub fn validate(
    model: &Network,
    config: &RunConfig,
    loader: &Loader,
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Result<Validated, TrainError> {
    let model = model.valid();
    let device = &device.clone().inner();
    let batcher = Batcher::new(config.preprocess);
    let classes = config.model.classes;
    let mut confusion = OwnedConfusion::zeros(classes)?;
    let (mut loss, mut total) = (0.0, 0.0);
    let pixels = (config.preprocess.width * config.preprocess.height) as usize;
    let (mut mask, mut scratch) = (vec![0; pixels], Default::default());
    let order: Vec<usize> = (0..loader.len()).collect();
    loader.for_each_batch(
        &order,
        config.training.batch,
        |_, _| {},
        |items| -> Result<(), TrainError> {
            let batch = batcher.batch(items, device);
            let target = Target::new(&batch.masks, &config.training.class_weights);
            let logits = model.forward(batch.images);
            if target.counts() {
                let batch_loss = config.training.loss.value_of(logits.clone(), &target);
                loss += batch_loss * target.total();
                total += target.total();
            }
            let logits: Vec<f32> = logits.into_data().convert::<f32>().try_into_vec().expect("logits convert to f32");
            for (item, logits) in items.iter().zip(logits.chunks_exact(classes * pixels)) {
                let Some(truth) = &item.truth else { continue };
                argmax_f32(logits, classes, &mut mask)?;
                truth.count(&mask, &config.preprocess, &mut scratch, &mut confusion)?;
            }
            progress(items.len());
            Ok(())
        },
    )?;
    Ok(Validated { loss: (total > 0.0).then(|| loss / total), confusion })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_a_permutation_of_its_seed_and_epoch() {
        let order = shuffled(7, 3, 50);
        assert_eq!(order, shuffled(7, 3, 50));
        assert_ne!(order, shuffled(7, 4, 50));
        assert_ne!(order, shuffled(8, 3, 50));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }
}
