//! Softmax of a block of pixels, for losses that read the logits in one or two passes and keep no probabilities.

use super::elementwise::PIXELS;
use super::instruction_set::InstructionSet;

/// Pixels of a block.
pub const BLOCK_PIXELS: usize = PIXELS;

/// The softmax of one block at a time.
#[derive(Debug)]
pub struct Softmax {
    set: InstructionSet,
    classes: usize,
    values: Vec<f32>,
    largest: [f32; PIXELS],
    sums: [f32; PIXELS],
}

impl Softmax {
    /// For logits of this many classes.
    pub fn new(set: InstructionSet, classes: usize) -> Self {
        Self { set, classes, values: vec![0.0; classes * PIXELS], largest: [0.0; PIXELS], sums: [0.0; PIXELS] }
    }

    /// Takes the logits of a block, `[pixels, classes]` with at most [`BLOCK_PIXELS`] pixels. What is returned for pixels past
    /// the last one is left from the block before.
    pub fn compute(&mut self, logits: &[f32]) {
        assert!(logits.len().is_multiple_of(self.classes) && logits.len() <= self.values.len());
        // Class by class, so that vectors run over pixels.
        for (pixel, logits) in logits.chunks_exact(self.classes).enumerate() {
            for (class, logit) in logits.iter().enumerate() {
                self.values[class * PIXELS + pixel] = *logit;
            }
        }
        self.exponentials();
    }

    /// The same for logits `[classes, pixels]`: `row` copies those of a class.
    pub(super) fn compute_rows(&mut self, row: impl Fn(usize, &mut [f32])) {
        self.values.chunks_exact_mut(PIXELS).enumerate().for_each(|(class, values)| row(class, values));
        self.exponentials();
    }

    fn exponentials(&mut self) {
        // SAFETY: the table was chosen for this CPU.
        unsafe { (self.set.table(16).exponentials)(&mut self.values, &mut self.largest, &mut self.sums) };
    }

    /// `exp(logit - largest logit)`, `[classes][BLOCK_PIXELS]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The sum of [`values`](Self::values) over the classes of each pixel; NaN if one of its logits is NaN.
    pub fn sums(&self) -> &[f32; BLOCK_PIXELS] {
        &self.sums
    }

    /// The logarithm of the sum of `exp(logit)` over the classes of a pixel, so that `log p` is the logit minus this.
    pub fn log_sum(&self, pixel: usize) -> f64 {
        f64::from(self.sums[pixel]).ln() + f64::from(self.largest[pixel])
    }
}
