//! Reproducible bytes for tests.

use std::vec::Vec;

/// Marsaglia's xorshift32, top bytes.
pub(crate) fn pseudo_random(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    core::iter::repeat_with(next).take(len).collect()
}
