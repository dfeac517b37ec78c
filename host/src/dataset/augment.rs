//! Random operations on a training image together with its mask.
//!
//! A run applies a list of operations to each sample, on the loader's threads. Each operation draws from a stream of its own
//! that depends on seed, epoch and sample alone, so that a resumed run and any number of threads give the same images.

mod flip;
mod zoom;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::loader::Item;
use crate::rng::Rng;
use zoom::Zoom;

pub use flip::Flips;

/// A random operation on a training image together with its mask.
trait Operation: fmt::Debug + Send + Sync {
    /// Separates the operation's draws from the other uses of one seed.
    fn stream(&self) -> u64;

    /// Draws from `rng` and changes planes and mask, which have `width` columns. The cache may hold `item` too:
    /// [`Arc::make_mut`] copies it then, so an operation that draws no change should not call it.
    fn apply(&self, rng: &mut Rng, width: usize, item: &mut Arc<Item>);
}

/// An operation that `--augment` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Enlarge a random window, of half the side up to all of it
    Zoom,
}

impl OperationKind {
    fn operation(self) -> Box<dyn Operation> {
        match self {
            Self::Zoom => Box::new(Zoom),
        }
    }

    fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// The random operations of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub struct Augmentation {
    /// Random flips
    #[arg(long, value_enum, default_value_t = Flips::HORIZONTAL)]
    pub flips: Flips,
    /// Random operations after the flips, in this order, separated by commas (default: none)
    #[arg(long, value_enum, value_delimiter = ',')]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub augment: Vec<OperationKind>,
}

impl Augmentation {
    /// Checks that no operation is listed twice: the second one would repeat the draws of the first.
    ///
    /// # Errors
    /// Names the operation.
    pub fn validate(&self) -> Result<(), String> {
        let repeated = self.augment.iter().enumerate().find(|(index, kind)| self.augment[..*index].contains(kind));
        match repeated {
            Some((_, kind)) => Err(format!("augment: expected each operation once, found {} twice", kind.name())),
            None => Ok(()),
        }
    }

    /// The operations with the seed that they draw from, for images of `width` columns.
    pub fn augmenter(&self, seed: u64, width: usize) -> Augmenter {
        let mut operations: Vec<Box<dyn Operation>> = vec![Box::new(self.flips)];
        operations.extend(self.augment.iter().map(|kind| kind.operation()));
        Augmenter { operations, seed, width }
    }
}

/// Applies a run's operations to samples.
#[derive(Debug)]
pub struct Augmenter {
    operations: Vec<Box<dyn Operation>>,
    seed: u64,
    width: usize,
}

impl Augmenter {
    /// Changes the item of `sample` in `epoch`: to the same one for the same arguments, whatever was changed before.
    pub fn apply(&self, epoch: usize, sample: usize, item: &mut Arc<Item>) {
        for operation in &self.operations {
            let mut rng = Rng::from_parts(&[self.seed, operation.stream(), epoch as u64, sample as u64]);
            operation.apply(&mut rng, self.width, item);
        }
    }
}

/// An item of one plane whose pixels are also its mask.
#[cfg(test)]
fn test_item(pixels: &[u8]) -> Arc<Item> {
    Arc::new(Item { planes: pixels.to_vec(), mask: pixels.to_vec(), truth: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn an_operation_listed_twice_is_refused_by_name() {
        let listed = |augment: &[OperationKind]| Augmentation { flips: Flips::NONE, augment: augment.to_vec() };
        assert_eq!(listed(OperationKind::value_variants()).validate(), Ok(()));
        let error = listed(&[OperationKind::Zoom; 2]).validate().unwrap_err();
        assert!(error.contains("zoom twice"), "{error}");
    }

    #[test]
    fn operations_draw_from_streams_of_their_own() {
        let mut streams: Vec<u64> = OperationKind::value_variants().iter().map(|k| k.operation().stream()).collect();
        streams.push(Operation::stream(&Flips::BOTH));
        let count = streams.len();
        streams.sort_unstable();
        streams.dedup();
        assert_eq!(streams.len(), count);
    }

    /// Whatever is drawn: image and mask stay together, no class appears that was not there, and the cached item stays as
    /// it is.
    #[test]
    fn image_and_mask_change_together() {
        // 255 is the ignore index, and 0 and 255 as gray values can be told apart after interpolation.
        let pixels: Vec<u8> = (0..48 * 32).map(|i| if i % 48 > 20 && i / 48 > 12 { 255 } else { 0 }).collect();
        for kind in OperationKind::value_variants() {
            let augmentation = Augmentation { flips: Flips::BOTH, augment: vec![*kind] };
            let augmenter = augmentation.augmenter(7, 48);
            let mut changed = 0;
            for sample in 0..50 {
                let cached = test_item(&pixels);
                let mut item = Arc::clone(&cached);
                augmenter.apply(1, sample, &mut item);
                assert_eq!(cached.mask, pixels);
                assert_eq!((item.planes.len(), item.mask.len()), (pixels.len(), pixels.len()));
                assert!(item.mask.iter().all(|class| [0, 255].contains(class)));
                changed += usize::from(item.mask != pixels);
                // A pixel of the image weighs at least a quarter where the mask has its class.
                let apart = item.planes.iter().zip(&item.mask).filter(|(gray, class)| gray.abs_diff(**class) > 192);
                assert_eq!(apart.count(), 0, "{kind:?}, sample {sample}");
                let mut again = cached;
                augmenter.apply(1, sample, &mut again);
                assert_eq!((&again.planes, &again.mask), (&item.planes, &item.mask));
            }
            assert!(changed > 25, "{kind:?} changed {changed} of 50");
        }
    }
}
