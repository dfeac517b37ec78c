//! Weights for instructions that multiply four bytes in each lane, such as `vpdpbusd`.

use crate::inference::kernel::groups::{Bytes, Groups, take_bytes};

/// An `InstructionSet::pack` with groups of four bytes for vectors of LANES channels: for each group and each lane, four
/// weights.
pub(crate) fn pack<const LANES: usize>(channels: usize, bytes: &Bytes, _: usize) -> Groups {
    pack_quads::<LANES, 1>(channels, bytes)
}

/// As [`pack`], but with wide groups of eight bytes if that is faster for a chunk of one vector of channels.
///
/// Wide groups have two vectors of sums: lanes `4 * n` and `4 * n + 1` of the first sum channel `4 * n` (the first and the last
/// four bytes), its next two lanes channel `4 * n + 1`, and those of the second vector channels `4 * n + 2` and `4 * n + 3`.
pub(crate) fn pack_wide<const LANES: usize>(channels: usize, bytes: &Bytes, _: usize) -> Groups {
    let narrow = pack_quads::<LANES, 1>(channels, bytes);
    if channels > LANES {
        return narrow;
    }
    // A wide group is twice the work; where bytes are scattered, as in the rows of taps on a gray image, they lose.
    let wide = pack_quads::<LANES, 2>(channels, bytes);
    let is_better = wide.offsets().len() * 16 <= narrow.offsets().len() * 9;
    if is_better { wide } else { narrow }
}

/// Groups of Q times four bytes.
fn pack_quads<const LANES: usize, const Q: usize>(channels: usize, bytes: &Bytes) -> Groups {
    let lanes = channels.next_multiple_of(LANES);
    let mut offsets = Vec::new();
    let mut weights: Vec<[i8; 4]> = Vec::new();
    let mut end = 0;
    while let Some((&start, _)) = bytes.range(end..).next() {
        end = start + 4 * Q;
        let read: [[Option<&Vec<i32>>; 4]; Q] =
            std::array::from_fn(|quad| std::array::from_fn(|index| bytes.get(&(start + 4 * quad + index))));
        let mut rest = vec![[[0; 4]; Q]; channels];
        for (place, sums) in read.as_flattened().iter().enumerate() {
            for (rest, &sum) in rest.iter_mut().zip(sums.iter().copied().flatten()) {
                rest.as_flattened_mut()[place] = sum;
            }
        }
        while rest.iter().any(|rest| *rest != [[0; 4]; Q]) {
            let first = weights.len();
            weights.resize(first + lanes * Q, [0; 4]);
            offsets.push(start as u32); // a Grid has at most 2^30 bytes
            for (channel, rest) in rest.iter_mut().enumerate() {
                for (quad, rest) in rest.iter_mut().enumerate() {
                    let taken = take_bytes(*rest);
                    weights[first + if Q == 1 { channel } else { wide_lane(lanes, channel, quad) }] = taken;
                    *rest = std::array::from_fn(|index| rest[index] - i32::from(taken[index]));
                }
            }
        }
    }
    Groups::new([offsets.len(), 0, 0, 0], Q == 2, offsets, weights.as_flattened(), end)
}

/// The lane, counted over two vectors of `lanes`, that sums these four bytes of a wide group for this channel.
fn wide_lane(lanes: usize, channel: usize, quad: usize) -> usize {
    channel % 4 / 2 * lanes + channel / 4 * 4 + channel % 2 * 2 + quad
}
