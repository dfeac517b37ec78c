//! The network as a list of operations with the memory of the tensors that they read and write.

use super::StepShape;
use crate::model::layers::{Convolution, ConvolutionKind, Layer, Layers, Node};
use unet_kernels::{partial_sums, strided_tiles_bytes, tiles_bytes};

/// Bytes of a number.
pub(super) const F32: u64 = 4;

/// The operation, as far as its memory depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A convolution with `weights` weights, at any stride, or an up-convolution.
    Convolution { weights: u64 },
    /// Nearest-neighbor upsampling and a 3x3 convolution with `weights` weights.
    Upsample { weights: u64 },
    /// Batch norm with ReLU.
    NormRelu,
    /// 2x2 max-pooling.
    MaxPool,
    /// The sum of two values.
    Add,
}

impl Kind {
    /// Whether gradient checkpointing recomputes the output instead of keeping it.
    fn is_cheap(self) -> bool {
        matches!(self, Self::NormRelu | Self::MaxPool)
    }

    /// Whether the gradient depends on the inputs.
    pub fn needs_inputs(self) -> bool {
        self != Self::Add
    }

    /// Bytes of the weights; 0 for a norm, whose parameters are negligible.
    pub fn weights(self) -> u64 {
        match self {
            Self::Convolution { weights } | Self::Upsample { weights } => weights * F32,
            _ => 0,
        }
    }

    /// Bytes of weights that are derived first: for upsampling, sums for each parity, 16 of 9.
    pub fn folded(self) -> u64 {
        if let Self::Upsample { weights } = self { weights * 16 / 9 * F32 } else { 0 }
    }

    /// Bytes of the weights packed for the compute kernel.
    pub fn packed(self) -> u64 {
        self.folded().max(self.weights())
    }

    /// Bytes of partial sums of the weight gradient.
    pub fn partial(self) -> u64 {
        partial_sums((self.packed() / F32) as usize) as u64 * F32
    }
}

/// An activation.
#[derive(Clone, Debug)]
pub(super) struct Value {
    /// Bytes of the activation, and of its gradient.
    pub bytes: u64,
    /// Whether it is stored channels first, so that each compute kernel that reads it makes a copy, channels last.
    pub planes: bool,
    /// The operation that computes it; none for the images.
    pub maker: Option<usize>,
    /// How often the forward pass reads it.
    pub readers: usize,
    /// How often the backward pass needs it: for gradients, and to recompute other values.
    pub needed: usize,
}

/// An operation of the network, with the values that it reads and writes.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What it computes.
    pub kind: Kind,
    /// Values that it reads.
    pub inputs: Vec<usize>,
    /// The value that it computes.
    pub output: usize,
    /// See [`crate::model::layers::Value::depth`].
    pub depth: usize,
}

/// The operations of the network in order; the first value is the images, the last one the logits.
#[derive(Debug)]
pub(super) struct Graph {
    /// All activations.
    pub values: Vec<Value>,
    /// All operations.
    pub steps: Vec<Step>,
    /// Bytes of one channel of the logits.
    pub channel: u64,
    /// Bytes of the tiles of each thread.
    pub tiles: u64,
    /// Bytes that the loss holds besides the logits and their gradient.
    pub loss_bytes: u64,
    /// Whether the gradients of several batches are added before a step.
    pub is_accumulating: bool,
    /// Whether an average of the weights is kept.
    pub is_averaging: bool,
    checkpointing: bool,
}

impl Graph {
    /// The operations of a network's layers, one for each that burn differentiates.
    pub fn new(layers: &Layers, shape: &StepShape, checkpointing: bool) -> Self {
        let pixels =
            |halvings: usize| (shape.batch as u64 * shape.width as u64 * shape.height as u64) >> (2 * halvings);
        let channel = pixels(0) * F32;
        let tables = shape.loss.table_bytes(shape.model.classes, shape.threads);
        let loss_bytes = pixels(0) * shape.loss.pixel_bytes() + tables;
        let mut graph = Self {
            values: vec![],
            steps: vec![],
            channel,
            tiles: 0,
            loss_bytes,
            is_accumulating: shape.optimizer.accumulate > 1,
            is_averaging: shape.optimizer.ema > 0.0,
            checkpointing,
        };
        let images = graph.value(pixels(0) * layers.image_channels() as u64, None);
        graph.values[images].planes = layers.image_channels() > 1;
        // The value of the graph that each activation is.
        let mut values = vec![images];
        for (node, output) in layers.nodes().iter().zip(&layers.values()[1..]) {
            let inputs: Vec<usize> = node.inputs.iter().map(|&input| values[input]).collect();
            let numbers = pixels(output.halvings) * output.channels as u64;
            values.push(match node.layer {
                Layer::Convolution(convolution) => {
                    graph.tile(layers, node, convolution, shape.width);
                    let weights = layers.weight_shape(node).map_or(0, |shape| shape.iter().product::<usize>() as u64);
                    let kind = match convolution.kind {
                        ConvolutionKind::Upsampling => Kind::Upsample { weights },
                        _ => Kind::Convolution { weights },
                    };
                    if convolution.norm_relu {
                        let x = graph.step(kind, inputs, numbers, output.depth - 1);
                        graph.step(Kind::NormRelu, vec![x], numbers, output.depth)
                    } else {
                        graph.step(kind, inputs, numbers, output.depth)
                    }
                }
                Layer::MaxPool => graph.step(Kind::MaxPool, inputs, numbers, output.depth),
                Layer::Add => graph.step(Kind::Add, inputs, numbers, output.depth),
            });
        }
        graph.count_needed();
        graph
    }

    /// The operations in the order in which burn computes their gradients: by decreasing depth; at equal depth, in the order
    /// of a depth-first traversal from the logits that visits the last input first. So a gradient is complete before it is
    /// propagated, and of the readers of a skip the deepest one allocates its gradient, to which the others add.
    ///
    /// burn does not guarantee this order (`GraphTraversal` and `AutodiffServer` of burn-autodiff 0.22). A test of
    /// [`super`] compares it with the order in which burn calls our gradients.
    pub fn backward_order(&self) -> Vec<usize> {
        let (mut order, mut met) = (vec![], vec![false; self.steps.len()]);
        let mut next: Vec<usize> = self.steps.len().checked_sub(1).into_iter().collect();
        while let Some(step) = next.pop() {
            if !std::mem::replace(&mut met[step], true) {
                order.push(step);
                next.extend(self.steps[step].inputs.iter().filter_map(|&input| self.values[input].maker));
            }
        }
        // The sort is stable.
        order.sort_by_key(|&step| std::cmp::Reverse(self.steps[step].depth));
        order
    }

    /// The operation that recomputes a value; `None` if the value is kept.
    pub fn recomputed_by(&self, value: usize) -> Option<usize> {
        self.values[value].maker.filter(|&maker| self.checkpointing && self.steps[maker].kind.is_cheap())
    }

    fn value(&mut self, numbers: u64, maker: Option<usize>) -> usize {
        self.values.push(Value { bytes: numbers * F32, planes: false, maker, readers: 0, needed: 0 });
        self.values.len() - 1
    }

    /// Adds an operation with an output of `numbers` values.
    fn step(&mut self, kind: Kind, inputs: Vec<usize>, numbers: u64, depth: usize) -> usize {
        for &input in &inputs {
            self.values[input].readers += 1;
        }
        let output = self.value(numbers, Some(self.steps.len()));
        self.steps.push(Step { kind, inputs, output, depth });
        output
    }

    /// Accounts for the tiles of a convolution in a network on images of `width` pixels.
    fn tile(&mut self, layers: &Layers, node: &Node, convolution: Convolution, width: usize) {
        let (inputs, outputs) = (layers.input_channels(node), convolution.outputs);
        let halvings = layers.values()[node.inputs[0]].halvings;
        let bytes = match convolution.kind {
            ConvolutionKind::Pointwise | ConvolutionKind::Same => tiles_bytes(inputs, outputs, width >> halvings),
            // Reads its input where it is.
            ConvolutionKind::Depthwise => 0,
            ConvolutionKind::Strided => strided_tiles_bytes(inputs, outputs, width >> (halvings + 1)),
            // The four pixels that one pixel is enlarged to count as its channels.
            ConvolutionKind::Upsampling | ConvolutionKind::UpConvolution => {
                tiles_bytes(inputs, 4 * outputs, width >> halvings)
            }
        };
        self.tiles = self.tiles.max(bytes as u64);
    }

    fn count_needed(&mut self) {
        // From the last operation to the first, since an input is needed only if the output is.
        for step in (0..self.steps.len()).rev() {
            let Step { kind, inputs, output, .. } = self.steps[step].clone();
            let by_recomputing = usize::from(self.recomputed_by(output).is_some() && self.values[output].needed > 0);
            for input in inputs {
                self.values[input].needed += usize::from(kind.needs_inputs()) + by_recomputing;
            }
        }
    }
}
