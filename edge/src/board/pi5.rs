//! Raspberry Pi 5: its header hangs at the RP1, a chip of its own, whose first lines are numbered as the GPIOs are.

use super::{LineAddress, LineId, pi_header};

/// What follows is not led out.
const GPIO_LAST: u32 = 27;

pub(super) const EXPECTED: &str = "GPIO0 to GPIO27, or a position of the header such as \"pin 11\"";

pub(super) fn resolve(pin: &str) -> Option<LineAddress> {
    let offset = pi_header::offset(pin, GPIO_LAST)?;
    Some(LineAddress { chips: vec!["pinctrl-rp1".to_owned()], line: LineId::Offset(offset) })
}
