//! Lines of the kernel's GPIO character device behind embedded-hal's traits. The kernel inverts what is wired active low.

use std::time::Duration;

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use gpiocdev::line::{Bias as LineBias, EdgeDetection, EventClock, Value};
use gpiocdev::{Chip, Request};

use super::{Bias, BoardError, CONSUMER, ChipInfo, LineAddress, LineInfo, locate};
use crate::peripherals::Trigger;

/// All chips that may be opened, with their lines.
///
/// # Errors
///
/// When a chip cannot be asked. Where there is none at all, the list is empty.
pub fn chips() -> Result<Vec<ChipInfo>, BoardError> {
    let mut found = Vec::new();
    for path in gpiocdev::chip::chips().unwrap_or_default() {
        let kernel = |error: gpiocdev::Error| BoardError::Kernel {
            what: path.display().to_string(),
            message: error.to_string(),
        };
        // One that this user may not open cannot be meant.
        let Ok(chip) = Chip::from_path(&path) else { continue };
        let label = chip.info().map_err(kernel)?.label;
        let mut lines = Vec::new();
        for line in chip.line_info_iter().map_err(kernel)? {
            let line = line.map_err(kernel)?;
            lines.push(LineInfo { name: line.name, user: line.used.then_some(line.consumer) });
        }
        found.push(ChipInfo { path, label, lines });
    }
    Ok(found)
}

/// Asks the kernel for a line, with what it is to be.
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
        Err(error) => Err(BoardError::Kernel { what, message: error.to_string() }),
    }
}

/// A line that is ours until it is dropped.
#[derive(Debug)]
struct Line {
    request: Request,
    what: String,
}

impl Line {
    fn error(&self, error: gpiocdev::Error) -> BoardError {
        BoardError::Kernel { what: self.what.clone(), message: error.to_string() }
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
    /// Takes the line; it is active or not from the first moment on.
    ///
    /// # Errors
    ///
    /// When there is no such line, or it is not to be had.
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

/// An input that is looked at.
#[derive(Debug)]
pub struct InputLine(Line);

impl InputLine {
    /// Takes the line.
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

/// An input whose edges the kernel reports, however short they are.
#[derive(Debug)]
pub struct LineTrigger(Line);

impl LineTrigger {
    /// Takes the line. A chip without interrupts refuses; then [`InputLine`] in a polled trigger does. The kernel takes
    /// no edge for one that follows another within `debounce`, where that is not zero.
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
            // A signal ends the waiting, and nothing else has happened.
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
    // The crate hands the number on as a text alone.
    let interrupted = std::io::Error::from(rustix::io::Errno::INTR).to_string();
    matches!(error, gpiocdev::Error::Uapi(_, cause) if cause.to_string() == interrupted)
}

/// Sleeps, for a polled trigger.
#[derive(Debug, Clone, Copy, Default)]
pub struct PinDelay;

impl DelayNs for PinDelay {
    fn delay_ns(&mut self, nanoseconds: u32) {
        std::thread::sleep(Duration::from_nanos(nanoseconds.into()));
    }
}
