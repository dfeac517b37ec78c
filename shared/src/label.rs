//! Annotations as files hold them, and the way to class ids and back.
//!
//! Owns label values, the bounded table from values to ids and the collection of distinct values. Knows nothing of
//! files, class names or how a mask is resized.

use core::fmt;
use core::str::FromStr;

use heapless::Vec;

use crate::image::SIDE_MAX;
use crate::mask::IGNORE_INDEX;

/// Classes at most: ids 0 to 254, since [`IGNORE_INDEX`] is none.
pub const CLASSES_MAX: usize = 255;

/// Distinct label values at most, in a [`LabelTable`] (classes and ignored together) and in a [`ValueSet`].
pub const VALUES_MAX: usize = 1024;

/// One value of an annotation. Grays sort before colours; each by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LabelValue {
    /// A gray or palette-free value of 8 or 16 bits.
    Gray(u16),
    /// A colour.
    Rgb([u8; 3]),
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
        f.write_str("label value must be a number from 0 to 65535 or a colour such as \"#ff0000\"")
    }
}

impl core::error::Error for ParseLabelValueError {}

impl FromStr for LabelValue {
    type Err = ParseLabelValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(hex) = text.strip_prefix('#') else {
            return text.parse().map(Self::Gray).map_err(|_| ParseLabelValueError);
        };
        // `from_str_radix` alone would take a sign.
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
    /// A pixel's value belongs to no class and is not ignored.
    Unknown {
        /// The value.
        value: LabelValue,
        /// Its column.
        x: usize,
        /// Its row.
        y: usize,
    },
    /// A mask holds an id that the table has no value for.
    UnknownId {
        /// The id.
        id: u8,
    },
    /// A value does not fit the samples that it should be written to.
    NotRepresentable {
        /// The value.
        value: LabelValue,
    },
    /// A value has been given to a class or to the ignored ones already.
    Duplicate {
        /// The value.
        value: LabelValue,
    },
    /// Values are not in strictly rising order.
    NotSorted {
        /// The first value that is not above the one before.
        value: LabelValue,
    },
    /// A class needs at least one value.
    EmptyClass,
    /// More than [`CLASSES_MAX`] classes.
    TooManyClasses,
    /// More than [`VALUES_MAX`] distinct values; in a label that usually means a photograph or lossy compression.
    TooManyValues,
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Size { width, height } => {
                write!(f, "label sides must be 1 to {SIDE_MAX} pixels, found {width}x{height}")
            }
            Self::Length { expected, found } => write!(f, "label expects {expected} elements, found {found}"),
            Self::Unknown { value, x, y } => {
                write!(f, "label value {value} at column {x}, row {y} belongs to no class and is not ignored")
            }
            Self::UnknownId { id } => write!(f, "mask holds class id {id}, which has no label value"),
            Self::NotRepresentable { value } => write!(f, "label value {value} does not fit the samples to write"),
            Self::Duplicate { value } => write!(f, "label value {value} is given twice"),
            Self::NotSorted { value } => write!(f, "label values must rise strictly, {value} does not"),
            Self::EmptyClass => f.write_str("class has no label value"),
            Self::TooManyClasses => write!(f, "more than {CLASSES_MAX} classes"),
            Self::TooManyValues => {
                write!(f, "more than {VALUES_MAX} distinct label values, so this is hardly an annotation")
            }
        }
    }
}

impl core::error::Error for LabelError {}

/// The samples of a label, row by row without padding.
#[derive(Clone, Copy, Debug)]
pub enum LabelSamples<'a> {
    /// One byte a pixel.
    Gray8(&'a [u8]),
    /// One 16-bit value a pixel.
    Gray16(&'a [u16]),
    /// Three bytes a pixel.
    Rgb8(&'a [u8]),
}

/// Where decoding writes to; the twin of [`LabelSamples`].
#[derive(Debug)]
pub enum LabelSamplesMut<'a> {
    /// One byte a pixel.
    Gray8(&'a mut [u8]),
    /// One 16-bit value a pixel.
    Gray16(&'a mut [u16]),
    /// Three bytes a pixel.
    Rgb8(&'a mut [u8]),
}

/// A label in somebody else's memory, its length checked.
#[derive(Clone, Copy, Debug)]
pub struct LabelView<'a> {
    samples: LabelSamples<'a>,
    width: usize,
    height: usize,
}

impl<'a> LabelView<'a> {
    /// A view of `width` x `height` pixels.
    ///
    /// # Errors
    /// When a side is 0 or too long, or there are not exactly as many samples as pixels.
    pub fn new(samples: LabelSamples<'a>, width: usize, height: usize) -> Result<Self, LabelError> {
        if !(1..=SIDE_MAX).contains(&width) || !(1..=SIDE_MAX).contains(&height) {
            return Err(LabelError::Size { width, height });
        }
        let pixels = width * height;
        match samples {
            LabelSamples::Gray8(data) => check_len(pixels, data.len())?,
            LabelSamples::Gray16(data) => check_len(pixels, data.len())?,
            LabelSamples::Rgb8(data) => check_len(pixels * 3, data.len())?,
        }
        Ok(Self { samples, width, height })
    }

    /// A view of 8-bit gray samples.
    ///
    /// # Errors
    /// As [`LabelView::new`].
    pub fn gray8(data: &'a [u8], width: usize, height: usize) -> Result<Self, LabelError> {
        Self::new(LabelSamples::Gray8(data), width, height)
    }

    /// A view of 16-bit gray samples.
    ///
    /// # Errors
    /// As [`LabelView::new`].
    pub fn gray16(data: &'a [u16], width: usize, height: usize) -> Result<Self, LabelError> {
        Self::new(LabelSamples::Gray16(data), width, height)
    }

    /// A view of RGB samples, three bytes a pixel.
    ///
    /// # Errors
    /// As [`LabelView::new`].
    pub fn rgb8(data: &'a [u8], width: usize, height: usize) -> Result<Self, LabelError> {
        Self::new(LabelSamples::Rgb8(data), width, height)
    }

    /// Pixels a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// The samples.
    #[must_use]
    pub const fn samples(&self) -> LabelSamples<'a> {
        self.samples
    }

    /// Calls `visit` with every pixel's position in reading order and value, until it fails.
    fn try_for_each<E>(&self, mut visit: impl FnMut(usize, LabelValue) -> Result<(), E>) -> Result<(), E> {
        match self.samples {
            LabelSamples::Gray8(data) => {
                data.iter().enumerate().try_for_each(|(i, &value)| visit(i, LabelValue::Gray(value.into())))
            }
            LabelSamples::Gray16(data) => {
                data.iter().enumerate().try_for_each(|(i, &value)| visit(i, LabelValue::Gray(value)))
            }
            LabelSamples::Rgb8(data) => {
                data.as_chunks().0.iter().enumerate().try_for_each(|(i, &value)| visit(i, LabelValue::Rgb(value)))
            }
        }
    }
}

fn check_len(expected: usize, found: usize) -> Result<(), LabelError> {
    if expected == found { Ok(()) } else { Err(LabelError::Length { expected, found }) }
}

/// From label values to class ids and back: each class has at least one value, no value belongs to two, and some values
/// may be ignored.
///
/// Decoding writes the first value of each class, and the first ignored value for [`IGNORE_INDEX`]; encoding that gives
/// the same mask again. A label is given back exactly where each of its classes has a single value.
#[derive(Clone, Debug, Default)]
pub struct LabelTable {
    /// Sorted by value; ignored values have the id [`IGNORE_INDEX`].
    ids: Vec<(LabelValue, u8), VALUES_MAX>,
    /// The first value of each class.
    first: Vec<LabelValue, CLASSES_MAX>,
    first_ignored: Option<LabelValue>,
}

impl LabelTable {
    /// A table without classes.
    #[must_use]
    pub const fn new() -> Self {
        Self { ids: Vec::new(), first: Vec::new(), first_ignored: None }
    }

    /// A table with one class for each value, ids in the order of the values.
    ///
    /// # Errors
    /// When the values do not rise strictly or there are too many.
    pub fn from_sorted(values: impl IntoIterator<Item = LabelValue>) -> Result<Self, LabelError> {
        let mut table = Self::new();
        for value in values {
            if table.first.last().is_some_and(|&last| value <= last) {
                return Err(LabelError::NotSorted { value });
            }
            table.push_class(&[value])?;
        }
        Ok(table)
    }

    /// Adds a class with these values and returns its id. After an error the table is as before.
    ///
    /// # Errors
    /// When there is no value, one is taken already or given twice, or there is no room.
    pub fn push_class(&mut self, values: &[LabelValue]) -> Result<u8, LabelError> {
        let &first = values.first().ok_or(LabelError::EmptyClass)?;
        let id = u8::try_from(self.first.len()).map_err(|_| LabelError::TooManyClasses)?;
        if self.first.is_full() {
            return Err(LabelError::TooManyClasses);
        }
        for (i, &value) in values.iter().enumerate() {
            if self.position(value).is_ok() || values[..i].contains(&value) {
                return Err(LabelError::Duplicate { value });
            }
        }
        if values.len() > VALUES_MAX - self.ids.len() {
            return Err(LabelError::TooManyValues);
        }
        self.first.push(first).map_err(|_| LabelError::TooManyClasses)?;
        values.iter().try_for_each(|&value| self.insert(value, id))?;
        Ok(id)
    }

    /// Adds a further value to the class `id`.
    ///
    /// # Errors
    /// When there is no such class, the value is taken already or there is no room.
    pub fn push_value(&mut self, id: u8, value: LabelValue) -> Result<(), LabelError> {
        if usize::from(id) >= self.first.len() {
            return Err(LabelError::UnknownId { id });
        }
        self.insert(value, id)
    }

    /// Adds a value that counts for no class.
    ///
    /// # Errors
    /// When the value is taken already or there is no room.
    pub fn push_ignore(&mut self, value: LabelValue) -> Result<(), LabelError> {
        self.insert(value, IGNORE_INDEX)?;
        self.first_ignored.get_or_insert(value);
        Ok(())
    }

    /// Classes.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.first.len()
    }

    /// The class of a value, [`IGNORE_INDEX`] for an ignored one, nothing for an unknown one.
    #[must_use]
    pub fn id_of(&self, value: LabelValue) -> Option<u8> {
        self.position(value).ok().map(|i| self.ids[i].1)
    }

    /// The first value of a class, or of the ignored ones for [`IGNORE_INDEX`].
    #[must_use]
    pub fn value_of(&self, id: u8) -> Option<LabelValue> {
        if id == IGNORE_INDEX { self.first_ignored } else { self.first.get(usize::from(id)).copied() }
    }

    /// Writes the class id of each pixel: `out` is a mask of `width * height` bytes.
    ///
    /// # Errors
    /// When `out` has another length, or for the first pixel whose value is not in the table.
    pub fn encode(&self, label: &LabelView<'_>, out: &mut [u8]) -> Result<(), LabelError> {
        check_len(label.width * label.height, out.len())?;
        let unknown = |value, i: usize| LabelError::Unknown { value, x: i % label.width, y: i / label.width };
        if let LabelSamples::Gray8(data) = label.samples {
            let ids: [Option<u8>; 256] = core::array::from_fn(|value| self.id_of(LabelValue::Gray(value as u16)));
            for (i, (to, &value)) in out.iter_mut().zip(data).enumerate() {
                *to = ids[usize::from(value)].ok_or_else(|| unknown(LabelValue::Gray(value.into()), i))?;
            }
            return Ok(());
        }
        // Annotations are made of areas: most pixels have their neighbour's value and need no search.
        let mut last: Option<(LabelValue, u8)> = None;
        label.try_for_each(|i, value| {
            let id = match last {
                Some((known, id)) if known == value => id,
                _ => self.id_of(value).ok_or_else(|| unknown(value, i))?,
            };
            last = Some((value, id));
            out[i] = id;
            Ok(())
        })
    }

    /// Writes the first value of each pixel's class.
    ///
    /// # Errors
    /// When `out` has another length than the mask, an id has no value, or a value does not fit the kind of samples.
    pub fn decode(&self, mask: &[u8], out: LabelSamplesMut<'_>) -> Result<(), LabelError> {
        let value = |id: u8| self.value_of(id).ok_or(LabelError::UnknownId { id });
        match out {
            LabelSamplesMut::Gray8(out) => {
                check_len(mask.len(), out.len())?;
                for (to, &id) in out.iter_mut().zip(mask) {
                    *to = gray_of(value(id)?)?;
                }
            }
            LabelSamplesMut::Gray16(out) => {
                check_len(mask.len(), out.len())?;
                for (to, &id) in out.iter_mut().zip(mask) {
                    *to = gray_of(value(id)?)?;
                }
            }
            LabelSamplesMut::Rgb8(out) => {
                check_len(mask.len().saturating_mul(3), out.len())?;
                for (to, &id) in out.as_chunks_mut().0.iter_mut().zip(mask) {
                    *to = match value(id)? {
                        LabelValue::Rgb(rgb) => rgb,
                        value @ LabelValue::Gray(_) => return Err(LabelError::NotRepresentable { value }),
                    };
                }
            }
        }
        Ok(())
    }

    fn position(&self, value: LabelValue) -> Result<usize, usize> {
        self.ids.binary_search_by_key(&value, |entry| entry.0)
    }

    fn insert(&mut self, value: LabelValue, id: u8) -> Result<(), LabelError> {
        match self.position(value) {
            Ok(_) => Err(LabelError::Duplicate { value }),
            Err(place) => self.ids.insert(place, (value, id)).map_err(|_| LabelError::TooManyValues),
        }
    }
}

fn gray_of<T: TryFrom<u16>>(value: LabelValue) -> Result<T, LabelError> {
    match value {
        LabelValue::Gray(gray) => T::try_from(gray).map_err(|_| LabelError::NotRepresentable { value }),
        LabelValue::Rgb(_) => Err(LabelError::NotRepresentable { value }),
    }
}

/// The distinct values of any number of labels, in order; at most [`VALUES_MAX`].
#[derive(Clone, Debug, Default)]
pub struct ValueSet {
    values: Vec<LabelValue, VALUES_MAX>,
}

impl ValueSet {
    /// An empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { values: Vec::new() }
    }

    /// Adds a value; tells whether it is new.
    ///
    /// # Errors
    /// When there is no room.
    pub fn insert(&mut self, value: LabelValue) -> Result<bool, LabelError> {
        match self.values.binary_search(&value) {
            Ok(_) => Ok(false),
            Err(place) => self.values.insert(place, value).map(|()| true).map_err(|_| LabelError::TooManyValues),
        }
    }

    /// Adds every value of a label.
    ///
    /// # Errors
    /// When there is no room; the values before that one have been added.
    pub fn insert_all(&mut self, label: &LabelView<'_>) -> Result<(), LabelError> {
        let mut last = None;
        label.try_for_each(|_, value| {
            if last != Some(value) {
                self.insert(value)?;
                last = Some(value);
            }
            Ok(())
        })
    }

    /// The values, rising strictly.
    #[must_use]
    pub fn as_slice(&self) -> &[LabelValue] {
        &self.values
    }

    /// The values, rising strictly.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = LabelValue> + '_ {
        self.values.iter().copied()
    }
}

#[cfg(test)]
mod tests;
