//! An output that ends in a state that was chosen beforehand.

use embedded_hal::digital::{OutputPin, PinState};

/// How a pin is left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SafeState {
    /// Not active, whatever was last.
    #[default]
    Inactive,
    /// Active, as an alarm that is to be heard when the program ends.
    Active,
    /// As it was last.
    Keep,
}

impl SafeState {
    /// All of them.
    pub const ALL: [SafeState; 3] = [SafeState::Inactive, SafeState::Active, SafeState::Keep];

    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            SafeState::Inactive => "inactive",
            SafeState::Active => "active",
            SafeState::Keep => "keep",
        }
    }
}

/// An output pin that is put into its safe state when it is asked to, and when it is dropped, which a panic that unwinds
/// does too. A process that is killed cannot do it: then the kernel takes the line back.
#[derive(Debug)]
pub struct SafePin<P: OutputPin> {
    pin: P,
    safe: SafeState,
    // What was written last and arrived; unknown at first and after an error.
    written: Option<bool>,
}

impl<P: OutputPin> SafePin<P> {
    /// Writes nothing yet.
    pub fn new(pin: P, safe: SafeState) -> Self {
        SafePin { pin, safe, written: None }
    }

    /// Makes the pin active or not; a pin that is already so is left alone.
    ///
    /// # Errors
    ///
    /// When the pin cannot be written; the next call then writes again.
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
    /// When the pin cannot be written.
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
        // Nobody is left to be told; whoever wants to know asks before.
        let _ = self.make_safe();
    }
}
