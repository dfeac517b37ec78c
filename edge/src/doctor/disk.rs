//! Room for what is written, in each folder that the configuration names.

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
    /// What its files may have together; nothing where it only is of interest.
    pub bytes_max: u64,
}

pub(super) fn of_outputs(outputs: &[Arc<dyn SinkSpec>]) -> Vec<Folder> {
    let folder = |output: &Arc<dyn SinkSpec>| {
        let (path, bytes_max) = output.folder()?;
        Some(Folder { subject: format!("disk, {}", output.name()), path: path.to_owned(), bytes_max })
    };
    outputs.iter().filter_map(folder).collect()
}

/// What a disk has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Space {
    free: u64,
    /// How many files there may still be; `None` where that is not bounded.
    files: Option<u64>,
    writable: bool,
    /// Which disk.
    device: u64,
}

pub(super) fn examine(folders: &[Folder]) -> Vec<Finding> {
    if folders.is_empty() {
        let here = Folder { subject: "disk".to_owned(), path: PathBuf::from("."), bytes_max: 0 };
        return vec![match space(&here.path) {
            // Nothing is to be written here.
            Ok(space) => judge(&here, &Space { writable: true, ..space }, 0),
            Err(error) => unreadable(&here, &error),
        }];
    }
    // Folders of one disk take from the same room.
    let mut wanted: BTreeMap<u64, u64> = BTreeMap::new();
    let finding = |folder: &Folder| match space(&folder.path) {
        Ok(space) => {
            let wanted = wanted.entry(space.device).or_default();
            *wanted = wanted.saturating_add(folder.bytes_max.saturating_sub(used(&folder.path)));
            judge(folder, &space, *wanted)
        }
        Err(error) => unreadable(folder, &error),
    };
    folders.iter().map(finding).collect()
}

fn unreadable(folder: &Folder, error: &io::Error) -> Finding {
    if error.kind() == io::ErrorKind::Unsupported {
        return Finding::unknown(&folder.subject, format!("{}: unknown here: {error}", folder.path.display()));
    }
    let advice = "put its path right; a relative one begins where the program is started";
    Finding::problem(&folder.subject, format!("{}: {error}", folder.path.display()), advice)
}

/// `wanted` is what this folder and those before it on the same disk may still take.
fn judge(folder: &Folder, space: &Space, wanted: u64) -> Finding {
    const TOO_LITTLE: u64 = 16 << 20;
    const TOO_FEW: u64 = 100;
    let found = format!("{}: {} free", folder.path.display(), bytes_text(space.free));
    let make_room = "make room: remove what is not needed, or name a folder on another disk";
    if !space.writable {
        let advice = "give the user the right to write there, or mount the disk for writing";
        Finding::problem(&folder.subject, format!("{found}, but not to be written to"), advice)
    } else if space.free < TOO_LITTLE {
        Finding::problem(&folder.subject, found, make_room)
    } else if let Some(files) = space.files
        && files < TOO_FEW
    {
        Finding::problem(&folder.subject, format!("{found}, but only {files} more files"), make_room)
    } else if space.free < wanted {
        let found = format!("{found}, {} may be asked for", bytes_text(wanted));
        Finding::warning(&folder.subject, found, "lower bytes_max, or make room")
    } else {
        Finding::ok(&folder.subject, found)
    }
}

/// Bytes of the files that are there already.
fn used(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: io::Result<std::fs::DirEntry>| {
        let metadata = entry.ok()?.metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    };
    entries.filter_map(size).sum()
}

/// Of the disk that a folder is or will be on: its nearest parent that is there says it.
#[cfg(target_os = "linux")]
fn space(folder: &Path) -> io::Result<Space> {
    use std::os::linux::fs::MetadataExt;

    use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
    let there = folder.ancestors().find(|path| !path.as_os_str().is_empty() && path.exists());
    let there = there.unwrap_or(Path::new("."));
    let metadata = std::fs::metadata(there)?;
    if !metadata.is_dir() {
        let problem = format!("expected a folder, {} is none", there.display());
        return Err(io::Error::new(io::ErrorKind::NotADirectory, problem));
    }
    let disk = statvfs(there)?;
    let read_only = disk.f_flag.contains(StatVfsMountFlags::RDONLY);
    let writable = !read_only && access(there, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    let files = (disk.f_files > 0).then_some(disk.f_favail);
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    Ok(Space { free, files, writable, device: metadata.st_dev() })
}

#[cfg(not(target_os = "linux"))]
fn space(_folder: &Path) -> io::Result<Space> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "disks are asked on Linux alone"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn folder(path: &Path, bytes_max: u64) -> Folder {
        Folder { subject: "disk, masks".to_owned(), path: path.to_owned(), bytes_max }
    }

    #[test]
    fn room_is_judged_by_what_may_be_asked_for() {
        let enough = Space { free: 1 << 30, files: None, writable: true, device: 1 };
        let masks = folder(Path::new("out"), 0);
        for (space, wanted, expected) in [
            (enough, 1 << 30, (Verdict::Ok, "out: 1.0 GiB free")),
            (enough, 3 << 30, (Verdict::Warning, "out: 1.0 GiB free, 3.0 GiB may be asked for")),
            (Space { free: 1 << 20, ..enough }, 0, (Verdict::Problem, "out: 1.0 MiB free")),
            (Space { files: Some(3), ..enough }, 0, (Verdict::Problem, "out: 1.0 GiB free, but only 3 more files")),
            (Space { writable: false, ..enough }, 0, (Verdict::Problem, "out: 1.0 GiB free, but not to be written to")),
        ] {
            let finding = judge(&masks, &space, wanted);
            assert_eq!((finding.verdict, finding.found.as_str()), expected);
        }
    }

    #[test]
    fn folders_that_are_not_there_yet_are_on_their_parents_disk() {
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
    fn folders_of_one_disk_share_its_room() {
        let place = tempfile::tempdir().unwrap();
        let free = space(place.path()).unwrap().free;
        // Each alone has room, both together have not.
        let folders = ["a", "b"].map(|name| folder(&place.path().join(name), free / 3 * 2));
        let verdicts: Vec<_> = examine(&folders).iter().map(|finding| finding.verdict).collect();
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Warning]);
    }
}
