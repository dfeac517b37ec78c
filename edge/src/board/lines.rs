//! Lines of Linux's GPIO character devices behind embedded-hal's traits. Linux inverts lines that are active low.

use std::time::Duration;

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use gpiocdev::line::{Bias as LineBias, EdgeDetection, EventClock, Value};
use gpiocdev::{Chip, Request};

use super::{Bias, BoardError, CONSUMER, ChipInfo, LineAddress, LineInfo, locate};
use crate::peripherals::Trigger;

/// All accessible chips with their lines; an empty list if there are none.
///
/// # Errors
///
/// If a chip cannot be queried.
pub fn chips() -> Result<Vec<ChipInfo>, BoardError> {
    let mut found = Vec::new();
    for path in gpiocdev::chip::chips().unwrap_or_default() {
        let failed = |error: gpiocdev::Error| BoardError::System {
            what: path.display().to_string(),
            message: error.to_string(),
        };
        // A chip that this user cannot open is of no use.
        let Ok(chip) = Chip::from_path(&path) else { continue };
        let label = chip.info().map_err(failed)?.label;
        let mut lines = Vec::new();
        for line in chip.line_info_iter().map_err(failed)? {
            let line = line.map_err(failed)?;
            lines.push(LineInfo { name: line.name, user: line.used.then_some(line.consumer) });
        }
        found.push(ChipInfo { path, label, lines });
    }
    Ok(found)
}

/// Requests a line with the given settings.
fn request(address: &LineAddress, set: impl FnOnce(&mut gpiocdev::request::Builder)) -> Result<Line, BoardError> {
    let chips = chips()?;
    let located = locate(&chips, address)?;
    located.check_free()?;
    let mut builder = Request::builder();
    builder.on_chip(&located.chip.path).with_line(located.offset).with_consumer(CONSUMER);
    set(&mut builder);
    let what = format!("chip {} line {}", located.chip.label, located.offset);
    match builder.request() {
        Ok(request) => Ok(Line { request, what }),
        Err(error) => Err(BoardError::System { what, message: error.to_string() }),
    }
}

/// A requested line, released on drop.
#[derive(Debug)]
struct Line {
    request: Request,
    what: String,
}

impl Line {
    fn error(&self, error: gpiocdev::Error) -> BoardError {
        BoardError::System { what: self.what.clone(), message: error.to_string() }
    }

    fn is_active(&self) -> Result<bool, BoardError> {
        self.request.lone_value().map(|value| value == Value::Active).map_err(|error| self.error(error))
    }
}

fn set_bias(builder: &mut gpiocdev::request::Builder, bias: Option<Bias>) {
    let bias = bias.map(|bias| match bias {
        Bias::PullUp => LineBias::PullUp,
        Bias::PullDown => LineBias::PullDown,
        Bias::Off => LineBias::Disabled,
    });
    builder.with_bias(bias);
}

fn set_active_low(builder: &mut gpiocdev::request::Builder, active_low: bool) {
    if active_low {
        builder.as_active_low();
    }
}

/// An output.
#[derive(Debug)]
pub struct OutputLine(Line);

impl OutputLine {
    /// Requests the line with its initial level.
    ///
    /// # Errors
    ///
    /// If there is no such line, or it is in use.
    pub fn open(address: &LineAddress, active_low: bool, active: bool) -> Result<Self, BoardError> {
        let line = request(address, |builder| {
            builder.as_output(if active { Value::Active } else { Value::Inactive });
            set_active_low(builder, active_low);
        })?;
        Ok(OutputLine(line))
    }

    fn set(&mut self, value: Value) -> Result<(), BoardError> {
        self.0.request.set_lone_value(value).map_err(|error| self.0.error(error))
    }
}

impl ErrorType for OutputLine {
    type Error = BoardError;
}

impl OutputPin for OutputLine {
    fn set_low(&mut self) -> Result<(), BoardError> {
        self.set(Value::Inactive)
    }

    fn set_high(&mut self) -> Result<(), BoardError> {
        self.set(Value::Active)
    }
}

/// An input.
#[derive(Debug)]
pub struct InputLine(Line);

impl InputLine {
    /// Requests the line.
    ///
    /// # Errors
    ///
    /// As [`OutputLine::open`].
    pub fn open(address: &LineAddress, active_low: bool, bias: Option<Bias>) -> Result<Self, BoardError> {
        let line = request(address, |builder| {
            builder.as_input();
            set_active_low(builder, active_low);
            set_bias(builder, bias);
        })?;
        Ok(InputLine(line))
    }
}

impl ErrorType for InputLine {
    type Error = BoardError;
}

impl InputPin for InputLine {
    fn is_high(&mut self) -> Result<bool, BoardError> {
        self.0.is_active()
    }

    fn is_low(&mut self) -> Result<bool, BoardError> {
        self.0.is_active().map(|active| !active)
    }
}

/// An input whose rising edges are reported by Linux, however short the pulse is.
#[derive(Debug)]
pub struct LineTrigger(Line);

impl LineTrigger {
    /// Requests the line. Chips without interrupts refuse it; poll an [`InputLine`] there. Edges that follow another within
    /// `debounce` are ignored, unless it is zero.
    ///
    /// # Errors
    ///
    /// As [`OutputLine::open`].
    pub fn open(
        address: &LineAddress,
        active_low: bool,
        bias: Option<Bias>,
        debounce: Duration,
    ) -> Result<Self, BoardError> {
        let line = request(address, |builder| {
            builder.as_input().with_edge_detection(EdgeDetection::RisingEdge).with_event_clock(EventClock::Monotonic);
            set_active_low(builder, active_low);
            set_bias(builder, bias);
            if !debounce.is_zero() {
                builder.with_debounce_period(debounce);
            }
        })?;
        Ok(LineTrigger(line))
    }
}

impl Trigger for LineTrigger {
    type Error = BoardError;

    fn wait(&mut self, patience: Duration) -> Result<bool, BoardError> {
        let request = &self.0.request;
        let fired = match request.wait_edge_event(patience) {
            Ok(fired) => fired,
            // Interrupted by a signal.
            Err(error) if is_interruption(&error) => false,
            Err(error) => return Err(self.0.error(error)),
        };
        if fired {
            while request.has_edge_event().map_err(|error| self.0.error(error))? {
                request.read_edge_event().map_err(|error| self.0.error(error))?;
            }
        }
        Ok(fired)
    }
}

fn is_interruption(error: &gpiocdev::Error) -> bool {
    // The crate only passes on the text of the error.
    let interrupted = std::io::Error::from(rustix::io::Errno::INTR).to_string();
    matches!(error, gpiocdev::Error::Uapi(_, cause) if cause.to_string() == interrupted)
}

/// Sleeps between the samples of a polled trigger.
#[derive(Debug, Clone, Copy, Default)]
pub struct PinDelay;

impl DelayNs for PinDelay {
    fn delay_ns(&mut self, nanoseconds: u32) {
        std::thread::sleep(Duration::from_nanos(nanoseconds.into()));
    }
}
