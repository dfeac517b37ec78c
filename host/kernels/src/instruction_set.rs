//! The instruction sets that there are kernels for.

#[cfg(target_arch = "aarch64")]
use super::neon;
use super::portable;
use super::table::Table;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512, avx512_half};

/// An instruction set that there are kernels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// Registers of 16 values, on x86-64.
    Avx512,
    /// Registers of 8 values with fused multiply-add, on x86-64.
    Avx2,
    /// Registers of 4 values, on 64-bit ARM.
    Neon,
    /// Plain Rust.
    Portable,
}

impl InstructionSet {
    /// All of them, the widest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// The name, as a flag takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    /// Whether this CPU has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                // What one of these CPUs has, all of them have but the first of them, of 2013, which computed apart.
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && Self::Avx2.is_available()
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Portable => true,
            #[allow(unreachable_patterns, reason = "those of other architectures")]
            _ => false,
        }
    }

    /// Those that this CPU has, the widest first.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|set| set.is_available()).collect()
    }

    /// Its kernels for a tensor whose vectors run over `channels` channels.
    pub(super) fn table(self, channels: usize) -> &'static Table {
        assert!(self.is_available(), "no kernel may run without its instructions");
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 if channels <= 8 => &avx512_half::TABLE,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => &avx512::TABLE,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => &avx2::TABLE,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => &neon::TABLE,
            _ => {
                let _ = channels;
                &portable::TABLE
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::InstructionSet;

    /// Names of the instruction sets that the CPU is expected to have, the widest first, parted by commas.
    const EXPECTED: &str = "TRAINING_KERNELS_EXPECTED";

    #[test]
    fn the_instruction_sets_of_this_cpu_are_those_expected() {
        let found: Vec<_> = InstructionSet::available().into_iter().map(InstructionSet::name).collect();
        let found = found.join(",");
        println!("instruction sets: {found}");
        // What an x86 core has, only who chose the core can say.
        let known = cfg!(target_arch = "aarch64").then(|| "neon,portable".to_owned());
        if let Some(expected) = std::env::var(EXPECTED).ok().or(known) {
            assert_eq!(found, expected, "{EXPECTED}");
        }
    }
}
