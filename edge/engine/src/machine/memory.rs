//! Memory of the machine.

use super::Roots;
use super::roots::text;

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Available to a new program without swapping.
    pub available: u64,
    /// Total.
    pub total: u64,
}

/// As Linux reports it; `None` if it does not.
pub fn memory(roots: &Roots) -> Option<Memory> {
    let table = text(&roots.proc.join("meminfo"))?;
    let bytes = |name: &str| {
        let value = table.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { available: bytes("MemAvailable:")?, total: bytes("MemTotal:")? })
}

#[cfg(test)]
mod tests {
    use super::super::roots::tree;
    use super::*;

    #[test]
    fn memory_is_read_from_the_table() {
        let (_folder, roots) = tree(&[("proc/meminfo", "MemTotal:  2000 kB\nMemFree: 1 kB\nMemAvailable:  500 kB\n")]);
        assert_eq!(memory(&roots), Some(Memory { available: 512_000, total: 2_048_000 }));
        assert_eq!(memory(&tree(&[("proc/meminfo", "MemTotal: many\n")]).1), None);
    }
}
