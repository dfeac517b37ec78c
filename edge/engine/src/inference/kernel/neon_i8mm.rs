//! `sudot` on four output channels: signed weights by unsigned bytes, as they are in the buffer.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Strip::check has proved")]

use std::arch::aarch64::*;
use std::arch::asm;
use std::arch::is_aarch64_feature_detected;

use super::by_element::{by_element, quad, runs_of, vector, window};
use super::four_lanes::{self, LANES, Requantize};
use super::groups::{Groups, take_bytes};
use super::packed::{Instructions, Strip};
use super::windows::{self, WINDOW};

/// Whether this core has what [`strip`] needs.
pub(super) fn is_available() -> bool {
    cfg!(target_endian = "little") && is_aarch64_feature_detected!("i8mm")
}

macro_rules! as_they_all_are {
    ($($n:literal)*) => {
        ""
    };
}

by_element!("neon,i8mm", "sudot", 0, as_they_are, as_they_all_are);

#[inline(always)]
fn as_they_are(bytes: uint8x16_t) -> uint8x16_t {
    bytes
}
