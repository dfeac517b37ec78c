//! The system's allocator, and a count of what it was asked for by all threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// How often memory was asked for since the start.
pub fn allocations() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// To be named as the `#[global_allocator]` of a test.
pub struct Counting;

#[allow(unsafe_code, reason = "an allocator is unsafe to implement; this one counts and hands on")]
// SAFETY: every call goes to the system's allocator with the arguments that it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Waits until allocations stop: the test runner's thread allocates while starting a test, on a busy machine even after the test
/// has begun.
pub fn wait_until_quiet() {
    let mut seen = allocations();
    for _ in 0..100 {
        std::thread::sleep(std::time::Duration::from_millis(50));
        if allocations() == seen {
            return;
        }
        seen = allocations();
    }
}
