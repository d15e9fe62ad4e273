//! A flag of four bytes that threads wait for.
//!
//! # Source
//!
//! Python's `threading.Event`, without its lock: the flag, a generation and a bit for waiters in
//! one futex word. Because of the generation, `set(); clear()` releases every thread that was
//! waiting: a waiter that wakes up late observes that the flag is unset again, but also that the
//! generation has changed. [`AutoResetEvent`] is the event of Windows that releases one waiter.
//!
//! # States of [`Event`]
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

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use crate::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitive::const_new;
use crate::primitive::futex::{self, Channel, Deadline};
use crate::primitive::steps::{self, Sleep, Step, Steps, Waiting};

const SET: u32 = 1;
const WAITERS: u32 = 2;
const GENERATION: u32 = 4;

/// A flag that threads wait for: Python's `threading.Event`.
///
/// While it is set, every wait returns at once, after one load. [`set`](Self::set) releases every
/// waiter, also if [`clear`](Self::clear) follows at once. Without waiters `set` makes no system
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
/// Everything that happened before a `set` happens before the return of every wait that it ends,
/// and before the return of every [`is_set`](Self::is_set), wait or `clear` that observes the event
/// set by it or by a later `set`.
///
/// # Source of the algorithm
///
/// A flag with a generation in a futex word; the state table and the invariants are at the top of
/// `event.rs`.
pub struct Event {
    word: AtomicU32,
}

impl Event {
    const_new! {
        /// Creates an event that is not set.
        pub const fn new() -> Self {
            Self { word: AtomicU32::new(0) }
        }
    }

    /// Sets the event and releases every thread that waits for it.
    #[inline]
    pub fn set(&self) {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.word.load(Relaxed);
        loop {
            // Release: pairs with the Acquire of every call that observes the event set. The word
            // is written even if the event is set: "Orderings" has the reason.
            match self.word.compare_exchange_weak(state, (state | SET) & !WAITERS, Release, Relaxed)
            {
                Ok(_) => break,
                Err(seen) => state = seen,
            }
        }
        if state & WAITERS != 0 {
            // Invariant 3: from here on only the address is used.
            futex::wake_all(&raw const self.word);
        }
    }

    /// Makes the event unset. If it was set, the threads that were waiting are still released.
    #[inline]
    pub fn clear(&self) {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.word.load(Relaxed);
        while state & SET != 0 {
            // Acquire: pairs with the Release of the `set` that this call undoes. Writes before
            // that `set` must be visible to this thread.
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

    /// Returns whether the event is set: one load.
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

    /// Like [`wait`](Self::wait), for at most `timeout`. Returns `false` if the event was not set
    /// in that time. A timeout too long for the clock means forever.
    ///
    /// `true` means that the event was set, even if it was cleared since.
    #[inline]
    #[doc(alias = "wait_for")]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.is_set() || self.wait_unset(Deadline::after(timeout))
    }

    /// The former name of [`wait_timeout`](Self::wait_timeout), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_for(&self, timeout: Duration) -> bool {
        self.wait_timeout(timeout)
    }

    /// Like [`wait_timeout`](Self::wait_timeout), until `deadline` at most. With a deadline in the
    /// past it returns whether the event is set.
    #[inline]
    #[doc(alias = "wait_until")]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.is_set() || self.wait_unset(Deadline::at(deadline))
    }

    /// The former name of [`wait_deadline`](Self::wait_deadline), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_until(&self, deadline: Instant) -> bool {
        self.wait_deadline(deadline)
    }

    #[cold]
    fn wait_unset(&self, deadline: Option<Deadline>) -> bool {
        steps::run(self.waiting(), deadline).is_some()
    }

    /// Waits until the event is set, as a task.
    ///
    /// Cancel-safe: a wait that is dropped has no effect.
    ///
    /// ```
    /// use sync_core::{Event, task::block_on};
    ///
    /// static READY: Event = Event::new();
    /// std::thread::spawn(|| READY.set());
    /// block_on(READY.wait_async());
    /// ```
    #[inline]
    pub async fn wait_async(&self) {
        if !self.is_set() {
            Waiting::new(self.waiting()).await;
        }
    }

    /// Returns a wait on the slow path, for a thread or a task.
    #[inline]
    pub(crate) fn waiting(&self) -> Unset<'_> {
        Unset { event: self, began: None }
    }

    /// Makes the event unset, without waiters: for the child of a `fork`, where the threads that
    /// waited do not exist any more. Without this call the child keeps the flag of the parent.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the event.
    #[doc(alias = "_at_fork_reinit")]
    pub unsafe fn reinit_after_fork(&self) {
        // Relaxed: no other thread uses it (the caller's promise).
        self.word.store(0, Relaxed);
    }
}

/// A wait for an [`Event`] on the slow path.
pub(crate) struct Unset<'a> {
    event: &'a Event,
    /// The word when the wait began.
    began: Option<u32>,
}

impl<'a> Steps<'a> for Unset<'a> {
    type Output = ();

    fn step(&mut self, _: bool) -> Step<'a, ()> {
        let word = &self.event.word;
        // Acquire: pairs with the Release in `set`, directly or through the `clear` that followed
        // it, because an event that is set ends the wait.
        let mut state = word.load(Acquire);
        let began = *self.began.get_or_insert(state);
        if began & SET != 0 {
            return Step::Done(());
        }
        let unset = began | WAITERS;
        loop {
            // Invariant 2: in this generation the word is one of these two until the event is set.
            if state & !WAITERS != began & !WAITERS {
                return Step::Done(());
            }
            // Relaxed: it publishes nothing. `set` does not miss this waiter because the futex
            // compares the word, and flag and bit are in one word.
            if state != unset {
                if let Err(seen) = word.compare_exchange(state, unset, Relaxed, Acquire) {
                    state = seen;
                    continue;
                }
            }
            return Step::Sleep(Sleep {
                word,
                expected: unset,
                channel: Channel::ALL,
                limit: None,
            });
        }
    }

    fn leave(&mut self) -> Option<()> {
        // Acquire: as in `step`.
        let state = self.event.word.load(Acquire);
        self.began.is_some_and(|began| state & !WAITERS != began & !WAITERS).then_some(())
    }

    fn undo(&mut self, (): ()) {}
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

    /// Generations are compared for equality only, so the counter may wrap around.
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
