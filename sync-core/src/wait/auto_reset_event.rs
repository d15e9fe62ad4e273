//! An event that releases one waiter and is unset by that.
//!
//! # Source
//!
//! The auto-reset event of Windows; as an algorithm Drepper's mutex 3 turned inside out: to wait is
//! to take what to set gives.
//!
//! # States
//!
//! | word | meaning | legal to be stale? |
//! |---|---|---|
//! | `SET` | the next wait returns | no |
//! | `WAITERS` | somebody may sleep on the word | may be set without a sleeper (costs one system call); never clear with one that no wake is on its way to |
//!
//! | from | event | to | and then |
//! |---|---|---|---|
//! | `S..` | wait by one that has not slept | the same without `S` | it returns |
//! | `S..` | wait by one that has slept | `W` | it returns |
//! | `0`, `W` | wait | `W` | sleep |
//! | `0`, `S` | set | `S` | |
//! | `W`, `SW` | set | `S` | wake one |
//! | `S..` | clear | the same without `S` | |
//!
//! # Invariants
//!
//! 1. **One set, one wait.** `SET` is taken by the compare-and-swap of one wait; a `set` while it
//!    is set adds nothing.
//! 2. **No swallowed wake.** Whoever has slept takes with `WAITERS` set and sleeps again only after
//!    it has set `WAITERS`: so the sleepers that a wake passed by are seen by the next `set`. A
//!    wait that timed out consumed no wake (rule 3 of the futex module).
//! 3. **Nobody sleeps on a set event.** A thread sleeps only while the word is `W`.
//! 4. **Wake after free.** `set` is one atomic operation; after it only the address is used.
//!
//! # Orderings
//!
//! Release on the write of `set`, Acquire on the one that takes it. As in `event.rs`, `set` writes
//! even where the event is set, so that who takes it sees what was written before every `set` that
//! it stands for.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use crate::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitive::const_new;
use crate::primitive::futex::{self, Deadline};

const SET: u32 = 1;
const WAITERS: u32 = 2;

/// An event whose [`set`](Self::set) releases one waiter, now or later: setting it twice before
/// anybody waits releases one.
///
/// # Examples
///
/// ```
/// use sync_core::AutoResetEvent;
///
/// let work = AutoResetEvent::new();
/// std::thread::scope(|scope| {
///     scope.spawn(|| work.set());
///     work.wait();
/// });
/// assert!(!work.is_set(), "the wait took it");
/// ```
///
/// # Memory ordering
///
/// What happened before a `set` happens before the return of the wait that takes it, also if it was
/// set already.
///
/// # Source of the algorithm
///
/// Drepper's mutex turned inside out; state table and invariants stand at the top of
/// `auto_reset_event.rs`.
pub struct AutoResetEvent {
    word: AtomicU32,
}

impl AutoResetEvent {
    const_new! {
        /// An event that is not set.
        pub const fn new() -> Self {
            Self { word: AtomicU32::new(0) }
        }
    }

    /// Releases one waiter, or the next to come.
    #[inline]
    pub fn set(&self) {
        // Release: pairs with the Acquire in `try_wait`. It is a read-modify-write, so the releases
        // of earlier ones go on.
        if self.word.swap(SET, Release) & WAITERS != 0 {
            // Invariant 4: from here on only the address.
            futex::wake_one(&raw const self.word);
        }
    }

    /// Takes the event back if nobody has taken it yet.
    #[inline]
    pub fn clear(&self) {
        self.try_wait();
    }

    /// Whether a wait would return at once. A snapshot: it may have changed before the call
    /// returns.
    #[inline]
    pub fn is_set(&self) -> bool {
        // Relaxed: an observation that carries no right to anything.
        self.word.load(Relaxed) & SET != 0
    }

    /// Takes the event if it is set.
    #[inline]
    pub fn try_wait(&self) -> bool {
        let mut state = self.word.load(Relaxed);
        while state & SET != 0 {
            // Acquire: pairs with the Release in `set`.
            match self.word.compare_exchange_weak(state, state & !SET, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(seen) => state = seen,
            }
        }
        false
    }

    /// Sleeps until the event is set, and takes it.
    #[inline]
    pub fn wait(&self) {
        if !self.try_wait() {
            self.wait_unset(None);
        }
    }

    /// As [`wait`](Self::wait), for at most `timeout`: `false` if the time was up first. A timeout
    /// too long for the clock means forever.
    #[inline]
    pub fn wait_for(&self, timeout: Duration) -> bool {
        self.try_wait() || self.wait_unset(Deadline::after(timeout))
    }

    /// As [`wait_for`](Self::wait_for), until `deadline` at most. One in the past still takes an
    /// event that is set.
    #[inline]
    pub fn wait_until(&self, deadline: Instant) -> bool {
        self.try_wait() || self.wait_unset(Deadline::at(deadline))
    }

    #[cold]
    fn wait_unset(&self, deadline: Option<Deadline>) -> bool {
        let mut slept = false;
        let mut state = self.word.load(Relaxed);
        loop {
            let next = match state & SET != 0 {
                // Invariant 2.
                true if slept => WAITERS,
                true => state & !SET,
                false => WAITERS,
            };
            if next != state {
                // Acquire: as in `try_wait`; more than announcing a waiter needs.
                match self.word.compare_exchange(state, next, Acquire, Relaxed) {
                    Ok(_) if state & SET != 0 => return true,
                    Ok(_) => {}
                    Err(seen) => {
                        state = seen;
                        continue;
                    }
                }
            }
            if !futex::wait_maybe(&self.word, WAITERS, deadline) {
                // It consumed no wake, so it owes nobody one; but the event may have been set at
                // this very moment.
                return self.try_wait();
            }
            slept = true;
            state = self.word.load(Relaxed);
        }
    }

    /// Makes the event unset with nobody waiting: for the child of a `fork`.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the event.
    pub unsafe fn reinit_after_fork(&self) {
        self.word.store(0, Relaxed);
    }
}

impl Default for AutoResetEvent {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for AutoResetEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_set() { "set" } else { "unset" };
        f.debug_struct("AutoResetEvent").field("state", &format_args!("{state}")).finish()
    }
}
