//! Replaces a file atomically: writes a temporary file in the same directory, then renames it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Writes `bytes` to `path`, replacing an existing file; through a symbolic link, the file that it leads to. On any error the old
/// file is unchanged and the temporary one is removed.
///
/// # Errors
///
/// Any error of the file system, and if the path has no file name, or leads to something else than a file: a folder, a device, a
/// pipe.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = target(path)?;
    let temporary = temporary_beside(&path)?;
    folder_of(&temporary)?;
    let result = write_through(&temporary, bytes).and_then(|()| fs::rename(&temporary, &path));
    if result.is_err() {
        // Report the first error; a temporary file that cannot be removed follows from it.
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Whether [`write`] can create `path`: to ask before long work whose result goes there. Creates the temporary file that
/// [`write`] would use, and removes it.
///
/// # Errors
///
/// If its directory does not exist, no file can be created in it, the path has no file name, or it is not a regular file.
pub fn check(path: &Path) -> io::Result<()> {
    let temporary = temporary_beside(&target(path)?)?;
    folder_of(&temporary)?;
    create(&temporary)?;
    fs::remove_file(&temporary)
}

/// Checks that the directory of a file to write exists.
fn folder_of(file: &Path) -> io::Result<()> {
    let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(not_a_folder(folder)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(io::Error::new(io::ErrorKind::NotFound, format!("folder {} does not exist", folder.display())))
        }
        Err(error) => Err(in_words(error, folder)),
    }
}

/// Creates a folder with those above it, unless it exists.
///
/// # Errors
///
/// Any error of the file system. The message names a file that is in the way, or a folder like `/proc` in which none can be created.
pub fn create_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path).map_err(|error| {
        let exists = path.ancestors().find(|above| above.is_dir());
        match exists.filter(|_| error.kind() == io::ErrorKind::NotFound) {
            Some(folder) => {
                io::Error::new(error.kind(), format!("the system creates no folders in {}", folder.display()))
            }
            None => in_words(error, path),
        }
    })
}

/// The error of a path one of whose folders is a file names that file.
fn in_words(error: io::Error, path: &Path) -> io::Error {
    use io::ErrorKind::{AlreadyExists, NotADirectory};
    let file = path.ancestors().find(|above| above.is_file());
    file.filter(|_| matches!(error.kind(), AlreadyExists | NotADirectory)).map_or(error, not_a_folder)
}

fn not_a_folder(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotADirectory, format!("{} is a file, expected a folder", path.display()))
}

/// Most symbolic links on the way to a file, as on Linux.
const LINKS_MAX: usize = 40;

/// The file that is replaced: `path`, or what it leads to if it is a symbolic link.
fn target(path: &Path) -> io::Result<PathBuf> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            let kind = if found.is_dir() { io::ErrorKind::IsADirectory } else { io::ErrorKind::InvalidInput };
            let found = kind_of(found.file_type());
            return Err(io::Error::new(kind, format!("expected a file, found {found}; give another path")));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(in_words(error, path)),
        // A link to a file that does not exist is not found.
        _ => {}
    }
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                // One that is not absolute counts from the link's folder.
                let next = fs::read_link(&path)?;
                path.pop();
                path.push(next);
            }
            _ => return Ok(path),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a file, found too many symbolic links in a row"))
}

/// What something that is not a file is, in words.
fn kind_of(found: fs::FileType) -> &'static str {
    if found.is_dir() {
        return "a folder";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if found.is_char_device() || found.is_block_device() {
            return "a device";
        }
        if found.is_fifo() {
            return "a pipe";
        }
        if found.is_socket() {
            return "a socket";
        }
    }
    "something else"
}

/// Creates a file in an existing folder. If the file system does not allow it, as in `/proc`, the error names the folder.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| match path.parent() {
        Some(folder) if error.kind() == io::ErrorKind::NotFound && !folder.as_os_str().is_empty() => {
            io::Error::new(error.kind(), format!("the system creates no files in {}", folder.display()))
        }
        _ => error,
    })
}

fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = create(path)?;
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
    #[cfg(unix)]
    fn symbolic_links_are_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("far")).unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, path(name)).unwrap();
        link("far/later.json", "first");
        link("first", "second");
        // The first time to a file that does not exist yet.
        for bytes in [&b"one"[..], b"two"] {
            check(&path("second")).unwrap();
            write(&path("second"), bytes).unwrap();
            assert_eq!(fs::read(path("far/later.json")).unwrap(), bytes);
        }
        assert!(fs::symlink_metadata(path("first")).unwrap().is_symlink());
        assert!(fs::symlink_metadata(path("second")).unwrap().is_symlink());
        assert_eq!(fs::read_dir(path("far")).unwrap().count(), 1);
        link("missing/a.json", "broken");
        assert_eq!(write(&path("broken"), b"").unwrap_err().kind(), io::ErrorKind::NotFound);
        let missing = format!("folder {} does not exist", path("nowhere").display());
        assert_eq!(write(&path("nowhere/a"), b"").unwrap_err().to_string(), missing);
        assert_eq!(check(&path("nowhere/a")).unwrap_err().to_string(), missing);
        write(&path("file"), b"").unwrap();
        let file = format!("{} is a file, expected a folder", path("file").display());
        assert_eq!(write(&path("file/a"), b"").unwrap_err().to_string(), file);
        assert_eq!(create_folder(&path("file/b/c")).unwrap_err().to_string(), file);
        assert_eq!(create_folder(&path("file")).unwrap_err().to_string(), file);
        create_folder(&path("far/b/c")).unwrap();
        #[cfg(target_os = "linux")]
        assert_eq!(
            create_folder(Path::new("/proc/a/b")).unwrap_err().to_string(),
            "the system creates no folders in /proc"
        );
        #[cfg(target_os = "linux")]
        for error in [check(Path::new("/proc/a")).unwrap_err(), write(Path::new("/proc/a"), b"").unwrap_err()] {
            assert_eq!(error.to_string(), "the system creates no files in /proc");
        }
        fs::remove_dir_all(path("far/b")).unwrap();
        link("round", "round");
        write(&path("round"), b"").unwrap_err();
        assert!(fs::symlink_metadata(path("round")).unwrap().is_symlink());
    }

    #[test]
    #[cfg(unix)]
    fn what_is_not_a_file_is_never_replaced() {
        use std::os::unix::fs::FileTypeExt as _;

        let folder = tempfile::tempdir().unwrap();
        let (socket, link) = (folder.path().join("socket"), folder.path().join("link"));
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::os::unix::fs::symlink("socket", &link).unwrap();
        for path in [&socket, &link] {
            for error in [write(path, b"bytes").unwrap_err(), check(path).unwrap_err()] {
                assert_eq!(error.to_string(), "expected a file, found a socket; give another path");
            }
        }
        assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
        // Only asked about, never written.
        let error = check(Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.to_string(), "expected a file, found a device; give another path");
        let error = write(folder.path(), b"bytes").unwrap_err();
        assert_eq!(error.to_string(), "expected a file, found a folder; give another path");
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no/a.bin");
        assert_eq!(check(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(write(&path, b"").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(check(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        check(&folder.path().join("a.bin")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
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
