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
        match std::env::var(EXPECTED) {
            Ok(expected) => assert_eq!(found, expected, "{EXPECTED}"),
            Err(_) if cfg!(target_arch = "aarch64") => assert_eq!(found, "neon,portable"),
            Err(_) => assert!(found.ends_with("portable"), "{found}"),
        }
    }
}
