//! How the samples of an image file become bytes: which bands are used, and which range of values.
//!
//! Integer samples are mapped by integer arithmetic, floats by single IEEE operations in f64, so that every machine gives the
//! same bytes. Knows no file format.

use core::fmt;

/// The values that become 0 and 255; those between are spread evenly, those outside are clipped.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "alloc",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "[f64; 2]", into = "[f64; 2]")
)]
pub struct Range {
    low: f64,
    high: f64,
}

/// Two numbers that do not form a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeError([f64; 2]);

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "range: expected two numbers, the lower first, found {} and {}", self.0[0], self.0[1])
    }
}

impl core::error::Error for RangeError {}

impl Range {
    /// The range from `low` to `high`.
    ///
    /// # Errors
    /// If they are not finite, or `low` is not below `high`.
    pub fn new(low: f64, high: f64) -> Result<Self, RangeError> {
        let bounded = low.abs() <= 1e300 && high.abs() <= 1e300;
        if bounded && low < high { Ok(Self { low, high }) } else { Err(RangeError([low, high])) }
    }

    /// The value that becomes 0.
    #[must_use]
    pub const fn low(self) -> f64 {
        self.low
    }

    /// The value that becomes 255.
    #[must_use]
    pub const fn high(self) -> f64 {
        self.high
    }

    /// The byte of a float: the nearest of 256 steps; NaN becomes 0.
    #[must_use]
    pub fn byte_of_float(self, value: f64) -> u8 {
        // The cast truncates, saturates and maps NaN to 0.
        ((value - self.low) / (self.high - self.low) * 255.0 + 0.5) as u8
    }

    /// The byte of an integer. Fractional bounds are truncated; if both become the same, everything above is 255.
    #[must_use]
    pub fn byte_of_integer(self, value: i64) -> u8 {
        let (low, high) = (self.low as i64, self.high as i64);
        // The quotient is within 0 to 255 once the value is clipped.
        if let Some(span) = high.checked_sub(low).map(|span| span.max(1)).filter(|&span| span <= i64::MAX / 511) {
            let above = value.saturating_sub(low).clamp(0, span);
            return ((above * 510 + span) / (2 * span)) as u8;
        }
        // Wider divisions cost several times as much.
        let (low, high) = (i128::from(low), i128::from(high));
        let span = high - low;
        ((((i128::from(value) - low).clamp(0, span)) * 510 + span) / (2 * span)) as u8
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", Shortest(self.low), Shortest(self.high))
    }
}

impl TryFrom<[f64; 2]> for Range {
    type Error = RangeError;

    fn try_from([low, high]: [f64; 2]) -> Result<Self, RangeError> {
        Self::new(low, high)
    }
}

impl From<Range> for [f64; 2] {
    fn from(range: Range) -> Self {
        [range.low, range.high]
    }
}

/// A sample as text, without the extra digits of an f32 widened to f64.
#[derive(Clone, Copy, Debug)]
pub struct Shortest(pub f64);

impl fmt::Display for Shortest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let single = self.0 as f32;
        if f64::from(single) == self.0 { write!(f, "{single}") } else { write!(f, "{}", self.0) }
    }
}

/// Bands of a file, counted from 1: one for gray, or red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize), serde(untagged))]
pub enum Bands {
    /// One band as gray.
    Gray([core::num::NonZeroU16; 1]),
    /// Three bands as red, green and blue.
    Rgb([core::num::NonZeroU16; 3]),
}

impl Bands {
    /// The bands, one or three.
    #[must_use]
    pub const fn as_slice(&self) -> &[core::num::NonZeroU16] {
        match self {
            Self::Gray(bands) => bands,
            Self::Rgb(bands) => bands,
        }
    }

    /// The bands, counted from 0.
    pub fn indices(&self) -> impl Iterator<Item = usize> {
        self.as_slice().iter().map(|band| usize::from(band.get()) - 1)
    }
}

/// How the samples of image files are read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize))]
pub struct SampleReading {
    /// The range of samples of more than 8 bits. Without one, 16-bit samples become their high byte and wider ones are
    /// refused.
    #[cfg_attr(feature = "alloc", serde(default, skip_serializing_if = "Option::is_none"))]
    pub range: Option<Range>,
    /// The bands to use; without them gray, or the first three as red, green and blue.
    #[cfg_attr(feature = "alloc", serde(default, skip_serializing_if = "Option::is_none"))]
    pub bands: Option<Bands>,
}

impl SampleReading {
    /// As image files were read before there was a choice.
    pub const PLAIN: Self = Self { range: None, bands: None };

    /// Whether nothing is chosen.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::PLAIN
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_of_a_range_are_black_and_white_and_every_step_is_one_of_256() {
        let range = Range::new(0.0, 4095.0).unwrap();
        assert_eq!(
            [0, 8, 9, 2048, 4095, 5000, -7].map(|value| range.byte_of_integer(value)),
            [0, 0, 1, 128, 255, 255, 0]
        );
        for value in 0..=4095 {
            // The same in floats, where no value lies in the middle between two steps.
            assert_eq!(range.byte_of_integer(value), range.byte_of_float(value as f64));
        }
        let signed = Range::new(-1000.0, 3000.0).unwrap();
        assert_eq!([-1001, -1000, 1000, 3000].map(|value| signed.byte_of_integer(value)), [0, 0, 128, 255]);
        let widest = Range::new(i64::MIN as f64, i64::MAX as f64).unwrap();
        assert_eq!([i64::MIN, 0, i64::MAX].map(|value| widest.byte_of_integer(value)), [0, 128, 255]);
    }

    proptest! {
        #[test]
        fn narrow_and_wide_divisions_give_the_same_byte(
            low in prop_oneof![-1e5..1e5, -2e18..2e18, -1e300..1e300],
            span in prop_oneof![0.1..1e6, 1e15..4e16, 1e18..4e19, 1e200..1e299],
            near in -100_000i64..100_000,
            value: i64,
        ) {
            let Ok(range) = Range::new(low, low + span) else { return Ok(()) };
            for value in [value, near, (range.low as i64).saturating_add(near), (range.high as i64).saturating_add(near)] {
                let (low, high) = (i128::from(range.low as i64), i128::from(range.high as i64));
                let span = (high - low).max(1);
                let above = i128::from(value) - low;
                let expected = ((above.clamp(0, span) * 510 + span) / (2 * span)) as u8;
                prop_assert_eq!(range.byte_of_integer(value), expected, "{} of {}", value, range);
            }
        }
    }

    #[test]
    fn floats_are_clipped_and_nan_is_black() {
        let range = Range::new(-0.5, 0.5).unwrap();
        let values = [f64::NAN, f64::NEG_INFINITY, -0.5, 0.0, 0.5, f64::INFINITY];
        assert_eq!(values.map(|value| range.byte_of_float(value)), [0, 0, 0, 128, 255, 255]);
    }

    #[test]
    fn widened_f32_have_no_extra_digits() {
        let texts = [f64::from(0.1f32), 0.1, 4095.0, f64::from(1e30f32)].map(|value| Shortest(value).to_string());
        assert_eq!(texts, ["0.1", "0.1", "4095", "1000000000000000000000000000000"]);
        assert_eq!(Range::new(f64::from(-0.3f32), 1.0 / 3.0).unwrap().to_string(), "-0.3 to 0.3333333333333333");
    }

    #[test]
    fn a_range_has_a_lower_and_a_higher_end() {
        for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            assert!(Range::new(low, high).is_err(), "{low} {high}");
        }
    }
}
