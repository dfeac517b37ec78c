//! A convolution, packed once and run on every frame.

use super::convolution::{ConvShape, Convolution};
use super::depthwise::{Depthwise, is_depthwise};
use super::error::ConvError;
use super::grid::Grid;
use super::packed::Packed;
use super::registry::Kernel;
use super::scalar::Scalar;
use super::upsampled::Upsampled;
use super::view::{InputView, OutputView};
use super::winograd::Winograd;

/// A convolution, packed for a compute kernel and for the layout of its input.
pub struct PackedConv {
    shape: ConvShape,
    input: Grid,
    output_size: [usize; 2],
    plan: Plan,
}

/// The packed weights, by algorithm.
enum Plan {
    Scalar(Scalar),
    Packed(Kernel, Packed),
    Upsampled(Kernel, Upsampled),
    Winograd(Kernel, Winograd),
    Depthwise(Kernel, Depthwise),
}

impl Plan {
    fn new(kernel: Kernel, convolution: &Convolution, input: &Grid) -> Plan {
        let Some(set) = kernel.instruction_set() else { return Plan::Scalar(Scalar::new(convolution)) };
        if is_depthwise(&convolution.shape) {
            return match Depthwise::new(set, convolution, input) {
                Some(depthwise) => Plan::Depthwise(kernel, depthwise),
                None => Plan::Scalar(Scalar::new(convolution)),
            };
        }
        if let Some(upsampled) = Upsampled::new(set, convolution, input) {
            return Plan::Upsampled(kernel, upsampled);
        }
        if let Some(winograd) = Winograd::new(set, convolution, input) {
            return Plan::Winograd(kernel, winograd);
        }
        match Packed::new(set, convolution, input) {
            Some(packed) => Plan::Packed(kernel, packed),
            None => Plan::Scalar(Scalar::new(convolution)),
        }
    }
}

impl PackedConv {
    /// Packs a convolution for `kernel`, on inputs of this layout.
    ///
    /// # Errors
    ///
    /// If the number of weights, biases, multipliers or zero points is wrong, the taps do not fit into the input, its border is
    /// too small, or the processor lacks the instructions.
    pub fn new(kernel: Kernel, convolution: &Convolution, input: Grid) -> Result<PackedConv, ConvError> {
        let output_size = convolution.check(&input)?;
        if !kernel.is_available() {
            return Err(ConvError::Unavailable { kernel });
        }
        let plan = Plan::new(kernel, convolution, &input);
        Ok(PackedConv { shape: convolution.shape, input, output_size, plan })
    }

    /// The shape.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// What computes it: the kernel asked for, or [`Kernel::Scalar`] if numbers could overflow i32.
    pub fn kernel(&self) -> Kernel {
        match &self.plan {
            Plan::Scalar(_) => Kernel::Scalar,
            Plan::Packed(kernel, _)
            | Plan::Upsampled(kernel, _)
            | Plan::Winograd(kernel, _)
            | Plan::Depthwise(kernel, _) => *kernel,
        }
    }

    /// Rows and columns of the output.
    pub fn output_size(&self) -> [usize; 2] {
        self.output_size
    }

    /// Multiply-accumulates of one run, as [`ConvShape::macs`] counts them.
    pub fn macs(&self) -> u64 {
        self.shape.macs(self.output_size)
    }

    /// Bytes of the packed weights, biases and multipliers.
    pub fn bytes(&self) -> usize {
        match &self.plan {
            Plan::Scalar(plan) => plan.bytes(),
            Plan::Packed(_, plan) => plan.bytes(),
            Plan::Upsampled(_, plan) => plan.bytes(),
            Plan::Winograd(_, plan) => plan.bytes(),
            Plan::Depthwise(_, plan) => plan.bytes(),
        }
    }

    /// Scratch space of a run, in i32.
    pub fn scratch(&self) -> usize {
        match &self.plan {
            Plan::Scalar(_) | Plan::Depthwise(..) => 0,
            Plan::Packed(_, plan) => plan.scratch(),
            Plan::Upsampled(_, plan) => plan.scratch(self.input.width),
            Plan::Winograd(_, plan) => plan.scratch(),
        }
    }

    /// Computes the rows of `output`. `scratch` has at least [`PackedConv::scratch`] values, whose contents do not matter
    /// before or after.
    ///
    /// # Panics
    ///
    /// If the views do not match this convolution in strides, border, size or number of channels, or `scratch` is too short.
    pub fn run(&self, input: &InputView<'_>, output: &mut OutputView<'_>, scratch: &mut [i32]) {
        assert!(scratch.len() >= self.scratch(), "scratch of {}", scratch.len());
        assert_eq!(input.grid, self.input, "layout of the input");
        assert_eq!(input.channels, self.shape.channels_in, "channels of the input");
        assert_eq!(output.channels, self.shape.channels_out, "channels of the output");
        assert_eq!([output.grid.height, output.grid.width], self.output_size, "size of the output");
        match &self.plan {
            Plan::Scalar(plan) => plan.run(&self.shape, input, output),
            Plan::Packed(_, plan) => plan.run(&self.shape, input, output, scratch),
            Plan::Upsampled(_, plan) => plan.run(input, output, scratch),
            Plan::Winograd(_, plan) => plan.run(&self.shape, input, output, scratch),
            Plan::Depthwise(_, plan) => plan.run(&self.shape, input, output),
        }
    }
}
