//! What is known of a processed frame, in memory of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use unet_shared::image::{ImageError, ImageView};
use unet_shared::preprocess::Placement;

use super::progress::Progress;
use super::step::Seen;
use crate::frame_source::{DecodedFrame, FrameSlot};
use crate::postprocess::{Regions, Shares};
use crate::rules::RuleState;
use crate::telemetry::Stages;
use crate::telemetry::json_lines::Drops;

/// A frame and its results. The memory is reused for later frames.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The frame as the source delivered it.
    pub frame: FrameSlot,
    /// Width and height of the frame in pixels.
    pub size: (u32, u32),
    /// Width and height of the mask: the model's, or the frame's if it was cut into tiles.
    pub mask_size: (u32, u32),
    /// Rectangle that the frame fills in the mask.
    pub placement: Placement,
    /// The class of each pixel of the mask.
    pub mask: Vec<u8>,
    /// Pixels of each class.
    pub shares: Shares,
    /// Connected components.
    pub regions: Regions,
    /// State of each rule.
    pub rules: Vec<RuleState>,
    /// The mean margin, if a sink needs it.
    pub margin: Option<f64>,
    /// Duration of each stage in microseconds.
    pub latency_us: Stages<u64>,
    /// Frames lost so far.
    pub drops: Drops,
    /// When the mask was computed, since 1970.
    pub since_1970: Duration,
    // The pixels of a JPEG frame, if a sink needs them.
    decoded: DecodedFrame,
    // Whether an output has lost it.
    lost: AtomicBool,
}

impl Outcome {
    /// Takes over the results of a frame. Swaps `frame` and, if `with_pixels`, the decoded pixels for the ones that it held.
    pub(super) fn take(
        &mut self,
        frame: &mut FrameSlot,
        seen: Seen<'_>,
        with_pixels: bool,
        drops: Drops,
        since_1970: Duration,
    ) {
        std::mem::swap(&mut self.frame, frame);
        if with_pixels {
            std::mem::swap(&mut self.decoded, seen.decoded);
        }
        self.mask.clear();
        self.mask.extend_from_slice(seen.mask.classes);
        self.shares.clone_from(seen.shares);
        self.regions.clone_from(seen.regions);
        self.rules.clear();
        self.rules.extend_from_slice(seen.rules);
        (self.mask_size, self.placement) = (seen.mask.size, seen.mask.placement);
        (self.size, self.margin) = (seen.size, seen.margin);
        (self.latency_us, self.drops, self.since_1970) = (seen.latency_us, drops, since_1970);
        *self.lost.get_mut() = false;
    }

    /// Counts a frame that an output has lost, once for all outputs.
    pub(super) fn count_loss(&self, progress: &Progress) {
        if !self.lost.swap(true, Ordering::Relaxed) {
            progress.count_unwritten();
        }
    }

    /// Allocates memory for a frame of `frame_len` bytes with these results, so that [`Outcome::take`] allocates nothing.
    pub(super) fn reserve(&mut self, frame_len: usize, seen: &Seen<'_>) {
        let missing = |vec: &Vec<u8>, len: usize| len.saturating_sub(vec.len());
        self.frame.bytes.reserve_exact(missing(&self.frame.bytes, frame_len));
        self.mask.reserve_exact(missing(&self.mask, seen.mask.classes.len()));
        self.regions.reserve_as(seen.regions);
        self.rules.clear();
        self.rules.reserve_exact(seen.rules.len());
    }

    /// The frame's pixels, which were decoded once for all.
    ///
    /// # Errors
    ///
    /// If no sink needs pixels and the frame is JPEG.
    pub fn view(&self) -> Result<ImageView<'_>, ImageError> {
        self.frame.view().unwrap_or_else(|| self.decoded.view())
    }
}
