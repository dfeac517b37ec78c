//! How the program asks the system for memory, and how much of it the system has.

use std::path::Path;

use unet_engine::machine::Roots;
use unet_engine::machine::memory::memory;

/// Keeps freed memory for the next step instead of giving it back to the system after each.
///
/// A step makes and drops the same large tensors over and over. Memory that was given back comes as pages that the system
/// clears one fault at a time, which costs a fifth of a step. Called once, before any thread is started. Only the C library
/// of GNU has these settings; elsewhere this does nothing.
#[allow(unsafe_code, reason = "the C library's settings have no safe form")]
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the program has one thread, and the values are valid ones.
    unsafe {
        // No allocation is a mapping of its own, and the top of the heap is never trimmed.
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// Bytes that this process could have without anything being swapped out: what Linux has available, or what the process's
/// control groups (version 2) leave it, if that is less. `None` on systems that do not tell.
pub fn available_bytes() -> Option<u64> {
    available_below(Path::new("/"))
}

/// The same, with `/proc` and `/sys` below another folder.
fn available_below(root: &Path) -> Option<u64> {
    let machine = memory(&Roots::below(root))?.available;
    Some(left_by_groups(root).map_or(machine, |left| left.min(machine)))
}

/// The least that any of the process's control groups leaves: its limit less what it uses, of which files that nobody has
/// touched lately do not count, because the kernel drops them first.
fn left_by_groups(root: &Path) -> Option<u64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounted = root.join("sys/fs/cgroup");
    let own = mounted.join(path.trim_end());
    own.ancestors().take_while(|folder| folder.starts_with(&mounted)).filter_map(left_by_group).min()
}

fn left_by_group(folder: &Path) -> Option<u64> {
    let number = |file: &str| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    // A group without a limit says "max".
    let limit = number("memory.max")?;
    let used = number("memory.current").unwrap_or(0);
    let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let idle = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok());
    Some(limit.saturating_sub(used.saturating_sub(idle.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn available(files: &[(&str, &str)]) -> Option<u64> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        available_below(folder.path())
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    5000 kB\n");
    const GROUP: (&str, &str) = ("proc/self/cgroup", "0::/a/b\n");

    #[test]
    fn the_machine_or_its_tightest_group_says_what_is_available() {
        assert_eq!(available(&[]), None);
        assert_eq!(available(&[MACHINE]), Some(5_120_000));
        let unlimited = ("sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(available(&[MACHINE, GROUP, unlimited]), Some(5_120_000));
        // 4 MB less the 1.5 MB in use, of which 0.5 MB are files that can go.
        let group = [
            ("sys/fs/cgroup/a/memory.max", "4000000\n"),
            ("sys/fs/cgroup/a/memory.current", "1500000\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 1000000\ninactive_file 500000\n"),
        ];
        let above = [&[MACHINE, GROUP, unlimited], &group[..]].concat();
        assert_eq!(available(&above), Some(3_000_000));
        let tighter = [&above[..], &[("sys/fs/cgroup/a/b/memory.max", "2000000\n")]].concat();
        assert_eq!(available(&tighter), Some(2_000_000));
        // A limit above what the machine has does not help.
        assert_eq!(available(&[MACHINE, GROUP, ("sys/fs/cgroup/memory.max", "99999999999\n")]), Some(5_120_000));
    }
}
