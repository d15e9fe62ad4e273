//! The number of threads that sleep, by the hash of the address: a wake of tasks calls the system
//! only where a thread may sleep.
//!
//! The call takes longer than everything else that a task does for its wait. Where only tasks wait,
//! as in a program that runs on one executor, no wake needs it: a channel with room for one between
//! two tasks takes 0.35 of the time without.
//!
//! A wake that finds no task calls the system in any case, also where the count is zero. Whether
//! threads gain or lose without that call is not known: it gives the lock to a thread that has
//! announced itself and does not sleep yet.
//!
//! # Invariants
//!
//! 1. **No sleeper is missed.** A thread counts itself, and then the system compares the word. A
//!    releaser changes the word, finds a task, and loads the count. A SeqCst fence between the two
//!    steps of each makes sure that the releaser sees the count or the system sees the changed
//!    word. It is invariant 2 of [`task`](super::task), with the kinds exchanged.
//! 2. **A count is never too low.** A thread leaves it after it has woken. It is too high while a
//!    thread of another address with the same hash sleeps, and in the child of a fork, whose
//!    parent's threads are not there: then a wake calls the system in vain.
//! 3. **A thread that the system moves to another word** is counted at the word where it fell
//!    asleep. So the other word counts as having a sleeper from then on.
//!
//! A sleep costs two locked instructions and a fence.

use super::super::atomic::{
    AtomicU32,
    Ordering::{Relaxed, SeqCst},
    fence,
};
#[cfg(not(any(loom, sync_verify)))]
use super::hash::{BUCKETS, bucket_of};

/// The bit of a count that says that threads were moved there.
const MOVED: u32 = 1 << 31;

/// The threads that sleep on the addresses of one hash, on a cache line of its own.
#[repr(align(64))]
pub(super) struct Count(AtomicU32);

impl Count {
    crate::primitive::const_new! {
        pub(super) const fn new() -> Self {
            Self(AtomicU32::new(0))
        }
    }
}

#[cfg(not(any(loom, sync_verify)))]
fn count(address: usize) -> Option<&'static Count> {
    static COUNTS: [Count; BUCKETS] = [const { Count::new() }; BUCKETS];
    Some(&COUNTS[bucket_of(address)])
}

/// In a model without tasks nothing reads the count, and so nothing is counted.
#[cfg(any(loom, sync_verify))]
fn count(_: usize) -> Option<&'static Count> {
    COUNT.get()
}

#[cfg(any(loom, sync_verify))]
std::thread_local! {
    /// A plain thread-local, not the checker's, as the table of the tasks.
    static COUNT: core::cell::Cell<Option<&'static Count>> = const { core::cell::Cell::new(None) };
}

/// Begins to count, for the execution of a model that begins.
#[cfg(any(loom, sync_verify))]
pub(super) fn model_with_tasks() {
    COUNT.set(Some(Box::leak(Box::new(Count::new()))));
}

/// A thread that sleeps, or is about to, or has just woken.
pub(super) struct Asleep(Option<&'static Count>);

impl Asleep {
    /// Counts the calling thread, until it is dropped. The thread lets the system compare the word
    /// afterwards.
    pub(super) fn on(address: usize) -> Self {
        let count = count(address);
        if let Some(Count(count)) = count {
            // Relaxed: the fence that follows orders it.
            count.fetch_add(1, Relaxed);
            // SeqCst: pairs with the fence in `task::waiting_at` (invariant 1).
            fence(SeqCst);
        }
        Self(count)
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        if let Some(Count(count)) = self.0 {
            // Relaxed: a count that is too high for a moment only costs a releaser a system call.
            count.fetch_sub(1, Relaxed);
        }
    }
}

/// Returns whether a thread may sleep on the address. The caller has changed the word before, and
/// has found a task (the fence is in `task::waiting_at`).
pub(super) fn may_be(address: usize) -> bool {
    // Relaxed: the fence orders it.
    count(address).is_none_or(|Count(count)| count.load(Relaxed) != 0)
}

/// Threads are about to be moved to the address.
pub(super) fn will_be_moved_to(address: usize) {
    if let Some(Count(count)) = count(address) {
        // Relaxed: the system's lock of the address orders it before the sleep there, and a thread
        // that was moved waits for a wake that comes after the move.
        count.fetch_or(MOVED, Relaxed);
    }
}
