//! The configured pins, opened on this board.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

#[cfg(target_os = "linux")]
use unet_edge::board::OutputLine;
use unet_edge::board::{BoardError, BoardName};
use unet_edge::config::{BoardConfig, InputConfig, RuleConfig};
#[cfg(target_os = "linux")]
use unet_edge::peripherals::StatusLed;
use unet_edge::peripherals::{Pattern, Trigger};
use unet_edge::pipeline::{BoxedTrigger, Pins};

use super::{Failure, chain};

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
    /// Requests the pins, with all outputs inactive. `file` is the configuration that names them, for errors.
    pub fn open(file: Option<&Path>, board: &BoardConfig, rules: &[RuleConfig]) -> Result<Self, Failure> {
        let any = board.status_led.is_some() || board.trigger.is_some() || rules.iter().any(|r| r.output.is_some());
        if !any {
            return Ok(Peripherals { outputs: Box::new(()), status_led: None, trigger: None });
        }
        open(board, rules).map_err(|PinFailure { place, error }| {
            let file = file.map(|file| format!("{}:", file.display())).unwrap_or_default();
            let mut advice = String::new();
            if let BoardError::Chip { found, .. } = &error {
                if found.is_empty() {
                    advice +=
                        "; check that there are files /dev/gpiochip* and that this user may open them (group gpio)";
                }
                if board.name != BoardName::Generic {
                    advice += &format!("; is this machine a {}, as [board] name says?", board.name.name());
                }
            }
            Failure::device(format!("{file}{place} {}{advice}", chain(&error)))
        })
    }
}

/// A pin that cannot be used.
struct PinFailure {
    /// Its line in the configuration, and what it is for: `9: rule "r", GPIO22:`; empty if it is not one pin that failed.
    place: String,
    error: BoardError,
}

impl From<BoardError> for PinFailure {
    fn from(error: BoardError) -> Self {
        Self { place: String::new(), error }
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
fn open(board: &BoardConfig, rules: &[RuleConfig]) -> Result<Peripherals, PinFailure> {
    use unet_edge::config::OutputConfig;
    use unet_edge::peripherals::RuleOutputs;

    let line = |user: &str, output: &OutputConfig| {
        OutputLine::open(&output.address, output.active_low, false)
            .map_err(|error| PinFailure { place: format!("{}: {user}, {}:", output.line, output.pin), error })
    };
    let outputs = rules.iter().map(|rule| match &rule.output {
        Some(output) => Ok(Some((line(&format!("rule {:?}", rule.name), output)?, output.safe))),
        None => Ok(None),
    });
    let mut outputs = RuleOutputs::new(outputs.collect::<Result<Vec<_>, PinFailure>>()?);
    outputs.begin()?;
    let status_led = match &board.status_led {
        Some(led) => Some(Box::new(StatusLed::new(line("status_led", led)?, led.safe)) as Box<dyn Light>),
        None => None,
    };
    let trigger = board.trigger.as_ref().map(|input| {
        trigger(input).map_err(|error| PinFailure { place: format!("{}: trigger, {}:", input.line, input.pin), error })
    });
    let trigger = trigger.transpose()?;
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
fn open(_: &BoardConfig, _: &[RuleConfig]) -> Result<Peripherals, PinFailure> {
    let (what, message) = ("pins".to_owned(), "expected Linux, found another system".to_owned());
    Err(BoardError::System { what, message }.into())
}
