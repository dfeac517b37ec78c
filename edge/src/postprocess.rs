//! From a mask to the share of each class and its connected components.
//!
//! Everything is computed at the mask's size, which is the model's, or the frame's if it is cut into tiles, within the rectangle
//! that the frame fills; the rest is padding. Nothing allocates after construction. Knows no frames, rules or outputs.

mod regions;
mod shares;

pub use regions::{Centroid, ClassRegions, Connectivity, FrameBox, Region, Regions, RegionsSpec};
pub use shares::Shares;

use regions::Labeller;
use unet_shared::preprocess::Placement;

/// A mask or placement of the wrong size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostprocessError {
    /// The mask does not have the size of the model's input.
    #[error("mask: expected {expected} pixels, found {found}")]
    Mask {
        /// Width times height.
        expected: usize,
        /// Pixels found.
        found: usize,
    },
    /// The placement is empty or exceeds the mask.
    #[error(
        "placement: expected to lie within {width}x{height} pixels, found {}x{} at column {}, row {}",
        found.width, found.height, found.x, found.y
    )]
    Placement {
        /// Width of the mask.
        width: u32,
        /// Height of the mask.
        height: u32,
        /// The placement found.
        found: Placement,
    },
}

/// Computes shares and regions of masks of one size.
#[derive(Debug, Clone)]
pub struct Postprocess {
    width: u32,
    height: u32,
    shares: Shares,
    labeller: Labeller,
}

impl Postprocess {
    /// For masks of `width` x `height` pixels.
    pub fn new(width: u32, height: u32, spec: &RegionsSpec) -> Self {
        Postprocess { width, height, shares: Shares::default(), labeller: Labeller::new(width as usize, spec) }
    }

    /// From now on for masks of another size. Allocates only for a width that is larger than any before.
    pub fn resize(&mut self, (width, height): (u32, u32)) {
        if width > self.width {
            self.labeller.reserve(width as usize);
        }
        (self.width, self.height) = (width, height);
    }

    /// Counts the pixels of `mask` within `placement`, and finds their connected components.
    ///
    /// # Errors
    ///
    /// If mask or placement have the wrong size; the last results are kept then.
    pub fn run(&mut self, mask: &[u8], placement: Placement) -> Result<(&Shares, &Regions), PostprocessError> {
        let (width, height) = (self.width as usize, self.height as usize);
        // As u64, since the product of two u32 may exceed a 32-bit usize.
        if mask.len() as u64 != u64::from(self.width) * u64::from(self.height) {
            return Err(PostprocessError::Mask { expected: width.saturating_mul(height), found: mask.len() });
        }
        if !placement.is_within(self.width, self.height) {
            return Err(PostprocessError::Placement { width: self.width, height: self.height, found: placement });
        }
        let (left, columns) = (placement.x as usize, placement.width as usize);
        let rows = mask.chunks_exact(width).skip(placement.y as usize).take(placement.height as usize);
        let rows = rows.map(|row| &row[left..left + columns]);
        self.shares.count(rows.clone());
        let regions = self.labeller.label(rows, (placement.x, placement.y));
        Ok((&self.shares, regions))
    }

    /// Shares of the last mask.
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Regions of the last mask.
    pub fn regions(&self) -> &Regions {
        self.labeller.regions()
    }
}

#[cfg(test)]
mod tests;
