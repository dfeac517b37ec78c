//! A folder that holds the frames with the lowest margins, for the next training.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Stored, Writer, open_folder, remove, stem_numbers};

/// Which frames are kept, and how many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HardFramesBounds {
    /// Frames with a mean margin below this are hard.
    pub margin_below: f64,
    /// How many are kept.
    pub frames_max: usize,
    /// How many bytes they may have together.
    pub bytes_max: u64,
    /// How long after one that was kept the next may be.
    pub pause: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    // In hundredths, as the file's name has it; first, so that the hardest comes first.
    margin: u32,
    name: String,
    size: u64,
}

/// The folder.
#[derive(Debug)]
pub struct HardFrames {
    folder: PathBuf,
    bounds: HardFramesBounds,
    kept: Vec<Kept>,
    bytes: u64,
    last: Option<Duration>,
    writer: Writer,
}

/// A margin as names hold it; it is at most 255.
fn hundredths(margin: f64) -> u32 {
    (margin * 100.0).clamp(0.0, 99_999.0) as u32
}

fn margin_of(name: &str) -> Option<u32> {
    let (margin, rest) = name.strip_prefix('m')?.split_once('-')?;
    stem_numbers(rest.split_once('.')?.0)?;
    let plain = margin.len() == 5 && margin.bytes().all(|byte| byte.is_ascii_digit());
    if plain { margin.parse().ok() } else { None }
}

impl HardFrames {
    /// Opens a folder, as [`super::BoundedFolder::open`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn open(folder: &Path, bounds: HardFramesBounds) -> io::Result<Self> {
        let mut kept: Vec<Kept> = open_folder(folder)?
            .into_iter()
            .filter_map(|(name, size)| Some(Kept { margin: margin_of(&name)?, name, size }))
            .collect();
        kept.sort_unstable();
        let bytes = kept.iter().map(|kept| kept.size).sum();
        let mut frames =
            HardFrames { folder: folder.to_owned(), bounds, kept, bytes, last: None, writer: Writer::default() };
        while frames.kept.len() > bounds.frames_max || frames.bytes > bounds.bytes_max {
            frames.drop_easiest()?;
        }
        Ok(frames)
    }

    /// Whether a frame of this margin would be kept now: asked before its picture is made. `now` is on any clock that does
    /// not go back.
    pub fn wants(&self, margin: f64, now: Duration) -> bool {
        let rested = self.last.is_none_or(|last| now.saturating_sub(last) >= self.bounds.pause);
        let room = self.kept.len() < self.bounds.frames_max;
        let harder = || self.kept.last().is_some_and(|easiest| hundredths(margin) < easiest.margin);
        margin < self.bounds.margin_below && rested && (room || harder())
    }

    /// Keeps a frame, if [`HardFrames::wants`] it, in place of easier ones where there is no room. `stem` is a
    /// [`super::file_stem`]; the margin is put before it.
    pub fn store(&mut self, margin: f64, now: Duration, stem: &str, extension: &str, bytes: &[u8]) -> Stored {
        if !self.wants(margin, now) {
            return Stored::Skipped;
        }
        let (margin, size) = (hundredths(margin), bytes.len() as u64);
        // Only easier ones make room, and only if that is enough.
        let harder = self.kept.partition_point(|kept| kept.margin <= margin);
        let held: u64 = self.kept[..harder].iter().map(|kept| kept.size).sum();
        if harder >= self.bounds.frames_max || held.saturating_add(size) > self.bounds.bytes_max {
            return Stored::Skipped;
        }
        while self.kept.len() >= self.bounds.frames_max || self.bytes + size > self.bounds.bytes_max {
            if let Err(error) = self.drop_easiest() {
                return self.writer.fail(error);
            }
        }
        let name = format!("m{margin:05}-{stem}.{extension}");
        let stored = self.writer.write(&self.folder.join(&name), bytes);
        if matches!(stored, Stored::Written | Stored::Resumed) {
            self.last = Some(now);
            self.bytes += size;
            let kept = Kept { margin, name, size };
            let at = self.kept.partition_point(|other| *other < kept);
            self.kept.insert(at, kept);
        }
        stored
    }

    /// How many frames are kept.
    pub fn frames(&self) -> usize {
        self.kept.len()
    }

    fn drop_easiest(&mut self) -> io::Result<()> {
        if let Some(easiest) = self.kept.last() {
            remove(&self.folder.join(&easiest.name))?;
            self.bytes -= easiest.size;
            self.kept.pop();
        }
        Ok(())
    }
}
