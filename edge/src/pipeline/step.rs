//! What happens to one frame: pixels, model's input, mask, shares, regions, rules, and what follows from these for the pins.
//! No threads, no waiting: a frame goes in, and what was seen comes out. Allocates nothing once the first frame of a size
//! has passed, JPEG frames apart.

use std::error::Error;
use std::time::Duration;

use embedded_hal::digital::OutputPin;
use unet_shared::preprocess::{Placement, Preprocess, PreprocessError};

use super::pixels::{self, PixelsError};
use crate::clock::Clock;
use crate::frame_source::FrameSlot;
use crate::outputs::{MarginError, mean_margin};
use crate::peripherals::RuleOutputs;
use crate::postprocess::{Postprocess, PostprocessError, Regions, RegionsSpec, Shares};
use crate::rules::{Change, Rule, RuleState, Rules};
use crate::telemetry::Stages;
use unet_engine::error::Kind;
use unet_engine::predictor::Predictor;
use unet_engine::segmenter::{SegmentError, Segmenter};

/// What follows the rules.
pub trait Pins: Send {
    /// Sets what the changes ask for.
    ///
    /// # Errors
    ///
    /// When a pin cannot be written.
    fn apply(&mut self, changes: &[Change]) -> Result<(), PinsError>;

    /// Puts all of them into their safe states.
    ///
    /// # Errors
    ///
    /// As [`Pins::apply`].
    fn make_safe(&mut self) -> Result<(), PinsError>;
}

/// A pin that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("a pin could not be set")]
pub struct PinsError(#[source] pub Box<dyn Error + Send + Sync>);

/// Without pins.
impl Pins for () {
    fn apply(&mut self, _: &[Change]) -> Result<(), PinsError> {
        Ok(())
    }

    fn make_safe(&mut self) -> Result<(), PinsError> {
        Ok(())
    }
}

impl<P> Pins for RuleOutputs<P>
where
    P: OutputPin + Send,
    P::Error: Error + Send + Sync + 'static,
{
    fn apply(&mut self, changes: &[Change]) -> Result<(), PinsError> {
        RuleOutputs::apply(self, changes).map_err(|error| PinsError(Box::new(error)))
    }

    fn make_safe(&mut self) -> Result<(), PinsError> {
        RuleOutputs::make_safe(self).map_err(|error| PinsError(Box::new(error)))
    }
}

/// Why a frame has no mask.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// No pixels.
    #[error(transparent)]
    Pixels(#[from] PixelsError),
    /// They do not fit the model's input.
    #[error("frame: {0}")]
    Preprocess(PreprocessError),
    /// The model refuses it.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The mask is of another size.
    #[error(transparent)]
    Postprocess(#[from] PostprocessError),
    /// The logits are of another size.
    #[error(transparent)]
    Margin(#[from] MarginError),
}

impl StepError {
    /// How to go on: the next frame may be fine.
    pub fn kind(&self) -> Kind {
        Kind::SkipFrame
    }
}

/// What was seen in a frame, until the next one.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Width and height of the frame, in pixels.
    pub size: (u32, u32),
    /// Where it lies in the model's input.
    pub placement: Placement,
    /// The class of each pixel of the model's input, `H*W`.
    pub mask: &'a [u8],
    /// Pixels of each class.
    pub shares: &'a Shares,
    /// What hangs together.
    pub regions: &'a Regions,
    /// Where the rules stand.
    pub rules: &'a [RuleState],
    /// The mean margin, where it was asked for.
    pub margin: Option<f64>,
    /// How long each stage took, in microseconds.
    pub latency_us: Stages<u64>,
    /// What the pins said.
    pub pins: Result<(), PinsError>,
}

/// All that one frame after the other passes through.
#[derive(Debug)]
pub struct Step<S> {
    predictor: Predictor<S>,
    postprocess: Postprocess,
    rules: Rules,
    with_margin: bool,
    decoded: FrameSlot,
}

impl<S: Segmenter> Step<S> {
    /// For a model that takes what `spec` describes. `with_margin` asks for the margin of each frame.
    ///
    /// # Errors
    ///
    /// When `spec` is none that can be.
    pub fn new(
        spec: Preprocess,
        segmenter: S,
        regions: &RegionsSpec,
        rules: Vec<Rule>,
        with_margin: bool,
    ) -> Result<Self, PreprocessError> {
        Ok(Step {
            predictor: Predictor::new(segmenter, spec)?,
            postprocess: Postprocess::new(spec.width, spec.height, regions),
            rules: Rules::new(rules),
            with_margin,
            decoded: FrameSlot::default(),
        })
    }

    /// Sees one frame, and sets the pins.
    ///
    /// # Errors
    ///
    /// When the frame cannot be used; rules and pins then stay as they are.
    pub fn step(&mut self, frame: &FrameSlot, clock: &dyn Clock, pins: &mut dyn Pins) -> Result<Seen<'_>, StepError> {
        let taken = clock.now();
        let view = pixels::view(frame, &mut self.decoded)?;
        let size = (view.width() as u32, view.height() as u32);
        let placement = self.predictor.prepare(&view).map_err(StepError::Preprocess)?;
        let prepared = clock.now();
        self.predictor.segment()?;
        let segmented = clock.now();
        let (shares, regions) = self.postprocess.run(self.predictor.mask(), placement)?;
        let pins = pins.apply(self.rules.step(shares, regions));
        let decided = clock.now();
        let margin = if self.with_margin {
            let spec = self.predictor.spec();
            let size = (spec.width, spec.height);
            let segmenter = self.predictor.segmenter_mut();
            let classes = segmenter.classes();
            segmenter.quantized_logits()?.map(|logits| mean_margin(logits, classes, size, placement)).transpose()?
        } else {
            None
        };
        let between = |from: Duration, to: Duration| to.saturating_sub(from).as_micros() as u64;
        Ok(Seen {
            size,
            placement,
            mask: self.predictor.mask(),
            shares: self.postprocess.shares(),
            regions: self.postprocess.regions(),
            rules: self.rules.states(),
            margin,
            // In the order of the stages.
            latency_us: Stages::new([
                between(frame.captured, taken),
                between(taken, prepared),
                between(prepared, segmented),
                between(segmented, decided),
                between(frame.captured, decided),
            ]),
            pins,
        })
    }

    /// Makes all rules inactive, as when frames stop coming, and the pins with them.
    ///
    /// # Errors
    ///
    /// As [`Pins::apply`].
    pub fn rest(&mut self, pins: &mut dyn Pins) -> Result<(), PinsError> {
        pins.apply(self.rules.reset())
    }
}
