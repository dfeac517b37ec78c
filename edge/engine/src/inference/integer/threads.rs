//! A fixed set of threads that share the rows of one step. They sleep between frames and spin between the steps of a frame.
//! Knows nothing of what they compute.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::super::options::THREADS_MAX;

/// Pieces of one step for each thread, so that the others take over work of a delayed thread.
const PIECES_PER_THREAD: usize = 2;
const PIECES_MAX: usize = PIECES_PER_THREAD * THREADS_MAX;
/// How often a waiting thread checks before it yields.
const LOOKS: u32 = 200;

type Job = &'static (dyn Fn() + Sync);

struct Shared {
    /// Held while a frame begins or threads end, so that no wake-up is lost.
    gate: Mutex<()>,
    wake: Condvar,
    has_frame: AtomicBool,
    ends: AtomicBool,
    /// The number of jobs so far; a thread that has seen a lower number has work.
    generation: AtomicUsize,
    /// The job that a thread may still start.
    job: Mutex<Option<Job>>,
    /// Threads that run the job; increased only while `job` is locked and set.
    active: AtomicUsize,
    has_panicked: AtomicBool,
    /// Threads that run, so that the system has allocated what it needs for each.
    started: AtomicUsize,
}

/// The threads; the caller's is one of them.
pub(super) struct Threads {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// Something whose rows can be computed independently.
pub(super) trait Rows: Send + Sized {
    /// The minimum number of rows of a piece.
    const ROWS_MIN: usize = 4;
    /// The rows.
    fn rows(&self) -> Range<usize>;
    /// The rows before `row` and the rows from it on.
    fn split(self, row: usize) -> (Self, Self);
}

impl Threads {
    /// `count` threads, the caller's included; fewer if the system refuses more.
    pub(super) fn new(count: usize) -> Self {
        let shared = Arc::new(Shared {
            gate: Mutex::new(()),
            wake: Condvar::new(),
            has_frame: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            generation: AtomicUsize::new(0),
            job: Mutex::new(None),
            active: AtomicUsize::new(0),
            has_panicked: AtomicBool::new(false),
            started: AtomicUsize::new(0),
        });
        let workers = (1..count.min(THREADS_MAX)).map_while(|index| {
            let shared = shared.clone();
            std::thread::Builder::new().name(format!("rows-{index}")).spawn(move || shared.work()).ok()
        });
        let workers: Vec<_> = workers.collect();
        while shared.started.load(Ordering::Acquire) < workers.len() {
            std::thread::yield_now();
        }
        Threads { shared, workers }
    }

    /// The number of threads, the caller's included.
    pub(super) fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Keeps the threads awake until the result is dropped.
    pub(super) fn frame(&mut self) -> Frame<'_> {
        if !self.workers.is_empty() {
            self.shared.has_frame.store(true, Ordering::Release);
            let gate = lock(&self.shared.gate);
            self.shared.wake.notify_all();
            drop(gate);
        }
        Frame { threads: self }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        let gate = lock(&self.shared.gate);
        self.shared.wake.notify_all();
        drop(gate);
        for worker in self.workers.drain(..) {
            // A worker catches its panics.
            let _ = worker.join();
        }
    }
}

/// The threads while a frame is computed.
pub(super) struct Frame<'a> {
    threads: &'a mut Threads,
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        self.threads.shared.has_frame.store(false, Ordering::Release);
    }
}

impl Frame<'_> {
    /// Splits `whole` into pieces and calls `work` with each.
    pub(super) fn for_rows<T: Rows>(&mut self, whole: T, work: impl Fn(T) + Sync) {
        let threads = self.threads.count();
        let rows = whole.rows();
        let pieces = (rows.len() / T::ROWS_MIN).clamp(1, if threads == 1 { 1 } else { PIECES_PER_THREAD * threads });
        if pieces == 1 {
            return work(whole);
        }
        let mut slots: [Mutex<Option<T>>; PIECES_MAX] = [const { Mutex::new(None) }; PIECES_MAX];
        let mut rest = whole;
        for (index, slot) in slots[..pieces].iter_mut().enumerate() {
            let end = rows.start + rows.len() * (index + 1) / pieces;
            let (piece, behind) = rest.split(end);
            *slot.get_mut().unwrap_or_else(PoisonError::into_inner) = Some(piece);
            rest = behind;
        }
        let next = AtomicUsize::new(0);
        self.run(&|| {
            while let Some(slot) = slots[..pieces].get(next.fetch_add(1, Ordering::Relaxed)) {
                let piece = lock(slot).take();
                if let Some(piece) = piece {
                    work(piece);
                }
            }
        });
    }

    /// Calls `job` here and on every thread that is awake before it is done here, and returns when all have returned from it. So
    /// a thread that the system has not scheduled delays nothing that it has not started.
    #[allow(unsafe_code, reason = "threads that outlive a frame cannot borrow from it in safe Rust")]
    fn run(&mut self, job: &(dyn Fn() + Sync)) {
        let shared = &self.threads.shared;
        // SAFETY: only the lifetime changes. A worker takes the job only from `shared.job`, and is counted in `active`
        // before it releases that lock. `Wait` first takes the job away under the same lock, so that no other starts
        // it, and then keeps this function from returning or unwinding before `active` is 0: the borrow outlives every
        // use. `job` is `Sync`, so that they may call it at once.
        let job = unsafe { std::mem::transmute::<&(dyn Fn() + Sync), Job>(job) };
        shared.has_panicked.store(false, Ordering::Relaxed);
        // Exists before any thread can start.
        let wait = Wait(shared);
        *lock(&shared.job) = Some(job);
        shared.generation.fetch_add(1, Ordering::Release);
        job();
        drop(wait);
        assert!(!shared.has_panicked.load(Ordering::Acquire), "a thread of the integer engine panicked");
    }
}

/// Takes the job back and waits for the threads that run it when it is dropped, also by a panic.
struct Wait<'a>(&'a Shared);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        *lock(&self.0.job) = None;
        let mut looks = 0;
        while self.0.active.load(Ordering::Acquire) != 0 {
            pause(&mut looks);
        }
    }
}

impl Shared {
    /// The job, if it can still be started; the caller counts as running it from then on.
    fn begin(&self) -> Option<Job> {
        let job = lock(&self.job);
        if job.is_some() {
            self.active.fetch_add(1, Ordering::Relaxed);
        }
        *job
    }

    fn work(&self) {
        self.started.fetch_add(1, Ordering::Release);
        let mut seen = 0;
        let mut looks = 0;
        loop {
            let generation = self.generation.load(Ordering::Acquire);
            if generation != seen {
                (seen, looks) = (generation, 0);
                if let Some(job) = self.begin() {
                    if catch_unwind(AssertUnwindSafe(job)).is_err() {
                        self.has_panicked.store(true, Ordering::Release);
                    }
                    self.active.fetch_sub(1, Ordering::Release);
                }
            } else if self.ends.load(Ordering::Acquire) {
                return;
            } else if self.has_frame.load(Ordering::Acquire) {
                pause(&mut looks);
            } else {
                let gate = lock(&self.gate);
                let idle = |_: &mut ()| {
                    !self.has_frame.load(Ordering::Acquire)
                        && !self.ends.load(Ordering::Acquire)
                        && self.generation.load(Ordering::Acquire) == seen
                };
                drop(self.wake.wait_while(gate, idle));
            }
        }
    }
}

/// One pause of a spinning thread; after some, the core is yielded.
fn pause(looks: &mut u32) {
    *looks += 1;
    if looks.is_multiple_of(LOOKS) {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

/// The state behind these locks is consistent between any two statements, so that a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slice<'a>(usize, &'a mut [u32]);

    impl Rows for Slice<'_> {
        fn rows(&self) -> Range<usize> {
            self.0..self.0 + self.1.len()
        }
        fn split(self, row: usize) -> (Self, Self) {
            let (above, below) = self.1.split_at_mut(row - self.0);
            (Slice(self.0, above), Slice(row, below))
        }
    }

    #[test]
    fn every_row_is_computed_once_by_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            let mut pool = Threads::new(threads);
            for rows in [1, 2, 7, 64, 129] {
                let mut values = vec![0; rows];
                let mut frame = pool.frame();
                for _ in 0..20 {
                    frame.for_rows(Slice(0, &mut values), |piece| {
                        for (index, value) in piece.1.iter_mut().enumerate() {
                            *value += (piece.0 + index) as u32;
                        }
                    });
                }
                drop(frame);
                let expected: Vec<u32> = (0..rows as u32).map(|row| 20 * row).collect();
                assert_eq!(values, expected, "{threads} threads");
            }
        }
    }

    #[test]
    fn a_panic_in_a_worker_is_one_of_the_caller() {
        let mut pool = Threads::new(3);
        let mut values = vec![0; 64];
        let failed = catch_unwind(AssertUnwindSafe(|| {
            pool.frame().for_rows(Slice(0, &mut values), |piece| assert!(piece.0 < 32, "row {}", piece.0));
        }));
        let payload = failed.unwrap_err();
        // The caller may come to such a row itself.
        let own = payload.downcast_ref::<String>().is_some_and(|message| message.starts_with("row "));
        assert!(own || payload.downcast_ref() == Some(&"a thread of the integer engine panicked"));
    }
}
