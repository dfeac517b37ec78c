//! How often each value occurs in labels, and which values look like artefacts of anti-aliasing or compression.
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

/// Values of areas, and values that occur only between areas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Between {
    /// Values of areas.
    pub solid: Vec<LabelValue>,
    /// Values between areas.
    pub between: Vec<LabelValue>,
    /// Pixels with a value between areas.
    pub pixels: u64,
}

impl LabelHistogram {
    /// The counts of the label with this index.
    pub fn of(label: &DecodedLabel, index: usize) -> Self {
        let (width, height) = (label.width, label.height);
        let mut histogram = Self { pixels: (width * height) as u64, lossy: label.source.lossy, ..Self::default() };
        match &label.samples {
            OwnedSamples::Gray8(samples) => {
                let mut counts = [(0u64, 0u64); 256];
                for_each_pixel(samples, width, |value, interior| {
                    let (pixels, inside) = &mut counts[usize::from(value)];
                    *pixels += 1;
                    *inside += u64::from(interior);
                });
                let counted = (0..=u8::MAX).zip(counts).filter(|(_, (pixels, _))| *pixels > 0);
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

    /// Separates areas from what is between them, if the labels look anti-aliased or compressed: at least eight values,
    /// and more than twice as many as areas, that have few interior pixels and together at most a fifth of all pixels.
    /// Classes drawn as thin lines are rare values too, but there are few of them.
    pub fn between(&self) -> Option<Between> {
        const BETWEEN_MIN: usize = 8;
        let solid = |count: &ValueCount| {
            let share = count.pixels as f64 / self.pixels as f64;
            let interior = count.interior as f64 / count.pixels as f64;
            // JPEG blocks leave small areas of wrong values.
            share >= 0.02 || !self.lossy && interior >= 0.25
        };
        let (areas, rest): (Vec<_>, Vec<_>) = self.values.iter().partition(|(_, count)| solid(count));
        let pixels = rest.iter().map(|(_, count)| count.pixels).sum::<u64>();
        let few = pixels <= self.pixels / 5;
        let many = rest.len() >= BETWEEN_MIN && rest.len() > 2 * areas.len();
        let values = |part: Vec<(&LabelValue, &ValueCount)>| part.into_iter().map(|(value, _)| *value).collect();
        (few && many && !areas.is_empty()).then(|| Between { solid: values(areas), between: values(rest), pixels })
    }

    fn extend(&mut self, counts: impl IntoIterator<Item = (LabelValue, (u64, u64))>, first: usize) {
        let count = |(pixels, interior)| ValueCount { pixels, interior, labels: 1, first };
        self.values.extend(counts.into_iter().map(|(value, counts)| (value, count(counts))));
    }

    /// Counts samples of many possible values; values beyond the bound only set `overflow`.
    fn count<T: Copy + Eq + std::hash::Hash>(&mut self, samples: &[T], width: usize) -> HashMap<T, (u64, u64)> {
        let mut counts: HashMap<T, (u64, u64)> = HashMap::new();
        for_each_pixel(samples, width, |value, interior| {
            if counts.len() >= DISTINCT_MAX && !counts.contains_key(&value) {
                self.overflow = true;
                return;
            }
            let (pixels, inside) = counts.entry(value).or_default();
            *pixels += 1;
            *inside += u64::from(interior);
        });
        counts
    }
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

/// Visits each pixel with its value, and whether its neighbours above, below, left and right have the same value.
fn for_each_pixel<T: Copy + Eq>(samples: &[T], width: usize, mut visit: impl FnMut(T, bool)) {
    let row = |y: usize| samples.get(y * width..(y + 1) * width);
    let mut y = 0;
    while let Some(here) = row(y) {
        let above = y.checked_sub(1).and_then(row).unwrap_or(here);
        let below = row(y + 1).unwrap_or(here);
        for x in 0..width {
            let value = here[x];
            let left = here[x.saturating_sub(1)];
            let right = here[(x + 1).min(width - 1)];
            visit(value, above[x] == value && below[x] == value && left == value && right == value);
        }
        y += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::LabelSource;

    fn label(width: usize, samples: OwnedSamples, lossy: bool) -> DecodedLabel {
        let count = match &samples {
            OwnedSamples::Gray8(samples) => samples.len(),
            OwnedSamples::Gray16(samples) => samples.len(),
            OwnedSamples::Rgb8(samples) => samples.len() / 3,
        };
        let source = LabelSource { bit_depth: 8, rgb: false, palette: false, alpha: false, lossy, orientation: 1 };
        DecodedLabel { width, height: count / width, samples, source }
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
            (LabelValue::Gray(0), ValueCount { pixels: 3, interior: 0, labels: 1, first: 5 }),
            (LabelValue::Gray(7), ValueCount { pixels: 9, interior: 6, labels: 1, first: 5 }),
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
    fn ramp_between_two_areas_is_in_between() {
        let row: Vec<u8> = [vec![0; 60], (1..10).map(|step| step * 25).collect(), vec![255; 60]].concat();
        let samples = row.repeat(20);
        let width = row.len();
        let between = LabelHistogram::of(&label(width, OwnedSamples::Gray8(samples), false), 0).between();
        // A column of one value has no interior pixel.
        let between = between.unwrap();
        assert_eq!(between.solid, [LabelValue::Gray(0), LabelValue::Gray(255)]);
        assert_eq!((between.between.len(), between.pixels), (9, 180));
    }

    #[test]
    fn many_classes_and_thin_classes_are_not_in_between() {
        // Forty areas of 3x3 pixels, and seven lines of one pixel on a background.
        let areas: Vec<u8> = (0..3).flat_map(|_| (0..40u8).flat_map(|value| [value; 3])).collect();
        assert_eq!(LabelHistogram::of(&label(120, OwnedSamples::Gray8(areas), false), 0).between(), None);
        let lines: Vec<u8> = (0..100).flat_map(|_| (0..100u8).map(|x| if x % 14 == 3 { x } else { 0 })).collect();
        assert_eq!(LabelHistogram::of(&label(100, OwnedSamples::Gray8(lines), false), 0).between(), None);
    }
}
