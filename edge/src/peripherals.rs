//! What hangs at pins: a status LED, an output for each rule, a trigger. They speak to pins through embedded-hal's traits, where
//! high means active: whether a low voltage is what makes a thing active is the wiring's business, see [`crate::board`].

mod rule_output;
mod safe_pin;
mod status_led;
mod trigger;

pub use rule_output::RuleOutputs;
pub use safe_pin::{SafePin, SafeState};
pub use status_led::{Pattern, StatusLed};
pub use trigger::{EdgeFilter, PolledTrigger, Trigger};

#[cfg(test)]
mod tests;
