//! What a batch of masks asks of the logits.

use std::sync::Arc;

use unet_shared::mask::IGNORE_INDEX;

/// Class ids of a batch with a weight for each class. Pixels with [`IGNORE_INDEX`] are ignored.
#[derive(Clone, Debug)]
pub struct Target {
    /// `[N, H, W]` class ids.
    pub(super) classes: Arc<[u8]>,
    /// One weight per class.
    pub(super) weights: Arc<[f32]>,
    /// Pixels of each class.
    pub(super) pixels: Vec<u64>,
    /// Sum of the weights of all pixels that count; 0 if every pixel is ignored.
    total: f64,
}

impl Target {
    /// Takes `masks`, `[N, H, W]` class ids, for `class_weights.len()` classes.
    pub fn new(masks: &[u8], class_weights: &[f32]) -> Self {
        let mut pixels = [0u64; 256];
        masks.iter().for_each(|&class| pixels[usize::from(class)] += 1);
        pixels[usize::from(IGNORE_INDEX)] = 0;
        let total = class_weights.iter().zip(pixels).map(|(weight, pixels)| f64::from(*weight) * pixels as f64).sum();
        let pixels = pixels.into_iter().take(class_weights.len()).collect();
        Self { classes: masks.into(), weights: class_weights.into(), pixels, total }
    }

    /// Whether at least one pixel counts.
    pub fn counts(&self) -> bool {
        self.total > 0.0
    }

    /// Sum of the weights of all pixels that count.
    pub fn total(&self) -> f64 {
        self.total
    }
}
