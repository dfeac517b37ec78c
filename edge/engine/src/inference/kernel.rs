//! Quantized convolution on u8 tensors: one contract, and one file for each instruction set that fulfils it.
//!
//! # Contract
//!
//! **Tensors** are u8, rows of pixels of channels, in a buffer with a border of `border` pixels on each side; [`Grid`]
//! says where what lies. The owner of a buffer fills the border with the tensor's zero point, once, since no kernel
//! writes there. A kernel reads a view of some neighbouring channels ([`InputView`]) and writes one ([`OutputView`]), so
//! that a concatenation is two producers that write side by side. It may read, and multiply with zero, up to
//! [`SLACK`] bytes behind the channels of its view; [`Grid::bytes`] counts them in. It writes its own channels of its
//! own rows and nothing else. No stride has to be a multiple of anything; a `pixel_stride` equal to the number of
//! channels read is fastest where these are few (a grey picture: 1, not 4).
//!
//! **Result**, equal in each byte for every kernel: with `a` = bias + the sum over taps and channels of
//! `(x - x_zero_point) * (w - w_zero_point)`, `q = round_half_even(f32(a) * multiplier) + y_zero_point`, clamped to
//! `clamp`. An `a` beyond i32 is taken to its nearest end; only [`Kernel::Scalar`] ever meets one, because
//! [`PackedConv::new`] gives it every convolution whose weights do not prove that neither `a` nor
//! `f32(a) * multiplier` leaves i32. [`PackedConv::kernel`] says who really runs.
//!
//! **Threads**: a [`PackedConv`] is shared; each thread brings the [`OutputView`] of its own rows
//! ([`OutputView::split_at_row`]).
//!
//! Knows nothing of graphs, of who owns the buffers, or of threads.

use std::fmt;
use std::str::FromStr;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512_vnni;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
#[cfg(target_arch = "aarch64")]
mod by_element;
mod convolution;
#[cfg(target_arch = "x86_64")]
mod eight_lanes;
mod error;
#[cfg(target_arch = "aarch64")]
mod four_lanes;
mod grid;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod groups;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_dot;
#[cfg(target_arch = "aarch64")]
mod neon_i8mm;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod packed;
mod peak;
mod scalar;
#[cfg(test)]
mod tests;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod upsampled;
mod view;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod widened;
#[cfg(target_arch = "aarch64")]
mod windows;

pub use convolution::{ConvShape, Convolution};
pub use error::ConvError;
pub use grid::{Grid, SLACK};
pub use view::{InputView, OutputView};

/// Who computes a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust; the reference for the others.
    Scalar,
    /// `vpmaddubsw` on weights that are split until no 16-bit sum can saturate.
    Avx2,
    /// `vpdpbusd` on 256 bits.
    AvxVnni,
    /// `vpdpbusd` on 512 bits.
    Avx512Vnni,
    /// `smull` and `smlal` of eight bits, whose 16-bit sums are proved at load to hold: every 64-bit ARM core.
    Neon,
    /// `sdot`: Cortex-A76 and later.
    NeonDot,
    /// `sudot`: cores with 8-bit matrix multiplication.
    NeonI8mm,
}

impl Kernel {
    /// All, on each core from the slowest to the fastest.
    pub const ALL: [Kernel; 7] = [
        Kernel::Scalar,
        Kernel::Avx2,
        Kernel::AvxVnni,
        Kernel::Avx512Vnni,
        Kernel::Neon,
        Kernel::NeonDot,
        Kernel::NeonI8mm,
    ];

    /// The name on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Scalar => "scalar",
            Kernel::Avx2 => "avx2",
            Kernel::AvxVnni => "avx-vnni",
            Kernel::Avx512Vnni => "avx512-vnni",
            Kernel::Neon => "neon",
            Kernel::NeonDot => "neon-dot",
            Kernel::NeonI8mm => "neon-i8mm",
        }
    }

    /// Whether this core, and this build, has it.
    pub fn is_available(self) -> bool {
        match self {
            Kernel::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => avx2::is_available(),
            #[cfg(target_arch = "x86_64")]
            Kernel::AvxVnni => avx_vnni::is_available(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni => avx512_vnni::is_available(),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon => neon::is_available(),
            #[cfg(target_arch = "aarch64")]
            Kernel::NeonDot => neon_dot::is_available(),
            #[cfg(target_arch = "aarch64")]
            Kernel::NeonI8mm => neon_i8mm::is_available(),
            // Those of other architectures.
            _ => false,
        }
    }

    /// What its file gives; `None` for the scalar one and those of other architectures.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn instructions(self) -> Option<&'static packed::Instructions> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => Some(&avx2::INSTRUCTIONS),
            #[cfg(target_arch = "x86_64")]
            Kernel::AvxVnni => Some(&avx_vnni::INSTRUCTIONS),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni => Some(&avx512_vnni::INSTRUCTIONS),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon => Some(&neon::INSTRUCTIONS),
            #[cfg(target_arch = "aarch64")]
            Kernel::NeonDot => Some(&neon_dot::INSTRUCTIONS),
            #[cfg(target_arch = "aarch64")]
            Kernel::NeonI8mm => Some(&neon_i8mm::INSTRUCTIONS),
            _ => None,
        }
    }

    /// The most multiply-accumulates a second that one core reaches with this kernel's instructions, measured now, within some
    /// milliseconds; `None` where they are not there or not measured.
    pub fn peak(self) -> Option<f64> {
        peak::peak(self)
    }

    /// The fastest that is available.
    pub fn best() -> Kernel {
        Kernel::ALL.into_iter().rev().find(|kernel| kernel.is_available()).unwrap_or(Kernel::Scalar)
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A name that is none of a [`Kernel`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kernel: expected scalar, avx2, avx-vnni, avx512-vnni, neon, neon-dot or neon-i8mm, found {found}")]
pub struct UnknownKernel {
    /// The name given.
    pub found: String,
}

impl FromStr for Kernel {
    type Err = UnknownKernel;

    fn from_str(name: &str) -> Result<Self, UnknownKernel> {
        let known = Kernel::ALL.into_iter().find(|kernel| kernel.name() == name);
        known.ok_or_else(|| UnknownKernel { found: name.to_owned() })
    }
}

/// A convolution, prepared for a kernel and for where its input lies.
pub struct PackedConv {
    shape: ConvShape,
    input: Grid,
    output_size: [usize; 2],
    plan: Plan,
}

/// What a kernel keeps of a convolution.
enum Plan {
    Scalar(scalar::Scalar),
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    Packed(Kernel, packed::Packed),
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    Upsampled(Kernel, upsampled::Upsampled),
}

impl Plan {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn new(kernel: Kernel, convolution: &Convolution, input: &Grid) -> Plan {
        let Some(set) = kernel.instructions() else { return Plan::Scalar(scalar::Scalar::new(convolution)) };
        if let Some(upsampled) = upsampled::Upsampled::new(set, convolution, input) {
            return Plan::Upsampled(kernel, upsampled);
        }
        match packed::Packed::new(set, convolution, input) {
            Some(packed) => Plan::Packed(kernel, packed),
            None => Plan::Scalar(scalar::Scalar::new(convolution)),
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn new(_: Kernel, convolution: &Convolution, _: &Grid) -> Plan {
        Plan::Scalar(scalar::Scalar::new(convolution))
    }
}

impl PackedConv {
    /// Prepares a convolution for `kernel`, on inputs that lie as `input` says.
    ///
    /// # Errors
    ///
    /// When a number of weights, biases, multipliers or zero points is wrong, the kernel does not fit into the input,
    /// the border is too small, or the core lacks the instructions.
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

    /// Who computes: the kernel asked for, or [`Kernel::Scalar`] where numbers could leave i32.
    pub fn kernel(&self) -> Kernel {
        match &self.plan {
            Plan::Scalar(_) => Kernel::Scalar,
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Plan::Packed(kernel, _) | Plan::Upsampled(kernel, _) => *kernel,
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

    /// Bytes of the packed weights and what lies beside them.
    pub fn bytes(&self) -> usize {
        match &self.plan {
            Plan::Scalar(plan) => plan.bytes(),
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Plan::Packed(_, plan) => plan.bytes(),
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Plan::Upsampled(_, plan) => plan.bytes(),
        }
    }

    /// How many sums a run wants room for beside the tensors.
    pub fn scratch(&self) -> usize {
        match &self.plan {
            Plan::Scalar(_) => 0,
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Plan::Packed(_, plan) => plan.scratch(),
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Plan::Upsampled(_, plan) => plan.scratch(self.input.width),
        }
    }

    /// Computes the rows of `output`. `scratch` is at least as long as [`PackedConv::scratch`] says; what it holds does not
    /// matter, before or after.
    ///
    /// # Panics
    ///
    /// When the views are not of the tensors that this convolution was made for: other strides, border, size or number
    /// of channels; or when `scratch` is too short.
    pub fn run(&self, input: &InputView<'_>, output: &mut OutputView<'_>, scratch: &mut [i32]) {
        assert!(scratch.len() >= self.scratch(), "scratch of {}", scratch.len());
        assert_eq!(input.grid, self.input, "layout of the input");
        assert_eq!(input.channels, self.shape.channels_in, "channels of the input");
        assert_eq!(output.channels, self.shape.channels_out, "channels of the output");
        assert_eq!([output.grid.height, output.grid.width], self.output_size, "size of the output");
        match &self.plan {
            Plan::Scalar(plan) => plan.run(&self.shape, input, output),
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Plan::Packed(_, plan) => plan.run(&self.shape, input, output, scratch),
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Plan::Upsampled(_, plan) => plan.run(input, output, scratch),
        }
    }
}
