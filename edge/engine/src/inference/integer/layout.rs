//! The memory plan of a program: one arena, planned once from lifetimes. The parts of a concatenation are written side by side
//! into the whole, and a border holds the zero point that a convolution's padding reads.
//!
//! A buffer is NHWC of one image. Its rows and pixels have strides, so that a part of a concatenation is a view like any
//! other. Knows no threads and no arithmetic on pixels.

use std::collections::HashMap;
use std::ops::Range;

use super::super::kernel::Grid;
use super::program::{Operator, Program, Step, TensorId};

/// Buffers begin at multiples of this, a cache line.
const ALIGNMENT: usize = 64;
/// The maximum size of an arena; single tensors are bounded when the graph is loaded.
const ARENA_MAX: usize = 1 << 31;

/// One region of the arena.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Buffer {
    /// Its bytes, slack included.
    pub bytes: Range<usize>,
    /// Their arrangement.
    pub grid: Grid,
    /// The value of the border.
    pub fill: u8,
}

/// The place of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of its buffer.
    pub buffer: usize,
    /// Its first channel there.
    pub channel: usize,
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// The place of every tensor.
    pub places: Vec<Place>,
    /// Buffers whose border is filled at a time, before that time's step.
    pub fills: Vec<Vec<usize>>,
    /// The times of a frame.
    pub schedule: Schedule,
    /// Bytes of the arena.
    pub arena: usize,
}

/// The times of a frame: each part takes its entries, runs its steps one after the other, and gives its exits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    /// When each part takes its entries and when it gives its exits.
    pub parts: Vec<Range<usize>>,
    /// When each step runs.
    pub steps: Vec<usize>,
}

impl Schedule {
    fn of(program: &Program) -> Self {
        let mut now = 0;
        let mut steps = program.steps.iter().peekable();
        let mut schedule = Schedule { parts: Vec::new(), steps: Vec::new() };
        for part in 0..program.parts.len() {
            let start = now;
            now += 1;
            while steps.next_if(|step| step.part == part).is_some() {
                schedule.steps.push(now);
                now += 1;
            }
            schedule.parts.push(start..now);
            now += 1;
        }
        schedule
    }

    fn end(&self) -> usize {
        self.parts.last().map_or(0, |part| part.end + 1)
    }
}

/// The border that the convolutions which read a tensor need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Padding {
    border: usize,
    /// `None` if any value will do.
    fill: Option<u8>,
}

impl Padding {
    /// A border that serves both; `None` if they need different values.
    fn joined(self, other: Padding) -> Option<Padding> {
        let fill = match (self.fill, other.fill) {
            (Some(one), Some(two)) if one != two => return None,
            (one, two) => one.or(two),
        };
        Some(Padding { border: self.border.max(other.border), fill })
    }
}

/// Plans a program; the reason if that fails.
pub(super) fn plan(program: &Program) -> Result<Layout, String> {
    let count = program.tensors.len();
    let mut paddings = vec![Padding::default(); count];
    for step in &program.steps {
        if let Operator::Conv(conv) = &step.operator {
            let border = conv.shape.border();
            let fill = (border > 0).then_some(conv.x_zero_point);
            let read = step.inputs[0];
            paddings[read] = paddings[read].joined(Padding { border, fill }).ok_or_else(|| {
                format!("tensor {}: expected one zero point for all its readers", program.tensors[read].name)
            })?;
        }
    }

    // The concatenation that each tensor is written into, and its first channel there.
    let mut owner: Vec<Option<(TensorId, usize)>> = vec![None; count];
    for step in program.steps.iter().filter(|step| step.operator == Operator::Concat) {
        let attempt = owner.clone();
        let mut channel = 0;
        for &part in &step.inputs {
            if owner[part].is_none() && step.inputs.iter().filter(|&&other| other == part).count() <= 1 {
                owner[part] = Some((step.output, channel));
            }
            channel += program.tensors[part].shape[0];
        }
        if !is_sound(program, &owner, &paddings) {
            owner = attempt;
        }
    }
    let root = |mut tensor: TensorId| {
        let mut channel = 0;
        while let Some((whole, first)) = owner[tensor] {
            (tensor, channel) = (whole, channel + first);
        }
        (tensor, channel)
    };

    let mut index_of = HashMap::new();
    let mut wholes: Vec<(TensorId, Padding)> = Vec::new();
    let mut places = Vec::with_capacity(count);
    for (tensor, padding) in paddings.iter().enumerate() {
        let (whole, channel) = root(tensor);
        let buffer = *index_of.entry(whole).or_insert_with(|| {
            wholes.push((whole, Padding::default()));
            wholes.len() - 1
        });
        // `is_sound` has seen that they agree.
        wholes[buffer].1 = wholes[buffer].1.joined(*padding).unwrap_or_default();
        places.push(Place { buffer, channel });
    }
    let mut buffers = Vec::with_capacity(wholes.len());
    for (whole, padding) in wholes {
        let [channels, height, width] = program.tensors[whole].shape;
        let grid = Grid::new(height, width, padding.border, channels).map_err(|error| error.to_string())?;
        buffers.push(Buffer { bytes: 0..0, grid, fill: padding.fill.unwrap_or(0) });
    }
    let schedule = Schedule::of(program);
    let lifetimes = lifetimes(program, &schedule, &places, buffers.len());
    // A tensor that no step touches, such as an upsampled one that is never made, needs no bytes.
    let size = |(buffer, life): (&Buffer, &Range<usize>)| {
        if life.is_empty() { 0 } else { buffer.grid.bytes().next_multiple_of(ALIGNMENT) }
    };
    let sizes: Vec<usize> = buffers.iter().zip(&lifetimes).map(size).collect();
    let (offsets, arena) = offsets(&sizes, &lifetimes);
    if arena > ARENA_MAX {
        return Err(format!("expected an arena of at most {ARENA_MAX} bytes, found {arena}"));
    }
    let mut fills = vec![Vec::new(); schedule.end()];
    for (index, buffer) in buffers.iter_mut().enumerate() {
        buffer.bytes = offsets[index]..offsets[index] + sizes[index];
        if buffer.grid.border() > 0 && !lifetimes[index].is_empty() {
            fills[lifetimes[index].start].push(index);
        }
    }
    Ok(Layout { buffers, places, fills, schedule, arena })
}

/// Whether every buffer of these owners has one border, and no step reads the buffer that it writes.
fn is_sound(program: &Program, owner: &[Option<(TensorId, usize)>], paddings: &[Padding]) -> bool {
    let root = |mut tensor: TensorId| {
        while let Some((whole, _)) = owner[tensor] {
            tensor = whole;
        }
        tensor
    };
    let mut joined = paddings.to_vec();
    for (tensor, padding) in paddings.iter().enumerate() {
        match joined[root(tensor)].joined(*padding) {
            Some(all) => joined[root(tensor)] = all,
            None => return false,
        }
    }
    let placed = |step: &Step, part: TensorId| owner[part].is_some_and(|(whole, _)| whole == step.output);
    program.steps.iter().all(|step| {
        step.inputs
            .iter()
            .all(|&read| root(read) != root(step.output) || (step.operator == Operator::Concat && placed(step, read)))
    })
}

/// From when a buffer is first written to when it is last read, inclusive.
fn lifetimes(program: &Program, schedule: &Schedule, places: &[Place], buffers: usize) -> Vec<Range<usize>> {
    #[expect(clippy::reversed_empty_ranges, reason = "empty until its first use widens it")]
    let mut lifetimes = vec![usize::MAX..0; buffers];
    let mut touch = |tensor: TensorId, at: usize| {
        let life: &mut Range<usize> = &mut lifetimes[places[tensor].buffer];
        *life = life.start.min(at)..life.end.max(at + 1);
    };
    for (part, times) in program.parts.iter().zip(&schedule.parts) {
        part.entries.iter().for_each(|entry| touch(entry.tensor, times.start));
        part.exits.iter().for_each(|exit| touch(exit.tensor, times.end));
    }
    for (step, &at) in program.steps.iter().zip(&schedule.steps) {
        touch(step.output, at);
        step.inputs.iter().for_each(|&read| touch(read, at));
    }
    if let (Some(output), Some(last)) = (program.output, schedule.parts.last()) {
        touch(output, last.end);
    }
    lifetimes
}

/// Offsets such that buffers with overlapping lifetimes do not overlap: the largest first, each at the lowest free offset.
fn offsets(sizes: &[usize], lifetimes: &[Range<usize>]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(sizes[index]), index));
    let mut offsets = vec![0; sizes.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut arena = 0;
    for index in order {
        let alive = |other: &&usize| {
            let (one, two) = (&lifetimes[index], &lifetimes[**other]);
            one.start < two.end && two.start < one.end
        };
        let mut taken: Vec<_> =
            placed.iter().filter(alive).map(|&other| offsets[other]..offsets[other] + sizes[other]).collect();
        taken.sort_by_key(|range| range.start);
        let mut offset = 0;
        for range in taken {
            if range.start >= offset + sizes[index] {
                break;
            }
            offset = offset.max(range.end);
        }
        offsets[index] = offset;
        arena = arena.max(offset + sizes[index]);
        placed.push(index);
    }
    (offsets, arena)
}

#[cfg(test)]
mod tests {
    use super::super::super::kernel::{ConvShape, Convolution};
    use super::super::movement::{MAX_POOL, UPSAMPLE};
    use super::super::program::{Activation, Boundary, Form, Part};
    use super::*;

    fn activation(name: &str, shape: [usize; 3]) -> Activation {
        Activation { name: name.to_owned(), shape, signed: false }
    }

    fn conv(pads: [usize; 4], x_zero_point: u8) -> Operator {
        Operator::Conv(Box::new(Convolution {
            weights: Vec::new(),
            weight_zero_points: Vec::new(),
            shape: ConvShape {
                kernel_size: [3, 3],
                pads,
                strides: [1, 1],
                dilations: [1, 1],
                channels_in: 1,
                channels_out: 1,
                groups: 1,
                upsample: false,
            },
            bias: Vec::new(),
            multipliers: Vec::new(),
            x_zero_point,
            y_zero_point: 0,
            clamp: [0, 255],
        }))
    }

    fn step(operator: Operator, inputs: &[TensorId], output: TensorId) -> Step {
        Step { node: format!("n{output}"), operator, inputs: inputs.to_vec(), output, part: 0 }
    }

    fn program(tensors: Vec<Activation>, steps: Vec<Step>) -> Program {
        let output = tensors.len() - 1;
        let entries = vec![Boundary { name: "frame".to_owned(), tensor: 0, form: Form::Bytes }];
        Program { tensors, steps, parts: vec![Part { entries, exits: Vec::new() }], output: Some(output) }
    }

    /// Frame, skip, pooled, grown, joined, answer.
    fn small_unet(zero_points: [u8; 2]) -> Program {
        program(
            vec![
                activation("frame", [1, 8, 8]),
                activation("skip", [6, 8, 8]),
                activation("pooled", [6, 4, 4]),
                activation("grown", [6, 8, 8]),
                activation("joined", [12, 8, 8]),
                activation("answer", [2, 8, 8]),
            ],
            vec![
                step(conv([1; 4], 9), &[0], 1),
                step(Operator::Movement(&MAX_POOL), &[1], 2),
                step(Operator::Movement(&UPSAMPLE), &[2], 3),
                step(Operator::Concat, &[1, 3], 4),
                step(conv([1; 4], zero_points[0]), &[4], 5),
                step(conv([1; 4], zero_points[1]), &[1], 5),
            ],
        )
    }

    #[test]
    fn parts_of_a_concatenation_are_written_side_by_side() {
        let layout = plan(&small_unet([7, 7])).unwrap();
        let [skip, grown, joined] = [1, 3, 4].map(|tensor| layout.places[tensor]);
        assert_eq!((skip.buffer, grown.buffer), (joined.buffer, joined.buffer));
        assert_eq!((skip.channel, grown.channel, joined.channel), (0, 6, 0));
        let buffer = &layout.buffers[joined.buffer];
        assert_eq!((buffer.grid.border(), buffer.fill, buffer.grid.pixel_stride()), (1, 7, 12));
        // Filled before the first of its parts is written.
        assert!(layout.fills[1].contains(&joined.buffer));
    }

    #[test]
    fn parts_whose_readers_need_different_padding_are_copied() {
        let layout = plan(&small_unet([7, 8])).unwrap();
        assert_ne!(layout.places[1].buffer, layout.places[4].buffer);
        assert_ne!(layout.places[3].buffer, layout.places[4].buffer);
    }

    #[test]
    fn a_step_never_reads_the_buffer_that_it_writes() {
        // The second half is made from the first one, as dense nets do.
        let dense = program(
            vec![activation("a", [4, 8, 8]), activation("b", [4, 8, 8]), activation("ab", [8, 8, 8])],
            vec![step(conv([1; 4], 0), &[0], 1), step(Operator::Concat, &[0, 1], 2)],
        );
        let layout = plan(&dense).unwrap();
        assert_ne!(layout.places[0].buffer, layout.places[1].buffer);
        // The same tensor twice has two places at most one of which is its own.
        let twice = program(
            vec![activation("a", [4, 8, 8]), activation("aa", [8, 8, 8])],
            vec![step(Operator::Concat, &[0, 0], 1)],
        );
        let layout = plan(&twice).unwrap();
        assert_ne!(layout.places[0].buffer, layout.places[1].buffer);
    }

    #[test]
    fn one_tensor_cannot_have_two_borders() {
        let clash = program(
            vec![activation("a", [1, 8, 8]), activation("b", [1, 8, 8]), activation("c", [1, 8, 8])],
            vec![step(conv([1; 4], 3), &[0], 1), step(conv([1; 4], 4), &[0], 2)],
        );
        let reason = plan(&clash).unwrap_err();
        assert_eq!(reason, "tensor a: expected one zero point for all its readers");
    }

    #[test]
    fn buffers_that_live_at_once_do_not_overlap_and_others_share() {
        let chain = program(
            (0..6).map(|index| activation(&format!("t{index}"), [4, 16, 16])).collect(),
            (0..5).map(|index| step(conv([1; 4], 0), &[index], index + 1)).collect(),
        );
        let layout = plan(&chain).unwrap();
        let lives = lifetimes(&chain, &layout.schedule, &layout.places, layout.buffers.len());
        for (one, a) in layout.buffers.iter().enumerate() {
            for (two, b) in layout.buffers.iter().enumerate().skip(one + 1) {
                let alive = lives[one].start < lives[two].end && lives[two].start < lives[one].end;
                let overlap = a.bytes.start < b.bytes.end && b.bytes.start < a.bytes.end;
                assert!(!(alive && overlap), "{one} and {two}");
            }
        }
        // The chain needs two buffers at a time.
        let largest = layout.buffers.iter().map(|buffer| buffer.bytes.len()).max().unwrap();
        assert_eq!(layout.arena, 2 * largest);
    }
}
