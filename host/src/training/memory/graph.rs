//! The network as its memory sees it: operations in order, and the tensors that they read and make.

use super::StepShape;
use crate::model::Upsampling;
use unet_kernels::{partial_sums, tiles_bytes};

/// Bytes of a number.
pub(super) const F32: u64 = 4;

/// What an operation does, as far as memory goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A convolution of that many weights.
    Convolution { weights: u64 },
    /// A 3x3 convolution of that many weights behind nearest upsampling.
    Upsample { weights: u64 },
    /// A 2x2 up-convolution of that many weights.
    UpConvolution { weights: u64 },
    /// Batch norm with ReLU.
    NormRelu,
    /// 2x2 max-pooling.
    MaxPool,
}

impl Kind {
    /// Whether gradient checkpointing computes the output again where it is needed, instead of keeping it.
    fn is_cheap(self) -> bool {
        matches!(self, Self::NormRelu | Self::MaxPool)
    }

    /// Bytes of the weights, 0 where there are none worth counting.
    pub fn weights(self) -> u64 {
        match self {
            Self::Convolution { weights } | Self::Upsample { weights } | Self::UpConvolution { weights } => {
                weights * F32
            }
            _ => 0,
        }
    }

    /// Bytes of what is made of the weights first: for upsampling, sums for each parity, 16 of 9.
    pub fn folded(self) -> u64 {
        if let Self::Upsample { weights } = self { weights * 16 / 9 * F32 } else { 0 }
    }

    /// Bytes of the weights in the order in which a kernel reads them.
    pub fn packed(self) -> u64 {
        self.folded().max(self.weights())
    }

    /// Bytes of the partial sums of the weights' gradient.
    pub fn partial(self) -> u64 {
        partial_sums((self.packed() / F32) as usize) as u64 * F32
    }
}

/// An image tensor of the network.
#[derive(Clone, Debug)]
pub(super) struct Value {
    /// Bytes of it, and of its gradient.
    pub bytes: u64,
    /// Whether channels come before pixels in memory, so that each kernel that reads it makes a copy in its own order.
    pub planes: bool,
    /// The operation that makes it; none for the images.
    pub maker: Option<usize>,
    /// How often the forward pass reads it.
    pub readers: usize,
    /// How often the backward pass needs it: for gradients, and to compute other values again.
    pub needed: usize,
}

/// An operation of the network, with the values that it reads and makes.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What it does.
    pub kind: Kind,
    /// Values that it reads.
    pub inputs: Vec<usize>,
    /// The value that it makes.
    pub output: usize,
}

/// The operations of the network in order; the first value are the images, the last the logits.
#[derive(Debug)]
pub(super) struct Graph {
    /// All image tensors.
    pub values: Vec<Value>,
    /// All operations.
    pub steps: Vec<Step>,
    /// Bytes of one channel of the logits.
    pub channel: u64,
    /// Bytes of the tiles that a thread keeps.
    pub tiles: u64,
    /// See [`Loss::working_tensors`](crate::training::loss::Loss::working_tensors).
    pub loss_tensors: usize,
    checkpointing: bool,
}

impl Graph {
    /// As [`crate::model::UNet::forward`] goes.
    pub fn new(shape: &StepShape, checkpointing: bool) -> Self {
        let model = &shape.model;
        let pixels = |level: usize| (shape.batch as u64 * shape.width as u64 * shape.height as u64) >> (2 * level);
        let width = |level: usize| (model.base as u64) << level;
        let (channel, loss_tensors) = (pixels(0) * F32, shape.loss.working_tensors(checkpointing));
        let mut graph = Self { values: vec![], steps: vec![], channel, tiles: 0, loss_tensors, checkpointing };
        let side = |level: usize| shape.width >> level;
        let mut from = model.channels as u64;
        let (mut x, mut skips) = (graph.value(pixels(0) * from, None), vec![]);
        graph.values[x].planes = from > 1;
        for level in 0..model.depth {
            let skip = graph.double(vec![x], from, width(level), pixels(level), side(level));
            x = graph.step(Kind::MaxPool, vec![skip], pixels(level + 1) * width(level));
            skips.push(skip);
            from = width(level);
        }
        x = graph.double(vec![x], from, width(model.depth), pixels(model.depth), side(model.depth));
        for (level, skip) in skips.into_iter().enumerate().rev() {
            let (to, numbers) = (width(level), pixels(level) * width(level));
            let pairs = 2 * to * to;
            // All four pixels that come of one are outputs of it.
            graph.tile(2 * to, 4 * to, side(level + 1));
            x = match model.upsampling {
                Upsampling::Nearest => graph.step(Kind::Upsample { weights: 9 * pairs }, vec![x], numbers),
                Upsampling::UpConvolution => graph.step(Kind::UpConvolution { weights: 4 * pairs }, vec![x], numbers),
            };
            x = graph.step(Kind::NormRelu, vec![x], numbers);
            x = graph.double(vec![skip, x], 2 * to, to, pixels(level), side(level));
        }
        let classes = model.classes as u64;
        graph.tile(width(0), classes, side(0));
        graph.step(Kind::Convolution { weights: width(0) * classes }, vec![x], pixels(0) * classes);
        graph.count_needed();
        graph
    }

    /// How a value is made that is not kept; none for one that is kept.
    pub fn again(&self, value: usize) -> Option<usize> {
        self.values[value].maker.filter(|&maker| self.checkpointing && self.steps[maker].kind.is_cheap())
    }

    fn value(&mut self, numbers: u64, maker: Option<usize>) -> usize {
        self.values.push(Value { bytes: numbers * F32, planes: false, maker, readers: 0, needed: 0 });
        self.values.len() - 1
    }

    /// Adds an operation with an output of that many numbers.
    fn step(&mut self, kind: Kind, inputs: Vec<usize>, numbers: u64) -> usize {
        for &input in &inputs {
            self.values[input].readers += 1;
        }
        let output = self.value(numbers, Some(self.steps.len()));
        self.steps.push(Step { kind, inputs, output });
        output
    }

    /// Makes room for the tiles of a convolution on rows of `width` pixels.
    fn tile(&mut self, inputs: u64, outputs: u64, width: usize) {
        self.tiles = self.tiles.max(tiles_bytes(inputs as usize, outputs as usize, width) as u64);
    }

    /// Two times convolution with norm and ReLU.
    fn double(&mut self, inputs: Vec<usize>, from: u64, to: u64, pixels: u64, width: usize) -> usize {
        self.tile(from, to, width);
        self.tile(to, to, width);
        let x = self.step(Kind::Convolution { weights: 9 * from * to }, inputs, pixels * to);
        let x = self.step(Kind::NormRelu, vec![x], pixels * to);
        let x = self.step(Kind::Convolution { weights: 9 * to * to }, vec![x], pixels * to);
        self.step(Kind::NormRelu, vec![x], pixels * to)
    }

    fn count_needed(&mut self) {
        // From the last operation to the first, so that whether an output is needed is known before its inputs.
        for step in (0..self.steps.len()).rev() {
            let Step { inputs, output, .. } = self.steps[step].clone();
            let by_output = usize::from(self.again(output).is_some() && self.values[output].needed > 0);
            for input in inputs {
                // Once by the gradient.
                self.values[input].needed += 1 + by_output;
            }
        }
    }
}
