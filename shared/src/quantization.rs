//! Affine quantization to eight bits: scale, zero point, and the one rounding rule.
//!
//! Owns the formulas that every integer compute kernel must implement, in f32 and in this order, each step rounded by
//! IEEE rules. Knows nothing of tensors, layers or how a scale is chosen.

use core::fmt;

/// Maps a stored byte `q` to the real value `(q - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize))]
pub struct Quantization {
    /// Real value of one step: finite, normal and positive.
    pub scale: f32,
    /// The byte of the real value 0.0: 0 to 255.
    pub zero_point: i32,
}

/// Why a quantization cannot be used.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum QuantizationError {
    /// The scale is not a positive, normal number.
    Scale {
        /// The scale found.
        found: f32,
    },
    /// The zero point is not a byte.
    ZeroPoint {
        /// The zero point found.
        found: i32,
    },
}

impl fmt::Display for QuantizationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Scale { found } => {
                write!(f, "quantization scale: expected a positive normal number, found {found:e}")
            }
            Self::ZeroPoint { found } => write!(f, "quantization zero point: expected 0 to 255, found {found}"),
        }
    }
}

impl core::error::Error for QuantizationError {}

impl Quantization {
    /// Checks that the scale is positive and normal and the zero point is a byte.
    ///
    /// # Errors
    /// For the first of the two that is not.
    pub fn validate(&self) -> Result<(), QuantizationError> {
        if !(self.scale.is_normal() && self.scale > 0.0) {
            return Err(QuantizationError::Scale { found: self.scale });
        }
        if !(0..=255).contains(&self.zero_point) {
            return Err(QuantizationError::ZeroPoint { found: self.zero_point });
        }
        Ok(())
    }

    /// `saturate(round_half_even(value / scale) + zero_point)`. NaN gives the zero point.
    #[must_use]
    pub fn quantize_u8(&self, value: f32) -> u8 {
        saturate_u8(value / self.scale, self.zero_point)
    }

    /// `(q - zero_point) * scale`.
    #[must_use]
    pub fn dequantize(&self, q: u8) -> f32 {
        i32::from(q).saturating_sub(self.zero_point) as f32 * self.scale
    }
}

/// The addition of two quantized activations, and perhaps a ReLU: `max(low, quantize(dequantize(a) + dequantize(b)))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Addition {
    /// Of the bytes that are added.
    pub inputs: [Quantization; 2],
    /// Of their sum.
    pub output: Quantization,
    /// The smallest byte of a sum: the output's zero point with a ReLU, 0 without.
    pub low: u8,
}

impl Addition {
    /// The byte of a sum.
    #[must_use]
    pub fn add(&self, a: u8, b: u8) -> u8 {
        let [first, second] = &self.inputs;
        self.output.quantize_u8(first.dequantize(a) + second.dequantize(b)).max(self.low)
    }
}

/// The nearest integer, ties to the even one.
///
/// Without `std` there is no such function, so 2^23 is added and subtracted: from 2^23 on an f32 has no fraction bits,
/// so the addition itself rounds, half to even by IEEE's default. Defined for every value: a magnitude of 2^23 or more
/// is already an integer (or infinite, or NaN) and is returned unchanged; the sign of zero is kept.
#[must_use]
pub fn round_half_even(value: f32) -> f32 {
    const MAGIC: f32 = 8_388_608.0; // 2^23
    let magnitude = value.abs();
    if magnitude < MAGIC { ((magnitude + MAGIC) - MAGIC).copysign(value) } else { value }
}

/// The factor from accumulator to output steps: `(x_scale * w_scale) / y_scale`, in that order.
#[must_use]
pub fn multiplier(x_scale: f32, w_scale: f32, y_scale: f32) -> f32 {
    (x_scale * w_scale) / y_scale
}

/// An accumulator as an output byte: `saturate(round_half_even(f32(acc) * multiplier) + zero_point)`.
#[must_use]
pub fn requantize(acc: i32, multiplier: f32, zero_point: i32) -> u8 {
    saturate_u8(acc as f32 * multiplier, zero_point)
}

/// Rounds first, then adds the zero point as integers. The cast saturates and maps NaN to 0; the addition saturates
/// too, so nothing overflows.
fn saturate_u8(value: f32, zero_point: i32) -> u8 {
    (round_half_even(value) as i32).saturating_add(zero_point).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_go_to_the_even_neighbour() {
        let cases = [
            (0.5, 0.0),
            (1.5, 2.0),
            (2.5, 2.0),
            (-0.5, 0.0),
            (-1.5, -2.0),
            (-2.5, -2.0),
            (0.499_999_97, 0.0),
            (4_194_304.5, 4_194_304.0),
            (4_194_305.5, 4_194_306.0),
            (8_388_607.5, 8_388_608.0),
            (8_388_609.0, 8_388_609.0),
            (-16_777_216.0, -16_777_216.0),
            (f32::MAX, f32::MAX),
            (f32::INFINITY, f32::INFINITY),
        ];
        for (value, expected) in cases {
            assert_eq!(round_half_even(value), expected, "{value}");
        }
        assert!(round_half_even(f32::NAN).is_nan());
        assert!(round_half_even(-0.25).is_sign_negative());
    }

    #[test]
    fn quantize_rounds_before_the_zero_point() {
        let q = Quantization { scale: 0.5, zero_point: 3 };
        // 0.25 / 0.5 = 0.5 rounds to 0, then 3 is added; the other order would round 3.5 to 4.
        assert_eq!(q.quantize_u8(0.25), 3);
        assert_eq!(q.quantize_u8(0.75), 5);
        assert_eq!(q.quantize_u8(-1.5), 0);
        assert_eq!(q.quantize_u8(-100.0), 0);
        assert_eq!(q.quantize_u8(1e30), 255);
        assert_eq!(q.quantize_u8(f32::NAN), 3);
        assert_eq!(q.dequantize(5), 1.0);
        assert_eq!(q.dequantize(0), -1.5);
    }

    #[test]
    fn requantize_by_hand() {
        assert_eq!(multiplier(0.5, 0.25, 2.0), 0.0625);
        assert_eq!(requantize(40, 0.0625, 10), 12); // 2.5 -> 2
        assert_eq!(requantize(56, 0.0625, 10), 14); // 3.5 -> 4
        assert_eq!(requantize(-56, 0.0625, 10), 6);
        assert_eq!(requantize(i32::MAX, 1.0, 255), 255);
        assert_eq!(requantize(i32::MIN, 1.0, 0), 0);
        assert_eq!(requantize(i32::MIN, f32::MAX, i32::MIN), 0);
        assert_eq!(requantize(0, f32::INFINITY, 7), 7);
    }

    #[test]
    fn validate_names_what_is_wrong() {
        let check = |scale: f32, zero_point: i32| Quantization { scale, zero_point }.validate();
        assert_eq!(check(1.0 / 255.0, 255), Ok(()));
        for scale in [0.0, -1.0, f32::INFINITY, 1e-40] {
            assert_eq!(check(scale, 0), Err(QuantizationError::Scale { found: scale }));
        }
        assert!(matches!(check(f32::NAN, 0), Err(QuantizationError::Scale { .. })));
        assert_eq!(check(1.0, 256), Err(QuantizationError::ZeroPoint { found: 256 }));
        assert_eq!(check(1.0, -1), Err(QuantizationError::ZeroPoint { found: -1 }));
    }

    proptest! {
        #[test]
        fn rounding_is_the_standard_library_s(bits: u32) {
            let value = f32::from_bits(bits);
            let expected = value.round_ties_even();
            let found = round_half_even(value);
            prop_assert!(found == expected || (found.is_nan() && expected.is_nan()));
        }

        #[test]
        fn a_byte_survives_the_round_trip(scale in 1e-6f32..1e6, zero_point in 0i32..=255, q: u8) {
            let quantization = Quantization { scale, zero_point };
            prop_assert_eq!(quantization.quantize_u8(quantization.dequantize(q)), q);
        }
    }
}
