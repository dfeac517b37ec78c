//! Weights in the order of the ARM kernels: windows of sixteen bytes, in runs along a row.
//!
//! A **window** is sixteen neighbouring bytes of the input, which one load brings. A **run** is up to three windows, each
//! as far from the one before as a pixel from its left neighbour: the taps of a kernel's row. Since a pixel's window is
//! then also the next window of the pixel to its left, a kernel loads two more windows than it computes pixels, not
//! three for each. Bytes that fill no window come in **narrow** groups.
//!
//! Weights that leave eight bits are split as in `packed.rs`: what is left of them becomes another window or narrow group.

use super::packed::{Bytes, Groups, Instructions, KINDS, Strip};

/// Bytes of a window.
pub(super) const WINDOW: usize = 16;

/// Most windows of a run.
const RUN: usize = 3;

/// Which of the [`Groups::kinds`] are narrow groups; before them come runs of three, two and one windows.
const NARROW: usize = KINDS - 1;

/// How many windows a run of each kind has; 0 for narrow groups.
const WINDOWS: [usize; KINDS] = [3, 2, 1, 0];

/// An [`Instructions::pack`] with narrow groups of N bytes. In a window, U neighbouring bytes of the first output channel
/// are followed by the same U of the next channel, and after the last channel come the next U.
pub(super) fn pack<const N: usize, const U: usize>(
    instructions: &Instructions,
    channels: usize,
    bytes: &Bytes,
    input_step: usize,
) -> Groups {
    let lanes = channels.div_ceil(instructions.lanes) * instructions.lanes;
    let mut packer = Packer { instructions, lanes, unit: U, rest: bytes.clone(), reach: 0 };
    let mut offsets: [Vec<u32>; KINDS] = Default::default();
    let mut weights: [Vec<i8>; KINDS] = Default::default();
    while let Some((&start, _)) = packer.rest.first_key_value() {
        let mut run = Vec::new();
        let mut windows = 0;
        while windows < RUN && packer.fills::<N>(start + windows * input_step) {
            run.extend(packer.take(start + windows * input_step, WINDOW));
            windows += 1;
        }
        if windows == 0 {
            run = packer.take(start, N);
        }
        let kind = NARROW - windows;
        offsets[kind].push(start as u32); // a Grid has at most 2^30 bytes
        weights[kind].extend(run);
    }
    let kinds = std::array::from_fn(|kind| offsets[kind].len());
    Groups::of_kinds(kinds, offsets.concat(), &weights.concat(), packer.reach)
}

/// What is still to be packed.
struct Packer<'a> {
    instructions: &'a Instructions,
    lanes: usize,
    unit: usize,
    /// Without the bytes whose weights are all 0.
    rest: Bytes,
    /// End of the bytes that are read.
    reach: usize,
}

impl Packer<'_> {
    /// Whether a window here costs no more than narrow groups of N bytes.
    fn fills<const N: usize>(&self, start: usize) -> bool {
        let parts = (start..start + WINDOW).step_by(N);
        let filled = parts.filter(|&part| self.rest.range(part..part + N).next().is_some()).count();
        4 * filled * N >= 3 * WINDOW
    }

    /// As much of the weights of these bytes as one multiplication takes.
    fn take(&mut self, start: usize, length: usize) -> Vec<i8> {
        self.reach = self.reach.max(start + length);
        let unit = self.unit.min(length);
        let mut taken = vec![0; self.lanes * length];
        for first in (0..length).step_by(4) {
            let quad: [usize; 4] = std::array::from_fn(|index| start + first + index);
            let channels = self.rest.range(start + first..start + first + 4).next().map_or(0, |(_, sums)| sums.len());
            for channel in 0..channels {
                let weights = quad.map(|at| self.rest.get(&at).map_or(0, |sums| sums[channel]));
                let part = (self.instructions.take)(weights);
                let index = first / unit * unit * self.lanes + channel * unit + first % unit;
                taken[index..index + 4].copy_from_slice(&part);
                for (at, part) in quad.into_iter().zip(part) {
                    if let Some(sums) = self.rest.get_mut(&at) {
                        sums[channel] -= i32::from(part);
                    }
                }
            }
            for at in quad {
                if self.rest.get(&at).is_some_and(|sums| sums.iter().all(|&sum| sum == 0)) {
                    self.rest.remove(&at);
                }
            }
        }
        taken
    }
}

impl Strip<'_> {
    /// What a kernel relies on for its pointers, with narrow groups of N bytes.
    ///
    /// # Panics
    ///
    /// As `check_weights`.
    pub(super) fn check_windows<const N: usize>(&self, pixels: usize, blocks: usize, lanes: usize) {
        let kinds = self.groups.kinds();
        let windows: usize = kinds.iter().zip(WINDOWS).map(|(kind, windows)| kind * windows).sum();
        let bytes = (windows * WINDOW + kinds[NARROW] * N) * lanes * blocks;
        self.check_weights(pixels, blocks, lanes, bytes);
        assert_eq!(kinds.iter().sum::<usize>(), self.groups.offsets().len());
    }
}
