//! A folder that keeps the frames with the lowest margins, for the next training.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Place, list, remove, stem_numbers};

/// Which frames are kept, and limits of the folder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HardFramesBounds {
    /// Frames with a mean margin below this are hard.
    pub margin_below: f64,
    /// Number of frames.
    pub frames_max: usize,
    /// Bytes of all frames.
    pub bytes_max: u64,
    /// Minimum time between frames that are kept.
    pub pause: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    // In hundredths, as in the file name; the first field, so that the hardest frame sorts first.
    margin: u32,
    name: String,
    size: u64,
}

/// The folder.
#[derive(Debug)]
pub struct HardFrames {
    place: Arc<Place>,
    bounds: HardFramesBounds,
    kept: Vec<Kept>,
    bytes: u64,
    last: Option<Duration>,
}

/// A margin, at most 255, as in file names.
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
    /// The same.
    pub fn open(place: Arc<Place>, bounds: HardFramesBounds) -> io::Result<Self> {
        let mut kept: Vec<Kept> = list(place.path())?
            .into_iter()
            .filter_map(|(name, size)| Some(Kept { margin: margin_of(&name)?, name, size }))
            .collect();
        kept.sort_unstable();
        let bytes = kept.iter().map(|kept| kept.size).sum();
        let mut frames = HardFrames { place, bounds, kept, bytes, last: None };
        while frames.kept.len() > bounds.frames_max || frames.bytes > bounds.bytes_max {
            frames.drop_easiest()?;
        }
        Ok(frames)
    }

    /// Whether a frame with this margin would be kept now, so that it need not be encoded otherwise. `now` is on any monotonic
    /// clock.
    pub fn accepts(&self, margin: f64, now: Duration) -> bool {
        let rested = self.last.is_none_or(|last| now.saturating_sub(last) >= self.bounds.pause);
        let room = self.kept.len() < self.bounds.frames_max;
        let harder = || self.kept.last().is_some_and(|easiest| hundredths(margin) < easiest.margin);
        margin < self.bounds.margin_below && rested && (room || harder())
    }

    /// Keeps a frame if [`HardFrames::accepts`] it, replacing easier ones if there is no room. `stem` is a [`super::file_stem`],
    /// which is prefixed with the margin. Returns whether it is kept.
    ///
    /// # Errors
    ///
    /// If it cannot be written. That costs only this frame; the next call tries again.
    pub fn store(&mut self, margin: f64, now: Duration, stem: &str, extension: &str, bytes: &[u8]) -> io::Result<bool> {
        if !self.accepts(margin, now) {
            return Ok(false);
        }
        let (margin, size) = (hundredths(margin), bytes.len() as u64);
        // Only easier frames are replaced, and only if that frees enough.
        let harder = self.kept.partition_point(|kept| kept.margin <= margin);
        let held: u64 = self.kept[..harder].iter().map(|kept| kept.size).sum();
        if harder >= self.bounds.frames_max || held.saturating_add(size) > self.bounds.bytes_max {
            return Ok(false);
        }
        while self.kept.len() >= self.bounds.frames_max || self.bytes + size > self.bounds.bytes_max {
            self.drop_easiest()?;
        }
        let name = format!("m{margin:05}-{stem}.{extension}");
        if self.place.write(&name, bytes)? {
            self.kept.clear();
            self.bytes = 0;
        }
        self.last = Some(now);
        self.bytes += size;
        let kept = Kept { margin, name, size };
        let at = self.kept.partition_point(|other| *other < kept);
        self.kept.insert(at, kept);
        Ok(true)
    }

    /// Number of frames kept.
    pub fn frames(&self) -> usize {
        self.kept.len()
    }

    fn drop_easiest(&mut self) -> io::Result<()> {
        if let Some(easiest) = self.kept.last() {
            remove(&self.place.path().join(&easiest.name))?;
            self.bytes -= easiest.size;
            self.kept.pop();
        }
        Ok(())
    }
}
