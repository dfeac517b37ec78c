//! A register of f32 values: the trait that the innermost loops are generic over.

/// As many f32 values as a register of the instruction set holds.
///
/// # Safety
/// Of all methods: the CPU has the instruction set, and `LANES` values (`splat`: one) can be read from or written to the
/// pointer, which needs no alignment.
pub(super) trait Vector: Copy {
    /// Values in a register.
    const LANES: usize;

    /// All 0.
    unsafe fn zero() -> Self;

    /// `LANES` values from memory.
    unsafe fn load(from: *const f32) -> Self;

    /// `LANES` values to memory.
    unsafe fn store(self, to: *mut f32);

    /// One value from memory in all lanes.
    unsafe fn splat(from: *const f32) -> Self;

    /// `self + a * b`, rounded once where the instruction set can.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;

    /// Asks for the cache line of an address, which may be outside any array; nothing where there is no instruction for it.
    #[inline(always)]
    fn prefetch(_from: *const f32) {}

    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
}
