//! What an instruction set provides: its detection, and its compute kernels as a table of functions.

use std::mem::MaybeUninit;

use super::depthwise::micro::{Products, Row};
use super::elementwise::{Affine, Factors, PIXELS};
use super::micro::{Outer, Taps};

type TapsFn = unsafe fn(&Taps);
type OuterFn = unsafe fn(&Outer);
type SpreadFn = unsafe fn(*const f32, usize, usize, usize, *mut f32);

/// Values in the widest register of all instruction sets.
pub(super) const LANES_MAX: usize = 16;

/// An instruction set in this build: one static a file.
pub(crate) struct Implementation {
    /// Whether this CPU has the instructions.
    pub is_available: fn() -> bool,
    /// Its kernels.
    pub table: &'static Table,
    /// Kernels with fewer lanes, for tensors of at most as many channels, which would leave half of a register idle.
    pub narrow: Option<&'static Table>,
}

/// The compute kernels of an instruction set. They may only be called if the CPU has its instructions.
#[expect(clippy::type_complexity, reason = "types of functions, whose documentation explains the arguments")]
pub(crate) struct Table {
    /// Values in a register.
    pub lanes: usize,
    /// [`taps`](super::micro::taps) for 1 and for 2 registers of output channels; entry `p - 1` computes `p` pixels.
    pub taps: [&'static [TapsFn]; 2],
    /// [`outer`](super::micro::outer) for 1, 2 and 3 taps in a row.
    pub outer: [OuterFn; 3],
    /// Channels of the gradient that each of them sums at once; divisors of `lanes`.
    pub outer_channels: [usize; 3],
    /// [`outer_thin`](super::micro::outer_thin) for one tap.
    pub thin_1: unsafe fn(&Outer, &[usize; 1]),
    /// And for 9 taps.
    pub thin_9: unsafe fn(&Outer, &[usize; 9]),
    /// [`spread`](super::micro::spread).
    pub spread: SpreadFn,
    /// [`row`](super::depthwise::micro::row) of a depthwise convolution, for stride 1 and 2.
    pub depthwise: [unsafe fn(&Row); 2],
    /// [`row_of_pairs`](super::depthwise::micro::row_of_pairs), for the gradient of the input with stride 2.
    pub depthwise_pairs: unsafe fn(&Row),
    /// [`products`](super::depthwise::micro::products), for stride 1 and 2.
    pub depthwise_products: [unsafe fn(&Products); 2],
    /// [`moments`](super::elementwise::moments).
    pub moments: unsafe fn(&[f32], &mut [f64], &mut [f64]),
    /// [`norm_relu`](super::elementwise::norm_relu).
    pub norm_relu: unsafe fn(&[f32], Affine, &mut [MaybeUninit<f32>]),
    /// [`norm_relu_sums`](super::elementwise::norm_relu_sums).
    pub norm_relu_sums: unsafe fn(&[f32], &[f32], Affine, &mut [f64], &mut [f64]),
    /// [`norm_relu_gradient`](super::elementwise::norm_relu_gradient).
    pub norm_relu_gradient: unsafe fn(&[f32], Affine, &[f32], &[f32], &mut [f32]),
    /// [`norm_relu_frozen_gradient`](super::elementwise::norm_relu_frozen_gradient).
    pub norm_relu_frozen_gradient: unsafe fn(&[f32], &mut [f32], Affine, &mut [f64], &mut [f64]),
    /// [`pool`](super::elementwise::pool).
    pub pool: unsafe fn(&[f32], &[f32], usize, &mut [MaybeUninit<f32>]),
    /// [`pool_gradient`](super::elementwise::pool_gradient).
    pub pool_gradient: unsafe fn(&[f32], &[f32], &[f32], usize, &mut [f32], &mut [f32]),
    /// [`exponentials`](super::elementwise::exponentials).
    pub exponentials: unsafe fn(&mut [f32], &mut [f32; PIXELS], &mut [f32; PIXELS]),
    /// [`adam`](super::elementwise::adam).
    pub adam: unsafe fn(&Factors, &mut [f32], &[f32], &mut [f32], &mut [f32]),
}

/// Compiles the kernels for one instruction set. `$feature` names what the CPU must have, `$vector` the register,
/// `depthwise` the pixels in flight of two loops in `depthwise/micro.rs`.
macro_rules! table {
    (
        features: [$($feature:literal)?], vector: $vector:ty,
        one: [$($one:literal)*], two: [$($two:literal)*],
        outer: [$m1:literal $m2:literal $m3:literal], three_taps: $three:ident,
        depthwise: [$row:literal $pairs:literal],
    ) => {
        use $crate::depthwise::micro::{self as depthwise_micro, Products, Row};
        use $crate::elementwise;
        use $crate::micro::{self, Outer, Taps};
        use $crate::table::Table;

        $(#[target_feature(enable = $feature)])?
        unsafe fn taps<const P: usize, const N: usize>(job: &Taps) {
            // SAFETY: the caller's promise.
            unsafe { micro::taps::<$vector, P, N>(job) }
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn outer<const M: usize, const K: usize>(job: &Outer) {
            // SAFETY: the caller's promise.
            unsafe { micro::outer::<$vector, M, K>(job) }
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn outer_three<const M: usize>(job: &Outer) {
            // SAFETY: the caller's promise.
            unsafe { micro::$three::<$vector, M>(job) }
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn outer_thin<const T: usize>(job: &Outer, offsets: &[usize; T]) {
            // SAFETY: the caller's promise.
            unsafe { micro::outer_thin::<$vector, T>(job, offsets) }
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn spread(from: *const f32, pixel_stride: usize, channels: usize, pixels: usize, to: *mut f32) {
            // SAFETY: the caller's promise.
            unsafe { micro::spread::<$vector>(from, pixel_stride, channels, pixels, to) }
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn depthwise<const S: usize>(job: &Row) {
            // SAFETY: the caller's promise.
            unsafe { depthwise_micro::row::<$vector, S, $row>(job) }
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn depthwise_pairs(job: &Row) {
            // SAFETY: the caller's promise.
            unsafe { depthwise_micro::row_of_pairs::<$vector, $pairs>(job) }
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn depthwise_products<const S: usize>(job: &Products) {
            // SAFETY: the caller's promise.
            unsafe { depthwise_micro::products::<$vector, S>(job) }
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn moments(x: &[f32], sums: &mut [f64], squares: &mut [f64]) {
            elementwise::moments(x, sums, squares);
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn norm_relu(x: &[f32], affine: elementwise::Affine, y: &mut [std::mem::MaybeUninit<f32>]) {
            elementwise::norm_relu(x, affine, y);
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn norm_relu_sums(
            x: &[f32],
            gradient: &[f32],
            affine: elementwise::Affine,
            sums: &mut [f64],
            products: &mut [f64],
        ) {
            elementwise::norm_relu_sums(x, gradient, affine, sums, products);
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn norm_relu_gradient(
            x: &[f32],
            affine: elementwise::Affine,
            slope: &[f32],
            offset: &[f32],
            gradient: &mut [f32],
        ) {
            elementwise::norm_relu_gradient(x, affine, slope, offset, gradient);
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn norm_relu_frozen_gradient(
            x: &[f32],
            gradient: &mut [f32],
            affine: elementwise::Affine,
            sums: &mut [f64],
            products: &mut [f64],
        ) {
            elementwise::norm_relu_frozen_gradient(x, gradient, affine, sums, products);
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn pool(upper: &[f32], lower: &[f32], channels: usize, y: &mut [std::mem::MaybeUninit<f32>]) {
            elementwise::pool(upper, lower, channels, y);
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn pool_gradient(
            upper: &[f32],
            lower: &[f32],
            gradient: &[f32],
            channels: usize,
            to_upper: &mut [f32],
            to_lower: &mut [f32],
        ) {
            elementwise::pool_gradient(upper, lower, gradient, channels, to_upper, to_lower);
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn exponentials(
            values: &mut [f32],
            largest: &mut [f32; elementwise::PIXELS],
            sums: &mut [f32; elementwise::PIXELS],
        ) {
            elementwise::exponentials(values, largest, sums);
        }

        $(#[target_feature(enable = $feature)])?
        unsafe fn adam(
            factors: &elementwise::Factors,
            weights: &mut [f32],
            gradient: &[f32],
            moment_1: &mut [f32],
            moment_2: &mut [f32],
        ) {
            elementwise::adam(factors, weights, gradient, moment_1, moment_2);
        }

        pub(crate) static TABLE: Table = Table {
            lanes: <$vector as $crate::vector::Vector>::LANES,
            taps: [&[$(taps::<$one, 1>),*], &[$(taps::<$two, 2>),*]],
            outer: [outer::<$m1, 1>, outer::<$m2, 2>, outer_three::<$m3>],
            outer_channels: [$m1, $m2, $m3],
            thin_1: outer_thin::<1>,
            thin_9: outer_thin::<9>,
            spread,
            depthwise: [depthwise::<1>, depthwise::<2>],
            depthwise_pairs,
            depthwise_products: [depthwise_products::<1>, depthwise_products::<2>],
            moments,
            norm_relu,
            norm_relu_sums,
            norm_relu_gradient,
            norm_relu_frozen_gradient,
            pool,
            pool_gradient,
            exponentials,
            adam,
        };
    };
}
pub(crate) use table;
