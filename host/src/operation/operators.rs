//! Which operators compute on burn's flex backend.

use std::cell::Cell;
use std::sync::OnceLock;

use unet_kernels::InstructionSet;

/// The operators used on flex. Other backends always use burn's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operators {
    /// The project's compute kernels for this instruction set.
    Kernels(InstructionSet),
    /// burn's own operators: slower, and the reference of the compute kernels.
    Stock,
}

/// The program's choice.
static CHOSEN: OnceLock<Operators> = OnceLock::new();

thread_local! {
    /// The choice of [`Operators::within`].
    static WITHIN: Cell<Option<Operators>> = const { Cell::new(None) };
}

impl Operators {
    /// All of them, the widest registers first.
    pub const ALL: [Self; 5] = {
        let [a, b, c, d] = InstructionSet::ALL;
        [Self::Kernels(a), Self::Kernels(b), Self::Kernels(c), Self::Kernels(d), Self::Stock]
    };

    /// The name, as a flag takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernels(set) => set.name(),
            Self::Stock => "stock",
        }
    }

    /// Whether this CPU can run them.
    pub fn is_available(self) -> bool {
        match self {
            Self::Kernels(set) => set.is_available(),
            Self::Stock => true,
        }
    }

    /// All that this CPU can run, the widest registers first.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|operators| operators.is_available()).collect()
    }

    /// Selects these operators for the whole program, once and before the first operation, which selects the default.
    ///
    /// # Errors
    /// If the CPU cannot run them, or others are in use already.
    pub fn choose(self) -> Result<(), String> {
        if !self.is_available() {
            let usable = unet_data::any_of(Self::available().into_iter().map(Self::name));
            return Err(format!("this CPU lacks the instructions of {}; use {usable}", self.name()));
        }
        let chosen = *CHOSEN.get_or_init(|| self);
        if chosen == self { Ok(()) } else { Err(format!("{} is in use already", chosen.name())) }
    }

    /// The operators in use: by default the widest that the CPU can run.
    pub fn in_use() -> Self {
        WITHIN.get().unwrap_or_else(|| *CHOSEN.get_or_init(|| Self::available()[0]))
    }

    /// Runs `work` with these operators on this thread, regardless of the program's choice; for comparisons.
    ///
    /// # Panics
    /// If the CPU cannot run them.
    pub fn within<T>(self, work: impl FnOnce() -> T) -> T {
        struct Restore(Option<Operators>);
        impl Drop for Restore {
            fn drop(&mut self) {
                WITHIN.set(self.0);
            }
        }
        assert!(self.is_available(), "this CPU has no {}", self.name());
        let _restore = Restore(WITHIN.replace(Some(self)));
        work()
    }

    /// The instruction set of the compute kernels. Gradients use the kernels whenever the forward pass did, even if stock
    /// operators are selected by then.
    pub fn instruction_set() -> InstructionSet {
        match Self::in_use() {
            Self::Kernels(set) => set,
            Self::Stock => InstructionSet::available()[0],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_within_ends_where_it_began() {
        let before = Operators::in_use();
        for operators in Operators::available() {
            operators.within(|| {
                assert_eq!(Operators::in_use(), operators);
                Operators::Stock.within(|| assert_eq!(Operators::in_use(), Operators::Stock));
                assert_eq!(Operators::in_use(), operators);
            });
        }
        let unwound = std::panic::catch_unwind(|| Operators::Stock.within(|| panic!("as work may")));
        assert_eq!(unwound.unwrap_err().downcast_ref(), Some(&"as work may"));
        assert_eq!(Operators::in_use(), before);
    }

    #[test]
    fn names_are_told_apart() {
        for (i, a) in Operators::ALL.into_iter().enumerate() {
            assert!(Operators::ALL[..i].iter().all(|b| a.name() != b.name()), "{}", a.name());
        }
        assert!(Operators::available().ends_with(&[Operators::Kernels(InstructionSet::Portable), Operators::Stock]));
    }
}
