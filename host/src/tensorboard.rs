//! Event files for TensorBoard: the scores of each epoch as scalars, and panels as images.
//!
//! A run's file follows from its rows and panels alone, so it is made anew after each epoch, as results.csv is, and a resumed run
//! has no point twice. Knows no training loop.

mod event;
mod record;

use event::{Event, Value};

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::run_dir::{RunDir, RunDirError};
use crate::training::checkpoint::EpochRow;

/// The version of the format, in a file's first event.
const FILE_VERSION: &str = "brain.Event:2";

/// A panel as a PNG file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PngPanel {
    /// Its tag, such as `panels/01`.
    pub tag: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The file's bytes.
    pub bytes: Vec<u8>,
}

/// What a file shows.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// When the run was made, in seconds since 1970.
    pub start: f64,
    /// One row per epoch; epochs are TensorBoard's steps.
    pub rows: &'a [EpochRow],
    /// Names of the classes, by id.
    pub class_names: &'a [String],
    /// Shown at the last epoch.
    pub panels: &'a [PngPanel],
}

/// Writes a run's event file. `panels` are those of its report, or empty before there is one.
///
/// # Errors
/// If it cannot be written.
pub fn write(run: &RunDir, rows: &[EpochRow], class_names: &[String], panels: &[PngPanel]) -> Result<(), RunDirError> {
    let start = run.made().unwrap_or_else(SystemTime::now).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    run.extend(run.tensorboard(), &events_file(Contents { start, rows, class_names, panels }))
}

/// The panels of a run's report, by name.
///
/// # Errors
/// If a file cannot be read.
pub fn panels(run: &RunDir) -> Result<Vec<PngPanel>, RunDirError> {
    let folder = run.panels_folder();
    let read = |source| RunDirError::Read { path: folder.clone(), source };
    let entries = std::fs::read_dir(&folder).map_err(read)?;
    let mut paths = entries.map(|entry| Ok(entry.map_err(read)?.path())).collect::<Result<Vec<_>, RunDirError>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    paths.sort();
    let panel = |path: &Path| {
        let bytes = run.read(path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok(png_size(&bytes).map(|(width, height)| PngPanel { tag: format!("panels/{name}"), width, height, bytes }))
    };
    // A file that is not a PNG despite its name was not written by the report.
    paths.iter().filter_map(|path| panel(path).transpose()).collect()
}

/// Width and height in the header of a PNG file: after its signature, length and name of the first chunk.
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let side = |from: usize| Some(u32::from_be_bytes(bytes.get(from..from + 4)?.try_into().ok()?));
    (bytes.get(12..16)? == b"IHDR").then_some(())?;
    Some((side(16)?, side(20)?))
}

/// The bytes of an event file. Those of fewer rows and no panels are a prefix of those of more rows. Values that are missing or not
/// finite are left out.
pub fn events_file(contents: Contents<'_>) -> Vec<u8> {
    let mut bytes = vec![];
    let mut time = contents.start;
    record::append(&mut bytes, &Event::version(time, FILE_VERSION).encode());
    let mut last = 0;
    for row in contents.rows {
        time += row.seconds;
        last = row.epoch as u64;
        let mut scalars = vec![
            ("loss/train".to_owned(), Some(row.train_loss)),
            ("loss/validation".to_owned(), row.val_loss),
            ("iou/mean".to_owned(), row.mean_iou),
            ("learning_rate".to_owned(), Some(row.learning_rate)),
        ];
        let classes = contents.class_names.iter().zip(&row.class_iou);
        scalars.extend(classes.map(|(name, &iou)| {
            let tag = if name == "mean" { "iou/mean (class)".to_owned() } else { format!("iou/{name}") };
            (tag, iou)
        }));
        let values = scalars.into_iter().filter_map(|(tag, value)| {
            let value = value.filter(|value| value.is_finite())? as f32;
            Some(Value::Scalar { tag, value })
        });
        record::append(&mut bytes, &Event::summary(time, last, values.collect()).encode());
    }
    if !contents.panels.is_empty() {
        let values = contents.panels.iter().cloned().map(Value::Image).collect();
        record::append(&mut bytes, &Event::summary(time, last, values).encode());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payloads of a file's records.
    fn payloads(mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut found = vec![];
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            found.push(&bytes[12..12 + length]);
            bytes = &bytes[16 + length..];
        }
        found
    }

    #[test]
    fn a_file_of_one_epoch_by_hand() {
        let names = ["mean", "b", "absent"].map(str::to_owned);
        let row = EpochRow {
            train_loss: 0.5,
            val_loss: Some(f64::NAN),
            mean_iou: Some(0.25),
            class_iou: vec![Some(0.75), Some(1.0), None],
            learning_rate: 2.0,
            seconds: 0.5,
            ..EpochRow::empty(1)
        };
        let rows = [row, EpochRow::empty(300)];
        let file = |rows| events_file(Contents { start: 1.0, rows, class_names: &names, panels: &[] });
        let (one, both) = (file(&rows[..1]), file(&rows));
        assert!(both.starts_with(&one) && both.len() > one.len());
        let found = payloads(&one);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], [&[0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x1a, 13][..], b"brain.Event:2"].concat());
        // Five values: time 1.5, step 1, then a summary of 10 + 8 + 13 + 16 + 5 + 5 * 9 bytes.
        let mut expected = vec![0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0x10, 1, 0x2a, 97];
        for (tag, value) in [
            ("loss/train", 0.5f32),
            ("iou/mean", 0.25),
            ("learning_rate", 2.0),
            ("iou/mean (class)", 0.75),
            ("iou/b", 1.0),
        ] {
            expected.extend([0x0a, tag.len() as u8 + 7, 0x0a, tag.len() as u8]);
            expected.extend(tag.as_bytes());
            expected.push(0x15);
            expected.extend(value.to_le_bytes());
        }
        assert_eq!(found[1], expected);
        // 300 = 0b10_0101100.
        assert_eq!(&payloads(&both)[2][9..12], [0x10, 0xac, 0x02]);
    }

    #[test]
    fn panels_come_last() {
        let panel = PngPanel { tag: "panels/01".to_owned(), width: 300, height: 2, bytes: vec![7, 8, 9] };
        let rows = [EpochRow::empty(1)];
        let file = events_file(Contents { start: 0.0, rows: &rows, class_names: &[], panels: &[panel] });
        let last = payloads(&file)[2];
        let image = [&[0x08, 2, 0x10, 0xac, 0x02, 0x18, 3, 0x22, 3, 7, 8, 9][..]].concat();
        let value = [&[0x0a, 9][..], b"panels/01", &[0x22, 12], &image].concat();
        assert_eq!(last[9..], [&[0x10, 1, 0x2a, 27, 0x0a, 25][..], &value].concat());
    }
}
