use super::*;

fn address(chips: &[&str], line: LineId) -> LineAddress {
    LineAddress { chips: chips.iter().map(|&chip| chip.to_owned()).collect(), line }
}

fn name(line: &str) -> LineId {
    LineId::Name(line.to_owned())
}

#[test]
fn pin_names_are_resolved_to_lines() {
    let tegra = ["tegra234-gpio", "tegra234-gpio-aon"];
    for (board, pin, expected) in [
        (BoardName::Pi4, "GPIO17", address(&["pinctrl-bcm2711"], LineId::Offset(17))),
        (BoardName::Pi4, "pin 11", address(&["pinctrl-bcm2711"], LineId::Offset(17))),
        (BoardName::Pi4, "GPIO42", address(&["pinctrl-bcm2711"], LineId::Offset(42))),
        (BoardName::Pi5, "pin 40", address(&["pinctrl-rp1"], LineId::Offset(21))),
        (BoardName::Pi5, "GPIO0", address(&["pinctrl-rp1"], LineId::Offset(0))),
        (BoardName::OrinNano, "pin 29", address(&tegra, name("PQ.05"))),
        (BoardName::OrinNano, "PAC.06", address(&tegra, name("PAC.06"))),
        (BoardName::Generic, "9030000.pl061/3", address(&["9030000.pl061"], LineId::Offset(3))),
        (BoardName::Generic, "gpio-sim.0/relay", address(&["gpio-sim.0"], name("relay"))),
        (BoardName::Generic, "relay", address(&[], name("relay"))),
    ] {
        assert_eq!(board.resolve(pin).as_ref(), Ok(&expected), "{} {pin}", board.name());
    }
}

#[test]
fn unknown_pins_are_errors() {
    for (board, pin) in [
        (BoardName::Pi4, "GPIO58"),
        (BoardName::Pi4, "GPIO017"),
        (BoardName::Pi4, "17"),
        // 3.3 V.
        (BoardName::Pi4, "pin 1"),
        (BoardName::Pi5, "GPIO28"),
        (BoardName::Pi5, "GPIO99999999999"),
        (BoardName::OrinNano, "pin 9"),
        (BoardName::OrinNano, "GPIO09"),
        (BoardName::OrinNano, "PQ.5"),
        (BoardName::Generic, "3"),
        (BoardName::Generic, ""),
        (BoardName::Generic, "chip/"),
        (BoardName::Generic, "/3"),
    ] {
        let error = board.resolve(pin).unwrap_err();
        assert_eq!((error.board, error.found.as_str()), (board, pin), "{error}");
    }
    let error = BoardName::Pi5.resolve("GPIO28").unwrap_err();
    let expected =
        "board pi5: expected GPIO0 to GPIO27, or a position of the header such as \"pin 11\", found \"GPIO28\"";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn each_gpio_of_the_pi_has_one_position() {
    let mut found: Vec<_> = (1..=40).filter_map(raspberry_pi::gpio_at).collect();
    found.sort_unstable();
    assert_eq!(found, (0..=27).collect::<Vec<_>>());
}

fn chip(label: &str, lines: &[(&str, Option<&str>)]) -> ChipInfo {
    let line = |&(name, user): &(&str, Option<&str>)| LineInfo { name: name.to_owned(), user: user.map(str::to_owned) };
    ChipInfo { path: "/dev/gpiochip0".into(), label: label.to_owned(), lines: lines.iter().map(line).collect() }
}

#[test]
fn lines_are_found_by_label_and_name() {
    let chips = [
        chip("one", &[("", None), ("", Some("spi0 CS0"))]),
        chip("two", &[("red", None), ("", None), ("green", Some("leds")), ("both", None), ("both", None)]),
    ];
    let find = |chip: &[&str], line| {
        let address = address(chip, line);
        locate(&chips, &address).map(|located| (located.chip.label.clone(), located.offset)).map_err(|e| e.to_string())
    };
    assert_eq!(find(&["two"], LineId::Offset(1)), Ok(("two".to_owned(), 1)));
    assert_eq!(find(&["none", "two"], name("green")), Ok(("two".to_owned(), 2)));
    assert_eq!(find(&[], name("red")), Ok(("two".to_owned(), 0)));
    let error = |chip, line| find(chip, line).unwrap_err();
    assert_eq!(
        error(&["pinctrl-rp1"], LineId::Offset(17)),
        "GPIO chip pinctrl-rp1 line 17: no chip with that label; found one, two"
    );
    assert_eq!(error(&["one"], LineId::Offset(2)), "GPIO chip one line 2: no such line; the chip has 2");
    assert_eq!(error(&[], name("blue")), "GPIO line blue: no such line");
    assert_eq!(
        error(&["two"], name("both")),
        "GPIO chip two line both: expected one line with that name, found 2; add the chip"
    );
    let busy = |chip: &str, offset| {
        let address = address(&[chip], LineId::Offset(offset));
        locate(&chips, &address).unwrap().check_free().map_err(|error| error.to_string())
    };
    assert_eq!(busy("two", 0), Ok(()));
    assert_eq!(busy("two", 2).unwrap_err(), "GPIO chip two line 2 (green): in use by \"leds\"");
    assert_eq!(busy("one", 1).unwrap_err(), "GPIO chip one line 1: in use by \"spi0 CS0\"");
}

#[test]
fn a_system_without_chips_is_reported() {
    let address = address(&["pinctrl-rp1"], LineId::Offset(17));
    let error = locate(&[], &address).unwrap_err().to_string();
    assert_eq!(error, "found no accessible GPIO chip");
}

#[cfg(target_os = "linux")]
#[test]
fn the_chips_of_this_system_can_be_listed() {
    // Whatever chips there are; a line of an unknown chip cannot be opened.
    chips().unwrap();
    let address = address(&["no such chip"], LineId::Offset(0));
    assert!(matches!(OutputLine::open(&address, false, false), Err(BoardError::Chip { .. })));
}
