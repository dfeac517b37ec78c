//! Slots that two threads lend each other: one fills them, the other reads them. Their indices travel through two queues of
//! fixed capacity, filled and free; memory is made once. A lock is held for a few instructions, never while a slot is worked on.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use heapless::Deque;

/// The most slots of an exchange, so that no queue is ever full.
const SLOTS_MAX: usize = 8;

/// See the head of this file.
pub(super) struct Exchange<T> {
    slots: Box<[Mutex<T>]>,
    queues: Mutex<Queues>,
    changed: Condvar,
}

#[derive(Default)]
struct Queues {
    free: Deque<u8, SLOTS_MAX>,
    filled: Deque<u8, SLOTS_MAX>,
    /// Nothing more will be filled.
    closed: bool,
}

/// A slot that is the caller's until it hands it on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lent(u8);

impl<T> Exchange<T> {
    /// With these slots, all free; at most [`SLOTS_MAX`] of them are used.
    pub(super) fn new(slots: impl IntoIterator<Item = T>) -> Self {
        let slots: Box<[_]> = slots.into_iter().take(SLOTS_MAX).map(Mutex::new).collect();
        let mut queues = Queues::default();
        for index in 0..slots.len() {
            push(&mut queues.free, Lent(index as u8));
        }
        Exchange { slots, queues: Mutex::new(queues), changed: Condvar::new() }
    }

    /// What is in a slot.
    pub(super) fn open(&self, lent: &Lent) -> MutexGuard<'_, T> {
        // Whatever a thread that panicked has left there is written anew.
        self.slots[usize::from(lent.0)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot to be filled: a free one.
    pub(super) fn free(&self) -> Option<Lent> {
        self.queues().free.pop_front().map(Lent)
    }

    /// A slot to be filled: the oldest filled one, which is lost thereby.
    pub(super) fn oldest(&self) -> Option<Lent> {
        self.queues().filled.pop_front().map(Lent)
    }

    /// A free slot, for which it waits, not much longer than `patience`.
    pub(super) fn wait_free(&self, patience: Duration) -> Option<Lent> {
        self.wait(patience, |queues| queues.free.pop_front()).0
    }

    /// Hands over a slot that was filled.
    pub(super) fn fill(&self, lent: Lent) {
        push(&mut self.queues().filled, lent);
        self.changed.notify_all();
    }

    /// Gives a slot back, to be filled again.
    pub(super) fn give_back(&self, lent: Lent) {
        push(&mut self.queues().free, lent);
        self.changed.notify_all();
    }

    /// The filled slot that came first, for which it waits, not much longer than `patience`.
    pub(super) fn next(&self, patience: Duration) -> Option<Lent> {
        self.wait(patience, |queues| queues.filled.pop_front()).0
    }

    /// The filled slot that came last, and how many before it were passed over, which are free again.
    pub(super) fn newest(&self, patience: Duration) -> Option<(Lent, u64)> {
        let (newest, mut queues) = self.wait(patience, |queues| queues.filled.pop_back());
        let mut passed = 0;
        while let Some(older) = queues.filled.pop_front() {
            push(&mut queues.free, Lent(older));
            passed += 1;
        }
        newest.map(|newest| (newest, passed))
    }

    /// Says that nothing more will be filled.
    pub(super) fn close(&self) {
        self.queues().closed = true;
        self.changed.notify_all();
    }

    /// Whether nothing more will be filled, and nothing is left.
    pub(super) fn is_over(&self) -> bool {
        let queues = self.queues();
        queues.closed && queues.filled.is_empty()
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(
        &self,
        patience: Duration,
        take: impl Fn(&mut Queues) -> Option<u8>,
    ) -> (Option<Lent>, MutexGuard<'_, Queues>) {
        let until = Instant::now() + patience;
        let mut queues = self.queues();
        loop {
            let taken = take(&mut queues);
            let left = until.saturating_duration_since(Instant::now());
            if taken.is_some() || queues.closed || left.is_zero() {
                return (taken.map(Lent), queues);
            }
            queues = self.changed.wait_timeout(queues, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn push(queue: &mut Deque<u8, SLOTS_MAX>, lent: Lent) {
    // Each slot is in one queue at most, and each queue has room for all.
    let pushed = queue.push_back(lent.0);
    debug_assert!(pushed.is_ok());
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const NOW: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(20);

    fn filled(exchange: &Exchange<u32>, value: u32) {
        let lent = exchange.free().unwrap();
        *exchange.open(&lent) = value;
        exchange.fill(lent);
    }

    #[test]
    fn the_newest_wins_and_the_others_are_free_again() {
        let exchange = Exchange::new([0; 3]);
        for value in 1..=3 {
            filled(&exchange, value);
        }
        assert!(exchange.free().is_none());
        let (lent, passed) = exchange.newest(NOW).unwrap();
        assert_eq!((*exchange.open(&lent), passed), (3, 2));
        assert!(exchange.newest(NOW).is_none());
        filled(&exchange, 4);
        filled(&exchange, 5);
        assert!(exchange.free().is_none());
        // Where none is free, the oldest is taken.
        let oldest = exchange.oldest().unwrap();
        assert_eq!(*exchange.open(&oldest), 4);
    }

    #[test]
    fn in_order_until_it_is_closed_and_empty() {
        let exchange = Exchange::new([0; 2]);
        filled(&exchange, 1);
        filled(&exchange, 2);
        exchange.close();
        assert!(!exchange.is_over());
        for expected in [1, 2] {
            let lent = exchange.next(LONG).unwrap();
            assert_eq!(*exchange.open(&lent), expected);
        }
        assert!(exchange.is_over());
        assert!(exchange.next(LONG).is_none());
    }

    #[test]
    fn two_threads_lose_nothing() {
        const FRAMES: u64 = 20_000;
        let exchange = Exchange::new([0u64; 3]);
        let seen = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for value in 1..=FRAMES {
                    let lent = exchange.wait_free(LONG).unwrap();
                    *exchange.open(&lent) = value;
                    exchange.fill(lent);
                }
                exchange.close();
            });
            while let Some(lent) = exchange.next(LONG) {
                let value = *exchange.open(&lent);
                assert_eq!(value, seen.fetch_add(1, Ordering::Relaxed) + 1);
                exchange.give_back(lent);
            }
        });
        assert_eq!(seen.into_inner(), FRAMES);
    }

    #[test]
    fn a_reader_that_is_slower_sees_rising_numbers_and_the_last_one() {
        const FRAMES: u64 = 20_000;
        let exchange = Exchange::new([0u64; 3]);
        let lost = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for value in 1..=FRAMES {
                    let lent = exchange.free().or_else(|| {
                        lost.fetch_add(1, Ordering::Relaxed);
                        exchange.oldest()
                    });
                    // Two slots are in the queues, one with the reader and one here at most.
                    let lent = lent.or_else(|| exchange.wait_free(LONG)).unwrap();
                    *exchange.open(&lent) = value;
                    exchange.fill(lent);
                }
                exchange.close();
            });
            let (mut last, mut read) = (0, 0);
            while let Some((lent, _)) = exchange.newest(LONG) {
                let value = *exchange.open(&lent);
                assert!(value > last, "{value} after {last}");
                (last, read) = (value, read + 1);
                std::hint::black_box((0..500).sum::<u64>());
                exchange.give_back(lent);
            }
            assert_eq!(last, FRAMES);
            assert!(read > 1);
        });
    }
}
