//! A fixed set of slots that threads borrow. A borrowed slot returns to its pool when the guard is dropped, also on a panic.
//! The memory of the slots is allocated once; borrowing and returning allocate nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// The slots, and which of them are free.
pub(super) struct Pool<T>(Arc<Shelf<T>>);

struct Shelf<T> {
    slots: Box<[Slot<T>]>,
    // Last returned, first lent: the slots that are rarely needed stay untouched in memory.
    free: Mutex<Vec<usize>>,
    returned: Condvar,
}

struct Slot<T> {
    value: RwLock<T>,
    holders: AtomicUsize,
}

impl<T> Pool<T> {
    /// With these slots, all free.
    pub(super) fn new(slots: impl IntoIterator<Item = T>) -> Self {
        let slot = |value| Slot { value: RwLock::new(value), holders: AtomicUsize::new(0) };
        let slots: Box<[_]> = slots.into_iter().map(slot).collect();
        let free = Mutex::new((0..slots.len()).collect());
        Pool(Arc::new(Shelf { slots, free, returned: Condvar::new() }))
    }

    /// A free slot.
    pub(super) fn lend(&self) -> Option<Lent<T>> {
        let index = self.0.free().pop()?;
        Some(self.lent(index))
    }

    /// A free slot, waiting for one not much longer than `patience`.
    pub(super) fn lend_within(&self, patience: Duration) -> Option<Lent<T>> {
        let until = Instant::now() + patience;
        let mut free = self.0.free();
        loop {
            if let Some(index) = free.pop() {
                return Some(self.lent(index));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            free = self.0.returned.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Calls `prepare` on each free slot.
    pub(super) fn prepare_free(&self, mut prepare: impl FnMut(&mut T)) {
        for &index in self.0.free().iter() {
            prepare(&mut self.0.slots[index].value.write().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn lent(&self, index: usize) -> Lent<T> {
        self.0.slots[index].holders.store(1, Ordering::Relaxed);
        Lent(Hold { shelf: Arc::clone(&self.0), index })
    }
}

impl<T> Shelf<T> {
    fn free(&self) -> MutexGuard<'_, Vec<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot that only its owner uses. Dropping it returns the slot.
pub(super) struct Lent<T>(Hold<T>);

impl<T> Lent<T> {
    pub(super) fn write(&mut self) -> RwLockWriteGuard<'_, T> {
        // A slot that a panicking thread left behind is overwritten.
        self.0.slot().value.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read()
    }

    /// Makes the slot readable by several owners.
    pub(super) fn share(self) -> Shared<T> {
        Shared(self.0)
    }
}

/// A slot with several readers. Dropping the last one returns the slot.
pub(super) struct Shared<T>(Hold<T>);

impl<T> Shared<T> {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read()
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        self.0.slot().holders.fetch_add(1, Ordering::Relaxed);
        Shared(Hold { shelf: Arc::clone(&self.0.shelf), index: self.0.index })
    }
}

/// One of the holders of a slot.
struct Hold<T> {
    shelf: Arc<Shelf<T>>,
    index: usize,
}

impl<T> Hold<T> {
    fn slot(&self) -> &Slot<T> {
        &self.shelf.slots[self.index]
    }

    fn read(&self) -> RwLockReadGuard<'_, T> {
        self.slot().value.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Hold<T> {
    fn drop(&mut self) {
        if self.slot().holders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shelf.free().push(self.index);
            self.shelf.returned.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_returns_when_its_guard_is_dropped() {
        let pool = Pool::new([1, 2]);
        let mut first = pool.lend().unwrap();
        *first.write() = 7;
        let second = pool.lend().unwrap();
        assert!(pool.lend().is_none() && pool.lend_within(Duration::from_millis(1)).is_none());
        drop(first);
        assert_eq!(*pool.lend().unwrap().read(), 7);
        drop(second);
        assert!(pool.lend().is_some());
    }

    #[test]
    fn a_shared_slot_returns_with_its_last_reader() {
        let pool = Pool::new([5]);
        let one = pool.lend().unwrap().share();
        let other = one.clone();
        drop(one);
        assert!(pool.lend().is_none());
        assert_eq!(*other.read(), 5);
        drop(other);
        assert!(pool.lend().is_some());
    }

    #[test]
    fn a_panic_returns_the_slot() {
        let pool = Pool::new([5]);
        let mut lent = pool.lend().unwrap();
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _value = lent.write();
            std::panic::resume_unwind(Box::new("a bug"));
        }));
        assert!(unwound.is_err());
        *pool.lend().unwrap().write() = 6;
        assert_eq!(*pool.lend().unwrap().read(), 6);
    }

    #[test]
    fn readers_on_many_threads_lose_no_slot() {
        let pool = Pool::new([0; 3]);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for value in 0..5000 {
                        let mut lent = pool.lend_within(Duration::from_secs(20)).unwrap();
                        *lent.write() = value;
                        let shared = lent.share();
                        let other = shared.clone();
                        std::thread::scope(|scope| scope.spawn(move || drop(other)).join().unwrap());
                        assert_eq!(*shared.read(), value);
                    }
                });
            }
        });
        let all: Vec<_> = std::iter::from_fn(|| pool.lend()).collect();
        assert_eq!(all.len(), 3);
    }
}
