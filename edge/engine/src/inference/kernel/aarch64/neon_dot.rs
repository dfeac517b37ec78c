//! `sdot` on four output channels: Cortex-A76 (Raspberry Pi 5), Cortex-A78AE (Jetson Orin) and later.
//!
//! It takes signed bytes, so 128 is subtracted from each byte of the input by flipping its highest bit as it is loaded.

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
    cfg!(target_endian = "little") && is_aarch64_feature_detected!("dotprod")
}

rounds!("sdot v\\sum\\().4s, v30.16b, v31.4b[0]");

macro_rules! flip_highest_bits {
    ($($n:literal)*) => {
        concat!("movi v31.16b, #128\n", $("eor v", $n, ".16b, v", $n, ".16b, v31.16b\n"),*)
    };
}

by_element!("neon,dotprod", "sdot", 128, flip_highest_bit, flip_highest_bits);

depthwise_quads!("neon,dotprod", "sdot", 128, flip_highest_bit);

#[inline(always)]
fn flip_highest_bit(bytes: uint8x16_t) -> uint8x16_t {
    // SAFETY: every aarch64 core has these instructions.
    unsafe { veorq_u8(bytes, vdupq_n_u8(0x80)) }
}
