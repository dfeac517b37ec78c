//! Raspberry Pi 4: the chip of its processor, whose lines are numbered as the GPIOs are.

use super::{LineAddress, LineId, pi_header};

/// Behind the header are 0 to 27; GPIO42 is the board's own green LED.
const GPIO_LAST: u32 = 57;

pub(super) const EXPECTED: &str = "GPIO0 to GPIO57, or a position of the header such as \"pin 11\"";

pub(super) fn resolve(pin: &str) -> Option<LineAddress> {
    let offset = pi_header::offset(pin, GPIO_LAST)?;
    Some(LineAddress { chips: vec!["pinctrl-bcm2711".to_owned()], line: LineId::Offset(offset) })
}
