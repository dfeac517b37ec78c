//! Vector code for rows of pixels: the list of instruction sets.
//!
//! One file an instruction set; each returns, byte for byte, what the reference in [`crate::image`] and
//! [`crate::preprocess`] returns, in whole vectors, and leaves the rest of a row to it. AVX2 is detected at run time with
//! std, and at compile time without; NEON is part of every 64-bit ARM target that has it. Knows rows and windows; nothing
//! of whole images, of placements or of files.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
mod neon;
mod operations;
#[cfg(test)]
mod tests;

pub(crate) use operations::Operations;

/// Declares [`InstructionSet`] from a list, the preferred ones last: variant, name in reports, the file whose `OPERATIONS` it
/// is, and where that is compiled.
macro_rules! instruction_sets {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal in $module:ident if $cfg:meta,)+) => {
        /// What computes rows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum InstructionSet {
            /// Plain Rust; the reference for the others.
            Scalar,
            $($(#[$doc])+ $variant,)+
        }

        impl InstructionSet {
            /// All, the preferred ones last.
            pub const ALL: [Self; 1 $(+ [Self::$variant].len())+] = [Self::Scalar, $(Self::$variant),+];

            /// The name in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    Self::Scalar => "scalar",
                    $(Self::$variant => $name,)+
                }
            }

            /// The code in this build, whether or not the core can run it.
            fn compiled(self) -> Option<&'static Operations> {
                match self {
                    $(#[cfg($cfg)] Self::$variant => Some(&$module::OPERATIONS),)+
                    _ => None,
                }
            }
        }
    };
}

instruction_sets! {
    /// 256-bit vectors of x86-64.
    Avx2 = "avx2" in avx2 if target_arch = "x86_64",
    /// 128-bit vectors of 64-bit ARM.
    Neon = "neon" in neon if all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"),
}

impl InstructionSet {
    /// Whether this program has it and this core can run it.
    #[must_use]
    pub fn is_available(self) -> bool {
        self == Self::Scalar || self.operations().is_some()
    }

    /// The fastest that this core has.
    #[must_use]
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|set| set.is_available()).unwrap_or(Self::Scalar)
    }

    /// Its code; `None` for plain Rust and for what this core lacks.
    pub(crate) fn operations(self) -> Option<&'static Operations> {
        self.compiled().filter(|operations| (operations.is_available)())
    }
}
