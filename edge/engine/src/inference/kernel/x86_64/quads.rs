//! Sums of pixels in registers, by fours.

/// Calls `$body` with each four of the sums of P pixels, how many of them are valid, and the index of the first. A loop would
/// let the compiler index the sums, and so keep them in memory.
macro_rules! quads {
    ($sums:ident, |$quad:ident, $N:ident, $at:ident| $body:expr) => {
        quads!(@ $sums, $quad, $N, $at, $body, 0 4 8 12)
    };
    (@ $sums:ident, $quad:ident, $N:ident, $at:ident, $body:expr, $($first:literal)*) => {
        $(
            if P >= $first + 4 {
                const $N: usize = 4;
                let ($quad, $at) = ([0, 1, 2, 3].map(|index| $sums[($first + index).min(P - 1)]), $first);
                $body;
            }
        )*
        if P % 4 == 2 {
            const $N: usize = 2;
            let (last, $at) = ($sums[P - 1], P - 2);
            let $quad = [$sums[$at], last, last, last];
            $body;
        }
        if P % 4 == 1 {
            const $N: usize = 1;
            let ($quad, $at) = ([$sums[P - 1]; 4], P - 1);
            $body;
        }
    };
}

pub(crate) use quads;
