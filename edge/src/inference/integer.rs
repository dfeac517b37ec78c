//! The integer engine: tract loads, checks and runs the graph, and one operator of ours takes the place of its whole
//! quantized chain. A graph with a node that the operator does not cover stays with tract as it is.
//!
//! The operator holds the planned program and the packed weights; its state in tract's plan owns buffers and threads.
//! Knows neither packages nor images.

use std::fmt;
use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use unet_shared::manifest::TensorEntry;

use super::kernel::Kernel;
use super::tract::{Loaded, guarded};
use super::{Backend, Description, InferenceError, NodeDescription};
use executor::{Answer, Executor, Frame, Prepared};
use program::{End, Operator};

mod executor;
mod extract;
mod layout;
mod moves;
mod node;
mod program;
mod threads;

pub(super) use threads::THREADS_MAX;

const NAME: &str = "integer";

/// tract's plan around our operator.
pub(super) struct Integer {
    prepared: Arc<Prepared>,
    state: TypedSimpleState,
    /// The frame as tract takes it; the same one for all frames, as nobody else keeps it.
    input: Arc<Tensor>,
    threads: usize,
}

impl Integer {
    /// Replaces the chain of a loaded graph. The error of the inner result says why the graph stays with tract; the graph is
    /// as it was then.
    pub(super) fn load(
        loaded: &mut Loaded,
        input: &TensorEntry,
        output: &TensorEntry,
        kernel: Kernel,
        threads: usize,
    ) -> Result<Result<Self, String>, InferenceError> {
        let program = match extract::program(&loaded.graph, input.shape, &output.name) {
            Ok(program) => program,
            Err(not_covered) => return Ok(Err(not_covered.to_string())),
        };
        // What tract has inferred from the same file is the other opinion on it.
        let found = program.tensors[program.output].shape;
        if [1, found[0], found[1], found[2]] != output.shape {
            return Ok(Err(format!("output {}: expected {:?}, found {found:?}", output.name, output.shape)));
        }
        let prepared = match Prepared::new(program, kernel) {
            Ok(prepared) => Arc::new(prepared),
            Err(reason) => return Ok(Err(reason)),
        };
        let name = loaded.name.clone();
        let failed = |source| InferenceError::Graph { model: name, backend: NAME, step: "planning", source };
        let shape = input.shape;
        let op = IntegerOp { prepared: prepared.clone(), threads, output: output.shape };
        let typed = std::mem::take(&mut loaded.typed);
        let (state, input) = guarded(move || {
            let state = replace(typed, op)?.into_optimized()?.into_runnable()?.spawn()?;
            let element = match prepared_input(&state)? {
                End::Bytes => u8::datum_type(),
                End::Floats { .. } => f32::datum_type(),
            };
            Ok((state, Arc::new(Tensor::zero_dt(element, &shape)?)))
        })
        .map_err(failed)?;
        Ok(Ok(Integer { prepared, state, input, threads }))
    }
}

/// How our operator in the plan takes its frame.
fn prepared_input(state: &TypedSimpleState) -> TractResult<End> {
    let op = state.plan().model().nodes().iter().find_map(|node| node.op_as::<IntegerOp>());
    Ok(op.context("tract's plan has lost our operator")?.prepared.program.enter)
}

/// Puts the operator between the graph's input and its output; what lay between has no readers then and goes.
fn replace(mut model: TypedModel, op: IntegerOp) -> TractResult<TypedModel> {
    let (input, output) = (model.input_outlets()?[0], model.output_outlets()?[0]);
    // tract may have typed the output by its scale; outside the graph it is plain bytes either way.
    let kind = model.outlet_fact(output)?.datum_type;
    let mut patch = TypedModelPatch::new("integer engine");
    let tap = patch.tap_model(&model, input)?;
    let mut wire = patch.wire_node("integer", op, &[tap])?[0];
    if kind.is_quantized() {
        wire = patch.wire_node("integer.quantized", tract_onnx::tract_core::ops::cast::cast(kind), &[wire])?[0];
    }
    patch.shunt_outside(&model, output, wire)?;
    patch.apply(&mut model)?;
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

    fn run(&mut self, input: &[u8], logits: &mut [u8]) -> Result<(), InferenceError> {
        let (state, frame) = (&mut self.state, &mut self.input);
        guarded(|| {
            if Arc::get_mut(frame).is_none() {
                *frame = Arc::new(frame.as_ref().clone());
            }
            let tensor = Arc::get_mut(frame).context("a new tensor has one owner")?;
            copy(input, tensor.try_as_plain_ram_mut()?.as_bytes_mut())?;
            let outputs = state.run(tvec!(TValue::from_const(frame.clone())))?;
            let found = outputs.first().context("the graph gave no output")?.try_as_plain_ram()?;
            copy(found.as_bytes(), logits)
        })
        .map_err(|source| InferenceError::Run { backend: NAME, source })
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
                    Operator::Conv(conv) if conv.upsample => "Resize, QLinearConv",
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
            arena_bytes: Some(self.prepared.arena_bytes()),
            weight_bytes: Some(self.prepared.weight_bytes()),
            left_to_tract: None,
        }
    }
}

fn copy(from: &[u8], to: &mut [u8]) -> TractResult<()> {
    ensure!(from.len() == to.len(), "expected {} bytes, found {}", to.len(), from.len());
    to.copy_from_slice(from);
    Ok(())
}

/// The operator in tract's graph.
#[derive(Clone)]
struct IntegerOp {
    prepared: Arc<Prepared>,
    threads: usize,
    output: [usize; 4],
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
        Ok(Some(Box::new(IntegerState::new(self.clone())?)))
    }
}

impl TypedOp for IntegerOp {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let element = match self.prepared.program.leave {
            End::Floats { .. } => f32::datum_type(),
            End::Bytes if self.prepared.program.tensors[self.prepared.program.output].signed => i8::datum_type(),
            End::Bytes => u8::datum_type(),
        };
        Ok(tvec!(element.fact(self.output)))
    }

    as_op!();
}

/// What the operator keeps from frame to frame.
struct IntegerState {
    op: IntegerOp,
    executor: Executor,
    /// The last answer. Whoever had it has dropped it before the next frame, so that its memory serves again.
    answer: Arc<Tensor>,
}

impl IntegerState {
    fn new(op: IntegerOp) -> TractResult<Self> {
        let executor = Executor::new(&op.prepared, op.threads)?;
        let answer = op.new_answer()?;
        Ok(IntegerState { op, executor, answer })
    }
}

impl IntegerOp {
    fn new_answer(&self) -> TractResult<Arc<Tensor>> {
        let element = self.output_facts(&[])?[0].datum_type;
        Ok(Arc::new(Tensor::zero_dt(element, &self.output)?))
    }
}

impl fmt::Debug for IntegerState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IntegerState({} threads)", self.executor.threads())
    }
}

impl Clone for IntegerState {
    fn clone(&self) -> Self {
        // tract clones a state to run two streams; each has buffers and threads of its own.
        IntegerState::new(self.op.clone()).expect("as much memory again as the first one took")
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
        if Arc::get_mut(&mut self.answer).is_none() {
            self.answer = self.op.new_answer()?;
        }
        let tensor = Arc::get_mut(&mut self.answer).context("a new tensor has one owner")?;
        let floats = tensor.datum_type() == f32::datum_type();
        let mut view = tensor.try_as_plain_ram_mut()?;
        let answer =
            if floats { Answer::Floats(view.as_slice_mut::<f32>()?) } else { Answer::Bytes(view.as_bytes_mut()) };
        self.executor.run(&self.op.prepared, frame, answer);
        Ok(tvec!(TValue::from_const(self.answer.clone())))
    }

    fn reset_lanes(&mut self, _: &[LaneId]) -> TractResult<()> {
        // Nothing of a frame is read by the next one.
        Ok(())
    }
}
