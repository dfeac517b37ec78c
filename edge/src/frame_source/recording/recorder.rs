//! Writing a recording.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::{FRAME_BYTES_MAX, FrameSlot};
use super::{EXTENSION, HEADER_LEN, Header, MAGIC, TRAILER_LEN, trailer};

/// How much may be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecorderBounds {
    /// Bytes of the file, or of all recordings of the folder together.
    pub bytes_max: u64,
    /// Frames of this recording.
    pub frames_max: u64,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is in the file.
    Written,
    /// It would pass a bound; the recording is at its end.
    Full,
}

/// A recording that is being written. Each frame goes to the system at once and whole, without allocation, so that all but
/// the frame of that moment outlive a kill; nothing is forced to the disk.
#[derive(Debug)]
pub struct Recorder {
    file: File,
    path: PathBuf,
    bounds: RecorderBounds,
    // Whole frames end here.
    bytes: u64,
    frames: u64,
    full: bool,
    // Where the file may have more than whole frames.
    torn: bool,
}

impl Recorder {
    /// A new file; one of that name is an error.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(path: &Path, bounds: RecorderBounds) -> io::Result<Self> {
        let mut file = File::options().write(true).create_new(true).open(path)?;
        file.write_all(&MAGIC)?;
        Ok(Recorder::after_magic(file, path, bounds))
    }

    pub(super) fn after_magic(file: File, path: &Path, bounds: RecorderBounds) -> Self {
        let bytes = MAGIC.len() as u64;
        Recorder { file, path: path.to_owned(), bounds, bytes, frames: 0, full: false, torn: false }
    }

    /// A new file `STEM.uerec` of a folder, which is made where it is not there. What earlier recordings in it hold counts
    /// against the bytes, so that a program that is started again and again does not fill the disk.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or listed, or the file cannot be made.
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

    /// Appends a frame. After an error the file ends with the last whole frame again, and the next frame is tried anew.
    ///
    /// # Errors
    ///
    /// When it cannot be written, as on a disk that is full.
    pub fn record(&mut self, frame: &FrameSlot) -> io::Result<Recorded> {
        let whole = (HEADER_LEN + frame.bytes.len() + TRAILER_LEN) as u64;
        let room = self.bounds.bytes_max.saturating_sub(self.bytes);
        // One frame more and the bound would be passed; a smaller one is not waited for.
        if self.full || self.frames >= self.bounds.frames_max || whole > room {
            self.full = true;
            return Ok(Recorded::Full);
        }
        if frame.bytes.len() > FRAME_BYTES_MAX {
            let problem = format!("expected at most {FRAME_BYTES_MAX} bytes a frame, found {}", frame.bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        if self.torn {
            self.mend()?;
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
                self.bytes += whole;
                self.frames += 1;
                Ok(Recorded::Written)
            }
            Err(error) => {
                self.torn = true;
                // The first error is the one worth telling; the next frame mends what this could not.
                let _ = self.mend();
                Err(error)
            }
        }
    }

    /// Cuts the file to its whole frames.
    fn mend(&mut self) -> io::Result<()> {
        use std::io::Seek;
        self.file.set_len(self.bytes)?;
        self.file.seek(io::SeekFrom::Start(self.bytes))?;
        self.torn = false;
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Frames that are in it.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Bytes that these take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
