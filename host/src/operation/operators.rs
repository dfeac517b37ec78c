//! Which operators compute on burn's flex backend.

use std::cell::Cell;
use std::sync::OnceLock;

use unet_kernels::InstructionSet;

/// What computes on flex. Other backends have but burn's operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operators {
    /// The project's kernels, by this instruction set.
    Kernels(InstructionSet),
    /// burn's own operators: slower, and what the kernels are compared with.
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

    /// Those that this CPU can run, the widest registers first.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|operators| operators.is_available()).collect()
    }

    /// Makes the program use these from now on. Only the first choice counts, and the first use of an operator is one.
    ///
    /// # Errors
    /// Says what is wrong where the CPU cannot run them, or others are in use.
    pub fn choose(self) -> Result<(), String> {
        if !self.is_available() {
            let names: Vec<_> = Self::available().into_iter().map(Self::name).collect();
            return Err(format!("this CPU has no {} (it has: {})", self.name(), names.join(", ")));
        }
        let chosen = *CHOSEN.get_or_init(|| self);
        if chosen == self { Ok(()) } else { Err(format!("{} is in use already", chosen.name())) }
    }

    /// Those in use: the widest kernels that the CPU has, where nothing was chosen.
    pub fn in_use() -> Self {
        WITHIN.get().unwrap_or_else(|| *CHOSEN.get_or_init(|| Self::available()[0]))
    }

    /// What `work` returns, computed by these operators whatever the program chose; for comparisons. `work` keeps forward
    /// and backward on the thread that calls it.
    ///
    /// # Panics
    /// When the CPU cannot run them.
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

    /// The instruction set that kernels compute with. What kernels began, they end: of a network that went forward by them
    /// the gradients are theirs even where stock operators are in use by then.
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
