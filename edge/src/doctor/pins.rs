//! The pins of a configuration on the kernel's GPIO chips: whether they are there, and who uses them.

use super::Finding;
use crate::board::{BoardError, CONSUMER, ChipInfo, LineAddress, locate};
use crate::config::Config;
use unet_engine::machine::Roots;
use unet_engine::machine::roots::entries;

/// A pin that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pin {
    /// As `pin status_led`.
    pub subject: String,
    /// As the configuration names it.
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
        Err(error) => return vec![Finding::problem("pins", error.to_string(), "`dmesg` tells what its driver says")],
    };
    let closed = chips.is_empty() && !entries(&roots.dev, "gpiochip").is_empty();
    let open_them = "sudo usermod -aG gpio USER, and log in again; where there is no such group, a udev rule gives one";
    if pins.is_empty() {
        return vec![match chips.as_slice() {
            [] if closed => Finding::warning("pins", "chips /dev/gpiochip* may not be opened", open_them),
            [] => Finding::unknown("pins", "no GPIO chip here; none is needed"),
            chips => Finding::ok("pins", chips_text(chips)),
        }];
    }
    let finding = |pin: &Pin| {
        let located = match locate(chips, &pin.address) {
            Ok(located) => located,
            Err(error) => {
                let advice = match error {
                    _ if closed => open_them,
                    BoardError::Chip { .. } if chips.is_empty() => "load the driver of the GPIO chip",
                    BoardError::Chip { .. } => "name the board that this is, or one of the chips that were found",
                    _ => "name another pin; `gpioinfo` lists them",
                };
                return Finding::problem(&pin.subject, format!("{}: {error}", pin.name), advice);
            }
        };
        let place = format!("{} is line {} of chip {}", pin.name, located.offset, located.chip.label);
        match &located.line.user {
            None => Finding::ok(&pin.subject, format!("{place}, free")),
            Some(user) if user == CONSUMER => {
                let advice = "unet-edge runs already; stop it before another is started";
                Finding::warning(&pin.subject, format!("{place}, in use by {user}"), advice)
            }
            Some(user) => {
                let user = if user.is_empty() { "the kernel, which does not say by what" } else { user };
                let advice = "end what uses it, or its overlay, or name another pin";
                Finding::problem(&pin.subject, format!("{place}, in use by {user}"), advice)
            }
        }
    };
    pins.iter().map(finding).collect()
}

fn chips_text(chips: &[ChipInfo]) -> String {
    let text = |chip: &ChipInfo| format!("chip {} of {} lines", chip.label, chip.lines.len());
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
    fn pins_are_free_or_somebodys() {
        let (_folder, roots) = tree(&[]);
        let pins = ["one/0", "one/1", "one/2", "one/3", "one/4", "two/0"].map(pin);
        let found = examine(&roots, &Ok(vec![chip()]), &pins);
        let found: Vec<_> = found.iter().map(|finding| (finding.verdict, finding.found.as_str())).collect();
        let expected = [
            (Verdict::Ok, "one/0 is line 0 of chip one, free"),
            (Verdict::Warning, "one/1 is line 1 of chip one, in use by unet-edge"),
            (Verdict::Problem, "one/2 is line 2 of chip one, in use by spi0 CS0"),
            (Verdict::Problem, "one/3 is line 3 of chip one, in use by the kernel, which does not say by what"),
            (Verdict::Problem, "one/4: GPIO chip one line 4: no such line; the chip has 4"),
            (Verdict::Problem, "two/0: GPIO chip two line 0: no chip of that label; found one"),
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
        assert_eq!(one(&roots, vec![chip()]), (Verdict::Ok, "chip one of 4 lines".to_owned()));
        assert_eq!(one(&roots, Vec::new()).0, Verdict::Unknown);
        let (_folder, roots) = tree(&[("dev/gpiochip0", "")]);
        assert_eq!(one(&roots, Vec::new()).0, Verdict::Warning);
        // And with pins the same reason is what has to be put right.
        let finding = examine(&roots, &Ok(Vec::new()), &[pin("one/0")]).remove(0);
        assert!(finding.verdict == Verdict::Problem && finding.advice.unwrap().contains("gpio"));
    }
}
