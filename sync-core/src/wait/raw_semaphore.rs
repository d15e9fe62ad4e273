//! The semaphore inside [`Semaphore`](crate::Semaphore) and
//! [`BoundedSemaphore`](crate::BoundedSemaphore): four bytes, one compare-and-swap in, one out.
//!
//! # Source
//!
//! The fast paths are those of glibc's `sem_t`. The wake-passing is that of Drepper's mutex 3,
//! extended from "one wake" to "a wake for every permit". The head of the line is our own: a queue
//! of waiters needs a pointer, and four bytes have no room for one beside the permits. So the queue
//! is the kernel's, which is first-in first-out per futex word, and the word says only whether the
//! first in line has stepped forward. Where it has, every permit is for it alone, however long it
//! takes to gather enough of them. A request for many is therefore not starved by requests for one,
//! and two requests for many cannot each hold half of what the other needs, because a thread that
//! waits holds nothing.
//!
//! # States
//!
//! The word is `permits` in the upper 29 bits, and
//!
//! | bit | meaning | legal to be stale? |
//! |---|---|---|
//! | `CLOSED` | no acquisition succeeds any more | no; never cleared |
//! | `WAITERS` | somebody may sleep in the line | may be set without a sleeper (costs one system call); clear with one only while a wake is on its way |
//! | `HEAD` | some thread is the head of the line: nobody else takes permits | no: set and cleared by the head itself |
//!
//! | in the state | event | what happens |
//! |---|---|---|
//! | enough permits, no `HEAD` | acquire n | permits - n |
//! | not enough, no `HEAD` | acquire 1 | set `WAITERS`, sleep in the line |
//! | not enough, no `HEAD` | acquire n > 1, or 1 that slept and has waited for [`STARVATION_THRESHOLD`] | set `HEAD`, sleep on the head's channel |
//! | `HEAD` | acquire by anybody else | set `WAITERS`, sleep in the line |
//! | `HEAD`, enough permits | the head looks | permits - n, clear `HEAD`, wake as many of the line as permits are left |
//! | `HEAD` | the head's time is up | clear `HEAD`, wake as many of the line as there are permits |
//! | no bits | release n | permits + n |
//! | `HEAD` | release n | permits + n, wake the head |
//! | `WAITERS` only | release 1 | permits + 1, clear `WAITERS`, wake 1 of the line |
//! | `WAITERS` only | release n > 1 | permits + n, wake n of the line |
//! | any | close | set `CLOSED`, wake everybody |
//!
//! The line and the head sleep on two [`Channel`]s of the one word.
//!
//! # Invariants
//!
//! A thread is *on its way* from the moment a wake was sent for it, or it was woken, until it takes
//! permits, becomes the head or goes back to sleep.
//!
//! 1. **No permit from nothing.** Permits go down only by a compare-and-swap from a value that has
//!    that many, by the thread that gets them; up only by releases. No thread holds permits while
//!    it waits.
//! 2. **No permit lies idle.** While neither `HEAD` nor `CLOSED` is set: with `WAITERS`, nobody
//!    sleeps in the line or at least as many are on their way as there are permits; without
//!    `WAITERS`, nobody sleeps in the line or at least one is on its way, which on taking sets
//!    `WAITERS` and wakes as many as permits are left. Who goes to sleep in the line has seen no
//!    permit there, or `HEAD`, and has set `WAITERS`.
//! 3. **The head is served.** While `HEAD` is set no other thread takes permits, so they only
//!    gather; every release wakes the head; the head leaves with `HEAD` cleared whatever the
//!    outcome, and restores invariant 2 by waking the line.
//! 4. **No swallowed wake.** A thread on its way whose time is up in the end either took permits,
//!    or had seen none and had announced itself again (invariant 2) before the sleep that timed
//!    out; such a sleep consumed no wake (rule 3 of the futex module).
//! 5. **Wake after free.** A release is one atomic operation; after it only the address is used.
//!    The same holds for an acquisition that wakes others.
//! 6. **Bounded overtaking.** A request for many is overtaken only until it was woken once; a
//!    request for one for [`STARVATION_THRESHOLD`] more.
//!
//! # Orderings
//!
//! Release on the compare-and-swap that adds permits, Acquire on the one that takes them. Every
//! change of the word is a read-modify-write, so each continues the release sequences of all
//! releases before it: who takes a permit sees what happened before *every* release that came
//! before in the word's order, not only before the one whose permit it got. Changes of the bits
//! alone are Relaxed, except `CLOSED`, which publishes what its closer wrote.

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
use crate::primitive::{const_new, hint::Looks, time::Stopwatch};

const CLOSED: u32 = 1;
const WAITERS: u32 = 2;
const HEAD: u32 = 4;
const SHIFT: u32 = 3;
const ONE: u32 = 1 << SHIFT;

const LINE: Channel = Channel::new(0);
const FRONT: Channel = Channel::new(1);

/// How long a request for one permit lets newcomers overtake it once it has slept; after that it
/// becomes the head of the line.
const STARVATION_THRESHOLD: Duration = Duration::from_millis(1);

const fn permits(state: u32) -> u32 {
    state >> SHIFT
}

/// A counting semaphore without guards: Python's `threading.Semaphore`, with requests for several
/// permits at once and [`close`](Self::close).
///
/// Any thread may release. For permits that return themselves, use [`Semaphore`](crate::Semaphore).
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
/// What happened before a release happens before the return of every acquisition that comes after
/// it in the order of the semaphore's changes.
///
/// # Source of the algorithm
///
/// glibc's `sem_t` with a head of the line; state table and invariants stand at the top of
/// `raw_semaphore.rs`.
#[doc(alias = "Semaphore")]
pub struct RawSemaphore {
    word: AtomicU32,
}

impl RawSemaphore {
    /// The most permits a semaphore can hold.
    pub const MAX_PERMITS: u32 = u32::MAX >> SHIFT;

    const_new! {
        /// A semaphore with so many permits.
        ///
        /// # Panics
        ///
        /// If that is more than [`MAX_PERMITS`](Self::MAX_PERMITS). In a constant that is an error
        /// of compilation.
        #[track_caller]
        pub const fn new(permits: u32) -> Self {
            assert!(permits <= Self::MAX_PERMITS, "more permits than a semaphore can hold");
            Self { word: AtomicU32::new(permits << SHIFT) }
        }
    }

    /// Takes `n` permits at once; sleeps until they are there. For `n` of 0 it never sleeps.
    ///
    /// A thread that waits holds nothing. A request for more than one waits in line: whoever comes
    /// later waits behind it, even where there would be permits for a smaller request.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the semaphore is closed, or becomes so before the permits are there.
    ///
    /// # Panics
    ///
    /// If `n` is more than [`MAX_PERMITS`](Self::MAX_PERMITS): they will never be there.
    ///
    /// # Memory ordering
    ///
    /// As for the [type](Self).
    #[inline]
    #[track_caller]
    pub fn acquire(&self, n: u32) -> Result<(), Closed> {
        if self.try_fast(n) {
            return Ok(());
        }
        // Without a deadline the only failure is that the semaphore is closed.
        self.acquire_contended(n, None).map_err(|_| Closed)
    }

    /// Takes `n` permits if they are there at this moment and nobody is before us in the line.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] says why not.
    #[inline]
    pub fn try_acquire(&self, n: u32) -> Result<(), TryAcquireError> {
        if self.try_fast(n) { Ok(()) } else { self.try_contended(n) }
    }

    /// As [`acquire`](Self::acquire), for at most `timeout`. One too long for the clock means for
    /// ever.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] says why not.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[inline]
    #[track_caller]
    pub fn try_acquire_for(&self, n: u32, timeout: Duration) -> Result<(), TryAcquireError> {
        if self.try_fast(n) { Ok(()) } else { self.acquire_contended(n, Deadline::after(timeout)) }
    }

    /// As [`acquire`](Self::acquire), until `deadline` at most. One in the past still takes what is
    /// there.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] says why not.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[inline]
    #[track_caller]
    pub fn try_acquire_until(&self, n: u32, deadline: Instant) -> Result<(), TryAcquireError> {
        if self.try_fast(n) { Ok(()) } else { self.acquire_contended(n, Deadline::at(deadline)) }
    }

    /// Gives `n` permits, acquired before or not. Any thread may. Giving none changes nothing.
    ///
    /// # Errors
    ///
    /// [`TooManyPermits`] if the semaphore cannot hold so many; then nothing is given.
    ///
    /// # Memory ordering
    ///
    /// As for the [type](Self).
    #[inline]
    pub fn release(&self, n: u32) -> Result<(), TooManyPermits> {
        self.release_within(n, Self::MAX_PERMITS)
    }

    /// Gives `n` permits unless that makes more than `limit`, which is at most `MAX_PERMITS`.
    #[inline]
    pub(crate) fn release_within(&self, n: u32, limit: u32) -> Result<(), TooManyPermits> {
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

    /// Gives back as many of `n` permits as there is room for below `limit`: how a guard returns
    /// what somebody else gave already.
    #[inline]
    pub(crate) fn release_clamped(&self, n: u32, limit: u32) {
        let mut room = n;
        // A forgotten guard gives nothing, and shall not write to say so.
        while room != 0 && self.release_within(room, limit).is_err() {
            room = room.min(limit.saturating_sub(self.available_permits()));
        }
    }

    /// How many permits there are. A snapshot: it may have changed before the call returns.
    #[inline]
    pub fn available_permits(&self) -> u32 {
        // Relaxed: an observation that carries no right to anything.
        permits(self.word.load(Relaxed))
    }

    /// Ends every wait, and every acquisition to come, with [`Closed`]. Permits may still be
    /// released. There is no way back.
    ///
    /// # Memory ordering
    ///
    /// What happened before the call happens before the return of the acquisitions that it fails.
    pub fn close(&self) {
        // Release: pairs with the Acquire in `closed`.
        self.word.fetch_or(CLOSED, Release);
        futex::wake_all(&raw const self.word);
    }

    /// Whether [`close`](Self::close) was called.
    #[inline]
    pub fn is_closed(&self) -> bool {
        // Acquire: as in `closed`.
        self.word.load(Acquire) & CLOSED != 0
    }

    /// Makes the semaphore open, with so many permits and nobody waiting: for the child of a
    /// `fork`, where the threads that waited or held permits do not exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the semaphore.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[doc(alias = "_at_fork_reinit")]
    pub unsafe fn reinit_after_fork(&self, permits: u32) {
        assert!(permits <= Self::MAX_PERMITS, "more permits than a semaphore can hold");
        self.word.store(permits << SHIFT, Relaxed);
    }

    #[inline]
    fn try_fast(&self, n: u32) -> bool {
        let state = self.word.load(Relaxed);
        state & (CLOSED | HEAD) == 0
            && permits(state) >= n
            // Acquire: pairs with the Release of the releases before.
            && self.word.compare_exchange(state, state - n * ONE, Acquire, Relaxed).is_ok()
    }

    #[cold]
    fn try_contended(&self, n: u32) -> Result<(), TryAcquireError> {
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

    /// The slow path of every acquisition that may wait.
    #[cold]
    #[track_caller]
    fn acquire_contended(&self, n: u32, deadline: Option<Deadline>) -> Result<(), TryAcquireError> {
        assert!(n <= Self::MAX_PERMITS, "more permits than there can ever be");
        if n == 0 {
            return self.try_contended(0);
        }
        let waits = Waits::begin(LockKind::Semaphore, (&raw const self.word).addr());
        let result = self.wait_for(n, deadline);
        waits.ended(result.is_ok());
        result
    }

    /// Takes `n` permits, more than none, sleeping as long as it must.
    fn wait_for(&self, n: u32, deadline: Option<Deadline>) -> Result<(), TryAcquireError> {
        let mut state = self.spin(n);
        let waiting = Stopwatch::start();
        let mut slept = false;
        let mut head = false;
        loop {
            if state & CLOSED != 0 {
                return self.leave(n, head);
            }
            let ours = head || state & HEAD == 0;
            if ours && permits(state) >= n {
                match self.take(state, n, head, slept) {
                    Ok(()) => return Ok(()),
                    Err(seen) => state = seen,
                }
                continue;
            }
            let (announced, channel) = if head {
                (state, FRONT)
            } else if ours && (n > 1 || slept && waiting.has_run(STARVATION_THRESHOLD)) {
                // Invariant 2: it may be the one on its way, and there may be others in the line.
                (state | HEAD | if slept { WAITERS } else { 0 }, FRONT)
            } else {
                (state | WAITERS, LINE)
            };
            // Relaxed: it publishes nothing, and the futex compares with the newest value.
            if announced != state {
                if let Err(seen) = self.word.compare_exchange(state, announced, Relaxed, Relaxed) {
                    state = seen;
                    continue;
                }
            }
            head = channel == FRONT;
            if !futex::wait_channel(&self.word, announced, deadline, channel) {
                return self.leave(n, head);
            }
            slept = true;
            state = self.word.load(Relaxed);
        }
    }

    /// Takes `n` permits from a word that has them, or says what the word has become.
    fn take(&self, state: u32, n: u32, head: bool, slept: bool) -> Result<(), u32> {
        // A head that came from the line has set `WAITERS` when it stepped forward, and nobody
        // clears it beside `HEAD`.
        let next = match (head, slept) {
            (true, _) => (state - n * ONE) & !HEAD,
            (false, true) => (state - n * ONE) | WAITERS,
            (false, false) => state - n * ONE,
        };
        // Acquire: as in `try_fast`.
        self.word.compare_exchange(state, next, Acquire, Relaxed)?;
        // Invariant 3 for a head; invariant 2 for one on its way that found `WAITERS` cleared.
        if next & WAITERS != 0 && (head || state & WAITERS == 0) {
            self.wake_line(permits(next));
        }
        Ok(())
    }

    /// The end of a wait whose time is up, or whose semaphore is closed: takes what is there after
    /// all, or leaves the line in order.
    fn leave(&self, n: u32, head: bool) -> Result<(), TryAcquireError> {
        let mut state = self.word.load(Relaxed);
        loop {
            if state & CLOSED == 0 && (head || state & HEAD == 0) && permits(state) >= n {
                // Not as one that slept: this wake was a timeout, so no wake is passed on
                // (invariant 4).
                match self.take(state, n, head, false) {
                    Ok(()) => return Ok(()),
                    Err(seen) => state = seen,
                }
                continue;
            }
            if head {
                // Relaxed: no permit is taken and nothing published.
                if let Err(seen) =
                    self.word.compare_exchange(state, state & !HEAD, Relaxed, Relaxed)
                {
                    state = seen;
                    continue;
                }
                if state & WAITERS != 0 {
                    // Invariant 3. Where the semaphore is closed, everybody was woken already.
                    self.wake_line(permits(state));
                }
            }
            return Err(if state & CLOSED != 0 {
                self.closed()
            } else {
                TryAcquireError::NoPermits
            });
        }
    }

    /// `Closed`, with what its closer wrote.
    fn closed(&self) -> TryAcquireError {
        // Acquire: pairs with the Release in `close`, whose bit was seen by a Relaxed operation;
        // every later value continues its release sequence.
        let state = self.word.load(Acquire);
        debug_assert!(state & CLOSED != 0, "a semaphore that was closed is open");
        TryAcquireError::Closed
    }

    fn wake_line(&self, count: u32) {
        if count != 0 {
            // Invariant 5.
            futex::wake_channel(&raw const self.word, count, LINE);
        }
    }

    /// Waits a moment for a semaphore that nobody sleeps on, and returns what it saw last.
    fn spin(&self, n: u32) -> u32 {
        let mut spin = Looks::new();
        loop {
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
        let mut state = self.word.load(Relaxed);
        loop {
            if n > limit || permits(state) + n > limit {
                return Err(TooManyPermits);
            }
            let more = state + n * ONE;
            // One wake: the one who is woken sets `WAITERS` again (invariant 2). With several, each
            // finds it set and wakes no more.
            let next = if n == 1 && state & HEAD == 0 { more & !WAITERS } else { more };
            // Release: pairs with the Acquire of the acquisitions that follow.
            match self.word.compare_exchange(state, next, Release, Relaxed) {
                // Invariant 5, here and below: from here on only the address.
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

impl Default for RawSemaphore {
    /// One permit, as in Python.
    fn default() -> Self {
        Self::new(1)
    }
}

impl fmt::Debug for RawSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, "RawSemaphore", self, None)
    }
}

/// What every semaphore shows: a snapshot for people.
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

/// The semaphore is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl core::error::Error for Closed {}

/// Why no permit was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// There were too few permits, or somebody was first in line; for the timed calls, until the
    /// time was up.
    NoPermits,
    /// The semaphore is closed.
    Closed,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPermits => f.write_str("there are not enough permits"),
            Self::Closed => Closed.fmt(f),
        }
    }
}

impl core::error::Error for TryAcquireError {}

/// More permits were to be released than a semaphore can hold; nothing was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyPermits;

impl fmt::Display for TooManyPermits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a semaphore holds at most {} permits", RawSemaphore::MAX_PERMITS)
    }
}

impl core::error::Error for TooManyPermits {}
