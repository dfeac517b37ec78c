//! Jetson Orin Nano developer kit. Linux names its lines by port, and their offsets differ between releases, so they are looked
//! up by name on either of the two chips.

use super::{LineAddress, LineId, raspberry_pi};

pub(super) const EXPECTED: &str =
    "a port such as \"PQ.05\", or a position of the header that is a GPIO, such as \"pin 29\"";

const CHIPS: [&str; 2] = ["tegra234-gpio", "tegra234-gpio-aon"];

/// Positions of the header and their ports. Pins must be set to GPIO with `jetson-io` first.
const HEADER: [(u32, &str); 22] = [
    (7, "PAC.06"),
    (11, "PR.04"),
    (12, "PH.07"),
    (13, "PY.00"),
    (15, "PN.01"),
    (16, "PY.04"),
    (18, "PY.03"),
    (19, "PZ.05"),
    (21, "PZ.04"),
    (22, "PY.01"),
    (23, "PZ.03"),
    (24, "PZ.06"),
    (26, "PZ.07"),
    (29, "PQ.05"),
    (31, "PQ.06"),
    (32, "PG.06"),
    (33, "PH.00"),
    (35, "PI.02"),
    (36, "PR.05"),
    (37, "PY.02"),
    (38, "PI.01"),
    (40, "PI.00"),
];

pub(super) fn resolve(pin: &str) -> Option<LineAddress> {
    let port = match raspberry_pi::header_position(pin) {
        Some(position) => HEADER.iter().find(|(at, _)| *at == position)?.1,
        None if is_port(pin) => pin,
        None => return None,
    };
    Some(LineAddress { chips: CHIPS.map(str::to_owned).to_vec(), line: LineId::Name(port.to_owned()) })
}

/// `P`, one or two capitals, a full stop and two digits.
fn is_port(pin: &str) -> bool {
    let Some((letters, digits)) = pin.strip_prefix('P').and_then(|rest| rest.split_once('.')) else { return false };
    (1..=2).contains(&letters.len())
        && letters.bytes().all(|byte| byte.is_ascii_uppercase())
        && digits.len() == 2
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}
