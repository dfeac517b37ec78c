//! A tensor that several threads write to, at disjoint indices.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// A mutable slice that threads share; each writer states why no other writes to the same indices.
#[derive(Clone, Copy)]
pub(super) struct SharedMut<'a> {
    pointer: *mut f32,
    length: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a pointer to f32 values, and all access through it is unsafe and promises disjointness.
unsafe impl Send for SharedMut<'_> {}
// SAFETY: see above.
unsafe impl Sync for SharedMut<'_> {}

impl<'a> SharedMut<'a> {
    /// A slice to share.
    pub fn new(slice: &'a mut [f32]) -> Self {
        Self { pointer: slice.as_mut_ptr(), length: slice.len(), slice: PhantomData }
    }

    /// The spare capacity of an empty vector, `length` values.
    pub fn spare(vector: &'a mut Vec<f32>, length: usize) -> Self {
        assert!(vector.is_empty() && vector.capacity() >= length, "no memory to write to");
        Self { pointer: vector.as_mut_ptr(), length, slice: PhantomData }
    }

    /// A pointer to value `index`, from which the caller writes `values` values.
    ///
    /// # Panics
    /// If they exceed the slice.
    pub fn at(&self, index: usize, values: usize) -> *mut f32 {
        assert!(index.checked_add(values).is_some_and(|end| end <= self.length), "a kernel writes outside its tensor");
        self.pointer.wrapping_add(index)
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// No other thread touches it while the part is in use, and its values were written before.
    ///
    /// # Panics
    /// If it exceeds the slice.
    pub unsafe fn part(&self, index: usize, values: usize) -> &'a mut [f32] {
        // SAFETY: `at` checks that the part is within the slice; the caller promises that nobody else touches it and that it is
        // initialized.
        unsafe { std::slice::from_raw_parts_mut(self.at(index, values), values) }
    }

    /// A part of the slice that may be uninitialized.
    ///
    /// # Safety
    /// No other thread touches it while the part is in use.
    ///
    /// # Panics
    /// If it exceeds the slice.
    pub unsafe fn unwritten_part(&self, index: usize, values: usize) -> &'a mut [MaybeUninit<f32>] {
        // SAFETY: `at` checks that the part is within the slice; the caller promises that nobody else touches it. MaybeUninit<f32>
        // has the layout of f32.
        unsafe { std::slice::from_raw_parts_mut(self.at(index, values).cast(), values) }
    }
}

/// A new vector that `write` fills; its memory is not zeroed first.
///
/// # Safety
/// `write` writes every value, and reads none before.
pub(super) unsafe fn written(length: usize, write: impl FnOnce(SharedMut)) -> Vec<f32> {
    // SAFETY: the caller's promise.
    let mut vectors = unsafe { written_each(&[length], |values| write(values[0])) };
    vectors.swap_remove(0)
}

/// New vectors of these lengths that `write` fills; as [`written`].
///
/// # Safety
/// `write` writes every value of each, and reads none before.
pub(super) unsafe fn written_each(lengths: &[usize], write: impl FnOnce(Vec<SharedMut>)) -> Vec<Vec<f32>> {
    let mut vectors: Vec<Vec<f32>> = lengths.iter().map(|&length| Vec::with_capacity(length)).collect();
    write(vectors.iter_mut().zip(lengths).map(|(vector, &length)| SharedMut::spare(vector, length)).collect());
    for (vector, &length) in vectors.iter_mut().zip(lengths) {
        // SAFETY: the capacity suffices, and the caller promises that all was written.
        unsafe { vector.set_len(length) };
    }
    vectors
}
