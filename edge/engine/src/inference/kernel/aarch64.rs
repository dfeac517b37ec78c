//! The instruction sets of 64-bit ARM, and what they share.

mod by_element;
mod depthwise_quads;
mod depthwise_words;
mod four_lanes;
mod halves;
pub(crate) mod neon;
pub(crate) mod neon_dot;
pub(crate) mod neon_i8mm;
mod rounds;
mod windows;
