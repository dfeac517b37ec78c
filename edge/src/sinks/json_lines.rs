//! One line of JSON per frame on standard output, see `JSON_LINES.md`.

use std::sync::Arc;

use unet_shared::digest::Digest;

use super::{Context, LineFile, OpenError, SinkSpec};
use crate::pipeline::{Outcome, Sink, WriteError};
use crate::section::Section;
use crate::telemetry::json_lines::{FrameRecord, JsonLines};
use crate::telemetry::log::Log;

/// `json_lines = true`, the default.
#[derive(Debug)]
pub(super) struct JsonLinesSpec;

pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Arc<dyn SinkSpec>> {
    section.boolean("json_lines").unwrap_or(true).then(|| Arc::new(JsonLinesSpec) as Arc<dyn SinkSpec>)
}

impl SinkSpec for JsonLinesSpec {
    fn name(&self) -> &'static str {
        "JSON lines"
    }

    fn open(&self, context: &Context) -> Result<Box<dyn Sink>, OpenError> {
        let classes = context.manifest.classes.iter().map(|class| class.name.as_str());
        let lines = JsonLines::new(classes, context.rules.iter().map(|rule| rule.name.as_str()));
        let output = LineFile::stdout().map_err(OpenError::StandardOutput)?;
        Ok(Box::new(LineSink::new(lines, output)))
    }
}

/// Writes the lines.
#[derive(Debug)]
pub struct LineSink {
    lines: JsonLines,
    output: LineFile,
}

impl LineSink {
    /// Writes to `output`.
    pub fn new(lines: JsonLines, output: LineFile) -> Self {
        LineSink { lines, output }
    }
}

impl Sink for LineSink {
    fn name(&self) -> &'static str {
        JsonLinesSpec.name()
    }

    fn write(&mut self, outcome: &Outcome, _: Log) -> Result<(), WriteError> {
        let record = FrameRecord {
            sequence: outcome.frame.sequence,
            captured: outcome.frame.captured,
            frame: outcome.size,
            placement: outcome.placement,
            latency_us: &outcome.latency_us,
            mask_sha256: Digest::of(&outcome.mask),
            shares: &outcome.shares,
            regions: &outcome.regions,
            rules: &outcome.rules,
            drops: outcome.drops,
        };
        Ok(self.output.write_line(self.lines.line(&record))?)
    }
}
