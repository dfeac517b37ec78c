//! Files on the disk of a board: folders that never exceed their limits of files and bytes. Knows no frames and no images, only
//! names and bytes.

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

/// Result of storing a file. A full disk fails many times in a row; only the first failure and its end are worth logging.
#[derive(Debug)]
pub enum Stored {
    /// Written.
    Written,
    /// Written, after failures.
    Resumed,
    /// Not stored: others are kept instead.
    Skipped,
    /// Failed, after a success.
    Failed(io::Error),
    /// Failed again.
    StillFailing,
}

/// The file name of a frame, without extension: time since 1970 and frame number, so that sorting by name sorts by time, also
/// across restarts.
pub fn file_stem(since_1970: Duration, sequence: u64) -> String {
    format!("{:013}-{sequence:06}", since_1970.as_millis())
}

/// The numbers of a [`file_stem`]; files with other names are not ours and are ignored.
fn stem_numbers(stem: &str) -> Option<(u64, u64)> {
    let (time, sequence) = stem.split_once('-')?;
    let number = |digits: &str, len_min: usize| {
        let plain = digits.len() >= len_min && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    };
    Some((number(time, 13)?, number(sequence, 6)?))
}

/// Writes files, and remembers whether the last one failed.
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

/// Removes a file, unless it is already gone.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Names (in UTF-8) and sizes of the files in a folder. Creates the folder if necessary, and removes temporary files of a killed
/// process.
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
