//! What a check keeps of the pairs of a dataset, so that training need not decode them again before its first epoch.

use std::collections::HashMap;
use std::path::PathBuf;

use unet_data::Sample;
use unet_data::histogram::LabelHistogram;
use unet_data::loaded_pair::same_shape;
use unet_shared::label::LabelTable;
use unet_shared::mask::IGNORE_INDEX;
use unet_shared::samples::Range;

use super::examine::{Examined, Unit};
use super::id_of;

/// The pairs of a dataset.
#[derive(Debug, Default)]
pub struct Pairs {
    facts: HashMap<(PathBuf, Option<usize>), PairFacts>,
    training_labels: LabelHistogram,
}

/// A pair whose files can be read and belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairFacts {
    /// Width and height of the image in pixels.
    pub size: (usize, usize),
    /// Whether its samples become bytes only with a range.
    needs_range: bool,
}

impl PairFacts {
    /// Whether the pair can be loaded with this range and the bands that were checked.
    pub fn loads(&self, range: Option<Range>) -> bool {
        range.is_some() || !self.needs_range
    }
}

impl Pairs {
    /// Those of the units that have both an image and a mask; `training_labels` are the counts of the training masks.
    pub(super) fn of(units: &[Unit], examined: &[Examined], training_labels: LabelHistogram) -> Self {
        let facts = units.iter().zip(examined).filter_map(|(unit, examined)| {
            let (path, image) = (unit.image.clone()?, examined.image.as_ref()?.as_ref().ok()?);
            let (mask, _) = examined.mask.as_ref()?.as_ref().ok()?;
            let facts = PairFacts { size: image.size, needs_range: image.needs_range };
            same_shape(image.size, mask.size).then_some(((path, unit.page), facts))
        });
        Self { facts: facts.collect(), training_labels }
    }

    /// The facts about a sample; `None` if it cannot be loaded.
    pub fn facts(&self, sample: &Sample) -> Option<&PairFacts> {
        self.facts.get(&(sample.image.clone(), sample.page))
    }

    /// Pixels of each class in the training masks.
    pub fn training_pixels(&self, table: &LabelTable) -> Vec<u64> {
        class_pixels(&self.training_labels, table)
    }
}

/// Pixels of each class.
pub(super) fn class_pixels(labels: &LabelHistogram, table: &LabelTable) -> Vec<u64> {
    let mut pixels = vec![0; table.class_count()];
    for (&value, count) in &labels.values {
        if let Some(id) = id_of(table, value).filter(|&id| id != IGNORE_INDEX) {
            pixels[usize::from(id)] += count.pixels;
        }
    }
    pixels
}
