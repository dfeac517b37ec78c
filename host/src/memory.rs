//! How the program asks the system for memory.

/// Keeps freed memory for the next step instead of giving it back to the system after each.
///
/// A step makes and drops the same large tensors over and over. Memory that was given back comes as pages that the system
/// clears one fault at a time, which costs a fifth of a step. Called once, before any thread is started. Only the C library
/// of GNU has these settings; elsewhere this does nothing.
#[allow(unsafe_code, reason = "the C library's settings have no safe form")]
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the program has one thread, and the values are valid ones.
    unsafe {
        // No allocation is a mapping of its own, and the top of the heap is never trimmed.
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}
