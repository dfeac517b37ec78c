//! Masks of class ids: resized to the model's size and back to the image's, and computed from logits.
//!
//! Owns [`IGNORE_INDEX`], the nearest-neighbour maps that match [`Preprocess::placement`], and the argmax. Knows
//! nothing of label values, class names or quantization.

use core::fmt;

use crate::image::SIDE_MAX;
use crate::label::CLASSES_MAX;
use crate::preprocess::resize::nearest_indices;
use crate::preprocess::{Placement, Preprocess, PreprocessError};

/// The id of ignored pixels.
pub const IGNORE_INDEX: u8 = 255;

/// Why a mask cannot be resized or computed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum MaskError {
    /// The mask cannot be placed in the target.
    Geometry(PreprocessError),
    /// A side of the mask at the image's size is 0 or longer than [`SIDE_MAX`].
    Size {
        /// Width found, in pixels.
        width: usize,
        /// Height found, in pixels.
        height: usize,
    },
    /// The input mask has the wrong length.
    Mask {
        /// Pixels expected.
        expected: usize,
        /// Pixels found.
        found: usize,
    },
    /// The output mask has the wrong length.
    Output {
        /// Pixels expected.
        expected: usize,
        /// Pixels found.
        found: usize,
    },
    /// The placement is empty or not within the target.
    Placement {
        /// Target width and height, in pixels.
        target: (u32, u32),
        /// The placement found.
        found: Placement,
    },
    /// No class, or more than [`CLASSES_MAX`].
    Classes {
        /// Classes found.
        found: usize,
    },
    /// There is not one logit per class and pixel.
    Logits {
        /// Number of classes.
        classes: usize,
        /// Pixels of the mask.
        pixels: usize,
        /// Logits found.
        found: usize,
    },
}

impl fmt::Display for MaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Geometry(error) => error.fmt(f),
            Self::Size { width, height } => {
                write!(f, "mask size: expected 1 to {SIDE_MAX} pixels per side, found {width}x{height}")
            }
            Self::Mask { expected, found } => write!(f, "mask: expected {expected} pixels, found {found}"),
            Self::Output { expected, found } => {
                write!(f, "buffer for a mask: expected {expected} pixels, found {found}")
            }
            Self::Placement { target: (width, height), found } => write!(
                f,
                "placement: expected one within {width}x{height} pixels, found {}x{} at column {}, row {}",
                found.width, found.height, found.x, found.y
            ),
            Self::Classes { found } => write!(f, "logits: expected 1 to {CLASSES_MAX} classes, found {found}"),
            Self::Logits { classes, pixels, found } => {
                write!(f, "expected logits of {classes} classes for {pixels} pixels, found {found} logits")
            }
        }
    }
}

impl core::error::Error for MaskError {}

impl From<PreprocessError> for MaskError {
    fn from(error: PreprocessError) -> Self {
        Self::Geometry(error)
    }
}

/// Resizes a mask of `width` x `height` to the model's size by nearest neighbour; pixels outside the placement become
/// [`IGNORE_INDEX`]. `out` is `spec.width * spec.height` bytes.
///
/// # Errors
/// If a length does not match its size, or the mask cannot be placed in the target.
pub fn mask_to_input(
    mask: &[u8],
    width: usize,
    height: usize,
    spec: &Preprocess,
    out: &mut [u8],
) -> Result<Placement, MaskError> {
    let placement = spec.placement(width, height)?;
    check_mask(mask, width * height)?;
    check_output(out, spec.width as usize * spec.height as usize)?;
    if (placement.width, placement.height) != (spec.width, spec.height) {
        out.fill(IGNORE_INDEX);
    }
    // `placement` has checked the sides: they fit u32.
    let columns = nearest_indices(width as u32, placement.width);
    let rows = nearest_indices(height as u32, placement.height);
    let placed = out.chunks_exact_mut(spec.width as usize).skip(placement.y as usize);
    for (y, out_row) in rows.zip(placed) {
        let from = &mask[y * width..(y + 1) * width];
        let to = &mut out_row[placement.x as usize..][..placement.width as usize];
        for (to, x) in to.iter_mut().zip(columns.clone()) {
            *to = from[x];
        }
    }
    Ok(placement)
}

/// Resizes a mask, or other values of the model's pixels, of the model's size back to an image of `width` x `height` by nearest
/// neighbour: `target_x = placement.x + (2 x + 1) placement.width / (2 width)`, rows alike. `out` has `width * height` values.
///
/// # Errors
/// If a length does not match its size, a side is out of range, or the placement is not within the target.
pub fn mask_to_image<T: Copy>(
    mask: &[T],
    spec: &Preprocess,
    placement: Placement,
    width: usize,
    height: usize,
    out: &mut [T],
) -> Result<(), MaskError> {
    let sides = 1..=SIDE_MAX;
    if !sides.contains(&width) || !sides.contains(&height) {
        return Err(MaskError::Size { width, height });
    }
    let (target_width, target_height) = (spec.width as usize, spec.height as usize);
    if !sides.contains(&target_width) || !sides.contains(&target_height) {
        return Err(PreprocessError::Target { width: spec.width, height: spec.height }.into());
    }
    if !placement.is_within(spec.width, spec.height) {
        return Err(MaskError::Placement { target: (spec.width, spec.height), found: placement });
    }
    check_mask(mask, target_width * target_height)?;
    check_output(out, width * height)?;
    let columns = nearest_indices(placement.width, width as u32);
    let rows = nearest_indices(placement.height, height as u32);
    for (y, out_row) in rows.zip(out.chunks_exact_mut(width)) {
        let start = (placement.y as usize + y) * target_width + placement.x as usize;
        let from = &mask[start..start + placement.width as usize];
        for (to, x) in out_row.iter_mut().zip(columns.clone()) {
            *to = from[x];
        }
    }
    Ok(())
}

/// The class with the largest logit of each pixel. `logits` are K x H x W, `out` is H x W. Ties go to the lowest id;
/// NaN never wins over a number, and pixels of nothing but NaN are class 0.
///
/// # Errors
/// If there is no class or more than [`CLASSES_MAX`], or not one logit per class and pixel.
pub fn argmax_f32(logits: &[f32], classes: usize, out: &mut [u8]) -> Result<(), MaskError> {
    argmax(logits, classes, out, |logit, best| logit > best || (best.is_nan() && !logit.is_nan()))
}

/// [`argmax_f32`] of quantized logits, which share scale and zero point, so that the bytes compare as the real values
/// do.
///
/// # Errors
/// As for [`argmax_f32`].
pub fn argmax_u8(logits: &[u8], classes: usize, out: &mut [u8]) -> Result<(), MaskError> {
    argmax(logits, classes, out, |logit, best| logit > best)
}

fn argmax<T: Copy>(logits: &[T], classes: usize, out: &mut [u8], wins: impl Fn(T, T) -> bool) -> Result<(), MaskError> {
    /// Pixels per block: class by class over a block that stays in the L1 cache.
    const PIECE: usize = 512;
    if !(1..=CLASSES_MAX).contains(&classes) {
        return Err(MaskError::Classes { found: classes });
    }
    let pixels = out.len();
    if pixels.checked_mul(classes) != Some(logits.len()) {
        return Err(MaskError::Logits { classes, pixels, found: logits.len() });
    }
    let (first, others) = logits.split_at(pixels);
    for (piece, out) in out.chunks_mut(PIECE).enumerate() {
        let start = piece * PIECE;
        let mut best = [first[start]; PIECE];
        best[..out.len()].copy_from_slice(&first[start..start + out.len()]);
        out.fill(0);
        // Zipped in this order, the ids stop at the number of planes; one more would overflow at 255 classes.
        for (plane, class) in others.chunks_exact(pixels).zip(1..) {
            for ((to, best), &logit) in out.iter_mut().zip(&mut best).zip(&plane[start..]) {
                if wins(logit, *best) {
                    (*to, *best) = (class, logit);
                }
            }
        }
    }
    Ok(())
}

fn check_mask<T>(mask: &[T], expected: usize) -> Result<(), MaskError> {
    if mask.len() == expected { Ok(()) } else { Err(MaskError::Mask { expected, found: mask.len() }) }
}

fn check_output<T>(out: &[T], expected: usize) -> Result<(), MaskError> {
    if out.len() == expected { Ok(()) } else { Err(MaskError::Output { expected, found: out.len() }) }
}

#[cfg(test)]
mod tests;
