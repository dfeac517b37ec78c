//! The instruction sets of x86-64, and what they share.

pub(crate) mod avx2;
pub(crate) mod avx512_vnni;
pub(crate) mod avx_vnni;
mod depthwise_words;
mod eight_lanes;
mod pack;
mod quads;
mod rounds;
