//! `[board]`, and the pins that rules name.

use std::time::Duration;

use super::errors::Errors;
use super::rules::RuleConfig;
use super::section::{Lined, Section};
use crate::board::{Bias, BoardName, LineAddress};
use crate::peripherals::SafeState;

/// The board and what hangs at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BoardConfig {
    /// Which one.
    pub name: BoardName,
    /// The light that tells how the program is.
    pub status_led: Option<OutputConfig>,
    /// What asks for frames; without one every frame is taken.
    pub trigger: Option<InputConfig>,
}

/// An output pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputConfig {
    /// As the configuration names it.
    pub pin: String,
    /// Where that stands.
    pub line: usize,
    /// Where the pin is.
    pub address: LineAddress,
    /// Whether a low voltage makes it active.
    pub active_low: bool,
    /// How it is left behind.
    pub safe: SafeState,
}

/// An input pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputConfig {
    /// As the configuration names it.
    pub pin: String,
    /// Where that stands.
    pub line: usize,
    /// Where the pin is.
    pub address: LineAddress,
    /// Whether a low voltage makes it active.
    pub active_low: bool,
    /// The resistor at it.
    pub bias: Option<Bias>,
    /// Edges that follow another so soon are none.
    pub debounce: Duration,
    /// How edges are found.
    pub way: TriggerWay,
}

/// How edges are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TriggerWay {
    /// The kernel reports them.
    #[default]
    Events,
    /// The pin is looked at each millisecond, for chips without interrupts.
    Polled,
}

pub(super) fn read(section: Option<Section<'_, '_>>) -> BoardConfig {
    let Some(mut section) = section else { return BoardConfig::default() };
    let name = section.choice("name", &BoardName::ALL.map(|board| (board.name(), board)));
    // With an unknown board every pin would be another mistake that is none.
    let Some(name) = name.or((!section.has("name")).then(BoardName::default)) else {
        let _ = (section.section_or_text("status_led"), section.section_or_text("trigger"));
        section.finish();
        return BoardConfig::default();
    };
    let status_led = output(&mut section, "status_led", name);
    let trigger = trigger(&mut section, name);
    section.finish();
    BoardConfig { name, status_led, trigger }
}

/// A pin's name alone, or a table with more.
pub(super) fn output(section: &mut Section<'_, '_>, key: &'static str, board: BoardName) -> Option<OutputConfig> {
    let (pin, active_low, safe) = match section.section_or_text(key)? {
        Err(pin) => (Some(pin), None, None),
        Ok(mut inner) => {
            inner.want("pin", "the name of a pin");
            let pin = inner.text("pin");
            let active_low = inner.boolean("active_low");
            let safe = inner.choice("safe", &SafeState::ALL.map(|safe| (safe.name(), safe)));
            inner.finish();
            (pin, active_low, safe)
        }
    };
    let Lined { value: pin, line } = pin?;
    let address = address(section, key, board, &pin, line)?;
    let (active_low, safe) = (active_low.unwrap_or(false), safe.unwrap_or_default());
    Some(OutputConfig { pin, line, address, active_low, safe })
}

fn trigger(section: &mut Section<'_, '_>, board: BoardName) -> Option<InputConfig> {
    const KEY: &str = "trigger";
    let (mut active_low, mut bias, mut debounce, mut way) = (None, None, None, None);
    let pin = match section.section_or_text(KEY)? {
        Err(pin) => Some(pin),
        Ok(mut inner) => {
            inner.want("pin", "the name of a pin");
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
    let address = address(section, KEY, board, &pin, line)?;
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

fn address(section: &Section<'_, '_>, key: &str, board: BoardName, pin: &str, line: usize) -> Option<LineAddress> {
    match board.resolve(pin) {
        Ok(address) => Some(address),
        Err(error) => {
            section.errors().add_at_line(line, section.name(), &format!("{key}: {error}"));
            None
        }
    }
}

/// No pin may be two things.
pub(super) fn check_pins(board: &BoardConfig, rules: &[RuleConfig], errors: &Errors<'_>) {
    let led = board.status_led.as_ref().map(|led| ("board: status_led".to_owned(), &led.address, led.line));
    let trigger = board.trigger.as_ref().map(|input| ("board: trigger".to_owned(), &input.address, input.line));
    let outputs = rules.iter().filter_map(|rule| {
        let output = rule.output.as_ref()?;
        Some((format!("rule {:?}: output", rule.name), &output.address, output.line))
    });
    let mut seen: Vec<(String, &LineAddress, usize)> = Vec::new();
    for (user, address, line) in led.into_iter().chain(trigger).chain(outputs) {
        if let Some((other, _, other_line)) = seen.iter().find(|(_, used, _)| *used == address) {
            errors.add_at_line(line, &user, &format!("the pin is that of {other} in line {other_line}"));
        }
        seen.push((user, address, line));
    }
}
