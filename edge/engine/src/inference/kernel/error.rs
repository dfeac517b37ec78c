//! Why a tensor, a view or a convolution cannot be made.

use super::registry::Kernel;

/// Why a tensor, a view or a convolution cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvError {
    /// The tensor is empty, or too large to be addressed.
    #[error("tensor: expected 1 byte to 1 GiB with its border, found {height}x{width} pixels of {pixel_stride} bytes")]
    Grid {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Bytes of a pixel.
        pixel_stride: usize,
    },
    /// The buffer is too small for the tensor.
    #[error("buffer: expected at least {expected} bytes, found {found}")]
    Buffer {
        /// [`Grid::bytes`](super::Grid::bytes).
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// A count that contradicts another one.
    #[error("convolution: expected {what} {expected}, found {found}")]
    Mismatch {
        /// Which count.
        what: &'static str,
        /// What was expected.
        expected: usize,
        /// What was found.
        found: usize,
    },
    /// A number out of bounds.
    #[error("convolution: expected {what} of {} to {}, found {found}", bounds[0], bounds[1])]
    Bounds {
        /// Which number.
        what: &'static str,
        /// Minimum and maximum.
        bounds: [usize; 2],
        /// What was found.
        found: usize,
    },
    /// A multiplier is not a finite number.
    #[error("convolution: expected finite multipliers, found {found} for output channel {channel}")]
    Multiplier {
        /// The output channel.
        channel: usize,
        /// Its multiplier.
        found: f32,
    },
    /// The processor lacks the instructions.
    #[error("kernel {kernel}: expected a processor with its instructions, found one without")]
    Unavailable {
        /// The compute kernel that was asked for.
        kernel: Kernel,
    },
}
