//! Pins in the configuration: outputs of rules and LED, and the trigger's input.

use std::time::Duration;

use crate::board::{Bias, BoardName, LineAddress};
use crate::peripherals::SafeState;
use crate::section::{Lined, Section};

/// An output pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputConfig {
    /// Name in the configuration.
    pub pin: String,
    /// Line of the name.
    pub line: usize,
    /// Chip and line.
    pub address: LineAddress,
    /// Whether a low level is the active one.
    pub active_low: bool,
    /// The state it is left in at the end.
    pub safe: SafeState,
}

/// An input pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputConfig {
    /// Name in the configuration.
    pub pin: String,
    /// Line of the name.
    pub line: usize,
    /// Chip and line.
    pub address: LineAddress,
    /// Whether a low level is the active one.
    pub active_low: bool,
    /// Pull resistor.
    pub bias: Option<Bias>,
    /// Edges closer together than this are ignored.
    pub debounce: Duration,
    /// How edges are detected.
    pub way: TriggerWay,
}

/// How edges are detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TriggerWay {
    /// Linux reports them.
    #[default]
    Events,
    /// The pin is sampled every millisecond, for chips without interrupts.
    Polled,
}

/// The boards that a pin may belong to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Boards {
    /// The configured one.
    One(BoardName),
    /// The one that a misspelled name probably means.
    Meant(BoardName),
    /// Any, since the name of the board is unknown.
    Any,
}

impl Boards {
    fn resolve(&self, pin: &str) -> Result<LineAddress, String> {
        match self {
            Boards::One(board) => board.resolve(pin).map_err(|error| error.to_string()),
            Boards::Meant(board) => board
                .resolve(pin)
                .map_err(|error| format!("if {} is meant, expected {}, found {pin:?}", board.name(), error.expected)),
            Boards::Any => BoardName::ALL
                .into_iter()
                .find_map(|board| board.resolve(pin).ok())
                .ok_or_else(|| format!("expected a pin of any board, found {pin:?}")),
        }
    }
}

/// A pin: its name alone, or a table with more keys.
pub(super) fn output(section: &mut Section<'_, '_>, key: &'static str, boards: &Boards) -> Option<OutputConfig> {
    let (pin, active_low, safe) = match section.section_or_text(key)? {
        Err(pin) => (Some(pin), None, None),
        Ok(mut inner) => {
            inner.require("pin", "the name of a pin");
            let pin = inner.text("pin");
            let active_low = inner.boolean("active_low");
            let safe = inner.choice("safe", &SafeState::ALL.map(|safe| (safe.name(), safe)));
            inner.finish();
            (pin, active_low, safe)
        }
    };
    let Lined { value: pin, line } = pin?;
    let address = address(section, key, boards, &pin, line)?;
    let (active_low, safe) = (active_low.unwrap_or(false), safe.unwrap_or_default());
    Some(OutputConfig { pin, line, address, active_low, safe })
}

pub(super) fn trigger(section: &mut Section<'_, '_>, boards: &Boards) -> Option<InputConfig> {
    const KEY: &str = "trigger";
    let (mut active_low, mut bias, mut debounce, mut way) = (None, None, None, None);
    let pin = match section.section_or_text(KEY)? {
        Err(pin) => Some(pin),
        Ok(mut inner) => {
            inner.require("pin", "the name of a pin");
            let pin = inner.text("pin");
            active_low = inner.boolean("active_low");
            bias = inner.choice("bias", &Bias::ALL.map(|bias| (bias.name(), bias)));
            debounce = inner.integer("debounce_ms", 0..=1000, "0 to 1000 milliseconds");
            way = inner.choice("by", &[("events", TriggerWay::Events), ("polling", TriggerWay::Polled)]);
            inner.finish();
            pin
        }
    };
    let Lined { value: pin, line } = pin?;
    let address = address(section, KEY, boards, &pin, line)?;
    Some(InputConfig {
        pin,
        line,
        address,
        active_low: active_low.unwrap_or(false),
        bias,
        debounce: Duration::from_millis(debounce.unwrap_or(0)),
        way: way.unwrap_or_default(),
    })
}

fn address(section: &Section<'_, '_>, key: &str, boards: &Boards, pin: &str, line: usize) -> Option<LineAddress> {
    match boards.resolve(pin) {
        Ok(address) => Some(address),
        Err(error) => {
            section.errors().add_at_line(line, section.name(), &format!("{key}: {error}"));
            None
        }
    }
}
