//! Writing a recording.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::{FRAME_BYTES_MAX, FrameSlot};
use super::{EXTENSION, HEADER_LEN, Header, MAGIC, TRAILER_LEN, trailer};

/// Limits of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecorderBounds {
    /// Bytes of the file, or of all recordings in the folder.
    pub bytes_max: u64,
    /// Frames of this recording.
    pub frames_max: u64,
}

/// Result of recording a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Written.
    Written,
    /// It would exceed a limit; the recording is complete.
    Full,
}

/// Writes a recording. Each frame is passed to the operating system at once and as a whole, without allocation, so that only
/// the current frame is lost when the process is killed. Nothing is synced to disk.
#[derive(Debug)]
pub struct Recorder {
    file: File,
    path: PathBuf,
    bounds: RecorderBounds,
    // Length of the complete frames.
    bytes: u64,
    frames: u64,
    full: bool,
    // Whether the file may end with an incomplete frame.
    torn: bool,
}

impl Recorder {
    /// Creates a file, which must not exist.
    ///
    /// # Errors
    ///
    /// If it cannot be created.
    pub fn create(path: &Path, bounds: RecorderBounds) -> io::Result<Self> {
        let mut file = File::options().write(true).create_new(true).open(path)?;
        file.write_all(&MAGIC)?;
        Ok(Recorder::after_magic(file, path, bounds))
    }

    pub(super) fn after_magic(file: File, path: &Path, bounds: RecorderBounds) -> Self {
        let bytes = MAGIC.len() as u64;
        Recorder { file, path: path.to_owned(), bounds, bytes, frames: 0, full: false, torn: false }
    }

    /// Creates the file `STEM.uerec` in a folder, which is created if necessary. Earlier recordings in the folder count towards
    /// the limit of bytes, so that a program that restarts again and again does not fill the disk.
    ///
    /// # Errors
    ///
    /// If the folder cannot be created or listed, or the file cannot be created.
    pub fn create_in(folder: &Path, stem: &str, bounds: RecorderBounds) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut earlier = 0;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if Path::new(&entry.file_name()).extension().is_some_and(|extension| extension == EXTENSION) {
                earlier += entry.metadata()?.len();
            }
        }
        let bytes_max = bounds.bytes_max.saturating_sub(earlier);
        Recorder::create(&folder.join(format!("{stem}.{EXTENSION}")), RecorderBounds { bytes_max, ..bounds })
    }

    /// Appends a frame. After an error the file is cut back to its complete frames, and the next frame is tried again.
    ///
    /// # Errors
    ///
    /// If it cannot be written, as on a full disk.
    pub fn record(&mut self, frame: &FrameSlot) -> io::Result<Recorded> {
        let size = (HEADER_LEN + frame.bytes.len() + TRAILER_LEN) as u64;
        let room = self.bounds.bytes_max.saturating_sub(self.bytes);
        // The recording ends here, even if a smaller frame would still fit.
        if self.full || self.frames >= self.bounds.frames_max || size > room {
            self.full = true;
            return Ok(Recorded::Full);
        }
        if frame.bytes.len() > FRAME_BYTES_MAX {
            let problem = format!("expected at most {FRAME_BYTES_MAX} bytes per frame, found {}", frame.bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        if self.torn {
            self.repair()?;
        }
        let len = frame.bytes.len() as u32;
        let header = Header { format: frame.format, len, sequence: frame.sequence, captured: frame.captured };
        let written = self
            .file
            .write_all(&header.to_bytes())
            .and_then(|()| self.file.write_all(&frame.bytes))
            .and_then(|()| self.file.write_all(&trailer(frame.sequence)));
        match written {
            Ok(()) => {
                self.bytes += size;
                self.frames += 1;
                Ok(Recorded::Written)
            }
            Err(error) => {
                self.torn = true;
                // The first error is the one to report; if the repair fails, the next frame tries again.
                let _ = self.repair();
                Err(error)
            }
        }
    }

    /// Cuts the file back to its complete frames.
    fn repair(&mut self) -> io::Result<()> {
        use std::io::Seek;
        self.file.set_len(self.bytes)?;
        self.file.seek(io::SeekFrom::Start(self.bytes))?;
        self.torn = false;
        Ok(())
    }

    /// Whether somebody has removed the file.
    pub fn is_removed(&self) -> bool {
        #[cfg(unix)]
        return self.file.metadata().is_ok_and(|metadata| std::os::unix::fs::MetadataExt::nlink(&metadata) == 0);
        #[cfg(not(unix))]
        return false;
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Frames in the file.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
