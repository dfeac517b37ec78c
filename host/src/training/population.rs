//! The statistics of the norms over the whole training set, by which they are frozen for the last part of training.
//!
//! Running statistics follow the last batches, so the score swings from epoch to epoch although the weights hardly change;
//! frozen ones are the same for every image, in training and afterwards.

use burn::module::Module;
use burn::tensor::Device;

use super::batch::Batcher;
use super::error::TrainError;
use crate::config::RunConfig;
use crate::dataset::loader::Loader;
use crate::model::Network;
use crate::model::population::Population;

/// Measures the statistics of `model`'s norms on the images of `loader`, in their order, unchanged and in batches as in training;
/// `progress` is called with the number of images of each batch.
///
/// # Errors
/// If a sample cannot be loaded.
pub fn measure(
    model: &Network,
    config: &RunConfig,
    loader: &Loader,
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Result<Population, TrainError> {
    // Without differentiation, which would keep every activation.
    let model = model.valid();
    let device = &device.clone().inner();
    let batcher = Batcher::new(config.preprocess);
    let order: Vec<usize> = (0..loader.len()).collect();
    let mut population = Population::default();
    loader.for_each_batch(
        &order,
        config.training.batch,
        |_, _| {},
        |items| -> Result<(), TrainError> {
            model.measure(batcher.batch(items, device).images, &mut population);
            progress(items.len());
            Ok(())
        },
    )?;
    Ok(population)
}
