//! The list of compute kernels: their names, and the instruction set behind each.

use std::fmt;
use std::str::FromStr;

use unet_data::any_of;

use super::instruction_set::InstructionSet;
use super::loops::Loops;
use super::peak;

/// Declares [`Kernel`] from a list of architectures and, for each, its kernels from the slowest to the fastest: variant, name on
/// the command line and in records, and the file whose `SET` it runs on.
macro_rules! kernels {
    ($(
        $architecture:ident if $cfg:meta {
            $($(#[$doc:meta])+ $variant:ident = $name:literal on $file:ident,)+
        }
    )+) => {
        /// A compute kernel: what computes a convolution.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kernel {
            /// Plain Rust; the reference for the others.
            Scalar,
            $($($(#[$doc])+ $variant,)+)+
        }

        impl Kernel {
            /// All, for each architecture from the slowest to the fastest.
            pub const ALL: [Kernel; 1 $($(+ [Kernel::$variant].len())+)+] = [Kernel::Scalar, $($(Kernel::$variant),+),+];

            /// The name on the command line and in records.
            pub fn name(self) -> &'static str {
                match self {
                    Kernel::Scalar => "scalar",
                    $($(Kernel::$variant => $name,)+)+
                }
            }

            /// The instruction set in this build, whether or not the processor has it.
            fn compiled(self) -> Option<&'static InstructionSet> {
                match self {
                    $($(#[cfg($cfg)] Kernel::$variant => Some(&super::$architecture::$file::SET),)+)+
                    _ => None,
                }
            }
        }
    };
}

kernels! {
    x86_64 if target_arch = "x86_64" {
        /// `vpmaddwd` on bytes that are widened to 16 bits.
        Avx2 = "avx2" on avx2,
        /// `vpdpbusd` on 256 bits.
        AvxVnni = "avx-vnni" on avx_vnni,
        /// `vpdpbusd` on 512 bits.
        Avx512Vnni = "avx512-vnni" on avx512_vnni,
    }
    aarch64 if target_arch = "aarch64" {
        /// `smull` and `smlal` on eight bits: every 64-bit ARM core.
        Neon = "neon" on neon,
        /// `sdot`: Cortex-A76 and later.
        NeonDot = "neon-dot" on neon_dot,
        /// `sudot`: cores with 8-bit matrix multiplication.
        NeonI8mm = "neon-i8mm" on neon_i8mm,
    }
}

impl Kernel {
    /// Whether this processor and this build have it.
    pub fn is_available(self) -> bool {
        self == Kernel::Scalar || self.instruction_set().is_some()
    }

    /// The fastest that is available.
    pub fn best() -> Kernel {
        Kernel::ALL.into_iter().rev().find(|kernel| kernel.is_available()).unwrap_or(Kernel::Scalar)
    }

    /// The maximum multiply-accumulates a second of one core with this kernel's instructions, measured now, within some
    /// milliseconds; `None` for [`Kernel::Scalar`] and for what is not available.
    pub fn peak(self) -> Option<f64> {
        self.instruction_set().map(peak::measure)
    }

    /// The loops over bytes, compiled for this kernel's instructions.
    pub fn loops(self) -> Loops {
        self.instruction_set().map_or(Loops::BASELINE, |set| set.loops)
    }

    /// The instruction set that it runs on, of which the processor has all instructions; `None` for [`Kernel::Scalar`] and for
    /// what is not available.
    pub(super) fn instruction_set(self) -> Option<&'static InstructionSet> {
        self.compiled().filter(|set| (set.is_available)())
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Not the name of a [`Kernel`], nor one of the two other choices of a compute kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected auto, tract, {}, found {found}", any_of(Kernel::ALL))]
pub struct UnknownKernel {
    /// The name given.
    pub found: String,
}

impl FromStr for Kernel {
    type Err = UnknownKernel;

    fn from_str(name: &str) -> Result<Self, UnknownKernel> {
        let known = Kernel::ALL.into_iter().find(|kernel| kernel.name() == name);
        known.ok_or_else(|| UnknownKernel { found: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for kernel in Kernel::ALL {
            assert_eq!(kernel.name().parse(), Ok(kernel));
        }
        assert!(Kernel::best().is_available());
    }

    #[test]
    fn other_names_are_refused_with_the_list() {
        let error = "mmx".parse::<Kernel>().unwrap_err();
        assert_eq!(error, UnknownKernel { found: "mmx".to_owned() });
        let expected =
            "expected auto, tract, scalar, avx2, avx-vnni, avx512-vnni, neon, neon-dot or neon-i8mm, found mmx";
        assert_eq!(error.to_string(), expected);
    }
}
