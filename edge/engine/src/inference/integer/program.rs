//! What the integer engine computes, as a list of steps over u8 tensors: no ONNX, no buffers, no instruction sets.
//!
//! Every tensor is unsigned here. A signed one of the file is kept as its value plus 128, which shifts its zero point and
//! changes nothing else.

use super::super::kernel::Convolution;

/// Index of a tensor in [`Program::tensors`].
pub(super) type TensorId = usize;

/// One activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Activation {
    /// The name in the file.
    pub name: String,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Whether the file's values are signed, so that they leave as they are here less 128.
    pub signed: bool,
}

/// What a step computes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operator {
    /// A convolution with its requantization; ReLU is in its clamping.
    Conv(Box<Convolution>),
    /// Each byte through a table: to another scale or zero point.
    Requantize(Box<[u8; 256]>),
    /// Maximum over 2x2 with stride 2; an odd last row or column is left out.
    MaxPool,
    /// Each pixel becomes 2x2 equal ones.
    Upsample,
    /// Channels one after the other.
    Concat,
    /// `[4 C, H, W]` to `[C, 2 H, 2 W]`, ONNX's mode DCR.
    DepthToSpace,
}

impl Operator {
    /// The operator's name in ONNX; two where it takes two.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Operator::Conv(_) => "QLinearConv",
            Operator::Requantize(_) => "DequantizeLinear, QuantizeLinear",
            Operator::MaxPool => "MaxPool",
            Operator::Upsample => "Resize",
            Operator::Concat => "Concat",
            Operator::DepthToSpace => "DepthToSpace",
        }
    }
}

/// One operator with its operands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Name of the node in the file.
    pub node: String,
    /// What it computes.
    pub operator: Operator,
    /// What it reads.
    pub inputs: Vec<TensorId>,
    /// What it makes.
    pub output: TensorId,
}

/// What lies between the caller's numbers and the chain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum End {
    /// The caller has the very integers.
    Bytes,
    /// The caller has f32: `QuantizeLinear` reads the graph's input.
    Floats {
        /// Its scale, finite and above zero.
        scale: f32,
        /// Its zero point, of the unsigned tensor.
        zero_point: u8,
    },
}

/// A whole graph, its steps in an order in which each reads what is there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Program {
    /// All activations.
    pub tensors: Vec<Activation>,
    /// The steps.
    pub steps: Vec<Step>,
    /// The tensor that a frame fills.
    pub input: TensorId,
    /// The quantized logits, whatever `DequantizeLinear` or `ArgMax` the graph has behind them: the largest is the same.
    pub output: TensorId,
    /// How a frame comes in.
    pub enter: End,
}

impl Program {
    /// Lets convolutions read the small tensor wherever an upsampled one has no other readers, so that it is never made.
    pub(super) fn fold_upsampling(&mut self) {
        for tensor in 0..self.tensors.len() {
            let Some(maker) = self.steps.iter().position(|step| step.output == tensor) else { continue };
            let reads = |step: &&Step| step.inputs.contains(&tensor);
            let folds = |step: &Step| matches!(&step.operator, Operator::Conv(conv) if conv.shape.strides == [1, 1] && !conv.shape.upsample);
            let is_read = self.steps.iter().any(|step| reads(&step));
            let is_upsampled = self.steps[maker].operator == Operator::Upsample;
            if !is_upsampled || !is_read || tensor == self.output || !self.steps.iter().filter(reads).all(folds) {
                continue;
            }
            let small = self.steps.remove(maker).inputs[0];
            for step in self.steps.iter_mut().filter(|step| step.inputs.contains(&tensor)) {
                if let Operator::Conv(conv) = &mut step.operator {
                    conv.shape.upsample = true;
                }
                step.inputs = vec![small];
            }
        }
    }

    /// Multiplications of one frame by this step; zero for what is no convolution.
    pub(super) fn multiplications(&self, step: &Step) -> u64 {
        match &step.operator {
            Operator::Conv(conv) => {
                let [_, height, width] = self.tensors[step.output].shape;
                conv.shape.macs([height, width])
            }
            _ => 0,
        }
    }
}
