//! What one label contains, in a form small enough to be kept for every file of a dataset and compared.

use std::collections::HashMap;
use std::hash::Hash;

use super::decode::{DecodedLabel, OwnedSamples};
use super::histogram::{LabelHistogram, ValueCount};
use unet_shared::label::LabelValue;

/// Values that are kept of a label, the most frequent ones.
const KEPT_MAX: usize = 300;

/// A label with fewer values than this is not searched for regions.
const OBJECTS_MIN: usize = 8;

/// How a label's values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One number for each pixel.
    Gray,
    /// Three channels, whose values may all be gray.
    Colours,
    /// Indices of a palette.
    Indices,
}

/// What a label contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelFacts {
    /// Index of the label among those of the dataset.
    pub index: usize,
    /// How its values are stored.
    pub form: Form,
    /// Its values with their counts, in order; of many, the most frequent.
    pub values: Vec<(LabelValue, ValueCount)>,
    /// Distinct values beyond those.
    pub more: usize,
    /// Pixels with these values.
    pub more_pixels: u64,
    /// All pixels.
    pub pixels: u64,
    /// Is compressed as JPEG.
    pub lossy: bool,
    /// The colours of the indices that occur, if the palette has one.
    pub palette: Vec<(u8, [u8; 3])>,
    /// Values other than 0 and black whose pixels are one region each, if there are enough values to count them.
    pub objects: Option<usize>,
}

impl LabelFacts {
    /// The facts about a label, whose samples are values, and its counts.
    pub fn of(label: &DecodedLabel, index: usize) -> (Self, LabelHistogram) {
        let histogram = LabelHistogram::of(label, index);
        let mut values: Vec<(LabelValue, ValueCount)> =
            histogram.values.iter().map(|(v, count)| (*v, *count)).collect();
        let distinct = values.len();
        if distinct > KEPT_MAX {
            values.sort_by_key(|(value, count)| (std::cmp::Reverse(count.pixels), *value));
            values.truncate(KEPT_MAX);
            values.sort_by_key(|(value, _)| *value);
        }
        let kept_pixels: u64 = values.iter().map(|(_, count)| count.pixels).sum();
        let form = match (&label.palette, &label.samples) {
            (Some(_), _) => Form::Indices,
            (None, OwnedSamples::Rgb8(_)) => Form::Colours,
            (None, _) if label.source.rgb || label.source.palette => Form::Colours,
            (None, _) => Form::Gray,
        };
        let palette = label.palette.iter().flatten().zip(0..=u8::MAX).filter_map(|(&colour, index)| {
            histogram.values.contains_key(&LabelValue::Gray(index.into())).then_some((index, colour))
        });
        let facts = Self {
            index,
            form,
            more: distinct - values.len(),
            more_pixels: histogram.pixels - kept_pixels,
            pixels: histogram.pixels,
            lossy: histogram.lossy,
            palette: palette.collect(),
            objects: (distinct >= OBJECTS_MIN && !histogram.overflow).then(|| objects(label)),
            values,
        };
        (facts, histogram)
    }

    /// Whether the palette, if there is one, shows each index as a gray of the same value, as that of a gray BMP file does.
    pub fn has_plain_palette(&self) -> bool {
        self.palette.iter().all(|&(index, colour)| colour == [index; 3])
    }

    /// Whether a value occurs, of those that are kept.
    pub fn contains(&self, value: LabelValue) -> bool {
        self.values.binary_search_by_key(&value, |(value, _)| *value).is_ok()
    }
}

fn objects(label: &DecodedLabel) -> usize {
    fn count<T: Copy + Eq + Hash>(samples: &[T], width: usize, background: T) -> usize {
        let regions = regions(samples, width);
        regions.iter().filter(|&(&value, &count)| value != background && count == 1).count()
    }
    match &label.samples {
        OwnedSamples::Gray8(samples) => count(samples, label.width, 0),
        OwnedSamples::Gray16(samples) => count(samples, label.width, 0),
        OwnedSamples::Rgb8(samples) => count(samples.as_chunks::<3>().0, label.width, [0; 3]),
    }
}

/// The number of connected regions of each value; pixels that touch at a corner are connected.
fn regions<T: Copy + Eq + Hash>(samples: &[T], width: usize) -> HashMap<T, u32> {
    // A forest over the runs of equal samples in rows: each points to an earlier one of its region, or to itself.
    let (mut parent, mut values): (Vec<u32>, Vec<T>) = (Vec::new(), Vec::new());
    fn root(parent: &mut [u32], mut at: u32) -> u32 {
        while parent[at as usize] != at {
            parent[at as usize] = parent[parent[at as usize] as usize];
            at = parent[at as usize];
        }
        at
    }
    // Where the runs of a row begin and end.
    let mut above: Vec<(usize, usize, u32)> = Vec::new();
    for row in samples.chunks_exact(width) {
        let mut here = Vec::with_capacity(above.len());
        let (mut start, mut first) = (0, 0);
        while let Some(&value) = row.get(start) {
            let end = row[start..].iter().position(|&next| next != value).map_or(width, |length| start + length);
            let run = parent.len() as u32;
            parent.push(run);
            values.push(value);
            first += above[first..].iter().take_while(|(_, end, _)| *end < start).count();
            for &(_, _, other) in above[first..].iter().take_while(|(start, ..)| *start <= end) {
                if values[other as usize] == value {
                    let (a, b) = (root(&mut parent, run), root(&mut parent, other));
                    parent[a.max(b) as usize] = a.min(b);
                }
            }
            here.push((start, end, run));
            start = end;
        }
        above = here;
    }
    let mut counts = HashMap::new();
    for (run, &parent) in parent.iter().enumerate() {
        if parent as usize == run {
            *counts.entry(values[run]).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_connected_at_corners_too() {
        #[rustfmt::skip]
        let samples = [
            1, 0, 2, 0, 1,
            0, 1, 2, 2, 0,
            1, 0, 0, 2, 3,
            0, 0, 0, 0, 3,
        ];
        let regions = regions(&samples, 5);
        assert_eq!((regions[&1], regions[&2], regions[&3]), (2, 1, 1));
        assert_eq!(regions[&0], 2);
    }
}
