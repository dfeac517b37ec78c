//! 32 registers of 8 values: AVX-512, for tensors of so few channels that half of a whole register would be idle.

use std::arch::x86_64::__m256;

use crate::table::table;

// 32 registers: 1 x 14 or 2 x 14 sums.
table! {
    features: ["avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"], vector: __m256,
    one: [1 2 3 4 5 6 7 8 9 10 11 12 13 14], two: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
    outer: [8 8 8], three_taps: outer_three_whole,
    depthwise: [8 8],
}
