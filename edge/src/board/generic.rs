//! Any board: `CHIP/LINE`, the label of a chip and the number or name of a line, or only the name of a line. `gpioinfo` of
//! libgpiod lists them.

use super::{LineAddress, LineId};

pub(super) const EXPECTED: &str =
    "CHIP/LINE, with the number or name of the line, such as \"gpio-sim.0/3\", or only the name of a line";

pub(super) fn resolve(pin: &str) -> Option<LineAddress> {
    let (chips, line) = match pin.rsplit_once('/') {
        Some((chip, line)) if !chip.is_empty() => (vec![chip.to_owned()], line),
        Some(_) => return None,
        None => (Vec::new(), pin),
    };
    let line = match line.parse() {
        // A number needs a chip.
        Ok(offset) if !chips.is_empty() => LineId::Offset(offset),
        Ok(_) => return None,
        Err(_) if line.is_empty() => return None,
        Err(_) => LineId::Name(line.to_owned()),
    };
    Some(LineAddress { chips, line })
}
