//! Files on the disk of a board: folders that never exceed their limits of files and bytes. Knows no frames and no images, only
//! names and bytes.

mod disk;
mod hard_frames;
mod margin;
mod place;

use std::io;
use std::path::Path;
use std::time::Duration;

pub use disk::{BoundedFolder, FolderBounds};
pub use hard_frames::{HardFrames, HardFramesBounds};
pub use margin::{MarginError, mean_margin};
pub use place::{Place, Places};

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

/// Removes a file, unless it is already gone.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Names (in UTF-8) and sizes of the files in a folder.
fn list(folder: &Path) -> io::Result<Vec<(String, u64)>> {
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
