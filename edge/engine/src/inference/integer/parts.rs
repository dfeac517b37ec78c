//! A graph of which the engine runs parts: each is an operator in tract's plan for the rest.
//!
//! All parts share one executor, so that a tensor that one makes and another reads stays where it is. A token that each part makes
//! and the next one reads keeps the plan from running them in another order.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use super::describe::describe;
use super::executor::{Executor, Exit, Prepared};
use super::facts::{Fact, Facts};
use super::node::NotCovered;
use super::program::Form;
use crate::inference::backend::{Backend, Frame};
use crate::inference::description::{Description, Part, PartTime};
use crate::inference::error::{InferenceError, Source};
use crate::inference::loaded::{Loaded, guarded};
use crate::inference::tract::{Answer, Plan};

const NAME: &str = "integer+tract";

/// tract's plan around the engine's parts.
pub(in crate::inference) struct Parts {
    prepared: Arc<Prepared>,
    executor: Arc<Mutex<Executor>>,
    plan: Plan,
    /// `None` if the last part makes the classes.
    answer: Option<Answer>,
    threads: usize,
    outside: Vec<NotCovered>,
    /// How long the last frame took.
    time: Duration,
}

impl Parts {
    /// Puts the program's parts into the loaded graph. `outside` are the nodes that tract keeps.
    ///
    /// # Errors
    ///
    /// If tract cannot plan the graph.
    pub(super) fn new(
        loaded: &Loaded,
        facts: &Facts,
        prepared: Arc<Prepared>,
        executor: Executor,
        outside: Vec<NotCovered>,
        threads: usize,
    ) -> Result<Self, Source> {
        let executor = Arc::new(Mutex::new(executor));
        let typed = loaded.typed.clone();
        let typed = guarded(|| insert(typed, facts, &prepared, &executor))?;
        let plan = Plan::new(typed, loaded.input.clone())?;
        let answer = prepared.program.output.is_none().then(|| Answer::new(loaded.output.clone()));
        Ok(Parts { prepared, executor, plan, answer, threads, outside, time: Duration::ZERO })
    }
}

/// Lets each part read its entries and makes its exits what tract's nodes read in their place. What only the replaced nodes have
/// read goes.
fn insert(
    mut model: TypedModel,
    facts: &Facts,
    prepared: &Arc<Prepared>,
    executor: &Arc<Mutex<Executor>>,
) -> TractResult<TypedModel> {
    let program = &prepared.program;
    let fact = |name: &str| facts.get(name).with_context(|| format!("tract does not know tensor {name}"));
    let mut exits = Vec::new();
    let (mut token, mut mask) = (None, None);
    for (index, part) in program.parts.iter().enumerate() {
        let entries = part.entries.iter().map(|entry| Ok(fact(&entry.name)?.outlet));
        let inputs: TVec<OutletId> = entries.chain(token.map(Ok)).collect::<TractResult<_>>()?;
        let replaced: Vec<&Fact> = part.exits.iter().map(|exit| fact(&exit.name)).collect::<TractResult<_>>()?;
        let mut outputs: TVec<TypedFact> = replaced
            .iter()
            .map(|fact| Ok(model.outlet_fact(fact.outlet)?.without_value()))
            .collect::<TractResult<_>>()?;
        let is_last = index + 1 == program.parts.len();
        let last: &[usize] = match program.output {
            Some(logits) if is_last => &program.tensors[logits].shape[1..],
            _ => &[],
        };
        outputs.push(u8::datum_type().fact(last));
        let op = PartOp { prepared: prepared.clone(), executor: executor.clone(), part: index, outputs };
        let name = model.unique_name("integer").into_owned();
        let wires = model.wire_node(name, op, &inputs)?;
        exits.extend(replaced.iter().map(|fact| fact.outlet).zip(wires.iter().copied()));
        token = wires.last().copied();
        mask = token.filter(|_| is_last && program.output.is_some());
    }
    for (replaced, exit) in exits {
        let readers = model.node(replaced.node).outputs[replaced.slot].successors.clone();
        for reader in readers {
            model.add_edge(exit, reader)?;
        }
    }
    if let Some(mask) = mask {
        model.select_output_outlets(&[mask])?;
    }
    model.compact()?;
    Ok(model)
}

/// Each frame writes what it reads, so that a panic within one leaves nothing broken.
fn lock(executor: &Mutex<Executor>) -> MutexGuard<'_, Executor> {
    executor.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Backend for Parts {
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
        let Parts { plan, answer, time, .. } = self;
        let start = Instant::now();
        let done = guarded(|| {
            let Some(answer) = answer else {
                let found = plan.run(frame)?;
                let found = found.try_as_plain_ram()?;
                let found = found.as_bytes();
                ensure!(found.len() == mask.len(), "expected {} classes, found {}", mask.len(), found.len());
                mask.copy_from_slice(found);
                return Ok(());
            };
            answer.clear();
            answer.set(plan.run(frame)?, mask)
        });
        *time = start.elapsed();
        done.map_err(|source| InferenceError::Run { backend: NAME, source })
    }

    fn logits(&mut self, logits: &mut [u8]) -> Result<(), InferenceError> {
        match &self.answer {
            Some(answer) => {
                guarded(|| answer.logits(logits)).map_err(|source| InferenceError::Run { backend: NAME, source })
            }
            None => {
                lock(&self.executor).logits(&self.prepared, logits);
                Ok(())
            }
        }
    }

    fn times(&self) -> Vec<PartTime> {
        let mut times = lock(&self.executor).times(&self.prepared);
        let own: Duration = times.iter().map(|part| part.time).sum();
        times.push(PartTime { part: Part::Tract, time: self.time.saturating_sub(own) });
        times
    }

    fn describe(&self) -> Description {
        describe(NAME, &self.prepared, &lock(&self.executor), self.threads, &self.outside)
    }
}

/// One part in tract's graph.
#[derive(Clone)]
struct PartOp {
    prepared: Arc<Prepared>,
    executor: Arc<Mutex<Executor>>,
    part: usize,
    /// Its exits, and after them a byte as token for the next part; after those of the last part the classes, if the program
    /// makes them.
    outputs: TVec<TypedFact>,
}

impl fmt::Debug for PartOp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PartOp({}, {})", self.part, self.prepared.kernel)
    }
}

impl PartialEq for PartOp {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.prepared, &other.prepared) && self.part == other.part
    }
}

impl Eq for PartOp {}

impl Op for PartOp {
    fn name(&self) -> StaticName {
        "UnetInteger".into()
    }

    op_as_typed_op!();
}

impl EvalOp for PartOp {
    not_out_of_plan!();

    fn state(&self, _: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        let outputs = (0..self.outputs.len()).map(|index| self.output(index)).collect::<TractResult<_>>()?;
        Ok(Some(Box::new(PartState { op: self.clone(), outputs })))
    }
}

impl PartOp {
    fn output(&self, index: usize) -> TractResult<Arc<Tensor>> {
        let fact = &self.outputs[index];
        let shape = fact.shape.as_concrete().context("a tensor of open size")?;
        Ok(Arc::new(Tensor::zero_dt(fact.datum_type, shape)?))
    }
}

impl TypedOp for PartOp {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.outputs.clone())
    }

    as_op!();
}

/// What a part keeps from frame to frame: the memory of its outputs, which serves again once tract has dropped them.
#[derive(Clone)]
struct PartState {
    op: PartOp,
    outputs: Vec<Arc<Tensor>>,
}

impl fmt::Debug for PartState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PartState({:?})", self.op)
    }
}

impl OpState for PartState {
    fn eval(&mut self, _: &EvalContext, _: &dyn Op, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let PartState { op, outputs } = self;
        let part = &op.prepared.program.parts[op.part];
        let views = inputs.iter().map(|input| input.try_as_plain_ram()).collect::<TractResult<TVec<_>>>()?;
        let expected = part.entries.len() + usize::from(op.part > 0);
        ensure!(views.len() == expected, "expected {expected} inputs, found {}", views.len());
        let frames = views
            .iter()
            .zip(&part.entries)
            .map(|(view, entry)| {
                Ok(match entry.form {
                    Form::Bytes => Frame::Bytes(view.as_bytes()),
                    Form::Floats(_) => Frame::Floats(view.as_slice::<f32>()?),
                })
            })
            .collect::<TractResult<TVec<Frame<'_>>>>()?;
        for (index, output) in outputs.iter_mut().enumerate() {
            if Arc::get_mut(output).is_none() {
                *output = op.output(index)?;
            }
        }
        let mut made = outputs
            .iter_mut()
            .map(|output| Arc::get_mut(output).context("a new tensor has one owner")?.try_as_plain_ram_mut())
            .collect::<TractResult<TVec<_>>>()?;
        let (exits, mask) = made.split_at_mut(part.exits.len());
        let mut exits = exits
            .iter_mut()
            .zip(&part.exits)
            .map(|(view, exit)| {
                Ok(match exit.form {
                    Form::Bytes => Exit::Bytes(view.as_bytes_mut()),
                    Form::Floats(_) => Exit::Floats(view.as_slice_mut::<f32>()?),
                })
            })
            .collect::<TractResult<TVec<_>>>()?;
        // The token's byte where there are no classes, which nobody writes.
        let mask = mask.first_mut().map_or(&mut [][..], |mask| mask.as_bytes_mut());
        lock(&op.executor).run(&op.prepared, op.part, |index| frames[index], &mut exits, mask);
        drop(exits);
        drop(made);
        Ok(outputs.iter().map(|output| TValue::from_const(output.clone())).collect())
    }

    fn reset_lanes(&mut self, _: &[LaneId]) -> TractResult<()> {
        // No frame reads what another has written.
        Ok(())
    }
}
