//! Condition variables: eight bytes, and a notification that nobody waits for is one load.
//!
//! # Source
//!
//! The sequence-counter condition variable that `std` uses on futexes, with a count of waiters so
//! that a notification for nobody makes no system call.
//!
//! # State
//!
//! | word | meaning | legal to be stale? |
//! |---|---|---|
//! | `sequence` | how many notifications there were that somebody may have waited for, modulo 2^32 | no |
//! | `waiters` | how many threads are between announcing that they wait and having woken | may be too high (costs a system call); never too low for a waiter that released the lock |
//!
//! A wait: count itself, read `sequence`, release the lock, sleep while `sequence` is what it read,
//! uncount itself, take the lock. A notification: if anybody is counted, advance `sequence`, then
//! wake.
//!
//! # Invariants
//!
//! 1. **No lost wake-up.** Who changes the condition under the lock and then notifies does one of
//!    two things: it took the lock before the waiter did, and then the waiter saw the change and
//!    does not wait; or after the waiter released it, and then it sees the waiter counted and
//!    advances `sequence` past what the waiter read, so that the waiter's sleep does not begin or
//!    the wake ends it.
//! 2. **No swallowed wake.** A wait reports a timeout only if `sequence` is still what it read: a
//!    notification that was for this waiter, or that it can have met, is reported as one.
//! 3. A sleep that ended while `sequence` stands still was spurious and begins again: what a wait
//!    returns for is a notification or its time.
//! 4. The lock is taken again before a wait returns, whatever it returns.
//!
//! A waiter that is held up between reading `sequence` and falling asleep for exactly 2^32
//! notifications sleeps on. At 10 million notifications a second that is seven minutes without
//! running, and any later notification wakes it.
//!
//! # Why `notify_all` wakes and does not requeue
//!
//! `FUTEX_CMP_REQUEUE` would wake one and move the others to the lock's word, so that they wake one
//! after the other. It was not adopted, for two reasons. The word of a lock is not the condition
//! variable's to know: it works with every lock here, one of them a queue of nodes, and a moved
//! waiter would have to be announced in each of their states, or a release would not wake it. And
//! those who do requeue are not faster where it should show: eight waiters, all woken by one
//! `notify_all`, on two cores, take 0.98 of the time of `std`, which wakes all too, and 0.84 and
//! 0.85 of that of `parking_lot` and `usync`, which requeue (`cargo compare condvar/broadcast`;
//! intervals 0.94-1.02, 0.81-0.88, 0.81-0.88). A requeue inside this implementation was not
//! measured, nor more waiters than eight.
//!
//! # Orderings
//!
//! Everything is Relaxed. What a waiter must see of a notifier and the notifier of a waiter is
//! ordered by the lock that both held (invariant 1), whose acquisitions and releases are Acquire
//! and Release; and the futex compares with the newest value.

use core::fmt;
use core::ops::DerefMut;
use core::time::Duration;
use std::time::Instant;

use crate::lock::instrumented::RELOCK;
use crate::lock::raw_lock::WaitGuard;
use crate::primitive::atomic::{AtomicU32, Ordering::Relaxed};
use crate::primitive::const_new;
use crate::primitive::futex::{self, Deadline};
use crate::user_code::AbortOnUnwind;

/// Lets threads that hold a lock wait until another changes what the lock protects.
///
/// It works with the guards of every lock of this crate, except guards over a part of the data: the
/// part may be gone after the wait. Of a reentrant lock all levels are released, and restored.
/// Several condition variables may share a lock. `notify_*` may be called with or without the lock.
///
/// ```compile_fail,E0277
/// use sync_core::{Condvar, Mutex, MutexGuard};
/// let (lock, changed) = (Mutex::new(Some(Box::new(1))), Condvar::new());
/// let mut part = MutexGuard::map(lock.lock(), |data| data.as_mut().unwrap());
/// changed.wait(&mut part); // another thread may set the data to `None` meanwhile
/// ```
///
/// Should taking the lock again fail, as it does where 2^25 readers hold it, the process aborts:
/// the guard would stand for a lock that it does not hold.
///
/// A wait never ends by itself, but a notification may end more waits than it was meant for: look
/// at the condition again, or let [`wait_while`](Self::wait_while) do so.
///
/// # Examples
///
/// ```
/// use sync_core::{Condvar, Mutex};
///
/// static STOCK: Mutex<u32> = Mutex::new(0);
/// static CHANGED: Condvar = Condvar::new();
///
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         *STOCK.lock() = 3;
///         CHANGED.notify_one();
///     });
///     let mut stock = STOCK.lock();
///     CHANGED.wait_while(&mut stock, |stock| *stock == 0);
///     assert_eq!(*stock, 3);
/// });
/// ```
///
/// # Memory ordering
///
/// None of its own: what one thread wrote before it released the lock, the next sees once it has
/// taken it. So the condition belongs under the lock. A condition in an atomic that is changed
/// without the lock can be missed, as with every condition variable.
///
/// # Source of the algorithm
///
/// A sequence counter on a futex, as in `std`, with a count of waiters; the invariants stand at the
/// top of `condvar.rs`.
#[doc(alias = "Condition")]
pub struct Condvar {
    sequence: AtomicU32,
    waiters: AtomicU32,
}

/// How a timed wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a wait that timed out found nothing changed"]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was up. For the `wait_while_*` calls: and the condition still held when it
    /// was looked at once more.
    #[must_use]
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    const_new! {
        /// A condition variable that nobody waits on.
        pub const fn new() -> Self {
            Self { sequence: AtomicU32::new(0), waiters: AtomicU32::new(0) }
        }
    }

    /// Releases the lock, sleeps until a notification, and takes the lock again.
    ///
    /// A thread that does not hold the lock has no guard, and cannot wait:
    ///
    /// ```compile_fail,E0277
    /// let (lock, changed) = (sync_core::Mutex::new(()), sync_core::Condvar::new());
    /// changed.wait(&mut &lock);
    /// ```
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn wait<G: WaitGuard>(&self, guard: &mut G) {
        let _ = self.wait_deadline(guard, None);
    }

    /// As [`wait`](Self::wait), for at most `timeout`; one too long for the clock means forever.
    /// The time does not bound how long taking the lock again lasts.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    #[doc(alias = "wait_timeout")]
    pub fn wait_for<G: WaitGuard>(&self, guard: &mut G, timeout: Duration) -> WaitTimeoutResult {
        self.wait_deadline(guard, Deadline::after(timeout))
    }

    /// As [`wait`](Self::wait), until `deadline` at most. One in the past releases the lock all the
    /// same, and takes it again.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn wait_until<G: WaitGuard>(&self, guard: &mut G, deadline: Instant) -> WaitTimeoutResult {
        self.wait_deadline(guard, Deadline::at(deadline))
    }

    /// Waits until `condition` is false. It is looked at under the lock, at least once.
    ///
    /// A panic in `condition` leaves the lock held by `guard`, as it was.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    #[doc(alias = "wait_for")]
    pub fn wait_while<G: WaitGuard + DerefMut>(
        &self,
        guard: &mut G,
        condition: impl FnMut(&mut G::Target) -> bool,
    ) {
        let _ = self.wait_while_deadline(guard, condition, None);
    }

    /// As [`wait_while`](Self::wait_while), for at most `timeout` in all, however many
    /// notifications come in between. The condition is looked at once more when the time is up.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    #[doc(alias = "wait_timeout_while")]
    pub fn wait_while_for<G: WaitGuard + DerefMut>(
        &self,
        guard: &mut G,
        condition: impl FnMut(&mut G::Target) -> bool,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        self.wait_while_deadline(guard, condition, Deadline::after(timeout))
    }

    /// As [`wait_while_for`](Self::wait_while_for), until `deadline` at most.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn wait_while_until<G: WaitGuard + DerefMut>(
        &self,
        guard: &mut G,
        condition: impl FnMut(&mut G::Target) -> bool,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        self.wait_while_deadline(guard, condition, Deadline::at(deadline))
    }

    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    fn wait_while_deadline<G: WaitGuard + DerefMut>(
        &self,
        guard: &mut G,
        mut condition: impl FnMut(&mut G::Target) -> bool,
        deadline: Option<Deadline>,
    ) -> WaitTimeoutResult {
        let mut timed_out = false;
        loop {
            if !condition(guard) {
                return WaitTimeoutResult(false);
            }
            if timed_out {
                return WaitTimeoutResult(true);
            }
            timed_out = self.wait_deadline(guard, deadline).timed_out();
        }
    }

    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    fn wait_deadline<G: WaitGuard>(
        &self,
        guard: &mut G,
        deadline: Option<Deadline>,
    ) -> WaitTimeoutResult {
        // Relaxed, both: done under the lock, whose release below orders them before whatever the
        // next holder does (invariant 1).
        self.waiters.fetch_add(1, Relaxed);
        let sequence = self.sequence.load(Relaxed);
        let abort = AbortOnUnwind::new(RELOCK);
        // SAFETY: the guard is borrowed mutably, and reacquired below; what unwinds aborts.
        let depth = unsafe { guard.release_all() };
        let timed_out = loop {
            let in_time = futex::wait_maybe(&self.sequence, sequence, deadline);
            // Relaxed: the futex compared with the newest value; this only tells the reasons for
            // returning apart (invariants 2 and 3).
            if self.sequence.load(Relaxed) != sequence {
                break false;
            }
            if !in_time {
                break true;
            }
        };
        // Relaxed: being counted for too long costs a notifier a system call and nothing else.
        self.waiters.fetch_sub(1, Relaxed);
        // SAFETY: `depth` is of the release above.
        unsafe { guard.reacquire(depth) };
        abort.disarm();
        WaitTimeoutResult(timed_out)
    }

    /// Ends one wait, if there is one, and returns whether it woke a thread. A notification is not
    /// kept for waits to come.
    ///
    /// What it returns is what the system reports of sleeping threads, and a hint. `true`: a thread
    /// slept, and its wait has ended. `false`: no thread slept; a thread that had begun to wait and
    /// had not fallen asleep yet has not been counted, and its wait has ended all the same.
    ///
    /// ```
    /// let changed = sync_core::Condvar::new();
    /// assert!(!changed.notify_one() && changed.notify_all() == 0);
    /// ```
    #[inline]
    #[doc(alias = "notify")]
    pub fn notify_one(&self) -> bool {
        self.notify_many(1) != 0
    }

    /// Ends every wait that has begun, and returns how many threads it woke: a hint, as for
    /// [`notify_one`](Self::notify_one).
    #[inline]
    pub fn notify_all(&self) -> usize {
        self.notify_many(u32::MAX)
    }

    /// Ends at most `count` waits, and returns how many threads it woke: a hint, as for
    /// [`notify_one`](Self::notify_one). Python's `notify(n)`.
    #[inline]
    pub fn notify_many(&self, count: u32) -> usize {
        // Relaxed: a thread that waits for a change that this thread made under the lock was
        // counted before this thread took it (invariant 1).
        if self.waiters.load(Relaxed) != 0 && count != 0 { self.notify_waiting(count) } else { 0 }
    }

    #[cold]
    fn notify_waiting(&self, count: u32) -> usize {
        // Relaxed: it publishes nothing; the change that it announces is under the lock.
        self.sequence.fetch_add(1, Relaxed);
        futex::wake(&raw const self.sequence, count)
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: a snapshot for people.
        f.debug_struct("Condvar").field("waiters", &self.waiters.load(Relaxed)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{AtomicU32, Condvar, Relaxed};
    use crate::lock::mutex::Mutex;

    /// The sequence is compared for being the same and nothing else, so it may come round.
    #[test]
    fn the_sequence_comes_round() {
        let (lock, changed) = (
            Mutex::new(0),
            Condvar { sequence: AtomicU32::new(u32::MAX), waiters: AtomicU32::new(0) },
        );
        let plays = |mine: u32| {
            for _ in 0..4 {
                let mut turn = lock.lock();
                changed.wait_while(&mut turn, |turn| *turn % 2 != mine);
                *turn += 1;
                changed.notify_all();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| plays(1));
            // So that there is somebody to notify from the first turn on.
            while changed.waiters.load(Relaxed) == 0 {
                thread::yield_now();
            }
            plays(0);
        });
        assert!(changed.sequence.load(Relaxed) < 10);
    }
}
