//! A folder that keeps the newest files: the oldest are removed before a new one would exceed a limit.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::{Stored, Writer, open_folder, remove, stem_numbers};

/// Limits of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderBounds {
    /// Number of files.
    pub files_max: usize,
    /// Bytes of all files.
    pub bytes_max: u64,
}

/// The folder.
#[derive(Debug)]
pub struct BoundedFolder {
    folder: PathBuf,
    bounds: FolderBounds,
    // Oldest first.
    files: VecDeque<(String, u64)>,
    bytes: u64,
    writer: Writer,
}

impl BoundedFolder {
    /// Opens a folder. Files of an earlier process count; files with other names do not, and are never removed. No other process
    /// may write there at the same time.
    ///
    /// # Errors
    ///
    /// If the folder cannot be created, listed or cleared of temporary files.
    pub fn open(folder: &Path, bounds: FolderBounds) -> io::Result<Self> {
        let mut found: Vec<_> = open_folder(folder)?
            .into_iter()
            .filter_map(|(name, size)| Some((stem_numbers(name.split_once('.')?.0)?, name, size)))
            .collect();
        found.sort_unstable();
        let bytes = found.iter().map(|(_, _, size)| size).sum();
        let files = found.into_iter().map(|(_, name, size)| (name, size)).collect();
        let mut folder = BoundedFolder { folder: folder.to_owned(), bounds, files, bytes, writer: Writer::default() };
        // The limits may have been higher before.
        folder.make_room(0, 0)?;
        Ok(folder)
    }

    /// Writes a file, whose name is a [`super::file_stem`] with an extension; other names would not count at the next start. The
    /// limits hold at every moment. A failure costs only this file.
    pub fn store(&mut self, name: &str, bytes: &[u8]) -> Stored {
        let size = bytes.len() as u64;
        if size > self.bounds.bytes_max || self.bounds.files_max == 0 {
            let problem = format!("{name}: expected at most {} bytes, found {size}", self.bounds.bytes_max);
            return self.writer.fail(io::Error::new(io::ErrorKind::FileTooLarge, problem));
        }
        // A file of the same name is replaced.
        if let Some(at) = self.files.iter().rposition(|(other, _)| other == name)
            && let Err(error) = self.drop_file(at)
        {
            return self.writer.fail(error);
        }
        if let Err(error) = self.make_room(1, size) {
            return self.writer.fail(error);
        }
        let stored = self.writer.write(&self.folder.join(name), bytes);
        if matches!(stored, Stored::Written | Stored::Resumed) {
            self.files.push_back((name.to_owned(), size));
            self.bytes += size;
        }
        stored
    }

    /// Number of files.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn make_room(&mut self, files: usize, bytes: u64) -> io::Result<()> {
        while !self.files.is_empty()
            && (self.files.len() + files > self.bounds.files_max
                || self.bytes.saturating_add(bytes) > self.bounds.bytes_max)
        {
            self.drop_file(0)?;
        }
        Ok(())
    }

    fn drop_file(&mut self, at: usize) -> io::Result<()> {
        if let Some((name, size)) = self.files.get(at) {
            remove(&self.folder.join(name))?;
            self.bytes -= size;
            self.files.remove(at);
        }
        Ok(())
    }
}
