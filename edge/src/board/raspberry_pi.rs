//! Raspberry Pi 4 and 5, and the 40-pin header that they share.

use super::{LineAddress, LineId};

/// One model: the chip behind its header, whose lines are numbered like the GPIOs.
pub(super) struct Model {
    /// What its pins are called, for messages.
    pub(super) expected: &'static str,
    chip: &'static str,
    gpio_last: u32,
}

/// The header has GPIO0 to GPIO27; GPIO42 is the board's green LED.
pub(super) const PI4: Model = Model {
    expected: "GPIO0 to GPIO57, or a position of the header such as \"pin 11\"",
    chip: "pinctrl-bcm2711",
    gpio_last: 57,
};

/// The header is connected to the RP1, a separate chip. Its other GPIOs are not accessible.
pub(super) const PI5: Model = Model {
    expected: "GPIO0 to GPIO27, or a position of the header such as \"pin 11\"",
    chip: "pinctrl-rp1",
    gpio_last: 27,
};

impl Model {
    /// `GPIO17` or `pin 11`.
    pub(super) fn resolve(&self, pin: &str) -> Option<LineAddress> {
        let gpio = pin.strip_prefix("GPIO").and_then(number).filter(|&gpio| gpio <= self.gpio_last);
        let offset = gpio.or_else(|| gpio_at(header_position(pin)?))?;
        Some(LineAddress { chips: vec![self.chip.to_owned()], line: LineId::Offset(offset) })
    }
}

/// The number in `pin 11`, counted as on the header.
pub(super) fn header_position(pin: &str) -> Option<u32> {
    number(pin.strip_prefix("pin ")?)
}

/// Digits without leading zeros, so that each pin has one name.
fn number(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

/// The GPIO at a position of the header; power and ground have none.
pub(super) fn gpio_at(position: u32) -> Option<u32> {
    Some(match position {
        3 => 2,
        5 => 3,
        7 => 4,
        8 => 14,
        10 => 15,
        11 => 17,
        12 => 18,
        13 => 27,
        15 => 22,
        16 => 23,
        18 => 24,
        19 => 10,
        21 => 9,
        22 => 25,
        23 => 11,
        24 => 8,
        26 => 7,
        27 => 0,
        28 => 1,
        29 => 5,
        31 => 6,
        32 => 12,
        33 => 13,
        35 => 19,
        36 => 16,
        37 => 26,
        38 => 20,
        40 => 21,
        _ => return None,
    })
}
