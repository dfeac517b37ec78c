//! A folder that keeps the newest files: the oldest are removed before a new one would exceed a limit.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::{Place, list, remove, stem_numbers};

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
    place: Arc<Place>,
    bounds: FolderBounds,
    // Oldest first.
    files: VecDeque<(String, u64)>,
    bytes: u64,
}

impl BoundedFolder {
    /// Opens a folder. Files of an earlier process count; files with other names do not, and are never removed.
    ///
    /// # Errors
    ///
    /// If the folder cannot be listed, or a file beyond the limits cannot be removed.
    pub fn open(place: Arc<Place>, bounds: FolderBounds) -> io::Result<Self> {
        let mut found: Vec<_> = list(place.path())?
            .into_iter()
            .filter_map(|(name, size)| Some((stem_numbers(name.split_once('.')?.0)?, name, size)))
            .collect();
        found.sort_unstable();
        let bytes = found.iter().map(|(_, _, size)| size).sum();
        let files = found.into_iter().map(|(_, name, size)| (name, size)).collect();
        let mut folder = BoundedFolder { place, bounds, files, bytes };
        // The limits may have been higher before.
        folder.make_room(0, 0)?;
        Ok(folder)
    }

    /// Writes a file, whose name is a [`super::file_stem`] with an extension; other names would not count at the next start. The
    /// limits hold at every moment. A folder that was removed is created again.
    ///
    /// # Errors
    ///
    /// If it cannot be written, as on a full disk. That costs only this file; the next call tries again.
    pub fn store(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let size = bytes.len() as u64;
        if size > self.bounds.bytes_max || self.bounds.files_max == 0 {
            let problem = format!("{name}: expected at most {} bytes, found {size}", self.bounds.bytes_max);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
        }
        // A file of the same name is replaced.
        if let Some(at) = self.files.iter().rposition(|(other, _)| other == name) {
            self.drop_file(at)?;
        }
        self.make_room(1, size)?;
        if self.place.write(name, bytes)? {
            self.files.clear();
            self.bytes = 0;
        }
        self.files.push_back((name.to_owned(), size));
        self.bytes += size;
        Ok(())
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
            remove(&self.place.path().join(name))?;
            self.bytes -= size;
            self.files.remove(at);
        }
        Ok(())
    }
}
