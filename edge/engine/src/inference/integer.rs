//! The integer engine. tract parses, checks and types a graph; the engine then runs the whole graph if it covers it, and else
//! each part that it covers, as an operator in tract's plan.
//!
//! Knows neither packages nor images.

use std::sync::Arc;

use tract_onnx::pb::GraphProto;

use super::backend::{Backend, Element, Frame};
use super::description::{Description, PartTime};
use super::error::InferenceError;
use super::kernel::Kernel;
use super::loaded::{Loaded, caught};
use executor::{Executor, Prepared};
use extract::extract;
use facts::Facts;
use parts::Parts;
use simplify::Simplified;

mod classes;
mod describe;
mod executor;
mod extract;
mod facts;
mod layout;
mod movement;
pub(super) mod node;
mod parts;
mod program;
mod scratch;
mod simplify;
mod threads;

/// The engine's name in records and messages.
const NAME: &str = "integer";

/// How much of a graph the engine runs.
pub(super) enum Coverage {
    Whole(Whole),
    Parts(Parts),
    /// Why it runs nothing of it.
    Nothing(String),
}

/// Prepares the engine for what it covers of a loaded graph.
///
/// # Errors
///
/// If there is not enough memory.
pub(super) fn cover(loaded: &Loaded, kernel: Kernel, threads: usize) -> Result<Coverage, InferenceError> {
    let Loaded { graph, typed, input, output, .. } = loaded;
    let extracted = Facts::of(typed, &input.name).map_err(|error| error.to_string()).and_then(|mut facts| {
        let simplified = Simplified::new(graph, &facts, &input.name).map_err(|refused| refused.to_string())?;
        facts.name_aliases(simplified.aliases());
        let extraction = extract(&simplified, &facts, &output.name).map_err(|refused| refused.to_string())?;
        Ok((facts, extraction))
    });
    let (facts, extraction) = match extracted {
        Ok(extracted) => extracted,
        Err(_) if input.element == Element::F32 && !is_quantized(graph) => {
            return Ok(Coverage::Nothing("it is not quantized".to_owned()));
        }
        Err(reason) => return Ok(Coverage::Nothing(reason)),
    };
    let (program, outside) = (extraction.program, extraction.outside);
    if let Some(tensor) = program.output {
        // What tract has inferred from the same file is the second opinion on it.
        let found = program.tensors[tensor].shape;
        let [_, channels, height, width] = output.shape;
        let expected = [if output.element == Element::I64 { found[0] } else { channels }, height, width];
        if found != expected {
            let name = &output.name;
            return Ok(Coverage::Nothing(format!("output {name}: expected {expected:?}, found {found:?}")));
        }
    }
    let is_whole = outside.is_empty() && program.output.is_some();
    let prepared = match Prepared::new(program, kernel) {
        Ok(prepared) => prepared,
        Err(reason) => return Ok(Coverage::Nothing(reason)),
    };
    let failed = |source: std::collections::TryReserveError| InferenceError::Graph {
        model: loaded.name.clone(),
        backend: NAME,
        step: "planning",
        source: source.into(),
    };
    let executor = Executor::new(&prepared, threads).map_err(failed)?;
    if is_whole {
        return Ok(Coverage::Whole(Whole { prepared, executor, threads }));
    }
    match Parts::new(loaded, &facts, Arc::new(prepared), executor, outside, threads) {
        Ok(parts) => Ok(Coverage::Parts(parts)),
        Err(error) => Ok(Coverage::Nothing(format!("tract could not plan the nodes that are not covered: {error}"))),
    }
}

/// Whether any operator of the graph is quantized.
fn is_quantized(graph: &GraphProto) -> bool {
    graph.node.iter().any(|node| node.op_type.contains("QuantizeLinear") || node.op_type.starts_with("QLinear"))
}

/// A graph that the engine runs from input to output.
pub(super) struct Whole {
    prepared: Prepared,
    executor: Executor,
    threads: usize,
}

impl Backend for Whole {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kernel(&self) -> &'static str {
        self.prepared.kernel.name()
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn segment(&mut self, frame: Frame<'_>, mask: &mut [u8]) -> Result<(), InferenceError> {
        caught(NAME, || {
            self.executor.run(&self.prepared, 0, |_| frame, &mut [], mask);
            Ok(())
        })
        .map_err(|source| InferenceError::Run { backend: NAME, source })
    }

    fn logits(&mut self, logits: &mut [u8]) -> Result<(), InferenceError> {
        self.executor.logits(&self.prepared, logits);
        Ok(())
    }

    fn times(&self) -> Vec<PartTime> {
        self.executor.times(&self.prepared)
    }

    fn describe(&self) -> Description {
        describe::describe(NAME, &self.prepared, &self.executor, self.threads, &[])
    }
}
