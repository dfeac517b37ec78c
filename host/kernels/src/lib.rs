//! The training step's arithmetic in f32 on the CPU: convolutions with their gradients, batch norm with ReLU, pooling, Adam.
//!
//! Tensors are `[N, H, W, C]` in memory, channels last. Nothing here knows of burn. Each compute kernel is written once
//! (`micro`, `depthwise::micro`, `elementwise`) and compiled for each instruction set in a file of its own; the instruction
//! set is chosen at run time. Sums are split by the tensors' shapes alone, never by the number of threads, and the parts are
//! added in order: one thread and many produce equal bits.
//!
//! A new instruction set is one file that calls `table!` and has a `static SET`, with its module declaration, and one line in
//! `instruction_set.rs`; it inherits the tests in `tests.rs`.
#![allow(unsafe_code, reason = "vector instructions, and threads that write to disjoint parts of one tensor")]

pub mod adam;
pub mod add;
pub mod confidence;
pub mod convolution;
mod convolve;
pub mod cross_entropy;
pub mod depthwise;
mod elementwise;
pub mod instruction_set;
mod micro;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod norm;
mod packing;
mod planes;
pub mod pool;
mod portable;
#[cfg(test)]
mod reference;
mod shared;
pub mod softmax;
pub mod strided;
mod table;
#[cfg(test)]
mod tests;
mod tile;
pub mod up_convolution;
pub mod upsample;
mod vector;
mod weight_gradient;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use instruction_set::InstructionSet;
pub use weight_gradient::partial_sums;

/// Maximum bytes that a thread keeps for the tiles of a convolution and its gradients: `inputs` channels to `outputs`, rows of
/// `width` pixels.
pub fn tiles_bytes(inputs: usize, outputs: usize, width: usize) -> usize {
    let [inputs, outputs] = [inputs, outputs].map(|channels| channels.next_multiple_of(table::LANES_MAX));
    tile::most_bytes(convolve::TILE_BYTES, inputs.max(outputs), width)
        + tile::most_bytes(weight_gradient::TILE_BYTES, inputs + outputs, width)
}

/// The same for a strided convolution to rows of `width` pixels.
pub fn strided_tiles_bytes(inputs: usize, outputs: usize, width: usize) -> usize {
    // The four parities of the input each begin with a block of channels of their own.
    tiles_bytes(4 * inputs.next_multiple_of(table::LANES_MAX), outputs, width)
}
