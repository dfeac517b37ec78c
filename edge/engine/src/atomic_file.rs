//! Replaces a file atomically: writes a temporary file in the same directory, then renames it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Writes `bytes` to `path`, replacing an existing file. On any error the old file is unchanged and the temporary one is removed.
///
/// # Errors
///
/// Any error of the file system, and `InvalidInput` if the path has no file name.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let result = write_through(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        // Report the first error; a temporary file that cannot be removed follows from it.
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Whether [`write`] can create `path`, as far as its directory shows: to ask before long work whose result goes there.
///
/// # Errors
///
/// If its directory does not exist, or the path is a directory or has no file name.
pub fn check(path: &Path) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    if path.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    match temporary.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => match fs::metadata(folder)?.is_dir() {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        },
        _ => Ok(()),
    }
}

fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    // Renaming before the bytes are on disk could leave an empty file after a power failure.
    file.sync_all()
}

/// A file name next to `path` that is unique to this call.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("expected the path of a file, found {}", path.display()))
    })?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.{number}.tmp", std::process::id()));
    Ok(path.with_file_name(hidden))
}

/// Removes temporary files that a killed process left in a directory; returns their number. No other process may write there.
///
/// # Errors
///
/// If the directory cannot be listed, or one of the files cannot be removed.
pub fn remove_leftovers(folder: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_temporary) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether [`temporary_beside`] makes such names: `.NAME.PROCESS.NUMBER.tmp`.
fn is_temporary(name: &str) -> bool {
    let is_number = |part: Option<&str>| {
        part.is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let Some(rest) = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")) else { return false };
    let mut parts = rest.rsplitn(3, '.');
    is_number(parts.next()) && is_number(parts.next()) && parts.next().is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_file_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_rename_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("inside"), b"x").unwrap();
        let error = write(&taken, b"bytes").unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::DirectoryNotEmpty), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no/a.bin");
        assert_eq!(check(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(write(&path, b"").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(check(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        check(&folder.path().join("a.bin")).unwrap();
    }

    #[test]
    fn leftovers_are_told_from_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let left = temporary_beside(&path("a.png")).unwrap();
        for file in [&left, &path("a.png"), &path(".a.png.tmp"), &path(".hidden"), &path("a.1.2.tmp")] {
            fs::write(file, b"half").unwrap();
        }
        assert_eq!(remove_leftovers(folder.path()).unwrap(), 1);
        assert!(!left.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
        assert_eq!(remove_leftovers(&path("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
