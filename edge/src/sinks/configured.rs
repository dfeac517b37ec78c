//! A configured output in the pipeline. Opened at the start, or by its own thread after the configuration was read again.

use std::sync::Arc;

use super::{Context, SinkSpec};
use crate::pipeline::{Needs, Outcome, Sink, WriteError};
use crate::telemetry::log::Log;

/// An output, open or not.
pub struct Configured {
    spec: Arc<dyn SinkSpec>,
    context: Arc<Context>,
    sink: Option<Box<dyn Sink>>,
}

impl Configured {
    /// Opens it with the first outcome, and again with each one until that succeeds.
    pub fn later(spec: Arc<dyn SinkSpec>, context: Arc<Context>) -> Self {
        Configured { spec, context, sink: None }
    }

    /// Opens it now.
    ///
    /// # Errors
    ///
    /// As [`SinkSpec::open`].
    pub fn now(spec: Arc<dyn SinkSpec>, context: Arc<Context>) -> Result<Self, super::OpenError> {
        let sink = Some(spec.open(&context)?);
        Ok(Configured { spec, context, sink })
    }
}

impl Sink for Configured {
    fn name(&self) -> &'static str {
        self.spec.name()
    }

    fn needs(&self) -> Needs {
        self.spec.needs()
    }

    fn write(&mut self, outcome: &Outcome, log: Log) -> Result<(), WriteError> {
        let sink = match &mut self.sink {
            Some(sink) => sink,
            closed => closed.insert(self.spec.open(&self.context)?),
        };
        sink.write(outcome, log)
    }
}
