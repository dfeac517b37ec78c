//! Random operations on a training image together with its mask.
//!
//! A run applies flips and a set of operations to each sample, on the loader's threads. Each operation draws from a stream of its
//! own that depends on seed, epoch and sample alone, so that a resumed run and any number of threads give the same images. All
//! arithmetic on pixels is in integers, and what is drawn uses only exactly rounded functions, so machines agree too.
//!
//! The order is fixed: flips, then one map of all geometric operations and one sampling by it, then one curve for brightness, contrast
//! and gamma, then the operations on pixels in the order of [`OperationKind`].

mod blur;
mod colour;
mod cutout;
mod displacement;
mod elastic;
mod elementary;
mod flip;
mod geometry;
mod jpeg;
mod noise;
mod preset;
mod quarter_turn;
mod rare_class;
mod rotate;
mod scale;
mod shift;
mod tone;
mod warp;
mod zoom;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use unet_shared::preprocess::{Channels, Preprocess};

use super::loader::Item;
use crate::rng::Rng;
use geometry::Geometry;
use tone::Tone;

pub use flip::Flips;
use preset::DEFAULT;
pub use preset::{AugmentOptions, Named, NamedList, Preset};

/// Separates the draws of flips from the other uses of one seed.
const FLIP_STREAM: u64 = 0xf11b;

/// An operation that `--augment` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Turn by 0, 90, 180 or 270 degrees
    QuarterTurns,
    /// Scale by 0.5 to 2; an enlarged image is cropped at a random place or, half of the time, around a pixel of a random class,
    /// rare classes more often
    Scale,
    /// Like scale, by 0.8 to 1.25
    Magnify,
    /// Turn half of the images by up to 10 degrees
    Rotate,
    /// Move half of the images by up to a 16th of their sides
    Shift,
    /// Bend half of the images smoothly, by about 2 % of the shorter side
    Elastic,
    /// Change the gray values of half of the images by up to 32
    Brightness,
    /// Stretch the gray values of half of the images around their mean by 0.75 to 1.33
    Contrast,
    /// Raise the gray values of half of the images to a power of 0.7 to 1.4
    Gamma,
    /// Enlarge a random window, of half the side up to all of it
    Zoom,
    /// Change the saturation of half of the images by 0.5 to 1.5, and their hue by up to 18 degrees; gray images do not change
    Colour,
    /// Blur a quarter of the images by a kernel of 3 or 5 pixels a side
    Blur,
    /// Add noise of a deviation of 2 to 10 gray values to a quarter of the images
    Noise,
    /// Compress a quarter of the images as JPEG of a quality of 40 to 95
    Jpeg,
    /// Replace a rectangle in half of the images by the mean, and ignore its pixels
    Cutout,
}

type ChangeGeometry = fn(&mut Rng, &mut Geometry<'_>);
type ChangeTone = fn(&mut Rng, &mut Tone<'_>);
type ChangePixels = fn(&mut Rng, usize, &mut Arc<Item>);

/// What an operation draws and changes. One that draws no change leaves everything as it is.
#[derive(Clone, Copy)]
enum Effect {
    /// Changes where pixels come from.
    Geometry(ChangeGeometry),
    /// Changes the curve of gray values.
    Tone(ChangeTone),
    /// Changes planes and mask, which have the given number of columns. The cache may hold the item too: [`Arc::make_mut`] copies
    /// it then, so an operation that draws no change should not call it.
    Pixels(ChangePixels),
}

impl OperationKind {
    /// What it does, and a number that separates its draws from the other uses of one seed.
    fn effect(self) -> (u64, Effect) {
        use Effect::{Geometry, Pixels, Tone};
        match self {
            Self::QuarterTurns => (0x9042, Geometry(quarter_turn::draw)),
            Self::Scale => (0x5ca1, Geometry(scale::scale)),
            Self::Magnify => (0x3a68, Geometry(scale::magnify)),
            Self::Rotate => (0x4074, Geometry(rotate::draw)),
            Self::Shift => (0x541f, Geometry(shift::draw)),
            Self::Elastic => (0xe1a5, Geometry(elastic::draw)),
            Self::Brightness => (0xb419, Tone(tone::brightness)),
            Self::Contrast => (0xc047, Tone(tone::contrast)),
            Self::Gamma => (0x6a33, Tone(tone::gamma)),
            Self::Zoom => (0x2003, Pixels(zoom::apply)),
            Self::Colour => (0xc010, Pixels(colour::apply)),
            Self::Blur => (0xb104, Pixels(blur::apply)),
            Self::Noise => (0x4015, Pixels(noise::apply)),
            Self::Jpeg => (0x19e6, Pixels(jpeg::apply)),
            Self::Cutout => (0xc074, Pixels(cutout::apply)),
        }
    }

    /// Whether it draws from the classes of the training images.
    fn needs_class_pixels(self) -> bool {
        matches!(self, Self::Scale | Self::Magnify)
    }
}

/// The random operations of a run; [`AugmentOptions`] asks for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Augmentation {
    /// Flips, before all operations.
    pub flips: Flips,
    /// The operations, in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub augment: Vec<OperationKind>,
    /// Pixels of each class in the training images, if an operation draws rare classes more often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_pixels: Vec<u64>,
}

impl Default for Augmentation {
    fn default() -> Self {
        let (flips, operations) = DEFAULT;
        Self { flips, augment: operations.to_vec(), class_pixels: vec![] }
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.flips.fmt(f)?;
        self.augment.iter().try_for_each(|kind| write!(f, ", {}", Named::Operation(*kind).name()))
    }
}

impl From<Preset> for Augmentation {
    fn from(preset: Preset) -> Self {
        let (flips, operations) = preset.parts();
        Self { flips, augment: operations.to_vec(), class_pixels: vec![] }
    }
}

impl Augmentation {
    /// What `train` applies to these inputs without `--flips` and `--augment`. Quarter turns would cut images that are not square.
    pub fn default_for(input: &Preprocess) -> Self {
        match input.channels {
            Channels::Gray if input.width == input.height => Preset::Symmetric.into(),
            Channels::Gray => Self { flips: Flips::BOTH, ..Self::default() },
            Channels::Rgb => Self::default(),
        }
    }

    /// Whether [`Augmentation::class_pixels`] should be set.
    pub fn needs_class_pixels(&self) -> bool {
        self.augment.iter().any(|kind| kind.needs_class_pixels())
    }

    /// Checks the list, and that pixels are counted for all classes or none.
    ///
    /// # Errors
    /// Names the first field with an unexpected value.
    pub fn validate(&self, classes: usize) -> Result<(), String> {
        self.validate_list()?;
        match self.class_pixels.len() {
            0 => Ok(()),
            found if found == classes => Ok(()),
            found => Err(format!("class pixels: expected {classes} numbers, one per class, found {found}")),
        }
    }

    /// Checks that no operation is listed twice: the second one would repeat the draws of the first.
    fn validate_list(&self) -> Result<(), String> {
        let repeated = self.augment.iter().enumerate().find(|(index, kind)| self.augment[..*index].contains(kind));
        match repeated {
            Some((_, kind)) => {
                Err(format!("--augment: expected each operation once, found {} twice", Named::Operation(*kind).name()))
            }
            None => Ok(()),
        }
    }

    /// The operations with the seed that they draw from, for images of `width` columns.
    pub fn augmenter(&self, seed: u64, width: usize) -> Augmenter {
        let mut kinds = self.augment.clone();
        kinds.sort_unstable();
        let class_pixels = self.class_pixels.clone();
        let mut augmenter =
            Augmenter { flips: self.flips, geometry: vec![], tone: vec![], pixels: vec![], class_pixels, seed, width };
        for kind in kinds {
            let (stream, effect) = kind.effect();
            match effect {
                Effect::Geometry(draw) => augmenter.geometry.push((stream, draw)),
                Effect::Tone(draw) => augmenter.tone.push((stream, draw)),
                Effect::Pixels(apply) => augmenter.pixels.push((stream, apply)),
            }
        }
        augmenter
    }
}

/// Applies a run's operations to samples.
#[derive(Debug)]
pub struct Augmenter {
    flips: Flips,
    // Each with the number of its stream.
    geometry: Vec<(u64, ChangeGeometry)>,
    tone: Vec<(u64, ChangeTone)>,
    pixels: Vec<(u64, ChangePixels)>,
    class_pixels: Vec<u64>,
    seed: u64,
    width: usize,
}

impl Augmenter {
    /// Changes the item of `sample` in `epoch`: to the same one for the same arguments, whatever was changed before.
    pub fn apply(&self, epoch: usize, sample: usize, item: &mut Arc<Item>) {
        let rng = |stream: u64| Rng::from_parts(&[self.seed, stream, epoch as u64, sample as u64]);
        self.flips.apply(&mut rng(FLIP_STREAM), self.width, item);
        if !self.geometry.is_empty() {
            let mut geometry = Geometry::new(item, self.width, &self.class_pixels);
            self.geometry.iter().for_each(|(stream, draw)| draw(&mut rng(*stream), &mut geometry));
            if !geometry.is_identity() {
                let warped = warp::warp(&geometry, item);
                *item = Arc::new(warped);
            }
        }
        if !self.tone.is_empty() {
            let mut tone = Tone::new(&item.planes);
            self.tone.iter().for_each(|(stream, draw)| draw(&mut rng(*stream), &mut tone));
            if let Some(table) = tone.table() {
                Arc::make_mut(item).planes.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
            }
        }
        self.pixels.iter().for_each(|(stream, apply)| apply(&mut rng(*stream), self.width, item));
    }
}

/// An item of one plane whose pixels are also its mask.
#[cfg(test)]
fn test_item(pixels: &[u8]) -> Arc<Item> {
    Arc::new(Item { planes: pixels.to_vec(), mask: pixels.to_vec(), truth: None })
}

#[cfg(test)]
mod tests;
