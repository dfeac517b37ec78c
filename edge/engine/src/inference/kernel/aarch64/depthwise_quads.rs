//! Depthwise convolutions of the ARM instruction sets with a dot product of four bytes: each lane holds a column of one channel.

/// Defines `DEPTHWISE`.
///
/// `$features` are the target features. `$instruction` adds, in each lane of its first vector, four products of a byte less
/// `$subtracts`, as which `$prepare` leaves the bytes of a vector, and of weights.
macro_rules! depthwise_quads {
    ($features:literal, $instruction:literal, $subtracts:literal, $prepare:ident) => {
        static DEPTHWISE: [BlockFormat; 2] = [
            BlockFormat {
                channels: Quads::CHANNELS,
                vectors: Quads::SUMS / LANES,
                lanes: LANES,
                taps: 4,
                weight_bytes: 1,
                subtracts: $subtracts,
                masks: Quads::MASKS,
                row: depthwise,
            },
            depthwise_words::FORMAT,
        ];

        #[target_feature(enable = $features)]
        fn depthwise(row: &mut Row<'_>) {
            // SAFETY: the caller promises that the core has the instructions; a vector holds one pixel.
            unsafe { row.run::<Quads, Quads>() }
        }

        /// Sixteen channels of a pixel.
        struct Quads;

        impl Columns for Quads {
            const CHANNELS: usize = 16;
            const PIXELS: usize = 1;
            const SUMS: usize = 16;
            const WEIGHTS: usize = 64;
            const MASKS: bool = false;
            type Column = [uint8x16_t; 4];
            type Weights = [int8x16_t; 4];
            type Sums = [int32x4_t; 4];
            type Requantize = ([float32x4_t; 4], ToBytes);

            #[inline(always)]
            unsafe fn column(rows: [*const u8; ROWS], _: usize) -> Self::Column {
                // SAFETY: the caller's promise.
                unsafe {
                    let a = $prepare(vld1q_u8(rows[0]));
                    let b = $prepare(vld1q_u8(rows[1]));
                    let c = $prepare(vld1q_u8(rows[2]));
                    let zero = vdupq_n_u8(0);
                    let ab_low = vreinterpretq_u16_u8(vzip1q_u8(a, b));
                    let ab_high = vreinterpretq_u16_u8(vzip2q_u8(a, b));
                    let c_low = vreinterpretq_u16_u8(vzip1q_u8(c, zero));
                    let c_high = vreinterpretq_u16_u8(vzip2q_u8(c, zero));
                    [
                        vreinterpretq_u8_u16(vzip1q_u16(ab_low, c_low)),
                        vreinterpretq_u8_u16(vzip2q_u16(ab_low, c_low)),
                        vreinterpretq_u8_u16(vzip1q_u16(ab_high, c_high)),
                        vreinterpretq_u8_u16(vzip2q_u16(ab_high, c_high)),
                    ]
                }
            }

            #[inline(always)]
            unsafe fn add(mut sums: Self::Sums, column: &Self::Column, weights: &Self::Weights) -> Self::Sums {
                for (sums, (&bytes, &weights)) in sums.iter_mut().zip(column.iter().zip(weights)) {
                    // SAFETY: the caller promises that the core has the instruction, which touches nothing but its registers.
                    unsafe {
                        asm!(
                            concat!($instruction, " {sums:v}.4s, {bytes:v}.16b, {weights:v}.16b"),
                            sums = inout(vreg) *sums,
                            bytes = in(vreg) bytes,
                            weights = in(vreg) weights,
                            options(pure, nomem, nostack, preserves_flags)
                        );
                    }
                }
                sums
            }

            #[inline(always)]
            unsafe fn requantize(multipliers: *const f32, range: OutputRange) -> Self::Requantize {
                // SAFETY: the caller's promise.
                (unsafe { multipliers.cast::<[float32x4_t; 4]>().read_unaligned() }, ToBytes::new(range))
            }

            #[inline(always)]
            unsafe fn store(
                (multipliers, bytes): &Self::Requantize,
                sums: Self::Sums,
                to: *mut u8,
                _: usize,
                channels: usize,
            ) {
                // SAFETY: the caller's promise.
                unsafe { store_channels::<4>(to, bytes.of(sums, *multipliers), 0, channels) };
            }
        }
    };
}

pub(crate) use depthwise_quads;
