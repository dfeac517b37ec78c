//! A bounded queue between two threads. A lock is held for a few instructions only.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Holds at most a fixed number of items; allocates nothing after construction.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    capacity: usize,
}

struct State<T> {
    items: VecDeque<T>,
    /// Nothing more will be pushed.
    closed: bool,
    /// Nothing more will be popped.
    abandoned: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let state = State { items: VecDeque::with_capacity(capacity), closed: false, abandoned: false };
        Queue { state: Mutex::new(state), changed: Condvar::new(), capacity }
    }

    /// Adds an item; gives it back if the queue is full or abandoned.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        self.push_within(item, Duration::ZERO)
    }

    /// As [`Queue::push`], waiting for room not much longer than `patience`.
    pub(super) fn push_within(&self, item: T, patience: Duration) -> Result<(), T> {
        let ready = |state: &mut State<T>| (state.items.len() < self.capacity || state.abandoned).then_some(());
        let (_, mut state) = self.wait(patience, ready);
        if state.abandoned || state.items.len() >= self.capacity {
            return Err(item);
        }
        state.items.push_back(item);
        self.changed.notify_all();
        Ok(())
    }

    /// The oldest item, waiting for one not much longer than `patience`.
    pub(super) fn pop(&self, patience: Duration) -> Option<T> {
        let (item, _state) = self.wait(patience, |state| {
            let item = state.items.pop_front();
            if item.is_none() && state.closed { Some(None) } else { item.map(Some) }
        });
        self.changed.notify_all();
        item.flatten()
    }

    /// The newest item and the number of older ones, which are dropped.
    pub(super) fn pop_newest(&self, patience: Duration) -> Option<(T, u64)> {
        let (item, mut state) = self.wait(patience, |state| {
            let item = state.items.pop_back();
            if item.is_none() && state.closed { Some(None) } else { item.map(Some) }
        });
        let dropped = state.items.len() as u64;
        state.items.clear();
        self.changed.notify_all();
        item.flatten().map(|item| (item, dropped))
    }

    /// Closes the queue: nothing more will be pushed.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Gives up reading: nothing more will be popped, and all items are dropped.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.abandoned = true;
        state.items.clear();
        self.changed.notify_all();
    }

    /// Number of items.
    pub(super) fn len(&self) -> usize {
        self.state().items.len()
    }

    /// Whether it is closed and empty.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        state.closed && state.items.is_empty()
    }

    /// Whether the popping thread is gone although the queue was not closed.
    pub(super) fn is_broken(&self) -> bool {
        let state = self.state();
        state.abandoned && !state.closed
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<R>(
        &self,
        patience: Duration,
        take: impl Fn(&mut State<T>) -> Option<R>,
    ) -> (Option<R>, MutexGuard<'_, State<T>>) {
        let until = Instant::now() + patience;
        let mut state = self.state();
        loop {
            let taken = take(&mut state);
            let left = until.saturating_duration_since(Instant::now());
            if taken.is_some() || left.is_zero() {
                return (taken, state);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn items_are_popped_in_order_until_it_is_closed_and_empty() {
        let queue = Queue::new(2);
        assert_eq!([queue.push(1), queue.push(2), queue.push(3)], [Ok(()), Ok(()), Err(3)]);
        assert_eq!(queue.push_within(3, Duration::from_millis(1)), Err(3));
        queue.close();
        assert!(!queue.is_over());
        assert_eq!([queue.pop(LONG), queue.pop(LONG), queue.pop(LONG)], [Some(1), Some(2), None]);
        assert!(queue.is_over() && !queue.is_broken());
    }

    #[test]
    fn the_newest_replaces_the_older_ones() {
        let queue = Queue::new(3);
        for item in 1..=3 {
            queue.push(item).unwrap();
        }
        assert_eq!(queue.pop_newest(NOW), Some((3, 2)));
        assert_eq!(queue.pop_newest(NOW), None);
    }

    #[test]
    fn nobody_waits_for_an_abandoned_queue() {
        let queue = Queue::new(1);
        queue.push(1).unwrap();
        queue.abandon();
        assert!(queue.is_broken());
        assert_eq!(queue.push_within(2, LONG), Err(2));
    }

    #[test]
    fn two_threads_lose_nothing() {
        const ITEMS: u64 = 20_000;
        let queue = Queue::new(3);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for item in 0..ITEMS {
                    queue.push_within(item, LONG).unwrap();
                }
                queue.close();
            });
            for expected in 0..ITEMS {
                assert_eq!(queue.pop(LONG), Some(expected));
            }
            assert_eq!(queue.pop(LONG), None);
        });
    }
}
