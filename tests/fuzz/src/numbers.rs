//! Many numbers from few bytes: the input of a fuzzer is short, and a convolution has thousands of weights.

use arbitrary::{Result, Unstructured};

/// The distribution of the numbers of a convolution and of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// As in a trained network: mostly small weights.
    Usual,
    /// Any byte.
    Any,
    /// Only the extremes of a byte.
    Extreme,
    /// All the same extreme of a byte.
    OneSign,
    /// Nearly all zero, so that groups of weights are skipped.
    Sparse,
}

impl Values {
    /// Any distribution, the usual ones more often.
    pub fn arbitrary(bytes: &mut Unstructured<'_>) -> Result<Values> {
        let all =
            [Values::Usual, Values::Usual, Values::Any, Values::Any, Values::Extreme, Values::OneSign, Values::Sparse];
        bytes.choose(&all).copied()
    }
}

/// A generator seeded by the fuzzer's bytes.
pub struct Numbers {
    state: u64,
    values: Values,
}

impl Numbers {
    /// Seeded by eight bytes of the input.
    pub fn arbitrary(bytes: &mut Unstructured<'_>, values: Values) -> Result<Numbers> {
        Ok(Numbers { state: bytes.arbitrary()?, values })
    }

    /// The next 64 bits (splitmix64).
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// One of 0 to `end` - 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// `count` signed bytes.
    pub fn weights(&mut self, count: usize) -> Vec<i8> {
        let end = if self.bits() & 1 == 0 { 127 } else { -128 };
        let weight = |numbers: &mut Numbers| match numbers.values {
            Values::Usual => ((numbers.below(101) as i64 - 50) * (numbers.below(101) as i64 - 50) / 20) as i8,
            Values::Any => numbers.bits() as i8,
            Values::Extreme => [-128, -127, 127, 0][numbers.below(4) as usize],
            Values::OneSign => end,
            Values::Sparse => {
                if numbers.below(12) == 0 {
                    numbers.bits() as i8
                } else {
                    0
                }
            }
        };
        (0..count).map(|_| weight(self)).collect()
    }

    /// `count` bytes of an image.
    pub fn pixels(&mut self, count: usize) -> Vec<u8> {
        let pixel = |numbers: &mut Numbers| match numbers.values {
            Values::Usual | Values::Any | Values::Sparse => numbers.bits() as u8,
            Values::Extreme => [0, 255][numbers.below(2) as usize],
            Values::OneSign => 255,
        };
        (0..count).map(|_| pixel(self)).collect()
    }

    /// `count` biases; sometimes of any size, so that sums exceed 32 bits.
    pub fn biases(&mut self, count: usize) -> Vec<i32> {
        let any = self.values != Values::Usual && self.below(8) == 0;
        (0..count).map(|_| if any { self.bits() as i32 } else { self.below(40_001) as i32 - 20_000 }).collect()
    }

    /// A number from 0.5 to 2 with a random mantissa.
    pub fn factor(&mut self) -> f32 {
        0.5 + 1.5 * (self.below(1 << 24) as f32 / (1 << 24) as f32)
    }
}
