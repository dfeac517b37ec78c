//! What the ARM instruction sets with a dot product of four bytes share: all but the instruction itself.
//!
//! A vector of weights is four of each of four output channels; the other factor is four neighbouring bytes of a pixel,
//! any quarter of a vector of its sixteen. So one load of a pixel's window serves four groups, and one load of weights
//! all pixels of a tile: 6 pixels by 16 channels leave 8 of 32 registers for both. The loops of that tile, which take nearly
//! all time, are in assembly, since no compiler reliably allocates all 32 registers without spilling.

/// Defines `SET` and what it needs.
///
/// `$features` are the target features. `$instruction` adds, in each lane of its first vector, four products of weights
/// and of a byte less `$subtracts`, as which `$prepare` leaves the bytes of a vector. `$prepare_n` is a macro that
/// expands to the assembly for this in the registers v`n` of the numbers that it is called with; it may use v31.
macro_rules! by_element {
    ($features:literal, $instruction:literal, $subtracts:literal, $prepare:ident, $prepare_n:ident) => {
        pub(crate) static SET: InstructionSet = InstructionSet {
            is_available,
            multiply,
            lanes: LANES,
            blocks: 4,
            tiles: &[&[8, 4, 2, 1], &[8, 4, 2, 1], &[6, 4, 2, 1], &[6, 4, 2, 1]],
            subtracts: $subtracts,
            widen: None,
            pack,
            strip,
            combine: Some(four_lanes::combine),
            winograd: None,
            depthwise: &DEPTHWISE,
            loops: Loops::BASELINE,
        };

        /// Bytes of a narrow group.
        const QUAD: usize = 4;

        fn pack(channels: usize, bytes: &Bytes, input_step: usize) -> Groups {
            windows::pack::<QUAD, QUAD>(take_bytes, channels, bytes, input_step)
        }

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
            let requantize = Requantize::<V>::of_strip(strip);
            for tile in 0..strip.tiles {
                // SAFETY: `check_windows` has found V * LANES biases; weights of V * LANES channels for all windows and
                // narrow groups of each kind, in this order; and reads of each group's bytes, from each pixel of the
                // strip, to be inside the input. Pixel tile * P is one of the strip's.
                unsafe {
                    let bias = strip.chunk.bias.as_ptr();
                    let bias: [_; V] = std::array::from_fn(|vector| vld1q_s32(bias.add(vector * LANES)));
                    let mut sums = [bias; P];
                    let pixel = strip.input.as_ptr().add(tile * P * strip.input_step);
                    add(&mut sums, strip.groups, pixel, strip.input_step);
                    requantize.store_all(strip, tile * P, &sums);
                }
            }
        }

        /// Adds all groups, for P pixels that are `step` bytes apart.
        ///
        /// # Safety
        ///
        /// The groups' bytes can be read from each pixel on, and there are weights of V * LANES channels for all of them.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn add<const P: usize, const V: usize>(
            sums: &mut [[int32x4_t; V]; P],
            groups: &Groups,
            pixel: *const u8,
            step: usize,
        ) {
            let [three, two, one, narrow] = groups.kinds();
            let mut weights = groups.weights().as_ptr().cast::<i8>();
            let (runs, narrow) = groups.offsets().split_at(groups.offsets().len() - narrow);
            // SAFETY: the caller's promise.
            unsafe {
                if (P, V) == (6, 4) {
                    // SAFETY: it is an array of 6 by 4.
                    let sums = &mut *(&raw mut *sums).cast::<[[int32x4_t; 4]; 6]>();
                    let offsets = runs.as_ptr();
                    if three > 0 {
                        runs_of!(three, sums, offsets, weights, pixel, step, [
                            window!($instruction, 0, 24 25 26 27 28 29),
                            concat!("ld1 {{v24.16b}}, [{taps}], {step}\n", $prepare_n!(24)),
                            window!($instruction, 256, 25 26 27 28 29 24),
                            concat!("ld1 {{v25.16b}}, [{taps}]\n", $prepare_n!(25)),
                            window!($instruction, 512, 26 27 28 29 24 25),
                            "add {weights}, {weights}, #768",
                        ], $prepare_n);
                    }
                    if two > 0 {
                        runs_of!(two, sums, offsets.add(three), weights, pixel, step, [
                            window!($instruction, 0, 24 25 26 27 28 29),
                            concat!("ld1 {{v24.16b}}, [{taps}]\n", $prepare_n!(24)),
                            window!($instruction, 256, 25 26 27 28 29 24),
                            "add {weights}, {weights}, #512",
                        ], $prepare_n);
                    }
                    if one > 0 {
                        runs_of!(one, sums, offsets.add(three + two), weights, pixel, step, [
                            window!($instruction, 0, 24 25 26 27 28 29),
                            "add {weights}, {weights}, #256",
                        ], $prepare_n);
                    }
                } else {
                    let mut offsets = runs.iter().map(|&offset| offset as usize);
                    for offset in offsets.by_ref().take(three) {
                        run::<P, V, 3>(sums, pixel.add(offset), step, weights);
                        weights = weights.add(3 * WINDOW * LANES * V);
                    }
                    for offset in offsets.by_ref().take(two) {
                        run::<P, V, 2>(sums, pixel.add(offset), step, weights);
                        weights = weights.add(2 * WINDOW * LANES * V);
                    }
                    for offset in offsets.take(one) {
                        run::<P, V, 1>(sums, pixel.add(offset), step, weights);
                        weights = weights.add(WINDOW * LANES * V);
                    }
                }
                for &offset in narrow {
                    let bytes: [_; P] = std::array::from_fn(|p| load_quad(pixel.add(offset as usize + p * step)));
                    dot_all::<P, V, 0>(sums, &bytes, 0, weights);
                    weights = weights.add(QUAD * LANES * V);
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
            // SAFETY: the caller's promise.
            unsafe {
                // Pixel p's window of tap t is p + t windows further, at that index, modulo P, in `bytes`.
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
            // SAFETY: the caller's promise.
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
                // SAFETY: the caller's promise; the instruction touches nothing but its registers.
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
            // SAFETY: the caller's promise.
            $prepare(unsafe { vld1q_u8(from) })
        }

        /// Four bytes, in the first quarter.
        ///
        /// # Safety
        ///
        /// They can be read.
        #[inline(always)]
        unsafe fn load_quad(from: *const u8) -> uint8x16_t {
            // SAFETY: the caller's promise; every aarch64 core has these instructions.
            $prepare(unsafe {
                let word = from.cast::<u32>().read_unaligned();
                vreinterpretq_u8_u32(vsetq_lane_u32::<0>(word, vdupq_n_u32(0)))
            })
        }
    };
}

/// A loop over `$count` runs of as many windows as `$body` takes, for 6 pixels by 4 vectors of channels. `$weights` is
/// moved on behind theirs. The sums of pixel p and vector v are in register v`6 * v + p`, windows in v24 to
/// v29, weights in v30 and v31.
macro_rules! runs_of {
    (
        $count:ident, $sums:ident, $offsets:expr, $weights:ident, $pixel:ident, $step:ident,
        [$($body:tt)*], $prepare_n:ident
    ) => {
        asm!(
            "2:",
            "ldr {taps:w}, [{offsets}], #4",
            "add {taps}, {pixel}, {taps}",
            "ld1 {{v24.16b}}, [{taps}], {step}",
            "ld1 {{v25.16b}}, [{taps}], {step}",
            "ld1 {{v26.16b}}, [{taps}], {step}",
            "ld1 {{v27.16b}}, [{taps}], {step}",
            "ld1 {{v28.16b}}, [{taps}], {step}",
            "ld1 {{v29.16b}}, [{taps}], {step}",
            $prepare_n!(24 25 26 27 28 29),
            $($body)*
            "subs {count}, {count}, #1",
            "b.ne 2b",
            count = inout(reg) $count => _,
            offsets = inout(reg) $offsets => _,
            weights = inout(reg) $weights,
            pixel = in(reg) $pixel,
            step = in(reg) $step,
            taps = out(reg) _,
            inout("v0") $sums[0][0], inout("v1") $sums[1][0], inout("v2") $sums[2][0],
            inout("v3") $sums[3][0], inout("v4") $sums[4][0], inout("v5") $sums[5][0],
            inout("v6") $sums[0][1], inout("v7") $sums[1][1], inout("v8") $sums[2][1],
            inout("v9") $sums[3][1], inout("v10") $sums[4][1], inout("v11") $sums[5][1],
            inout("v12") $sums[0][2], inout("v13") $sums[1][2], inout("v14") $sums[2][2],
            inout("v15") $sums[3][2], inout("v16") $sums[4][2], inout("v17") $sums[5][2],
            inout("v18") $sums[0][3], inout("v19") $sums[1][3], inout("v20") $sums[2][3],
            inout("v21") $sums[3][3], inout("v22") $sums[4][3], inout("v23") $sums[5][3],
            out("v24") _, out("v25") _, out("v26") _, out("v27") _,
            out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(readonly, nostack)
        )
    };
}

/// The products of a window whose weights begin at byte `$at` and whose pixels are in the six registers.
macro_rules! window {
    ($instruction:literal, $at:literal, $($x:literal)*) => {
        concat!(
            quad!($instruction, $at, 0, $($x)*),
            quad!($instruction, $at, 1, $($x)*),
            quad!($instruction, $at, 2, $($x)*),
            quad!($instruction, $at, 3, $($x)*)
        )
    };
}

/// Those of one quarter of each register.
macro_rules! quad {
    ($instruction:literal, $at:literal, $quad:literal, $a:literal $b:literal $c:literal $d:literal $e:literal $f:literal) => {
        concat!(
            "ldp q30, q31, [{weights}, #", $at, "+64*", $quad, "]\n",
            vector!($instruction, 30, $quad, 0 $a, 1 $b, 2 $c, 3 $d, 4 $e, 5 $f),
            vector!($instruction, 31, $quad, 6 $a, 7 $b, 8 $c, 9 $d, 10 $e, 11 $f),
            "ldp q30, q31, [{weights}, #", $at, "+64*", $quad, "+32]\n",
            vector!($instruction, 30, $quad, 12 $a, 13 $b, 14 $c, 15 $d, 16 $e, 17 $f),
            vector!($instruction, 31, $quad, 18 $a, 19 $b, 20 $c, 21 $d, 22 $e, 23 $f)
        )
    };
}

/// Those of one vector of channels.
macro_rules! vector {
    ($instruction:literal, $weights:literal, $quad:literal, $($sum:literal $bytes:literal),*) => {
        concat!($($instruction, " v", $sum, ".4s, v", $weights, ".16b, v", $bytes, ".4b[", $quad, "]\n"),*)
    };
}

pub(crate) use {by_element, quad, runs_of, vector, window};
