//! The list of instruction sets, and the choice among them.

use super::table::{Implementation, Table};

/// Declares [`InstructionSet`] from a list: variant, name as a flag takes it, the module whose `SET` it is, and where that is
/// compiled.
macro_rules! instruction_sets {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal in $($module:ident)::+ if $cfg:meta,)+) => {
        /// An instruction set that there are compute kernels for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum InstructionSet {
            $($(#[$doc])+ $variant,)+
        }

        impl InstructionSet {
            /// All of them, the widest first.
            pub const ALL: [Self; 0 $(+ [Self::$variant].len())+] = [$(Self::$variant),+];

            /// The name, as a flag takes it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The kernels in this build, whether or not the CPU can run them.
            fn compiled(self) -> Option<&'static Implementation> {
                match self {
                    $(#[cfg($cfg)] Self::$variant => Some(&super::$($module)::+::SET),)+
                    _ => None,
                }
            }
        }
    };
}

instruction_sets! {
    /// Registers of 16 values, on x86-64.
    Avx512 = "avx512" in x86_64::avx512 if target_arch = "x86_64",
    /// Registers of 8 values with fused multiply-add, on x86-64.
    Avx2 = "avx2" in x86_64::avx2 if target_arch = "x86_64",
    /// Registers of 4 values, on 64-bit ARM.
    Neon = "neon" in neon if target_arch = "aarch64",
    /// Plain Rust.
    Portable = "portable" in portable if all(),
}

impl InstructionSet {
    /// Whether this CPU and this build have it.
    pub fn is_available(self) -> bool {
        self.implementation().is_some()
    }

    /// Those that this CPU has, the widest first.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|set| set.is_available()).collect()
    }

    /// Its kernels for a tensor whose vectors run over `channels` channels.
    pub(super) fn table(self, channels: usize) -> &'static Table {
        let Some(set) = self.implementation() else { panic!("no kernel may run without its instructions") };
        match set.narrow {
            Some(narrow) if channels <= narrow.lanes => narrow,
            _ => set.table,
        }
    }

    fn implementation(self) -> Option<&'static Implementation> {
        self.compiled().filter(|set| (set.is_available)())
    }
}

#[cfg(test)]
mod tests {
    use super::InstructionSet;

    /// Environment variable: names of the instruction sets that the CPU is expected to have, the widest first, separated by
    /// commas.
    const EXPECTED: &str = "TRAINING_KERNELS_EXPECTED";

    #[test]
    fn the_instruction_sets_of_this_cpu_are_those_expected() {
        let found: Vec<_> = InstructionSet::available().into_iter().map(InstructionSet::name).collect();
        let found = found.join(",");
        println!("instruction sets: {found}");
        // The instruction sets of an x86 core are known only to whoever chose it.
        let known = cfg!(target_arch = "aarch64").then(|| "neon,portable".to_owned());
        if let Some(expected) = std::env::var(EXPECTED).ok().or(known) {
            assert_eq!(found, expected, "{EXPECTED}");
        }
    }
}
