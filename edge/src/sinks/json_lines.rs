//! One line of JSON per frame on standard output, see `JSON_LINES.md`.

use std::io::{self, Write};
use std::sync::Arc;

use unet_shared::digest::Digest;

use super::{Context, OpenError, SinkSpec};
use crate::pipeline::{Outcome, Sink};
use crate::section::Section;
use crate::telemetry::json_lines::{FrameRecord, JsonLines};
use crate::telemetry::log::{Log, LogLevel};

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

    fn open(&self, context: &Context<'_>) -> Result<Box<dyn Sink>, OpenError> {
        let classes = context.manifest.classes.iter().map(|class| class.name.as_str());
        let lines = JsonLines::new(classes, context.rules.iter().map(|rule| rule.name.as_str()));
        Ok(Box::new(LineSink::new(lines, io::stdout())))
    }
}

/// Writes the lines.
#[derive(Debug)]
pub struct LineSink<W> {
    lines: JsonLines,
    output: Option<W>,
}

impl<W: Write + Send> LineSink<W> {
    /// Writes to `output` until that fails.
    pub fn new(lines: JsonLines, output: W) -> Self {
        LineSink { lines, output: Some(output) }
    }
}

impl<W: Write + Send> Sink for LineSink<W> {
    fn name(&self) -> &'static str {
        JsonLinesSpec.name()
    }

    fn write(&mut self, outcome: &Outcome, log: Log) {
        let Some(output) = &mut self.output else { return };
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
        if let Err(error) = output.write_all(self.lines.line(&record)).and_then(|()| output.flush()) {
            // A reader that has gone does not come back; frames and pins go on.
            log.say(LogLevel::Warning, format_args!("standard output is closed, no more lines: {error}"));
            self.output = None;
        }
    }
}
