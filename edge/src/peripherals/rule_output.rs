//! Output pins driven by rules.

use embedded_hal::digital::OutputPin;

use super::{SafePin, SafeState};
use crate::rules::Change;

/// The outputs of all rules, indexed by rule. All are put into their safe state on drop.
#[derive(Debug)]
pub struct RuleOutputs<P: OutputPin> {
    pins: Vec<Option<SafePin<P>>>,
}

impl<P: OutputPin> RuleOutputs<P> {
    /// An optional pin for each rule.
    pub fn new(pins: impl IntoIterator<Item = Option<(P, SafeState)>>) -> Self {
        let pins = pins.into_iter().map(|pin| pin.map(|(pin, safe)| SafePin::new(pin, safe)));
        RuleOutputs { pins: pins.collect() }
    }

    /// Makes every pin inactive, as all rules are at the start.
    ///
    /// # Errors
    ///
    /// The error of the first pin that cannot be written; the others are written all the same.
    pub fn begin(&mut self) -> Result<(), P::Error> {
        self.each(|pin| pin.set(false))
    }

    /// Sets the pins of the rules that changed.
    ///
    /// # Errors
    ///
    /// As [`RuleOutputs::begin`].
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), P::Error> {
        let mut result = Ok(());
        for change in changes {
            if let Some(Some(pin)) = self.pins.get_mut(change.rule) {
                result = result.and(pin.set(change.active));
            }
        }
        result
    }

    /// Puts all pins into their safe states.
    ///
    /// # Errors
    ///
    /// As [`RuleOutputs::begin`].
    pub fn make_safe(&mut self) -> Result<(), P::Error> {
        self.each(SafePin::make_safe)
    }

    fn each(&mut self, mut write: impl FnMut(&mut SafePin<P>) -> Result<(), P::Error>) -> Result<(), P::Error> {
        let mut result = Ok(());
        for pin in self.pins.iter_mut().flatten() {
            result = result.and(write(pin));
        }
        result
    }
}
