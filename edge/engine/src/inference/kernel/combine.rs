//! The sums of taps on one row of an upsampled input, and the code that combines them, written once for all instruction
//! sets. The formulas are in `upsampled.rs`.

use super::strip::OutputRange;

/// Taps of a 3x3 kernel.
pub(crate) const TAPS: usize = 9;
/// Sums that a pixel hands down to the row below: left and right of `r[0]`, and of `r[0] + r[1]`.
pub(crate) const CARRIED: usize = 4;

/// Combines the sums of one row.
///
/// # Safety
///
/// The processor has the instructions.
pub(crate) type Combine = unsafe fn(row: &mut SummedRow<'_>);

/// The sums of one row of the input, and the output rows that they complete.
pub(crate) struct SummedRow<'a> {
    /// Pixels of the input's row.
    pub(crate) width: usize,
    /// Lanes of one tap: whole vectors.
    pub(crate) lanes: usize,
    /// How many of the lanes are channels.
    pub(crate) channels: usize,
    /// `[pixel][ky][kx][lane]`.
    pub(crate) sums: &'a [i32],
    /// `[ky][kx][lane]` of a pixel of the border.
    pub(crate) edge: &'a [i32],
    /// `[pixel][left and right of r[0], left and right of r[0] + r[1]][lane]`: in of the row above, out of this one.
    pub(crate) carry: &'a mut [i32],
    /// One a lane.
    pub(crate) multipliers: &'a [f32],
    pub(crate) range: OutputRange,
    /// The lower output row over the row above, from its first pixel's first channel on, if this run writes it.
    pub(crate) above: Option<&'a mut [u8]>,
    /// The upper output row over this row, likewise.
    pub(crate) below: Option<&'a mut [u8]>,
    /// Bytes from an output pixel to the next.
    pub(crate) output_step: usize,
}

impl SummedRow<'_> {
    /// What `combine` relies on for its pointers.
    ///
    /// # Panics
    ///
    /// If a slice is too short: a defect in `upsampled.rs`.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.width > 0 && self.lanes.is_multiple_of(lanes));
        assert!(self.channels <= self.lanes && self.channels > self.lanes - lanes);
        assert!(self.sums.len() >= self.width * TAPS * self.lanes && self.edge.len() == TAPS * self.lanes);
        assert!(self.carry.len() >= self.width * CARRIED * self.lanes && self.multipliers.len() == self.lanes);
        let bytes = (2 * self.width - 1) * self.output_step + self.channels;
        for output in [&self.above, &self.below].into_iter().flatten() {
            assert!(output.len() >= bytes);
        }
    }
}

/// Defines `combine` for an instruction set.
///
/// `$vector` holds `$lanes` i32; `$load`, `$store` and `$add` are of it. `$requantize` is a type with
/// `new(&[f32], OutputRange) -> Self` for the multipliers of one vector and
/// `unsafe store::<N>(&self, *mut u8, step, channels, [$vector; 4])`, which writes the first N of four neighbouring pixels.
macro_rules! combine {
    ($features:literal, $vector:ty, $lanes:expr, $zero:expr, $load:path, $store:path, $add:path, $requantize:ty) => {
        #[target_feature(enable = $features)]
        pub(crate) fn combine(row: &mut $crate::inference::kernel::combine::SummedRow<'_>) {
            row.check($lanes);
            for block in 0..row.lanes / $lanes {
                let requantize = <$requantize>::new(&row.multipliers[block * $lanes..][..$lanes], row.range);
                // The sums of `a[ky][0]` of the pixel to the left.
                let mut left = [$zero; 3];
                for (ky, left) in left.iter_mut().enumerate() {
                    // SAFETY: `check` has found nine times `lanes` in `edge`.
                    *left = unsafe { $load(row.edge.as_ptr().add(ky * 3 * row.lanes + block * $lanes).cast()) };
                }
                let mut pixel = 0;
                while pixel + 2 <= row.width {
                    combine_pixels::<2>(row, block, pixel, &mut left, &requantize);
                    pixel += 2;
                }
                if pixel < row.width {
                    combine_pixels::<1>(row, block, pixel, &mut left, &requantize);
                }
            }
        }

        /// The outputs over N neighbouring pixels, one vector of channels.
        #[inline]
        #[target_feature(enable = $features)]
        fn combine_pixels<const N: usize>(
            row: &mut $crate::inference::kernel::combine::SummedRow<'_>,
            block: usize,
            first: usize,
            left: &mut [$vector; 3],
            requantize: &$requantize,
        ) {
            let lanes = row.lanes;
            let mut above = [$zero; 4];
            let mut below = [$zero; 4];
            for index in 0..N {
                let pixel = first + index;
                // SAFETY: `check` has found nine times `lanes` for each pixel in `sums` and as many in `edge`, four times
                // `lanes` for each pixel in `carry`; the caller passes pixels of the row and vectors of the lanes.
                unsafe {
                    let sums = row.sums.as_ptr().add(pixel * 9 * lanes + block * $lanes);
                    let right =
                        if pixel + 1 < row.width { sums.add(9 * lanes) } else { row.edge.as_ptr().add(block * $lanes) };
                    let (mut l, mut r) = ([$zero; 3], [$zero; 3]);
                    for ky in 0..3 {
                        let tap = |from: *const i32, kx: usize| $load(from.add((ky * 3 + kx) * lanes).cast());
                        let [a, b, c] = [tap(sums, 0), tap(sums, 1), tap(sums, 2)];
                        l[ky] = $add(left[ky], $add(b, c));
                        r[ky] = $add($add(a, b), tap(right, 2));
                        left[ky] = a;
                    }
                    let carry = row.carry.as_mut_ptr().add(pixel * 4 * lanes + block * $lanes);
                    let carried = |index: usize| $load(carry.add(index * lanes).cast_const().cast());
                    above[2 * index] = $add(carried(2), l[2]);
                    above[2 * index + 1] = $add(carried(3), r[2]);
                    below[2 * index] = $add(carried(0), $add(l[1], l[2]));
                    below[2 * index + 1] = $add(carried(1), $add(r[1], r[2]));
                    $store(carry.cast(), l[0]);
                    $store(carry.add(lanes).cast(), r[0]);
                    $store(carry.add(2 * lanes).cast(), $add(l[0], l[1]));
                    $store(carry.add(3 * lanes).cast(), $add(r[0], r[1]));
                }
            }
            let channels = (row.channels - block * $lanes).min($lanes);
            for (output, sums) in [(&mut row.above, &above), (&mut row.below, &below)] {
                if let Some(output) = output {
                    // SAFETY: `check` has found room for twice the pixels of the row, and for the channels of the last.
                    unsafe {
                        let to = output.as_mut_ptr().add(2 * first * row.output_step + block * $lanes);
                        match N {
                            1 => requantize.store::<2>(to, row.output_step, channels, *sums),
                            _ => requantize.store::<4>(to, row.output_step, channels, *sums),
                        }
                    }
                }
            }
        }
    };
}

pub(crate) use combine;
