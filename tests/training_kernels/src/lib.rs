//! The training kernels of `unet-host` without burn, so that their tests are built in seconds for another CPU and run on
//! an emulated one. `tests/board/training_kernels` does so.

// A module in braces, for files that lie where they are: the path of a file would move the files below it.
#[path = "../../../host/src"]
mod host {
    pub mod kernel;
}

pub use host::kernel;

#[cfg(test)]
mod tests {
    use super::kernel::InstructionSet;

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
