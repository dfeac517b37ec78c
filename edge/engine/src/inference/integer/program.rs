//! What the integer engine computes, as a list of steps over u8 tensors: no ONNX, no buffers, no instruction sets.
//!
//! Every tensor is unsigned here. A signed one of the file is kept as its value plus 128, which shifts its zero point and
//! changes nothing else.

use unet_shared::quantization::{Addition, Quantization};

use super::super::kernel::Convolution;
use super::movement::{Movement, PoolWindows, UPSAMPLE};

/// Index of a tensor in [`Program::tensors`].
pub(super) type TensorId = usize;

/// One activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Activation {
    /// Its name in the file.
    pub name: String,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Whether the file's values are signed: those here less 128.
    pub signed: bool,
}

/// What a step computes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operator {
    /// A convolution with its requantization; ReLU is in its clamping.
    Conv(Box<Convolution>),
    /// Each byte through a table: to another scale or zero point.
    Requantize(Box<[u8; 256]>),
    /// Data movement on one tensor.
    Movement(&'static Movement),
    /// Maxima over windows other than 2x2 with stride 2 and no pads.
    MaxPool(PoolWindows),
    /// The sum of two tensors, byte by byte.
    Add(Addition),
    /// Channels one after the other.
    Concat,
}

impl Operator {
    /// The operator's name in ONNX; two names if it stands for two nodes.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Operator::Conv(_) => "QLinearConv",
            Operator::Requantize(_) => "DequantizeLinear, QuantizeLinear",
            Operator::Movement(movement) => movement.name,
            Operator::MaxPool(_) => "MaxPool",
            Operator::Add(_) => "Add",
            Operator::Concat => "Concat",
        }
    }
}

/// One operator with its operands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Name of the node in the file.
    pub node: String,
    /// Its operator.
    pub operator: Operator,
    /// The tensors that it reads.
    pub inputs: Vec<TensorId>,
    /// The tensor that it makes.
    pub output: TensorId,
    /// Index of its part in [`Program::parts`].
    pub part: usize,
}

/// How a tensor looks outside of the program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// The same bytes.
    Bytes,
    /// f32 of this quantization: `QuantizeLinear` on the way in, `DequantizeLinear` on the way out.
    Floats(Quantization),
}

/// A tensor that comes from outside or goes there, N, C, H, W with a batch of 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Boundary {
    /// Its name in the file.
    pub name: String,
    /// The tensor of the program.
    pub tensor: TensorId,
    /// How it looks outside.
    pub form: Form,
}

/// Steps that run one after the other, with no node outside in between.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Part {
    /// Its inputs, taken before its first step.
    pub entries: Vec<Boundary>,
    /// Its outputs, handed out after its last step.
    pub exits: Vec<Boundary>,
}

/// All that the engine covers of a graph. The steps are in the order in which they run, part by part.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Program {
    /// All activations.
    pub tensors: Vec<Activation>,
    /// The steps.
    pub steps: Vec<Step>,
    /// The parts in the order in which they run.
    pub parts: Vec<Part>,
    /// The quantized logits, before any `DequantizeLinear` or `ArgMax` of the graph: the largest is the same. `None` if the
    /// output is made outside.
    pub output: Option<TensorId>,
}

impl Program {
    /// Whether a tensor has readers outside of the steps.
    fn leaves(&self, tensor: TensorId) -> bool {
        let exits = self.parts.iter().flat_map(|part| &part.exits);
        self.output == Some(tensor) || exits.into_iter().any(|exit| exit.tensor == tensor)
    }

    /// The steps that read a tensor.
    fn readers(&self, tensor: TensorId) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.inputs.contains(&tensor))
    }

    /// Lets convolutions clamp their output if a table that only clamps from below is its one reader: a ReLU that the file
    /// has behind the convolution's `QuantizeLinear`.
    pub(super) fn fold_clamps(&mut self) {
        let mut index = 0;
        while index < self.steps.len() {
            let step = &self.steps[index];
            let read = step.inputs[0];
            let min = match &step.operator {
                Operator::Requantize(table) => clamp_of(table),
                _ => None,
            };
            let maker = self.steps.iter().position(|step| step.output == read);
            if let (Some(min), Some(maker)) = (min, maker)
                && !self.leaves(read)
                && self.readers(read).count() == 1
                && matches!(self.steps[maker].operator, Operator::Conv(_))
            {
                let output = self.steps.remove(index).output;
                let maker = &mut self.steps[maker];
                maker.output = output;
                if let Operator::Conv(conv) = &mut maker.operator {
                    conv.clamp[0] = conv.clamp[0].max(min);
                }
            } else {
                index += 1;
            }
        }
    }

    /// Lets convolutions read the small tensor where an upsampled one has no other readers, so that it is never made.
    pub(super) fn fold_upsampling(&mut self) {
        for tensor in 0..self.tensors.len() {
            let Some(maker) = self.steps.iter().position(|step| step.output == tensor) else { continue };
            let reads = |step: &&Step| step.inputs.contains(&tensor);
            let folds = |step: &Step| {
                matches!(
                    &step.operator,
                    Operator::Conv(conv) if conv.shape.strides == [1, 1] && conv.shape.dilations == [1, 1] && !conv.shape.upsample
                )
            };
            let is_read = self.steps.iter().any(|step| reads(&step));
            let is_upsampled = self.steps[maker].operator == Operator::Movement(&UPSAMPLE);
            if !is_upsampled || !is_read || self.leaves(tensor) || !self.steps.iter().filter(reads).all(folds) {
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

    /// Multiply-accumulates of this step in one frame; zero unless it is a convolution.
    pub(super) fn macs(&self, step: &Step) -> u64 {
        match &step.operator {
            Operator::Conv(conv) => {
                let [_, height, width] = self.tensors[step.output].shape;
                conv.shape.macs([height, width])
            }
            _ => 0,
        }
    }
}

/// The byte that a table raises all smaller ones to, if it changes no other.
fn clamp_of(table: &[u8; 256]) -> Option<u8> {
    let min = table[0];
    table.iter().zip(0..=u8::MAX).all(|(&mapped, byte)| mapped == byte.max(min)).then_some(min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_clamps_if_it_changes_only_what_is_below() {
        let table = |value: fn(u8) -> u8| -> [u8; 256] { std::array::from_fn(|byte| value(byte as u8)) };
        assert_eq!(clamp_of(&table(|byte| byte.max(128))), Some(128));
        assert_eq!(clamp_of(&table(|byte| byte)), Some(0));
        assert_eq!(clamp_of(&table(|byte| byte.clamp(7, 250))), None);
        assert_eq!(clamp_of(&table(|byte| byte.saturating_add(1))), None);
    }
}
