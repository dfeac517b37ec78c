//! Settings of the allocator, and the memory that is available.

use std::path::Path;

use unet_engine::machine::Roots;
use unet_engine::machine::memory::memory;

/// Keeps freed memory for the next step instead of returning it to the operating system.
///
/// Every step allocates and frees the same large tensors. Returned memory would come back as pages that are zeroed at one page
/// fault each, which takes a fifth of a step. Call it once, before any thread is started. Only glibc has these settings;
/// elsewhere this does nothing.
#[allow(unsafe_code, reason = "mallopt has no safe wrapper")]
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the program has one thread, and the values are valid.
    unsafe {
        // No allocation gets a mapping of its own, and the top of the heap is never trimmed.
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// Bytes that this process can allocate without swapping: what Linux reports as available, or what the process's control groups
/// (version 2) leave, if that is less. `None` on operating systems that do not report it.
pub fn available_bytes() -> Option<u64> {
    available_below(Path::new("/"))
}

/// [`available_bytes`] with `/proc` and `/sys` in another folder.
fn available_below(root: &Path) -> Option<u64> {
    let machine = memory(&Roots::below(root))?.available;
    Some(left_by_groups(root).map_or(machine, |left| left.min(machine)))
}

/// The minimum over the process's control groups of limit minus use. Inactive file pages do not count as used, since Linux
/// drops them first.
fn left_by_groups(root: &Path) -> Option<u64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounted = root.join("sys/fs/cgroup");
    let own = mounted.join(path.trim_end());
    own.ancestors().take_while(|folder| folder.starts_with(&mounted)).filter_map(left_by_group).min()
}

fn left_by_group(folder: &Path) -> Option<u64> {
    let number = |file: &str| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    // "max" means no limit.
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
    fn the_tightest_of_machine_and_groups_limits_what_is_available() {
        assert_eq!(available(&[]), None);
        assert_eq!(available(&[MACHINE]), Some(5_120_000));
        let unlimited = ("sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(available(&[MACHINE, GROUP, unlimited]), Some(5_120_000));
        // 4 MB minus the 1.5 MB in use, of which 0.5 MB are files that can be dropped.
        let group = [
            ("sys/fs/cgroup/a/memory.max", "4000000\n"),
            ("sys/fs/cgroup/a/memory.current", "1500000\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 1000000\ninactive_file 500000\n"),
        ];
        let above = [&[MACHINE, GROUP, unlimited], &group[..]].concat();
        assert_eq!(available(&above), Some(3_000_000));
        let tighter = [&above[..], &[("sys/fs/cgroup/a/b/memory.max", "2000000\n")]].concat();
        assert_eq!(available(&tighter), Some(2_000_000));
        // A limit above the machine's memory has no effect.
        assert_eq!(available(&[MACHINE, GROUP, ("sys/fs/cgroup/memory.max", "99999999999\n")]), Some(5_120_000));
    }
}
