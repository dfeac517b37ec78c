//! Depthwise convolutions of the instruction sets with 256-bit vectors: bytes are widened to 16 bits, and each lane multiplies
//! two taps of a column of one channel. Weights of nine bits, from a zero point, need no second product.

/// Defines `WORDS` beside what `eight_lanes` defines.
///
/// `$features` are the target features; `$dot` adds, in each lane, two products of 16 bits to a sum.
macro_rules! depthwise_words {
    ($features:literal, $dot:ident) => {
        /// Blocks of sixteen channels.
        const WORDS: BlockFormat = BlockFormat {
            channels: Words::CHANNELS,
            vectors: 2,
            lanes: LANES,
            taps: 2,
            weight_bytes: 2,
            subtracts: 0,
            masks: Words::MASKS,
            row: words,
        };

        #[target_feature(enable = $features)]
        fn words(row: &mut Row<'_>) {
            // SAFETY: the caller promises that the processor has the instructions; a vector holds one pixel.
            unsafe { row.run::<Words, Words>() }
        }

        /// Sixteen channels of a pixel.
        struct Words;

        impl Columns for Words {
            const CHANNELS: usize = 16;
            const PIXELS: usize = 1;
            const SUMS: usize = 2 * LANES;
            const WEIGHTS: usize = 4 * LANES * 4;
            const MASKS: bool = false;
            /// First the upper two taps, then the last one beside zeros.
            type Column = [__m256i; 4];
            type Weights = [__m256i; 4];
            type Sums = [__m256i; 2];
            type Requantize = ([__m256; 2], OutputRange);

            #[inline(always)]
            unsafe fn column(rows: [*const u8; ROWS], _: usize) -> Self::Column {
                // SAFETY: the caller's promise.
                unsafe {
                    let a = _mm256_cvtepu8_epi16(_mm_loadu_si128(rows[0].cast()));
                    let b = _mm256_cvtepu8_epi16(_mm_loadu_si128(rows[1].cast()));
                    let c = _mm256_cvtepu8_epi16(_mm_loadu_si128(rows[2].cast()));
                    let zero = _mm256_setzero_si256();
                    [
                        _mm256_unpacklo_epi16(a, b),
                        _mm256_unpackhi_epi16(a, b),
                        _mm256_unpacklo_epi16(c, zero),
                        _mm256_unpackhi_epi16(c, zero),
                    ]
                }
            }

            #[inline(always)]
            unsafe fn add(sums: Self::Sums, column: &Self::Column, weights: &Self::Weights) -> Self::Sums {
                // SAFETY: the caller's promise.
                unsafe {
                    [
                        $dot($dot(sums[0], column[0], weights[0]), column[2], weights[2]),
                        $dot($dot(sums[1], column[1], weights[1]), column[3], weights[3]),
                    ]
                }
            }

            #[inline(always)]
            unsafe fn requantize(multipliers: *const f32, range: OutputRange) -> Self::Requantize {
                // SAFETY: the caller's promise.
                (unsafe { multipliers.cast::<[__m256; 2]>().read_unaligned() }, range)
            }

            #[inline(always)]
            unsafe fn store(
                &([a, b], range): &Self::Requantize,
                sums: Self::Sums,
                to: *mut u8,
                _: usize,
                channels: usize,
            ) {
                // SAFETY: the caller's promise; only the channels are written.
                unsafe {
                    // Each eight bytes twice.
                    let bytes = to_bytes(range, [sums[0], sums[1], sums[0], sums[1]], [a, b, a, b]);
                    let bytes = _mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b10_00>(bytes));
                    if channels == Self::CHANNELS {
                        _mm_storeu_si128(to.cast(), bytes);
                    } else {
                        let mut all = [0; Self::CHANNELS];
                        _mm_storeu_si128(all.as_mut_ptr().cast(), bytes);
                        to.copy_from_nonoverlapping(all.as_ptr(), channels);
                    }
                }
            }
        }
    };
}

pub(crate) use depthwise_words;
