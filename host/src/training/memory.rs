//! Predicts the memory of a training step before training starts.
//!
//! Steps are simulated without computing: every tensor is allocated and freed in the order in which the network's layers,
//! burn's automatic differentiation and the loss do it, forward and backward, with or without gradient checkpointing. Only
//! the size of the program itself is measured.

mod graph;
mod heap;
mod plan;
mod walk;

use crate::backend::Backend;
use crate::config::RunConfig;
use crate::model::UNetConfig;
use crate::operation::Operators;
use crate::training::loss::LossConfig;
use crate::training::optimizer::OptimizerConfig;
use graph::Graph;
use walk::Walk;

pub use plan::{Checkpointing, DoesNotFit, MemoryOptions, MemoryPlan};

/// What the process holds beside the simulated heap, measured on Linux: 17 MiB of code, tables and threads (the peak of a
/// network whose step takes a few kilobytes), and 3 MiB of small allocations between the tensors (the mean over networks of
/// 75 to 700 MiB).
const PROGRAM_BYTES: u64 = 20 << 20;
/// Steps until the heap stops growing: the first one allocates Adam's moments, the second one fills the gaps.
const STEPS: usize = 3;

/// What the memory of a step depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct StepShape {
    /// The network.
    pub model: UNetConfig,
    /// Images a step.
    pub batch: usize,
    /// Width of the input.
    pub width: usize,
    /// Height of the input.
    pub height: usize,
    /// Threads that compute.
    pub threads: usize,
    /// The loss.
    pub loss: LossConfig,
    /// The optimizer, whose step may need several batches, and which may keep an average of the weights.
    pub optimizer: OptimizerConfig,
}

impl StepShape {
    /// The step of a run on a dataset of `images` images, which limits the batch. `None` unless this project's compute kernels
    /// are used: other backends and burn's own operators allocate differently.
    pub fn of(config: &RunConfig, images: usize) -> Option<Self> {
        let by_kernels = config.backend == Backend::Flex && Operators::in_use() != Operators::Stock;
        by_kernels.then(|| Self {
            model: config.model.clone(),
            batch: config.training.batch.min(images),
            width: config.preprocess.width as usize,
            height: config.preprocess.height as usize,
            threads: rayon::current_num_threads(),
            loss: config.training.loss.clone(),
            optimizer: config.training.optimizer.clone(),
        })
    }

    /// A step by the defaults, without threads of its own.
    #[cfg(test)]
    pub(crate) fn by_defaults(model: UNetConfig, batch: usize, [width, height]: [usize; 2]) -> Self {
        let (loss, optimizer) = (LossConfig::default(), OptimizerConfig::default());
        Self { model, batch, width, height, threads: 0, loss, optimizer }
    }

    /// Peak memory in bytes of a process that trains with Adam on burn's flex backend with this project's compute kernels,
    /// without the cached part of the dataset.
    pub fn peak_bytes(&self, checkpointing: bool) -> u64 {
        let graph = Graph::new(&self.model.layers(), self, checkpointing);
        PROGRAM_BYTES + self.threads as u64 * graph.tiles + Walk::new(&graph).peak(STEPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers::{Convolution, ConvolutionKind, Layer, Layers};
    use crate::model::{Stem, Upsampling};

    /// Heap of a step in units of one channel at full size.
    fn channels(upsampling: Upsampling, checkpointing: bool) -> f64 {
        let model = UNetConfig {
            base: 2,
            depth: 1,
            channels: 1,
            classes: 2,
            upsampling,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let shape = StepShape::by_defaults(model, 1, [512, 512]);
        (shape.peak_bytes(checkpointing) - PROGRAM_BYTES) as f64 / f64::from(512 * 512 * 4)
    }

    #[test]
    fn a_small_networks_step_takes_what_is_counted_by_hand() {
        // Kept: image 1, class ids twice 1/4; encoder 4 times 2 and its pool 1/2; bottleneck 4 times 1 (twice the channels at a
        // quarter of the size); enlargement 2 times 2, decoder 4 times 2. That is 26. The loss adds the logits 2 and
        // their gradient 2. Weights of all convolutions are less than 0.02.
        for upsampling in [Upsampling::Nearest, Upsampling::UpConvolution] {
            let found = channels(upsampling, false);
            assert!((30.0..30.02).contains(&found), "{upsampling:?}: {found}");
            // Only outputs of convolutions are kept: 13.5. To these add the gradient of the logits 2, the recomputed output
            // of the last norm 2, and its gradient 2.
            let found = channels(upsampling, true);
            assert!((19.5..19.52).contains(&found), "{upsampling:?}: {found}");
        }
    }

    #[test]
    fn a_stem_takes_what_is_counted_by_hand() {
        let upsampling = Upsampling::Nearest;
        let model = UNetConfig {
            base: 4,
            depth: 1,
            channels: 1,
            classes: 2,
            upsampling,
            stem: Stem::Half,
            ..UNetConfig::default()
        };
        let shape = StepShape::by_defaults(model, 1, [512, 512]);
        let found = (shape.peak_bytes(false) - PROGRAM_BYTES) as f64 / f64::from(512 * 512 * 4);
        // Kept: image 1, class ids twice 1/4; stem 2 times 1 (4 channels at a quarter of the size); encoder 4 times 1 and its
        // pool 1/4; bottleneck 4 times 1/2; enlargement 2 times 1, decoder 4 times 1. That is 15.75. On top of it come the
        // logits 2 and their gradient 2.
        assert!((19.75..19.8).contains(&found), "{found}");
    }

    #[test]
    fn a_loss_adds_what_it_holds_for_each_pixel() {
        let upsampling = Upsampling::Nearest;
        let model = UNetConfig {
            base: 2,
            depth: 1,
            channels: 1,
            classes: 8,
            upsampling,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let peak = |loss: &str| {
            let loss = LossConfig { function: loss.parse().unwrap(), ..LossConfig::default() };
            StepShape { loss, ..StepShape::by_defaults(model.clone(), 1, [512, 512]) }.peak_bytes(false)
        };
        // The peak is at the loss; 17 bytes for hard pixels and 6 for boundaries.
        let more = peak("cross-entropy+hard-pixels+boundary") - peak("cross-entropy");
        assert!(more.abs_diff(23 * 512 * 512) < 1 << 14, "{more} bytes");
        // Counts of 8 classes in 8192 buckets of two u32, and as many slopes.
        let more = peak("cross-entropy+lovasz") - peak("cross-entropy");
        assert!(more.abs_diff(2 * 8 * 8192 * 8) < 1 << 14, "{more} bytes");
    }

    #[test]
    fn deep_layers_on_few_pixels_are_weights() {
        let model = UNetConfig {
            base: 64,
            depth: 3,
            channels: 1,
            classes: 2,
            upsampling: Upsampling::Nearest,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let weights = 4.0 * model.layers().weights() as f64;
        let shape = StepShape::by_defaults(model, 1, [8, 8]);
        let found = (shape.peak_bytes(false) - PROGRAM_BYTES) as f64 / weights;
        // Old and new weights and two moments, and the gradient of the largest layer, a quarter of all; gradients of 16 of 9
        // weights and packed ones are gone by then, but leave gaps.
        assert!((4.25..5.5).contains(&found), "{found}");
    }

    /// Two branches of equal depth with different operations, joined with the skip that both read.
    #[cfg(feature = "flex")]
    fn branches() -> Layers {
        let conv = |kind, outputs, norm_relu: bool| {
            Layer::Convolution(Convolution { kind, outputs, bias: !norm_relu, norm_relu })
        };
        let mut layers = Layers::new(1);
        let skip = layers.push("skip", conv(ConvolutionKind::Same, 4, true), &[0]);
        let left = layers.push("left.0", Layer::MaxPool, &[skip]);
        let left = layers.push("left.1", conv(ConvolutionKind::UpConvolution, 4, true), &[left]);
        let right = layers.push("right.0", Layer::MaxPool, &[skip]);
        let right = layers.push("right.1", conv(ConvolutionKind::Upsampling, 4, true), &[right]);
        let x = layers.push("join.0", conv(ConvolutionKind::Same, 4, true), &[left, right]);
        let x = layers.push("join.1", conv(ConvolutionKind::Same, 4, true), &[skip, x]);
        let x = layers.push("sum", Layer::Add, &[skip, x]);
        let x = layers.push("filter", conv(ConvolutionKind::Depthwise, 4, true), &[x]);
        layers.push("head", conv(ConvolutionKind::Pointwise, 2, false), &[x]);
        layers
    }

    /// Names of the gradients of a step as burn calls them, and in [`Graph::backward_order`].
    #[cfg(feature = "flex")]
    fn gradients(layers: &Layers) -> [Vec<String>; 2] {
        use crate::model::Network;
        use crate::operation::profile;
        use burn::tensor::{Device, Tensor};

        let device = Device::flex().autodiff();
        let network = Network::new(layers.clone(), &mut crate::rng::Rng::new(1), &device);
        let images = Tensor::ones([1, layers.image_channels(), 16, 16], &device);
        profile::ask();
        let loss = network.forward(images).sum();
        profile::take();
        loss.backward();
        let wanted = ["gradient of the weights", "batch norm with ReLU, gradient", "max-pooling, gradient"];
        let called = profile::take().into_iter().map(|(name, _)| name.to_owned());
        let called = called.filter(|name| wanted.iter().any(|wanted| name.ends_with(wanted))).collect();

        let model = UNetConfig {
            base: 1,
            depth: 1,
            channels: 1,
            classes: 2,
            upsampling: Upsampling::Nearest,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let shape = StepShape::by_defaults(model, 1, [8, 8]);
        let graph = Graph::new(layers, &shape, false);
        let kinds = layers.nodes().iter().flat_map(|node| match node.layer {
            Layer::Convolution(convolution) => {
                let name = match convolution.kind {
                    ConvolutionKind::Pointwise | ConvolutionKind::Same => "convolution",
                    ConvolutionKind::Strided => "strided convolution",
                    ConvolutionKind::Depthwise => "depthwise convolution",
                    ConvolutionKind::Upsampling => "upsampling",
                    ConvolutionKind::UpConvolution => "up-convolution",
                };
                let norm = convolution.norm_relu.then(|| wanted[1].to_owned());
                [Some(format!("{name}, {}", wanted[0])), norm]
            }
            Layer::MaxPool => [Some(wanted[2].to_owned()), None],
            // Copies a gradient, without a name in the profile.
            Layer::Add => [Some(String::new()), None],
        });
        let kinds: Vec<String> = kinds.flatten().collect();
        let planned = graph.backward_order().into_iter().map(|step| kinds[step].clone());
        [called, planned.filter(|name| !name.is_empty()).collect()]
    }

    #[cfg(feature = "flex")]
    #[test]
    fn burn_computes_gradients_in_the_order_that_the_plan_follows() {
        for (upsampling, stem) in [
            (Upsampling::Nearest, Stem::Full),
            (Upsampling::UpConvolution, Stem::Full),
            (Upsampling::Nearest, Stem::Quarter),
        ] {
            let model =
                UNetConfig { base: 4, depth: 2, channels: 1, classes: 2, upsampling, stem, ..UNetConfig::default() };
            let layers = model.layers();
            let [called, planned] = gradients(&layers);
            assert_eq!(called, planned, "{upsampling:?}");
            // Without branches, that is the forward pass backward.
            let shape = StepShape::by_defaults(model, 1, [8, 8]);
            let graph = Graph::new(&layers, &shape, false);
            assert!(graph.backward_order().into_iter().eq((0..graph.steps.len()).rev()));
        }
        let [called, planned] = gradients(&branches());
        assert_eq!(called, planned, "with branches");
    }
}
