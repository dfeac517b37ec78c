//! The configured pins, opened on this board.

use std::error::Error;
use std::time::Duration;

use unet_edge::board::BoardError;
#[cfg(target_os = "linux")]
use unet_edge::board::OutputLine;
use unet_edge::config::{BoardConfig, InputConfig, RuleConfig};
#[cfg(target_os = "linux")]
use unet_edge::peripherals::StatusLed;
use unet_edge::peripherals::{Pattern, Trigger};
use unet_edge::pipeline::{BoxedTrigger, Pins};

use super::Failure;

/// Everything connected to pins.
pub struct Peripherals {
    /// Outputs that follow the rules.
    pub outputs: Box<dyn Pins>,
    /// The status LED, if there is one.
    pub status_led: Option<Box<dyn Light>>,
    /// The trigger, if there is one.
    pub trigger: Option<BoxedTrigger>,
}

/// An LED that shows patterns.
pub trait Light {
    /// Shows the pattern at this time.
    fn update(&mut self, pattern: Pattern, now: Duration) -> Result<(), BoardError>;
}

impl Peripherals {
    /// Requests the pins, with all outputs inactive.
    pub fn open(board: &BoardConfig, rules: &[RuleConfig]) -> Result<Self, Failure> {
        let any = board.status_led.is_some() || board.trigger.is_some() || rules.iter().any(|r| r.output.is_some());
        if !any {
            return Ok(Peripherals { outputs: Box::new(()), status_led: None, trigger: None });
        }
        open(board, rules).map_err(Failure::device)
    }
}

/// A trigger with boxed errors.
struct Boxed<T>(T);

impl<T: Trigger> Trigger for Boxed<T>
where
    T::Error: Error + Send + Sync + 'static,
{
    type Error = Box<dyn Error + Send + Sync>;

    fn wait(&mut self, patience: Duration) -> Result<bool, Self::Error> {
        self.0.wait(patience).map_err(Into::into)
    }
}

#[cfg(target_os = "linux")]
impl Light for StatusLed<OutputLine> {
    fn update(&mut self, pattern: Pattern, now: Duration) -> Result<(), BoardError> {
        StatusLed::update(self, pattern, now)
    }
}

#[cfg(target_os = "linux")]
fn open(board: &BoardConfig, rules: &[RuleConfig]) -> Result<Peripherals, BoardError> {
    use unet_edge::config::OutputConfig;
    use unet_edge::peripherals::RuleOutputs;

    let line = |output: &OutputConfig| OutputLine::open(&output.address, output.active_low, false);
    let outputs = rules.iter().map(|rule| match &rule.output {
        Some(output) => Ok(Some((line(output)?, output.safe))),
        None => Ok(None),
    });
    let mut outputs = RuleOutputs::new(outputs.collect::<Result<Vec<_>, BoardError>>()?);
    outputs.begin()?;
    let status_led = match &board.status_led {
        Some(led) => Some(Box::new(StatusLed::new(line(led)?, led.safe)) as Box<dyn Light>),
        None => None,
    };
    let trigger = board.trigger.as_ref().map(trigger).transpose()?;
    Ok(Peripherals { outputs: Box::new(outputs), status_led, trigger })
}

#[cfg(target_os = "linux")]
fn trigger(input: &InputConfig) -> Result<BoxedTrigger, BoardError> {
    use unet_edge::board::{InputLine, LineTrigger, PinDelay};
    use unet_edge::config::TriggerWay;
    use unet_edge::peripherals::PolledTrigger;

    /// Sampling interval of a pin without events.
    const INTERVAL: Duration = Duration::from_millis(1);

    let InputConfig { address, active_low, bias, debounce, way, .. } = input;
    Ok(match way {
        TriggerWay::Events => Box::new(Boxed(LineTrigger::open(address, *active_low, *bias, *debounce)?)),
        TriggerWay::Polled => {
            let samples = u32::try_from(debounce.as_millis()).unwrap_or(u32::MAX);
            let line = InputLine::open(address, *active_low, *bias)?;
            Box::new(Boxed(PolledTrigger::new(line, PinDelay, INTERVAL, samples)))
        }
    })
}

#[cfg(not(target_os = "linux"))]
fn open(_: &BoardConfig, _: &[RuleConfig]) -> Result<Peripherals, BoardError> {
    let (what, message) = ("pins".to_owned(), "expected Linux, found another system".to_owned());
    Err(BoardError::System { what, message })
}
