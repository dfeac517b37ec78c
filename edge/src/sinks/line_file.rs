//! Where lines go: standard output, whatever it is. Each line is there as a whole or not at all, also on a disk that becomes full
//! in the middle of one.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::time::Duration;

/// How long to wait for room in a pipe that does not block.
const PAUSE: Duration = Duration::from_millis(5);

/// Lines to a file, a pipe or a terminal.
#[derive(Debug)]
pub struct LineFile {
    file: File,
    // The rest of a line that was begun and could not be taken back, as in a pipe.
    rest: Vec<u8>,
    has_name: bool,
}

impl LineFile {
    /// Standard output, without the buffer of [`std::io::Stdout`], which would keep half a line after an error.
    ///
    /// # Errors
    ///
    /// If the descriptor cannot be duplicated.
    pub fn stdout() -> io::Result<Self> {
        #[cfg(unix)]
        let owned = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?;
        #[cfg(windows)]
        let owned = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned()?;
        Ok(LineFile::new(owned.into()))
    }

    /// An open file.
    pub fn new(file: File) -> Self {
        let has_name = !is_removed(&file);
        LineFile { file, rest: Vec::new(), has_name }
    }

    /// Writes a line with its line feed.
    ///
    /// # Errors
    ///
    /// If it cannot be written; then it is absent, unless part of it is already in a pipe: the next call completes that first. Also
    /// if the file has been removed, so that nobody will read the line.
    pub fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.has_name && is_removed(&self.file) {
            return Err(io::Error::new(ErrorKind::NotFound, "the file of standard output was removed"));
        }
        let (written, result) = write_most(&mut self.file, &self.rest);
        self.rest.drain(..written);
        result?;
        let (written, result) = write_most(&mut self.file, line);
        if result.is_err() && written > 0 && !self.take_back(written) {
            self.rest.extend_from_slice(&line[written..]);
        }
        result
    }

    /// Removes the last bytes of the file; returns whether it could. Not if another process has appended in the meantime.
    fn take_back(&mut self, written: usize) -> bool {
        use std::io::{Seek, SeekFrom};

        let cut = |file: &mut File| -> io::Result<bool> {
            let metadata = file.metadata()?;
            let end = file.stream_position()?;
            let Some(start) = end.checked_sub(written as u64) else { return Ok(false) };
            if !metadata.is_file() || metadata.len() != end {
                return Ok(false);
            }
            file.set_len(start)?;
            file.seek(SeekFrom::Start(start))?;
            Ok(true)
        };
        cut(&mut self.file).unwrap_or(false)
    }
}

/// Writes until all is written or an error other than an interruption occurs; returns how many bytes were written.
fn write_most(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // As a terminal or pipe that another process has set to not block.
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// Whether the file has no name any more.
#[cfg(unix)]
fn is_removed(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;

    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

#[cfg(not(unix))]
fn is_removed(_: &File) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_of_a_line_is_taken_back_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let mut lines = LineFile::new(File::create(&path).unwrap());
        lines.write_line(b"one\n").unwrap();
        // As after a write that ended early.
        lines.file.write_all(b"tw").unwrap();
        assert!(lines.take_back(2));
        lines.write_line(b"three\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\nthree\n");
        // Appending, with another process that has appended in between.
        let mut lines = LineFile::new(File::options().append(true).open(&path).unwrap());
        lines.file.write_all(b"fo").unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"other\n").unwrap();
        assert!(!lines.take_back(2));
    }

    #[test]
    fn a_line_begun_in_a_pipe_is_completed_first() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut lines = LineFile::new(File::from(std::os::fd::OwnedFd::from(writer)));
        lines.rest = b"e\n".to_vec();
        lines.write_line(b"two\n").unwrap();
        drop(lines);
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        assert_eq!(text, "e\ntwo\n");
    }

    #[test]
    fn closed_pipes_full_disks_and_removed_files_are_errors() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut lines = LineFile::new(File::from(std::os::fd::OwnedFd::from(writer)));
        assert_eq!(lines.write_line(b"a\n").unwrap_err().kind(), ErrorKind::BrokenPipe);
        if let Ok(full) = File::options().write(true).open("/dev/full") {
            assert_eq!(LineFile::new(full).write_line(b"a\n").unwrap_err().kind(), ErrorKind::StorageFull);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let mut lines = LineFile::new(File::create(&path).unwrap());
        lines.write_line(b"a\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(lines.write_line(b"b\n").unwrap_err().kind(), ErrorKind::NotFound);
        // A temporary file never had a name.
        LineFile::new(tempfile::tempfile().unwrap()).write_line(b"a\n").unwrap();
    }
}
