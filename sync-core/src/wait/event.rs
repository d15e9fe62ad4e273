//! Events: a flag that threads wait for, in four bytes.
//!
//! # Source
//!
//! Python's `threading.Event`, without its lock: the flag, a generation and "somebody waits" in one
//! futex word. The generation is what makes `set(); clear()` release everyone who was waiting: a
//! waiter that wakes up late finds the flag down again, but the generation has turned.
//! [`AutoResetEvent`] is the event of Windows that releases one: a mutex of Drepper's kind turned
//! inside out.
//!
//! # States of [`Event`]
//!
//! The word is `generation` in the upper 30 bits, and
//!
//! | bit | meaning | legal to be stale? |
//! |---|---|---|
//! | `SET` | the event is set | no |
//! | `WAITERS` | somebody may sleep on the word; never together with `SET` | may be set without a sleeper (costs one system call); never clear with one that no wake is on its way to |
//!
//! | from | event | to | and then |
//! |---|---|---|---|
//! | `g, 0` | wait | `g, WAITERS` | sleep |
//! | `g, WAITERS` | wait | the same | sleep |
//! | `g, 0` | set | `g, SET` | |
//! | `g, WAITERS` | set | `g, SET` | wake all |
//! | `g, SET` | set | `g, SET` | written all the same: see the orderings |
//! | `g, SET` | clear | `g + 1, 0` | |
//! | `g, 0` or `g, WAITERS` | clear | the same | |
//!
//! # Invariants
//!
//! 1. **Nobody is left behind.** A thread that found the event unset in generation g returns `true`
//!    once it sees `SET` or another generation, and one of the two holds from the first `set` on.
//!    It sleeps only on a word of generation g with `WAITERS`, and the `set` that ends such a word
//!    wakes all.
//! 2. **Nobody returns without a cause.** The generation turns only where `SET` was, so another
//!    generation means that there was a `set`.
//! 3. **Wake after free.** `set` is one atomic operation; after it only the address is used.
//!
//! A waiter that is held up between two looks for exactly a multiple of 2^30 `clear`s sleeps on
//! until the next `set`. At ten million a second that is 107 seconds without running.
//!
//! # Orderings
//!
//! Release on the write of `set`, Acquire on every load by which a wait returns `true`: what was
//! written before the `set` is seen after the wait. A `clear` is a read-modify-write and continues
//! the release sequence, so that this holds as well for a waiter that sees the next generation
//! only.
//!
//! `set` writes even where the event is set already, and `clear` is Acquire. That is for the loop
//! `wait, clear, look for work`: with a mere load in `set`, a producer could read the old `SET` and
//! the consumer the old state of the work, both leaving empty-handed (store buffering, which not
//! even a `SeqCst` load would cure). As it is, the `clear` either comes after that `set` in the
//! word's order, and then sees the work, or before it, and then the event stays set.

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
const GENERATION: u32 = 4;

/// A flag that threads wait for: Python's `threading.Event`.
///
/// While it is set every wait returns at once, by one load. [`set`](Self::set) releases everybody
/// who waits, also if [`clear`](Self::clear) follows at once. Without waiters `set` makes no system
/// call.
///
/// # Examples
///
/// ```
/// use sync_core::Event;
///
/// static READY: Event = Event::new();
///
/// std::thread::scope(|scope| {
///     scope.spawn(|| READY.set());
///     READY.wait();
/// });
/// assert!(READY.is_set());
/// ```
///
/// # Memory ordering
///
/// What happened before a `set` happens before the return of every wait that it ends, and before
/// that of every [`is_set`](Self::is_set), wait or `clear` that finds the event set by it or by a
/// later one.
///
/// # Source of the algorithm
///
/// A flag with a generation in a futex word; state table and invariants stand at the top of
/// `event.rs`.
pub struct Event {
    word: AtomicU32,
}

impl Event {
    const_new! {
        /// An event that is not set.
        pub const fn new() -> Self {
            Self { word: AtomicU32::new(0) }
        }
    }

    /// Sets the event and releases everybody who waits for it.
    #[inline]
    pub fn set(&self) {
        let mut state = self.word.load(Relaxed);
        loop {
            // Release: pairs with the Acquire of whoever sees the event set. Written even if it is
            // set: see the orderings above.
            match self.word.compare_exchange_weak(state, (state | SET) & !WAITERS, Release, Relaxed)
            {
                Ok(_) => break,
                Err(seen) => state = seen,
            }
        }
        if state & WAITERS != 0 {
            // Invariant 3: from here on only the address.
            futex::wake_all(&raw const self.word);
        }
    }

    /// Makes the event unset; whoever was waiting is released all the same if it was set.
    #[inline]
    pub fn clear(&self) {
        let mut state = self.word.load(Relaxed);
        while state & SET != 0 {
            // Acquire: pairs with the Release of the `set` that this undoes: what was done before
            // it, this thread sees now.
            match self.word.compare_exchange_weak(
                state,
                (state & !SET).wrapping_add(GENERATION),
                Acquire,
                Relaxed,
            ) {
                Ok(_) => return,
                Err(seen) => state = seen,
            }
        }
    }

    /// Whether the event is set: one load.
    #[inline]
    #[doc(alias = "isSet")]
    pub fn is_set(&self) -> bool {
        // Acquire: pairs with the Release in `set`.
        self.word.load(Acquire) & SET != 0
    }

    /// Sleeps until the event is set; returns at once if it is.
    #[inline]
    pub fn wait(&self) {
        if !self.is_set() {
            self.wait_unset(None);
        }
    }

    /// As [`wait`](Self::wait), for at most `timeout`: `false` if the event was not set in that
    /// time. A timeout too long for the clock means forever.
    ///
    /// `true` means that the event was set, even if it was cleared since.
    #[inline]
    pub fn wait_for(&self, timeout: Duration) -> bool {
        self.is_set() || self.wait_unset(Deadline::after(timeout))
    }

    /// As [`wait_for`](Self::wait_for), until `deadline` at most. One in the past asks whether the
    /// event is set.
    #[inline]
    pub fn wait_until(&self, deadline: Instant) -> bool {
        self.is_set() || self.wait_unset(Deadline::at(deadline))
    }

    #[cold]
    fn wait_unset(&self, deadline: Option<Deadline>) -> bool {
        let seen = self.word.load(Acquire);
        if seen & SET != 0 {
            return true;
        }
        let unset = seen | WAITERS;
        let mut state = seen;
        loop {
            // Invariant 2: in this generation the word is one of these two until the event is set.
            if state & !WAITERS != seen & !WAITERS {
                return true;
            }
            // Relaxed: it publishes nothing; that `set` does not miss this waiter is the futex's
            // comparison and the word being one.
            if state != unset {
                if let Err(seen) = self.word.compare_exchange(state, unset, Relaxed, Acquire) {
                    state = seen;
                    continue;
                }
            }
            let in_time = futex::wait_maybe(&self.word, unset, deadline);
            // Acquire: pairs with the Release in `set`, directly or through the `clear` that
            // followed it.
            state = self.word.load(Acquire);
            if !in_time {
                return state & !WAITERS != seen & !WAITERS;
            }
        }
    }

    /// Makes the event unset with nobody waiting: for the child of a `fork`, where the threads that
    /// waited do not exist any more. Whether it is set is otherwise kept by a fork.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the event.
    #[doc(alias = "_at_fork_reinit")]
    pub unsafe fn reinit_after_fork(&self) {
        self.word.store(0, Relaxed);
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_set() { "set" } else { "unset" };
        f.debug_struct("Event").field("state", &format_args!("{state}")).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{AtomicU32, Event, GENERATION};

    /// A generation is compared for being the same and nothing else, so it may come round.
    #[test]
    fn the_generation_comes_round() {
        let last = u32::MAX / GENERATION * GENERATION;
        let event = Event { word: AtomicU32::new(last) };
        for _ in 0..3 {
            thread::scope(|scope| {
                let waits = scope.spawn(|| event.wait());
                while event.word.load(super::Relaxed) & super::WAITERS == 0 {
                    thread::yield_now();
                }
                event.set();
                event.clear();
                waits.join().unwrap();
            });
        }
        assert!(event.word.load(super::Relaxed) < last);
    }
}
