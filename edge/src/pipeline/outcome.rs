//! What is known of a frame once it is seen, in memory of its own, for outputs that take their time.

use std::time::Duration;

use unet_shared::image::ImageView;
use unet_shared::preprocess::Placement;

use super::pixels::{self, PixelsError};
use super::step::Seen;
use crate::frame_source::FrameSlot;
use crate::postprocess::{Regions, Shares};
use crate::rules::RuleState;
use crate::telemetry::Stages;
use crate::telemetry::json_lines::Drops;

/// A frame and what was seen in it. Its memory serves the next frame.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The frame, as the source gave it.
    pub frame: FrameSlot,
    /// Width and height of its pixels.
    pub size: (u32, u32),
    /// Where it lies in the model's input.
    pub placement: Placement,
    /// The class of each pixel of the model's input, `H*W`.
    pub mask: Vec<u8>,
    /// Pixels of each class.
    pub shares: Shares,
    /// What hangs together.
    pub regions: Regions,
    /// Where the rules stand.
    pub rules: Vec<RuleState>,
    /// The mean margin, where it was asked for.
    pub margin: Option<f64>,
    /// How long each stage took, in microseconds.
    pub latency_us: Stages<u64>,
    /// What was lost before this frame.
    pub drops: Drops,
    /// When its mask was there, since 1970.
    pub since_1970: Duration,
    decoded: FrameSlot,
}

impl Outcome {
    /// Takes what was seen, and swaps `frame` for the one that it held.
    pub(super) fn take(&mut self, frame: &mut FrameSlot, seen: &Seen<'_>, drops: Drops, since_1970: Duration) {
        std::mem::swap(&mut self.frame, frame);
        self.mask.clear();
        self.mask.extend_from_slice(seen.mask);
        self.shares.clone_from(seen.shares);
        self.regions.clone_from(seen.regions);
        self.rules.clear();
        self.rules.extend_from_slice(seen.rules);
        (self.size, self.placement, self.margin) = (seen.size, seen.placement, seen.margin);
        (self.latency_us, self.drops, self.since_1970) = (seen.latency_us, drops, since_1970);
    }

    /// The frame's pixels.
    ///
    /// # Errors
    ///
    /// When its bytes do not make a frame, which they did before.
    pub fn view(&mut self) -> Result<ImageView<'_>, PixelsError> {
        pixels::view(&self.frame, &mut self.decoded)
    }
}
