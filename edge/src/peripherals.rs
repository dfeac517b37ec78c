//! Devices at pins: a status LED, an output for each rule, a trigger. They use embedded-hal's traits, where high means active;
//! [`crate::board`] handles lines that are active low.

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
