//! An output pin that ends in a configured state.

use embedded_hal::digital::{OutputPin, PinState};

/// The state of a pin after the program has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SafeState {
    /// Inactive.
    #[default]
    Inactive,
    /// Active, for an alarm that shall sound when the program ends.
    Active,
    /// Unchanged.
    Keep,
}

impl SafeState {
    /// All states.
    pub const ALL: [SafeState; 3] = [SafeState::Inactive, SafeState::Active, SafeState::Keep];

    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            SafeState::Inactive => "inactive",
            SafeState::Active => "active",
            SafeState::Keep => "keep",
        }
    }
}

/// An output pin that is put into its safe state on request and on drop, hence also when a panic unwinds. If the process is
/// killed, Linux releases the line instead.
#[derive(Debug)]
pub struct SafePin<P: OutputPin> {
    pin: P,
    safe: SafeState,
    // The last level written; unknown at first and after an error.
    written: Option<bool>,
}

impl<P: OutputPin> SafePin<P> {
    /// Writes nothing yet.
    pub fn new(pin: P, safe: SafeState) -> Self {
        SafePin { pin, safe, written: None }
    }

    /// Makes the pin active or inactive; writes only changes.
    ///
    /// # Errors
    ///
    /// If the pin cannot be written; the next call writes again.
    pub fn set(&mut self, active: bool) -> Result<(), P::Error> {
        if self.written != Some(active) {
            self.written = None;
            self.pin.set_state(PinState::from(active))?;
            self.written = Some(active);
        }
        Ok(())
    }

    /// Puts the pin into its safe state.
    ///
    /// # Errors
    ///
    /// If the pin cannot be written.
    pub fn make_safe(&mut self) -> Result<(), P::Error> {
        match self.safe {
            SafeState::Inactive => self.set(false),
            SafeState::Active => self.set(true),
            SafeState::Keep => Ok(()),
        }
    }
}

impl<P: OutputPin> Drop for SafePin<P> {
    fn drop(&mut self) {
        // A caller that needs the result calls `make_safe` first.
        let _ = self.make_safe();
    }
}
