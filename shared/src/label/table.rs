//! The table from label values to class ids, and masks encoded and decoded with it.

use heapless::Vec;

use super::view::check_len;
use super::{
    CLASSES_MAX, LabelError, LabelSamples, LabelSamplesMut, LabelValue, LabelView, Reading, Unlisted, VALUES_MAX,
};
use crate::mask::IGNORE_INDEX;

/// Label values to class ids and back: each class has at least one value, no value is in two classes, and some values
/// may be ignored.
///
/// Decoding writes the first value of each class, and the first ignored value for [`IGNORE_INDEX`]; encoding the result
/// gives the same mask again. Encoding and decoding a label gives the same label if each of its classes has a single
/// value.
#[derive(Clone, Debug, Default)]
pub struct LabelTable {
    /// Sorted by value; ignored values have the id [`IGNORE_INDEX`].
    ids: Vec<(LabelValue, u8), VALUES_MAX>,
    /// The first value of each class.
    first: Vec<LabelValue, CLASSES_MAX>,
    first_ignored: Option<LabelValue>,
    reading: Reading,
}

impl LabelTable {
    /// A table without classes.
    #[must_use]
    pub const fn new() -> Self {
        let reading = Reading {
            palette_indices: false,
            samples_as_stored: false,
            transparent: None,
            unlisted: Unlisted::Refused,
        };
        Self { ids: Vec::new(), first: Vec::new(), first_ignored: None, reading }
    }

    /// The same table for labels that are read like this.
    #[must_use]
    pub const fn with_reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        self
    }

    /// How labels are read.
    #[must_use]
    pub const fn reading(&self) -> &Reading {
        &self.reading
    }

    /// A table with one class per value, with ids in the order of the values.
    ///
    /// # Errors
    /// If the values are not strictly increasing, or too many.
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

    /// Adds a class with these values and returns its id. An error leaves the table unchanged.
    ///
    /// # Errors
    /// If there is no value, one is already in the table or listed twice, or the table is full.
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

    /// Adds a value to the class `id`.
    ///
    /// # Errors
    /// If there is no such class, the value is already in the table, or the table is full.
    pub fn push_value(&mut self, id: u8, value: LabelValue) -> Result<(), LabelError> {
        if usize::from(id) >= self.first.len() {
            return Err(LabelError::UnknownId { id });
        }
        self.insert(value, id)
    }

    /// Adds a value to ignore.
    ///
    /// # Errors
    /// If the value is already in the table, or the table is full.
    pub fn push_ignore(&mut self, value: LabelValue) -> Result<(), LabelError> {
        self.insert(value, IGNORE_INDEX)?;
        self.first_ignored.get_or_insert(value);
        Ok(())
    }

    /// The number of classes.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.first.len()
    }

    /// All values that are listed, those of classes and those to ignore, in order.
    pub fn values(&self) -> impl Iterator<Item = LabelValue> {
        self.ids.iter().map(|(value, _)| *value)
    }

    /// The class of a value, [`IGNORE_INDEX`] for an ignored one, none for one that is not listed.
    #[must_use]
    pub fn id_of(&self, value: LabelValue) -> Option<u8> {
        self.position(value).ok().map(|i| self.ids[i].1)
    }

    /// The class of a value, listed or not, according to [`Reading::unlisted`].
    #[must_use]
    pub fn id_of_any(&self, value: LabelValue) -> Option<u8> {
        self.id_of(value).or_else(|| match self.reading.unlisted {
            Unlisted::Refused => None,
            Unlisted::Nearest => {
                let nearest = self.ids.iter().map(|(listed, id)| (listed.distance(value), *id)).min();
                nearest.filter(|(distance, _)| *distance < u64::MAX).map(|(_, id)| id)
            }
            Unlisted::Foreground => u8::try_from(self.first.len().checked_sub(1)?).ok(),
        })
    }

    /// The first value of a class, or the first ignored value for [`IGNORE_INDEX`].
    #[must_use]
    pub fn value_of(&self, id: u8) -> Option<LabelValue> {
        if id == IGNORE_INDEX { self.first_ignored } else { self.first.get(usize::from(id)).copied() }
    }

    /// Writes the class id of each pixel: `out` is a mask of `width * height` bytes.
    ///
    /// # Errors
    /// If `out` has another length, or for the first pixel whose value has no id.
    pub fn encode(&self, label: &LabelView<'_>, out: &mut [u8]) -> Result<(), LabelError> {
        check_len(label.width() * label.height(), out.len())?;
        let unknown = |value, i: usize| LabelError::Unknown { value, x: i % label.width(), y: i / label.width() };
        if let LabelSamples::Gray8(data) = label.samples() {
            let ids: [Option<u8>; 256] = core::array::from_fn(|value| self.id_of_any(LabelValue::Gray(value as u16)));
            for (i, (to, &value)) in out.iter_mut().zip(data).enumerate() {
                *to = ids[usize::from(value)].ok_or_else(|| unknown(LabelValue::Gray(value.into()), i))?;
            }
            return Ok(());
        }
        // Annotations consist of areas: most pixels have the value of their neighbour and need no search.
        let mut last: Option<(LabelValue, u8)> = None;
        label.try_for_each(|i, value| {
            let id = match last {
                Some((known, id)) if known == value => id,
                _ => self.id_of_any(value).ok_or_else(|| unknown(value, i))?,
            };
            last = Some((value, id));
            out[i] = id;
            Ok(())
        })
    }

    /// Writes the first value of each pixel's class.
    ///
    /// # Errors
    /// If `out` has another length than the mask, an id has no value, or a value does not fit the sample type.
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
