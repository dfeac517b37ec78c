//! Weights in the order of the ARM kernels: windows of sixteen bytes, in runs along a row.
//!
//! A **window** is sixteen neighbouring bytes of the input, which one load brings. A **run** is up to three windows, each
//! as far from the one before as a pixel from its left neighbour: the taps of a kernel's row. Since a pixel's window is
//! then also the next window of the pixel to its left, a kernel loads two more windows than it computes pixels, not
//! three for each. Bytes that fill no window come in **narrow** groups.
//!
//! Weights that exceed eight bits are split as in `groups.rs`: the rest becomes another window or narrow group.

use super::four_lanes::LANES;
use crate::inference::kernel::groups::{Bytes, Groups, KINDS};
use crate::inference::kernel::strip::Strip;

/// Bytes of a window.
pub(crate) const WINDOW: usize = 16;

/// Maximum windows of a run.
const RUN: usize = 3;

/// Which of the [`Groups::kinds`] are narrow groups; before them come runs of three, two and one windows.
const NARROW: usize = KINDS - 1;

/// How many windows a run of each kind has; 0 for narrow groups.
const WINDOWS: [usize; KINDS] = [3, 2, 1, 0];

/// As much of these four weights as one multiplication takes exactly, toward zero; all of it where possible.
pub(crate) type Take = fn([i32; 4]) -> [i8; 4];

/// An `InstructionSet::pack` with narrow groups of N bytes. In a window, U neighbouring bytes of the first output channel
/// are followed by the same U of the next channel, and after the last channel come the next U.
pub(crate) fn pack<const N: usize, const U: usize>(
    take: Take,
    channels: usize,
    bytes: &Bytes,
    input_step: usize,
) -> Groups {
    let lanes = channels.next_multiple_of(LANES);
    let mut packer = Packer { take, lanes, unit: U, rest: bytes.clone(), reach: 0 };
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
    Groups::new(kinds, false, offsets.concat(), &weights.concat(), packer.reach)
}

/// The weights that are not packed yet.
struct Packer {
    take: Take,
    lanes: usize,
    unit: usize,
    /// Without bytes whose weights are all 0.
    rest: Bytes,
    /// Bytes that are read from the first tap on.
    reach: usize,
}

impl Packer {
    /// Whether a window here costs at most as much as narrow groups of N bytes.
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
                let part = (self.take)(weights);
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
    /// What the instruction sets rely on for their pointers, with narrow groups of N bytes.
    ///
    /// # Panics
    ///
    /// As `check`.
    pub(crate) fn check_windows<const N: usize>(&self, pixels: usize, blocks: usize, lanes: usize) {
        let kinds = self.groups.kinds();
        let windows: usize = kinds.iter().zip(WINDOWS).map(|(kind, windows)| kind * windows).sum();
        let bytes = (windows * WINDOW + kinds[NARROW] * N) * lanes * blocks;
        self.check(pixels, blocks, lanes, bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::inference::kernel::groups::take_bytes;

    /// Of one output channel: the weights at each of these bytes.
    fn bytes(at: impl Iterator<Item = usize>, weight: impl Fn(usize) -> i32) -> Bytes {
        at.map(|at| (at, vec![weight(at)])).collect()
    }

    fn packed<const N: usize, const U: usize>(bytes: &Bytes, input_step: usize) -> ([usize; KINDS], Vec<u32>, Vec<i8>) {
        let groups = pack::<N, U>(take_bytes, 1, bytes, input_step);
        let weights = groups.weights().iter().flat_map(|line| line.0).collect();
        (groups.kinds(), groups.offsets().to_vec(), weights)
    }

    #[test]
    fn taps_of_a_row_are_a_run() {
        // Two rows of three pixels of 32 channels, 1000 bytes apart.
        let at = (0..96).chain(1000..1096);
        let (kinds, offsets, _) = packed::<4, 4>(&bytes(at, |_| 1), 32);
        assert_eq!((kinds, offsets), ([4, 0, 0, 0], vec![0, 16, 1000, 1016]));
        // Of 24 channels eight are left over in each pixel: two groups of four, or one of eight.
        let (kinds, offsets, _) = packed::<4, 4>(&bytes(0..72, |_| 1), 24);
        assert_eq!((kinds, offsets), ([1, 0, 0, 6], vec![0, 16, 20, 40, 44, 64, 68]));
        let (kinds, offsets, _) = packed::<8, 16>(&bytes(0..72, |_| 1), 24);
        assert_eq!((kinds, offsets), ([1, 0, 0, 3], vec![0, 16, 40, 64]));
        // A gray image: three bytes in each of three rows.
        let at = (0..3).chain(100..103).chain(200..203);
        let (kinds, offsets, _) = packed::<4, 4>(&bytes(at, |_| 1), 1);
        assert_eq!((kinds, offsets), ([0, 0, 0, 3], vec![0, 100, 200]));
    }

    #[test]
    fn weights_lie_by_units_and_channels() {
        let bytes = bytes(0..16, |at| at as i32 + 1);
        let (_, _, weights) = packed::<4, 4>(&bytes, 16);
        // The first of four lanes has the channel.
        let first = [&weights[..4], &weights[16..20], &weights[32..36], &weights[48..52]].concat();
        assert_eq!(first, (1..=16).collect::<Vec<i8>>());
        assert_eq!(weights[4..16], [0; 12]);
        let (_, _, weights) = packed::<8, 16>(&bytes, 16);
        assert_eq!(weights[..16], first);
        assert_eq!(weights[16..64], [0; 48]);
    }

    #[test]
    fn what_is_left_of_a_weight_comes_again() {
        // 300 is 127 + 127 + 46.
        let (kinds, offsets, weights) = packed::<4, 4>(&bytes(0..16, |at| if at == 5 { 300 } else { 1 }), 16);
        assert_eq!((kinds, offsets), ([0, 0, 1, 2], vec![0, 5, 5]));
        assert_eq!([weights[16 + 1], weights[64], weights[80]], [127, 127, 46]);
        assert_eq!([weights[65], weights[81]], [0, 0]);
    }

    /// The sum of all parts at a byte is its weight, and nothing is read behind the reach.
    #[test]
    fn parts_sum_to_the_weights() {
        for (step, seed) in [(1, 1), (3, 2), (16, 3), (20, 4), (48, 5)] {
            let mut state: u32 = seed;
            let mut random = |end: u32| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) % end
            };
            let mut all = Bytes::new();
            for at in 0..200 {
                if random(3) > 0 {
                    all.insert(at, vec![random(1021) as i32 - 510]);
                }
            }
            all.retain(|_, weights| weights[0] != 0);
            let (kinds, offsets, weights) = packed::<4, 4>(&all, step);
            let mut sums = BTreeMap::<usize, i32>::new();
            let mut offsets = offsets.into_iter();
            let mut weights = weights.chunks(16);
            for (kind, &runs) in kinds.iter().enumerate() {
                for start in offsets.by_ref().take(runs) {
                    for window in 0..WINDOWS[kind].max(1) {
                        for quad in 0..if kind == NARROW { 1 } else { 4 } {
                            for (index, &weight) in weights.next().unwrap()[..4].iter().enumerate() {
                                let at = start as usize + window * step + quad * 4 + index;
                                *sums.entry(at).or_default() += i32::from(weight);
                            }
                        }
                    }
                }
            }
            sums.retain(|_, sum| *sum != 0);
            let expected: BTreeMap<usize, i32> = all.into_iter().map(|(at, weights)| (at, weights[0])).collect();
            assert_eq!(sums, expected, "step {step}");
        }
    }
}
