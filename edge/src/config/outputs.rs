//! `[outputs]`

use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;

/// What is written, and where to.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputsConfig {
    /// Whether a line of JSON for each frame goes to standard output.
    pub json_lines: bool,
    /// Masks as PNG files.
    pub masks: Option<FolderConfig>,
    /// Frames with the mask laid over, as PNG files.
    pub overlays: Option<FolderConfig>,
    /// Frames that the model finds hard, for the next training.
    pub hard_frames: Option<HardFramesConfig>,
    /// The camera's bytes as they come.
    pub recorder: Option<RecorderConfig>,
}

/// A folder that holds the newest files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderConfig {
    /// Which one; it is made where it is not there.
    pub folder: PathBuf,
    /// How many files it may hold.
    pub files_max: usize,
    /// How many bytes these may have together.
    pub bytes_max: u64,
    /// Each so many frames one is written.
    pub every: u64,
}

/// A folder that holds the hardest frames.
#[derive(Debug, Clone, PartialEq)]
pub struct HardFramesConfig {
    /// Which one; it is made where it is not there.
    pub folder: PathBuf,
    /// How many it may hold.
    pub frames_max: usize,
    /// How many bytes these may have together.
    pub bytes_max: u64,
    /// Frames with a mean margin below this are hard; in steps of the quantized logits.
    pub margin_below: f64,
    /// How long after one that was kept the next may be, as neighbours show the same.
    pub pause: Duration,
}

/// A recording of the camera's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderConfig {
    /// Where to.
    pub folder: PathBuf,
    /// It ends when it has so many bytes.
    pub bytes_max: u64,
    /// It ends when it has so many frames.
    pub frames_max: u64,
}

const MEBIBYTE: u64 = 1 << 20;
const FILES_MAX: u64 = 1_000_000;

impl Default for OutputsConfig {
    /// Lines of JSON, and no files.
    fn default() -> Self {
        OutputsConfig { json_lines: true, masks: None, overlays: None, hard_frames: None, recorder: None }
    }
}

pub(super) fn read(section: Option<Section<'_, '_>>) -> OutputsConfig {
    let mut config = OutputsConfig::default();
    let Some(mut section) = section else { return config };
    config.json_lines = section.boolean("json_lines").unwrap_or(true);
    config.masks = section.section("masks").and_then(folder);
    config.overlays = section.section("overlays").and_then(folder);
    config.hard_frames = section.section("hard_frames").and_then(hard_frames);
    config.recorder = section.section("recorder").and_then(recorder);
    section.finish();
    config
}

fn place(section: &mut Section<'_, '_>) -> Option<PathBuf> {
    section.want("folder", "the path of a folder");
    section.path("folder").map(|path| path.value)
}

fn folder(mut section: Section<'_, '_>) -> Option<FolderConfig> {
    let folder = place(&mut section);
    let files_max = section.integer("files_max", 1..=FILES_MAX, "1 to 1000000 files").unwrap_or(1000) as usize;
    let bytes_max = section.bytes("bytes_max").unwrap_or(256 * MEBIBYTE);
    let every = section.integer("every", 1..=u64::MAX, "1 or more frames").unwrap_or(1);
    section.finish();
    Some(FolderConfig { folder: folder?, files_max, bytes_max, every })
}

fn hard_frames(mut section: Section<'_, '_>) -> Option<HardFramesConfig> {
    let folder = place(&mut section);
    let frames_max = section.integer("frames_max", 1..=FILES_MAX, "1 to 1000000 frames").unwrap_or(200) as usize;
    let bytes_max = section.bytes("bytes_max").unwrap_or(256 * MEBIBYTE);
    let margin_below = section.number("margin_below", 0.0..=256.0, "0 to 256 steps of the logits").unwrap_or(16.0);
    let pause = section.seconds("pause_seconds", 0.0..=86_400.0).unwrap_or(Duration::from_secs(10));
    section.finish();
    Some(HardFramesConfig { folder: folder?, frames_max, bytes_max, margin_below, pause })
}

fn recorder(mut section: Section<'_, '_>) -> Option<RecorderConfig> {
    let folder = place(&mut section);
    let bytes_max = section.bytes("bytes_max").unwrap_or(1024 * MEBIBYTE);
    let frames_max = section.integer("frames_max", 1..=u64::MAX, "1 or more frames").unwrap_or(u64::MAX);
    section.finish();
    Some(RecorderConfig { folder: folder?, bytes_max, frames_max })
}
