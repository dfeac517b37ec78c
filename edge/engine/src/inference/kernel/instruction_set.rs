//! What a vector instruction set provides to the compute kernels: one static a file.

use super::combine::Combine;
use super::depthwise::BlockFormat;
use super::groups::{Bytes, Groups};
use super::loops::Loops;
use super::strip::Strip;
use super::winograd::transforms::TileKernel;

/// A vector instruction set. Its unsafe functions may only be called if `is_available` returns true.
pub(crate) struct InstructionSet {
    /// Whether this processor has the instructions.
    pub(crate) is_available: fn() -> bool,
    /// Repeats the multiply instructions this many times on registers alone, with nothing else in the loop, and returns the
    /// number of multiply-accumulates.
    pub(crate) multiply: unsafe fn(rounds: u64) -> u64,
    /// Output channels in a vector.
    pub(crate) lanes: usize,
    /// Maximum vectors of output channels that are computed together.
    pub(crate) blocks: usize,
    /// For each number of vectors of sums less 1: how many pixels are computed together, descending to 1.
    pub(crate) tiles: &'static [&'static [usize]],
    /// What the kernel subtracts from each input byte before it multiplies: 128 if the instructions take signed bytes.
    pub(crate) subtracts: u8,
    /// From the number of output channels, the weights, and the bytes from an output's first tap to its right neighbour's:
    /// the weights in the order of the kernel.
    pub(crate) pack: fn(channels: usize, weights: &Bytes, input_step: usize) -> Groups,
    /// Widens the input's bytes to 16 bits before they are multiplied, if the instructions need that; offsets, steps and
    /// reach of strips and groups then count widened bytes, twice as many.
    pub(crate) widen: Option<Widen>,
    /// Computes a strip by tiles of `pixels`, on chunks of `blocks` vectors.
    pub(crate) strip: unsafe fn(pixels: usize, blocks: usize, strip: &mut Strip<'_>),
    /// Combines the sums of taps on an upsampled input; without it, the taps are summed at load.
    pub(crate) combine: Option<Combine>,
    /// How it computes 3x3 convolutions with fewer multiplications of 16 bits, if that is faster.
    pub(crate) winograd: Option<TileKernel>,
    /// How it computes depthwise convolutions, from the largest blocks of channels to the smallest.
    pub(crate) depthwise: &'static [BlockFormat],
    /// Loops over bytes.
    pub(crate) loops: Loops,
}

/// Writes each byte as a 16-bit number, two in each i32, in the order of memory.
///
/// # Safety
///
/// The processor has the instructions.
pub(crate) type Widen = unsafe fn(bytes: &[u8], to: &mut [i32]);
