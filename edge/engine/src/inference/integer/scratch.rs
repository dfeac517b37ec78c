//! Memory beside the arena for the sums of a convolution, one piece for each thread.

use std::collections::TryReserveError;
use std::sync::{Mutex, PoisonError, TryLockError};

/// As many pieces as there are threads.
pub(super) struct Scratch(Vec<Mutex<Vec<i32>>>);

impl Scratch {
    /// `pieces` of `length` sums.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub(super) fn new(pieces: usize, length: usize) -> Result<Self, TryReserveError> {
        let piece = |_| {
            let mut sums = Vec::new();
            sums.try_reserve_exact(length)?;
            sums.resize(length, 0);
            Ok(Mutex::new(sums))
        };
        (0..pieces).map(piece).collect::<Result<_, _>>().map(Scratch)
    }

    pub(super) fn bytes(&self) -> usize {
        let length = |piece: &Mutex<Vec<i32>>| piece.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.0.iter().map(|piece| size_of::<i32>() * length(piece)).sum()
    }

    /// Calls `work` with a piece that no other thread holds. No more threads than pieces may call this at once.
    pub(super) fn lend<T>(&self, work: impl FnOnce(&mut [i32]) -> T) -> T {
        loop {
            for piece in &self.0 {
                match piece.try_lock() {
                    Ok(mut piece) => return work(&mut piece),
                    // The numbers that a panicked thread has left do not matter.
                    Err(TryLockError::Poisoned(piece)) => return work(&mut piece.into_inner()),
                    Err(TryLockError::WouldBlock) => {}
                }
            }
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_borrower_has_a_piece_of_its_own() {
        let scratch = Scratch::new(2, 3).unwrap();
        assert_eq!(scratch.bytes(), 24);
        scratch.lend(|first| {
            first.fill(1);
            scratch.lend(|second| assert_eq!(second, [0; 3]));
        });
        scratch.lend(|first| assert_eq!(first, [1; 3]));
    }
}
