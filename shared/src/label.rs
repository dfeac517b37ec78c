//! Annotations with the values of their files, and class ids.
//!
//! Owns label values, and the bounded table from values to ids. Knows nothing of files, class names or how a mask is
//! resized.

use core::fmt;
use core::str::FromStr;

use crate::image::SIDE_MAX;

mod reading;
mod table;
mod view;

pub use reading::{Reading, Unlisted};
pub use table::LabelTable;
pub use view::{LabelSamples, LabelSamplesMut, LabelView};

/// The largest number of classes: ids 0 to 254, since [`IGNORE_INDEX`](crate::mask::IGNORE_INDEX) is not a class.
pub const CLASSES_MAX: usize = 255;

/// The largest number of label values in a [`LabelTable`], classes and ignored together.
pub const VALUES_MAX: usize = 1024;

/// One value of an annotation. Grays sort before colours, and each by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LabelValue {
    /// A gray value of 8 or 16 bits.
    Gray(u16),
    /// A colour.
    Rgb([u8; 3]),
}

impl LabelValue {
    /// The squared distance of two values; a gray and a colour are farther apart than any two grays or colours.
    #[must_use]
    pub fn distance(self, other: Self) -> u64 {
        match (self, other) {
            (Self::Gray(a), Self::Gray(b)) => u64::from(a.abs_diff(b)).pow(2),
            (Self::Rgb(a), Self::Rgb(b)) => a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(b)).pow(2)).sum(),
            _ => u64::MAX,
        }
    }
}

impl fmt::Display for LabelValue {
    /// A decimal number or `#rrggbb`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Gray(value) => write!(f, "{value}"),
            Self::Rgb([r, g, b]) => write!(f, "#{r:02x}{g:02x}{b:02x}"),
        }
    }
}

/// Text that is neither a number from 0 to 65535 nor `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseLabelValueError;

impl fmt::Display for ParseLabelValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("label value: expected a number from 0 to 65535 or a colour such as \"#ff0000\"")
    }
}

impl core::error::Error for ParseLabelValueError {}

impl FromStr for LabelValue {
    type Err = ParseLabelValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(hex) = text.strip_prefix('#') else {
            return text.parse().map(Self::Gray).map_err(|_| ParseLabelValueError);
        };
        // `from_str_radix` alone would accept a sign.
        if hex.len() != 6 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParseLabelValueError);
        }
        let [_, r, g, b] = u32::from_str_radix(hex, 16).map_err(|_| ParseLabelValueError)?.to_be_bytes();
        Ok(Self::Rgb([r, g, b]))
    }
}

#[cfg(feature = "alloc")]
impl serde::Serialize for LabelValue {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Gray(value) => serializer.serialize_u16(value),
            Self::Rgb(_) => serializer.collect_str(self),
        }
    }
}

#[cfg(feature = "alloc")]
impl<'de> serde::Deserialize<'de> for LabelValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = LabelValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0 to 65535 or a colour such as \"#ff0000\"")
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<LabelValue, E> {
                let unexpected = serde::de::Unexpected::Unsigned(value);
                u16::try_from(value).map(LabelValue::Gray).map_err(|_| E::invalid_value(unexpected, &self))
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<LabelValue, E> {
                let unexpected = serde::de::Unexpected::Signed(value);
                u16::try_from(value).map(LabelValue::Gray).map_err(|_| E::invalid_value(unexpected, &self))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<LabelValue, E> {
                text.parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// Why a label cannot be encoded, a mask cannot be decoded or a table cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelError {
    /// A side is 0 or longer than [`SIDE_MAX`].
    Size {
        /// Width found, in pixels.
        width: usize,
        /// Height found, in pixels.
        height: usize,
    },
    /// Samples or a buffer have the wrong length.
    Length {
        /// Elements expected.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// The value of a pixel is in no class and is not ignored.
    Unknown {
        /// The value.
        value: LabelValue,
        /// Its column.
        x: usize,
        /// Its row.
        y: usize,
    },
    /// A mask contains an id without a value in the table.
    UnknownId {
        /// The id.
        id: u8,
    },
    /// A value does not fit the sample type to write.
    NotRepresentable {
        /// The value.
        value: LabelValue,
    },
    /// A value is already in a class or ignored.
    Duplicate {
        /// The value.
        value: LabelValue,
    },
    /// Values are not strictly increasing.
    NotSorted {
        /// The first value that is not above the one before.
        value: LabelValue,
    },
    /// A class has no value.
    EmptyClass,
    /// More than [`CLASSES_MAX`] classes.
    TooManyClasses,
    /// More than [`VALUES_MAX`] values.
    TooManyValues,
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Size { width, height } => {
                write!(f, "label size: expected 1 to {SIDE_MAX} pixels per side, found {width}x{height}")
            }
            Self::Length { expected, found } => write!(f, "label samples: expected {expected}, found {found}"),
            Self::Unknown { value, x, y } => {
                write!(f, "label value {value} at column {x}, row {y} belongs to no class")
            }
            Self::UnknownId { id } => write!(f, "class id {id} in the mask has no label value"),
            Self::NotRepresentable { value } => write!(f, "label value {value} does not fit the sample type to write"),
            Self::Duplicate { value } => write!(f, "label value {value} is listed twice"),
            Self::NotSorted { value } => {
                write!(f, "label values: expected strictly increasing values, found {value} out of order")
            }
            Self::EmptyClass => f.write_str("expected a label value for each class, found none"),
            Self::TooManyClasses => write!(f, "expected at most {CLASSES_MAX} classes, found more"),
            Self::TooManyValues => {
                write!(f, "expected at most {VALUES_MAX} distinct label values, found more")
            }
        }
    }
}

impl core::error::Error for LabelError {}

#[cfg(test)]
mod tests;
