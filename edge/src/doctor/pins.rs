//! The configured pins: whether they exist, and whether they are in use.

use super::Finding;
use crate::board::{BoardError, CONSUMER, ChipInfo, LineAddress, locate};
use crate::config::Config;
use unet_engine::machine::Roots;
use unet_engine::machine::roots::entries;

/// A configured pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pin {
    /// As `pin status_led`.
    pub subject: String,
    /// Name in the configuration.
    pub name: String,
    pub address: LineAddress,
}

pub(super) fn of_config(config: &Config) -> Vec<Pin> {
    let board = &config.board;
    let pin = |subject: &str, name: &str, address: &LineAddress| Pin {
        subject: subject.to_owned(),
        name: name.to_owned(),
        address: address.clone(),
    };
    let led = board.status_led.as_ref().map(|led| pin("pin status_led", &led.pin, &led.address));
    let trigger = board.trigger.as_ref().map(|trigger| pin("pin trigger", &trigger.pin, &trigger.address));
    let rules = config.rules.iter().filter_map(|rule| {
        let output = rule.output.as_ref()?;
        Some(pin(&format!("pin {:?}", rule.name), &output.pin, &output.address))
    });
    led.into_iter().chain(trigger).chain(rules).collect()
}

pub(super) fn examine(roots: &Roots, chips: &Result<Vec<ChipInfo>, BoardError>, pins: &[Pin]) -> Vec<Finding> {
    let chips = match chips {
        Ok(chips) => chips,
        Err(error) => {
            return vec![Finding::problem("pins", error.to_string(), "see `dmesg` for messages of the driver")];
        }
    };
    let closed = chips.is_empty() && !entries(&roots.dev, "gpiochip").is_empty();
    let open_them = "sudo usermod -aG gpio USER, and log in again; if there is no such group, add a udev rule for one";
    if pins.is_empty() {
        return vec![match chips.as_slice() {
            [] if closed => Finding::warning("pins", "no permission to open /dev/gpiochip*", open_them),
            [] => Finding::unknown("pins", "no GPIO chip; none is needed"),
            chips => Finding::ok("pins", chips_text(chips)),
        }];
    }
    let finding = |pin: &Pin| {
        let located = match locate(chips, &pin.address) {
            Ok(located) => located,
            Err(error) => {
                let advice = match error {
                    _ if closed => open_them,
                    BoardError::Chip { .. } if chips.is_empty() => {
                        "load the driver of the GPIO chip, or run it on the board that [board] names"
                    }
                    BoardError::Chip { .. } => "configure the right board, or one of the chips that were found",
                    _ => "configure another pin; `gpioinfo` lists them",
                };
                return Finding::problem(&pin.subject, format!("{}: {error}", pin.name), advice);
            }
        };
        let place = format!("{} is line {} of chip {}", pin.name, located.offset, located.chip.label);
        match &located.line.user {
            None => Finding::ok(&pin.subject, format!("{place}, free")),
            Some(user) if user == CONSUMER => {
                let advice = "unet-edge is already running; stop it before starting another";
                Finding::warning(&pin.subject, format!("{place}, in use by {user}"), advice)
            }
            Some(user) => {
                let user = if user.is_empty() { "an unnamed driver" } else { user };
                let advice = "stop the program or remove the overlay that uses it, or configure another pin";
                Finding::problem(&pin.subject, format!("{place}, in use by {user}"), advice)
            }
        }
    };
    pins.iter().map(finding).collect()
}

fn chips_text(chips: &[ChipInfo]) -> String {
    let text = |chip: &ChipInfo| format!("chip {} with {} lines", chip.label, chip.lines.len());
    chips.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::board::{BoardName, LineInfo};
    use crate::doctor::tests::tree;

    fn pin(name: &str) -> Pin {
        let address = BoardName::Generic.resolve(name).unwrap();
        Pin { subject: "pin status_led".to_owned(), name: name.to_owned(), address }
    }

    fn chip() -> ChipInfo {
        let users = [None, Some("unet-edge"), Some("spi0 CS0"), Some("")];
        let line = |user: Option<&str>| LineInfo { name: String::new(), user: user.map(str::to_owned) };
        ChipInfo { path: "/dev/gpiochip0".into(), label: "one".to_owned(), lines: users.map(line).to_vec() }
    }

    #[test]
    fn pins_are_free_or_in_use() {
        let (_folder, roots) = tree(&[]);
        let pins = ["one/0", "one/1", "one/2", "one/3", "one/4", "two/0"].map(pin);
        let found = examine(&roots, &Ok(vec![chip()]), &pins);
        let found: Vec<_> = found.iter().map(|finding| (finding.verdict, finding.found.as_str())).collect();
        let expected = [
            (Verdict::Ok, "one/0 is line 0 of chip one, free"),
            (Verdict::Warning, "one/1 is line 1 of chip one, in use by unet-edge"),
            (Verdict::Problem, "one/2 is line 2 of chip one, in use by spi0 CS0"),
            (Verdict::Problem, "one/3 is line 3 of chip one, in use by an unnamed driver"),
            (Verdict::Problem, "one/4: GPIO chip one line 4: no such line; the chip has 4"),
            (Verdict::Problem, "two/0: GPIO chip two line 0: no chip with that label; found one"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn without_pins_the_chips_are_listed() {
        let one = |roots: &Roots, chips| {
            let finding = examine(roots, &Ok(chips), &[]).remove(0);
            (finding.verdict, finding.found)
        };
        let (_folder, roots) = tree(&[]);
        assert_eq!(one(&roots, vec![chip()]), (Verdict::Ok, "chip one with 4 lines".to_owned()));
        assert_eq!(one(&roots, Vec::new()).0, Verdict::Unknown);
        let (_folder, roots) = tree(&[("dev/gpiochip0", "")]);
        assert_eq!(one(&roots, Vec::new()).0, Verdict::Warning);
        // With pins, the missing permission is the problem.
        let finding = examine(&roots, &Ok(Vec::new()), &[pin("one/0")]).remove(0);
        assert!(finding.verdict == Verdict::Problem && finding.advice.unwrap().contains("gpio"));
    }
}
