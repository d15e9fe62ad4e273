//! What becomes of a pool in the child of a `fork`: it is left behind.
//!
//! The child has one thread, the one that forked. The pool's workers are not there, and what they,
//! or others who submitted, had in hand at that moment stays as it was: a claimed place is never
//! filled, a lock never released. So the child must not wait for a worker, nor touch the backlog.
//! That it is the child is noted by a handler of the system's (`pthread_atfork`) in one word, which
//! says up to which number pools are an ancestor's; to look costs a load. A child that was made
//! without the C library (a bare `clone`) notices nothing.

use core::sync::atomic::{AtomicU64, Ordering};

/// The number of the next pool. Not a modelled atomic, nor is the other: no model forks.
static NEXT: AtomicU64 = AtomicU64::new(1);
/// Pools with a number below this one are an ancestor's.
static FIRST_OF_OURS: AtomicU64 = AtomicU64::new(0);

/// A number for a new pool.
pub(super) fn next_number() -> u64 {
    #[cfg(unix)]
    watch();
    // Relaxed: only distinctness is asked for.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whether the threads of this pool are in a process that this one was forked from.
#[inline]
pub(super) fn left_behind(pool: u64) -> bool {
    // Relaxed: written before the child has a second thread.
    pool < FIRST_OF_OURS.load(Ordering::Relaxed)
}

#[cfg(unix)]
fn watch() {
    extern "C" fn in_child() {
        // All that exist. Relaxed: the child has one thread; and atomics are all that a handler may
        // touch.
        FIRST_OF_OURS.store(NEXT.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler lives as long as the program and is safe in a child. If there is no
        // memory to note it, forks go unnoticed.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}
