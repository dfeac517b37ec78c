//! Processing of one frame: pixels, model input, mask, shares, regions, rules and pins. No threads and no waiting. Allocates
//! nothing after the first frame of a size, except for JPEG frames.

use std::error::Error;
use std::time::Duration;

use embedded_hal::digital::OutputPin;
use unet_shared::preprocess::{Placement, Preprocess, PreprocessError};

use crate::clock::Clock;
use crate::frame_source::{DecodedFrame, FrameSlot, PixelsError, pixels};
use crate::outputs::{MarginError, mean_margin};
use crate::peripherals::RuleOutputs;
use crate::postprocess::{Postprocess, PostprocessError, Regions, RegionsSpec, Shares};
use crate::rules::{Change, Rule, RuleState, Rules};
use crate::telemetry::Stages;
use unet_engine::predictor::Predictor;
use unet_engine::segmenter::{SegmentError, Segmenter};

/// Output pins that follow the rules.
pub trait Pins: Send {
    /// Sets the pins of the rules that changed.
    ///
    /// # Errors
    ///
    /// If a pin cannot be written.
    fn apply(&mut self, changes: &[Change]) -> Result<(), PinsError>;

    /// Puts all pins into their safe states.
    ///
    /// # Errors
    ///
    /// As [`Pins::apply`].
    fn make_safe(&mut self) -> Result<(), PinsError>;
}

/// A pin that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to set a pin")]
pub struct PinsError(#[source] pub Box<dyn Error + Send + Sync>);

/// No pins.
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
    /// They cannot be preprocessed.
    #[error("frame: {0}")]
    Preprocess(PreprocessError),
    /// The model fails.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The mask has a wrong size.
    #[error(transparent)]
    Postprocess(#[from] PostprocessError),
    /// The logits have a wrong size.
    #[error(transparent)]
    Margin(#[from] MarginError),
}

/// The results of a frame, valid until the next one.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Width and height of the frame, in pixels.
    pub size: (u32, u32),
    /// Rectangle that the frame fills in the model's input.
    pub placement: Placement,
    /// The class of each pixel of the model's input, `H*W`.
    pub mask: &'a [u8],
    /// Pixels of each class.
    pub shares: &'a Shares,
    /// Connected components.
    pub regions: &'a Regions,
    /// State of each rule.
    pub rules: &'a [RuleState],
    /// The mean margin, if requested.
    pub margin: Option<f64>,
    /// Duration of each stage in microseconds.
    pub latency_us: Stages<u64>,
    /// Whether the pins were set.
    pub pins: Result<(), PinsError>,
    /// The pixels of a JPEG frame; of other frames unused memory.
    pub decoded: &'a mut DecodedFrame,
}

/// Processes one frame after the other.
#[derive(Debug)]
pub struct Step<S> {
    predictor: Predictor<S>,
    postprocess: Postprocess,
    rules: Rules,
    with_margin: bool,
    decoded: DecodedFrame,
}

impl<S: Segmenter> Step<S> {
    /// For a model with the preprocessing `spec`. `with_margin` requests the margin of each frame.
    ///
    /// # Errors
    ///
    /// If `spec` is invalid.
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
            decoded: DecodedFrame::default(),
        })
    }

    /// Processes one frame and sets the pins.
    ///
    /// # Errors
    ///
    /// If the frame cannot be used; rules and pins do not change then.
    pub fn step(&mut self, frame: &FrameSlot, clock: &dyn Clock, pins: &mut dyn Pins) -> Result<Seen<'_>, StepError> {
        let taken = clock.now();
        let view = pixels(frame, &mut self.decoded)?;
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
            decoded: &mut self.decoded,
        })
    }

    /// Replaces rules and regions. A rule of the same name and class stays active, if it has the same place.
    ///
    /// # Errors
    ///
    /// As [`Pins::apply`].
    pub fn reconfigure(
        &mut self,
        regions: &RegionsSpec,
        rules: Vec<Rule>,
        with_margin: bool,
        pins: &mut dyn Pins,
    ) -> Result<(), PinsError> {
        let spec = self.predictor.spec();
        self.postprocess = Postprocess::new(spec.width, spec.height, regions);
        self.with_margin = with_margin;
        pins.apply(self.rules.replace(rules))
    }

    /// Deactivates all rules and their pins, as when frames stop arriving.
    ///
    /// # Errors
    ///
    /// As [`Pins::apply`].
    pub fn rest(&mut self, pins: &mut dyn Pins) -> Result<(), PinsError> {
        pins.apply(self.rules.reset())
    }
}
