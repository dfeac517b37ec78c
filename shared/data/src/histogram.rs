//! How often each value occurs in labels, and in what surroundings.
//!
//! Knows no classes; [`super::labels`] interprets the values.

use std::collections::{BTreeMap, HashMap};

use super::decode::{DecodedLabel, OwnedSamples};
use unet_shared::label::LabelValue;

/// Distinct values to count at most; a label with more is a photograph.
const DISTINCT_MAX: usize = 1 << 16;

/// How often a value occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueCount {
    /// Pixels with the value.
    pub pixels: u64,
    /// Of these, pixels whose four neighbours inside the label all have it too.
    pub interior: u64,
    /// Pixels that have two or more other values among their eight neighbours, as at the edges of smoothed areas.
    pub mixed: u64,
    /// Labels that contain the value.
    pub labels: u64,
    /// Index of the first label that contains it.
    pub first: usize,
}

/// Counts of the values of one or many labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelHistogram {
    /// The values and their counts.
    pub values: BTreeMap<LabelValue, ValueCount>,
    /// Pixels in total.
    pub pixels: u64,
    /// Whether a label is a JPEG, which does not preserve values.
    pub lossy: bool,
    /// Whether there are more distinct values than were counted.
    pub overflow: bool,
}

impl LabelHistogram {
    /// The counts of the label with this index.
    pub fn of(label: &DecodedLabel, index: usize) -> Self {
        let (width, height) = (label.width, label.height);
        let mut histogram = Self { pixels: (width * height) as u64, lossy: label.source.lossy, ..Self::default() };
        match &label.samples {
            OwnedSamples::Gray8(samples) => {
                let mut counts = [Counts::default(); 256];
                for_each_pixel(samples, width, |value, surroundings| counts[usize::from(value)].add(surroundings));
                let counted = (0..=u8::MAX).zip(counts).filter(|(_, counts)| counts.pixels > 0);
                histogram.extend(counted.map(|(value, count)| (LabelValue::Gray(value.into()), count)), index);
            }
            OwnedSamples::Gray16(samples) => {
                let counts = histogram.count(samples, width);
                histogram.extend(counts.into_iter().map(|(value, count)| (LabelValue::Gray(value), count)), index);
            }
            OwnedSamples::Rgb8(samples) => {
                let counts = histogram.count(samples.as_chunks::<3>().0, width);
                histogram.extend(counts.into_iter().map(|(value, count)| (LabelValue::Rgb(value), count)), index);
            }
        }
        histogram
    }

    /// Adds the counts of other labels.
    pub fn merge(&mut self, other: &Self) {
        for (value, count) in &other.values {
            if self.values.len() >= DISTINCT_MAX && !self.values.contains_key(value) {
                self.overflow = true;
                continue;
            }
            self.values
                .entry(*value)
                .and_modify(|sum| {
                    sum.pixels += count.pixels;
                    sum.interior += count.interior;
                    sum.mixed += count.mixed;
                    sum.labels += count.labels;
                    sum.first = sum.first.min(count.first);
                })
                .or_insert(*count);
        }
        self.pixels += other.pixels;
        self.lossy |= other.lossy;
        self.overflow |= other.overflow;
    }

    /// Whether any value is a colour.
    pub fn has_colours(&self) -> bool {
        matches!(self.values.last_key_value(), Some((LabelValue::Rgb(_), _)))
    }

    /// The same counts with 8-bit grays as colours.
    pub fn into_colours(self) -> Self {
        let mut colours = Self { values: BTreeMap::new(), ..self };
        for (value, count) in self.values {
            let single = Self { values: BTreeMap::from([(as_colour(value), count)]), ..Self::default() };
            colours.merge(&single);
        }
        colours
    }

    fn extend(&mut self, counts: impl IntoIterator<Item = (LabelValue, Counts)>, first: usize) {
        let count = |Counts { pixels, interior, mixed }| ValueCount { pixels, interior, mixed, labels: 1, first };
        self.values.extend(counts.into_iter().map(|(value, counts)| (value, count(counts))));
    }

    /// Counts samples of many possible values; values beyond the bound only set `overflow`.
    fn count<T: Copy + Eq + std::hash::Hash>(&mut self, samples: &[T], width: usize) -> HashMap<T, Counts> {
        let mut counts: HashMap<T, Counts> = HashMap::new();
        for_each_pixel(samples, width, |value, surroundings| {
            if counts.len() >= DISTINCT_MAX && !counts.contains_key(&value) {
                self.overflow = true;
                return;
            }
            counts.entry(value).or_default().add(surroundings);
        });
        counts
    }
}

/// Pixels of a value in one label.
#[derive(Clone, Copy, Default)]
struct Counts {
    pixels: u64,
    interior: u64,
    mixed: u64,
}

impl Counts {
    fn add(&mut self, surroundings: Surroundings) {
        self.pixels += 1;
        self.interior += u64::from(surroundings == Surroundings::Interior);
        self.mixed += u64::from(surroundings == Surroundings::Mixed);
    }
}

/// What is around a pixel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Surroundings {
    /// Its value, above, below, left and right.
    Interior,
    /// Its value and at most one other.
    Edge,
    /// Two or more other values.
    Mixed,
}

/// An 8-bit gray as the colour of three equal channels; other values as they are.
pub fn as_colour(value: LabelValue) -> LabelValue {
    match value {
        LabelValue::Gray(gray) => u8::try_from(gray).map_or(value, |gray| LabelValue::Rgb([gray; 3])),
        LabelValue::Rgb(_) => value,
    }
}

/// A colour of three equal channels as gray; other values as they are.
pub fn as_gray(value: LabelValue) -> LabelValue {
    match value {
        LabelValue::Rgb([r, g, b]) if r == g && g == b => LabelValue::Gray(r.into()),
        _ => value,
    }
}

/// Visits each pixel with its value and what is around it.
fn for_each_pixel<T: Copy + Eq>(samples: &[T], width: usize, mut visit: impl FnMut(T, Surroundings)) {
    let row = |y: usize| samples.get(y * width..(y + 1) * width);
    let mut y = 0;
    while let Some(here) = row(y) {
        let above = y.checked_sub(1).and_then(row).unwrap_or(here);
        let below = row(y + 1).unwrap_or(here);
        for x in 0..width {
            let value = here[x];
            let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
            if above[x] == value && below[x] == value && here[left] == value && here[right] == value {
                visit(value, Surroundings::Interior);
                continue;
            }
            let mut other = None;
            let around = [above, here, below].into_iter().flat_map(|row| [row[left], row[x], row[right]]);
            let mixed = around.filter(|&near| near != value).any(|near| *other.get_or_insert(near) != near);
            visit(value, if mixed { Surroundings::Mixed } else { Surroundings::Edge });
        }
        y += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(width: usize, samples: OwnedSamples, lossy: bool) -> DecodedLabel {
        let count = match &samples {
            OwnedSamples::Gray8(samples) => samples.len(),
            OwnedSamples::Gray16(samples) => samples.len(),
            OwnedSamples::Rgb8(samples) => samples.len() / 3,
        };
        let mut label = DecodedLabel::drawn(width, count / width, samples);
        label.source.lossy = lossy;
        label
    }

    #[test]
    fn counts_pixels_and_interior_pixels() {
        #[rustfmt::skip]
        let samples = vec![
            7, 7, 7, 0,
            7, 7, 7, 0,
            7, 7, 7, 0,
        ];
        let histogram = LabelHistogram::of(&label(4, OwnedSamples::Gray8(samples.clone()), false), 5);
        let expected = [
            (LabelValue::Gray(0), ValueCount { pixels: 3, interior: 0, mixed: 0, labels: 1, first: 5 }),
            (LabelValue::Gray(7), ValueCount { pixels: 9, interior: 6, mixed: 0, labels: 1, first: 5 }),
        ];
        assert_eq!(histogram.values, BTreeMap::from(expected));
        // The other sample types are counted the same way.
        let deep = OwnedSamples::Gray16(samples.iter().map(|&v| v.into()).collect());
        assert_eq!(LabelHistogram::of(&label(4, deep, false), 5), histogram);
        let colour = OwnedSamples::Rgb8(samples.iter().flat_map(|&v| [v; 3]).collect());
        assert_eq!(LabelHistogram::of(&label(4, colour, false), 5), histogram.clone().into_colours());
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        assert_eq!((twice.pixels, twice.values[&LabelValue::Gray(7)].labels), (24, 2));
    }

    #[test]
    fn pixels_with_two_other_values_around_are_mixed() {
        // A step of two values between areas, and a line of one pixel.
        let row = [0u8, 0, 0, 85, 170, 255, 255, 0, 0, 9, 0, 0];
        let samples = OwnedSamples::Gray8(row.repeat(10));
        let histogram = LabelHistogram::of(&label(row.len(), samples, false), 0);
        let mixed = |value| {
            let count = &histogram.values[&LabelValue::Gray(value)];
            (count.pixels, count.interior, count.mixed)
        };
        assert_eq!(mixed(85), (10, 0, 10));
        assert_eq!(mixed(170), (10, 0, 10));
        assert_eq!(mixed(9), (10, 0, 0));
    }
}
