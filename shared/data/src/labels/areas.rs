//! Which values are those of areas, and which are left behind by smoothing, scaling or compression.
//!
//! A value belongs to an area if it fills one in any label. One that never does is odd where its pixels lie between those of
//! two other values, as on a smoothed edge. A class that is drawn as thin lines fills no area either, but lies on a single
//! background.

use std::collections::BTreeSet;

use unet_shared::label::LabelValue;

use crate::histogram::ValueCount;
use crate::label_facts::LabelFacts;

/// Fewer odd values than this in one label are drawn classes, such as the outlines of objects.
const ODD_MIN: usize = 3;
/// Values of areas that are at least this far apart are codes of few classes, and what is next to one is a damaged code.
const FAR: u64 = 32;
/// How near to a code a damaged one is.
const NEAR: u64 = 16;

/// The values of areas in a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Areas {
    values: BTreeSet<LabelValue>,
    far_apart: bool,
}

/// The odd values of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Odd {
    /// Labels that have any.
    pub labels: usize,
    /// Their share of the pixels of all labels, in percent.
    pub percent: f64,
    /// Index of the label that has most, by its share.
    pub worst: usize,
    /// Odd values in that label.
    pub worst_values: usize,
    /// Their share of its pixels, in percent.
    pub worst_percent: f64,
}

impl Areas {
    /// The values that fill an area in any of these labels.
    pub fn of(files: &[LabelFacts]) -> Self {
        let mut values = BTreeSet::new();
        for file in files {
            values.extend(file.values.iter().filter(|(_, count)| is_area(count, file)).map(|(value, _)| *value));
        }
        let far_apart = values.len() >= 2 && are_far_apart(&values);
        Self { values, far_apart }
    }

    /// Whether a value in a label with these counts is odd.
    fn is_odd(&self, value: LabelValue, count: &ValueCount, lossy: bool) -> bool {
        !self.values.contains(&value) && (lossy || count.mixed * 2 >= count.pixels || self.is_damaged(value))
    }

    /// Whether a value that fills no area is next to one that does, where those are far apart.
    fn is_damaged(&self, value: LabelValue) -> bool {
        let is_near = |area: &LabelValue| area.distance(value) <= NEAR * NEAR;
        self.far_apart && !self.values.contains(&value) && self.values.iter().any(is_near)
    }

    /// The odd values of these labels; none if there are so few that they may be meant.
    pub fn odd(&self, files: &[LabelFacts]) -> Option<Odd> {
        if self.values.is_empty() {
            return None;
        }
        let (mut labels, mut odd_pixels, mut pixels) = (0, 0, 0);
        let mut worst: Option<(f64, usize, usize)> = None;
        for file in files {
            let odd: Vec<_> =
                file.values.iter().filter(|(value, count)| self.is_odd(*value, count, file.lossy)).collect();
            pixels += file.pixels;
            let damaged = odd.iter().any(|(value, _)| self.is_damaged(*value));
            let count = odd.len() + file.more;
            if count < ODD_MIN && !damaged && !(file.lossy && count > 0) {
                continue;
            }
            let here = odd.iter().map(|(_, count)| count.pixels).sum::<u64>() + file.more_pixels;
            labels += 1;
            odd_pixels += here;
            let share = here as f64 / file.pixels as f64;
            if worst.is_none_or(|(most, ..)| share > most) {
                worst = Some((share, file.index, count));
            }
        }
        let (share, worst, worst_values) = worst?;
        let percent = odd_pixels as f64 / pixels as f64 * 100.0;
        Some(Odd { labels, percent, worst, worst_values, worst_percent: share * 100.0 })
    }

    /// The values that are classes if all others are mapped to the nearest of them: those of areas, without what
    /// compression made of a more frequent one.
    pub fn classes(&self, files: &[LabelFacts]) -> Vec<LabelValue> {
        let mut pixels: Vec<(u64, LabelValue)> = self.values.iter().map(|&value| (0, value)).collect();
        for (sum, value) in &mut pixels {
            for file in files {
                let found = file.values.binary_search_by_key(value, |(value, _)| *value);
                *sum += found.map_or(0, |at| file.values[at].1.pixels);
            }
        }
        pixels.sort_by_key(|&(pixels, value)| (std::cmp::Reverse(pixels), value));
        // Ids are next to each other and rarely compressed.
        let codes = self.values.iter().any(|value| !matches!(value, LabelValue::Gray(0..64)));
        let mut kept: Vec<LabelValue> = Vec::new();
        for (_, value) in pixels {
            if !codes || kept.iter().all(|other| other.distance(value) > NEAR * NEAR) {
                kept.push(value);
            }
        }
        kept.sort();
        kept
    }
}

/// Whether a value fills an area: many of its pixels are surrounded by their own value, or they are many and not on the edges
/// between others. In a JPEG there are flat blocks of wrong values, so both must hold.
fn is_area(count: &ValueCount, file: &LabelFacts) -> bool {
    let solid = count.interior * 4 >= count.pixels;
    let large = count.pixels * 50 >= file.pixels && count.mixed * 2 < count.pixels;
    if file.lossy { solid && large } else { solid || large }
}

fn are_far_apart(values: &BTreeSet<LabelValue>) -> bool {
    let values: Vec<_> = values.iter().collect();
    values.len() <= usize::from(u8::MAX)
        && values.iter().enumerate().all(|(at, a)| values[at + 1..].iter().all(|b| a.distance(**b) >= FAR * FAR))
}
