//! Boards: from pin names, as printed beside a header, to lines of Linux's GPIO character devices. Chips are identified by their
//! labels, since their numbers may change at each boot.
//!
//! Names are resolved on every system, so that a configuration can be checked on a workstation; lines can only be opened on Linux.

mod generic;
#[cfg(target_os = "linux")]
mod lines;
mod orin_nano;
mod raspberry_pi;
mod survey;

use std::fmt;

use unet_data::any_of;

#[cfg(target_os = "linux")]
pub use lines::{InputLine, LineTrigger, OutputLine, PinDelay, chips};
use raspberry_pi::{PI4, PI5};
pub use survey::{ChipInfo, LineInfo, Located, locate};

/// The consumer name of our lines, which other programs see.
pub const CONSUMER: &str = "unet-edge";

/// A board whose pins are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BoardName {
    /// Raspberry Pi 4.
    Pi4,
    /// Raspberry Pi 5.
    Pi5,
    /// Jetson Orin Nano, developer kit.
    OrinNano,
    /// Any other board: pins are named by chip and line.
    #[default]
    Generic,
}

impl BoardName {
    /// All values.
    pub const ALL: [BoardName; 4] = [BoardName::Pi4, BoardName::Pi5, BoardName::OrinNano, BoardName::Generic];

    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            BoardName::Pi4 => "pi4",
            BoardName::Pi5 => "pi5",
            BoardName::OrinNano => "orin-nano",
            BoardName::Generic => "generic",
        }
    }

    /// The address of a pin.
    ///
    /// # Errors
    ///
    /// If the board has no pin of this name.
    pub fn resolve(self, pin: &str) -> Result<LineAddress, PinNameError> {
        let error = |expected| PinNameError { board: self, expected, found: pin.to_owned() };
        match self {
            BoardName::Pi4 => PI4.resolve(pin).ok_or_else(|| error(PI4.expected)),
            BoardName::Pi5 => PI5.resolve(pin).ok_or_else(|| error(PI5.expected)),
            BoardName::OrinNano => orin_nano::resolve(pin).ok_or_else(|| error(orin_nano::EXPECTED)),
            BoardName::Generic => generic::resolve(pin).ok_or_else(|| error(generic::EXPECTED)),
        }
    }
}

/// A name that is not a pin of the board.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("board {}: expected {expected}, found {found:?}", board.name())]
pub struct PinNameError {
    /// The board.
    pub board: BoardName,
    /// What its pins are called.
    pub expected: &'static str,
    /// The name.
    pub found: String,
}

/// A line on its chip.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LineId {
    /// Counted from 0.
    Offset(u32),
    /// Name of the line.
    Name(String),
}

/// Where a pin is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LineAddress {
    /// Labels of the chips that may have it; empty for any chip.
    pub chips: Vec<String>,
    /// Which line.
    pub line: LineId,
}

impl fmt::Display for LineAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.chips.is_empty() {
            write!(formatter, "chip {} ", any_of(&self.chips))?;
        }
        match &self.line {
            LineId::Offset(offset) => write!(formatter, "line {offset}"),
            LineId::Name(name) => write!(formatter, "line {name}"),
        }
    }
}

/// The pull resistor of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// To the supply.
    PullUp,
    /// To ground.
    PullDown,
    /// None.
    Off,
}

impl Bias {
    /// All values.
    pub const ALL: [Bias; 3] = [Bias::PullUp, Bias::PullDown, Bias::Off];

    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            Bias::PullUp => "pull-up",
            Bias::PullDown => "pull-down",
            Bias::Off => "off",
        }
    }
}

/// Why a line cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// No chip has one of the labels.
    #[error("{}", no_chip(address, found))]
    Chip {
        /// The address.
        address: LineAddress,
        /// Labels found.
        found: Vec<String>,
    },
    /// No such line.
    #[error("GPIO {address}: no such line{}", lines.map_or_else(String::new, |lines| format!("; the chip has {lines}")))]
    Line {
        /// The address.
        address: LineAddress,
        /// How many lines the chip has, if the chip is known.
        lines: Option<u32>,
    },
    /// Several lines have the name.
    #[error("GPIO {address}: expected one line with that name, found {found}; add the chip")]
    Ambiguous {
        /// The address.
        address: LineAddress,
        /// How many lines were found.
        found: usize,
    },
    /// Another program uses it.
    #[error("GPIO chip {chip} line {offset}{}: in use by {consumer:?}", quoted_name(name))]
    Busy {
        /// Label of the chip.
        chip: String,
        /// Offset of the line.
        offset: u32,
        /// Name of the line, which may be empty.
        name: String,
        /// Its user.
        consumer: String,
    },
    /// Linux refuses it.
    #[error("GPIO {what}: {message}")]
    System {
        /// Which line or chip.
        what: String,
        /// The system's message.
        message: String,
    },
}

fn no_chip(address: &LineAddress, found: &[String]) -> String {
    // Without any chip, the requested address adds nothing.
    if found.is_empty() {
        return "found no accessible GPIO chip".to_owned();
    }
    format!("GPIO {address}: no chip with that label; found {}", found.join(", "))
}

fn quoted_name(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" ({name})") }
}

impl embedded_hal::digital::Error for BoardError {
    fn kind(&self) -> embedded_hal::digital::ErrorKind {
        embedded_hal::digital::ErrorKind::Other
    }
}

#[cfg(test)]
mod tests;
