//! What the instruction sets with 256-bit vectors share: all but the dot product itself.

/// Defines `strip` and what it needs for vectors of 8 output channels.
///
/// `$features` are the target features; `$dot` adds, in each lane, four products of unsigned bytes and weights to a sum.
macro_rules! eight_lanes {
    ($features:literal, $dot:ident, [$(($pixels:literal, $blocks:literal)),*]) => {
        const LANES: usize = 8;

        #[target_feature(enable = $features)]
        fn strip(pixels: usize, blocks: usize, strip: &mut Strip<'_>) {
            match (pixels, blocks) {
                $(($pixels, $blocks) => tiles::<$pixels, $blocks>(strip),)*
                _ => unreachable!("no tile of {pixels} pixels by {blocks} vectors"),
            }
        }

        #[target_feature(enable = $features)]
        fn tiles<const P: usize, const B: usize>(strip: &mut Strip<'_>) {
            let offsets = strip.groups.offsets();
            strip.check(P, B, LANES, offsets.len() * B * LANES * 4);
            let weights = strip.groups.weights().as_ptr().cast::<i8>();
            for tile in 0..strip.tiles {
                let mut sums = [[_mm256_setzero_si256(); P]; B];
                for (block, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: `check` has found B * LANES biases.
                    let bias = unsafe { _mm256_loadu_si256(strip.chunk.bias.as_ptr().add(block * LANES).cast()) };
                    *sums = [bias; P];
                }
                // SAFETY: pixel tile * P is one of the strip's; `check`.
                let pixel = unsafe { strip.input.as_ptr().add(tile * P * strip.input_step) };
                for (index, &offset) in offsets.iter().enumerate() {
                    // SAFETY: `check` has found B vectors of weights for each offset, and reads of 4 bytes at each
                    // offset from each pixel of the strip to be inside the input.
                    unsafe {
                        let weights = weights.add(index * B * LANES * 4);
                        let weights: [_; B] =
                            std::array::from_fn(|block| _mm256_load_si256(weights.add(block * LANES * 4).cast()));
                        let taps = pixel.add(offset as usize);
                        for p in 0..P {
                            let bytes = taps.add(p * strip.input_step).cast::<i32>().read_unaligned();
                            let bytes = _mm256_set1_epi32(bytes);
                            for (sums, &weights) in sums.iter_mut().zip(&weights) {
                                sums[p] = $dot(sums[p], bytes, weights);
                            }
                        }
                    }
                }
                match (&mut strip.output, sums.as_slice()) {
                    (StripOutput::Bytes(bytes), [low, high]) => {
                        // SAFETY: `check` has found the pixels of the strip, with the chunk's channels, to be inside the
                        // output, and two vectors of multipliers.
                        unsafe {
                            let to = bytes.as_mut_ptr().add(tile * P * strip.output_step);
                            store_two(to, strip.output_step, strip.chunk, strip.range, low, high);
                        }
                    }
                    _ => {
                        for (block, sums) in sums.iter().enumerate() {
                            store(strip, block, tile * P, *sums);
                        }
                    }
                }
            }
        }

        /// Requantizes two vectors of channels of P neighbouring pixels, `step` bytes apart from `to` on: two pixels at a time, so
        /// that a pixel's channels are stored at once.
        ///
        /// # Safety
        ///
        /// The chunk's channels, more than LANES and at most twice as many, can be written for each pixel, and there are as many
        /// multipliers as lanes.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn store_two<const P: usize>(
            to: *mut u8,
            step: usize,
            chunk: &$crate::inference::kernel::strip::Chunk,
            range: OutputRange,
            low: &[__m256i; P],
            high: &[__m256i; P],
        ) {
            // SAFETY: the caller's promise.
            unsafe {
                let multipliers = chunk.multipliers.as_ptr();
                let (a, b) = (_mm256_loadu_ps(multipliers), _mm256_loadu_ps(multipliers.add(LANES)));
                let mut pixel = 0;
                while pixel < P {
                    // The last of an odd number is computed twice.
                    let next = if pixel + 1 < P { pixel + 1 } else { pixel };
                    let bytes = to_bytes(range, [low[pixel], high[pixel], low[next], high[next]], [a, b, a, b]);
                    // From four bytes of each vector in each 128 bits to a pixel in each.
                    let bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
                    store_pixel(to.add(pixel * step), chunk.channels, _mm256_castsi256_si128(bytes));
                    store_pixel(to.add(next * step), chunk.channels, _mm256_extracti128_si256::<1>(bytes));
                    pixel += 2;
                }
            }
        }

        /// Writes the first `channels` of sixteen bytes.
        ///
        /// # Safety
        ///
        /// As many can be written.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn store_pixel(to: *mut u8, channels: usize, bytes: __m128i) {
            // SAFETY: the caller's promise.
            unsafe {
                if channels == 2 * LANES {
                    _mm_storeu_si128(to.cast(), bytes);
                } else {
                    let mut all = [0; 2 * LANES];
                    _mm_storeu_si128(all.as_mut_ptr().cast(), bytes);
                    to.copy_from_nonoverlapping(all.as_ptr(), channels);
                }
            }
        }

        /// Requantizes or stores the sums of P neighbouring pixels, one vector of channels.
        #[inline]
        #[target_feature(enable = $features)]
        fn store<const P: usize>(strip: &mut Strip<'_>, block: usize, first: usize, sums: [__m256i; P]) {
            let step = strip.output_step;
            let channels = (strip.chunk.channels - block * LANES).min(LANES);
            match &mut strip.output {
                StripOutput::Bytes(bytes) => {
                    let multipliers = &strip.chunk.multipliers[block * LANES..][..LANES];
                    let requantize = Requantize::new(multipliers, strip.range);
                    // SAFETY: `check` has found the pixels of the strip, with the chunk's channels, to be inside the
                    // output.
                    unsafe {
                        let to = bytes.as_mut_ptr().add(first * step + block * LANES);
                        quads!(sums, |quad, N, at| requantize.store::<N>(to.add(at * step), step, channels, quad));
                    }
                }
                StripOutput::Sums(all) => {
                    for (p, &sums) in sums.iter().enumerate() {
                        // SAFETY: as above, with whole vectors.
                        unsafe {
                            let to = all.as_mut_ptr().add((first + p) * step + block * LANES);
                            _mm256_storeu_si256(to.cast(), sums);
                        }
                    }
                }
            }
        }

        combine!(
            $features,
            __m256i,
            LANES,
            _mm256_setzero_si256(),
            _mm256_loadu_si256,
            _mm256_storeu_si256,
            _mm256_add_epi32,
            Requantize
        );

        /// Four vectors of sums, each by its multipliers: four bytes of each in each 128 bits. The saturating packs equal a
        /// clamp of i32.
        #[inline]
        #[target_feature(enable = $features)]
        fn to_bytes(range: OutputRange, sums: [__m256i; 4], multipliers: [__m256; 4]) -> __m256i {
            let round = |vector: usize| {
                _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(sums[vector]), multipliers[vector]))
            };
            let zero_point = _mm256_set1_epi16(i16::from(range.zero_point));
            let ab = _mm256_adds_epi16(_mm256_packs_epi32(round(0), round(1)), zero_point);
            let cd = _mm256_adds_epi16(_mm256_packs_epi32(round(2), round(3)), zero_point);
            let bytes = _mm256_max_epu8(_mm256_packus_epi16(ab, cd), _mm256_set1_epi8(range.low as i8));
            _mm256_min_epu8(bytes, _mm256_set1_epi8(range.high as i8))
        }

        /// Requantization of one vector of channels, in registers.
        struct Requantize {
            multipliers: __m256,
            range: OutputRange,
        }

        impl Requantize {
            #[inline]
            #[target_feature(enable = $features)]
            fn new(multipliers: &[f32], range: OutputRange) -> Self {
                assert!(multipliers.len() == LANES);
                // SAFETY: the assertion.
                Requantize { multipliers: unsafe { _mm256_loadu_ps(multipliers.as_ptr()) }, range }
            }

            /// Writes the first N of four neighbouring pixels.
            ///
            /// # Safety
            ///
            /// `channels` bytes, at most LANES, can be written for each pixel, `step` bytes apart from `to` on.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn store<const N: usize>(&self, to: *mut u8, step: usize, channels: usize, sums: [__m256i; 4]) {
                let bytes = to_bytes(self.range, sums, [self.multipliers; 4]);
                // From four pixels in each 128 bits to a pixel in each 64 bits.
                let bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
                let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
                let pixels = [
                    _mm_cvtsi128_si64(low),
                    _mm_extract_epi64::<1>(low),
                    _mm_cvtsi128_si64(high),
                    _mm_extract_epi64::<1>(high),
                ];
                for (index, pixel) in pixels.into_iter().enumerate().take(N) {
                    // SAFETY: the caller's promise; only the channels are written.
                    unsafe {
                        let to = to.add(index * step);
                        if channels == LANES {
                            to.cast::<i64>().write_unaligned(pixel);
                        } else {
                            to.copy_from_nonoverlapping(pixel.to_le_bytes().as_ptr(), channels);
                        }
                    }
                }
            }
        }
    };
}

pub(crate) use eight_lanes;
