//! Quantized convolution on u8 tensors: one contract, and one compute kernel for each instruction set that fulfils it.
//!
//! # Contract
//!
//! **Tensors** are u8, rows of pixels of channels, in a buffer with a border of `border` pixels on each side, laid out by
//! [`Grid`]. The owner of a buffer fills the border with the tensor's zero point, once, since no kernel writes to it. A
//! kernel reads a view of some neighbouring channels ([`InputView`]) and writes one ([`OutputView`]), so that a
//! concatenation is two producers that write side by side. It may read, and multiply with zero, up to [`SLACK`] bytes
//! after the channels of its view; [`Grid::bytes`] includes them. It writes its own channels of its own rows and nothing
//! else. Strides need no alignment; a `pixel_stride` equal to the number of channels read is fastest if these are few (a
//! gray image: 1, not 4).
//!
//! **Result**, equal in each byte for every kernel: with `a` = bias + the sum over taps and channels of
//! `(x - x_zero_point) * (w - w_zero_point)`, `q = round_half_even(f32(a) * multiplier) + y_zero_point`, clamped to
//! `clamp`. An `a` beyond i32 saturates; only [`Kernel::Scalar`] ever meets one, because [`PackedConv::new`] assigns it every
//! convolution whose weights do not prove that neither `a` nor `f32(a) * multiplier` overflows i32. [`PackedConv::kernel`]
//! returns the kernel that really runs.
//!
//! **Threads** share a [`PackedConv`]; each has the [`OutputView`] of its own rows ([`OutputView::split_at_row`]).
//!
//! Knows nothing of graphs, of who owns the buffers, or of threads.
//!
//! # Adding an instruction set
//!
//! One file in the folder of its architecture (`x86_64`, `aarch64`) with a `static SET: InstructionSet`, declared in that
//! architecture's list of modules, and one line in `registry.rs`. It inherits the tests in `tests.rs`.
#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, unused_imports, unused_macros, reason = "what only vector instruction sets use")
)]

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod combine;
mod convolution;
mod depthwise;
mod error;
mod grid;
mod groups;
mod instruction_set;
mod loops;
mod packed;
mod packed_conv;
mod peak;
mod registry;
mod scalar;
mod strip;
#[cfg(test)]
mod tests;
mod upsampled;
mod view;
mod widened;
mod winograd;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use convolution::{ConvShape, Convolution};
pub use error::ConvError;
pub use grid::{Grid, SLACK};
pub use loops::Loops;
pub use packed_conv::PackedConv;
pub use registry::{Kernel, UnknownKernel};
pub use view::{InputView, OutputView};
