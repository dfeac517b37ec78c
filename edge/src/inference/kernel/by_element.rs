//! What the ARM instruction sets with a dot product of four bytes have in common: all but the instruction itself.
//!
//! A vector of weights is four of each of four output channels; the other factor is four neighbouring bytes of a pixel,
//! any quarter of a vector of its sixteen. So one load of a pixel's window serves four groups, and one load of weights
//! all pixels of a tile: 6 pixels by 16 channels leave 8 of 32 registers to both.

/// Defines `INSTRUCTIONS` and what they need.
///
/// `$features` are the target features. `$instruction` adds, in each lane of its first vector, four products of weights
/// and of a byte less `$subtracts`, as which `$prepare` leaves the bytes of a vector.
macro_rules! by_element {
    ($features:literal, $instruction:literal, $subtracts:literal, $prepare:ident) => {
        /// How a convolution is packed and run for this instruction set.
        pub(super) static INSTRUCTIONS: Instructions = Instructions {
            lanes: LANES,
            blocks: 4,
            tiles: &[&[8, 4, 2, 1], &[8, 4, 2, 1], &[6, 4, 2, 1], &[6, 4, 2, 1]],
            take: take_bytes,
            subtracts: $subtracts,
            pack: windows::pack::<QUAD, QUAD>,
            strip,
            combine: Some(four_lanes::combine),
        };

        /// Bytes of a narrow group.
        const QUAD: usize = 4;

        #[target_feature(enable = $features)]
        fn strip(pixels: usize, blocks: usize, strip: &mut Strip<'_>) {
            match (pixels, blocks) {
                (8, 1) => tiles::<8, 1>(strip),
                (4, 1) => tiles::<4, 1>(strip),
                (2, 1) => tiles::<2, 1>(strip),
                (1, 1) => tiles::<1, 1>(strip),
                (8, 2) => tiles::<8, 2>(strip),
                (4, 2) => tiles::<4, 2>(strip),
                (2, 2) => tiles::<2, 2>(strip),
                (1, 2) => tiles::<1, 2>(strip),
                (6, 3) => tiles::<6, 3>(strip),
                (4, 3) => tiles::<4, 3>(strip),
                (2, 3) => tiles::<2, 3>(strip),
                (1, 3) => tiles::<1, 3>(strip),
                (6, 4) => tiles::<6, 4>(strip),
                (4, 4) => tiles::<4, 4>(strip),
                (2, 4) => tiles::<2, 4>(strip),
                (1, 4) => tiles::<1, 4>(strip),
                _ => unreachable!("no tile of {pixels} pixels by {blocks} vectors"),
            }
        }

        #[target_feature(enable = $features)]
        fn tiles<const P: usize, const V: usize>(strip: &mut Strip<'_>) {
            strip.check_windows::<QUAD>(P, V, LANES);
            let [three, two, one, narrow] = strip.groups.kinds();
            let requantize = Requantize::<V>::of_strip(strip);
            let step = strip.input_step;
            for tile in 0..strip.tiles {
                let mut offsets = strip.groups.offsets().iter().map(|&offset| offset as usize);
                let mut weights = strip.groups.weights().as_ptr().cast::<i8>();
                // SAFETY: `check_windows` has found V * LANES biases; weights of V * LANES channels for all windows and
                // narrow groups of each kind, in this order; and reads of each group's bytes, from each pixel of the
                // strip, to be inside the input. Pixel tile * P is one of the strip's.
                unsafe {
                    let bias = strip.chunk.bias.as_ptr();
                    let bias: [_; V] = std::array::from_fn(|vector| vld1q_s32(bias.add(vector * LANES)));
                    let mut sums = [bias; P];
                    let pixel = strip.input.as_ptr().add(tile * P * step);
                    for offset in offsets.by_ref().take(three) {
                        run::<P, V, 3>(&mut sums, pixel.add(offset), step, weights);
                        weights = weights.add(3 * WINDOW * LANES * V);
                    }
                    for offset in offsets.by_ref().take(two) {
                        run::<P, V, 2>(&mut sums, pixel.add(offset), step, weights);
                        weights = weights.add(2 * WINDOW * LANES * V);
                    }
                    for offset in offsets.by_ref().take(one) {
                        run::<P, V, 1>(&mut sums, pixel.add(offset), step, weights);
                        weights = weights.add(WINDOW * LANES * V);
                    }
                    for offset in offsets.take(narrow) {
                        let bytes: [_; P] = std::array::from_fn(|p| load_quad(pixel.add(offset + p * step)));
                        dot_all::<P, V, 0>(&mut sums, &bytes, 0, weights);
                        weights = weights.add(QUAD * LANES * V);
                    }
                    requantize.answer(strip, tile * P, &sums);
                }
            }
        }

        /// Adds a run of R windows from `taps` on, for P pixels that are `step` bytes apart.
        ///
        /// # Safety
        ///
        /// All windows and their weights can be read.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn run<const P: usize, const V: usize, const R: usize>(
            sums: &mut [[int32x4_t; V]; P],
            taps: *const u8,
            step: usize,
            weights: *const i8,
        ) {
            let window = WINDOW * LANES * V;
            // SAFETY: the caller's.
            unsafe {
                // Pixel p's window of tap t is p + t windows on, and lies in `bytes` at that, modulo P.
                let mut bytes: [_; P] = std::array::from_fn(|p| load(taps.add(p * step)));
                window_of::<P, V>(sums, &bytes, 0, weights);
                if R > 1 {
                    bytes[0] = load(taps.add(P * step));
                    window_of::<P, V>(sums, &bytes, 1, weights.add(window));
                }
                if R > 2 {
                    bytes[1 % P] = load(taps.add((P + 1) * step));
                    window_of::<P, V>(sums, &bytes, 2, weights.add(2 * window));
                }
            }
        }

        /// Adds a window; that of pixel p is the `tap + p`-th of `bytes`, modulo P.
        ///
        /// # Safety
        ///
        /// The weights can be read.
        #[inline(always)]
        unsafe fn window_of<const P: usize, const V: usize>(
            sums: &mut [[int32x4_t; V]; P],
            bytes: &[uint8x16_t; P],
            tap: usize,
            weights: *const i8,
        ) {
            let quad = QUAD * LANES * V;
            // SAFETY: the caller's.
            unsafe {
                dot_all::<P, V, 0>(sums, bytes, tap, weights);
                dot_all::<P, V, 1>(sums, bytes, tap, weights.add(quad));
                dot_all::<P, V, 2>(sums, bytes, tap, weights.add(2 * quad));
                dot_all::<P, V, 3>(sums, bytes, tap, weights.add(3 * quad));
            }
        }

        /// Adds the Q-th four bytes of each window.
        ///
        /// # Safety
        ///
        /// The core has the instructions, and the weights can be read.
        #[inline(always)]
        unsafe fn dot_all<const P: usize, const V: usize, const Q: i32>(
            sums: &mut [[int32x4_t; V]; P],
            bytes: &[uint8x16_t; P],
            tap: usize,
            weights: *const i8,
        ) {
            for vector in 0..V {
                // SAFETY: the caller's; the instruction touches nothing but its registers.
                unsafe {
                    let weights = vld1q_s8(weights.add(vector * QUAD * LANES));
                    for p in 0..P {
                        asm!(
                            concat!($instruction, " {sums:v}.4s, {weights:v}.16b, {bytes:v}.4b[{quad}]"),
                            sums = inout(vreg) sums[p][vector],
                            weights = in(vreg) weights,
                            bytes = in(vreg) bytes[(p + tap) % P],
                            quad = const Q,
                            options(pure, nomem, nostack, preserves_flags)
                        );
                    }
                }
            }
        }

        /// Sixteen bytes.
        ///
        /// # Safety
        ///
        /// They can be read.
        #[inline(always)]
        unsafe fn load(from: *const u8) -> uint8x16_t {
            // SAFETY: the caller's.
            $prepare(unsafe { vld1q_u8(from) })
        }

        /// Four bytes, in the first quarter.
        ///
        /// # Safety
        ///
        /// They can be read.
        #[inline(always)]
        unsafe fn load_quad(from: *const u8) -> uint8x16_t {
            // SAFETY: the caller's; every aarch64 core has these instructions.
            $prepare(unsafe {
                let word = from.cast::<u32>().read_unaligned();
                vreinterpretq_u8_u32(vsetq_lane_u32::<0>(word, vdupq_n_u32(0)))
            })
        }
    };
}

pub(super) use by_element;
