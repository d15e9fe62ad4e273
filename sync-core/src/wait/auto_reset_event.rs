//! An event that releases one waiter, and is unset by that.
//!
//! # Source
//!
//! The auto-reset event of Windows; the algorithm is Drepper's mutex 3 with its roles exchanged:
//! `set` is the unlock, and a wait is the lock.
//!
//! # States
//!
//! | word | meaning | legal to be stale? |
//! |---|---|---|
//! | `SET` | the next wait returns | no |
//! | `WAITERS` | a thread may sleep on the word | may be set without a sleeper (costs one system call); never clear while a thread sleeps and no wake is on its way to it |
//!
//! | from | event | to | and then |
//! |---|---|---|---|
//! | `S..` | wait by a thread that has not slept | the same without `S` | it returns |
//! | `S..` | wait by a thread that has slept | `W` | it returns |
//! | `0`, `W` | wait | `W` | sleep |
//! | `0`, `S` | set | `S` | |
//! | `W`, `SW` | set | `S` | wake one |
//! | `S..` | clear | the same without `S` | |
//!
//! # Invariants
//!
//! 1. **One set, one wait.** `SET` is taken by the compare-and-swap of one wait; a `set` while it
//!    is set adds nothing.
//! 2. **No swallowed wake.** A thread that has slept takes `SET` and leaves `WAITERS` set, and
//!    sleeps again only after it has set `WAITERS`. So the next `set` sees the sleepers that a wake
//!    did not reach. A wait that timed out consumed no wake (rule 3 of the futex module).
//! 3. **No thread sleeps on a set event.** A thread sleeps only while the word is `W`.
//! 4. **Wake after free.** `set` is one atomic operation; after it only the address of the word is
//!    used.
//!
//! # Orderings
//!
//! Release on the write of `set`; it pairs with the Acquire on the compare-and-swap that takes it.
//! As in `event.rs`, `set` writes even where the event is set, so that the thread that takes it
//! sees everything that was written before every `set` up to then.

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

/// An event whose [`set`](Self::set) releases one waiter, now or later. Two calls of `set` before a
/// thread waits release one thread.
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
/// Everything that happened before a `set` happens before the return of the wait that takes it,
/// also if it was set already.
///
/// # Source of the algorithm
///
/// Drepper's mutex with its roles exchanged; the state table and the invariants are at the top of
/// `auto_reset_event.rs`.
pub struct AutoResetEvent {
    word: AtomicU32,
}

impl AutoResetEvent {
    const_new! {
        /// Creates an event that is not set.
        pub const fn new() -> Self {
            Self { word: AtomicU32::new(0) }
        }
    }

    /// Releases one waiter, or the next thread that waits.
    #[inline]
    pub fn set(&self) {
        // Release: pairs with the Acquire in `try_wait`. It is a read-modify-write, so it continues
        // the release sequences of earlier calls.
        if self.word.swap(SET, Release) & WAITERS != 0 {
            // Invariant 4: from here on only the address is used.
            futex::wake_one(&raw const self.word);
        }
    }

    /// Makes the event unset if no wait has taken it yet.
    #[inline]
    pub fn clear(&self) {
        self.try_wait();
    }

    /// Returns whether a wait would return at once. A snapshot: it may have changed before the call
    /// returns.
    #[inline]
    pub fn is_set(&self) -> bool {
        // Relaxed: a snapshot; no data is read because of it.
        self.word.load(Relaxed) & SET != 0
    }

    /// Takes the event if it is set.
    #[inline]
    pub fn try_wait(&self) -> bool {
        // Relaxed: the compare-and-swap that follows compares it.
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

    /// Like [`wait`](Self::wait), for at most `timeout`. Returns `false` if the time was up first.
    /// A timeout too long for the clock means forever.
    #[inline]
    #[doc(alias = "wait_for")]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.try_wait() || self.wait_unset(Deadline::after(timeout))
    }

    /// The former name of [`wait_timeout`](Self::wait_timeout), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_for(&self, timeout: Duration) -> bool {
        self.wait_timeout(timeout)
    }

    /// Like [`wait_timeout`](Self::wait_timeout), until `deadline` at most. A deadline in the past
    /// still takes an event that is set.
    #[inline]
    #[doc(alias = "wait_until")]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.try_wait() || self.wait_unset(Deadline::at(deadline))
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

    /// Waits until the event is set, and takes it, as a task.
    ///
    /// Cancel-safe: a wait that is dropped takes nothing. A wait that is kept and not polled may
    /// keep the event: see [`task`](crate::task).
    ///
    /// ```
    /// use sync_core::{AutoResetEvent, task::block_on};
    ///
    /// let work = AutoResetEvent::new();
    /// work.set();
    /// block_on(work.wait_async());
    /// assert!(!work.is_set());
    /// ```
    #[inline]
    pub async fn wait_async(&self) {
        if !self.try_wait() {
            Waiting::new(self.waiting()).await;
        }
    }

    /// Returns a wait on the slow path, for a thread or a task.
    #[inline]
    pub(crate) fn waiting(&self) -> Taking<'_> {
        Taking { event: self, slept: false }
    }

    /// Makes the event unset, without waiters: for the child of a `fork`.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the event.
    pub unsafe fn reinit_after_fork(&self) {
        // Relaxed: no other thread uses it (the caller's promise).
        self.word.store(0, Relaxed);
    }
}

/// A wait for an [`AutoResetEvent`] on the slow path.
pub(crate) struct Taking<'a> {
    event: &'a AutoResetEvent,
    slept: bool,
}

impl<'a> Steps<'a> for Taking<'a> {
    type Output = ();

    fn step(&mut self, _: bool) -> Step<'a, ()> {
        let word = &self.event.word;
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = word.load(Relaxed);
        loop {
            let next = match state & SET != 0 {
                // Invariant 2: other threads may still sleep.
                true if self.slept => WAITERS,
                true => state & !SET,
                false => WAITERS,
            };
            if next != state {
                // Acquire: as in `try_wait`. To announce a waiter would not need it.
                match word.compare_exchange(state, next, Acquire, Relaxed) {
                    Ok(_) if state & SET != 0 => return Step::Done(()),
                    Ok(_) => {}
                    Err(seen) => {
                        state = seen;
                        continue;
                    }
                }
            }
            self.slept = true;
            return Step::Sleep(Sleep {
                word,
                expected: WAITERS,
                channel: Channel::ALL,
                limit: None,
            });
        }
    }

    /// A wait that timed out consumed no wake, so it owes no thread a wake. But the event may have
    /// been set at this moment.
    fn leave(&mut self) -> Option<()> {
        self.event.try_wait().then_some(())
    }

    fn undo(&mut self, (): ()) {
        self.event.set();
    }
}

impl Drop for AutoResetEvent {
    #[inline]
    fn drop(&mut self) {
        // The future of a task may have been forgotten.
        futex::retire(&raw const self.word);
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
