//! One line of JSON per frame, as documented in `JSON_LINES.md` beside the crate's manifest. Names are escaped once. Lines are
//! written to a reused buffer; nothing is allocated once it has grown to the longest line.

use std::io::{self, Write};
use std::time::Duration;

use unet_shared::digest::Digest;
use unet_shared::preprocess::Placement;

use super::Stages;
use crate::postprocess::{Centroid, FrameBox, Regions, Shares};
use crate::rules::RuleState;

/// `version` in every line; it changes if a field changes its meaning or is removed.
pub const JSON_LINES_VERSION: u32 = 1;

/// Frames dropped since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drops {
    /// By the source, from the gaps in its frame numbers.
    pub source: u64,
    /// Replaced by a newer frame while the pipeline was busy.
    pub busy: u64,
    /// Could not be read, decoded or segmented.
    pub failed: u64,
    /// Processed, but lost by at least one output, which was too slow or could not write.
    pub unwritten: u64,
}

/// The content of a line.
#[derive(Debug, Clone, Copy)]
pub struct FrameRecord<'a> {
    /// Frame number.
    pub sequence: u64,
    /// When it was captured, on the system's monotonic clock.
    pub captured: Duration,
    /// Width and height of the frame, in pixels.
    pub frame: (u32, u32),
    /// Rectangle that the frame fills in the model's input.
    pub placement: Placement,
    /// Duration of each stage in microseconds.
    pub latency_us: &'a Stages<u64>,
    /// Digest of the mask, `H*W` class ids.
    pub mask_sha256: Digest,
    /// Shares of the classes.
    pub shares: &'a Shares,
    /// Regions of the mask.
    pub regions: &'a Regions,
    /// States of the rules, in the order of their names.
    pub rules: &'a [RuleState],
    /// Frames dropped so far.
    pub drops: Drops,
}

/// Formats lines.
#[derive(Debug, Clone)]
pub struct JsonLines {
    // JSON strings with quotes.
    classes: Vec<String>,
    rules: Vec<String>,
    line: Vec<u8>,
}

impl JsonLines {
    /// With the names of the classes and rules.
    pub fn new<'a>(classes: impl IntoIterator<Item = &'a str>, rules: impl IntoIterator<Item = &'a str>) -> Self {
        let quoted = |name: &str| serde_json::Value::from(name).to_string();
        JsonLines {
            classes: classes.into_iter().map(quoted).collect(),
            rules: rules.into_iter().map(quoted).collect(),
            line: Vec::with_capacity(4096),
        }
    }

    /// The line of a frame, ending with a line feed.
    pub fn line(&mut self, record: &FrameRecord<'_>) -> &[u8] {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        // Writing to a vector cannot fail.
        let _ = self.write(&mut line, record);
        self.line = line;
        &self.line
    }

    fn write(&self, out: &mut Vec<u8>, record: &FrameRecord<'_>) -> io::Result<()> {
        let FrameRecord { sequence, captured, frame: (width, height), placement, .. } = *record;
        write!(
            out,
            r#"{{"version":{JSON_LINES_VERSION},"sequence":{sequence},"captured_us":{}"#,
            captured.as_micros()
        )?;
        write!(out, r#","width":{width},"height":{height},"latency_us":{{"#)?;
        for (index, (stage, microseconds)) in record.latency_us.iter().enumerate() {
            write!(out, r#"{}"{}":{microseconds}"#, comma(index), stage.name())?;
        }
        write!(out, r#"}},"mask_sha256":"{}","shares":{{"#, record.mask_sha256)?;
        // At most 255 classes.
        for (index, (name, class)) in self.classes.iter().zip(0..=u8::MAX).enumerate() {
            write!(out, "{}{name}:{:.4}", comma(index), record.shares.percent(class))?;
        }
        write!(out, r#"}},"region_count":{},"regions":["#, record.regions.count())?;
        for (index, region) in record.regions.listed().iter().enumerate() {
            let FrameBox { x, y, width: columns, height: rows } = region.frame_box(placement, width, height);
            let Centroid { x: middle_x, y: middle_y } = region.frame_centroid(placement, width, height);
            let class = self.classes.get(usize::from(region.class)).map_or("null", String::as_str);
            write!(
                out,
                r#"{}{{"class":{class},"area":{},"box":[{x},{y},{columns},{rows}]"#,
                comma(index),
                region.area
            )?;
            write!(out, r#","centroid":[{middle_x:.1},{middle_y:.1}]}}"#)?;
        }
        write!(out, r#"],"rules":["#)?;
        for (index, (name, state)) in self.rules.iter().zip(record.rules).enumerate() {
            let RuleState { active, value, .. } = state;
            write!(out, r#"{}{{"name":{name},"active":{active},"value":{value:.4}}}"#, comma(index))?;
        }
        let Drops { source, busy, failed, unwritten } = record.drops;
        write!(out, r#"],"drops":{{"source":{source},"busy":{busy},"failed":{failed}"#)?;
        writeln!(out, r#","unwritten":{unwritten}}}}}"#)
    }
}

fn comma(index: usize) -> &'static str {
    if index == 0 { "" } else { "," }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::postprocess::{Postprocess, RegionsSpec};

    const DOCUMENT: &str = include_str!("../../JSON_LINES.md");

    fn document() -> &'static str {
        DOCUMENT.split("```json\n").nth(1).unwrap().split("```").next().unwrap()
    }

    /// The frame in the document.
    fn example(lines: &mut JsonLines) -> Vec<u8> {
        let spec = RegionsSpec { without: vec![0], ..RegionsSpec::default() };
        let mut postprocess = Postprocess::new(4, 4, &spec);
        let mask = [0, 0, 0, 0, 0, 1, 1, 0, 2, 0, 1, 0, 0, 0, 0, 0];
        let placement = Placement { x: 0, y: 1, width: 4, height: 2 };
        let (shares, regions) = postprocess.run(&mask, placement).unwrap();
        let states = [RuleState::default(), RuleState::default()];
        let latency_us = Stages::new([1500, 900, 23_000, 150, 25_600]);
        let record = FrameRecord {
            sequence: 1041,
            captured: Duration::from_micros(86_400_123_456),
            frame: (640, 320),
            placement,
            latency_us: &latency_us,
            mask_sha256: Digest::of(&mask),
            shares,
            regions,
            rules: &states,
            drops: Drops { source: 2, busy: 17, failed: 0, unwritten: 0 },
        };
        lines.line(&record).to_vec()
    }

    #[test]
    fn the_documented_line_is_written() {
        let mut lines = JsonLines::new(["background", "crack", "grain"], ["crack seen", "grain \"large\""]);
        let line = example(&mut lines);
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        assert_eq!(line.last(), Some(&b'\n'));
        let written: Value = serde_json::from_slice(&line).unwrap();
        let documented: Value = serde_json::from_str(document()).unwrap();
        assert_eq!(written, documented);
        // By hand: three of eight pixels, with 160 frame pixels per mask column and row.
        assert_eq!(written["shares"], json!({"background": 50.0, "crack": 37.5, "grain": 12.5}));
        assert_eq!(written["regions"][0]["box"], json!([160, 0, 320, 320]));
        // A second line equals the first.
        assert_eq!(example(&mut lines), line);
    }

    #[test]
    fn every_field_is_described() {
        let lines: Value = serde_json::from_str(document()).unwrap();
        for key in lines.as_object().unwrap().keys() {
            assert!(DOCUMENT.contains(&format!("| `{key}` |")), "{key} has no row in the table");
        }
        for name in super::super::Stage::ALL.map(super::super::Stage::name) {
            assert!(DOCUMENT.contains(&format!("`{name}`")), "{name}");
        }
    }
}
