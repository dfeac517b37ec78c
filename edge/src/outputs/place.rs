//! The folder of an output: created, locked against other processes, and created again if somebody removes it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::telemetry::log::{Log, LogLevel};
use unet_engine::atomic_file;
use unet_engine::folder_lock::{FolderLock, FolderLockError};

/// The folders of this process. Outputs of one folder share its lock.
#[derive(Debug)]
pub struct Places {
    open: Mutex<Vec<Weak<Place>>>,
    log: Log,
}

impl Places {
    /// None yet. `log` is told when a folder is created again.
    pub fn new(log: Log) -> Self {
        Places { open: Mutex::new(Vec::new()), log }
    }

    /// Creates the folder if necessary, locks it, and removes temporary files of a killed process.
    ///
    /// # Errors
    ///
    /// If that fails, or if another process uses the folder.
    pub fn open(&self, folder: &Path) -> io::Result<Arc<Place>> {
        atomic_file::create_folder(folder)?;
        let path = folder.canonicalize()?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|place| place.strong_count() > 0);
        if let Some(place) = open.iter().filter_map(Weak::upgrade).find(|place| place.path == path) {
            return Ok(place);
        }
        let lock = lock(&path, self.log)?;
        atomic_file::remove_leftovers(&path)?;
        let place = Arc::new(Place { path, lock: Mutex::new(lock), log: self.log });
        open.push(Arc::downgrade(&place));
        Ok(place)
    }
}

/// A folder that no other process of this program writes to.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    // Held, never read.
    lock: Mutex<Option<FolderLock>>,
    log: Log,
}

impl Place {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the folder again if it is gone; returns whether it was.
    ///
    /// # Errors
    ///
    /// If it cannot be created, or if another process uses it by now.
    pub fn restore(&self) -> io::Result<bool> {
        if self.path.is_dir() {
            return Ok(false);
        }
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        atomic_file::create_folder(&self.path)?;
        *held = lock(&self.path, self.log)?;
        self.log.say(LogLevel::Warning, format_args!("{}: was removed, created again", self.path.display()));
        Ok(true)
    }

    /// Writes a file of the folder atomically, and the folder first if it is gone; returns whether it was.
    ///
    /// # Errors
    ///
    /// If it cannot be written. Nothing is left of it then.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        let path = self.path.join(name);
        match atomic_file::write(&path, bytes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.restore()? => {
                atomic_file::write(&path, bytes).map(|()| true)
            }
            other => other.map(|()| false),
        }
    }
}

/// Locks a folder; `None` on file systems without locks.
fn lock(folder: &Path, log: Log) -> io::Result<Option<FolderLock>> {
    match FolderLock::new(folder) {
        Ok(lock) => Ok(Some(lock)),
        Err(FolderLockError::Busy { process }) => {
            let holder = process.map_or_else(String::new, |process| format!(" (process {process})"));
            let problem = format!("in use by another unet-edge{holder}; stop it, or configure another folder");
            Err(io::Error::new(io::ErrorKind::ResourceBusy, problem))
        }
        Err(FolderLockError::Unavailable(error)) => {
            let path = folder.display();
            log.say(LogLevel::Warning, format_args!("{path}: not protected against a second unet-edge: {error}"));
            Ok(None)
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_is_locked_once_and_shared_in_a_process() {
        let folder = tempfile::tempdir().unwrap();
        let masks = folder.path().join("masks");
        let places = Places::new(Log::none());
        let place = places.open(&masks).unwrap();
        assert!(Arc::ptr_eq(&place, &places.open(&folder.path().join("masks/../masks")).unwrap()));
        // Another list stands in for another process: its lock is on another open file.
        let others = Places::new(Log::none());
        let error = others.open(&masks).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        let own = format!("in use by another unet-edge (process {})", std::process::id());
        assert!(!cfg!(target_os = "linux") || error.to_string().starts_with(&own), "{error}");
        drop(place);
        others.open(&masks).unwrap();
    }

    #[test]
    fn a_removed_folder_is_created_and_locked_again() {
        let folder = tempfile::tempdir().unwrap();
        let masks = folder.path().join("masks");
        let place = Places::new(Log::none()).open(&masks).unwrap();
        assert!(!place.restore().unwrap());
        fs::remove_dir(&masks).unwrap();
        assert!(place.write("a.png", b"a").unwrap());
        assert!(!place.write("b.png", b"b").unwrap());
        assert!(masks.join("a.png").is_file());
        assert_eq!(Places::new(Log::none()).open(&masks).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        fs::remove_dir_all(&masks).unwrap();
        fs::write(&masks, b"a file in its place").unwrap();
        assert!(place.write("c.png", b"c").is_err());
    }
}
