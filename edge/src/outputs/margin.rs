//! How certain a model is about a frame, from its quantized logits.

use unet_shared::preprocess::Placement;

/// Logits or a placement of the wrong size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("margin: expected {classes} classes of {width}x{height} logits with the frame within, found {found} logits")]
pub struct MarginError {
    /// Number of classes.
    pub classes: usize,
    /// Width of the mask.
    pub width: u32,
    /// Height of the mask.
    pub height: u32,
    /// Logits found.
    pub found: usize,
}

/// The mean over the frame's pixels of the difference between the two largest logits, in steps of their quantization. `logits` are
/// K x H x W. Allocates nothing.
///
/// # Errors
///
/// If the sizes do not match, or there are fewer than two classes.
pub fn mean_margin(
    logits: &[u8],
    classes: usize,
    (width, height): (u32, u32),
    placement: Placement,
) -> Result<f64, MarginError> {
    /// Pixels at a time, class by class.
    const PIECE: usize = 256;
    let plane = (width as usize).checked_mul(height as usize);
    let fits = plane.and_then(|plane| plane.checked_mul(classes)) == Some(logits.len());
    if !fits || classes < 2 || !placement.is_within(width, height) {
        return Err(MarginError { classes, width, height, found: logits.len() });
    }
    let (width, plane) = (width as usize, logits.len() / classes);
    let mut sum = 0u64;
    for y in placement.y..placement.y + placement.height {
        let row = y as usize * width + placement.x as usize;
        let mut at = row;
        while at < row + placement.width as usize {
            let length = PIECE.min(row + placement.width as usize - at);
            let (mut best, mut second) = ([0u8; PIECE], [0u8; PIECE]);
            for logits in logits.chunks_exact(plane) {
                for ((best, second), &logit) in best.iter_mut().zip(&mut second).zip(&logits[at..at + length]) {
                    *second = (*second).max(logit.min(*best));
                    *best = (*best).max(logit);
                }
            }
            // Elements beyond `length` are 0 in both.
            sum += best.iter().zip(&second).map(|(best, second)| u64::from(best - second)).sum::<u64>();
            at += length;
        }
    }
    let pixels = u64::from(placement.width) * u64::from(placement.height);
    Ok(sum as f64 / pixels as f64)
}
