//! Running a graph by tract as tract optimizes it: the backend for what the integer engine does not cover at all, and the plan
//! around the parts that it does cover.

use tract_onnx::prelude::*;
use unet_shared::mask::{argmax_f32, argmax_u8};

use super::backend::{Backend, Element, Frame, Port};
use super::description::Description;
use super::error::{InferenceError, Source};
use super::loaded::{Loaded, TRACT, graph_error, guarded};

/// A graph that tract has optimized, with its state.
pub(super) struct Plan {
    // One state for all frames: it keeps tract's constants and operator states.
    state: TypedSimpleState,
    input: Port,
}

impl Plan {
    /// Optimizes a typed graph.
    pub(super) fn new(typed: TypedModel, input: Port) -> Result<Self, Source> {
        let state = guarded(|| typed.into_optimized()?.into_runnable()?.spawn())?;
        Ok(Plan { state, input })
    }

    /// Runs one frame, to the graph's one output.
    pub(super) fn run(&mut self, frame: Frame<'_>) -> TractResult<TValue> {
        let shape = &self.input.shape;
        let frame = match frame {
            Frame::Floats(values) => Tensor::from_shape(shape, values)?,
            Frame::Bytes(values) if self.input.element == Element::I8 => {
                let signed: Vec<i8> = values.iter().map(|&value| value as i8).collect();
                Tensor::from_shape(shape, &signed)?
            }
            Frame::Bytes(values) => Tensor::from_shape(shape, values)?,
        };
        let found = self.state.run(tvec!(frame.into()))?.into_iter().next();
        found.ok_or_else(|| TractError::msg("the graph gave no output"))
    }
}

/// What the last frame gave, where tract computes the graph's output.
pub(super) struct Answer {
    output: Port,
    value: Option<TValue>,
}

impl Answer {
    pub(super) fn new(output: Port) -> Self {
        Answer { output, value: None }
    }

    /// Frees the last frame's memory before the next frame needs as much.
    pub(super) fn clear(&mut self) {
        self.value = None;
    }

    /// Keeps the value, and computes the class of each pixel from it.
    pub(super) fn set(&mut self, value: TValue, mask: &mut [u8]) -> TractResult<()> {
        classes(&value, &self.output, mask)?;
        self.value = Some(value);
        Ok(())
    }

    /// The bytes of an 8-bit output; zeros before the first frame.
    pub(super) fn logits(&self, logits: &mut [u8]) -> TractResult<()> {
        let Some(value) = &self.value else {
            logits.fill(0);
            return Ok(());
        };
        let found = value.try_as_plain_ram()?;
        let found = found.as_bytes();
        ensure_len(found.len(), logits.len())?;
        logits.copy_from_slice(found);
        Ok(())
    }
}

/// tract alone.
pub(super) struct Tract {
    plan: Plan,
    answer: Answer,
    reason: String,
}

impl Tract {
    /// Takes the whole graph; `reason` says why no other backend does.
    ///
    /// # Errors
    ///
    /// When tract cannot optimize the graph.
    pub(super) fn new(loaded: Loaded, reason: String) -> Result<Self, InferenceError> {
        let Loaded { name, typed, input, output, .. } = loaded;
        let plan = Plan::new(typed, input).map_err(|source| graph_error(&name, "optimising", source))?;
        Ok(Tract { plan, answer: Answer::new(output), reason })
    }
}

impl Backend for Tract {
    fn name(&self) -> &'static str {
        TRACT
    }

    fn kernel(&self) -> &'static str {
        TRACT
    }

    fn threads(&self) -> usize {
        1
    }

    fn describe(&self) -> Description {
        Description {
            engine: TRACT,
            kernel: TRACT,
            threads: 1,
            nodes: Vec::new(),
            tract_nodes: Vec::new(),
            arena_bytes: None,
            weight_bytes: None,
            left_to_tract: Some(self.reason.clone()),
        }
    }

    fn segment(&mut self, frame: Frame<'_>, mask: &mut [u8]) -> Result<(), InferenceError> {
        let Tract { plan, answer, .. } = self;
        guarded(|| {
            answer.clear();
            answer.set(plan.run(frame)?, mask)
        })
        .map_err(|source| InferenceError::Run { backend: TRACT, source })
    }

    fn logits(&mut self, logits: &mut [u8]) -> Result<(), InferenceError> {
        guarded(|| self.answer.logits(logits)).map_err(|source| InferenceError::Run { backend: TRACT, source })
    }
}

/// The class of each pixel from an output of any supported type.
fn classes(answer: &Tensor, output: &Port, mask: &mut [u8]) -> TractResult<()> {
    let found = answer.try_as_plain_ram()?;
    let classes = output.shape[1];
    ensure_len(answer.len(), output.shape.iter().product())?;
    match output.element {
        Element::U8 => Ok(argmax_u8(found.as_bytes(), classes, mask)?),
        Element::I8 => {
            let unsigned: Vec<u8> = found.as_bytes().iter().map(|value| value ^ 0x80).collect();
            Ok(argmax_u8(&unsigned, classes, mask)?)
        }
        Element::F32 => Ok(argmax_f32(found.as_slice::<f32>()?, classes, mask)?),
        Element::I64 => {
            for (out, &class) in mask.iter_mut().zip(found.as_slice::<i64>()?) {
                *out =
                    u8::try_from(class).map_err(|_| TractError::msg(format!("expected a class id, found {class}")))?;
            }
            Ok(())
        }
    }
}

fn ensure_len(found: usize, expected: usize) -> TractResult<()> {
    if found == expected { Ok(()) } else { Err(TractError::msg(format!("expected {expected} values, found {found}"))) }
}
