//! What stays on the disk of a board: folders that never hold more files and bytes than they may. Knows no frames and no
//! pictures, only names and bytes. Network outputs find their place beside the folders.

mod disk;
mod hard_frames;
mod margin;

use std::io;
use std::path::Path;
use std::time::Duration;

use unet_engine::atomic_file;

pub use disk::{BoundedFolder, FolderBounds};
pub use hard_frames::{HardFrames, HardFramesBounds};
pub use margin::{MarginError, mean_margin};

/// What became of a file. A disk that is full fails many times in a row; only the first and the end of it are worth a word.
#[derive(Debug)]
pub enum Stored {
    /// It is there.
    Written,
    /// It is there, after others were not.
    Resumed,
    /// It is not wanted: others are kept instead.
    Skipped,
    /// It could not be written; the one before could.
    Failed(io::Error),
    /// It could not be written, as the one before.
    StillFailing,
}

/// The name, without extension, of what is written for a frame: the time since 1970 and the source's number, so that names in
/// order are in order of time, over restarts too.
pub fn file_stem(since_1970: Duration, sequence: u64) -> String {
    format!("{:013}-{sequence:06}", since_1970.as_millis())
}

/// The numbers of a [`file_stem`]; files of other names are not ours, and left alone.
fn stem_numbers(stem: &str) -> Option<(u64, u64)> {
    let (time, sequence) = stem.split_once('-')?;
    let number = |digits: &str, least: usize| {
        let plain = digits.len() >= least && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    };
    Some((number(time, 13)?, number(sequence, 6)?))
}

/// Writes files, and remembers whether the last one arrived.
#[derive(Debug, Default)]
struct Writer {
    failing: bool,
}

impl Writer {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> Stored {
        match atomic_file::write(path, bytes) {
            Ok(()) if std::mem::take(&mut self.failing) => Stored::Resumed,
            Ok(()) => Stored::Written,
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: io::Error) -> Stored {
        if std::mem::replace(&mut self.failing, true) { Stored::StillFailing } else { Stored::Failed(error) }
    }
}

/// Removes a file. One that somebody else has removed is gone too.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Files of a folder with names in UTF-8, and their sizes. Makes the folder where it is not there, and clears it of what a
/// killed process left half written.
fn open_folder(folder: &Path) -> io::Result<Vec<(String, u64)>> {
    std::fs::create_dir_all(folder)?;
    atomic_file::remove_leftovers(folder)?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
            files.push((name, metadata.len()));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
