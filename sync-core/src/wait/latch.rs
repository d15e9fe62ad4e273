//! A count of four bytes that goes down once, and threads that wait for zero.
//!
//! # Source
//!
//! The interface of C++20's `std::latch` and Java's `CountDownLatch`, as a count and a bit for
//! waiters in one futex word.
//!
//! # States
//!
//! The word is `count` in the upper 31 bits, and `WAITERS`: a thread may sleep on the word. The bit
//! may be set without a sleeper (costs one system call). It is never clear while a thread sleeps
//! and the count is not zero.
//!
//! | from | event | to | and then |
//! |---|---|---|---|
//! | `n`, maybe `WAITERS` | count down by less than n | `n - k`, `WAITERS` as it was | |
//! | `n` | count down by n | `0` | |
//! | `n, WAITERS` | count down by n | `0` | wake all |
//! | `n > 0` | wait | `n, WAITERS` | sleep |
//! | `0` | wait | `0` | it returns |
//!
//! # Invariants
//!
//! 1. The count never leaves zero, so zero is final: a thread that saw zero needs no second look.
//!    (It goes up only for [`WaitGroup`](crate::WaitGroup), and not from zero.)
//! 2. **No waiter is left asleep.** A thread sleeps only on a word with `WAITERS` and a count that
//!    is not zero; the change to zero wakes all. A count-down that changes such a word without
//!    reaching zero wakes no thread: a sleeper compared the word as it was when it went to sleep,
//!    and it waits for zero.
//! 3. **Wake after free.** A count-down is one atomic operation; after it only the address of the
//!    word is used.
//!
//! # Orderings
//!
//! Release on every count-down; it pairs with the Acquire on the load that sees zero. Count-downs
//! are read-modify-writes and continue each other's release sequences, so a thread that sees zero
//! sees everything that happened before all of them.

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

const WAITERS: u32 = 1;
const ONE: u32 = 2;

/// A latch that opens once, when it has been counted down to zero, and stays open.
///
/// # Examples
///
/// ```
/// use sync_core::Latch;
///
/// let ready = Latch::new(3);
/// std::thread::scope(|scope| {
///     for _ in 0..3 {
///         scope.spawn(|| ready.count_down(1));
///     }
///     ready.wait();
/// });
/// assert_eq!(ready.count(), 0);
/// ```
///
/// # Memory ordering
///
/// Everything that happened before any [`count_down`](Self::count_down) happens before the return
/// of every wait.
///
/// # Source of the algorithm
///
/// A count in a futex word; the state table and the invariants are at the top of `latch.rs`.
#[doc(alias = "CountDownLatch")]
pub struct Latch {
    word: AtomicU32,
}

impl Latch {
    /// The highest possible count.
    pub const MAX_COUNT: u32 = u32::MAX / ONE;

    const_new! {
        /// Creates a latch with this count. With zero it is open.
        ///
        /// # Panics
        ///
        /// If `count` is more than [`MAX_COUNT`](Self::MAX_COUNT). In a constant this is a compile
        /// error.
        #[track_caller]
        pub const fn new(count: u32) -> Self {
            assert!(count <= Self::MAX_COUNT, "more than a latch can count");
            Self { word: AtomicU32::new(count * ONE) }
        }
    }

    /// Counts down by `n`, and releases every waiter if the count becomes zero.
    ///
    /// # Panics
    ///
    /// If `n` is more than the count; nothing is counted then.
    #[inline]
    #[track_caller]
    #[doc(alias = "arrive")]
    pub fn count_down(&self, n: u32) {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.word.load(Relaxed);
        loop {
            assert!(n <= state / ONE, "a latch was counted down below zero");
            let last = n == state / ONE;
            let next = if last { 0 } else { state - n * ONE };
            // Release: pairs with the Acquire of every call that sees zero.
            match self.word.compare_exchange_weak(state, next, Release, Relaxed) {
                Ok(_) => {
                    if last && state & WAITERS != 0 {
                        // Invariant 3: from here on only the address is used.
                        futex::wake_all(&raw const self.word);
                    }
                    return;
                }
                Err(seen) => state = seen,
            }
        }
    }

    /// Returns the count that is left. A snapshot: it may have changed before the call returns,
    /// unless it is zero.
    #[inline]
    pub fn count(&self) -> u32 {
        // Acquire: pairs with the Release in `count_down`. A zero promises the same as a wait that
        // returned.
        self.word.load(Acquire) / ONE
    }

    /// Returns whether the latch is open: one load.
    #[inline]
    #[doc(alias = "try_wait")]
    pub fn is_open(&self) -> bool {
        // Acquire: pairs with the Release in `count_down`.
        self.word.load(Acquire) < ONE
    }

    /// Sleeps until the count is zero.
    #[inline]
    pub fn wait(&self) {
        if !self.is_open() {
            self.wait_closed(None);
        }
    }

    /// Like [`wait`](Self::wait), for at most `timeout`. Returns `false` if the time was up first.
    /// A timeout too long for the clock means forever.
    #[inline]
    #[doc(alias = "wait_for")]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.is_open() || self.wait_closed(Deadline::after(timeout))
    }

    /// The former name of [`wait_timeout`](Self::wait_timeout), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_for(&self, timeout: Duration) -> bool {
        self.wait_timeout(timeout)
    }

    /// Like [`wait_timeout`](Self::wait_timeout), until `deadline` at most. With a deadline in the
    /// past it returns whether the latch is open.
    #[inline]
    #[doc(alias = "wait_until")]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.is_open() || self.wait_closed(Deadline::at(deadline))
    }

    /// The former name of [`wait_deadline`](Self::wait_deadline), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_until(&self, deadline: Instant) -> bool {
        self.wait_deadline(deadline)
    }

    /// Counts down by one and waits until the count is zero.
    ///
    /// # Panics
    ///
    /// Like [`count_down`](Self::count_down).
    #[track_caller]
    #[doc(alias = "arrive_and_wait")]
    pub fn count_down_and_wait(&self) {
        self.count_down(1);
        self.wait();
    }

    /// Counts up by one, unless the latch is open: for [`WaitGroup`](crate::WaitGroup), whose count
    /// may go up while it is not zero.
    pub(crate) fn try_count_up(&self) -> bool {
        // Acquire: pairs with the Release in `count_down`.
        let mut state = self.word.load(Acquire);
        while state >= ONE {
            assert!(state / ONE < Self::MAX_COUNT, "more than can be counted");
            // Relaxed: the increment publishes nothing. Acquire on failure: pairs with the Release
            // in `count_down`, because a caller that observes an open latch goes on.
            match self.word.compare_exchange_weak(state, state + ONE, Relaxed, Acquire) {
                Ok(_) => return true,
                Err(seen) => state = seen,
            }
        }
        false
    }

    #[inline]
    pub(crate) fn wait_by(&self, deadline: Option<Deadline>) -> bool {
        self.is_open() || self.wait_closed(deadline)
    }

    #[cold]
    fn wait_closed(&self, deadline: Option<Deadline>) -> bool {
        steps::run(self.waiting(), deadline).is_some()
    }

    /// Waits until the count is zero, as a task.
    ///
    /// Cancel-safe: a wait that is dropped has no effect.
    ///
    /// ```
    /// use sync_core::{Latch, task::block_on};
    ///
    /// let latch = Latch::new(1);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| latch.count_down(1));
    ///     block_on(latch.wait_async());
    /// });
    /// ```
    #[inline]
    pub async fn wait_async(&self) {
        if !self.is_open() {
            Waiting::new(self.waiting()).await;
        }
    }

    /// Returns a wait on the slow path, for a thread or a task.
    #[inline]
    pub(crate) fn waiting(&self) -> Closed<'_> {
        Closed { latch: self }
    }
}

/// A wait for a [`Latch`] on the slow path.
pub(crate) struct Closed<'a> {
    latch: &'a Latch,
}

impl<'a> Steps<'a> for Closed<'a> {
    type Output = ();

    fn step(&mut self, _: bool) -> Step<'a, ()> {
        let word = &self.latch.word;
        // Acquire, here and below: as in `is_open`.
        let mut state = word.load(Acquire);
        loop {
            if state < ONE {
                return Step::Done(());
            }
            // Relaxed: it publishes nothing.
            if state & WAITERS == 0 {
                if let Err(seen) = word.compare_exchange(state, state | WAITERS, Relaxed, Acquire) {
                    state = seen;
                    continue;
                }
            }
            let (expected, channel) = (state | WAITERS, Channel::ALL);
            return Step::Sleep(Sleep { word, expected, channel, limit: None });
        }
    }

    fn leave(&mut self) -> Option<()> {
        self.latch.is_open().then_some(())
    }

    fn undo(&mut self, (): ()) {}
}

impl Drop for Latch {
    #[inline]
    fn drop(&mut self) {
        // The future of a task may have been forgotten.
        futex::retire(&raw const self.word);
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch").field("count", &self.count()).finish()
    }
}
