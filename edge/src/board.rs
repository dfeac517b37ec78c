//! Boards: from the names of pins, as they are printed beside a header, to lines of the kernel's GPIO character device. One file
//! a board. Chips are known by their labels, since their numbers change from one start to the next.
//!
//! Names are resolved anywhere, so that a configuration can be checked on a desk; lines are there on Linux alone.

mod generic;
#[cfg(target_os = "linux")]
mod lines;
mod orin_nano;
mod pi4;
mod pi5;
mod pi_header;
mod survey;

use std::fmt;

#[cfg(target_os = "linux")]
pub use lines::{InputLine, LineTrigger, OutputLine, PinDelay, chips};
pub use survey::{ChipInfo, LineInfo, Located, locate};

/// What the kernel shows to others as the user of our lines.
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
    /// Any other: pins are named by chip and line.
    #[default]
    Generic,
}

impl BoardName {
    /// All of them.
    pub const ALL: [BoardName; 4] = [BoardName::Pi4, BoardName::Pi5, BoardName::OrinNano, BoardName::Generic];

    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            BoardName::Pi4 => "pi4",
            BoardName::Pi5 => "pi5",
            BoardName::OrinNano => "orin-nano",
            BoardName::Generic => "generic",
        }
    }

    /// Where the pin of this name is to be looked for.
    ///
    /// # Errors
    ///
    /// When the board has no pin of this name.
    pub fn resolve(self, pin: &str) -> Result<LineAddress, PinNameError> {
        let error = |expected| PinNameError { board: self, expected, found: pin.to_owned() };
        match self {
            BoardName::Pi4 => pi4::resolve(pin).ok_or_else(|| error(pi4::EXPECTED)),
            BoardName::Pi5 => pi5::resolve(pin).ok_or_else(|| error(pi5::EXPECTED)),
            BoardName::OrinNano => orin_nano::resolve(pin).ok_or_else(|| error(orin_nano::EXPECTED)),
            BoardName::Generic => generic::resolve(pin).ok_or_else(|| error(generic::EXPECTED)),
        }
    }
}

/// A name that is no pin's.
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
    /// As the kernel names it.
    Name(String),
}

/// Where a pin is to be looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LineAddress {
    /// Labels of the chips that may have it; none stands for any chip.
    pub chips: Vec<String>,
    /// Which line.
    pub line: LineId,
}

impl fmt::Display for LineAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.chips.as_slice() {
            [] => formatter.write_str("any chip")?,
            chips => write!(formatter, "chip {}", chips.join(" or "))?,
        }
        match &self.line {
            LineId::Offset(offset) => write!(formatter, " line {offset}"),
            LineId::Name(name) => write!(formatter, " line {name}"),
        }
    }
}

/// A resistor at an input.
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
    /// All of them.
    pub const ALL: [Bias; 3] = [Bias::PullUp, Bias::PullDown, Bias::Off];

    /// As the configuration writes it.
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
    #[error("GPIO {address}: no chip of that label; found {}", found_chips(found))]
    Chip {
        /// What was looked for.
        address: LineAddress,
        /// Labels that there are.
        found: Vec<String>,
    },
    /// No such line.
    #[error("GPIO {address}: no such line{}", lines.map_or_else(String::new, |lines| format!("; the chip has {lines}")))]
    Line {
        /// What was looked for.
        address: LineAddress,
        /// How many lines the chip has, where there is just one.
        lines: Option<u32>,
    },
    /// Several lines of the name.
    #[error("GPIO {address}: expected one line of that name, found {found}; name the chip too")]
    Ambiguous {
        /// What was looked for.
        address: LineAddress,
        /// How many there are.
        found: usize,
    },
    /// Somebody else has it.
    #[error("GPIO chip {chip} line {offset}{}: in use by {consumer:?}", quoted_name(name))]
    Busy {
        /// Label of the chip.
        chip: String,
        /// Offset of the line.
        offset: u32,
        /// The kernel's name of it, which may be empty.
        name: String,
        /// Who has it.
        consumer: String,
    },
    /// The kernel refuses.
    #[error("GPIO {what}: {message}")]
    Kernel {
        /// Which line or chip.
        what: String,
        /// What the kernel said.
        message: String,
    },
}

fn found_chips(labels: &[String]) -> String {
    if labels.is_empty() { "no GPIO chip that may be opened".to_owned() } else { labels.join(", ") }
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
