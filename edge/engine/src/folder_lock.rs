//! A folder that only one process at a time writes to.

use std::fs::File;
use std::path::Path;

/// The lock of a folder, held until it is dropped. The folder itself is locked, so that no file is left behind and a killed
/// process leaves no lock.
#[derive(Debug)]
#[must_use = "the folder is locked until this is dropped"]
pub struct FolderLock {
    _file: Option<File>,
}

/// A folder that cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum FolderLockError {
    /// Another process, or another lock of this one, holds it.
    #[error("in use by another process{}", process.map_or_else(String::new, |process| format!(" ({process})")))]
    Busy {
        /// Its id, if the system lists it.
        process: Option<u32>,
    },
    /// The folder cannot be opened, or its file system has no locks.
    #[error(transparent)]
    Unavailable(#[from] std::io::Error),
}

impl FolderLock {
    /// Locks an existing folder. On systems where folders cannot be locked this always succeeds.
    ///
    /// # Errors
    ///
    /// If it is in use, or cannot be locked.
    #[cfg(unix)]
    pub fn new(folder: &Path) -> Result<Self, FolderLockError> {
        let file = File::open(folder)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(std::fs::TryLockError::WouldBlock) => Err(FolderLockError::Busy { process: holder(&file) }),
            Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Succeeds: folders of this system cannot be locked.
    ///
    /// # Errors
    ///
    /// None.
    #[cfg(not(unix))]
    pub fn new(_: &Path) -> Result<Self, FolderLockError> {
        Ok(Self { _file: None })
    }
}

/// The process that holds the lock, as `/proc/locks` lists it: `1: FLOCK  ADVISORY  WRITE 4321 00:2d:1234 0 EOF`.
#[cfg(unix)]
fn holder(folder: &File) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;

    let inode = format!(":{}", folder.metadata().ok()?.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, process, file, ..] = words.as_slice() else { return None };
        file.ends_with(&inode).then(|| process.parse().ok())?
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::new(folder.path()).unwrap();
        let error = FolderLock::new(folder.path()).unwrap_err();
        let expected = format!("in use by another process ({})", std::process::id());
        assert!(!cfg!(target_os = "linux") || error.to_string() == expected, "{error}");
        drop(lock);
        let _lock = FolderLock::new(folder.path()).unwrap();
        let absent = FolderLock::new(&folder.path().join("absent")).unwrap_err();
        assert!(matches!(absent, FolderLockError::Unavailable(_)), "{absent}");
    }
}
