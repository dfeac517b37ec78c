//! What a loaded graph takes and makes, and the trait of everything that can run one. Knows no ONNX.

use super::description::{Description, PartTime};
use super::error::InferenceError;

/// Something that runs a graph. Frames and masks have the sizes that [`Model`](super::Model) checked.
pub(super) trait Backend: Send {
    /// The name in records and on the screen.
    fn name(&self) -> &'static str;

    /// The name of what computes its convolutions.
    fn kernel(&self) -> &'static str;

    /// How many threads it uses.
    fn threads(&self) -> usize;

    /// What runs where.
    fn describe(&self) -> Description;

    /// Computes one frame: the class of each pixel, H*W.
    fn segment(&mut self, frame: Frame<'_>, mask: &mut [u8]) -> Result<(), InferenceError>;

    /// The last frame's logits as bytes, K*H*W; the bit patterns of a signed output. Zeros before the first frame.
    fn logits(&mut self, logits: &mut [u8]) -> Result<(), InferenceError>;

    /// How long each part of the last frame took; empty if unknown.
    fn times(&self) -> Vec<PartTime> {
        Vec::new()
    }
}

/// The element type of a graph's input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Bytes, 0 to 255.
    U8,
    /// Bytes, -128 to 127.
    I8,
    /// Floats.
    F32,
    /// Class ids, as ONNX's ArgMax makes them.
    I64,
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the file.
    pub name: String,
    /// N, C, H, W; C is 1 for class ids.
    pub shape: [usize; 4],
    /// Its element type.
    pub element: Element,
}

/// A frame as a model takes it, N, C, H, W.
#[derive(Debug, Clone, Copy)]
pub enum Frame<'a> {
    /// For a model with a u8 input, or the bit patterns for an i8 one.
    Bytes(&'a [u8]),
    /// For a model with an f32 input.
    Floats(&'a [f32]),
}
