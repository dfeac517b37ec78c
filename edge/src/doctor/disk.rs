//! Free space in each folder that the configuration names.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Finding;
use super::health::bytes_text;
use crate::sinks::SinkSpec;

/// A folder that is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    pub subject: String,
    pub path: PathBuf,
    /// Size limit of its files; 0 if nothing is written.
    pub bytes_max: u64,
}

pub(super) fn of_outputs(outputs: &[Arc<dyn SinkSpec>]) -> Vec<Folder> {
    let folder = |output: &Arc<dyn SinkSpec>| {
        let (path, bytes_max) = output.folder()?;
        Some(Folder { subject: format!("disk, {}", output.name()), path: path.to_owned(), bytes_max })
    };
    outputs.iter().filter_map(folder).collect()
}

/// Free space of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Space {
    /// Size of the whole file system; 0 for one like `/proc`.
    total: u64,
    free: u64,
    /// Free inodes; `None` if unlimited.
    files: Option<u64>,
    writable: bool,
    /// Which disk.
    device: u64,
}

pub(super) fn examine(folders: &[Folder]) -> Vec<Finding> {
    if folders.is_empty() {
        let here = Folder { subject: "disk".to_owned(), path: PathBuf::from("."), bytes_max: 0 };
        return vec![match space(&here.path) {
            // Nothing is written here.
            Ok(space) => judge(&here, &Space { writable: true, ..space }, 0),
            Err(error) => unreadable(&here, &error),
        }];
    }
    // Folders on one disk share its space.
    let mut needed: BTreeMap<u64, u64> = BTreeMap::new();
    let finding = |folder: &Folder| match space(&folder.path) {
        Ok(space) => {
            let needed = needed.entry(space.device).or_default();
            *needed = needed.saturating_add(folder.bytes_max.saturating_sub(used(&folder.path)));
            judge(folder, &space, *needed)
        }
        Err(error) => unreadable(folder, &error),
    };
    folders.iter().map(finding).collect()
}

fn unreadable(folder: &Folder, error: &io::Error) -> Finding {
    if error.kind() == io::ErrorKind::Unsupported {
        return Finding::unknown(&folder.subject, format!("{}: unknown: {error}", folder.path.display()));
    }
    let advice = "fix the path; relative paths start at the working directory of the program";
    Finding::problem(&folder.subject, format!("{}: {error}", folder.path.display()), advice)
}

/// `needed` is the space that this folder and the ones before it on the same disk may still use.
fn judge(folder: &Folder, space: &Space, needed: u64) -> Finding {
    const TOO_LITTLE: u64 = 16 << 20;
    const TOO_FEW: u64 = 100;
    if space.total == 0 {
        let found = format!("{}: the file system cannot store files", folder.path.display());
        return Finding::problem(&folder.subject, found, "configure another folder");
    }
    let found = format!("{}: {} free", folder.path.display(), bytes_text(space.free));
    let make_room = "free some space, or configure a folder on another disk";
    if !space.writable {
        let advice = "grant the user write permission, or mount the disk for writing";
        Finding::problem(&folder.subject, format!("{found}, but not writable"), advice)
    } else if space.free < TOO_LITTLE {
        Finding::problem(&folder.subject, found, make_room)
    } else if let Some(files) = space.files
        && files < TOO_FEW
    {
        Finding::problem(&folder.subject, format!("{found}, but only {files} more files"), make_room)
    } else if space.free < needed {
        let found = format!("{found}, up to {} may be needed", bytes_text(needed));
        Finding::warning(&folder.subject, found, "lower bytes_max, or free some space")
    } else {
        Finding::ok(&folder.subject, found)
    }
}

/// Bytes of the existing files.
fn used(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: io::Result<std::fs::DirEntry>| {
        let metadata = entry.ok()?.metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    };
    entries.filter_map(size).sum()
}

/// Of the disk that a folder is or will be on, as told by its nearest existing parent.
#[cfg(target_os = "linux")]
fn space(folder: &Path) -> io::Result<Space> {
    use std::os::linux::fs::MetadataExt;

    use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
    let existing = folder.ancestors().find(|path| !path.as_os_str().is_empty() && path.exists());
    let existing = existing.unwrap_or(Path::new("."));
    let metadata = std::fs::metadata(existing)?;
    if !metadata.is_dir() {
        let problem = format!("expected a folder, {} is a file", existing.display());
        return Err(io::Error::new(io::ErrorKind::NotADirectory, problem));
    }
    let disk = statvfs(existing)?;
    let read_only = disk.f_flag.contains(StatVfsMountFlags::RDONLY);
    let writable = !read_only && access(existing, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    let files = (disk.f_files > 0).then_some(disk.f_favail);
    let [total, free] = [disk.f_blocks, disk.f_bavail].map(|blocks| blocks.saturating_mul(disk.f_frsize));
    Ok(Space { total, free, files, writable, device: metadata.st_dev() })
}

#[cfg(not(target_os = "linux"))]
fn space(_folder: &Path) -> io::Result<Space> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only supported on Linux"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn folder(path: &Path, bytes_max: u64) -> Folder {
        Folder { subject: "disk, masks".to_owned(), path: path.to_owned(), bytes_max }
    }

    #[test]
    fn space_is_compared_with_what_may_be_needed() {
        let enough = Space { total: 1 << 40, free: 1 << 30, files: None, writable: true, device: 1 };
        let masks = folder(Path::new("out"), 0);
        for (space, needed, expected) in [
            (enough, 1 << 30, (Verdict::Ok, "out: 1.0 GiB free")),
            (enough, 3 << 30, (Verdict::Warning, "out: 1.0 GiB free, up to 3.0 GiB may be needed")),
            (Space { free: 1 << 20, ..enough }, 0, (Verdict::Problem, "out: 1.0 MiB free")),
            (Space { files: Some(3), ..enough }, 0, (Verdict::Problem, "out: 1.0 GiB free, but only 3 more files")),
            (Space { total: 0, free: 0, ..enough }, 0, (Verdict::Problem, "out: the file system cannot store files")),
            (Space { writable: false, ..enough }, 0, (Verdict::Problem, "out: 1.0 GiB free, but not writable")),
        ] {
            let finding = judge(&masks, &space, needed);
            assert_eq!((finding.verdict, finding.found.as_str()), expected);
            assert_eq!(finding.advice.as_deref() == Some("configure another folder"), space.total == 0);
        }
    }

    #[test]
    fn a_future_folder_is_on_the_disk_of_its_parent() {
        let place = tempfile::tempdir().unwrap();
        let later = place.path().join("out/masks");
        assert_eq!(space(&later).unwrap().device, space(place.path()).unwrap().device);
        assert!(space(Path::new("not/there")).unwrap().writable);
        std::fs::write(place.path().join("file"), [0; 10]).unwrap();
        assert_eq!(used(place.path()), 10);
        let [finding] = examine(&[folder(&place.path().join("file/masks"), 1)]).try_into().unwrap();
        assert!(finding.verdict == Verdict::Problem && finding.found.contains("expected a folder"), "{finding:?}");
    }

    #[test]
    fn folders_on_one_disk_share_its_space() {
        let place = tempfile::tempdir().unwrap();
        let free = space(place.path()).unwrap().free;
        // Each fits alone, both together do not.
        let folders = ["a", "b"].map(|name| folder(&place.path().join(name), free / 3 * 2));
        let verdicts: Vec<_> = examine(&folders).iter().map(|finding| finding.verdict).collect();
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Warning]);
    }
}
