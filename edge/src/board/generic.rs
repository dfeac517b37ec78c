//! Any board: `CHIP/LINE`, a chip's label and the number or the name of a line there, or the name of a line alone.
//! `gpioinfo` of libgpiod lists them.

use super::{LineAddress, LineId};

pub(super) const EXPECTED: &str =
    "a chip's label, a slash, and a line's number or name, such as \"gpio-sim.0/3\", or a line's name alone";

pub(super) fn resolve(pin: &str) -> Option<LineAddress> {
    let (chips, line) = match pin.rsplit_once('/') {
        Some((chip, line)) if !chip.is_empty() => (vec![chip.to_owned()], line),
        Some(_) => return None,
        None => (Vec::new(), pin),
    };
    let line = match line.parse() {
        // A number says nothing without its chip.
        Ok(offset) if !chips.is_empty() => LineId::Offset(offset),
        Ok(_) => return None,
        Err(_) if line.is_empty() => return None,
        Err(_) => LineId::Name(line.to_owned()),
    };
    Some(LineAddress { chips, line })
}
