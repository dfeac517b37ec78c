//! `sudot` on four output channels: signed weights by the unsigned bytes of the buffer.

#![allow(unsafe_code, reason = "vector loads and stores through pointers, within bounds that Strip::check has checked")]

use std::arch::aarch64::*;
use std::arch::asm;
use std::arch::is_aarch64_feature_detected;

use super::by_element::{by_element, quad, runs_of, vector, window};
use super::depthwise_quads::depthwise_quads;
use super::depthwise_words;
use super::four_lanes::{self, LANES, Requantize, ToBytes, store_channels};
use super::rounds::rounds;
use super::windows::{self, WINDOW};
use crate::inference::kernel::depthwise::BlockFormat;
use crate::inference::kernel::depthwise::row::{Columns, ROWS, Row};
use crate::inference::kernel::groups::{Bytes, Groups, take_bytes};
use crate::inference::kernel::instruction_set::InstructionSet;
use crate::inference::kernel::loops::Loops;
use crate::inference::kernel::strip::{OutputRange, Strip};

fn is_available() -> bool {
    cfg!(target_endian = "little") && is_aarch64_feature_detected!("i8mm")
}

rounds!("sudot v\\sum\\().4s, v30.16b, v31.4b[0]");

macro_rules! unchanged_all {
    ($($n:literal)*) => {
        ""
    };
}

by_element!("neon,i8mm", "sudot", 0, unchanged, unchanged_all);

depthwise_quads!("neon,i8mm", "usdot", 0, unchanged);

#[inline(always)]
fn unchanged(bytes: uint8x16_t) -> uint8x16_t {
    bytes
}
