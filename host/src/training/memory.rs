//! How much memory a step of training takes, known before it starts.
//!
//! Steps are walked through without computing: every tensor is held and released in the order in which the network's
//! operations, burn's automatic differentiation and the loss do it, forward and backward, with gradient checkpointing or
//! without. Only the program itself is a measured number.

mod graph;
mod heap;
mod plan;
mod walk;

use crate::backend::Backend;
use crate::config::RunConfig;
use crate::model::UNetConfig;
use crate::operation::Operators;
use crate::training::loss::Loss;
use graph::Graph;
use walk::Walk;

pub use plan::{Checkpointing, DoesNotFit, MemoryOptions, MemoryPlan};

/// What the process holds beside the walk's heap, measured on Linux: 17 MiB of code, tables and threads, as the peak of a
/// network whose step takes a few kilobytes, and 3 MiB by which the C library's heap grows beyond one without small pieces
/// between the tensors, as the mean over networks of 75 to 700 MiB.
const PROGRAM_BYTES: u64 = 20 << 20;
/// Steps until the heap grows no more: the first one makes Adam's moments, the second one finds its gaps.
const STEPS: usize = 3;

/// What decides the memory of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub loss: Loss,
}

impl StepShape {
    /// The step of a run on that many images, of which a batch takes no more than there are. None where this project's kernels
    /// do not compute it: other backends, and burn's own operators, keep and copy differently.
    pub fn of(config: &RunConfig, images: usize) -> Option<Self> {
        let by_kernels = config.backend == Backend::Flex && Operators::in_use() != Operators::Stock;
        by_kernels.then(|| Self {
            model: config.model.clone(),
            batch: config.training.batch.min(images),
            width: config.preprocess.width as usize,
            height: config.preprocess.height as usize,
            threads: rayon::current_num_threads(),
            loss: config.training.loss.function,
        })
    }

    /// The most bytes that a process holds which trains with Adam on burn's flex backend by this project's kernels,
    /// beside what it keeps of the data set.
    pub fn peak_bytes(&self, checkpointing: bool) -> u64 {
        let graph = Graph::new(self, checkpointing);
        PROGRAM_BYTES + self.threads as u64 * graph.tiles + Walk::new(&graph).peak(STEPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Upsampling;

    /// The heap of a step in units of one channel at full size.
    fn channels(upsampling: Upsampling, checkpointing: bool) -> f64 {
        let model = UNetConfig { base: 2, depth: 1, channels: 1, classes: 2, upsampling };
        let shape = StepShape { model, batch: 1, width: 512, height: 512, threads: 0, loss: Loss::CrossEntropy };
        (shape.peak_bytes(checkpointing) - PROGRAM_BYTES) as f64 / f64::from(512 * 512 * 4)
    }

    #[test]
    fn a_small_networks_step_is_that_which_is_counted_by_hand() {
        // Kept: image 1, class ids twice 1/4; encoder 4 times 2 and its pool 1/2; bottleneck 4 times 1 (twice the channels at a
        // quarter of the size); enlargement 2 times 2, decoder 4 times 2. That is 26. The loss is on top of it: the logits 2
        // and their gradient 2. Weights of all convolutions are less than 0.02.
        for upsampling in [Upsampling::Nearest, Upsampling::UpConvolution] {
            let found = channels(upsampling, false);
            assert!((30.0..30.02).contains(&found), "{upsampling:?}: {found}");
            // Only outputs of convolutions are kept: 13.5. On top of them come the gradient of the logits 2, the last norm's
            // output, which is computed again, 2, and its gradient 2.
            let found = channels(upsampling, true);
            assert!((19.5..19.52).contains(&found), "{upsampling:?}: {found}");
        }
    }

    #[test]
    fn dice_needs_more_for_the_logits() {
        let model = UNetConfig { base: 2, depth: 1, channels: 1, classes: 8, upsampling: Upsampling::Nearest };
        let peak = |loss| {
            StepShape { model: model.clone(), batch: 1, width: 512, height: 512, threads: 0, loss }.peak_bytes(false)
        };
        // The peak is at the loss: five tensors of 8 channels and one channel, of a MiB each.
        let more = peak(Loss::DiceCrossEntropy) - peak(Loss::CrossEntropy);
        assert!(more.abs_diff(41 << 20) < 1 << 14, "{more} bytes");
    }

    #[test]
    fn deep_layers_on_few_pixels_are_weights() {
        let model = UNetConfig { base: 64, depth: 3, channels: 1, classes: 2, upsampling: Upsampling::Nearest };
        let weights = 4.0 * model.parameters() as f64;
        let shape = StepShape { model, batch: 1, width: 8, height: 8, threads: 0, loss: Loss::CrossEntropy };
        let found = (shape.peak_bytes(false) - PROGRAM_BYTES) as f64 / weights;
        // Old and new weights and two moments, and the gradient of the largest layer, a quarter of all; gradients of 16 of 9
        // weights and packed ones are gone by then, but leave gaps.
        assert!((4.25..5.5).contains(&found), "{found}");
    }
}
