//! Focal loss (Lin et al. 2017): pixels that are right already count little.

use unet_kernels::softmax::BLOCK_PIXELS;

use super::Term;
use super::batch::{Batch, Block, Slopes};

/// The focus, gamma.
const GAMMA: i32 = 2;

/// `sum w (1 - p)^gamma (-log p) / sum w` with the probability `p` and the weight `w` of the true class.
struct Focal {
    /// The scale of the loss divided by `sum w`.
    factor: f64,
}

/// The loss times `scale`; none if no pixel counts.
pub(super) fn focal<'a>(batch: &Batch<'a>, scale: f64) -> Option<Box<dyn Term + 'a>> {
    (batch.total > 0.0).then(|| Box::new(Focal { factor: scale / batch.total }) as Box<dyn Term>)
}

impl Term for Focal {
    fn value(&self, block: &Block) -> f64 {
        let of_pixel = |(pixel, class): (usize, usize)| {
            let loss = block.loss(pixel, class);
            block.weight(class) * (1.0 - (-loss).exp()).powi(GAMMA) * loss
        };
        self.factor * block.counted().map(of_pixel).sum::<f64>()
    }

    fn add_slopes(&self, block: &Block, slopes: &mut Slopes) {
        let mut of_pixels = [0f32; BLOCK_PIXELS];
        for (pixel, class) in block.counted() {
            let log = -block.loss(pixel, class);
            let p = log.exp();
            // p times the slope for p: finite where p is 0.
            let slope = f64::from(GAMMA) * p * (1.0 - p).powi(GAMMA - 1) * log - (1.0 - p).powi(GAMMA);
            of_pixels[pixel] = (self.factor * block.weight(class) * slope) as f32;
            slopes.logits[class][pixel] += of_pixels[pixel];
        }
        for (slopes, row) in slopes.logits.iter_mut().zip(block.rows()) {
            for ((slope, p), of_pixel) in slopes.iter_mut().zip(row).zip(&of_pixels) {
                *slope -= of_pixel * p;
            }
        }
    }
}
