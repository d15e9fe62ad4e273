//! The semaphore inside [`Semaphore`](crate::Semaphore) and
//! [`BoundedSemaphore`](crate::BoundedSemaphore): four bytes, one compare-and-swap to acquire and
//! one to release.
//!
//! # Source
//!
//! The fast paths are those of glibc's `sem_t`. The passing on of wakes is that of Drepper's mutex
//! 3, extended from "one wake" to "a wake for every permit". The head of the line is new here: a
//! queue of waiters needs a pointer, and four bytes have no room for a pointer next to the permits.
//! So the queue is the kernel's, which is first-in first-out per futex word, and the word records
//! only whether the first in line has become the head. While there is a head, every permit is for
//! the head, however long it takes to gather enough of them. So requests for one permit do not
//! starve a request for many, and two requests for many cannot each hold half of the permits that
//! the other needs, because a waiting thread holds nothing.
//!
//! # States
//!
//! The word is `permits` in the upper 29 bits, and three bits:
//!
//! | bit | meaning | legal to be stale? |
//! |---|---|---|
//! | `CLOSED` | no acquisition succeeds any more | no; never cleared |
//! | `WAITERS` | a thread may sleep in the line | may be set without a sleeper (costs one system call); clear with a sleeper only while a wake is on its way |
//! | `HEAD` | a thread is the head of the line: no other thread takes permits | no: set and cleared by the head itself |
//!
//! | in the state | event | what happens |
//! |---|---|---|
//! | enough permits, no `HEAD` | acquire n | permits - n |
//! | not enough, no `HEAD` | acquire 1 | set `WAITERS`, sleep in the line |
//! | not enough, no `HEAD` | acquire n > 1, or acquire 1 by a thread that slept and has waited for [`STARVATION_THRESHOLD`] | set `HEAD`, sleep on the head's channel |
//! | `HEAD` | acquire by any other thread | set `WAITERS`, sleep in the line |
//! | `HEAD`, enough permits | the head tries | permits - n, clear `HEAD`, wake as many of the line as permits are left |
//! | `HEAD` | the head's time is up | clear `HEAD`, wake as many of the line as there are permits |
//! | no bits | release n | permits + n |
//! | `HEAD` | release n | permits + n, wake the head |
//! | `WAITERS` only | release 1 | permits + 1, clear `WAITERS`, wake 1 of the line |
//! | `WAITERS` only | release n > 1 | permits + n, wake n of the line |
//! | any | close | set `CLOSED`, wake all |
//!
//! The line and the head sleep on two [`Channel`]s of the one word.
//!
//! # Invariants
//!
//! A thread is *on its way* from the moment when a wake was sent for it, or it was woken, until it
//! takes permits, becomes the head or goes back to sleep.
//!
//! 1. **No permit from nothing.** Permits go down only by a compare-and-swap from a value that has
//!    that many, by the thread that gets them; they go up only by releases. No thread holds permits
//!    while it waits.
//! 2. **No permit lies idle.** This holds while neither `HEAD` nor `CLOSED` is set. With `WAITERS`,
//!    either no thread sleeps in the line, or at least as many threads are on their way as there
//!    are permits. Without `WAITERS`, either no thread sleeps in the line, or at least one thread
//!    is on its way, which sets `WAITERS` when it takes a permit and wakes as many threads as
//!    permits are left. A thread that goes to sleep in the line has seen no permit, or `HEAD`, and
//!    has set `WAITERS`.
//! 3. **The head is served.** While `HEAD` is set no other thread takes permits, so their number
//!    only grows. Every release wakes the head. The head clears `HEAD` when it leaves, whatever the
//!    outcome, and restores invariant 2 by waking the line.
//! 4. **No swallowed wake.** A thread on its way whose time is up later either took permits, or had
//!    seen none and had announced itself again (invariant 2) before the sleep that timed out. Such
//!    a sleep consumed no wake (rule 3 of the futex module).
//! 5. **Wake after free.** A release is one atomic operation; after it only the address of the word
//!    is used. The same holds for an acquisition that wakes others.
//! 6. **Bounded overtaking.** Other requests overtake a request for many only until it was woken
//!    once, and a request for one for [`STARVATION_THRESHOLD`] more.
//!
//! # Orderings
//!
//! Release on the compare-and-swap that adds permits; it pairs with the Acquire on the
//! compare-and-swap that takes them. Every change of the word is a read-modify-write, so each
//! continues the release sequences of all releases before it: a thread that takes a permit sees
//! everything that happened before *every* earlier release in the modification order of the word,
//! not only before the release whose permit it got. Changes of the bits alone are Relaxed, because
//! they publish nothing, except `CLOSED`, which publishes the writes of the thread that closed.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use crate::diagnostics::instrument::Waits;
use crate::diagnostics::lock_kind::LockKind;
use crate::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitive::futex::{self, Channel, Deadline};
use crate::primitive::steps::{self, Sleep, Step, Steps, Waiting};
use crate::primitive::{const_new, hint::Looks, time::Stopwatch};

const CLOSED: u32 = 1;
const WAITERS: u32 = 2;
const HEAD: u32 = 4;
const SHIFT: u32 = 3;
const ONE: u32 = 1 << SHIFT;

const LINE: Channel = Channel::new(0);
const FRONT: Channel = Channel::new(1);

/// The time for which a request for one permit lets newcomers overtake it after it has slept. After
/// that it becomes the head of the line.
const STARVATION_THRESHOLD: Duration = Duration::from_millis(1);

const fn permits(state: u32) -> u32 {
    state >> SHIFT
}

/// A counting semaphore without guards: Python's `threading.Semaphore`, with requests for several
/// permits at once and [`close`](Self::close).
///
/// Any thread may release. For permits that a guard returns, use [`Semaphore`](crate::Semaphore).
///
/// # Examples
///
/// ```
/// use sync_core::RawSemaphore;
///
/// let seats = RawSemaphore::new(2);
/// seats.acquire(2).unwrap();
/// std::thread::scope(|scope| {
///     scope.spawn(|| seats.release(1).unwrap()); // another thread may release
///     seats.acquire(1).unwrap();
/// });
/// assert!(seats.try_acquire(1).is_err());
/// ```
///
/// # Memory ordering
///
/// Everything that happened before a release happens before the return of every acquisition that
/// comes after it in the order of the semaphore's changes.
///
/// # Source of the algorithm
///
/// glibc's `sem_t` with a head of the line; the state table and the invariants are at the top of
/// `raw_semaphore.rs`.
#[doc(alias = "Semaphore")]
pub struct RawSemaphore {
    word: AtomicU32,
}

impl RawSemaphore {
    /// The highest number of permits that a semaphore can hold.
    pub const MAX_PERMITS: u32 = u32::MAX >> SHIFT;

    const_new! {
        /// Creates a semaphore with `permits` permits.
        ///
        /// # Panics
        ///
        /// If `permits` is more than [`MAX_PERMITS`](Self::MAX_PERMITS). In a constant this is a
        /// compile error.
        #[track_caller]
        pub const fn new(permits: u32) -> Self {
            assert!(permits <= Self::MAX_PERMITS, "more permits than a semaphore can hold");
            Self { word: AtomicU32::new(permits << SHIFT) }
        }
    }

    /// Takes `n` permits at once; sleeps until they are available. For `n` of 0 it never sleeps.
    ///
    /// A waiting thread holds no permit. A request for more than one permit waits in line: later
    /// requests wait behind it, even where there would be permits for a smaller request.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the semaphore is closed, or is closed before the permits are available.
    ///
    /// # Panics
    ///
    /// If `n` is more than [`MAX_PERMITS`](Self::MAX_PERMITS): they will never be available.
    ///
    /// # Memory ordering
    ///
    /// The same as for the [type](Self).
    #[inline]
    #[track_caller]
    pub fn acquire(&self, n: u32) -> Result<(), Closed> {
        if self.try_fast(n) {
            return Ok(());
        }
        // Without a deadline the only failure is that the semaphore is closed.
        self.acquire_contended(n, None).map_err(|_| Closed)
    }

    /// Takes `n` permits if they are available at this moment and no other request is the head of
    /// the line.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] with the reason.
    #[inline]
    pub fn try_acquire(&self, n: u32) -> Result<(), TryAcquireError> {
        if self.try_fast(n) { Ok(()) } else { self.try_contended(n) }
    }

    /// Like [`acquire`](Self::acquire), for at most `timeout`. A timeout too long for the clock
    /// means forever.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] with the reason.
    ///
    /// # Panics
    ///
    /// Like [`acquire`](Self::acquire).
    #[inline]
    #[track_caller]
    pub fn try_acquire_for(&self, n: u32, timeout: Duration) -> Result<(), TryAcquireError> {
        if self.try_fast(n) { Ok(()) } else { self.acquire_contended(n, Deadline::after(timeout)) }
    }

    /// Like [`acquire`](Self::acquire), until `deadline` at most. A deadline in the past still
    /// takes permits that are available.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] with the reason.
    ///
    /// # Panics
    ///
    /// Like [`acquire`](Self::acquire).
    #[inline]
    #[track_caller]
    pub fn try_acquire_until(&self, n: u32, deadline: Instant) -> Result<(), TryAcquireError> {
        if self.try_fast(n) { Ok(()) } else { self.acquire_contended(n, Deadline::at(deadline)) }
    }

    /// Like [`acquire`](Self::acquire), as a task. Threads and tasks wait in one line.
    ///
    /// Cancel-safe: a wait that is dropped takes no permit, and leaves the line. What a wait that
    /// is kept and not polled holds up is in the documentation of [`task`](crate::task).
    ///
    /// # Errors
    ///
    /// Like [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// Like [`acquire`](Self::acquire).
    #[inline]
    pub async fn acquire_async(&self, n: u32) -> Result<(), Closed> {
        if self.try_fast(n) {
            return Ok(());
        }
        assert!(n <= Self::MAX_PERMITS, "more permits than there can ever be");
        let taken =
            if n == 0 { self.try_contended(0) } else { Waiting::new(self.acquiring(n)).await };
        // A task that waits has no other failure than that the semaphore is closed.
        taken.map_err(|_| Closed)
    }

    /// Releases `n` permits, whether they were acquired before or not. Any thread may call it. A
    /// release of 0 permits changes nothing.
    ///
    /// # Errors
    ///
    /// [`TooManyPermits`] if the semaphore cannot hold that many permits; then none is released.
    ///
    /// # Memory ordering
    ///
    /// The same as for the [type](Self).
    #[inline]
    pub fn release(&self, n: u32) -> Result<(), TooManyPermits> {
        self.release_within(n, Self::MAX_PERMITS)
    }

    /// Releases `n` permits unless there would be more than `limit`, which is at most
    /// `MAX_PERMITS`.
    #[inline]
    pub(crate) fn release_within(&self, n: u32, limit: u32) -> Result<(), TooManyPermits> {
        // Relaxed: the compare-and-swap that follows compares it.
        let state = self.word.load(Relaxed);
        // No overflow: the sum of two numbers of 29 bits, or the second operand decides.
        if state & (WAITERS | HEAD) == 0 && n <= limit && permits(state) + n <= limit {
            // Release: pairs with the Acquire of the acquisitions that follow.
            if self.word.compare_exchange(state, state + n * ONE, Release, Relaxed).is_ok() {
                return Ok(());
            }
        }
        self.release_contended(n, limit)
    }

    /// Releases as many of `n` permits as there is room for below `limit`, and returns their
    /// number: for a guard whose permits another thread may have released already, and for a
    /// source of permits that is limited.
    #[inline]
    pub(crate) fn release_clamped(&self, n: u32, limit: u32) -> u32 {
        let mut room = n;
        // A forgotten guard releases no permits, and must not write to the word.
        while room != 0 && self.release_within(room, limit).is_err() {
            room = room.min(limit.saturating_sub(self.available_permits()));
        }
        room
    }

    /// Returns the number of permits. A snapshot: it may have changed before the call returns.
    #[inline]
    pub fn available_permits(&self) -> u32 {
        // Relaxed: a snapshot; no data is read because of it.
        permits(self.word.load(Relaxed))
    }

    /// Ends every wait, and every later acquisition, with [`Closed`]. Permits may still be
    /// released. A closed semaphore stays closed.
    ///
    /// # Memory ordering
    ///
    /// Everything that happened before the call happens before the return of the acquisitions that
    /// it fails.
    pub fn close(&self) {
        // Release: pairs with the Acquire in `closed`.
        self.word.fetch_or(CLOSED, Release);
        futex::wake_all(&raw const self.word);
    }

    /// Returns whether [`close`](Self::close) was called.
    #[inline]
    pub fn is_closed(&self) -> bool {
        // Acquire: as in `closed`.
        self.word.load(Acquire) & CLOSED != 0
    }

    /// Makes the semaphore open, with `permits` permits and no waiters: for the child of a `fork`,
    /// where the threads that waited or held permits do not exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the semaphore.
    ///
    /// # Panics
    ///
    /// Like [`new`](Self::new).
    #[doc(alias = "_at_fork_reinit")]
    pub unsafe fn reinit_after_fork(&self, permits: u32) {
        assert!(permits <= Self::MAX_PERMITS, "more permits than a semaphore can hold");
        // Relaxed: no other thread uses it (the caller's promise).
        self.word.store(permits << SHIFT, Relaxed);
    }

    #[inline]
    pub(crate) fn try_fast(&self, n: u32) -> bool {
        // Relaxed: the compare-and-swap that follows compares it.
        let state = self.word.load(Relaxed);
        state & (CLOSED | HEAD) == 0
            && permits(state) >= n
            // Acquire: pairs with the Release of the releases before.
            && self.word.compare_exchange(state, state - n * ONE, Acquire, Relaxed).is_ok()
    }

    #[cold]
    fn try_contended(&self, n: u32) -> Result<(), TryAcquireError> {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.word.load(Relaxed);
        loop {
            if state & CLOSED != 0 {
                return Err(self.closed());
            }
            if n != 0 && (state & HEAD != 0 || permits(state) < n) {
                return Err(TryAcquireError::NoPermits);
            }
            // Acquire: as in `try_fast`.
            match self.word.compare_exchange(state, state - n * ONE, Acquire, Relaxed) {
                Ok(_) => return Ok(()),
                Err(seen) => state = seen,
            }
        }
    }

    /// Acquires on the slow path, for every acquisition that may wait.
    #[cold]
    #[track_caller]
    fn acquire_contended(&self, n: u32, deadline: Option<Deadline>) -> Result<(), TryAcquireError> {
        assert!(n <= Self::MAX_PERMITS, "more permits than there can ever be");
        if n == 0 {
            return self.try_contended(0);
        }
        let waits = Waits::begin(LockKind::Semaphore, (&raw const self.word).addr());
        let result = steps::run(self.acquiring(n), deadline);
        let result = result.unwrap_or(Err(TryAcquireError::NoPermits));
        waits.ended(result.is_ok());
        result
    }

    /// Returns an acquisition of `n` permits, at least one, on the slow path, for a thread or a
    /// task.
    #[inline]
    pub(crate) fn acquiring(&self, n: u32) -> Acquiring<'_> {
        Acquiring { semaphore: self, n, waiting: None, slept: false, head: false, is_task: false }
    }

    /// Takes `n` permits from a word that has them, or returns the new value of the word.
    fn take(&self, state: u32, n: u32, head: bool, slept: bool) -> Result<(), u32> {
        // A head that came from the line set `WAITERS` when it became the head, and no thread
        // clears `WAITERS` while `HEAD` is set.
        let next = match (head, slept) {
            (true, _) => (state - n * ONE) & !HEAD,
            (false, true) => (state - n * ONE) | WAITERS,
            (false, false) => state - n * ONE,
        };
        // Acquire: as in `try_fast`.
        self.word.compare_exchange(state, next, Acquire, Relaxed)?;
        // Invariant 3 for a head; invariant 2 for a thread on its way that observed `WAITERS`
        // cleared.
        if next & WAITERS != 0 && (head || state & WAITERS == 0) {
            self.wake_line(permits(next));
        }
        Ok(())
    }

    /// Ends a wait whose time is up, or whose semaphore is closed: takes the permits if they are
    /// available after all, or leaves the line and keeps the invariants.
    fn leave(&self, n: u32, head: bool) -> Result<(), TryAcquireError> {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.word.load(Relaxed);
        loop {
            if state & CLOSED == 0 && (head || state & HEAD == 0) && permits(state) >= n {
                // Not as a thread that slept: this wake was a timeout, so no wake is passed on
                // (invariant 4).
                match self.take(state, n, head, false) {
                    Ok(()) => return Ok(()),
                    Err(seen) => state = seen,
                }
                continue;
            }
            if head {
                // Relaxed: no permit is taken and nothing is published.
                if let Err(seen) =
                    self.word.compare_exchange(state, state & !HEAD, Relaxed, Relaxed)
                {
                    state = seen;
                    continue;
                }
                if state & WAITERS != 0 {
                    // Invariant 3. If the semaphore is closed, all waiters were woken already.
                    self.wake_line(permits(state));
                }
            }
            return Err(if state & CLOSED != 0 {
                self.closed()
            } else {
                TryAcquireError::TimedOut
            });
        }
    }

    /// Returns `Closed`, after an Acquire of the writes of the thread that closed the semaphore.
    fn closed(&self) -> TryAcquireError {
        // Acquire: pairs with the Release in `close`, whose bit was seen by a Relaxed operation;
        // every later value continues its release sequence.
        let state = self.word.load(Acquire);
        debug_assert!(state & CLOSED != 0, "a semaphore that was closed is open");
        TryAcquireError::Closed
    }

    fn wake_line(&self, count: u32) {
        if count != 0 {
            // Invariant 5: from here on only the address is used.
            futex::wake_channel(&raw const self.word, count, LINE);
        }
    }

    /// Spins for a moment on a semaphore that no thread sleeps on, and returns the last value read.
    fn spin(&self, n: u32, mut spin: Looks) -> u32 {
        loop {
            // Relaxed: the compare-and-swap that follows compares it.
            let state = self.word.load(Relaxed);
            if state & (CLOSED | WAITERS | HEAD) != 0 || permits(state) >= n || !spin.turn() {
                return state;
            }
        }
    }

    #[cold]
    fn release_contended(&self, n: u32, limit: u32) -> Result<(), TooManyPermits> {
        if n == 0 {
            return Ok(());
        }
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.word.load(Relaxed);
        loop {
            if n > limit || permits(state) + n > limit {
                return Err(TooManyPermits);
            }
            let more = state + n * ONE;
            // One wake: the woken thread sets `WAITERS` again (invariant 2). With several wakes
            // `WAITERS` stays, so each woken thread observes it set and wakes no more.
            let next = if n == 1 && state & HEAD == 0 { more & !WAITERS } else { more };
            // Release: pairs with the Acquire of the acquisitions that follow.
            match self.word.compare_exchange(state, next, Release, Relaxed) {
                // Invariant 5, for both wakes: from here on only the address is used.
                Ok(_) if state & HEAD != 0 => {
                    futex::wake_channel(&raw const self.word, 1, FRONT);
                }
                Ok(_) if state & WAITERS != 0 => self.wake_line(n),
                Ok(_) => {}
                Err(seen) => {
                    state = seen;
                    continue;
                }
            }
            return Ok(());
        }
    }
}

/// An acquisition of permits on the slow path.
pub(crate) struct Acquiring<'a> {
    semaphore: &'a RawSemaphore,
    n: u32,
    waiting: Option<Stopwatch>,
    slept: bool,
    head: bool,
    is_task: bool,
}

impl<'a> Steps<'a> for Acquiring<'a> {
    /// The error is `Closed`.
    type Output = Result<(), TryAcquireError>;

    fn as_task(&mut self) {
        self.is_task = true;
    }

    /// Takes `n` permits, or asks for a sleep as long as they are not available.
    fn step(&mut self, _: bool) -> Step<'a, Self::Output> {
        let Self { semaphore, n, waiting, slept, head, is_task } = self;
        let (semaphore, n, word) = (*semaphore, *n, &semaphore.word);
        // Relaxed: the compare-and-swap that follows compares it.
        let looks = if *slept || *is_task { Looks::none() } else { Looks::new() };
        let mut state = semaphore.spin(n, looks);
        let waiting = waiting.get_or_insert_with(Stopwatch::start);
        loop {
            if state & CLOSED != 0 {
                return Step::Done(semaphore.leave(n, *head));
            }
            let ours = *head || state & HEAD == 0;
            if ours && permits(state) >= n {
                match semaphore.take(state, n, *head, *slept) {
                    Ok(()) => return Step::Done(Ok(())),
                    Err(seen) => state = seen,
                }
                continue;
            }
            let (announced, channel) = if *head {
                (state, FRONT)
            } else if ours && (n > 1 || *slept && waiting.has_run(STARVATION_THRESHOLD)) {
                // Invariant 2: this thread may be the thread on its way, and other threads may
                // sleep in the line.
                (state | HEAD | if *slept { WAITERS } else { 0 }, FRONT)
            } else {
                (state | WAITERS, LINE)
            };
            // Relaxed: the announcement publishes nothing, and the futex compares with the newest
            // value.
            if announced != state {
                if let Err(seen) = word.compare_exchange(state, announced, Relaxed, Relaxed) {
                    state = seen;
                    continue;
                }
            }
            *head = channel == FRONT;
            *slept = true;
            return Step::Sleep(Sleep { word, expected: announced, channel, limit: None });
        }
    }

    fn leave(&mut self) -> Option<Self::Output> {
        Some(self.semaphore.leave(self.n, self.head))
    }

    fn undo(&mut self, output: Self::Output) {
        if output.is_ok() {
            self.semaphore.release_clamped(self.n, RawSemaphore::MAX_PERMITS);
        }
    }
}

impl Drop for RawSemaphore {
    #[inline]
    fn drop(&mut self) {
        // The future of a task may have been forgotten.
        futex::retire(&raw const self.word);
    }
}

impl Default for RawSemaphore {
    /// Creates a semaphore with one permit, as in Python.
    fn default() -> Self {
        Self::new(1)
    }
}

impl fmt::Debug for RawSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, "RawSemaphore", self, None)
    }
}

/// Writes the `Debug` output of every semaphore: a snapshot.
pub(crate) fn debug(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    semaphore: &RawSemaphore,
    bound: Option<u32>,
) -> fmt::Result {
    let mut out = f.debug_struct(name);
    out.field("permits", &semaphore.available_permits());
    if let Some(bound) = bound {
        out.field("bound", &bound);
    }
    if semaphore.is_closed() {
        out.field("closed", &true);
    }
    out.finish()
}

/// The error of an acquisition: the semaphore, or the rate limiter, is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl core::error::Error for Closed {}

/// The reason why no permit was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// There were too few permits at that moment, or another request was the head of the line.
    /// Only of calls without a wait.
    NoPermits,
    /// The time was up before the permits were available.
    TimedOut,
    /// The semaphore is closed.
    Closed,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPermits => f.write_str("there are not enough permits"),
            Self::TimedOut => f.write_str("the time was up before there were enough permits"),
            Self::Closed => Closed.fmt(f),
        }
    }
}

impl core::error::Error for TryAcquireError {}

/// The error of a release of more permits than a semaphore can hold; none was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyPermits;

impl fmt::Display for TooManyPermits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a semaphore holds at most {} permits", RawSemaphore::MAX_PERMITS)
    }
}

impl core::error::Error for TooManyPermits {}
