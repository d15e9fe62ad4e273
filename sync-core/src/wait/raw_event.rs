//! The algorithm of the event, in one word: for threads and tasks ([`Event`](crate::Event)), and
//! for processes, any of which may be killed at any instruction (sync-ipc's `Event`).
//!
//! # Source
//!
//! Python's `threading.Event`, without its lock: the flag, a generation and a bit for waiters in
//! one futex word. Because of the generation, `set(); clear()` releases every thread that was
//! waiting: a waiter that wakes up late observes that the flag is unset again, but also that the
//! generation has changed.
//!
//! The functions are generic over the [`Home`] of the word: how a sleeper on it is woken. How a
//! waiter sleeps is the caller's: a thread sleeps until it is woken, a task returns `Pending`, a
//! process sleeps for a bound and looks again.
//!
//! # States
//!
//! The word is `generation` in the upper 30 bits, and two bits:
//!
//! | bit | meaning | legal to be stale? |
//! |---|---|---|
//! | `SET` | the event is set | no |
//! | `WAITERS` | a thread may sleep on the word; never together with `SET` | may be set without a sleeper (costs one system call); never clear while a thread sleeps and no wake is on its way to it |
//!
//! | from | event | to | and then |
//! |---|---|---|---|
//! | `g, 0` | wait | `g, WAITERS` | sleep |
//! | `g, WAITERS` | wait | the same | sleep |
//! | `g, 0` | set | `g, SET` | |
//! | `g, WAITERS` | set | `g, SET` | wake all |
//! | `g, SET` | set | `g, SET` | written again, for the reason under "Orderings" |
//! | `g, SET` | clear | `g + 1, 0` | |
//! | `g, 0` or `g, WAITERS` | clear | the same | |
//!
//! # Invariants
//!
//! 1. **No waiter is left asleep.** A thread that observed the event unset in generation g returns
//!    `true` when it sees `SET` or another generation, and one of the two holds from the first
//!    `set` on. It sleeps only on a word of generation g with `WAITERS`, and the `set` that ends
//!    such a word wakes all.
//! 2. **No wait returns without a cause.** The generation changes only where `SET` was, so another
//!    generation means that there was a `set`.
//! 3. **Wake after free.** `set` is one atomic operation; after it only the address of the word is
//!    used.
//! 4. **No participant holds an event.** Each operation is one step, so a death spoils no state. A
//!    process that is killed between the step of its `set` and the wake costs the waiters the rest
//!    of their bound: where participants may die, sleeps are bounded.
//!
//! Known limit: a waiter that does not run between two loads of the word while exactly a multiple
//! of 2^30 `clear`s happens sleeps until the next `set`. At ten million `clear`s a second that is
//! 107 seconds.
//!
//! # Orderings
//!
//! Release on the write of `set`; it pairs with the Acquire on every load by which a wait returns
//! `true`: writes before the `set` are visible after the wait. A `clear` is a read-modify-write and
//! continues the release sequence, so this also holds for a waiter that sees only the next
//! generation.
//!
//! `set` writes even where the event is set already, and `clear` is Acquire. The loop
//! `wait, clear, look for work` needs both: if `set` only loaded the word, the producer could read
//! the old `SET` while the consumer reads the old state of the work, and the work would be lost
//! (store buffering, which not even a `SeqCst` load prevents). With the write, the `clear` comes
//! either after that `set` in the modification order of the word, and then the consumer sees the
//! work, or before it, and then the event stays set.

use crate::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

pub(crate) const SET: u32 = 1;
pub(crate) const WAITERS: u32 = 2;
pub(crate) const GENERATION: u32 = 4;

/// The memory that a word lies in: this process's own, or memory that processes share.
pub trait Home {
    /// Passes the word through. In a model of processes, a participant may vanish here.
    #[inline(always)]
    fn at<'a>(&self, word: &'a AtomicU32) -> &'a AtomicU32 {
        word
    }

    /// Wakes every sleeper on the address. The word may have been freed (invariant 3).
    fn wake_all(&self, word: *const AtomicU32);
}

/// Returns whether the event is set: one load.
#[inline]
pub fn is_set(word: &AtomicU32, home: &impl Home) -> bool {
    // Acquire: pairs with the Release in `set`.
    home.at(word).load(Acquire) & SET != 0
}

/// Sets the event and releases every waiter.
#[inline]
pub fn set(word: &AtomicU32, home: &impl Home) {
    let address = &raw const *word;
    // Relaxed: the compare-and-swap that follows compares it.
    let mut state = home.at(word).load(Relaxed);
    loop {
        // Release: pairs with the Acquire of every call that observes the event set. The word is
        // written even if the event is set: "Orderings" has the reason.
        let next = (state | SET) & !WAITERS;
        match home.at(word).compare_exchange_weak(state, next, Release, Relaxed) {
            Ok(_) => break,
            Err(seen) => state = seen,
        }
    }
    if state & WAITERS != 0 {
        // Invariant 3: from here on only the address is used.
        home.wake_all(address);
    }
}

/// Makes the event unset. If it was set, the threads that were waiting are still released.
#[inline]
pub fn clear(word: &AtomicU32, home: &impl Home) {
    // Relaxed: the compare-and-swap that follows compares it.
    let mut state = home.at(word).load(Relaxed);
    while state & SET != 0 {
        let next = (state & !SET).wrapping_add(GENERATION);
        // Acquire: pairs with the Release of the `set` that this call undoes. Writes before that
        // `set` must be visible to this thread.
        match home.at(word).compare_exchange_weak(state, next, Acquire, Relaxed) {
            Ok(_) => return,
            Err(seen) => state = seen,
        }
    }
}

/// A wait on the slow path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unset {
    /// The word when the wait began.
    began: Option<u32>,
}

impl Unset {
    /// A wait that begins at its first look at the word.
    #[inline]
    pub const fn new() -> Self {
        Self { began: None }
    }

    /// Announces a waiter. Returns the word's value to sleep on, or `None` if the wait is over.
    #[inline]
    pub fn step(&mut self, word: &AtomicU32, home: &impl Home) -> Option<u32> {
        // Acquire: pairs with the Release in `set`, directly or through the `clear` that followed
        // it, because an event that is set ends the wait.
        let mut state = home.at(word).load(Acquire);
        let began = *self.began.get_or_insert(state);
        if began & SET != 0 {
            return None;
        }
        let unset = began | WAITERS;
        loop {
            // Invariant 2: in this generation the word is one of these two until the event is set.
            if state & !WAITERS != began & !WAITERS {
                return None;
            }
            // Relaxed: it publishes nothing. `set` does not miss this waiter because the futex
            // compares the word, and flag and bit are in one word.
            if state != unset {
                if let Err(seen) = home.at(word).compare_exchange(state, unset, Relaxed, Acquire) {
                    state = seen;
                    continue;
                }
            }
            return Some(unset);
        }
    }

    /// Returns whether the wait is over, without announcing a waiter.
    #[inline]
    pub fn is_over(&mut self, word: &AtomicU32, home: &impl Home) -> bool {
        // Acquire: as in `step`.
        let state = home.at(word).load(Acquire);
        let began = *self.began.get_or_insert(state);
        began & SET != 0 || state & !WAITERS != began & !WAITERS
    }
}
