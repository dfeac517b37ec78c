//! The evaluation record, which host and edge both write when they score a dataset.
//!
//! Two records of the same model and data are compared stage by stage, so a record has the digest of every stage of
//! every frame and the counts, never a rounded metric. Times are for information, and are not compared.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::metrics::OwnedConfusion;
use crate::tiles::Tiles;

/// The version of the record's format that this crate writes and reads.
pub const RECORD_VERSION: u32 = 1;

/// One program's evaluation of one model on one split of one dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    /// [`RECORD_VERSION`] at the time of writing.
    pub version: u32,
    /// The program and its version, such as `unet-edge 0.1.0`.
    pub program: String,
    /// The engine that computed the logits, such as `tract int8`.
    pub engine: String,
    /// Architecture and operating system.
    pub machine: String,
    /// Digest of the model file's bytes.
    pub model: Digest,
    /// Digest at the end of the package, if the model came in one.
    pub package: Option<Digest>,
    /// Name of the dataset.
    pub dataset: String,
    /// The split that was scored.
    pub split: String,
    /// Names of the classes, by id.
    pub classes: Vec<String>,
    /// How images larger than a tile were cut; none if images were scored whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiles: Option<Tiles>,
    /// One entry per frame, in the order of scoring (by name).
    pub frames: Vec<FrameRecord>,
    /// Counts over all frames, at the size of each label.
    pub confusion: OwnedConfusion,
    /// Time from preprocessed bytes to mask.
    pub timing: Timing,
}

/// The stage digests of one frame, in the order of the stages. Of an image that was cut into several tiles, input, logits and mask
/// are the digests of the tiles' digests, 32 bytes each, row by row from the top left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameRecord {
    /// Name of the sample.
    pub name: String,
    /// Width of the decoded image in pixels.
    pub width: u32,
    /// Height of the decoded image in pixels.
    pub height: u32,
    /// The decoded pixels, before preprocessing.
    pub pixels: Digest,
    /// The encoded label, at its size.
    pub label: Digest,
    /// The preprocessed u8 planes, before the table to the model's input.
    pub input: Digest,
    /// The logits from the engine.
    pub logits: Digest,
    /// The mask at the model's size.
    pub mask: Digest,
    /// The mask resized to the label's size, which is scored.
    pub prediction: Digest,
    /// Time from preprocessed bytes to mask, in milliseconds.
    pub milliseconds: f64,
}

/// A summary of the times per frame, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Timing {
    /// Number of frames.
    pub frames: usize,
    /// Arithmetic mean.
    pub mean_ms: f64,
    /// Shortest.
    pub min_ms: f64,
    /// Median; of an even number of frames, the mean of the two middle values.
    pub median_ms: f64,
    /// Longest.
    pub max_ms: f64,
}

impl Timing {
    /// Summarises times in milliseconds; all zero if there are none.
    pub fn of(milliseconds: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = milliseconds.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(&min_ms), Some(&max_ms)) = (sorted.first(), sorted.last()) else {
            return Self::default();
        };
        let frames = sorted.len();
        let middle = frames / 2;
        let median_ms = if frames % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Self { frames, mean_ms: sorted.iter().sum::<f64>() / frames as f64, min_ms, median_ms, max_ms }
    }
}

#[cfg(feature = "std")]
impl EvaluationRecord {
    /// Reads a record from JSON, its version first.
    pub fn from_json(bytes: &[u8]) -> Result<Self, crate::document::DocumentError> {
        crate::document::parse_versioned("evaluation record", RECORD_VERSION, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timing_of_hand_checked_values() {
        assert_eq!(Timing::of([]), Timing::default());
        let odd = Timing::of([3.0, 1.0, 8.0]);
        assert_eq!(odd, Timing { frames: 3, mean_ms: 4.0, min_ms: 1.0, median_ms: 3.0, max_ms: 8.0 });
        assert_eq!(Timing::of([4.0, 2.0]).median_ms, 3.0);
    }
}
