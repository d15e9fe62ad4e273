//! A condition variable of eight bytes. A notification without waiters is one load.
//!
//! # Source
//!
//! The sequence-counter condition variable that `std` uses on futexes, with a count of waiters, so
//! that a notification without waiters makes no system call.
//!
//! # State
//!
//! | word | meaning | legal to be stale? |
//! |---|---|---|
//! | `sequence` | the number of notifications that a thread may have waited for, modulo 2^32 | no |
//! | `waiters` | the number of threads that have announced a wait and have not woken yet | may be too high (costs a system call); never too low for a waiter that released the lock |
//!
//! A wait increments `waiters`, reads `sequence`, releases the lock, sleeps while `sequence` has
//! the value it read, decrements `waiters`, and takes the lock. A notification, if `waiters` is not
//! zero, increments `sequence` and then wakes.
//!
//! # Invariants
//!
//! 1. **No lost wake-up.** A thread that changes the condition under the lock and then notifies
//!    took the lock either before the waiter or after it. If before, the waiter saw the change and
//!    does not wait. If after the waiter released it, the thread sees the waiter in `waiters` and
//!    increments `sequence` past the value that the waiter read, so the waiter's sleep does not
//!    begin or the wake ends it.
//! 2. **No swallowed wake.** A wait reports a timeout only if `sequence` still has the value it
//!    read. So a notification that was for this waiter, or that came during its wait, is reported
//!    as a notification.
//! 3. A sleep that ended while `sequence` did not change was spurious and begins again: a wait
//!    returns only because of a notification or its time.
//! 4. The lock is taken again before a wait returns, whatever it returns.
//!
//! Known limit: a waiter that does not run between its read of `sequence` and its sleep while
//! exactly 2^32 notifications happen misses them. At 10 million notifications a second that is
//! seven minutes without running, and any later notification wakes it.
//!
//! # Why `notify_all` wakes and does not requeue
//!
//! `FUTEX_CMP_REQUEUE` would wake one waiter and move the others to the lock's word, so that they
//! wake one after the other. It was not adopted, for two reasons. First, the condition variable
//! does not know the word of the lock: it works with every lock of this crate, and one of them is a
//! queue of nodes. A moved waiter would have to be announced in the state of each kind of lock, or
//! a release would not wake it. Second, the implementations that requeue are not faster where it
//! should show: eight waiters, all woken by one `notify_all`, on two cores, take 0.98 of the time
//! of `std`, which also wakes all, and 0.84 and 0.85 of the time of `parking_lot` and `usync`,
//! which requeue (`cargo compare condvar/broadcast`; intervals 0.94-1.02, 0.81-0.88, 0.81-0.88). A
//! requeue inside this implementation was not measured, and neither were more than eight waiters.
//!
//! # Orderings
//!
//! Everything is Relaxed. The lock that both threads held orders what a waiter must see of a
//! notifier, and a notifier of a waiter (invariant 1): its acquisitions are Acquire and its
//! releases are Release. The futex compares with the newest value.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::time::Instant;

use crate::lock::asynchronous::{Exclusive, TaskGuard, TaskLock};
use crate::lock::instrumented::RELOCK;
use crate::lock::raw_lock::WaitGuard;
use crate::primitive::atomic::{AtomicU32, Ordering::Relaxed};
use crate::primitive::const_new;
use crate::primitive::futex::{self, Channel, Deadline};
use crate::primitive::steps::{Sleep, Step, Steps, Waiting};
use crate::user_code::AbortOnUnwind;

/// Lets threads that hold a lock wait until another thread changes the data that the lock protects.
///
/// It works with the guards of every lock of this crate, except guards over a part of the data: the
/// part may be gone after the wait. All levels of a reentrant lock are released, and restored.
/// Several condition variables may share a lock. `notify_*` may be called with or without the lock.
///
/// ```compile_fail,E0277
/// use sync_core::{Condvar, Mutex, MutexGuard};
/// let (lock, changed) = (Mutex::new(Some(Box::new(1))), Condvar::new());
/// let mut part = MutexGuard::map(lock.lock(), |data| data.as_mut().unwrap());
/// changed.wait(&mut part); // another thread may set the data to `None` meanwhile
/// ```
///
/// If the lock cannot be taken again, which is so if 2^25 readers hold it, the process aborts: the
/// guard would represent a lock that is not held.
///
/// A wait never ends without a notification or its time, but a notification may end more waits than
/// intended: check the condition again, or use [`wait_while`](Self::wait_while).
///
/// The waiters of one condition variable may hold different locks, of different kinds too, where
/// `parking_lot` panics and `std` forbids it: each takes its own lock again.
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
/// The condition variable adds no ordering to that of the lock: a thread that takes the lock sees
/// everything that was written before the lock was released. So the condition belongs under the
/// lock. A condition in an atomic that is changed without the lock can be missed, as with every
/// condition variable.
///
/// # Source of the algorithm
///
/// A sequence counter on a futex, as in `std`, with a count of waiters; the invariants are at the
/// top of `condvar.rs`.
#[doc(alias = "Condition")]
pub struct Condvar {
    sequence: AtomicU32,
    waiters: AtomicU32,
}

/// The result of a timed wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a wait that timed out found nothing changed"]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Returns whether the time was up. For the `wait_while_*` calls, `true` also means that the
    /// condition still held at the last check.
    #[must_use]
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    const_new! {
        /// Creates a condition variable without waiters.
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
        let _ = self.wait_within(guard, None);
    }

    /// Like [`wait`](Self::wait), for at most `timeout`. A timeout too long for the clock means
    /// forever. The timeout does not bound the time that it takes to get the lock again.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    #[doc(alias = "wait_timeout")]
    pub fn wait_for<G: WaitGuard>(&self, guard: &mut G, timeout: Duration) -> WaitTimeoutResult {
        self.wait_within(guard, Deadline::after(timeout))
    }

    /// Like [`wait`](Self::wait), until `deadline` at most. A deadline in the past still releases
    /// the lock and takes it again.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn wait_until<G: WaitGuard>(&self, guard: &mut G, deadline: Instant) -> WaitTimeoutResult {
        self.wait_within(guard, Deadline::at(deadline))
    }

    /// Waits until `condition` is false. It is called under the lock, at least once.
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

    /// Like [`wait_while`](Self::wait_while), for at most `timeout` in total, whatever the number
    /// of notifications in between. The condition is checked once more when the time is up.
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

    /// Like [`wait_while_for`](Self::wait_while_for), until `deadline` at most.
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
            timed_out = self.wait_within(guard, deadline).timed_out();
        }
    }

    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    fn wait_within<G: WaitGuard>(
        &self,
        guard: &mut G,
        deadline: Option<Deadline>,
    ) -> WaitTimeoutResult {
        // Relaxed, both: they happen under the lock, whose release orders them before everything
        // that the next holder does (invariant 1).
        self.waiters.fetch_add(1, Relaxed);
        let sequence = self.sequence.load(Relaxed);
        let abort = AbortOnUnwind::new(RELOCK);
        // SAFETY: the guard is borrowed mutably, and `reacquire` follows; an unwinding in between
        // aborts.
        let depth = unsafe { guard.release_all() };
        let timed_out = loop {
            let in_time = futex::wait_maybe(&self.sequence, sequence, deadline);
            // Relaxed: the futex compared with the newest value. This load only distinguishes the
            // reasons to return (invariants 2 and 3).
            if self.sequence.load(Relaxed) != sequence {
                break false;
            }
            if !in_time {
                break true;
            }
        };
        // Relaxed: a count that is too high for a moment only costs a notifier a system call.
        self.waiters.fetch_sub(1, Relaxed);
        // SAFETY: `depth` is the result of `release_all`.
        unsafe { guard.reacquire(depth) };
        abort.disarm();
        WaitTimeoutResult(timed_out)
    }

    /// Releases the lock, lets `sleep` wait for a notification, and takes the lock again.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn wait_through<G: WaitGuard>(
        &self,
        guard: &mut G,
        sleep: impl FnOnce(Sequence<'_>),
    ) {
        // Relaxed, both: as in `wait_within`.
        self.waiters.fetch_add(1, Relaxed);
        let counted = Counted(self);
        let sequence = self.sequence.load(Relaxed);
        let abort = AbortOnUnwind::new(RELOCK);
        // SAFETY: the guard is borrowed mutably, and `reacquire` follows; an unwinding in between
        // aborts.
        let depth = unsafe { guard.release_all() };
        sleep(Sequence { condvar: self, sequence });
        drop(counted);
        // SAFETY: `depth` is the result of `release_all`.
        unsafe { guard.reacquire(depth) };
        abort.disarm();
    }

    /// Releases the lock, waits until a notification, and takes the lock again, as a task. Threads
    /// and tasks may wait together.
    ///
    /// Cancel-safe: if the wait is dropped, the lock is released, and a notification that it had
    /// consumed already goes to another waiter. A wait that is kept and not polled may keep a
    /// notification, and which threads must not block on the lock is in the documentation of
    /// [`task`](crate::task).
    ///
    /// ```
    /// use sync_core::{Condvar, Mutex, task::block_on};
    ///
    /// static STOCK: Mutex<u32> = Mutex::new(0);
    /// static CHANGED: Condvar = Condvar::new();
    ///
    /// std::thread::spawn(|| {
    ///     *STOCK.lock() = 3;
    ///     CHANGED.notify_one();
    /// });
    /// block_on(async {
    ///     let mut stock = STOCK.lock_async().await;
    ///     while *stock == 0 {
    ///         stock = CHANGED.wait_async(stock).await;
    ///     }
    ///     assert_eq!(*stock, 3);
    /// });
    /// ```
    pub async fn wait_async<P: Deref>(
        &self,
        guard: TaskGuard<P, Exclusive>,
    ) -> TaskGuard<P, Exclusive>
    where
        P::Target: TaskLock<Exclusive>,
    {
        // Relaxed, both: as in `wait_within`.
        self.waiters.fetch_add(1, Relaxed);
        let counted = Counted(self);
        let sequence = self.sequence.load(Relaxed);
        let lock = guard.release();
        Waiting::new(Sequence { condvar: self, sequence }).await;
        let notified = Notified(self);
        drop(counted);
        let guard = TaskGuard::take(lock).await;
        core::mem::forget(notified);
        guard
    }

    /// Waits until `condition` is false, as a task: [`wait_async`](Self::wait_async) in a loop. The
    /// condition is called under the lock, at least once.
    ///
    /// ```
    /// use sync_core::{Condvar, Mutex, task::block_on};
    ///
    /// let (ready, changed) = (Mutex::new(false), Condvar::new());
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         *ready.lock() = true;
    ///         changed.notify_one();
    ///     });
    ///     block_on(async {
    ///         let guard = ready.lock_async().await;
    ///         assert!(*changed.wait_while_async(guard, |ready| !*ready).await);
    ///     });
    /// });
    /// ```
    pub async fn wait_while_async<P: Deref>(
        &self,
        mut guard: TaskGuard<P, Exclusive>,
        mut condition: impl FnMut(&mut <P::Target as TaskLock<Exclusive>>::Data) -> bool,
    ) -> TaskGuard<P, Exclusive>
    where
        P::Target: TaskLock<Exclusive>,
    {
        while condition(&mut guard) {
            guard = self.wait_async(guard).await;
        }
        guard
    }

    /// Ends at least one wait if a thread waits, usually no more, and returns whether it woke a
    /// thread. The wait of a thread that has released the lock and does not sleep yet may be ended
    /// too. A notification is not kept for later waits.
    ///
    /// The result is a hint: what the system reports of sleeping threads. `true`: a thread slept,
    /// and its wait has ended. `false`: no thread slept; a thread that had begun to wait and had
    /// not fallen asleep yet has not been counted, and its wait has ended all the same.
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

    /// Ends every wait that has begun, and returns the number of threads it woke: a hint, as for
    /// [`notify_one`](Self::notify_one).
    #[inline]
    pub fn notify_all(&self) -> usize {
        self.notify_many(u32::MAX)
    }

    /// Ends at least `count` waits, or all if there are fewer; usually no more, but those of
    /// threads that do not sleep yet may be ended too. Returns the number of threads it woke: a
    /// hint, as for [`notify_one`](Self::notify_one). Python's `notify(n)`.
    #[inline]
    #[doc(alias = "notify")]
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

/// A waiter in the count of waiters.
struct Counted<'a>(&'a Condvar);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        // Relaxed: as in `wait_within`.
        self.0.waiters.fetch_sub(1, Relaxed);
    }
}

/// A notification that a task has consumed and not used yet.
struct Notified<'a>(&'a Condvar);

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// The sleep of a task that has announced itself.
pub(crate) struct Sequence<'a> {
    condvar: &'a Condvar,
    sequence: u32,
}

impl Sequence<'_> {
    fn is_notified(&self) -> bool {
        // Relaxed: invariants 2 and 3; the lock orders what the waiter must see.
        self.condvar.sequence.load(Relaxed) != self.sequence
    }
}

impl<'a> Steps<'a> for Sequence<'a> {
    type Output = ();

    fn step(&mut self, _: bool) -> Step<'a, ()> {
        if self.is_notified() {
            return Step::Done(());
        }
        let (word, expected) = (&self.condvar.sequence, self.sequence);
        Step::Sleep(Sleep { word, expected, channel: Channel::ALL, limit: None })
    }

    fn leave(&mut self) -> Option<()> {
        self.is_notified().then_some(())
    }

    fn undo(&mut self, (): ()) {
        drop(Notified(self.condvar));
    }
}

impl Drop for Condvar {
    #[inline]
    fn drop(&mut self) {
        // The future of a task may have been forgotten.
        futex::retire(&raw const self.sequence);
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: a snapshot for display.
        f.debug_struct("Condvar").field("waiters", &self.waiters.load(Relaxed)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{AtomicU32, Condvar, Relaxed};
    use crate::lock::mutex::Mutex;

    /// Sequence numbers are compared for equality only, so the counter may wrap around.
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
            // So that there is a thread to notify from the first turn on.
            while changed.waiters.load(Relaxed) == 0 {
                thread::yield_now();
            }
            plays(0);
        });
        assert!(changed.sequence.load(Relaxed) < 10);
    }
}
