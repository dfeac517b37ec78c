//! Runs a planned program: the packed convolutions, which any number of executors share, and the arena and threads that one
//! owns. A frame allocates nothing.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::super::backend::Frame;
use super::super::description::{self as timed, PartTime};
use super::super::kernel::{InputView, Kernel, OutputView, PackedConv};
use super::classes::{HeadRows, MaskRows, classes};
use super::layout::{Buffer, Layout, plan};
use super::movement::{self, Movement, Planes, PoolWindows};
use super::program::{Form, Operator, Part, Program, TensorId};
use super::scratch::Scratch;
use super::threads::Threads;
use unet_shared::quantization::Addition;

/// A program whose buffers are planned and whose weights are packed.
pub(super) struct Prepared {
    /// What is computed.
    pub program: Program,
    /// The compute kernel of the convolutions.
    pub kernel: Kernel,
    layout: Layout,
    stages: Vec<Stage>,
    /// Whether the last stage is the convolution that makes the logits, so that each row's classes follow at once.
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
    Movement(&'static Movement),
    Copy,
    Requantize(Box<[u8; 256]>),
    MaxPool(PoolWindows),
    /// With its second operand.
    Add(Addition, Operand),
}

impl Prepared {
    /// Plans the buffers and packs the weights for `kernel`; the reason if that fails.
    pub(super) fn new(mut program: Program, kernel: Kernel) -> Result<Self, String> {
        program.fold_clamps();
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
                Operator::Movement(movement) => push(source, target, Action::Movement(movement)),
                Operator::MaxPool(windows) => push(source, target, Action::MaxPool(*windows)),
                Operator::Add(addition) => push(source, target, Action::Add(*addition, operand(step.inputs[1]))),
                Operator::Concat => {
                    let mut channel = target.channels.start;
                    for &part in &step.inputs {
                        let source = operand(part);
                        let end = channel + source.channels.len();
                        let target = Operand { buffer: target.buffer, channels: channel..end };
                        channel = end;
                        // A part that is written in its place needs no copy.
                        if source.buffer != target.buffer {
                            push(source, target, Action::Copy);
                        }
                    }
                }
            }
        }
        for step in &mut program.steps {
            // Only the packed weights are needed from here on.
            if let Operator::Conv(conv) = &mut step.operator {
                conv.weights = Vec::new();
            }
        }
        let logits = program.output.map(|output| operand(&program, &layout, output));
        let has_head = stages.last().zip(logits).is_some_and(|(stage, logits)| {
            matches!(stage.action, Action::Conv(_))
                && (stage.target.buffer, &stage.target.channels) == (logits.buffer, &logits.channels)
        });
        Ok(Prepared { program, kernel, layout, stages, has_head })
    }

    /// The stages of a part.
    fn stages_of(&self, part: usize) -> Range<usize> {
        let part_of = |stage: &Stage| self.program.steps[stage.step].part;
        self.stages.partition_point(|stage| part_of(stage) < part)
            ..self.stages.partition_point(|stage| part_of(stage) <= part)
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
    /// How long the last frame took, by [`slots`].
    times: Vec<Duration>,
}

impl Executor {
    /// Makes the arena and the threads.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub(super) fn new(prepared: &Prepared, threads: usize) -> Result<Self, std::collections::TryReserveError> {
        let mut arena = Vec::new();
        arena.try_reserve_exact(prepared.arena_bytes())?;
        arena.resize(prepared.arena_bytes(), 0);
        let threads = Threads::new(threads);
        let length = prepared.convolutions().map(|(_, conv)| conv.scratch()).max().unwrap_or(0);
        let scratch = Scratch::new(threads.count(), length)?;
        let times = vec![Duration::ZERO; prepared.stages.len() + 2 * prepared.program.parts.len()];
        Ok(Executor { arena, scratch, threads, times })
    }

    /// Runs one part of the program. `input` returns each of its entries, in its form and size; `exits` receives its exits. After
    /// the last part `mask` receives the classes, if the program makes the graph's output. A frame is all parts in order.
    pub(super) fn run<'f>(
        &mut self,
        prepared: &Prepared,
        part: usize,
        input: impl Fn(usize) -> Frame<'f>,
        exits: &mut [Exit<'_>],
        mask: &mut [u8],
    ) {
        let Executor { arena, scratch, threads, times } = self;
        let (program, layout) = (&prepared.program, &prepared.layout);
        let Part { entries, exits: made } = &program.parts[part];
        let stages = prepared.stages_of(part);
        let at = layout.schedule.parts[part].clone();
        let loops = prepared.kernel.loops();
        let mut threads = threads.frame();
        let mut since = Instant::now();
        let mut times = times[slots(&stages, part)].iter_mut();
        let mut lap = || {
            let now = Instant::now();
            if let Some(time) = times.next() {
                *time = now - since;
            }
            since = now;
        };
        let mut unfilled = at.clone();
        let mut fill = |arena: &mut [u8], until: usize| {
            while unfilled.start <= until {
                for buffer in layout.fills[unfilled.start].iter().map(|&buffer| &layout.buffers[buffer]) {
                    movement::fill_border(&buffer.grid, buffer.fill, &mut arena[buffer.bytes.clone()]);
                }
                unfilled.start += 1;
            }
        };

        fill(arena, at.start);
        for (index, entry) in entries.iter().enumerate() {
            let flip = if program.tensors[entry.tensor].signed { 0x80 } else { 0 };
            let target = prepared.target(&operand(program, layout, entry.tensor), arena);
            match (input(index), entry.form) {
                (Frame::Floats(values), Form::Floats(quantization)) => threads.for_rows(target, |rows| {
                    movement::enter(values, rows, |values, out| loops.quantize(values, out, quantization));
                }),
                (Frame::Bytes(values), Form::Bytes) => threads.for_rows(target, |rows| {
                    movement::enter(values, rows, |values, out| {
                        out.iter_mut().zip(values).for_each(|(out, value)| *out = value ^ flip);
                    });
                }),
                _ => unreachable!("the input has the form that the program declares"),
            }
        }
        lap();

        let is_last = part + 1 == program.parts.len();
        let output = program.output.filter(|_| is_last);
        let mut mask = output.map(|output| MaskRows::new(program.tensors[output].shape, mask));
        for index in stages.clone() {
            let stage = &prepared.stages[index];
            // A concatenation without copies has no stage, but may have borders to fill.
            fill(arena, layout.schedule.steps[stage.step]);
            let (read, written) = (&layout.buffers[stage.source.buffer], &layout.buffers[stage.target.buffer]);
            let (outside, target) = apart(arena, &written.bytes);
            let source = input_view(read, &stage.source, outside.get(&read.bytes));
            let target = output_view(written, &stage.target, target);
            if let Action::Conv(conv) = &stage.action {
                match mask.take_if(|_| prepared.has_head && index + 1 == stages.end) {
                    Some(mask) => threads.for_rows(HeadRows { logits: target, mask }, |mut rows| {
                        scratch.lend(|scratch| conv.run(&source, &mut rows.logits, scratch));
                        rows.classes(&loops);
                    }),
                    None => threads
                        .for_rows(target, |mut rows| scratch.lend(|scratch| conv.run(&source, &mut rows, scratch))),
                }
                lap();
                continue;
            }
            match &stage.action {
                Action::Conv(_) => {}
                Action::Movement(movement) => threads.for_rows(target, |rows| (movement.run)(&source, rows)),
                Action::Copy => threads.for_rows(target, |rows| movement::copy(&source, rows)),
                Action::MaxPool(windows) => {
                    threads.for_rows(target, |rows| movement::max_pool_windows(&source, rows, windows));
                }
                Action::Add(addition, operand) => {
                    let read = &layout.buffers[operand.buffer];
                    let second = input_view(read, operand, outside.get(&read.bytes));
                    threads.for_rows(target, |rows| movement::add([&source, &second], rows, addition, &loops));
                }
                Action::Requantize(table) => threads.for_rows(target, |rows| movement::map(&source, rows, table)),
            }
            lap();
        }
        for (exit, values) in made.iter().zip(exits) {
            let source = prepared.source(&operand(program, layout, exit.tensor), arena);
            let channels = source.channels().len();
            match (values, exit.form) {
                (Exit::Floats(values), Form::Floats(real)) => {
                    threads.for_rows(Planes::new(channels, values), |planes| {
                        movement::leave(&source, planes, |byte| real.dequantize(byte));
                    })
                }
                (Exit::Bytes(values), Form::Bytes) => {
                    let flip = if program.tensors[exit.tensor].signed { 0x80 } else { 0 };
                    threads.for_rows(Planes::new(channels, values), |planes| {
                        movement::leave(&source, planes, |byte| byte ^ flip);
                    });
                }
                _ => unreachable!("the exit has the form that the program declares"),
            }
        }
        if let (Some(mask), Some(output)) = (mask, output) {
            let logits = prepared.source(&operand(program, layout, output), arena);
            threads.for_rows(mask, |rows| classes(&logits, rows, &loops));
        }
        lap();
    }

    /// Bytes of the threads' scratch memory.
    pub(super) fn scratch_bytes(&self) -> usize {
        self.scratch.bytes()
    }

    /// The last frame's logits, K, H, W, the bit patterns of a signed output; untouched if the output is made outside.
    pub(super) fn logits(&self, prepared: &Prepared, logits: &mut [u8]) {
        let program = &prepared.program;
        let Some(output) = program.output else { return };
        let source = prepared.source(&operand(program, &prepared.layout, output), &self.arena);
        let flip = if program.tensors[output].signed { 0x80 } else { 0 };
        movement::leave(&source, Planes::new(source.channels().len(), logits), |value| value ^ flip);
    }

    /// How long the parts of the last frame took; the stages of one node are one.
    pub(super) fn times(&self, prepared: &Prepared) -> Vec<PartTime> {
        let mut times: Vec<PartTime> = Vec::new();
        for (index, part) in prepared.program.parts.iter().enumerate() {
            let stages = prepared.stages_of(index);
            let slots = &self.times[slots(&stages, index)];
            let is_last = index + 1 == prepared.program.parts.len();
            let has_classes = is_last && prepared.program.output.is_some() && !prepared.has_head;
            let end = if !part.exits.is_empty() {
                Some(timed::Part::Leave)
            } else {
                has_classes.then_some(timed::Part::Argmax)
            };
            let nodes = prepared.stages[stages].iter().map(|stage| timed::Part::Node(stage.step));
            for (part, &time) in std::iter::once(timed::Part::Enter).chain(nodes).chain(end).zip(slots) {
                match times.last_mut().filter(|last| last.part == part) {
                    Some(last) => last.time += time,
                    None => times.push(PartTime { part, time }),
                }
            }
        }
        times
    }
}

/// The memory of an exit, N, C, H, W.
pub(super) enum Exit<'a> {
    /// Bytes, or the bit patterns of signed ones.
    Bytes(&'a mut [u8]),
    /// Dequantized.
    Floats(&'a mut [f32]),
}

/// The times of a part: its entries, each stage, and its exits and classes.
fn slots(stages: &Range<usize>, part: usize) -> Range<usize> {
    stages.start + 2 * part..stages.end + 2 * part + 2
}

/// The arena but for the region that is written.
#[derive(Clone, Copy)]
struct Outside<'a> {
    below: &'a [u8],
    above: &'a [u8],
    /// Where the region ends.
    end: usize,
}

impl<'a> Outside<'a> {
    /// A region that does not overlap with the one that is written.
    fn get(self, bytes: &Range<usize>) -> &'a [u8] {
        if bytes.start < self.end {
            &self.below[bytes.clone()]
        } else {
            &self.above[bytes.start - self.end..][..bytes.len()]
        }
    }
}

/// The region of the arena that is written, and the rest.
fn apart<'a>(arena: &'a mut [u8], written: &Range<usize>) -> (Outside<'a>, &'a mut [u8]) {
    let (below, rest) = arena.split_at_mut(written.start);
    let (target, above) = rest.split_at_mut(written.len());
    (Outside { below, above, end: written.end }, target)
}
