//! The header with 40 pins that Raspberry Pis share.

/// The number in `GPIO17`.
pub(super) fn gpio_number(pin: &str) -> Option<u32> {
    number(pin.strip_prefix("GPIO")?)
}

/// The number in `pin 11`, as the header is counted.
pub(super) fn header_position(pin: &str) -> Option<u32> {
    number(pin.strip_prefix("pin ")?)
}

/// Digits alone, without leading zeros: a name for each pin.
fn number(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

/// The GPIO at a position of the header; power, ground and what is not there have none.
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

/// `GPIO17` up to the last one, or `pin 11`.
pub(super) fn offset(pin: &str, gpio_last: u32) -> Option<u32> {
    gpio_number(pin).filter(|&number| number <= gpio_last).or_else(|| gpio_at(header_position(pin)?))
}
