//! The integer engine: tract loads, checks and runs the graph, and one operator of ours takes the place of its whole
//! quantized chain. A graph with a node that the operator does not cover stays with tract as it is.
//!
//! The operator holds the planned program and the packed weights; its state in tract's plan owns buffers and threads.
//! Knows neither packages nor images.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use super::error::InferenceError;
use super::kernel::Kernel;
use super::model::{Backend, Element, Frame};
use super::tract::{Loaded, guarded};
use super::{Description, NodeDescription, PartTime};
use executor::{Executor, Prepared};
use program::{End, Operator};

mod classes;
mod executor;
mod extract;
mod layout;
mod moves;
mod node;
mod program;
mod scratch;
mod threads;

pub(super) use threads::THREADS_MAX;

const NAME: &str = "integer";

/// tract's plan around our operator.
pub(super) struct Integer {
    prepared: Arc<Prepared>,
    /// The operator's own, from which the logits of the last frame are read.
    executor: Arc<Mutex<Executor>>,
    state: TypedSimpleState,
    /// Our operator in the plan.
    node: usize,
    /// The frame as tract takes it; the same one for all frames, as nobody else keeps it.
    input: Arc<Tensor>,
    threads: usize,
}

impl Integer {
    /// Replaces the chain of a loaded graph. The error of the inner result says why the graph stays with tract; the graph is
    /// as it was then.
    pub(super) fn load(
        loaded: &mut Loaded,
        kernel: Kernel,
        threads: usize,
    ) -> Result<Result<Self, String>, InferenceError> {
        let (input, output) = (&loaded.input, &loaded.output);
        let program = match extract::program(&loaded.graph, input.shape, &output.name) {
            Ok(program) => program,
            Err(not_covered) => return Ok(Err(not_covered.to_string())),
        };
        // What tract has inferred from the same file is the other opinion on it.
        let found = program.tensors[program.output].shape;
        let [_, channels, height, width] = output.shape;
        let expected =
            if output.element == Element::I64 { [found[0], height, width] } else { [channels, height, width] };
        if found != expected {
            return Ok(Err(format!("output {}: expected {expected:?}, found {found:?}", output.name)));
        }
        let prepared = match Prepared::new(program, kernel) {
            Ok(prepared) => Arc::new(prepared),
            Err(reason) => return Ok(Err(reason)),
        };
        let name = loaded.name.clone();
        let failed = |source| InferenceError::Graph { model: name, backend: NAME, step: "planning", source };
        let shape = input.shape;
        let typed = std::mem::take(&mut loaded.typed);
        let (executor, state, node, input) = guarded(|| {
            let executor = Arc::new(Mutex::new(Executor::new(&prepared, threads)?));
            let op = IntegerOp { prepared: prepared.clone(), executor: executor.clone(), mask: [height, width] };
            let mut state = replace(typed, op)?.into_optimized()?.into_runnable()?.spawn()?;
            let element = match prepared.program.enter {
                End::Bytes if prepared.program.tensors[prepared.program.input].signed => i8::datum_type(),
                End::Bytes => u8::datum_type(),
                End::Floats { .. } => f32::datum_type(),
            };
            let node = state.model().output_outlets()?.first().context("a graph without output")?.node;
            // As a run of the plan would do first.
            state.turn_state.values.resize(state.model().nodes().len(), None);
            Ok((executor, state, node, Arc::new(Tensor::zero_dt(element, &shape)?)))
        })
        .map_err(failed)?;
        Ok(Ok(Integer { prepared, executor, state, node, input, threads }))
    }

    fn executor(&self) -> MutexGuard<'_, Executor> {
        lock(&self.executor)
    }
}

/// What an executor holds is written anew by each frame, so that a panic within one leaves nothing broken.
fn lock(executor: &Mutex<Executor>) -> MutexGuard<'_, Executor> {
    executor.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets the operator read the graph's input and makes its mask the graph's output; what lay between has no readers then
/// and goes.
fn replace(mut model: TypedModel, op: IntegerOp) -> TractResult<TypedModel> {
    let input = model.input_outlets()?[0];
    let mask = model.wire_node("integer", op, &[input])?;
    model.select_output_outlets(&mask)?;
    model.compact()?;
    Ok(model)
}

impl Backend for Integer {
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
        let Integer { state, node, input, .. } = self;
        guarded(|| {
            if Arc::get_mut(input).is_none() {
                *input = Arc::new(input.as_ref().clone());
            }
            let tensor = Arc::get_mut(input).context("a new tensor has one owner")?;
            let mut tensor = tensor.try_as_plain_ram_mut()?;
            match frame {
                Frame::Bytes(values) => copy(values, tensor.as_bytes_mut())?,
                Frame::Floats(values) => copy(values, tensor.as_slice_mut::<f32>()?)?,
            }
            // The graph is this operator and its source, and a run of the whole plan would make lists on the heap.
            state.compute_one_with_inputs(*node, tvec!(TValue::from_const(input.clone())))?;
            let outputs = state.turn_state.values.get_mut(*node).and_then(Option::take).context("no value")?;
            let found = outputs.first().context("the graph gave no output")?.try_as_plain_ram()?;
            copy(found.as_bytes(), mask)
        })
        .map_err(|source| InferenceError::Run { backend: NAME, source })
    }

    fn logits(&mut self, logits: &mut [u8]) -> Result<(), InferenceError> {
        self.executor().logits(&self.prepared, logits);
        Ok(())
    }

    fn times(&self) -> Vec<PartTime> {
        self.executor().times(&self.prepared)
    }

    fn describe(&self) -> Description {
        let program = &self.prepared.program;
        let total: u64 = program.steps.iter().map(|step| program.multiplications(step)).sum();
        let nodes = program.steps.iter().enumerate().map(|(index, step)| {
            let own = self.prepared.convolutions().find(|(at, _)| *at == index);
            let multiplications = program.multiplications(step);
            NodeDescription {
                name: step.node.clone(),
                operator: match &step.operator {
                    Operator::Conv(conv) if conv.shape.upsample => "Resize, QLinearConv",
                    other => other.name(),
                }
                .to_owned(),
                kernel: own.map_or("move", |(_, conv)| conv.kernel().name()).to_owned(),
                multiplications,
                share: if total == 0 { 0.0 } else { multiplications as f64 / total as f64 },
            }
        });
        Description {
            engine: NAME,
            kernel: self.kernel(),
            threads: self.threads,
            nodes: nodes.collect(),
            arena_bytes: Some(self.prepared.arena_bytes() + self.executor().scratch_bytes()),
            weight_bytes: Some(self.prepared.weight_bytes()),
            left_to_tract: None,
        }
    }
}

fn copy<T: Copy>(from: &[T], to: &mut [T]) -> TractResult<()> {
    ensure!(from.len() == to.len(), "expected {} values, found {}", to.len(), from.len());
    to.copy_from_slice(from);
    Ok(())
}

/// The operator in tract's graph: from the graph's input to the class of each pixel.
#[derive(Clone)]
struct IntegerOp {
    prepared: Arc<Prepared>,
    /// One for all states; each takes it for a whole frame.
    executor: Arc<Mutex<Executor>>,
    mask: [usize; 2],
}

impl fmt::Debug for IntegerOp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IntegerOp({} steps, {})", self.prepared.program.steps.len(), self.prepared.kernel)
    }
}

impl PartialEq for IntegerOp {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.prepared, &other.prepared)
    }
}

impl Eq for IntegerOp {}

impl Op for IntegerOp {
    fn name(&self) -> StaticName {
        "UnetInteger".into()
    }

    op_as_typed_op!();
}

impl EvalOp for IntegerOp {
    not_out_of_plan!();

    fn state(&self, _: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        Ok(Some(Box::new(IntegerState { op: self.clone(), mask: self.new_mask()? })))
    }
}

impl IntegerOp {
    fn new_mask(&self) -> TractResult<Arc<Tensor>> {
        Ok(Arc::new(Tensor::zero::<u8>(&self.mask)?))
    }
}

impl TypedOp for IntegerOp {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(u8::datum_type().fact(self.mask)))
    }

    as_op!();
}

/// What the operator keeps from frame to frame.
#[derive(Clone)]
struct IntegerState {
    op: IntegerOp,
    /// The last mask. Whoever had it has dropped it before the next frame, so that its memory serves again.
    mask: Arc<Tensor>,
}

impl fmt::Debug for IntegerState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IntegerState({:?})", self.op)
    }
}

impl OpState for IntegerState {
    fn eval(&mut self, _: &EvalContext, _: &dyn Op, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = inputs[0].try_as_plain_ram()?;
        let frame = match (self.op.prepared.program.enter, inputs[0].datum_type().unquantized()) {
            (End::Floats { .. }, DatumType::F32) => Frame::Floats(input.as_slice::<f32>()?),
            (End::Bytes, DatumType::U8 | DatumType::I8) => Frame::Bytes(input.as_bytes()),
            (_, found) => bail!("the integer engine's operator got a frame of {found:?}"),
        };
        if Arc::get_mut(&mut self.mask).is_none() {
            self.mask = self.op.new_mask()?;
        }
        let mask = Arc::get_mut(&mut self.mask).context("a new tensor has one owner")?;
        lock(&self.op.executor).run(&self.op.prepared, frame, mask.try_as_plain_ram_mut()?.as_bytes_mut());
        Ok(tvec!(TValue::from_const(self.mask.clone())))
    }

    fn reset_lanes(&mut self, _: &[LaneId]) -> TractResult<()> {
        // Nothing of a frame is read by the next one.
        Ok(())
    }
}
