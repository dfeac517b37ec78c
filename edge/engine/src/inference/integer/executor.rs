//! Runs a planned program: the packed convolutions, which any number of executors share, and the arena and threads that one
//! owns. After it is made, a frame makes no allocation.

use std::ops::Range;
use std::time::{Duration, Instant};

use unet_shared::quantization::Quantization;

use super::super::kernel::{InputView, Kernel, OutputView, PackedConv};
use super::super::model::Frame;
use super::super::{Part, PartTime};
use super::classes::{HeadRows, MaskRows, classes};
use super::layout::{Buffer, Layout, plan};
use super::moves::{self, Planes};
use super::program::{End, Operator, Program, TensorId};
use super::scratch::Scratch;
use super::threads::Threads;

/// A program whose buffers are planned and whose weights are packed.
pub(super) struct Prepared {
    /// What is computed.
    pub program: Program,
    /// Who computes the convolutions.
    pub kernel: Kernel,
    layout: Layout,
    stages: Vec<Stage>,
    /// Whether the last stage is the convolution that makes the logits, whose rows get their classes at once.
    has_head: bool,
}

/// Channels of a buffer.
#[derive(Debug, Clone)]
struct Operand {
    buffer: usize,
    channels: Range<usize>,
}

struct Stage {
    /// Index of the step in the program.
    step: usize,
    source: Operand,
    target: Operand,
    action: Action,
}

enum Action {
    Conv(Box<PackedConv>),
    MaxPool,
    Upsample,
    Copy,
    DepthToSpace,
    Requantize(Box<[u8; 256]>),
}

impl Prepared {
    /// Plans the buffers and packs the weights for `kernel`; the reason where that cannot be done.
    pub(super) fn new(mut program: Program, kernel: Kernel) -> Result<Self, String> {
        program.fold_upsampling();
        let layout = plan(&program)?;
        let mut stages = Vec::with_capacity(program.steps.len());
        for (index, step) in program.steps.iter().enumerate() {
            let operand = |tensor: TensorId| operand(&program, &layout, tensor);
            let mut push = |source, target, action| stages.push(Stage { step: index, source, target, action });
            let (source, target) = (operand(step.inputs[0]), operand(step.output));
            match &step.operator {
                Operator::Conv(conv) => {
                    let grid = layout.buffers[source.buffer].grid;
                    let packed =
                        PackedConv::new(kernel, conv, grid).map_err(|error| format!("node {}: {error}", step.node))?;
                    push(source, target, Action::Conv(Box::new(packed)));
                }
                Operator::Requantize(table) => push(source, target, Action::Requantize(table.clone())),
                Operator::MaxPool => push(source, target, Action::MaxPool),
                Operator::Upsample => push(source, target, Action::Upsample),
                Operator::DepthToSpace => push(source, target, Action::DepthToSpace),
                Operator::Concat => {
                    let mut channel = target.channels.start;
                    for &part in &step.inputs {
                        let source = operand(part);
                        let end = channel + source.channels.len();
                        let target = Operand { buffer: target.buffer, channels: channel..end };
                        channel = end;
                        // What lies in the whole is there already.
                        if source.buffer != target.buffer {
                            push(source, target, Action::Copy);
                        }
                    }
                }
            }
        }
        for step in &mut program.steps {
            // The packed ones are all that is needed from here on.
            if let Operator::Conv(conv) = &mut step.operator {
                conv.weights = Vec::new();
            }
        }
        let logits = operand(&program, &layout, program.output);
        let has_head = stages.last().is_some_and(|stage| {
            matches!(stage.action, Action::Conv(_))
                && (stage.target.buffer, &stage.target.channels) == (logits.buffer, &logits.channels)
        });
        Ok(Prepared { program, kernel, layout, stages, has_head })
    }

    /// Bytes of the arena.
    pub(super) fn arena_bytes(&self) -> usize {
        self.layout.arena
    }

    /// Bytes of the packed weights.
    pub(super) fn weight_bytes(&self) -> usize {
        self.convolutions().map(|(_, conv)| conv.bytes()).sum()
    }

    /// The convolutions with the index of their steps.
    pub(super) fn convolutions(&self) -> impl Iterator<Item = (usize, &PackedConv)> {
        self.stages.iter().filter_map(|stage| match &stage.action {
            Action::Conv(conv) => Some((stage.step, &**conv)),
            _ => None,
        })
    }

    fn target<'a>(&self, operand: &Operand, arena: &'a mut [u8]) -> OutputView<'a> {
        let buffer = &self.layout.buffers[operand.buffer];
        output_view(buffer, operand, &mut arena[buffer.bytes.clone()])
    }

    fn source<'a>(&self, operand: &Operand, arena: &'a [u8]) -> InputView<'a> {
        let buffer = &self.layout.buffers[operand.buffer];
        input_view(buffer, operand, &arena[buffer.bytes.clone()])
    }
}

fn input_view<'a>(buffer: &Buffer, operand: &Operand, bytes: &'a [u8]) -> InputView<'a> {
    InputView::new(buffer.grid, operand.channels.clone(), bytes).expect("the plan's buffers hold its tensors")
}

fn output_view<'a>(buffer: &Buffer, operand: &Operand, bytes: &'a mut [u8]) -> OutputView<'a> {
    OutputView::new(buffer.grid, operand.channels.clone(), bytes).expect("the plan's buffers hold its tensors")
}

fn operand(program: &Program, layout: &Layout, tensor: TensorId) -> Operand {
    let place = layout.places[tensor];
    Operand { buffer: place.buffer, channels: place.channel..place.channel + program.tensors[tensor].shape[0] }
}

/// What one user of a [`Prepared`] program owns.
pub(super) struct Executor {
    arena: Vec<u8>,
    scratch: Scratch,
    threads: Threads,
    /// What the last frame took: to enter, each stage, the classes where they are a pass of their own.
    times: Vec<Duration>,
}

impl Executor {
    /// Makes the arena and the threads.
    ///
    /// # Errors
    /// When there is not as much memory.
    pub(super) fn new(prepared: &Prepared, threads: usize) -> Result<Self, std::collections::TryReserveError> {
        let mut arena = Vec::new();
        arena.try_reserve_exact(prepared.arena_bytes())?;
        arena.resize(prepared.arena_bytes(), 0);
        let threads = Threads::new(threads);
        let length = prepared.convolutions().map(|(_, conv)| conv.scratch()).max().unwrap_or(0);
        let scratch = Scratch::new(threads.count(), length)?;
        let times = vec![Duration::ZERO; prepared.stages.len() + 2];
        Ok(Executor { arena, scratch, threads, times })
    }

    /// Computes one frame, of the type and the size of the program's input; `mask` is of the output's size.
    pub(super) fn run(&mut self, prepared: &Prepared, frame: Frame<'_>, mask: &mut [u8]) {
        let Executor { arena, scratch, threads, times } = self;
        let (program, layout) = (&prepared.program, &prepared.layout);
        let mut threads = threads.frame();
        let mut since = Instant::now();
        let mut times = times.iter_mut();
        let mut lap = || {
            let now = Instant::now();
            if let Some(time) = times.next() {
                *time = now - since;
            }
            since = now;
        };
        let fill = |arena: &mut [u8], at: usize| {
            for buffer in layout.fills[at].iter().map(|&buffer| &layout.buffers[buffer]) {
                moves::fill_border(&buffer.grid, buffer.fill, &mut arena[buffer.bytes.clone()]);
            }
        };

        fill(arena, 0);
        let flip = if program.tensors[program.input].signed { 0x80 } else { 0 };
        let input = prepared.target(&operand(program, layout, program.input), arena);
        match (frame, program.enter) {
            (Frame::Floats(values), End::Floats { scale, zero_point }) => {
                let quantization = Quantization { scale, zero_point: i32::from(zero_point) };
                threads.for_rows(input, |rows| {
                    moves::enter(values, rows, |values, out| moves::quantize(values, out, quantization));
                });
            }
            (Frame::Bytes(values), _) => threads.for_rows(input, |rows| {
                moves::enter(values, rows, |values, out| {
                    out.iter_mut().zip(values).for_each(|(out, value)| *out = value ^ flip);
                });
            }),
            (Frame::Floats(_), End::Bytes) => unreachable!("the caller gives what the program takes"),
        }
        lap();

        let mut mask = Some(MaskRows::new(program.tensors[program.output].shape, mask));
        let mut filled = 0;
        for (index, stage) in prepared.stages.iter().enumerate() {
            // A concatenation without copies has no stage, but may have borders to fill.
            while filled <= stage.step {
                filled += 1;
                fill(arena, filled);
            }
            let (read, written) = (&layout.buffers[stage.source.buffer], &layout.buffers[stage.target.buffer]);
            let (source, target) = apart(arena, &read.bytes, &written.bytes);
            let (source, target) =
                (input_view(read, &stage.source, source), output_view(written, &stage.target, target));
            if let Action::Conv(conv) = &stage.action {
                match mask.take_if(|_| prepared.has_head && index + 1 == prepared.stages.len()) {
                    Some(mask) => threads.for_rows(HeadRows { logits: target, mask }, |mut rows| {
                        scratch.lend(|scratch| conv.run(&source, &mut rows.logits, scratch));
                        rows.classes();
                    }),
                    None => threads
                        .for_rows(target, |mut rows| scratch.lend(|scratch| conv.run(&source, &mut rows, scratch))),
                }
                lap();
                continue;
            }
            match &stage.action {
                Action::Conv(_) => {}
                Action::MaxPool => threads.for_rows(target, |rows| moves::max_pool(&source, rows)),
                Action::Upsample => threads.for_rows(target, |rows| moves::upsample(&source, rows)),
                Action::Copy => threads.for_rows(target, |rows| moves::copy(&source, rows)),
                Action::DepthToSpace => threads.for_rows(target, |rows| moves::depth_to_space(&source, rows)),
                Action::Requantize(table) => threads.for_rows(target, |rows| moves::map(&source, rows, table)),
            }
            lap();
        }
        if let Some(mask) = mask {
            let logits = prepared.source(&operand(program, layout, program.output), arena);
            threads.for_rows(mask, |rows| classes(&logits, rows));
            lap();
        }
    }

    /// Bytes of what threads compute in beside the arena.
    pub(super) fn scratch_bytes(&self) -> usize {
        self.scratch.bytes()
    }

    /// The last frame's logits, K, H, W; those of a signed output by their bits.
    pub(super) fn logits(&self, prepared: &Prepared, logits: &mut [u8]) {
        let program = &prepared.program;
        let output = prepared.source(&operand(program, &prepared.layout, program.output), &self.arena);
        let flip = if program.tensors[program.output].signed { 0x80 } else { 0 };
        moves::leave(&output, Planes::new(program.tensors[program.output].shape[0], logits), |value| value ^ flip);
    }

    /// What the last frame took; all of one node together.
    pub(super) fn times(&self, prepared: &Prepared) -> Vec<PartTime> {
        let stages = prepared.stages.iter().map(|stage| Part::Node(stage.step));
        let parts = std::iter::once(Part::Enter).chain(stages);
        let parts = parts.chain((!prepared.has_head).then_some(Part::Argmax));
        let mut times: Vec<PartTime> = Vec::new();
        for (part, &time) in parts.zip(&self.times) {
            match times.last_mut().filter(|last| last.part == part) {
                Some(last) => last.time += time,
                None => times.push(PartTime { part, time }),
            }
        }
        times
    }
}

/// Two regions of the arena that do not overlap, the first to be read.
fn apart<'a>(arena: &'a mut [u8], read: &Range<usize>, written: &Range<usize>) -> (&'a [u8], &'a mut [u8]) {
    if read.end <= written.start {
        let (below, above) = arena.split_at_mut(written.start);
        (&below[read.clone()], &mut above[..written.len()])
    } else {
        let (below, above) = arena.split_at_mut(read.start);
        (&above[..read.len()], &mut below[written.clone()])
    }
}
