//! Parallel work on many files with a few threads and a bounded number of results in flight.

use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

/// Reading files does not get faster with more threads.
const THREADS_MAX: usize = 8;

/// Calls `work` with each index below `count` on a few threads, and `sink` on this thread with each result as it
/// arrives: every index once, in no particular order, with few results queued. After `sink` breaks, no further index is
/// started. All indices below one that has arrived were started before it, so their results still arrive, and `sink` is
/// called with them.
pub fn in_parallel<T: Send>(
    count: usize,
    work: impl Fn(usize) -> T + Sync,
    mut sink: impl FnMut(usize, T) -> ControlFlow<()>,
) {
    let threads = thread::available_parallelism().map_or(2, NonZero::get).clamp(1, THREADS_MAX).min(count);
    let next = AtomicUsize::new(0);
    let (sender, receiver) = sync_channel(threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count || sender.send((index, work(index))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (index, result) in receiver {
            if sink(index, result).is_break() {
                next.fetch_max(count, Ordering::Relaxed);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_arrives_once() {
        let mut seen = vec![0; 1000];
        in_parallel(
            1000,
            |index| index * 2,
            |index, twice| {
                assert_eq!(twice, index * 2);
                seen[index] += 1;
                ControlFlow::Continue(())
            },
        );
        assert!(seen.iter().all(|&times| times == 1));
        in_parallel(0, |index| index, |_, _| std::panic!("there is nothing to do"));
    }

    #[test]
    fn all_below_a_break_still_arrive() {
        let mut seen = Vec::new();
        in_parallel(
            10_000,
            |index| index,
            |index, _| {
                seen.push(index);
                if index >= 50 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        );
        assert!((0..=50).all(|index| seen.contains(&index)));
        assert!(seen.len() < 10_000);
    }
}
